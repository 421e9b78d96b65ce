import { Allow, parse } from 'partial-json'
import type { JsonValue } from '../json.ts'
import { ReplyScanner } from './json-scan.ts'

/** The value so far of a structured answer whose JSON text arrives in pieces. */
export class PartialOutput {
  readonly #scanner = new ReplyScanner(() => {})
  #phase: 'before' | 'fence' | 'value' | 'over' = 'before'
  #text = ''
  #parsedLength = 0

  constructor() {
    // The scanner judges envelopes, so it is told that what follows is the answer in one.
    this.#scanner.feed(ENVELOPE_START)
  }

  /**
   * A new value when there is one worth showing, unfinished parts as far as they go. Parses again when the
   * text has grown by 16 code units and by a tenth, and once when the value closes: the work stays linear
   * in the text.
   *
   * Space and an opening fence are skipped, what follows the value is ignored. Once the text is no JSON, or
   * nests more than 199 deep, there are no more values.
   */
  push(text: string): JsonValue | undefined {
    const piece = text.slice(this.#skipToValue(text))
    if (this.#phase !== 'value' || piece === '') {
      return undefined
    }
    this.#scanner.feed(piece)
    const end = this.#scanner.answerEnd
    if (end === undefined && !this.#scanner.isSound) {
      this.#phase = 'over'
      this.#text = ''
      return undefined
    }
    this.#text += piece
    if (end !== undefined) {
      this.#phase = 'over'
      return parsePartial(this.#text.slice(0, end - ENVELOPE_START.length))
    }
    const growth = this.#text.length - this.#parsedLength
    if (growth < 16 || growth * 10 < this.#parsedLength) {
      return undefined
    }
    this.#parsedLength = this.#text.length
    return parsePartial(this.#text)
  }

  /** The index in `text` where the value starts or goes on; its length while there is none. */
  #skipToValue(text: string): number {
    let i = 0
    for (; i < text.length && this.#phase !== 'value' && this.#phase !== 'over'; i++) {
      const char = text.charAt(i)
      if (this.#phase === 'before' && char === '`') {
        this.#phase = 'fence'
      } else if (this.#phase === 'fence' ? char === '\n' : ' \t\r\n\ufeff'.includes(char)) {
        this.#phase = 'before'
      } else if (this.#phase === 'before' || '{["'.includes(char)) {
        this.#phase = 'value'
        return i
      }
    }
    return i
  }
}

const ENVELOPE_START = '{"final_answer":'

function parsePartial(text: string): JsonValue | undefined {
  try {
    const value: unknown = parse(text, Allow.ALL & ~(Allow.NAN | Allow.INF))
    // The parser assigns keys, so "__proto__" would become a prototype: a clone keeps own members only.
    // What is left after the scanner's check and without NaN and Infinity is JSON.
    return structuredClone(value) as JsonValue
  } catch {
    return undefined
  }
}
