import type { LLMChunk, StopReason } from '../../client/client.ts'
import { type DraftSource, ResponseDraft } from '../../client/collect.ts'
import { isJsonObject, type JsonObject, type JsonValue, parseJson } from '../../json.ts'
import type { Usage } from '../../messages.ts'
import {
  bodyError,
  type ErrorSource,
  endedEarlyError,
  excerptOf,
  malformedError,
  notJson,
} from '../errors.ts'
import type { Quirks } from '../quirks.ts'
import type { SseEvent } from '../sse.ts'
import type { AnswerReader } from '../wire.ts'
import { AlikeEvents } from './alike.ts'
import { ReasoningDetails } from './reasoning-details.ts'

export interface CompletionSource extends ErrorSource, DraftSource {
  readonly quirks: Quirks
  /** From the headers. */
  readonly requestId?: string | undefined
}

/**
 * Reads one Chat Completions answer, a stream or a whole body, into chunks. No I/O, and no chunk is lost or doubled
 * however the bytes were cut.
 */
export class CompletionReader implements AnswerReader {
  readonly #source: CompletionSource
  readonly #draft: ResponseDraft
  readonly #details = new ReasoningDetails()
  readonly #alike = new AlikeEvents()
  #requestId: string | undefined
  #chunks: LLMChunk[] = []
  #choiceIndex: JsonValue | undefined
  #stopReason: StopReason | undefined
  #isRefused = false
  #usage: Usage | undefined
  #sawMessage = false
  #isDone = false

  constructor(source: CompletionSource) {
    this.#source = source
    this.#requestId = source.requestId
    this.#draft = new ResponseDraft(source)
  }

  /** The end of the answer was announced; what follows is ignored. */
  get isDone(): boolean {
    return this.#isDone
  }

  /**
   * What one event of a stream holds.
   *
   * @throws LLMError: what the provider says went wrong, or `malformed`.
   */
  readEvent({ data, type }: SseEvent): readonly LLMChunk[] {
    if (this.#isDone) return []
    const said = type === undefined ? this.#alike.textOf(data) : undefined
    if (said !== undefined) return this.#text(said)
    const text = data.trim()
    if (text === '') return []
    if (text === '[DONE]') {
      this.#isDone = true
      return []
    }
    const chunk = parseJson(text)
    // The answer is whole by then; what was cut is the usage or the last word.
    if (chunk === undefined && type !== 'error' && this.#stopReason !== undefined) return []
    if (type === 'error') throw this.#errorOf(chunk ?? text)
    if (chunk === undefined)
      throw this.#malformed(`a stream with an event that is no JSON: ${this.#excerpt(text)}`)
    if (!isJsonObject(chunk))
      throw this.#malformed(`a stream with an event that is no object: ${this.#excerpt(text)}`)
    if (isGiven(chunk['error'])) throw this.#errorOf(chunk)
    const before = [this.#stopReason, this.#usage, this.#isRefused]
    const chunks = this.#read(chunk)
    const isUnchanged = [this.#stopReason, this.#usage, this.#isRefused].every(
      (value, index) => value === before[index],
    )
    const [only] = chunks
    if (isUnchanged && chunks.length === 1 && only?.type === 'text' && saysOnlyText(chunk))
      this.#alike.learn(data, chunk, only.text)
    return chunks
  }

  /**
   * What a body that is no stream holds, as a whole.
   *
   * @throws LLMError: what the provider says went wrong, or `malformed`.
   */
  readBody(text: string): readonly LLMChunk[] {
    const body = parseJson(text)
    if (body === undefined) throw this.#malformed(notJson(text, this.#source))
    if (!isJsonObject(body)) throw this.#malformed(`JSON that is no object: ${this.#excerpt(text)}`)
    if (isGiven(body['error'])) throw this.#errorOf(body)
    if (!Array.isArray(body['choices'])) {
      // Some servers give an error without its wrapper.
      if (typeof body['message'] === 'string' || isGiven(body['detail'])) throw this.#errorOf(body)
      throw this.#malformed('JSON that has no choices')
    }
    const chunks = this.#read(body)
    if (!this.#sawMessage) throw this.#malformed('JSON that has no message')
    // A body that was read whole needs nobody to say that it ended.
    this.#isDone = true
    return chunks
  }

  /**
   * The last chunk.
   *
   * @throws LLMError of kind `malformed` if the answer is not whole.
   */
  end(): Extract<LLMChunk, { type: 'end' }> {
    const requestId = this.#requestId
    if (!this.#isDone && this.#stopReason === undefined) throw endedEarlyError(this.#source, requestId)
    if (!this.#sawMessage && this.#stopReason === undefined)
      throw this.#malformed('a stream with no message in it')
    const stopReason = this.#isRefused ? 'refusal' : (this.#stopReason ?? 'unknown')
    const opaque = this.#details.value
    return {
      type: 'end',
      response: this.#draft.finish({ stopReason, usage: this.#usage, requestId, opaque }),
    }
  }

  #read(chunk: JsonObject): readonly LLMChunk[] {
    const { choices } = chunk
    const groq = isJsonObject(chunk['x_groq']) ? chunk['x_groq'] : {}
    const { scrubber } = this.#source
    if (typeof groq['id'] === 'string' && groq['id'] !== '') this.#requestId ??= scrubber.text(groq['id'])
    if (isGiven(groq['error'])) throw this.#errorOf({ error: groq['error'] })
    this.#readUsage(chunk['usage'] ?? groq['usage'])
    for (const choice of Array.isArray(choices) ? choices : []) {
      if (isJsonObject(choice) && this.#isOurs(choice)) this.#readChoice(choice)
    }
    const chunks = this.#chunks
    this.#chunks = []
    return chunks
  }

  #text(text: string): readonly LLMChunk[] {
    const chunk = this.#draft.addText(text)
    return chunk === undefined ? [] : [chunk]
  }

  /** Only one choice was asked for; should there be more, the first is the answer. */
  #isOurs({ index = 0 }: JsonObject): boolean {
    this.#choiceIndex ??= index
    return index === this.#choiceIndex
  }

  #readChoice({ delta, message, usage, error, finish_reason: reason }: JsonObject): void {
    // OpenRouter's way to say that the provider behind it failed.
    if (isGiven(error)) throw this.#errorOf({ error })
    this.#readUsage(usage)
    if (isJsonObject(delta)) this.#readMessage(delta, (index) => index)
    // A whole message. Some servers repeat it at the end of a stream that told it already.
    else if (isJsonObject(message) && this.#draft.isEmpty)
      this.#readMessage(message, (_, position) => position)
    if (typeof reason !== 'string' || reason === '') return
    this.#stopReason ??= stopReasons.get(reason) ?? 'unknown'
  }

  #readMessage(message: JsonObject, indexOf: (index: unknown, position: number) => unknown): void {
    this.#sawMessage = true
    const { content, refusal, tool_calls: calls, function_call: legacyCall } = message
    const { reasoningReplay } = this.#source.quirks
    const details =
      reasoningReplay === 'reasoning_details' ? this.#details.add(message['reasoning_details']) : ''
    this.#add(
      this.#draft.addReasoning(firstText(message['reasoning_content'], message['reasoning'], details)),
    )
    if (Array.isArray(content)) this.#readParts(content)
    else this.#add(this.#draft.addText(firstText(content)))
    this.#readRefusal(refusal)
    for (const [position, call] of Array.isArray(calls) ? calls.entries() : []) {
      if (!isJsonObject(call)) continue
      const { name, arguments: parameters } = isJsonObject(call['function']) ? call['function'] : {}
      const index = indexOf(call['index'], position)
      this.#add(this.#draft.addToolCall({ index, id: call['id'], toolName: name, parameters }))
    }
    if (!isJsonObject(legacyCall)) return
    const { name, arguments: parameters } = legacyCall
    this.#add(this.#draft.addToolCall({ toolName: name, parameters }))
  }

  #readParts(parts: readonly JsonValue[]): void {
    for (const part of parts) {
      if (!isJsonObject(part)) continue
      const { type, text, thinking, refusal } = part
      if (type === 'thinking') this.#add(this.#draft.addReasoning(textIn(thinking)))
      else this.#add(this.#draft.addText(firstText(text)))
      this.#readRefusal(refusal)
    }
  }

  #readRefusal(refusal: JsonValue | undefined): void {
    const text = firstText(refusal)
    if (text === '') return
    this.#isRefused = true
    this.#add(this.#draft.addText(text))
  }

  #add(chunk: LLMChunk | undefined): void {
    if (chunk !== undefined) this.#chunks.push(chunk)
  }

  /** The last report wins: some servers count up, and some send `null` after it. */
  #readUsage(wire: JsonValue | undefined): void {
    const usage = isJsonObject(wire) ? usageOf(wire, this.#source.quirks) : undefined
    if (usage !== undefined) this.#usage = usage
  }

  #errorOf(error: unknown): Error {
    return bodyError(error, this.#source, this.#requestId)
  }

  #excerpt(text: string): string {
    return excerptOf(text, this.#source)
  }

  #malformed(what: string): Error {
    return malformedError(what, this.#source, this.#requestId)
  }
}

/** Whether its content is all that the only choice of an event has: the same event with another text changes nothing else. */
function saysOnlyText({ choices }: JsonObject): boolean {
  const [choice, ...others] = Array.isArray(choices) ? choices : []
  if (others.length > 0 || !isJsonObject(choice) || !isJsonObject(choice['delta'])) return false
  return Object.entries(choice['delta']).every(
    ([name, value]) => name === 'content' || name === 'role' || value === null || value === '',
  )
}

// OpenAI Chat Completions, "finish_reason", and what compatible servers say instead.
const stopReasons: ReadonlyMap<string, StopReason> = new Map<string, StopReason>([
  ['stop', 'stop'],
  ['eos', 'stop'],
  ['stop_sequence', 'stop'],
  ['end_turn', 'stop'],
  ['tool_calls', 'tool_calls'],
  ['function_call', 'tool_calls'],
  ['tool_use', 'tool_calls'],
  ['length', 'length'],
  ['max_tokens', 'length'],
  ['model_length', 'length'],
  ['content_filter', 'content_filter'],
  ['refusal', 'refusal'],
  ['error', 'error'],
])

function usageOf(wire: JsonObject, { usageCost }: Quirks): Usage | undefined {
  const input = count(wire['prompt_tokens'])
  const output = count(wire['completion_tokens'])
  // Half of it would pass for all of it.
  if (input === undefined || output === undefined) return undefined
  const cached =
    countIn(wire['prompt_tokens_details'], 'cached_tokens') ?? count(wire['prompt_cache_hit_tokens'])
  const cacheWrite = countIn(wire['prompt_tokens_details'], 'cache_write_tokens')
  const reasoning = countIn(wire['completion_tokens_details'], 'reasoning_tokens')
  // xAI counts reasoning beside the completion; its total tells.
  const isBeside = reasoning !== undefined && count(wire['total_tokens']) === input + output + reasoning
  return {
    inputTokens: input,
    outputTokens: output + (isBeside ? reasoning : 0),
    ...(cached !== undefined && { cachedInputTokens: cached }),
    ...(cacheWrite !== undefined && cacheWrite > 0 && { cacheWriteTokens: cacheWrite }),
    ...(reasoning !== undefined && { reasoningTokens: reasoning }),
    ...(usageCost && isCost(wire['cost']) && { costUsd: wire['cost'] }),
  }
}

function isCost(value: JsonValue | undefined): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}

function countIn(details: JsonValue | undefined, name: string): number | undefined {
  return isJsonObject(details) ? count(details[name]) : undefined
}

function count(value: JsonValue | undefined): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}

function firstText(...values: readonly (JsonValue | undefined)[]): string {
  for (const value of values) if (typeof value === 'string' && value !== '') return value
  return ''
}

/** The text of `thinking`, which Mistral gives as parts. */
function textIn(value: JsonValue | undefined): string {
  if (typeof value === 'string') return value
  if (!Array.isArray(value)) return ''
  return value
    .map((part: JsonValue) => (isJsonObject(part) && typeof part['text'] === 'string' ? part['text'] : ''))
    .join('')
}

function isGiven(value: JsonValue | undefined): boolean {
  return value !== undefined && value !== null && value !== false && value !== ''
}
