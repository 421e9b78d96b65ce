import { ConfigurationError, type ErrorInfo, shown } from './errors.ts'
import { isJsonObject, type JsonObject, type JsonValue } from './json.ts'

export type Message = SystemMessage | UserMessage | AssistantMessage | ToolMessage

export interface SystemMessage {
  readonly role: 'system'
  readonly content: string
}

export interface UserMessage {
  readonly role: 'user'
  readonly content: Content
}

/** What a model said: text, calls, or both. `content` is `''` when it only called tools. */
export interface AssistantMessage {
  readonly role: 'assistant'
  readonly content: string
  readonly toolCalls?: readonly ToolCall[]
  readonly plan?: string
  /** Names the plan among the conversation's calls, for protocols in which planning is a call. */
  readonly planId?: string
  readonly reasoning?: readonly Reasoning[]
}

/** The answer to one tool call. It stands right after the assistant message that made the call. */
export interface ToolMessage {
  readonly role: 'tool'
  readonly callId: string
  readonly toolName: string
  readonly content: string
  readonly ok: boolean
}

export type Content = string | readonly ContentPart[]

export type ContentPart = TextPart | ImagePart | FilePart

export interface TextPart {
  readonly type: 'text'
  readonly text: string
}

/** An image by its address, or its bytes in base64. */
export type ImagePart = { readonly type: 'image' } & DataSource

/** A document, such as a PDF. */
export type FilePart = { readonly type: 'file'; readonly name?: string } & DataSource

export type DataSource =
  | { readonly url: string; readonly mediaType?: string }
  | { readonly data: string; readonly mediaType: string }

/** A model's request to run a tool. */
export interface ToolCall {
  /** Unique in its conversation. */
  readonly id: string
  readonly toolName: string
  readonly parameters: JsonObject
  /** Why `parameters` could not be read (they are `{}` then): the call is answered with this and never executed. */
  readonly invalid?: string
}

/** What running one tool call came to. */
export interface ToolResult {
  readonly callId: string
  readonly toolName: string
  readonly ok: boolean
  /** What the model is told. */
  readonly output: string
  /** What the tool returned, as JSON, for the application; never sent to the model. Absent when it was text. */
  readonly data?: JsonValue
  readonly error?: ErrorInfo
  /** `output` was cut to the tool's `maxOutput`. */
  readonly truncated?: true
  /** For audits and logs; never sent to the model. */
  readonly metadata?: JsonObject
  readonly durationMs: number
}

/**
 * A model's reasoning, kept with the provider and model it came from: `opaque` (a signature and the like) is sent back
 * only there, and the text nowhere else.
 */
export interface Reasoning {
  readonly provider: string
  readonly model: string
  readonly text?: string
  readonly opaque?: JsonValue
}

/** Tokens of one or more model calls. Absent is unknown, never 0. */
export interface Usage {
  /** Includes `cachedInputTokens` and `cacheWriteTokens`. */
  readonly inputTokens: number
  /** Includes `reasoningTokens`. */
  readonly outputTokens: number
  readonly cachedInputTokens?: number
  readonly cacheWriteTokens?: number
  readonly reasoningTokens?: number
  /**
   * What it cost in USD: as billed, where the provider says so, or as `pricing` or `budget` came to. Of a sum only if it is
   * known for every call in it; sums are in whole nano-dollars, so that up to a million dollars no order of adding matters.
   */
  readonly costUsd?: number
  /** The provider reported nothing, or was stopped before it could: at least a part is our own estimate. */
  readonly estimated?: true
}

export const noUsage: Usage = { inputTokens: 0, outputTokens: 0 }

export function addUsage(a: Usage, b: Usage): Usage {
  const sum = (x: number | undefined, y: number | undefined) =>
    x === undefined && y === undefined ? undefined : (x ?? 0) + (y ?? 0)
  const cachedInputTokens = sum(a.cachedInputTokens, b.cachedInputTokens)
  const cacheWriteTokens = sum(a.cacheWriteTokens, b.cacheWriteTokens)
  const reasoningTokens = sum(a.reasoningTokens, b.reasoningTokens)
  const costUsd = sumOfCosts(a, b)
  return {
    inputTokens: a.inputTokens + b.inputTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    ...(cachedInputTokens !== undefined && { cachedInputTokens }),
    ...(cacheWriteTokens !== undefined && { cacheWriteTokens }),
    ...(reasoningTokens !== undefined && { reasoningTokens }),
    ...(costUsd !== undefined && { costUsd }),
    ...((a.estimated || b.estimated) && { estimated: true as const }),
  }
}

/** A call that used no tokens has no cost to be known; of any other an unknown cost leaves the sum unknown. */
function sumOfCosts(a: Usage, b: Usage): number | undefined {
  if (isNothing(a)) return b.costUsd
  if (isNothing(b)) return a.costUsd
  if (a.costUsd === undefined || b.costUsd === undefined) return undefined
  const sum = a.costUsd + b.costUsd
  const nanoDollars = Math.round(sum * 1e9)
  return Number.isSafeInteger(nanoDollars) ? nanoDollars / 1e9 : sum
}

const isNothing = ({ inputTokens, outputTokens, costUsd }: Usage): boolean =>
  inputTokens === 0 && outputTokens === 0 && costUsd === undefined

export const system = (content: string): SystemMessage => ({ role: 'system', content })

export const user = (content: Content): UserMessage => ({ role: 'user', content })

export const assistant = (content: string, toolCalls: readonly ToolCall[] = []): AssistantMessage =>
  toolCalls.length > 0 ? { role: 'assistant', content, toolCalls } : { role: 'assistant', content }

/** The answer to `call`, as a message. */
export const toolMessage = (
  call: Pick<ToolCall, 'id' | 'toolName'>,
  content: string,
  ok = true,
): ToolMessage => ({
  role: 'tool',
  callId: call.id,
  toolName: call.toolName,
  content,
  ok,
})

/** The text of a message's content; images and files are named in brackets. */
export function textOf(content: Content): string {
  if (typeof content === 'string') return content
  return content.map((part) => (part.type === 'text' ? part.text : `[${part.type}]`)).join('')
}

/**
 * Reads messages from outside: a caller's `history`, a restored file.
 *
 * @throws ConfigurationError naming the index of the first message that is none.
 */
export function parseMessages(value: unknown, path = 'history'): Message[] {
  if (!Array.isArray(value)) {
    throw new ConfigurationError(path, `${path} must be an array of messages, got ${shown(value)}.`, {
      value,
    })
  }
  return value.map((message: unknown, index) => parseMessage(message, `${path}[${index}]`))
}

export function parseMessage(value: unknown, path: string): Message {
  const fail = (where: string, wanted: string, got: unknown): never => {
    throw new ConfigurationError(where, `${where} must be ${wanted}, got ${shown(got)}.`, { value: got })
  }
  if (!isJsonObject(value)) return fail(path, 'a message object such as { role, content }', value)
  const text = (key: string): string => {
    const found = value[key]
    return typeof found === 'string' ? found : fail(`${path}.${key}`, 'a string', found)
  }
  switch (value['role']) {
    case 'system':
      return system(text('content'))
    case 'user':
      return user(parseContent(value['content'], `${path}.content`))
    case 'tool': {
      const callId = text('callId')
      if (callId === '') fail(`${path}.callId`, 'the id of the tool call it answers', callId)
      const call = { id: callId, toolName: text('toolName') }
      return toolMessage(call, text('content'), value['ok'] !== false)
    }
    case 'assistant': {
      const calls = value['toolCalls']
      if (calls !== undefined && !Array.isArray(calls))
        fail(`${path}.toolCalls`, 'an array of tool calls', calls)
      const toolCalls = (Array.isArray(calls) ? calls : []).map((call: unknown, index) => {
        const where = `${path}.toolCalls[${index}]`
        if (!isJsonObject(call)) return fail(where, 'a tool call { id, toolName, parameters }', call)
        const { id, toolName, parameters } = call
        if (typeof id !== 'string' || id === '') return fail(`${where}.id`, 'a non-empty string', id)
        if (typeof toolName !== 'string') return fail(`${where}.toolName`, 'a string', toolName)
        if (!isJsonObject(parameters)) return fail(`${where}.parameters`, 'an object', parameters)
        const { invalid } = call
        return { id, toolName, parameters, ...(typeof invalid === 'string' && { invalid }) }
      })
      const content = value['content']
      const said = content === undefined || content === null ? '' : text('content')
      return {
        ...assistant(said, toolCalls),
        ...(typeof value['plan'] === 'string' && { plan: value['plan'] }),
        ...(typeof value['planId'] === 'string' && { planId: value['planId'] }),
        ...(Array.isArray(value['reasoning']) && { reasoning: value['reasoning'].filter(isReasoning) }),
      }
    }
    default:
      return fail(`${path}.role`, "'system', 'user', 'assistant' or 'tool'", value['role'])
  }
}

/** What is in it stays as it was made: only the provider that signed it can judge it. */
function isReasoning(value: unknown): value is Reasoning {
  return (
    isJsonObject(value) &&
    typeof value['provider'] === 'string' &&
    typeof value['model'] === 'string' &&
    (value['text'] === undefined || typeof value['text'] === 'string')
  )
}

/**
 * Reads what a user says: text, or parts.
 *
 * @throws ConfigurationError naming the part that is wrong.
 */
export function parseContent(value: unknown, path: string): Content {
  if (typeof value === 'string') return value
  const fail = (where: string, wanted: string, got: unknown): never => {
    throw new ConfigurationError(where, `${where} must be ${wanted}, got ${shown(got)}.`, { value: got })
  }
  if (!Array.isArray(value) || value.length === 0) {
    return fail(path, 'a string or a non-empty array of parts { type: "text" | "image" | "file", … }', value)
  }
  return value.map((part: unknown, index): ContentPart => {
    const where = `${path}[${index}]`
    if (!isJsonObject(part)) return fail(where, 'a part such as { type: "text", text }', part)
    const { type } = part
    if (type === 'text') {
      const { text } = part
      return typeof text === 'string' ? { type, text } : fail(`${where}.text`, 'a string', text)
    }
    if (type !== 'image' && type !== 'file') return fail(`${where}.type`, '"text", "image" or "file"', type)
    const { url, data, mediaType, name } = part
    if (typeof url === 'string') {
      const source = { url, ...(typeof mediaType === 'string' && { mediaType }) }
      return type === 'image'
        ? { type, ...source }
        : { type, ...(typeof name === 'string' && { name }), ...source }
    }
    if (typeof data !== 'string' || typeof mediaType !== 'string') {
      return fail(where, 'given by `url`, or by base64 `data` and its `mediaType`', part)
    }
    return type === 'image'
      ? { type, data, mediaType }
      : { type, ...(typeof name === 'string' && { name }), data, mediaType }
  })
}
