import { AgentClosedError, RunAbortedError, RunSuspendedError, type TercetError } from '../errors.ts'
import type { RunResult } from '../events.ts'

/**
 * The answer of a run, or its error thrown, with the result attached. A run that was stopped at a limit has with
 * `onLimit: 'stop'` whatever was said last as its answer.
 */
export function unwrap<Answer>(result: RunResult<Answer>, onLimit: OnLimit): Answer {
  const { status, answer, partial, pending = [], conversationId } = result
  if (status === 'done') return answer as Answer // a run that is done has one
  // Text that was said last stands in for an answer, as the caller asked.
  if (status === 'limit' && onLimit === 'stop') return (partial ?? '') as Answer
  const waits = status === 'suspended'
  const callIds = pending.map(({ callId }) => callId)
  const error = waits ? new RunSuspendedError(conversationId, callIds) : result.error
  throw withResult(error ?? new RunAbortedError(undefined), result)
}

/** What a run ends with that was stopped for this reason. An error of its own: it leads to the result of its run. */
export function abortError(reason: unknown): TercetError {
  return reason instanceof AgentClosedError ? new AgentClosedError() : new RunAbortedError(reason)
}

export type OnLimit = 'throw' | 'land' | 'stop'

const results = new WeakMap<object, RunResult<unknown>>()

/** What a run had done when it ended with this error: steps, usage, partial text, history. */
export function resultOf(error: unknown): RunResult<unknown> | undefined {
  return typeof error === 'object' && error !== null ? results.get(error) : undefined
}

function withResult(error: TercetError, result: RunResult<unknown>): TercetError {
  results.set(error, result)
  return error
}
