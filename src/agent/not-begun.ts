import type { RunResult } from '../events.ts'
import { noUsage } from '../messages.ts'
import { scrubbedError } from '../scrubbed-error.ts'
import type { RunOrder } from './perform-run.ts'
import { abortError } from './result.ts'

/**
 * A run that could not begin, because what does runs did not come to be loaded, or that was stopped until then. It ends as
 * others do, with all that is told.
 */
export function notBegun(order: Omit<RunOrder, 'settings'>, thrown: unknown): RunResult<never> {
  const { runId, conversation, controller, secrets, inbox, tell } = order
  const { aborted: isAborted, reason } = controller.signal
  const error = isAborted ? abortError(reason) : scrubbedError(thrown, secrets.scrubber)
  const status = isAborted ? 'aborted' : 'failed'
  inbox.close()
  const ids = { runId, conversationId: conversation.id }
  tell({ type: 'run_start', ...ids })
  tell({ type: 'run_end', runId, status, usage: noUsage, error: error.toJSON() })
  return {
    status,
    error,
    steps: [],
    usage: noUsage,
    ...ids,
    history: conversation.transcript.history(),
    timing: { totalMs: 0, modelMs: 0, toolMs: 0 },
  }
}
