import { ApprovalError } from '../errors.ts'
import { canonicalJson } from '../json.ts'
import type { ApprovalDecidedEntry, ApprovalRequestedEntry, Decision } from '../transcript/entry.ts'
import { isUndecided, type RunFold } from '../transcript/transcript.ts'
import { type Decisions, deny } from './decisions.ts'

/**
 * The entries that write `decisions` down, and the denial of what nobody approved in time.
 *
 * @throws ApprovalError for one that cannot be taken.
 */
export function decisionEntries(fold: RunFold, decisions: Decisions, now: number): ApprovalDecidedEntry[] {
  const { runId } = fold
  const entries = Object.entries(decisions).flatMap(([callId, decision]): ApprovalDecidedEntry[] => {
    const request = fold.requested?.get(callId)
    if (request && differs(decision, request)) {
      const message = `The call ${callId} of "${request.toolName}" has other parameters than the ones that were approved.`
      throw new ApprovalError(callId, 'mismatched', message)
    }
    // Said again, by a job that was delivered twice, say: it stands already.
    if (isSame(decision, fold.decided?.get(callId))) return []
    const isPending = fold.pending.some(({ id }) => id === callId) && isUndecided(fold, callId)
    if (!request || !isPending) {
      const message = `No call ${callId} waits for a decision in this conversation.`
      throw new ApprovalError(callId, 'not_pending', message)
    }
    if (decision.decision !== 'deny' && isOver(request.expiresAt, now)) {
      const message = `The call ${callId} of "${request.toolName}" was not approved in time. It can only be denied, or resumed without a decision.`
      throw new ApprovalError(callId, 'expired', message)
    }
    return [{ type: 'approval_decided', runId, callId, decision }]
  })
  const late = fold.pending.filter(
    ({ id }) =>
      isUndecided(fold, id) &&
      !Object.hasOwn(decisions, id) &&
      isOver(fold.requested?.get(id)?.expiresAt, now),
  )
  const tooLate = deny('Nobody approved it in time.')
  return [
    ...entries,
    ...late.map(({ id }) => ({ type: 'approval_decided', runId, callId: id, decision: tooLate }) as const),
  ]
}

/** What was approved is not what waits. */
function differs(decision: Decision, request: ApprovalRequestedEntry): boolean {
  if (decision.decision !== 'approve' || !decision.parameters) return false
  return canonicalJson(decision.parameters) !== canonicalJson(request.parameters)
}

function isSame(a: Decision, b: Decision | undefined): boolean {
  if (b === undefined || a.decision !== b.decision) return false
  return a.decision === 'approve' || canonicalJson({ ...a }) === canonicalJson({ ...b })
}

const isOver = (expiresAt: number | undefined, now: number): boolean =>
  expiresAt !== undefined && now >= expiresAt
