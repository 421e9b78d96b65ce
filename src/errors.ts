import type { JsonObject } from './json.ts'

/** Every code an error of this library can have. Codes are stable; messages are for people and are never parsed. */
export const errorCodes = [
  'aborted',
  'agent_closed',
  'approval',
  'budget_exceeded',
  'cassette_miss',
  'concurrent_run',
  'configuration',
  'conflict',
  'corrupt_entry',
  'duplicate_tool',
  'fatal_tool',
  'invalid_tool_schema',
  'llm',
  'max_iterations',
  'max_tool_rounds',
  'missing_credential',
  'missing_package',
  'no_progress',
  'nothing_to_resume',
  'output_validation',
  'provider_not_found',
  'queue_full',
  'refused',
  'response_parse',
  'run_timeout',
  'script_exhausted',
  'store',
  'suspended',
  'tool_execution',
  'tool_input',
  'tool_not_found',
  'tool_timeout',
  'unexpected',
] as const

export type ErrorCode = (typeof errorCodes)[number]

interface ErrorOptions {
  cause?: unknown
}

// Known to every copy of the package; a code alone is not enough, other libraries have an `aborted` as well.
const brand: unique symbol = Symbol.for('tercet.error')

/** What every error of this library is: a stable `code`, the `cause` that led to it, and in its message what to do next. */
export abstract class TercetError extends Error {
  abstract readonly code: ErrorCode

  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    // The class is known by name in traces and logs, also after a minifier renamed it.
    Object.defineProperty(this, 'name', { value: new.target.name, configurable: true, writable: true })
  }

  get [brand](): true {
    return true
  }

  /** Name, code and message, without stack, cause or result: safe to send and to store. */
  toJSON(): SerializedError {
    return { name: this.name, code: this.code, message: this.message }
  }
}

export interface SerializedError extends JsonObject {
  readonly name: string
  readonly code: ErrorCode
  readonly message: string
}

/** True for any error of this library, also one from another copy of the package. */
export function isTercetError(value: unknown): value is TercetError {
  return value instanceof Error && brand in value
}

/** An option, argument or stored value is not what it has to be. Thrown at the earliest point, before anything was done. */
export class ConfigurationError extends TercetError {
  readonly code = 'configuration'
  /** The option that is wrong, such as `maxIterations` or `tools[0].name`. */
  readonly path: string
  readonly value: unknown

  constructor(path: string, message: string, options?: ErrorOptions & { value?: unknown }) {
    super(message, options)
    this.path = path
    // Hidden from JSON and inspection: what was passed may be a credential.
    Object.defineProperty(this, 'value', { value: options?.value, enumerable: false })
  }
}

/** No API key was given and the environment variable that could hold it is not set. */
export class MissingCredentialError extends TercetError {
  readonly code = 'missing_credential'
  readonly variable: string

  constructor(variable: string, message: string) {
    super(message)
    this.variable = variable
  }
}

/** An optional peer package is needed and not installed; the message holds the command that installs it. */
export class MissingPackageError extends TercetError {
  readonly code = 'missing_package'
  readonly packageName: string

  constructor(packageName: string, options?: ErrorOptions) {
    super(`The package "${packageName}" is not installed. Run: npm install ${packageName}`, options)
    this.packageName = packageName
  }
}

/** A model string such as `'acme/large'` names a provider that was not registered. */
export class ProviderNotFoundError extends TercetError {
  readonly code = 'provider_not_found'
  readonly provider: string
  readonly available: readonly string[]

  constructor(provider: string, available: readonly string[]) {
    super(
      `There is no provider "${provider}". Registered: ${available.join(', ') || 'none'}. ` +
        'Register it with providers.register(name, factory) or pass a client object.',
    )
    this.provider = provider
    this.available = available
  }
}

/** Every kind of a failed model call. */
export const llmErrorKinds = [
  'auth',
  'quota',
  'rate_limit',
  'overloaded',
  'timeout',
  'stalled',
  'network',
  'context_length',
  'content_filter',
  'invalid_request',
  'not_found',
  'malformed',
  'aborted',
  'unknown',
] as const

/**
 * Why a model call failed. `stalled` is a stream that went silent; `malformed` an answer that is none;
 * `quota` is money or a plan that ran out, which waiting does not cure, unlike `rate_limit`.
 */
export type LLMErrorKind = (typeof llmErrorKinds)[number]

export interface LLMErrorDetails extends ErrorOptions {
  kind: LLMErrorKind
  provider: string
  model: string
  /** HTTP status, if there was one. */
  status?: number
  /** How long the provider asked to wait, in milliseconds. */
  retryAfterMs?: number
  /** Whether the same call may succeed later. Default: by kind; the adapter, which knows the wire, may say otherwise. */
  retryable?: boolean
  requestId?: string
}

const retryableKinds: ReadonlySet<LLMErrorKind> = new Set<LLMErrorKind>([
  'rate_limit',
  'overloaded',
  'timeout',
  'stalled',
  'network',
  'malformed',
])

/** A model call failed. */
export class LLMError extends TercetError {
  readonly code = 'llm'
  readonly kind: LLMErrorKind
  readonly provider: string
  readonly model: string
  // `declare`: what is absent is no member, not a member that is undefined.
  declare readonly status?: number
  declare readonly retryAfterMs?: number
  readonly retryable: boolean
  declare readonly requestId?: string

  constructor(message: string, details: LLMErrorDetails) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined)
    this.kind = details.kind
    this.provider = details.provider
    this.model = details.model
    if (details.status !== undefined) this.status = details.status
    if (details.retryAfterMs !== undefined) this.retryAfterMs = details.retryAfterMs
    if (details.requestId !== undefined) this.requestId = details.requestId
    this.retryable = details.retryable ?? retryableKinds.has(details.kind)
  }
}

/** As many model calls wait as may: this one was not sent. */
export class QueueFullError extends TercetError {
  readonly code = 'queue_full'
  readonly queueMax: number

  constructor(queueMax: number) {
    super(
      `The model call was not sent, as ${queueMax} others wait already (queueMax). ` +
        'Call again later, make fewer calls at once, or raise queueMax.',
    )
    this.queueMax = queueMax
  }
}

/** The model's reply could not be read, also after it was asked to repair it. */
export class ResponseParseError extends TercetError {
  readonly code = 'response_parse'
}

/** The final answer does not fit the `output` schema, also after the model was asked to repair it. */
export class OutputValidationError extends TercetError {
  readonly code = 'output_validation'
  /** What is wrong with the answer, in the validator's words. */
  readonly issues: readonly string[]

  constructor(issues: readonly string[], options?: ErrorOptions) {
    super(
      `The answer does not fit the output schema: ${issues.join('; ')}. ` +
        'Loosen the schema, describe its fields, or raise outputRepairAttempts.',
      options,
    )
    this.issues = issues
  }
}

/** The model declined to answer. */
export class RefusedError extends TercetError {
  readonly code = 'refused'
}

/** The run made `maxIterations` model calls without reaching an answer. */
export class MaxIterationsError extends TercetError {
  readonly code = 'max_iterations'
  readonly maxIterations: number
  /** The last text the model said, if any. */
  declare readonly partial?: string

  constructor(maxIterations: number, partial?: string) {
    super(
      `No answer after ${maxIterations} model call${maxIterations === 1 ? '' : 's'} (maxIterations). ` +
        "Raise maxIterations, set onLimit: 'land' to get an answer from what was found, or run again to go on.",
    )
    this.maxIterations = maxIterations
    if (partial !== undefined) this.partial = partial
  }
}

/** The run used `maxToolRounds` rounds of tools without reaching an answer. */
export class MaxToolRoundsError extends TercetError {
  readonly code = 'max_tool_rounds'
  readonly maxToolRounds: number

  constructor(maxToolRounds: number) {
    super(
      `The model asked for tools again after ${maxToolRounds} rounds (maxToolRounds). ` +
        "Raise maxToolRounds, or set onLimit: 'land' to get an answer from what was found.",
    )
    this.maxToolRounds = maxToolRounds
  }
}

/** The run took longer than `timeoutMs`; the model call and tools under way were stopped. */
export class RunTimeoutError extends TercetError {
  readonly code = 'run_timeout'
  readonly timeoutMs: number
  readonly elapsedMs: number

  constructor(timeoutMs: number, elapsedMs: number) {
    super(
      `The run was stopped after ${elapsedMs} ms (timeoutMs: ${timeoutMs}). ` +
        'What was done is kept: run again to go on, or raise timeoutMs.',
    )
    this.timeoutMs = timeoutMs
    this.elapsedMs = elapsedMs
  }
}

/** What a budget limits. `wallMs` is time. */
export type BudgetLimit = 'usd' | 'tokens' | 'calls' | 'toolCalls' | 'wallMs'

interface BudgetExceededDetails {
  limit: BudgetLimit
  most: number
  remaining: number
  asked?: number
  refillsAt?: number
}

/** A budget does not allow a model call or a tool call, which was not begun; or its time is up. */
export class BudgetExceededError extends TercetError {
  readonly code = 'budget_exceeded'
  readonly limit: BudgetLimit
  /** The limit itself. */
  readonly most: number
  /** What is left of it and not reserved by calls under way. */
  readonly remaining: number
  /** What the call could have taken at most. Absent when the time is up, or nobody knows the price. */
  declare readonly asked?: number
  /** When there is a new budget, in milliseconds since the epoch, if there will be. */
  declare readonly refillsAt?: number

  constructor(message: string, details: BudgetExceededDetails) {
    super(message)
    this.limit = details.limit
    this.most = details.most
    this.remaining = details.remaining
    if (details.asked !== undefined) this.asked = details.asked
    if (details.refillsAt !== undefined) this.refillsAt = details.refillsAt
  }
}

/** The model repeated the same tool calls with the same results and did not stop when told so. */
export class NoProgressError extends TercetError {
  readonly code = 'no_progress'
  readonly toolName: string

  constructor(toolName: string) {
    super(
      `The run was stopped because the model kept calling "${toolName}" with the same parameters and the same result. ` +
        "Set repeatable: true on a tool that is meant to be polled, or onLimit: 'land' to get an answer anyway.",
    )
    this.toolName = toolName
  }
}

/** The run was stopped by its caller: a signal, `abort()`, leaving the event loop, or `close()`. */
export class RunAbortedError extends TercetError {
  readonly code = 'aborted'
  /** What the canceller gave as its reason, untouched. */
  readonly reason: unknown

  constructor(reason: unknown) {
    super('The run was aborted. What was done is kept: the conversation can go on.', { cause: reason })
    this.reason = reason
  }
}

/** A run waits for somebody's decision about calls. What it did is kept; `resume` with decisions goes on with it. */
export class RunSuspendedError extends TercetError {
  readonly code = 'suspended'
  readonly conversationId: string
  /** The ids of the calls that wait; what they want to do is in the result's `pending`. */
  readonly callIds: readonly string[]

  constructor(conversationId: string, callIds: readonly string[]) {
    super(
      `The run waits for approval of ${callIds.length === 1 ? 'the call' : 'the calls'} ${callIds.join(', ')}. Decide, and ` +
        `go on with agent.resume(${JSON.stringify(conversationId)}, { decisions }).`,
    )
    this.conversationId = conversationId
    this.callIds = callIds
  }
}

/** A decision about a call cannot be taken: it is for another call, too late, or not the first. Nothing was changed. */
export class ApprovalError extends TercetError {
  readonly code = 'approval'
  readonly callId: string
  readonly reason: 'not_pending' | 'mismatched' | 'expired'

  constructor(callId: string, reason: ApprovalError['reason'], message: string) {
    super(message)
    this.callId = callId
    this.reason = reason
  }
}

/** A conversation was to be resumed in which no run has begun. */
export class NothingToResumeError extends TercetError {
  readonly code = 'nothing_to_resume'
  readonly conversationId: string

  constructor(conversationId: string) {
    super(
      `In the conversation "${conversationId}" no run has begun. Begin one with run(input, { conversation }).`,
    )
    this.conversationId = conversationId
  }
}

/** A run was started on a conversation that is running, with `concurrency: 'reject'`. */
export class ConcurrentRunError extends TercetError {
  readonly code = 'concurrent_run'

  constructor(conversationId: string) {
    super(
      `The conversation "${conversationId}" is already running. Wait for that run, ` +
        "use another conversation, or set concurrency: 'queue'.",
    )
  }
}

/** The agent was closed. */
export class AgentClosedError extends TercetError {
  readonly code = 'agent_closed'

  constructor() {
    super('This agent is closed. Create a new Agent to run again.')
  }
}

/** The store holds a newer version of the conversation than the one that was to be appended to. */
export class ConflictError extends TercetError {
  readonly code = 'conflict'
  readonly conversationId: string
  readonly expectedVersion: number
  readonly actualVersion: number

  constructor(conversationId: string, expectedVersion: number, actualVersion: number) {
    super(
      `The conversation "${conversationId}" is at version ${actualVersion}, not ${expectedVersion}: ` +
        'another run went on with it. Nothing was written; load it again and retry.',
    )
    this.conversationId = conversationId
    this.expectedVersion = expectedVersion
    this.actualVersion = actualVersion
  }
}

/** A conversation store failed: it cannot be reached, is not made ready, or does not take what it is given. */
export class StoreError extends TercetError {
  readonly code = 'store'
}

/**
 * A stored entry cannot be read. Nothing else is lost: the entries before and after it can be read by their positions,
 * and `fork(position)` goes on from before it.
 */
export class CorruptEntryError extends TercetError {
  readonly code = 'corrupt_entry'
  readonly conversationId: string
  /** Which entry it is; the first is 0. */
  readonly position: number

  constructor(
    { conversationId, position }: { readonly conversationId: string; readonly position: number },
    problem: string,
    options?: ErrorOptions,
  ) {
    super(
      `Entry ${position} of the conversation "${conversationId}" cannot be read: ${problem}. ` +
        `Restore it, or go on from before it with fork(${position}).`,
      options,
    )
    this.conversationId = conversationId
    this.position = position
  }
}

/** A tool of that name is registered already. */
export class DuplicateToolError extends TercetError {
  readonly code = 'duplicate_tool'
  readonly toolName: string

  constructor(toolName: string) {
    super(
      `A tool named "${toolName}" is registered already. Rename one of them, or register it with { replace: true }.`,
    )
    this.toolName = toolName
  }
}

/** A tool's parameters are no schema a model could be given. */
export class InvalidToolSchemaError extends TercetError {
  readonly code = 'invalid_tool_schema'
  readonly toolName: string

  constructor(toolName: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.toolName = toolName
  }
}

/** There is no tool of that name. */
export class ToolNotFoundError extends TercetError {
  readonly code = 'tool_not_found'
  readonly toolName: string
  readonly available: readonly string[]

  constructor(toolName: string, available: readonly string[]) {
    super(`There is no tool "${toolName}". Available: ${available.join(', ') || 'none'}.`)
    this.toolName = toolName
    this.available = available
  }
}

/** A tool was called with parameters that do not fit its schema. */
export class ToolInputError extends TercetError {
  readonly code = 'tool_input'
  readonly toolName: string

  constructor(toolName: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.toolName = toolName
  }
}

/** A tool did not finish within its `timeoutMs`. */
export class ToolTimeoutError extends TercetError {
  readonly code = 'tool_timeout'
  readonly toolName: string
  readonly timeoutMs: number

  constructor(toolName: string, timeoutMs: number) {
    super(`The tool "${toolName}" did not finish within ${timeoutMs} ms (timeoutMs).`)
    this.toolName = toolName
    this.timeoutMs = timeoutMs
  }
}

/** Tools failed `maxConsecutiveToolErrors` times in a row in the same way. */
export class ToolExecutionError extends TercetError {
  readonly code = 'tool_execution'
  readonly toolName: string

  constructor(toolName: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.toolName = toolName
  }
}

/** Throw this from a tool to end the run at once instead of telling the model. */
export class FatalToolError extends TercetError {
  readonly code = 'fatal_tool'
}

/** Something failed that no other error names: a hook marked strict, a memory, a store, a schema that threw. */
export class UnexpectedError extends TercetError {
  readonly code = 'unexpected'
}

/** What a failure is called when it is told to a model, an event or a store: never a stack, never a cause. */
export interface ErrorInfo extends JsonObject {
  readonly code: string
  readonly message: string
}

/** The message of anything that was thrown, also when it was no error or cannot be turned into text. */
export function messageOf(thrown: unknown): string {
  try {
    if (thrown instanceof Error && typeof thrown.message === 'string') return thrown.message || thrown.name
    if (typeof thrown === 'object' && thrown !== null) {
      const message = (thrown as { message?: unknown }).message // only read, and only used when it is text
      if (typeof message === 'string') return message
      return JSON.stringify(thrown) ?? 'unknown error'
    }
    return String(thrown)
  } catch {
    return 'unknown error'
  }
}

/** Short text of a value for an error message: what was given, cut to 60 characters, never the inside of an object. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value)
  if (typeof value === 'function') return 'a function'
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === 'object' && value !== null) return 'an object'
  if (typeof value === 'bigint') return `${value}n`
  return String(value)
}
