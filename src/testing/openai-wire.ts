import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import { estimateTokens } from './strict-openai.ts'

/** What the model says, in words of the domain; how it is spelled on the wire is the dialect's business. */
export interface StrictReply {
  readonly text?: string
  /** Readable reasoning, as OpenAI-compatible servers send it in `reasoning_content`. */
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
  /** A string is sent as it is, also when it is no JSON. */
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

/** The reply as the body of a Chat Completions response that does not stream. */
export function openAIBody(reply: StrictReply, context: WireContext): JsonObject {
  const calls = reply.toolCalls?.map((call) => wireCall(call, context)) ?? []
  const usage = usageOf(reply, context)
  const message = {
    role: 'assistant',
    content: reply.text ?? null,
    refusal: reply.refusal ?? null,
    annotations: [],
    ...(reply.reasoning !== undefined && { reasoning_content: reply.reasoning }),
    ...(calls.length > 0 && { tool_calls: calls }),
  }
  return {
    ...envelope('chat.completion', context),
    choices: [{ index: 0, message, logprobs: null, finish_reason: finishReason(reply) }],
    ...(usage !== undefined && { usage }),
  }
}

/** The reply as the texts of its server-sent events, in order, `data: [DONE]` last. */
export function* openAIEvents(reply: StrictReply, context: WireContext): Generator<string, void, undefined> {
  const options = context.request['stream_options']
  const includeUsage = isJsonObject(options) && options['include_usage'] === true
  const usage = includeUsage ? usageOf(reply, context) : undefined
  const common = envelope('chat.completion.chunk', context)
  // A client that asked for usage finds `usage: null` in every chunk but the last.
  const chunk = (delta: JsonObject, finish_reason: string | null = null): string =>
    event({
      ...common,
      choices: [{ index: 0, delta, logprobs: null, finish_reason }],
      ...(usage !== undefined && { usage: null }),
    })

  yield chunk({ role: 'assistant', content: reply.text === undefined ? null : '', refusal: null })
  for (const text of split(reply.reasoning, context.pieces)) yield chunk({ reasoning_content: text })
  for (const text of split(reply.refusal, context.pieces)) yield chunk({ refusal: text })
  for (const text of split(reply.text, context.pieces)) yield chunk({ content: text })
  for (const [index, call] of (reply.toolCalls ?? []).entries()) {
    const whole = wireCall(call, context)
    yield chunk({ tool_calls: [{ index, ...whole, function: { ...whole.function, arguments: '' } }] })
    for (const text of split(whole.function.arguments, context.pieces)) {
      yield chunk({ tool_calls: [{ index, function: { arguments: text } }] })
    }
  }
  yield chunk({}, finishReason(reply))
  if (usage !== undefined) yield event({ ...common, choices: [], usage })
  yield 'data: [DONE]\n\n'
}

/**
 * What a model without a script says: one call of the first tool (or of the one `tool_choice` names) when tools are
 * offered and none was answered since the last user message, else `ok`.
 */
export function openAIImprovisation(request: JsonObject): StrictReply {
  const { messages, tools, tool_choice: choice } = request
  const roles = itemsOf(messages).map((message) => (isJsonObject(message) ? message['role'] : undefined))
  const answered = roles.lastIndexOf('tool') > roles.lastIndexOf('user')
  const offered = itemsOf(tools).map(functionOf)
  const wanted = functionOf(choice)?.['name']
  const tool = wanted === undefined ? offered[0] : offered.find((declared) => declared?.['name'] === wanted)
  if (answered || tool === undefined || choice === 'none') return { text: 'ok' }
  const parameters = sample(tool['parameters'])
  return {
    toolCalls: [{ toolName: String(tool['name']), parameters: isJsonObject(parameters) ? parameters : {} }],
  }
}

function envelope(object: string, { request, replyNumber }: WireContext): JsonObject {
  return {
    id: `chatcmpl-${replyNumber}`,
    object,
    created: 1_760_000_000,
    model: String(request['model']),
    service_tier: 'default',
    system_fingerprint: 'fp_strict',
  }
}

function event(data: JsonObject): string {
  return `data: ${JSON.stringify(data)}\n\n`
}

interface WireCall {
  readonly id: string
  readonly type: 'function'
  readonly function: { readonly name: string; readonly arguments: string }
}

function wireCall(call: StrictToolCall, context: WireContext): WireCall & JsonObject {
  return {
    id: call.id ?? `call_${context.nextCallNumber()}`,
    type: 'function',
    function: { name: call.toolName, arguments: textOf(call.parameters) },
  }
}

function textOf(parameters: JsonObject | string): string {
  return typeof parameters === 'string' ? parameters : JSON.stringify(parameters)
}

function finishReason(reply: StrictReply): string {
  return reply.stop ?? (reply.toolCalls !== undefined && reply.toolCalls.length > 0 ? 'tool_calls' : 'stop')
}

function usageOf(reply: StrictReply, { request }: WireContext): JsonObject | undefined {
  if (reply.usage === 'absent') return undefined
  const usage = reply.usage ?? { inputTokens: estimateTokens(request), outputTokens: outputTokens(reply) }
  return {
    prompt_tokens: usage.inputTokens,
    completion_tokens: usage.outputTokens,
    total_tokens: usage.inputTokens + usage.outputTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedInputTokens ?? 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: usage.reasoningTokens ?? 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  }
}

function outputTokens({ text = '', reasoning = '', refusal = '', toolCalls = [] }: StrictReply): number {
  const called = toolCalls.map((call) => call.toolName + textOf(call.parameters))
  return Math.ceil(new TextEncoder().encode(text + reasoning + refusal + called.join('')).length / 4)
}

/** No piece ends inside a surrogate pair: the real API streams whole characters too. */
function* split(text: string | undefined, pieces: Pieces): Generator<string, void, undefined> {
  if (text === undefined || text === '') return
  if (pieces === 'word') {
    for (const [word] of text.matchAll(/[\p{L}\p{M}\p{N}]+|[^\p{L}\p{M}\p{N}]+/gu)) yield word
    return
  }
  const length = pieces === 'codepoint' ? 1 : pieces
  let start = 0
  let end = 0
  let count = 0
  for (const character of text) {
    end += character.length
    count += 1
    if (count < length) continue
    yield text.slice(start, end)
    start = end
    count = 0
  }
  if (start < end) yield text.slice(start)
}

function functionOf(tool: JsonValue | undefined): JsonObject | undefined {
  const declared = isJsonObject(tool) ? tool['function'] : undefined
  return isJsonObject(declared) ? declared : undefined
}

function itemsOf(list: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(list) ? list : []
}

/** A small value that fits the schema, as far as type, enum, bounds and common formats say what fits. */
function sample(schema: JsonValue | undefined, depth = 0): JsonValue {
  // Beyond this depth a schema is taken to contain itself.
  if (!isJsonObject(schema) || depth > 8) return null
  const { const: only, enum: values, anyOf, oneOf, type, properties, items } = schema
  const fixed = only ?? itemsOf(values)[0]
  if (fixed !== undefined) return fixed
  const branch = itemsOf(anyOf)[0] ?? itemsOf(oneOf)[0]
  if (branch !== undefined) return sample(branch, depth + 1)
  switch (itemsOf(type)[0] ?? type ?? 'object') {
    case 'string':
      return formats.get(String(schema['format'])) ?? 'x'.repeat(numberOr(schema['minLength'], 1))
    case 'integer':
    case 'number':
      return sampleNumber(schema)
    case 'boolean':
      return true
    case 'array':
      return Array.from({ length: numberOr(schema['minItems'], 1) }, () => sample(items, depth + 1))
    case 'object': {
      const named = Object.entries(isJsonObject(properties) ? properties : {})
      return Object.fromEntries(named.map(([name, inner]) => [name, sample(inner, depth + 1)]))
    }
    default:
      return null
  }
}

const formats: ReadonlyMap<string, string> = new Map([
  ['date', '2026-01-01'],
  ['date-time', '2026-01-01T00:00:00Z'],
  ['email', 'a@example.com'],
  ['uri', 'https://example.com'],
  ['uuid', '00000000-0000-4000-8000-000000000000'],
])

function sampleNumber({ minimum, exclusiveMinimum, maximum, exclusiveMaximum }: JsonObject): number {
  const least = Math.max(numberOr(minimum, -Infinity), numberOr(exclusiveMinimum, -Infinity) + 1)
  const most = Math.min(numberOr(maximum, Infinity), numberOr(exclusiveMaximum, Infinity) - 1)
  return Math.min(Math.max(1, least), most)
}

function numberOr(value: JsonValue | undefined, fallback: number): number {
  return typeof value === 'number' ? value : fallback
}
