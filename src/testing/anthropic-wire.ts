import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import { improvise, itemsOf } from './improvisation.ts'
import { split } from './reply-pieces.ts'
import type { StrictReply, StrictToolCall, StrictUsage, WireContext, WireEvent } from './strict-contract.ts'
import { parametersText, usageOf } from './strict-usage.ts'

/** The reply as the body of a Messages response that does not stream. */
export function anthropicBody(reply: StrictReply, context: WireContext): JsonObject {
  const usage = usageOf(reply, context)
  return {
    ...envelope(context),
    content: blocksOf(reply, context).map(({ whole }) => whole),
    ...ending(reply),
    ...(usage && { usage: wireUsage(usage) }),
  }
}

/** The reply as its server-sent events, in order, `message_stop` last. */
export function* anthropicEvents(
  reply: StrictReply,
  context: WireContext,
): Generator<WireEvent, void, undefined> {
  const usage = usageOf(reply, context)
  const frame = (data: TypedEvent): WireEvent => ({ text: anthropicEvent(data), role: 'frame' })
  const message = {
    ...envelope(context),
    content: [],
    stop_reason: null,
    stop_sequence: null,
    // Only begun, so little is counted of what is said.
    ...(usage && { usage: { ...wireUsage(usage), output_tokens: 1 } }),
  }
  yield frame({ type: 'message_start', message })
  for (const [index, { start, deltas }] of blocksOf(reply, context).entries()) {
    yield frame({ type: 'content_block_start', index, content_block: start })
    if (index === 0) yield frame({ type: 'ping' })
    for (const delta of deltas) {
      yield { text: anthropicEvent({ type: 'content_block_delta', index, delta }), role: 'content' }
    }
    yield frame({ type: 'content_block_stop', index })
  }
  const details = { output_tokens_details: { thinking_tokens: usage?.reasoningTokens ?? 0 } }
  yield frame({
    type: 'message_delta',
    delta: ending(reply),
    ...(usage && { usage: { output_tokens: usage.outputTokens, ...details } }),
  })
  yield { text: anthropicEvent({ type: 'message_stop' }), role: 'end' }
}

/** What a model without a script answers to a Messages request. */
export function anthropicImprovisation({ messages, tools, tool_choice: choice }: JsonObject): StrictReply {
  const { type, name } = isJsonObject(choice) ? choice : {}
  if (type === 'none') return { text: 'ok' }
  const last = itemsOf(messages).at(-1)
  const content = isJsonObject(last) ? itemsOf(last['content']) : []
  const offered = itemsOf(tools).flatMap((tool) =>
    isJsonObject(tool) ? [{ name: String(tool['name']), schema: tool['input_schema'] }] : [],
  )
  const isAnswered = content.some((block) => isJsonObject(block) && block['type'] === 'tool_result')
  return improvise(offered, isAnswered, name === undefined ? undefined : String(name))
}

interface TypedEvent extends JsonObject {
  readonly type: string
}

export function anthropicEvent(data: TypedEvent): string {
  return `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`
}

/** A block as a whole, and as it streams. */
interface Block {
  readonly whole: JsonObject
  readonly start: JsonObject
  readonly deltas: readonly JsonObject[]
}

function blocksOf({ reasoning, refusal, text, toolCalls = [] }: StrictReply, context: WireContext): Block[] {
  return [
    ...(reasoning === undefined ? [] : [thinkingBlock(reasoning, context)]),
    ...[refusal, text].flatMap((each) =>
      each === undefined || each === '' ? [] : [textBlock(each, context)],
    ),
    ...toolCalls.map((call) => toolBlock(call, context)),
  ]
}

function thinkingBlock(thinking: string, { pieces, replyNumber }: WireContext): Block {
  // Stands for bytes that nobody but the API can read.
  const signature = `c2lnbmF0dXJl${replyNumber}=`
  return {
    whole: { type: 'thinking', thinking, signature },
    start: { type: 'thinking', thinking: '', signature: '' },
    deltas: [
      ...[...split(thinking, pieces)].map((piece) => ({ type: 'thinking_delta', thinking: piece })),
      { type: 'signature_delta', signature },
    ],
  }
}

function textBlock(text: string, { pieces }: WireContext): Block {
  return {
    whole: { type: 'text', text },
    start: { type: 'text', text: '' },
    deltas: [...split(text, pieces)].map((piece) => ({ type: 'text_delta', text: piece })),
  }
}

function toolBlock(call: StrictToolCall, context: WireContext): Block {
  const id = call.id ?? `call_${context.nextCallNumber()}`
  const block = { type: 'tool_use', id, name: call.toolName, input: {} }
  // A call without parameters streams none, not even `{}`.
  const text = parametersText(call.parameters)
  const pieces = [...split(text === '{}' ? '' : text, context.pieces)]
  return {
    whole: { ...block, input: objectOf(call.parameters) },
    start: block,
    deltas: ['', ...pieces].map((piece) => ({ type: 'input_json_delta', partial_json: piece })),
  }
}

function objectOf(parameters: JsonObject | string): JsonObject {
  if (typeof parameters !== 'string') return parameters
  try {
    const value: JsonValue = JSON.parse(parameters)
    return isJsonObject(value) ? value : {}
  } catch {
    return {}
  }
}

function envelope({ request, replyNumber }: WireContext): JsonObject {
  return { id: `msg_${replyNumber}`, type: 'message', role: 'assistant', model: String(request['model']) }
}

// Our words for why a model stopped, in those of the API.
const stops = {
  stop: 'end_turn',
  tool_calls: 'tool_use',
  length: 'max_tokens',
  content_filter: 'refusal',
} as const

function ending({ stop, toolCalls = [], refusal }: StrictReply): JsonObject {
  const said = stops[stop ?? (toolCalls.length > 0 ? 'tool_calls' : 'stop')]
  return { stop_reason: refusal === undefined ? said : 'refusal', stop_sequence: null }
}

/** Here `input_tokens` leaves out what was cached. */
function wireUsage({ inputTokens, outputTokens, cachedInputTokens = 0, reasoningTokens = 0 }: StrictUsage) {
  return {
    input_tokens: inputTokens - cachedInputTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cachedInputTokens,
    output_tokens: outputTokens,
    output_tokens_details: { thinking_tokens: reasoningTokens },
    service_tier: 'standard',
  }
}
