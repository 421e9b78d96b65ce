import type { ModelName } from './client/client.ts'
import type { ErrorInfo, LLMErrorKind, SerializedError, TercetError } from './errors.ts'
import type { JsonObject, JsonValue } from './json.ts'
import type { Message, ToolCall, ToolResult, Usage, UserMessage } from './messages.ts'
import type { Channel } from './protocol/protocol.ts'

/**
 * What a run tells while it happens. Facts, in order, as JSON; nobody changes a run by changing an event.
 *
 * run_start ( steering* (compaction | retry | failover)*
 *             [stream_start (token | retracted | compaction | retry | failover)* stream_end] usage? plan?
 *             ( step (tool_execution | approval_required | compaction)* tool_results | final_response )? )* run_end
 *
 * A `diagnostic` may stand anywhere between `run_start` and `run_end`.
 */
export type AgentEvent =
  | AgentRunStart
  | AgentSteeringEvent
  | AgentCompactionEvent
  | AgentStreamStart
  | AgentToken
  | AgentRetracted
  | AgentStreamEnd
  | AgentUsageEvent
  | AgentPlanEvent
  | AgentStepEvent
  | AgentToolExecutionEvent
  | AgentApprovalRequired
  | AgentToolResultsEvent
  | AgentFinalResponseEvent
  | AgentRetryEvent
  | AgentFailoverEvent
  | AgentDiagnosticEvent
  | AgentRunEnd

export const eventTypes = [
  'run_start',
  'steering',
  'compaction',
  'stream_start',
  'token',
  'retracted',
  'stream_end',
  'usage',
  'plan',
  'step',
  'tool_execution',
  'approval_required',
  'tool_results',
  'final_response',
  'retry',
  'failover',
  'diagnostic',
  'run_end',
] as const satisfies readonly AgentEvent['type'][]

interface RunEvent {
  readonly runId: string
}

interface StepEvent extends RunEvent {
  /** The same for all events of one iteration. */
  readonly stepId: string
}

export interface AgentRunStart extends RunEvent {
  readonly type: 'run_start'
  readonly conversationId: string
}

/** What the user said while the run went on is delivered: it stands in the request of this iteration. */
export interface AgentSteeringEvent extends StepEvent {
  readonly type: 'steering'
  readonly message: UserMessage
}

/** What a compaction came to. */
export interface CompactionReport {
  /** Messages that requests no longer hold. */
  readonly messagesCompacted: number
  /** Summaries that were written: one for each part that fits the model that writes them. */
  readonly summaries: number
  /** Estimates of the messages that a request held before, and holds now. */
  readonly tokensBefore: number
  readonly tokensAfter: number
}

/** From here on requests hold a summary in place of older messages, which stay in the transcript. */
export interface AgentCompactionEvent extends StepEvent, CompactionReport {
  readonly type: 'compaction'
  /** What the summaries cost: it is part of the run's usage. Absent if the compactor does not say. */
  readonly usage?: Usage
  readonly provider?: string
  readonly model?: string
}

export interface AgentStreamStart extends StepEvent {
  readonly type: 'stream_start'
}

/** Decoded text as it arrives: the answer itself, never a protocol's envelope. */
export interface AgentToken extends StepEvent {
  readonly type: 'token'
  readonly channel: Channel
  readonly text: string
  /** With `output`: the answer's value as far as it is known, now and then. */
  readonly partial?: JsonValue
}

/** All text of this channel in this iteration is withdrawn: an answer turned out to be the thought beside a tool call. */
export interface AgentRetracted extends StepEvent {
  readonly type: 'retracted'
  readonly channel: Channel
}

export interface AgentStreamEnd extends StepEvent {
  readonly type: 'stream_end'
}

/** One per model call, also when it was cut off. */
export interface AgentUsageEvent extends StepEvent {
  readonly type: 'usage'
  readonly usage: Usage
  /** The provider reported nothing: the numbers are our own estimate. */
  readonly estimated: boolean
  readonly provider: string
  readonly model: string
  /** What the request was made of. Absent where no request is known. */
  readonly context?: ContextReport
}

/** What a request was made of, in tokens as we estimate them. */
export interface ContextReport {
  /** Of the whole request: the sum of its segments. */
  readonly tokens: number
  readonly segments: ContextSegments
  /**
   * The conversation's request before, in this process, stands whole at the beginning of this one: instructions, tools and
   * messages. What a provider has in its cache can then be used.
   */
  readonly prefixStable: boolean
  /** Where this request stopped to be as the one before. Absent if nowhere, and for the first one. */
  readonly firstDifference?: 'instructions' | 'tools' | `messages[${number}]`
  /** The part of the input that the provider read from its cache, by its own report: 0 to 1. */
  readonly cachedShare?: number
}

export interface ContextSegments {
  /** The system prompt, with what the protocol says in it, but for `blocks`. */
  readonly instructions: number
  /** Memory blocks, in the system prompt and before the messages. */
  readonly blocks: number
  readonly tools: number
  /** Of users and of the model, with its calls. In the JSON protocol, also what tools gave. */
  readonly messages: number
  readonly toolResults: number
  /** System messages that stand for what is not sent any more. */
  readonly summary?: number
}

export interface AgentPlanEvent extends StepEvent {
  readonly type: 'plan'
  readonly plan: string
}

export interface AgentStepEvent extends StepEvent {
  readonly type: 'step'
  readonly thought?: string
  readonly toolCalls: readonly ToolCall[]
}

export type AgentToolExecutionEvent = StepEvent & {
  readonly type: 'tool_execution'
  readonly callId: string
  readonly toolName: string
} & (
    | { readonly status: 'started' }
    | { readonly status: 'progress'; readonly progress: JsonValue }
    /** `abandoned`: the tool ignored its signal for `graceMs` and was left behind. */
    | { readonly status: 'completed' | 'failed' | 'abandoned'; readonly result: ToolResult }
  )

/** A call waits for somebody's decision. The other calls of its step go on; then the run is suspended. */
export interface AgentApprovalRequired extends StepEvent, PendingCall {
  readonly type: 'approval_required'
}

/** A call that is executed only when somebody approves it. */
export interface PendingCall {
  readonly callId: string
  readonly toolName: string
  /** What is executed if it is approved as it is. */
  readonly parameters: JsonObject
  /** Milliseconds since the epoch; from then on it can only be denied. Absent: never. */
  readonly expiresAt?: number
}

/** The results of one step, in the order of its calls. */
export interface AgentToolResultsEvent extends StepEvent {
  readonly type: 'tool_results'
  readonly results: readonly ToolResult[]
}

export interface AgentFinalResponseEvent extends StepEvent {
  readonly type: 'final_response'
  /** Text, or the value that fits `output`. */
  readonly answer: JsonValue
}

/** A model call failed and is tried again. */
export interface AgentRetryEvent extends StepEvent {
  readonly type: 'retry'
  /** The attempt that failed; the first is 1. */
  readonly attempt: number
  readonly delayMs: number
  readonly error: ErrorInfo & { readonly kind: LLMErrorKind }
}

/** A model call failed, and another model is asked instead. Tools are not run again. */
export interface AgentFailoverEvent extends StepEvent {
  readonly type: 'failover'
  readonly from: ModelName
  readonly to: ModelName
  readonly error: ErrorInfo & { readonly kind: LLMErrorKind }
}

/** Something a developer wants to know that did not stop the run. */
export interface AgentDiagnosticEvent extends RunEvent {
  readonly type: 'diagnostic'
  readonly code: DiagnosticCode
  readonly message: string
  readonly stepId?: string
}

export type DiagnosticCode =
  | 'hidden_parameter_rejected'
  | 'unknown_parameter_dropped'
  | 'parameter_dropped'
  | 'history_repaired'
  | 'context_overflow'
  | 'context_exhausted'
  | 'memory_failed'
  | 'compaction_failed'
  | 'hook_failed'
  | 'policy_failed'
  | 'listener_failed'
  | 'no_progress'
  | 'tool_abandoned'
  | 'repair'
  | 'landing'

/** The last event of every run, or of a part of it: one that is suspended or resumed has one for each part. */
export interface AgentRunEnd extends RunEvent {
  readonly type: 'run_end'
  readonly status: RunStatus
  readonly limit?: RunLimit
  readonly pending?: readonly PendingCall[]
  readonly usage: Usage
  readonly answer?: JsonValue
  readonly partial?: string
  readonly error?: SerializedError
}

/** `refused` is the model's own decision. `suspended`: calls wait for approval, and `resume` goes on with the run. */
export type RunStatus = 'done' | 'limit' | 'suspended' | 'aborted' | 'refused' | 'failed'

export type RunLimit = 'iterations' | 'tool_rounds' | 'time' | 'budget' | 'progress'

/** Everything a run came to. Nothing that was finished is missing, however the run ended. */
export interface RunResult<Answer = string> {
  readonly status: RunStatus
  readonly answer?: Answer
  /** Text of an answer that was cut off, or the last thing the model said before a limit. */
  readonly partial?: string
  readonly plan?: string
  readonly steps: readonly Step[]
  readonly usage: Usage
  /** What all model calls of the run cost. Absent if that is not known of one of them. */
  readonly cost?: Cost
  readonly error?: TercetError
  /** The answer was given because a limit asked for it (`onLimit: 'land'`). */
  readonly landed?: true
  /** No model gave the answer: it stands in for one that could not be had (`fallbackAnswer`). */
  readonly degraded?: true
  readonly limit?: RunLimit
  /** With `status: 'suspended'`: the calls that wait for a decision. */
  readonly pending?: readonly PendingCall[]
  readonly runId: string
  readonly conversationId: string
  /** The conversation up to here. */
  readonly history: readonly Message[]
  readonly timing: RunTiming
}

export interface Cost {
  readonly usd: number
}

/** Milliseconds. */
export interface RunTiming {
  readonly totalMs: number
  readonly modelMs: number
  readonly toolMs: number
  /** From the start of the run to the first text shown. */
  readonly firstTokenMs?: number
}

/** One iteration that called tools. */
export interface Step {
  readonly stepId: string
  readonly thought?: string
  readonly toolCalls: readonly ToolCall[]
  /** In the order of the calls. */
  readonly results: readonly ToolResult[]
  /** What the request was made of that this step answered. Absent if it was made in another process. */
  readonly context?: ContextReport
}

/** True if `event` is of that type. For filters: `events.filter((event) => isEvent(event, 'token'))`. */
export function isEvent<Type extends AgentEvent['type']>(
  event: AgentEvent,
  type: Type,
): event is Extract<AgentEvent, { type: Type }> {
  return event.type === type
}
