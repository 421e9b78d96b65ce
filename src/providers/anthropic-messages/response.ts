import type { LLMChunk, StopReason } from '../../client/client.ts'
import { type DraftSource, ResponseDraft } from '../../client/collect.ts'
import { isJsonObject, type JsonObject, type JsonValue, parseJson } from '../../json.ts'
import {
  bodyError,
  type ErrorSource,
  endedEarlyError,
  excerptOf,
  malformedError,
  notJson,
} from '../errors.ts'
import type { SseEvent } from '../sse.ts'
import type { AnswerReader } from '../wire.ts'
import { type Block, blockTypes, keptOf } from './block.ts'
import { keep } from './kept.ts'
import { MessageUsage } from './usage.ts'

export interface MessagesSource extends ErrorSource, DraftSource {
  /** From the headers. */
  readonly requestId?: string | undefined
}

/**
 * Reads one answer of the Messages API, a stream or a whole body, into chunks. No I/O, and no chunk is lost or doubled
 * however the bytes were cut.
 */
export class MessagesReader implements AnswerReader {
  readonly #source: MessagesSource
  readonly #draft: ResponseDraft
  readonly #usage = new MessageUsage()
  readonly #blocks: Block[] = []
  readonly #byIndex = new Map<unknown, Block>()
  #chunks: LLMChunk[] = []
  #messageId: JsonValue | undefined
  #textLength = 0
  #calls = 0
  #stopReason: StopReason | undefined
  #sawMessage = false
  #isDone = false

  constructor(source: MessagesSource) {
    this.#source = source
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
    const text = data.trim()
    if (this.#isDone || text === '') return []
    if (text === '[DONE]') {
      // Not of this API; a gateway may say so in the place of `message_stop`, but not before the message is whole.
      this.#isDone = this.#stopReason !== undefined
      return []
    }
    const event = parseJson(text)
    if (type === 'error') throw this.#errorOf(event ?? text)
    if (!isJsonObject(event)) {
      const fault = event === undefined ? 'no JSON' : 'no object'
      throw this.#malformed(`a stream with an event that is ${fault}: ${this.#excerpt(text)}`)
    }
    this.#readEvent(event, String(event['type'] ?? type))
    return this.#taken()
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
    if (isError(body)) throw this.#errorOf(body)
    if (!Array.isArray(body['content'])) {
      // Some gateways give an error without its wrapper.
      if (typeof body['message'] === 'string' || typeof body['detail'] === 'string') throw this.#errorOf(body)
      throw this.#malformed('JSON that has no content')
    }
    this.#readMessage(body)
    return this.#taken()
  }

  /**
   * The last chunk.
   *
   * @throws LLMError of kind `malformed` if the answer is not whole.
   */
  end(): Extract<LLMChunk, { type: 'end' }> {
    const { requestId } = this.#source
    if (!this.#isDone) throw endedEarlyError(this.#source, requestId)
    if (!this.#sawMessage) throw this.#malformed('a stream with no message in it')
    const stopReason = this.#stopReason ?? 'unknown'
    const thoughts = keep(this.#blocks.flatMap(keptOf))
    const usage = this.#usage.total
    return { type: 'end', response: this.#draft.finish({ stopReason, usage, requestId, thoughts }) }
  }

  #readEvent(event: JsonObject, type: string): void {
    if (isError(event)) throw this.#errorOf(event)
    const { index, delta, content_block: block } = event
    switch (type) {
      case 'message_start':
        this.#startMessage(isJsonObject(event['message']) ? event['message'] : {})
        break
      case 'content_block_start':
        if (isJsonObject(block)) this.#startBlock(index, block)
        break
      case 'content_block_delta':
        if (isJsonObject(delta)) this.#readDelta(this.#blockOf(index, delta), delta)
        break
      case 'content_block_stop':
        this.#stopBlock(this.#byIndex.get(index))
        break
      case 'message_delta':
        this.#usage.add(event['usage'])
        this.#readStop(delta)
        break
      case 'message_stop':
        for (const each of this.#blocks) this.#stopBlock(each)
        this.#isDone = true
        break
      case 'message':
        // The whole answer as one event.
        this.#readMessage(event)
        break
    }
  }

  #readMessage(message: JsonObject): void {
    const { content, usage } = message
    this.#startMessage({ id: message['id'] ?? null })
    // Should it only repeat what was streamed before, it is told already.
    const isNew = this.#blocks.length === 0
    for (const [index, block] of Array.isArray(content) && isNew ? content.entries() : []) {
      if (isJsonObject(block)) this.#startBlock(index, block)
    }
    for (const each of this.#blocks) this.#stopBlock(each)
    this.#usage.add(usage)
    this.#readStop(message)
    // A body that was read whole needs nobody to say that it ended.
    this.#isDone = true
  }

  /** Some gateways repeat the start. A second message, after a first that broke off, is no continuation of it. */
  #startMessage({ id, usage }: JsonObject): void {
    if (this.#blocks.length > 0 && id !== this.#messageId) {
      throw this.#malformed('a stream that starts over with another message')
    }
    this.#sawMessage = true
    this.#messageId = id
    this.#usage.add(usage)
  }

  #startBlock(index: JsonValue | undefined, start: JsonObject): Block {
    this.#sawMessage = true
    const { type, text, thinking, signature, id, name, input } = start
    const known = this.#byIndex.get(index)
    if (known?.isOpen && known.start['type'] === type && known.start['id'] === id) return known
    // Otherwise an index that is used again is that of a new block: the one before it is over.
    this.#stopBlock(known)
    const block: Block = {
      position: this.#blocks.length,
      start,
      textBefore: this.#textLength,
      callsBefore: this.#calls,
      thinking: '',
      signature,
      inputText: '',
      hasInput: typeof input === 'string',
      isOpen: true,
    }
    this.#blocks.push(block)
    this.#byIndex.set(index, block)
    if (type === 'text') this.#addText(text)
    if (type === 'thinking') this.#addThinking(block, thinking)
    if (type !== 'tool_use') return block
    this.#calls += 1
    // Usually empty here, and then in pieces; that of some gateways is whole. One in an object waits: pieces may follow.
    const parameters = typeof input === 'string' ? input : undefined
    this.#add(this.#draft.addToolCall({ index: block.position, id, toolName: name, parameters }))
    return block
  }

  /** The block of a piece, which some gateways never started; without a usable index it is the last one. */
  #blockOf(index: JsonValue | undefined, { type }: JsonObject): Block | undefined {
    const known = this.#byIndex.get(index) ?? (typeof index === 'number' ? undefined : this.#blocks.at(-1))
    if (known !== undefined) return known
    const blockType = blockTypes.get(String(type))
    return blockType === undefined ? undefined : this.#startBlock(index, { type: blockType })
  }

  #readDelta(block: Block | undefined, delta: JsonObject): void {
    if (block === undefined) return
    const { type, text, thinking, signature, partial_json: piece, ...rest } = delta
    switch (type) {
      case 'text_delta':
        this.#addText(text)
        break
      case 'thinking_delta':
        this.#addThinking(block, thinking)
        break
      case 'signature_delta':
        block.signature = signature
        break
      case 'input_json_delta':
        this.#addInput(block, piece)
        break
      case 'compaction_delta':
        block.start = { ...block.start, ...rest }
        break
    }
  }

  #addText(text: JsonValue | undefined): void {
    if (typeof text !== 'string') return
    this.#textLength += text.length
    this.#add(this.#draft.addText(text))
  }

  #addThinking(block: Block, thinking: JsonValue | undefined): void {
    if (typeof thinking !== 'string') return
    block.thinking += thinking
    this.#add(this.#draft.addReasoning(thinking))
  }

  #addInput(block: Block, piece: JsonValue | undefined): void {
    if (piece === undefined || piece === null || piece === '') return
    block.hasInput = true
    if (block.start['type'] === 'tool_use') {
      this.#add(this.#draft.addToolCall({ index: block.position, parameters: piece }))
    } else if (typeof piece === 'string') {
      block.inputText += piece
    }
  }

  #stopBlock(block: Block | undefined): void {
    if (!block?.isOpen) return
    block.isOpen = false
    const { type, input } = block.start
    if (type !== 'tool_use' || block.hasInput || !isJsonObject(input) || Object.keys(input).length === 0)
      return
    // Nothing came in pieces: what it started with is all of it.
    this.#add(this.#draft.addToolCall({ index: block.position, parameters: input }))
  }

  #readStop(said: JsonValue | undefined): void {
    const reason = isJsonObject(said) ? said['stop_reason'] : undefined
    if (typeof reason !== 'string' || reason === '') return
    this.#stopReason = stopReasons.get(reason) ?? 'unknown'
  }

  #add(chunk: LLMChunk | undefined): void {
    if (chunk !== undefined) this.#chunks.push(chunk)
  }

  #taken(): readonly LLMChunk[] {
    const chunks = this.#chunks
    this.#chunks = []
    return chunks
  }

  #errorOf(error: unknown): Error {
    return bodyError(error, this.#source, this.#source.requestId)
  }

  #excerpt(text: string): string {
    return excerptOf(text, this.#source)
  }

  #malformed(what: string): Error {
    return malformedError(what, this.#source, this.#source.requestId)
  }
}

function isError({ type, error }: JsonObject): boolean {
  return type === 'error' || (error !== undefined && error !== null && error !== false && error !== '')
}

// Anthropic Messages API, "stop_reason", as @anthropic-ai/sdk 1.11 types it. A paused turn (`pause_turn`) is of tools of the
// server only: its text is what there is.
const stopReasons: ReadonlyMap<string, StopReason> = new Map<string, StopReason>([
  ['end_turn', 'stop'],
  ['stop_sequence', 'stop'],
  ['tool_use', 'tool_calls'],
  ['max_tokens', 'length'],
  ['model_context_window_exceeded', 'length'],
  ['refusal', 'refusal'],
])
