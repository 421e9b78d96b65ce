import { isDeeperThan, isJsonObject, type JsonObject, type JsonValue } from '../../json.ts'

/**
 * `reasoning_details` while they arrive: a list of parts, in a stream each cut into pieces. The provider wants them back
 * as they were, so pieces are put together and nothing else is done to them. (OpenRouter, "Reasoning tokens", 2026-11.)
 */
export class ReasoningDetails {
  readonly #parts: { [name: string]: JsonValue }[] = []

  /** The whole parts; absent if there are none. */
  get value(): JsonValue | undefined {
    return this.#parts.length === 0 ? undefined : this.#parts
  }

  /** Returns the text of the pieces. */
  add(details: JsonValue | undefined): string {
    if (!Array.isArray(details)) return ''
    return details.map((piece: JsonValue) => (isJsonObject(piece) ? this.#addPiece(piece) : '')).join('')
  }

  #addPiece(piece: JsonObject): string {
    // What is nested deeper than the stack could neither be stored nor sent.
    if (isDeeperThan(piece, deepestPiece)) return ''
    const last = this.#parts.at(-1)
    const field = growing.get(String(piece['type']))
    const text = field === undefined ? undefined : piece[field]
    const said = typeof text === 'string' ? text : ''
    if (last === undefined || field === undefined || !goesOn(last, piece)) {
      // A null prototype, as the names are the provider's.
      this.#parts.push(Object.assign(Object.create(null), piece))
      return said
    }
    for (const [name, value] of Object.entries(piece)) {
      if (name === field) last[name] = `${typeof last[name] === 'string' ? last[name] : ''}${said}`
      // A signature comes with the last piece; empty ones with all the others.
      else if (value !== null && value !== '') last[name] = value
    }
    return said
  }
}

const deepestPiece = 50

/** Which parts come in pieces, and in which of their fields. */
const growing: ReadonlyMap<string, string> = new Map([
  ['reasoning.text', 'text'],
  ['reasoning.summary', 'summary'],
])

function goesOn(last: JsonObject, piece: JsonObject): boolean {
  // A signed part is whole.
  const isSigned = typeof last['signature'] === 'string' && last['signature'] !== ''
  const isNext = isSigned && typeof piece['text'] === 'string' && piece['text'] !== ''
  const isOther =
    typeof piece['id'] === 'string' && typeof last['id'] === 'string' && piece['id'] !== last['id']
  return last['type'] === piece['type'] && last['index'] === piece['index'] && !isNext && !isOther
}
