import type { ErrorInfo, LLMErrorKind } from '../errors.ts'
import type { JsonSchema, JsonValue } from '../json.ts'
import type { Message, Reasoning, ToolCall, Usage } from '../messages.ts'
import { type Check, filledText, flag, integer, list, number, object, optional, text } from '../options.ts'

/** The one seam to models. Any object with these members is a client; nothing asks for a class. */
export interface LLMClient {
  readonly provider: string
  readonly model: string
  readonly capabilities: Capabilities
  /**
   * One model call, as one answer.
   *
   * @throws LLMError. When `options.signal` aborts: at once, with the signal's own reason or an `LLMError` of kind `aborted`.
   */
  call(request: LLMRequest, options?: CallOptions): Promise<LLMResponse>
  /**
   * The same call as it arrives: zero or more parts, then exactly one `end` that holds the whole response. Nothing is
   * sent before the first pull; leaving the iterator cancels the request. A client without it is called, and its text told in one piece.
   */
  stream?(request: LLMRequest, options?: CallOptions): AsyncIterable<LLMChunk>
  /** Frees what the client holds. */
  close?(): Promise<void>
}

/** Whether `value` has what a client needs; `stream` it may have. */
export function isClient(value: unknown): value is LLMClient {
  if (typeof value !== 'object' || value === null) return false
  const { provider, model, capabilities, call, stream } = value as Partial<Record<string, unknown>> // read only to be checked
  const isDescribed = typeof capabilities === 'object' && capabilities !== null
  const isCalled = typeof call === 'function' && (stream === undefined || typeof stream === 'function')
  return typeof provider === 'string' && typeof model === 'string' && isDescribed && isCalled
}

export interface Capabilities {
  /** The provider's own tool calling. Without it, the JSON protocol is spoken. */
  readonly tools: boolean
  readonly streaming: boolean
  /** `responseFormat` is honoured. */
  readonly structuredOutput: boolean
  readonly images: boolean
  /** Tokens of a whole request and its answer. */
  readonly contextWindow?: number
  readonly maxOutputTokens?: number
}

/** What an option has to be that says what a client can do. */
export const capabilitiesCheck = object({
  tools: optional(flag()),
  streaming: optional(flag()),
  structuredOutput: optional(flag()),
  images: optional(flag()),
  contextWindow: optional(integer(1)),
  maxOutputTokens: optional(integer(1)),
})

/** One request, as every provider understands it. Immutable: a client may keep what it derived from its parts. */
export interface LLMRequest {
  readonly system?: string
  readonly messages: readonly Message[]
  readonly tools?: readonly ToolDefinition[]
  readonly toolChoice?: ToolChoice
  readonly responseFormat?: { readonly type: 'json'; readonly schema: JsonSchema; readonly name?: string }
  readonly params?: ModelParams
}

export type ToolChoice = 'auto' | 'none' | 'required' | { readonly toolName: string }

/** All that a model learns of a tool. */
export interface ToolDefinition {
  readonly name: string
  readonly description: string
  readonly parameters: JsonSchema
}

/** Sampling settings. What is absent is not sent. */
export interface ModelParams {
  readonly temperature?: number
  readonly topP?: number
  /** Tokens the answer may have at most. */
  readonly maxOutputTokens?: number
  readonly stop?: readonly string[]
  readonly seed?: number
  readonly reasoningEffort?: string
  readonly parallelToolCalls?: boolean
  /** Sent as they are beside ours, under the provider's own names. */
  readonly extra?: { readonly [name: string]: JsonValue }
}

/** What sampling settings have to be. A function, so that bundles without it are without it. */
/* @__NO_SIDE_EFFECTS__ */
export function modelParamsCheck(): Check {
  return object({
    temperature: optional(number(0)),
    topP: optional(number(0, 1)),
    maxOutputTokens: optional(integer(1)),
    stop: optional(list(text())),
    seed: optional(integer(Number.MIN_SAFE_INTEGER)),
    reasoningEffort: optional(filledText()),
    parallelToolCalls: optional(flag()),
    extra: optional(object()),
  })
}

export interface CallOptions {
  readonly signal?: AbortSignal
  /** The same for every attempt of one call. */
  readonly idempotencyKey?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Hears what happened on the way to the answer. Must not throw. */
  readonly notify?: (notice: ClientNotice) => void
  /** The caller withdraws what it has shown when a `retracted` chunk says so: a stream may then begin anew in the middle. */
  readonly canRetract?: boolean
  /**
   * The request as another client has to be asked it: within its window, and in a protocol that it speaks. The response must
   * then be that client's. Without it, every client is asked the same.
   */
  readonly requestFor?: (client: LLMClient) => Promise<LLMRequest>
  /** In which run the call is made and on whose behalf: what limits and budgets are kept by. */
  readonly scope?: CallScope
}

export interface CallScope {
  readonly runId: string
  readonly conversationId: string
  /** The agent's name. */
  readonly agent: string
  /** On whose behalf, such as a customer: the `principal` of the run's options. */
  readonly principal?: string
}

/** Which model it is. */
export type ModelName = Pick<LLMClient, 'provider' | 'model'>

/** What a client did on the way to the answer, told while it happens. */
export type ClientNotice = RetryNotice | FailoverNotice | WarningNotice

export interface RetryNotice {
  readonly type: 'retry'
  /** The attempt that failed; the first is 1. */
  readonly attempt: number
  readonly delayMs: number
  readonly error: ErrorInfo & { readonly kind: LLMErrorKind }
}

/** Another client is asked instead. */
export interface FailoverNotice {
  readonly type: 'failover'
  readonly from: ModelName
  readonly to: ModelName
  readonly error: ErrorInfo & { readonly kind: LLMErrorKind }
}

/** A part of the request that this provider or model does not take was left out. */
export interface WarningNotice {
  readonly type: 'warning'
  readonly message: string
}

export interface LLMResponse {
  readonly text: string
  readonly toolCalls: readonly ToolCall[]
  readonly reasoning?: readonly Reasoning[]
  readonly stopReason: StopReason
  readonly usage?: Usage
  readonly requestId?: string
  /** Which model answered, where that is not the client that was asked. */
  readonly answeredBy?: ModelName
  /** No model said this: it stands in for an answer that could not be had. */
  readonly degraded?: true
  /** What the provider said is left of its limits when it took the request, where it says so. */
  readonly rateLimit?: ProviderLimits
  /** The provider's own answer, for debugging; never stored or sent. */
  readonly raw?: unknown
}

/** Limits of a provider that it tells of. `tokens` are those of input and output together. */
export interface ProviderLimits {
  readonly requests?: LimitLeft
  readonly tokens?: LimitLeft
  readonly inputTokens?: LimitLeft
  readonly outputTokens?: LimitLeft
}

export interface LimitLeft {
  /** How much there is at most. */
  readonly limit?: number
  readonly remaining: number
  /** Milliseconds until all of it is there again. It comes back bit by bit until then. */
  readonly resetMs: number
}

/** Why the model stopped. `length`: its answer was cut, so its calls are never executed. */
export type StopReason = 'stop' | 'tool_calls' | 'length' | 'refusal' | 'content_filter' | 'error' | 'unknown'

export type LLMChunk =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'reasoning'; readonly text: string }
  | {
      readonly type: 'tool_call'
      readonly index: number
      readonly id?: string
      readonly toolName?: string
      readonly parametersText?: string
    }
  /** What came before in this stream is withdrawn: the reply begins anew. Only for callers that can retract. */
  | { readonly type: 'retracted' }
  | { readonly type: 'end'; readonly response: LLMResponse }

/** Turns a client into one that does more: retries, fails over, counts. */
export type ClientMiddleware = (next: LLMClient) => LLMClient

/** Puts `middlewares` around `client`; the first is the outermost: `wrapClient(client, retry(), timeout())`. */
export function wrapClient(client: LLMClient, ...middlewares: readonly ClientMiddleware[]): LLMClient {
  return middlewares.reduceRight((inner, middleware) => middleware(inner), client)
}
