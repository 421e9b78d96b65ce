import type { LLMRequest, ModelParams, ToolChoice, ToolDefinition } from '../../client/client.ts'
import { LLMError } from '../../errors.ts'
import { isJsonObject, type JsonObject, type JsonSchema, type JsonValue, wellFormed } from '../../json.ts'
import type {
  AssistantMessage,
  ContentPart,
  DataSource,
  FilePart,
  Message,
  ToolCall,
} from '../../messages.ts'
import type { Quirks } from '../quirks.ts'
import { filled, hashOf, isBlank, jsonText, wireId, wireName } from '../wire-text.ts'

/** To whom a request goes. */
export interface RequestTarget {
  readonly provider: string
  readonly model: string
  readonly quirks: Quirks
  /**
   * What messages look like on this wire. They never change, so each is written once and not again every turn; but for plain
   * text, which is written as fast as it is looked up.
   */
  readonly written: WeakMap<Message, JsonObject | 'nothing'>
}

/**
 * A request as the body of a Chat Completions request.
 *
 * @throws LLMError of kind `invalid_request` for what this API cannot be sent.
 */
export function wireRequest(request: LLMRequest, target: RequestTarget, stream: boolean): JsonObject {
  const { system, messages, tools = [], toolChoice, responseFormat, params = {} } = request
  const { model, quirks } = target
  const wireMessages: JsonObject[] = isBlank(system)
    ? []
    : [{ role: 'system', content: wellFormed(system ?? '') }]
  for (const message of messages) {
    const wire = writtenOnce(message, target)
    if (wire !== 'nothing') wireMessages.push(wire)
  }
  return {
    ...params.extra,
    model,
    messages: wireMessages,
    ...(tools.length > 0 && {
      tools: tools.map(wireTool),
      ...(toolChoice !== undefined && { tool_choice: wireToolChoice(toolChoice) }),
      ...(params.parallelToolCalls !== undefined && { parallel_tool_calls: params.parallelToolCalls }),
    }),
    ...(responseFormat && { response_format: wireFormat(responseFormat.schema, responseFormat.name) }),
    ...wireParams(params, quirks),
    ...(quirks.usageCost && { usage: { include: true } }),
    ...(stream && { stream: true, ...(quirks.streamUsage && { stream_options: { include_usage: true } }) }),
  }
}

/** True if the schema keeps to what OpenAI's strict mode can promise. */
export function isStrict(schema: JsonSchema): boolean {
  const pending: JsonValue[] = [schema]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (!isJsonObject(next)) return false
    const { type, properties = {}, required = [], items, anyOf = [], $defs = {}, definitions = {} } = next
    if (Object.keys(next).some((keyword) => !strictKeywords.has(keyword))) return false
    if (!['type', 'anyOf', '$ref', 'enum', 'const'].some((keyword) => Object.hasOwn(next, keyword)))
      return false
    if (!isJsonObject(properties) || !isJsonObject($defs) || !isJsonObject(definitions)) return false
    if (!Array.isArray(anyOf) || !Array.isArray(required)) return false
    const isObject = type === 'object' || (Array.isArray(type) && type.includes('object'))
    if (isObject && !isClosed(next, Object.keys(properties), required)) return false
    pending.push(
      ...Object.values(properties),
      ...Object.values($defs),
      ...Object.values(definitions),
      ...anyOf,
    )
    if (items !== undefined) pending.push(items)
  }
  return schema['type'] === 'object'
}

function isClosed(schema: JsonObject, names: readonly string[], required: readonly JsonValue[]): boolean {
  const demanded = new Set(required)
  return (
    schema['additionalProperties'] === false &&
    demanded.size === names.length &&
    names.every((name) => demanded.has(name))
  )
}

// OpenAI guide "Structured outputs", supported schemas, 2026-11.
const strictKeywords: ReadonlySet<string> = new Set(
  (
    '$schema $ref $defs definitions title description type properties required additionalProperties items anyOf enum const ' +
    'pattern format multipleOf minimum maximum exclusiveMinimum exclusiveMaximum minItems maxItems'
  ).split(' '),
)

function writtenOnce(message: Message, target: RequestTarget): JsonObject | 'nothing' {
  if (isPlain(message)) return wireMessage(message, target)
  const known = target.written.get(message)
  if (known !== undefined) return known
  const wire = wireMessage(message, target)
  target.written.set(message, wire)
  return wire
}

function isPlain(message: Message): boolean {
  if (typeof message.content !== 'string' || message.role === 'tool') return false
  return message.role !== 'assistant' || (message.toolCalls ?? message.reasoning) === undefined
}

function wireMessage(message: Message, target: RequestTarget): JsonObject | 'nothing' {
  switch (message.role) {
    case 'system':
      return isBlank(message.content) ? 'nothing' : { role: 'system', content: wellFormed(message.content) }
    case 'user':
      return { role: 'user', content: wireContent(message.content, target) }
    case 'assistant':
      return wireAssistant(message, target)
    case 'tool': {
      const { content } = message
      return { role: 'tool', tool_call_id: callId(message.callId, target.quirks), content: filled(content) }
    }
  }
}

function wireAssistant(message: AssistantMessage, target: RequestTarget): JsonObject | 'nothing' {
  const { content, toolCalls = [] } = message
  const isSilent = isBlank(content)
  const replayed = wireReasoning(message, target)
  if (toolCalls.length === 0)
    return isSilent ? 'nothing' : { role: 'assistant', content: wellFormed(content), ...replayed }
  return {
    role: 'assistant',
    content: isSilent ? null : wellFormed(content),
    ...replayed,
    tool_calls: toolCalls.map((call) => wireCall(call, target.quirks)),
  }
}

/** Goes back only to the model it came from; another's is nobody's business here. */
function wireReasoning({ reasoning = [] }: AssistantMessage, target: RequestTarget): JsonObject {
  const { provider, model, quirks } = target
  const field = quirks.reasoningReplay
  const own = reasoning.filter((each) => each.provider === provider && each.model === model)
  if (field === 'none' || own.length === 0) return {}
  if (field === 'reasoning_details') {
    const details = own.flatMap(({ opaque }): readonly JsonValue[] => (Array.isArray(opaque) ? opaque : []))
    if (details.length === 0) return {}
    const whole = { [field]: details }
    const sendable = jsonText(whole)
    // The same but for halves of characters, of which there are hardly ever any.
    return sendable.includes('\ufffd') ? (JSON.parse(sendable) as JsonObject) : whole
  }
  const text = own.map((each) => each.text ?? '').join('')
  return text === '' ? {} : { [field]: wellFormed(text) }
}

function wireCall({ id, toolName, parameters }: ToolCall, quirks: Quirks): JsonObject {
  const called = { name: wireName(toolName), arguments: jsonText(parameters) }
  return { id: callId(id, quirks), type: 'function', function: called }
}

function wireContent(content: string | readonly ContentPart[], target: RequestTarget): JsonValue {
  if (typeof content === 'string') return filled(content)
  const parts = content.filter((part) => part.type !== 'text' || !isBlank(part.text))
  return parts.length === 0 ? filled('') : parts.map((part) => wirePart(part, target))
}

function wirePart(part: ContentPart, target: RequestTarget): JsonObject {
  switch (part.type) {
    case 'text':
      return { type: 'text', text: wellFormed(part.text) }
    case 'image':
      return { type: 'image_url', image_url: { url: addressOf(part) } }
    case 'file':
      return { type: 'file', file: { filename: part.name ?? 'file', file_data: fileData(part, target) } }
  }
}

function addressOf(source: DataSource): string {
  return 'url' in source ? source.url : `data:${source.mediaType};base64,${source.data}`
}

function fileData(part: FilePart, { provider, model, quirks }: RequestTarget): string {
  const address = addressOf(part)
  if (quirks.files && address.startsWith('data:')) return address
  if (!quirks.files) {
    throw new LLMError(`${provider} (${model}) takes no files. Give their text instead.`, {
      kind: 'invalid_request',
      provider,
      model,
    })
  }
  throw new LLMError(
    `${provider} (${model}) takes files by their bytes only. Download the file, and give it by \`data\` and \`mediaType\`.`,
    { kind: 'invalid_request', provider, model },
  )
}

function wireTool({ name, description, parameters }: ToolDefinition): JsonObject {
  const hasDescription = !isBlank(description)
  return {
    type: 'function',
    function: { name, ...(hasDescription && { description: wellFormed(description) }), parameters },
  }
}

function wireToolChoice(choice: ToolChoice): JsonValue {
  return typeof choice === 'string' ? choice : { type: 'function', function: { name: choice.toolName } }
}

function wireFormat(schema: JsonSchema, name = 'answer'): JsonObject {
  return {
    type: 'json_schema',
    json_schema: { name: wireName(name), schema, ...(isStrict(schema) && { strict: true }) },
  }
}

function wireParams(params: ModelParams, quirks: Quirks): JsonObject {
  const { temperature, topP, maxOutputTokens, stop = [], seed, reasoningEffort } = params
  return {
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { top_p: topP }),
    ...(maxOutputTokens !== undefined && { [quirks.maxTokensField]: maxOutputTokens }),
    ...(stop.length > 0 && { stop }),
    ...(seed !== undefined && { [quirks.seedField]: seed }),
    ...(reasoningEffort !== undefined && { reasoning_effort: reasoningEffort }),
  }
}

/** The id as `quirks` ask for it, the same for the same, so that calls and answers still meet. */
function callId(id: string, { maxToolCallIdLength: longest, exactToolCallIds }: Quirks): string {
  if (!exactToolCallIds) return wireId(id, longest)
  if (id.length === longest && /^[a-z\d]+$/i.test(id)) return id
  return hashOf(id)
    .repeat(Math.ceil(longest / 14))
    .slice(0, longest)
}
