import type { StopReason } from '../client/client.ts'
import type { ErrorInfo } from '../errors.ts'
import type { RunLimit, RunStatus } from '../events.ts'
import type { JsonObject } from '../json.ts'
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
  | ApprovalRequestedEntry
  | ApprovalDecidedEntry
  | RunSuspendedEntry
  | RunResumedEntry
  | RunEndedEntry
  | CompactionEntry
  | BlockEntry

/** A run begins with what the user said. */
export interface InputEntry {
  readonly type: 'input'
  readonly runId: string
  readonly message: UserMessage
}

/** A message that no run produced: `addMessage`, a history that was handed in, or what was said while a run went on. */
export interface MessageEntry {
  readonly type: 'message'
  readonly message: Message
  /** The run that it was said to while it went on. */
  readonly runId?: string
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
  /** What we took the request for that `usage` is of, where that says something of how good our estimates are. */
  readonly estimatedInputTokens?: number
  readonly provider: string
  readonly model: string
  /** The model was told to answer with what it had, because this limit was reached. */
  readonly landing?: RunLimit
  /** No model said this: it stands in for a reply that could not be had. */
  readonly degraded?: true
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
  /** Said to the model below the result: it repeats itself, or somebody changed the parameters. */
  readonly nudge?: string
}

/** A call waits for somebody's decision. */
export interface ApprovalRequestedEntry {
  readonly type: 'approval_requested'
  readonly runId: string
  readonly callId: string
  readonly toolName: string
  /** What is executed if it is approved: nothing else is. */
  readonly parameters: JsonObject
  /** Milliseconds since the epoch; from then on the call can only be denied. Absent: never. */
  readonly expiresAt?: number
}

export interface ApprovalDecidedEntry {
  readonly type: 'approval_decided'
  readonly runId: string
  readonly callId: string
  readonly decision: Decision
}

/** What somebody decided about one call. JSON, so that it can come from anywhere. */
export type Decision =
  /** With `parameters`, what was seen by the one who decided: it is refused when the call's are others. */
  | { readonly decision: 'approve'; readonly parameters?: JsonObject }
  | { readonly decision: 'deny'; readonly reason?: string }
  /** Executes the call with these parameters instead. */
  | { readonly decision: 'edit'; readonly parameters: JsonObject }

/** All that is left to do waits for decisions. */
export interface RunSuspendedEntry {
  readonly type: 'run_suspended'
  readonly runId: string
}

/** Somebody goes on with a run that was suspended, had ended without an answer, or whose process died. */
export interface RunResumedEntry {
  readonly type: 'run_resumed'
  readonly runId: string
  /** Tells this claim to the run from every other, so that of two who resume at once only one believes it has won. */
  readonly attemptId: string
}

export interface RunEndedEntry {
  readonly type: 'run_ended'
  readonly runId: string
  readonly status: RunStatus
  readonly limit?: RunLimit
  readonly error?: ErrorInfo
}

/**
 * From now on requests hold a summary in place of messages. Nothing is lost: they stay where they are, and the last entry of
 * this type says what requests hold.
 */
export interface CompactionEntry extends Compaction {
  readonly type: 'compaction'
  /** The run in which it happened. Absent: the application asked for it. */
  readonly runId?: string
  /** Estimates of the messages that a request held before, and holds now. */
  readonly tokensBefore: number
  readonly tokensAfter: number
}

/** A summary that stands for messages of a conversation, which are counted from 0. */
export interface Compaction {
  /** The first message that it stands for. */
  readonly from: number
  /** The first one after them. */
  readonly to: number
  /** Messages between `from` and `to` that stay as they are, behind the summary; ascending. Default: none. */
  readonly kept?: readonly number[]
  readonly summary: string
  /** What the model that wrote it used for it, and which one that was. */
  readonly usage?: Usage
  readonly provider?: string
  readonly model?: string
}

/** A change of memory blocks, which have a transcript of their own. */
export interface BlockEntry {
  readonly type: 'block'
  readonly change: BlockChange
}

/** `core` blocks stand in every system prompt, `working` ones before the messages, `archival` ones are searched. */
export type BlockTier = 'core' | 'working' | 'archival'

/** What the model may do with a block by itself; what it writes to one that wants `approval` is a proposal. */
export type BlockPermission = 'readonly' | 'append' | 'readwrite' | 'approval'

/**
 * `key` is the idempotency key of the tool call that made a change: one that stands in the transcript already is not made
 * again. Without it, the application made the change.
 */
export type BlockChange =
  /** Makes the block, or replaces what it is; it keeps its place among the others. */
  | {
      readonly do: 'write'
      readonly label: string
      readonly tier: BlockTier
      readonly permission: BlockPermission
      readonly content: string
      readonly description?: string
      readonly key?: string
    }
  /** Adds a line to a block; it is the first one if the block was empty. */
  | { readonly do: 'append'; readonly label: string; readonly content: string; readonly key?: string }
  /** Its proposals go with it. */
  | { readonly do: 'delete'; readonly label: string }
  /** Waits to become the content of the block. */
  | {
      readonly do: 'propose'
      readonly label: string
      readonly proposalId: string
      readonly content: string
      readonly key?: string
    }
  | {
      readonly do: 'settle'
      readonly label: string
      readonly proposalId: string
      readonly approved: boolean
    }
