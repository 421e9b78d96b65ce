import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import { improvise, itemsOf } from './improvisation.ts'
import { split } from './reply-pieces.ts'
import type { StrictReply, StrictToolCall, StrictUsage, WireContext, WireEvent } from './strict-contract.ts'
import { parametersText, usageOf } from './strict-usage.ts'

/** How a server's Chat Completions look on the wire, as far as servers differ. */
export interface ChatWire {
  /** Where readable reasoning stands in a message or a delta. */
  readonly reasoningField: 'reasoning_content' | 'reasoning'
  /** What only this server says of a reply, beside its choices: in a body, and in the first chunk of a stream. */
  readonly extra: (context: WireContext) => JsonObject
  /** The same in the chunk that says why it stopped. */
  readonly lastExtra: (usage: JsonObject | undefined, context: WireContext) => JsonObject
  /** What only this server counts. */
  readonly usageExtra: JsonObject
  /** Usage is streamed in a chunk of its own, to clients that ask for it, and elsewhere in the last chunk with a choice. */
  readonly usageHasOwnChunk: boolean
  /** What comes before the first event, such as a comment. */
  readonly opening: string
}

export const openAIWire: ChatWire = {
  reasoningField: 'reasoning_content',
  extra: () => ({ service_tier: 'default', system_fingerprint: 'fp_strict' }),
  lastExtra: () => ({}),
  usageExtra: {},
  usageHasOwnChunk: true,
  opening: '',
}

/** The reply as the body of a Chat Completions response that does not stream. */
export function chatBody(reply: StrictReply, context: WireContext, wire: ChatWire): JsonObject {
  const calls = reply.toolCalls?.map((call) => wireCall(call, context)) ?? []
  const usage = wireUsage(usageOf(reply, context), wire)
  const message = {
    role: 'assistant',
    content: reply.text ?? null,
    refusal: reply.refusal ?? null,
    annotations: [],
    ...(reply.reasoning !== undefined && { [wire.reasoningField]: reply.reasoning }),
    ...(calls.length > 0 && { tool_calls: calls }),
  }
  return {
    ...envelope('chat.completion', context),
    ...wire.extra(context),
    choices: [{ index: 0, message, logprobs: null, finish_reason: finishReason(reply) }],
    ...(usage !== undefined && { usage }),
  }
}

/** The reply as its server-sent events, in order, `data: [DONE]` last. */
export function* chatEvents(
  reply: StrictReply,
  context: WireContext,
  wire: ChatWire,
): Generator<WireEvent, void, undefined> {
  const options = context.request['stream_options']
  const isAsked = isJsonObject(options) && options['include_usage'] === true
  const usage = wireUsage(usageOf(reply, context), wire)
  const ownUsage = wire.usageHasOwnChunk && isAsked ? usage : undefined
  const common = { ...envelope('chat.completion.chunk', context), ...wire.extra(context) }
  // A client that asked for usage finds `usage: null` in every chunk but the last.
  const chunk = (delta: JsonObject, finish_reason: string | null = null, more: JsonObject = {}): string =>
    event({
      ...common,
      choices: [{ index: 0, delta, logprobs: null, finish_reason }],
      ...(ownUsage !== undefined && { usage: null }),
      ...more,
    })
  const says = (delta: JsonObject): WireEvent => ({ text: chunk(delta), role: 'content' })

  const first = chunk({ role: 'assistant', content: reply.text === undefined ? null : '', refusal: null })
  yield { text: wire.opening + first, role: 'frame' }
  for (const text of split(reply.reasoning, context.pieces)) yield says({ [wire.reasoningField]: text })
  for (const text of split(reply.refusal, context.pieces)) yield says({ refusal: text })
  for (const text of split(reply.text, context.pieces)) yield says({ content: text })
  for (const [index, call] of (reply.toolCalls ?? []).entries()) {
    const whole = wireCall(call, context)
    yield says({ tool_calls: [{ index, ...whole, function: { ...whole.function, arguments: '' } }] })
    for (const text of split(whole.function.arguments, context.pieces)) {
      yield says({ tool_calls: [{ index, function: { arguments: text } }] })
    }
  }
  yield { text: chunk({}, finishReason(reply), wire.lastExtra(usage, context)), role: 'frame' }
  if (ownUsage !== undefined)
    yield { text: event({ ...common, choices: [], usage: ownUsage }), role: 'frame' }
  yield { text: 'data: [DONE]\n\n', role: 'end' }
}

/** What a model without a script answers to a Chat Completions request. */
export function chatImprovisation({ messages, tools, tool_choice: choice }: JsonObject): StrictReply {
  if (choice === 'none') return { text: 'ok' }
  const roles = itemsOf(messages).map((message) => (isJsonObject(message) ? message['role'] : undefined))
  const offered = itemsOf(tools).flatMap((tool) => {
    const declared = functionOf(tool)
    return declared ? [{ name: String(declared['name']), schema: declared['parameters'] }] : []
  })
  const wanted = functionOf(choice)?.['name']
  const isAnswered = roles.lastIndexOf('tool') > roles.lastIndexOf('user')
  return improvise(offered, isAnswered, wanted === undefined ? undefined : String(wanted))
}

function envelope(object: string, { request, replyNumber }: WireContext): JsonObject {
  return { id: `chatcmpl-${replyNumber}`, object, created: 1_760_000_000, model: String(request['model']) }
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
    function: { name: call.toolName, arguments: parametersText(call.parameters) },
  }
}

function finishReason(reply: StrictReply): string {
  return reply.stop ?? (reply.toolCalls !== undefined && reply.toolCalls.length > 0 ? 'tool_calls' : 'stop')
}

function wireUsage(usage: StrictUsage | undefined, { usageExtra }: ChatWire): JsonObject | undefined {
  if (usage === undefined) return undefined
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
    ...usageExtra,
  }
}

function functionOf(tool: JsonValue | undefined): JsonObject | undefined {
  const declared = isJsonObject(tool) ? tool['function'] : undefined
  return isJsonObject(declared) ? declared : undefined
}
