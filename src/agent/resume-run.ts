import { NothingToResumeError, OutputValidationError } from '../errors.ts'
import { next } from '../transcript/next.ts'
import { isUndecided, type RunFold } from '../transcript/transcript.ts'
import { tellRequest } from './ask-approval.ts'
import type { Decisions } from './decisions.ts'
import type { Run } from './run.ts'
import { decisionEntries } from './take-decisions.ts'

/**
 * Takes up the last run of a conversation where its transcript ends: the loop then goes on as if nothing had happened.
 * Tells again what was left open, and then says that it goes on, which is the claim that makes any other process lose.
 * Gives whether anything is left to be done: a run that is done has its answer, and one that waits goes on waiting.
 *
 * @throws NothingToResumeError, ApprovalError, ConflictError. Nothing was changed then.
 */
export async function resumeRun(run: Run, decisions: Decisions, start: () => void): Promise<boolean> {
  const fold = run.transcript.run
  if (!fold) throw new NothingToResumeError(run.conversation.id)
  const { runId } = fold
  run.runId = runId
  run.stepId = fold.last?.stepId ?? runId
  start()
  const { runtime } = run.settings
  const decided = decisionEntries(fold, run.secrets.scrubber.value(decisions), runtime.now())
  await tellOpenStep(run, fold, new Set(decided.map(({ callId }) => callId)))
  const isOver = fold.ended?.status === 'done' || fold.ended?.status === 'refused'
  const waits = fold.suspended && decided.length === 0
  if ((isOver || waits) && next(run.transcript, run.policy()).do === 'finish') return false
  if (fold.pending.length > 0) {
    // Who leaves at one of these events has decided nothing yet.
    await run.paced()
    run.signal.throwIfAborted()
  }
  await run.append({ type: 'run_resumed', runId, attemptId: runtime.id() }, ...decided)
  // Also where the run is written at its end: who resumes it owns it from now on.
  await run.save()
  return true
}

/** What listeners of this process have not heard: the step whose calls are open, or the answer. */
async function tellOpenStep(run: Run, fold: RunFold, decided: ReadonlySet<string>): Promise<void> {
  const { last, pending } = fold
  if (!last) return
  const base = { runId: run.runId, stepId: run.stepId }
  const { text, plan, toolCalls = [] } = last
  if (last.kind === 'final') {
    await readAnswerAgain(run, text)
    if (plan !== undefined) run.emit({ type: 'plan', ...base, plan })
    run.emit({ type: 'final_response', ...base, answer: run.answerOr(text) })
  } else if (pending.length > 0) {
    if (plan !== undefined) run.emit({ type: 'plan', ...base, plan })
    run.emit({ type: 'step', ...base, ...(text !== '' && { thought: text }), toolCalls })
    for (const { id } of pending) if (isUndecided(fold, id) && !decided.has(id)) tellRequest(run, id)
  }
}

/** The value of an answer that was given in another process: its text is what was written down. */
async function readAnswerAgain(run: Run, text: string): Promise<void> {
  const { output } = run.settings
  if (!output) return
  const { readAnswer } = await import('./answer.ts')
  const answer = await run.wait(readAnswer(output, text))
  if (!answer.ok) throw new OutputValidationError([answer.problem])
  run.answer = run.secrets.scrubber.value(answer.value)
}
