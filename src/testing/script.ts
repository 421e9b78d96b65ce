import type { CallOptions, LLMRequest, StopReason } from '../client/client.ts'
import type { LLMErrorKind } from '../errors.ts'
import type { JsonObject, JsonValue } from '../json.ts'
import type { ToolCall, Usage } from '../messages.ts'

/** One reply a call, or a function that answers every call. */
export type Script = readonly ScriptedReply[] | ReplyMaker

/** Text is said, an `Error` is thrown as it is, a function is asked when its turn comes. */
export type ScriptedReply = string | Reply | Failure | Hang | Error | ReplyMaker

export type ReplyMaker = (request: LLMRequest, options?: CallOptions) => Made | Promise<Made>

/** What a turn of the script comes to. */
export type Made = string | Reply | Failure | Hang | Error

export interface Reply {
  /** Default: the `chunks` put together. */
  readonly text?: string
  readonly toolCalls?: readonly ScriptedCall[]
  readonly reasoning?: string
  /** Default: `tool_calls` if there are calls, or `stop`. */
  readonly stopReason?: StopReason
  /** Default: 10 tokens in, 5 out. `'absent'`: the provider reports nothing. */
  readonly usage?: Usage | 'absent'
  /** The pieces in which the text is streamed. Default: as `chunkSize` says. */
  readonly chunks?: readonly string[]
  /** Milliseconds of the client's runtime before anything is said. */
  readonly delayMs?: number
  readonly requestId?: string
}

/** A call without an id gets `call_1`, `call_2`, … over the life of the client. */
export type ScriptedCall = Omit<ToolCall, 'id'> & { readonly id?: string }

export interface Failure {
  readonly fails: LLMErrorKind
  readonly message?: string
  readonly status?: number
  readonly retryAfterMs?: number
  readonly retryable?: boolean
  /** Text that is streamed before it fails. */
  readonly after?: readonly string[]
  readonly delayMs?: number
}

export interface Hang {
  readonly hangs: true
  /** Text that is streamed before it falls silent. */
  readonly after?: readonly string[]
}

/** A reply of text. */
export const says = (text: string, rest: Omit<Reply, 'text' | 'chunks'> = {}): Reply => ({ ...rest, text })

/** Text in exactly these pieces. */
export const chunks = (pieces: readonly string[], rest: Omit<Reply, 'text' | 'chunks'> = {}): Reply => ({
  ...rest,
  chunks: pieces,
})

/** A tool call: name, parameters, id. */
export type CallOf = readonly [toolName: string, parameters?: JsonObject, id?: string]

/** A reply that calls tools. Text among the calls is its thought: `calls('First, the weather.', ['weather', { city }])`. */
export function calls(...parts: readonly (string | CallOf)[]): Reply {
  const thought = parts.filter((part) => typeof part === 'string').join('')
  return {
    ...(thought !== '' && { text: thought }),
    toolCalls: parts
      .filter((part) => typeof part !== 'string')
      .map(([toolName, parameters = {}, id]) => ({ toolName, parameters, ...(id !== undefined && { id }) })),
  }
}

/** A plan as the native protocol hears it, a call of the reserved tool `plan`; perhaps with calls beside it. */
export const plans = (plan: string, ...beside: readonly (string | CallOf)[]): Reply =>
  calls(['plan', { plan }], ...beside)

/** An envelope of the JSON protocol, fenced. */
export const json = (envelope: JsonValue, rest: Omit<Reply, 'text' | 'chunks'> = {}): Reply =>
  says(`\`\`\`json\n${JSON.stringify(envelope)}\n\`\`\``, rest)

/** Says nothing more after these pieces of text, until its signal aborts. */
export const hangs = (after: readonly string[] = []): Hang => ({ hangs: true, after })

/** Fails with an `LLMError` of this kind; in a stream, after the text of `after`. */
export const fails = (kind: LLMErrorKind, details: Omit<Failure, 'fails'> = {}): Failure => ({
  ...details,
  fails: kind,
})
