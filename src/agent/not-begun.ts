import { messageOf, UnexpectedError } from '../errors.ts'
import type { AgentEvent, RunResult } from '../events.ts'
import { noUsage } from '../messages.ts'
import type { RunOrder } from './perform-run.ts'

type Order = Pick<RunOrder, 'runId' | 'conversation' | 'queue' | 'inbox' | 'listen'>

/** A run that could not begin, because what does runs was not there to be loaded: it fails as others do, with all that is told. */
export function notBegun(
  { runId, conversation, queue, inbox, listen }: Order,
  cause: unknown,
): RunResult<never> {
  const error = new UnexpectedError(
    `The part of tercet that does runs could not be loaded: ${messageOf(cause)}. See to it that all files of the application are there, and run again.`,
    { cause },
  )
  inbox.close()
  const tell = (event: AgentEvent) => {
    queue.push(event)
    listen(event)
  }
  const ids = { runId, conversationId: conversation.id }
  tell({ type: 'run_start', ...ids })
  tell({ type: 'run_end', runId, status: 'failed', usage: noUsage, error: error.toJSON() })
  return {
    status: 'failed',
    error,
    steps: [],
    usage: noUsage,
    ...ids,
    history: conversation.transcript.history(),
    timing: { totalMs: 0, modelMs: 0, toolMs: 0 },
  }
}
