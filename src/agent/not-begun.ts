import { messageOf, UnexpectedError } from '../errors.ts'
import type { RunResult } from '../events.ts'
import { noUsage } from '../messages.ts'
import { scrubbedError } from '../scrubbed-error.ts'
import { abortError } from './result.ts'
import type { RunOrder } from './run.ts'

/**
 * A run that could not begin, because what does runs did not come to be loaded, or that was stopped until then. It ends as
 * others do, with all that is told.
 */
export function notBegun(order: RunOrder, thrown: unknown, now: number): RunResult<never> {
  const { runId, conversation, secrets, inbox, tell, turn } = order
  const { aborted, reason } = order.controller.signal
  const status = aborted ? 'aborted' : 'failed'
  const error = aborted ? abortError(reason) : scrubbedError(notLoaded(thrown), secrets.scrubber)
  const ids = { runId, conversationId: conversation.id }
  inbox.close()
  tell({ type: 'run_start', ...ids })
  tell({ type: 'run_end', runId, status, usage: noUsage, error: error.toJSON() })
  turn.leave()
  return {
    status,
    steps: [],
    usage: noUsage,
    error,
    ...ids,
    history: conversation.transcript.history(),
    timing: { totalMs: now - order.startedAt, modelMs: 0, toolMs: 0 },
  }
}

const notLoaded = (cause: unknown) =>
  new UnexpectedError(
    `What does runs could not be loaded: ${messageOf(cause)}. See to it that all files of tercet are there, and run again.`,
    { cause },
  )
