import { parseJson, wellFormed } from '../json.ts'

/**
 * Passes on the text of one JSON value as it arrives. Passed text never ends in half a surrogate pair, and a half without
 * its other half becomes U+FFFD.
 */
export class ValueText {
  /**
   * `decoded` is passed on as it is. `source` is held back from its last word, comma or space on, which a repair may
   * still change. `lines` is the source of a list or object, held until its end.
   */
  readonly form: 'decoded' | 'source' | 'lines'
  readonly #tell: (text: string) => void
  #held = ''

  constructor(form: ValueText['form'], tell: (text: string) => void) {
    this.form = form
    this.#tell = tell
  }

  add(text: string): void {
    const end = this.#endOfCertain(text)
    if (end > 0) this.#tell(wellFormed(this.#held + text.slice(0, end)))
    this.#held = end > 0 ? text.slice(end) : this.#held + text
  }

  end(): void {
    const rest = this.form === 'lines' ? asLines(this.#held) : this.#held
    if (rest !== '') this.#tell(wellFormed(rest))
  }

  #endOfCertain(text: string): number {
    if (this.form === 'lines') return 0
    let end = text.length
    if (this.form === 'decoded') return isHighSurrogate(text.charCodeAt(end - 1)) ? end - 1 : end
    while (end > 0 && isUncertain(text.charAt(end - 1))) end--
    return end
  }
}

function isUncertain(char: string): boolean {
  return char === ',' || isSpace(char) || isWord(char) || isHighSurrogate(char.charCodeAt(0))
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff
}

/** A list as lines, an object as JSON; source that is no JSON after all as it stands. */
function asLines(source: string): string {
  const value = parseJson(source)
  if (value === undefined) return source
  if (!Array.isArray(value)) return JSON.stringify(value)
  return value.map((item) => (typeof item === 'string' ? item : JSON.stringify(item))).join('\n')
}

/** What JSON calls space. */
export function isSpace(char: string): boolean {
  return char === ' ' || char === '\n' || char === '\r' || char === '\t'
}

/** What numbers, constants, names and the labels of fences are made of. */
export function isWord(char: string): boolean {
  return /[\w+.-]/.test(char)
}

/** A code unit that stands for itself in a string. */
export function isPlain(code: number): boolean {
  return code >= 0x20 && code !== 0x22 && code !== 0x5c
}
