import type { JsonObject } from '../json.ts'

/** What the model says, in words of the domain; how it is spelled on the wire is the dialect's business. */
export interface StrictReply {
  readonly text?: string
  /** Readable reasoning, in the field or the block that the dialect has for it. */
  readonly reasoning?: string
  readonly refusal?: string
  readonly toolCalls?: readonly StrictToolCall[]
  /** Default: `tool_calls` if there are any, else `stop`. */
  readonly stop?: 'stop' | 'tool_calls' | 'length' | 'content_filter'
  /** Default: an estimate from the sizes of request and reply. `'absent'` leaves usage out, as some servers do. */
  readonly usage?: StrictUsage | 'absent'
}

export interface StrictToolCall {
  /** Default: `call_1`, `call_2`, … counted over the life of the provider. */
  readonly id?: string
  readonly toolName: string
  /** A string is sent as it is, also when it is no JSON; where the wire has room for JSON only, that is `{}`. */
  readonly parameters: JsonObject | string
}

export interface StrictUsage {
  /** Includes `cachedInputTokens`. */
  readonly inputTokens: number
  /** Includes `reasoningTokens`. */
  readonly outputTokens: number
  readonly cachedInputTokens?: number
  readonly reasoningTokens?: number
}

/** An answer of any status, headers and body, although the request was valid. */
export interface StrictError {
  readonly status: number
  /** Default: an error object that names the status. A string is sent as `text/plain`. */
  readonly body?: JsonObject | string
  readonly headers?: Readonly<Record<string, string>>
}

/** One turn of a script: what the model says, any other answer, or what goes wrong. */
export type StrictTurn = StrictReply | StrictError | StrictFault | UnfinishedFault

/** A failure as the provider of the request words it, or a reply that goes wrong on its way. */
export type StrictFault = FailureFault | BodyFault | DeliveryFault

/** In a batch only: the day was over before this request's turn came. */
export interface UnfinishedFault {
  readonly fault: 'expired'
}

/** What providers refuse a valid request for; each dialect has its own status, words and codes. */
export type FailureKind =
  | 'auth'
  | 'quota'
  | 'forbidden'
  | 'not_found'
  | 'too_large'
  | 'rate_limit'
  | 'server_error'
  | 'unavailable'
  | 'overloaded'
  | 'context_length'
  | 'invalid_request'

/** An error status, with the body that the real API has for it. */
export interface FailureFault {
  readonly fault: FailureKind
  /** In the place of the API's own words. */
  readonly message?: string
  /** Such as `retry-after`. */
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * A status 200 whose body is a web page, nothing, `null`, the error object of `failure`, or, with `no_choices`, what a reply
 * comes in and no reply in it.
 */
export interface BodyFault {
  readonly fault: 'html' | 'empty' | 'null' | 'error_object' | 'no_choices'
  /** Default: `'overloaded'`. */
  readonly failure?: FailureKind
}

/**
 * A reply that goes wrong on its way, in most ways the rest of it lost. Where a reply is sent whole, it has two halves in
 * the place of events, both of them content.
 */
export interface DeliveryFault {
  /**
   * - `error_event`: an error in the stream, or in the place of a whole reply
   * - `truncate`: the connection ends as if all were said
   * - `no_end`: all but the mark of the end (`[DONE]`, `message_stop`); `after` means nothing
   * - `reset`: the connection breaks
   * - `hang`: nothing more is sent, until the client leaves or `until` resolves; then the rest follows
   * - `pings`: the same, but for a ping again and again; white space before the rest of a whole reply
   * - `drip`: everything, one byte after the other
   * - `garble`: the next event lacks a character, and is no JSON; then the rest follows
   * - `double`: every event comes twice, or only those of `role`; a whole reply, once after the other
   * - `wrong_type`: everything, as `text/plain`
   */
  readonly fault:
    | 'error_event'
    | 'truncate'
    | 'no_end'
    | 'reset'
    | 'hang'
    | 'pings'
    | 'drip'
    | 'garble'
    | 'double'
    | 'wrong_type'
  /** Default: a short text with characters of two and of four bytes. */
  readonly reply?: StrictReply
  /**
   * What is sent before: so many events, or all up to the first that says something. 0 is the headers alone. Absent,
   * `reset` and `hang` come before the headers, and the others after them.
   */
  readonly after?: number | 'content'
  /** `truncate` only: what follows `after` is cut within its next line, or its next character of more than one byte. */
  readonly inside?: 'line' | 'character'
  /** `error_event` only. Default: `'overloaded'`. */
  readonly failure?: FailureKind
  /** `double` only: `content` says something, and `frame` is all that stands around it, but for the end. */
  readonly role?: 'content' | 'frame'
  readonly until?: Promise<void>
  /** Awaited before each ping, and each byte that drips. Default: one turn of the event loop. */
  readonly pace?: () => Promise<void>
}

/** A request the real API would not serve, with the status and the body it answers instead. */
export interface Refusal {
  readonly status: number
  /** Which rule was broken, such as `tool_call_id` or `unanswered_call`: stable, for tests to compare. */
  readonly rule: string
  readonly body: JsonObject
}

/** The outcome of a check: `undefined` is a pass. */
export type Check = Refusal | undefined

/** What an account may use; absent means anything. */
export interface AccountRules {
  /** The models that exist. */
  readonly models?: readonly string[]
  /** Tokens a request may have, estimated as a quarter of the UTF-8 bytes of its messages and tools. */
  readonly contextWindow?: number
}

/** Names in lower case. */
export type Headers = Readonly<Record<string, string>>

/** How one API speaks: where, what it checks, and how replies and failures look on its wire. */
export interface Dialect {
  readonly path: string
  readonly requestIdHeader: string
  readonly authorize: (headers: Headers, keys?: readonly string[]) => Check
  /** `undefined` as a body stands for text that was no JSON. */
  readonly validate: (body: unknown, rules: AccountRules, headers: Headers) => Check
  readonly improvise: (request: JsonObject) => StrictReply
  readonly body: (reply: StrictReply, context: WireContext) => JsonObject
  readonly events: (reply: StrictReply, context: WireContext) => Iterable<WireEvent>
  readonly failure: (kind: FailureKind, request: JsonObject) => Failure
  /** An error object in a stream. */
  readonly errorEvent: (body: JsonObject) => string
  readonly ping: string
  /** An error object for what the API has no words for. */
  readonly errorBody: (message: string, code?: string) => JsonObject
}

export type Failure = Pick<Refusal, 'status' | 'body'>

/** One event of a stream: a part of what is said, the mark of the end, or neither. */
export interface WireEvent {
  readonly text: string
  readonly role: 'content' | 'end' | 'frame'
}

/** How text and tool parameters are split into deltas: runs of letters and of other characters, or so many code points. */
export type Pieces = 'word' | 'codepoint' | number

/** What a wire needs to know besides the reply. */
export interface WireContext {
  /** The request that is answered, as it was sent. */
  readonly request: JsonObject
  /** 1 for the first reply of the provider. */
  readonly replyNumber: number
  readonly nextCallNumber: () => number
  readonly pieces: Pieces
}
