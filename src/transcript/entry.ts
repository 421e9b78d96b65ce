import type { StopReason } from '../client/client.ts'
import type { ErrorInfo } from '../errors.ts'
import type { RunLimit, RunStatus } from '../events.ts'
import type { Message, Reasoning, ToolCall, ToolResult, Usage, UserMessage } from '../messages.ts'

/**
 * One thing that happened in a conversation. Entries are JSON, immutable, and already scrubbed: what is in a transcript
 * may be stored, sent and shown.
 */
export type Entry =
  | InputEntry
  | MessageEntry
  | ReplyEntry
  | ToolStartedEntry
  | ToolFinishedEntry
  | RunEndedEntry

/** A run begins with what the user said. */
export interface InputEntry {
  readonly type: 'input'
  readonly runId: string
  readonly message: UserMessage
}

/** A message that no run produced: `addMessage`, or a history that was handed in. */
export interface MessageEntry {
  readonly type: 'message'
  readonly message: Message
}

/** One model reply, decoded. */
export interface ReplyEntry {
  readonly type: 'reply'
  readonly runId: string
  readonly stepId: string
  readonly kind: ReplyKind
  /** The thought of a step, the text of an answer, or whatever else the model said. */
  readonly text: string
  readonly plan?: string
  readonly toolCalls?: readonly ToolCall[]
  readonly reasoning?: readonly Reasoning[]
  /** The reply as the model wrote it, where that is not `text`: the JSON protocol's envelope. */
  readonly raw?: string
  /** What is wrong with a `malformed` or `invalid_output` reply. */
  readonly problem?: string
  readonly stopReason: StopReason
  readonly usage: Usage
  readonly provider: string
  readonly model: string
  /** The model was told to answer with what it had, because this limit was reached. */
  readonly landing?: RunLimit
}

/**
 * `step` calls tools, `final` answers, `plan` only plans, `refused` declines. `malformed` could not be read and
 * `invalid_output` does not fit the output schema: both are shown to the model once, to be repaired, and are no part of
 * the history. `partial` was cut off: by an abort, a limit, a failure or the token limit.
 */
export type ReplyKind = 'step' | 'final' | 'plan' | 'refused' | 'malformed' | 'invalid_output' | 'partial'

/** The ledger's first half, written before a tool has any effect. */
export interface ToolStartedEntry {
  readonly type: 'tool_started'
  readonly runId: string
  readonly callId: string
  readonly idempotencyKey: string
}

/** The ledger's second half. Also written for calls that were never executed: every call has exactly one. */
export interface ToolFinishedEntry {
  readonly type: 'tool_finished'
  readonly runId: string
  readonly result: ToolResult
  /** Said to the model below the result: it repeats itself. */
  readonly nudge?: string
}

export interface RunEndedEntry {
  readonly type: 'run_ended'
  readonly runId: string
  readonly status: RunStatus
  readonly limit?: RunLimit
  readonly error?: ErrorInfo
}
