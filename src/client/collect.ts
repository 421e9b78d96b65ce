import { LLMError } from '../errors.ts'
import { isJsonObject, type JsonValue, parseJson } from '../json.ts'
import type { Reasoning, ToolCall, Usage } from '../messages.ts'
import type { LLMChunk, LLMResponse, ModelName, StopReason } from './client.ts'
import { parametersTextOf, readParameters } from './parameters.ts'

/**
 * The response at the end of a stream: what makes a call of one.
 *
 * @throws LLMError of kind `malformed` if the stream ends without its response; whatever the stream throws.
 */
export async function collect(client: ModelName, chunks: AsyncIterable<LLMChunk>): Promise<LLMResponse> {
  for await (const chunk of chunks) if (chunk.type === 'end') return chunk.response
  throw endedEarly(client)
}

/** What a stream fails with that has no `end`. */
export function endedEarly({ provider, model }: ModelName): LLMError {
  return new LLMError('The stream ended early, before its response was whole. Call again.', {
    kind: 'malformed',
    provider,
    model,
  })
}

/** A piece of a tool call as a wire has it; nothing in it is trusted. */
export interface ToolCallPiece {
  /** Which call it belongs to, if it is a whole number from 0. */
  readonly index?: unknown
  readonly id?: unknown
  readonly toolName?: unknown
  /** JSON text or a part of it; or an object, which is then all of them. */
  readonly parameters?: unknown
}

export interface DraftSource {
  readonly provider: string
  readonly model: string
  /** Makes an id for a call that came without one, or with one that another call of the reply has. */
  readonly newCallId: () => string
}

/**
 * A response while it arrives. Each piece is added once and comes back as the chunk to hand on, `undefined` when there
 * is nothing in it. Calls are told apart by index, by id, or by the order they arrive in, whatever the wire gives.
 */
export class ResponseDraft {
  readonly #source: DraftSource
  readonly #calls: DraftCall[] = []
  readonly #byIndex = new Map<number, DraftCall>()
  readonly #byId = new Map<string, DraftCall>()
  #text = ''
  #reasoning = ''

  constructor(source: DraftSource) {
    this.#source = source
  }

  /** Nothing was said so far, and no tool was called. */
  get isEmpty(): boolean {
    return this.#text === '' && this.#reasoning === '' && this.#calls.length === 0
  }

  addText(text: string): LLMChunk | undefined {
    if (text === '') return undefined
    this.#text += text
    return { type: 'text', text }
  }

  addReasoning(text: string): LLMChunk | undefined {
    if (text === '') return undefined
    this.#reasoning += text
    return { type: 'reasoning', text }
  }

  addToolCall(piece: ToolCallPiece): LLMChunk | undefined {
    const id = filled(piece.id)
    const toolName = filled(piece.toolName)
    const parametersText = parametersTextOf(piece.parameters)
    // Some servers send the empty shell of a call beside an answer that is text.
    if (id === undefined && toolName === undefined && parametersText === '' && !isIndex(piece.index))
      return undefined
    const call = this.#callOf({ index: piece.index, id, toolName, parametersText })
    const newId = call.id === undefined ? id : undefined
    const newName = nameToAdd(call, toolName)
    if (newId !== undefined) call.id = newId
    if (newName !== undefined) call.toolName += newName
    call.parametersText += parametersText
    // Of the piece: to read the end of a text that is still growing is to copy all of it.
    if (parametersText.trim() !== '') call.endsAsObject = parametersText.trimEnd().endsWith('}')
    if (id !== undefined) this.#byId.set(id, call)
    return {
      type: 'tool_call',
      index: call.position,
      ...(newId !== undefined && { id: newId }),
      ...(newName !== undefined && { toolName: newName }),
      ...(parametersText !== '' && { parametersText }),
    }
  }

  /**
   * The whole response. A reply that calls tools stopped for them, whatever its wire says, unless it was cut or withheld,
   * and one that calls none did not. `''` and no parameters at all are `{}`.
   */
  finish({ stopReason, usage, requestId, opaque, thoughts }: DraftEnd): LLMResponse {
    const { provider, model } = this.#source
    const toolCalls = this.#toolCalls()
    const text = this.#reasoning
    const thought = { ...(text !== '' && { text }), ...(opaque !== undefined && { opaque }) }
    const whole = Object.keys(thought).length === 0 ? [] : [thought]
    const reasoning = (thoughts ?? whole).map((each): Reasoning => ({ provider, model, ...each }))
    const isOpen = stopReason === 'stop' || stopReason === 'unknown' || stopReason === 'tool_calls'
    const forTools =
      toolCalls.length > 0 ? 'tool_calls' : stopReason === 'tool_calls' ? 'unknown' : stopReason
    return {
      text: this.#text,
      toolCalls,
      ...(reasoning.length > 0 && { reasoning }),
      stopReason: isOpen ? forTools : stopReason,
      ...(usage && { usage }),
      ...(requestId !== undefined && { requestId }),
    }
  }

  #callOf(piece: ReadPiece): DraftCall {
    const { id, toolName } = piece
    const index = isIndex(piece.index) ? piece.index : undefined
    if (index !== undefined) {
      const indexed = this.#byIndex.get(index)
      if (indexed !== undefined && !startsAnother(indexed, piece)) return indexed
      // The index moved on within one call: its id says so, and nothing names a new one.
      const known = id === undefined || toolName !== undefined || indexed ? undefined : this.#byId.get(id)
      const call = known ?? this.#newCall()
      this.#byIndex.set(index, call)
      return call
    }
    const known = id === undefined ? undefined : this.#byId.get(id)
    if (known !== undefined && !(toolName !== undefined && isWhole(known))) return known
    const last = this.#calls.at(-1)
    const goesOn = last !== undefined && id === undefined && (toolName === undefined || last.toolName === '')
    return goesOn ? last : this.#newCall()
  }

  #newCall(): DraftCall {
    const call = {
      position: this.#calls.length,
      id: undefined,
      toolName: '',
      parametersText: '',
      endsAsObject: false,
      looks: 0,
    }
    this.#calls.push(call)
    return call
  }

  #toolCalls(): ToolCall[] {
    const taken = new Set<string>()
    const said = this.#calls.filter((call) => call.id ?? (call.toolName || call.parametersText.trim()))
    return said.map(({ id, toolName, parametersText }) => {
      const own = id !== undefined && !taken.has(id) ? id : this.#source.newCallId()
      taken.add(own)
      return { id: own, toolName, ...readParameters(parametersText) }
    })
  }
}

export interface DraftEnd {
  readonly stopReason: StopReason
  readonly usage?: Usage | undefined
  readonly requestId?: string | undefined
  /** What the provider wants back with its reasoning. */
  readonly opaque?: JsonValue | undefined
  /** The reasoning in its parts, where the wire has it in parts; otherwise all of its text is one. */
  readonly thoughts?: readonly Pick<Reasoning, 'text' | 'opaque'>[]
}

interface ReadPiece {
  readonly index: unknown
  readonly id: string | undefined
  readonly toolName: string | undefined
  readonly parametersText: string
}

interface DraftCall {
  readonly position: number
  id: string | undefined
  toolName: string
  parametersText: string
  endsAsObject: boolean
  /** How often its parameters were parsed to see whether they are whole. */
  looks: number
}

/** A piece for an index that is taken: true if it begins a new call there, false if it goes on with the one it has. */
function startsAnother(call: DraftCall, { id, toolName, parametersText }: ReadPiece): boolean {
  if (toolName === undefined || (id !== undefined && id === call.id)) return false
  const isRenamed = call.toolName !== '' && toolName !== call.toolName
  if (id !== undefined && call.id !== undefined) return isRenamed || isWhole(call)
  return (isRenamed || parametersText !== '') && isWhole(call)
}

// Each look parses everything so far; a wire that asks for one at every piece gets no more than these.
const mostLooks = 16

function isWhole(call: DraftCall): boolean {
  if (!call.endsAsObject || call.looks >= mostLooks) return false
  call.looks += 1
  return isJsonObject(parseJson(call.parametersText))
}

/** What of a name is new: some servers repeat it with every piece, and a few send it in pieces. */
function nameToAdd(call: DraftCall, toolName: string | undefined): string | undefined {
  if (toolName === undefined || toolName === call.toolName) return undefined
  return call.toolName === '' || call.parametersText === '' ? toolName : undefined
}

function filled(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function isIndex(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}
