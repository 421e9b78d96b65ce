import { ApprovalError, ConfigurationError, shown } from '../errors.ts'
import { canonicalJson, isJsonObject } from '../json.ts'
import type { ApprovalDecidedEntry, Decision } from '../transcript/entry.ts'
import { isUndecided, type RunFold } from '../transcript/transcript.ts'
import { type Decisions, deny } from './decisions.ts'

/**
 * The entries that write `decisions` down, and the denial of what nobody approved in time.
 *
 * @throws ConfigurationError for a decision that is none; ApprovalError for one that cannot be taken.
 */
export function decisionEntries(fold: RunFold, decisions: Decisions, now: number): ApprovalDecidedEntry[] {
  const { runId } = fold
  const entries = Object.entries(decisions).flatMap(([callId, decision]): ApprovalDecidedEntry[] => {
    checkDecision(decision, callId)
    // Said again, by a job that was delivered twice, say: it stands already.
    if (isSame(decision, fold.decided.get(callId))) return []
    const request = fold.requested.get(callId)
    const isPending = fold.pending.some(({ id }) => id === callId) && isUndecided(fold, callId)
    if (!request || !isPending) {
      throw new ApprovalError(
        callId,
        'not_pending',
        `No call ${callId} waits for a decision in this conversation.`,
      )
    }
    const decided = [{ type: 'approval_decided', runId, callId, decision }] as const
    if (decision.decision === 'deny') return [...decided]
    if (isOver(request.expiresAt, now)) {
      const message = `The call ${callId} of "${request.toolName}" was not approved in time. It can only be denied, or resumed without a decision.`
      throw new ApprovalError(callId, 'expired', message)
    }
    const { parameters } = decision
    const differs = parameters && canonicalJson(parameters) !== canonicalJson(request.parameters)
    if (decision.decision === 'approve' && differs) {
      const message = `The call ${callId} of "${request.toolName}" has other parameters than the ones that were approved.`
      throw new ApprovalError(callId, 'mismatched', message)
    }
    return [...decided]
  })
  const late = fold.pending.filter(
    ({ id }) =>
      isUndecided(fold, id) &&
      !Object.hasOwn(decisions, id) &&
      isOver(fold.requested.get(id)?.expiresAt, now),
  )
  const tooLate = deny('Nobody approved it in time.')
  return [
    ...entries,
    ...late.map(({ id }) => ({ type: 'approval_decided', runId, callId: id, decision: tooLate }) as const),
  ]
}

function isSame(a: Decision, b: Decision | undefined): boolean {
  if (b === undefined || a.decision !== b.decision) return false
  return a.decision === 'approve' || canonicalJson({ ...a }) === canonicalJson({ ...b })
}

const isOver = (expiresAt: number | undefined, now: number): boolean =>
  expiresAt !== undefined && now >= expiresAt

function checkDecision(value: unknown, callId: string): void {
  const { decision, parameters, reason } = isJsonObject(value) ? value : {}
  const fits =
    (decision === 'approve' && (parameters === undefined || isJsonObject(parameters))) ||
    (decision === 'deny' && (reason === undefined || typeof reason === 'string')) ||
    (decision === 'edit' && isJsonObject(parameters))
  if (fits) return
  const path = `decisions.${callId}`
  throw new ConfigurationError(
    path,
    `${path} must be approve(), deny(reason) or edit(parameters), got ${shown(value)}.`,
    { value },
  )
}
