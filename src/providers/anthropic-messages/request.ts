import type { LLMRequest, ModelParams, ToolChoice, ToolDefinition } from '../../client/client.ts'
import { isJsonObject, type JsonObject, type JsonValue, wellFormed } from '../../json.ts'
import type { Message } from '../../messages.ts'
import { isBlank } from '../wire-text.ts'
import { type CacheTtl, withBreakpoints } from './cache.ts'
import { blocksOf, textBlock } from './content.ts'
import type { MessagesQuirks } from './models.ts'
import { inputSchema, outputSchema } from './schemas.ts'
import { thinkingOf } from './thinking.ts'
import { turnsOf, type WireTurn } from './turns.ts'

export type ApiVersion = '2026-10-21' | '2023-06-01'

/** To whom a request goes. */
export interface MessagesTarget {
  readonly provider: string
  readonly model: string
  readonly apiVersion: ApiVersion
  readonly quirks: MessagesQuirks
  readonly structuredOutput: boolean
  /** Tokens an answer may have where the request does not say. */
  readonly maxOutputTokens: number
  /** How long the provider keeps the prompt it read; absent: it is not asked to. */
  readonly cacheTtl?: CacheTtl | undefined
  /** What messages look like on this wire. They never change, so each is written once and not again every turn. */
  readonly written: WeakMap<Message, readonly JsonObject[]>
}

/**
 * A request as the body of a Messages request. `warn` is told what had to be left out.
 *
 * @throws LLMError of kind `invalid_request` for what this API cannot be sent.
 */
export function wireRequest(
  request: LLMRequest,
  target: MessagesTarget,
  stream: boolean,
  warn: (message: string) => void,
): JsonObject {
  const { params = {} } = request
  const { model, quirks, cacheTtl } = target
  const { extra = {} } = params
  const { system: leading, turns } = turnsOf(request.messages, {
    systemMessages: quirks.systemMessages,
    blocksOf: (message) => writtenOnce(message, target),
  })
  const format = formatOf(request, target)
  const system = [
    ...(isBlank(request.system) ? [] : [textBlock(request.system ?? '')]),
    ...leading,
    ...format.instruction,
  ]
  const tools = toolsOf(request, turns)
  const { thinking, effort, maxTokens, choice } = thinkingOf(
    {
      params,
      turns,
      choice: tools.length === 0 ? undefined : wireChoice(request, params),
      maxTokens: params.maxOutputTokens ?? target.maxOutputTokens,
    },
    quirks,
    warn,
  )
  const output = { ...objectOf(extra['output_config']), ...format.output, ...effort }
  const { thinking: _, ...others } = extra
  const body: JsonObject = {
    ...others,
    model,
    max_tokens: maxTokens,
    ...(system.length > 0 && { system }),
    messages: turns.map(({ role, content }) => ({ role, content })),
    ...(tools.length > 0 && { tools }),
    ...(choice && { tool_choice: choice }),
    ...(thinking && { thinking }),
    ...(Object.keys(output).length > 0 && { output_config: output }),
    ...wireParams(params, target, thinking, warn),
    ...(stream && { stream }),
  }
  return cacheTtl === undefined ? body : withBreakpoints(body, cacheTtl)
}

function writtenOnce(message: Message, target: MessagesTarget): readonly JsonObject[] {
  const known = target.written.get(message)
  if (known !== undefined) return known
  const blocks = blocksOf(message, target)
  target.written.set(message, blocks)
  return blocks
}

function toolsOf({ tools = [], params }: LLMRequest, turns: readonly WireTurn[]): readonly JsonValue[] {
  const extra = params?.extra?.['tools']
  const offered: readonly JsonValue[] = [...tools.map(wireTool), ...(Array.isArray(extra) ? extra : [])]
  if (offered.length > 0) return offered
  // Some who offer this API refuse a conversation in which tools were called when there are none.
  const called = new Set(
    turns.flatMap(({ content }) => content.flatMap(({ type, name }) => (type === 'tool_use' ? [name] : []))),
  )
  return [...called].map((name) => ({ name: name ?? '', input_schema: { type: 'object' } }))
}

function wireTool({ name, description, parameters }: ToolDefinition): JsonObject {
  return {
    name,
    ...(!isBlank(description) && { description: wellFormed(description) }),
    input_schema: inputSchema(parameters),
  }
}

function wireChoice({ tools = [], toolChoice }: LLMRequest, params: ModelParams): JsonObject | undefined {
  // Those of the provider are then still there to be called.
  if (tools.length === 0) return params.extra?.['tools'] === undefined ? { type: 'none' } : undefined
  const isOne = params.parallelToolCalls === false
  if (toolChoice === undefined && !isOne) return undefined
  const choice = choiceOf(toolChoice ?? 'auto')
  return isOne && choice['type'] !== 'none' ? { ...choice, disable_parallel_tool_use: true } : choice
}

function choiceOf(choice: ToolChoice): JsonObject {
  if (typeof choice === 'object') return { type: 'tool', name: choice.toolName }
  return { type: choice === 'required' ? 'any' : choice }
}

/** How an answer in JSON is asked for: enforced where it can be, else in words. */
function formatOf(
  { responseFormat }: LLMRequest,
  { structuredOutput }: MessagesTarget,
): { readonly output: JsonObject; readonly instruction: readonly JsonObject[] } {
  if (responseFormat === undefined) return { output: {}, instruction: [] }
  const schema = structuredOutput ? outputSchema(responseFormat.schema) : undefined
  if (schema !== undefined) return { output: { format: { type: 'json_schema', schema } }, instruction: [] }
  const words = `Answer with JSON only, without any other text, that fits this JSON Schema:\n${JSON.stringify(responseFormat.schema)}`
  return { output: {}, instruction: [textBlock(words)] }
}

function wireParams(
  { stop = [], seed, ...sampling }: ModelParams,
  target: MessagesTarget,
  thinking: JsonObject | undefined,
  warn: (message: string) => void,
): JsonObject {
  const drop = (what: string, why: string) =>
    warn(`${target.provider} (${target.model}) was not sent ${what}: ${why}`)
  const stops = stop.filter((each) => !isBlank(each))
  if (stops.length < stop.length) drop('a stop sequence', 'this API takes none that is blank.')
  if (seed !== undefined) drop('seed', 'this API has none.')
  return {
    ...wireSampling(sampling, target.apiVersion, thinking, drop),
    ...(stops.length > 0 && { stop_sequences: stops }),
  }
}

function wireSampling(
  { temperature, topP }: ModelParams,
  apiVersion: ApiVersion,
  thinking: JsonObject | undefined,
  drop: (what: string, why: string) => void,
): JsonObject {
  const given = Object.entries({ temperature, topP }).flatMap(([name, value]) =>
    value === undefined ? [] : [name],
  )
  if (given.length === 0) return {}
  if (apiVersion !== '2023-06-01') {
    drop(
      given.join(' and '),
      "this version of the API takes no sampling settings; apiVersion '2023-06-01' does.",
    )
    return {}
  }
  if (thinking?.['type'] === 'enabled') {
    drop(given.join(' and '), 'a model that thinks takes no sampling settings.')
    return {}
  }
  if (temperature === undefined) return topP === undefined ? {} : { top_p: topP }
  if (topP !== undefined) drop('topP', 'newer models take only one of temperature and topP.')
  if (temperature > 1) drop(`a temperature of ${temperature}, but of 1`, 'there is no more here.')
  return { temperature: Math.min(temperature, 1) }
}

function objectOf(value: JsonValue | undefined): JsonObject {
  return isJsonObject(value) ? value : {}
}
