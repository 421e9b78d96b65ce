import { isPlainObject } from './json.ts'
import { hasCodePoints, type SecretEntry, secretLabel, setOwn } from './secret.ts'

/**
 * Puts `[secret:NAME]` in the place of every secret, in every spelling that `spellings` knows, in time linear in the text.
 * The leftmost, longest match wins; where matches overlap, so many are replaced that no part of any is left. Text that
 * was scrubbed stays as it is, unless a secret has brackets itself. Values with fewer than 4 characters, blanks around
 * them not counted, are left alone. Keep one for as long as the secrets are the same: the first text prepares the search.
 */
export class Scrubber {
  /** Replaces nothing. */
  static readonly none: Scrubber = /* @__PURE__ */ new Scrubber([])

  /** True if there is nothing to hide: everything is then returned as it is, at no cost. */
  readonly isEmpty: boolean
  readonly #nameOf = new Map<string, string>()
  #automaton: Automaton | undefined

  constructor(entries: readonly SecretEntry[]) {
    for (const { name, value } of entries) {
      // A key read from a file ends in a line break that its echoes do not have.
      const text = value.trim()
      if (hasCodePoints(text, 4) && !this.#nameOf.has(text)) this.#nameOf.set(text, name)
    }
    this.isEmpty = this.#nameOf.size === 0
  }

  text(text: string): string {
    if (this.isEmpty || text === '') return text
    const stream = this.stream()
    return stream.push(text) + stream.end()
  }

  /**
   * A deep copy of plain data with its strings, keys and secret numbers replaced, or the very value given if there was
   * nothing to replace. Class instances, Maps and functions are passed on unread; cycles and any depth are fine.
   */
  value<T>(value: T): T {
    if (this.isEmpty) return value
    const copies = new Map<object, object>()
    const pending: object[] = []
    let isChanged = false

    const scrubbed = (scalar: unknown): unknown => {
      const result = this.#scalar(scalar)
      isChanged ||= !Object.is(result, scalar)
      return result
    }
    const copyOf = (part: unknown): unknown => {
      if (!isContainer(part)) return scrubbed(part)
      const known = copies.get(part)
      if (known !== undefined) return known
      const copy: object = Array.isArray(part) ? [] : Object.create(Object.getPrototypeOf(part))
      copies.set(part, copy)
      pending.push(part)
      return copy
    }

    const root = copyOf(value)
    for (let source = pending.pop(); source !== undefined; source = pending.pop()) {
      const copy = copies.get(source) ?? {}
      for (const key of Object.keys(source)) {
        const name = Array.isArray(source) ? key : String(scrubbed(key))
        setOwn(copy, name, copyOf(Reflect.get(source, key)))
      }
    }
    return isChanged ? (root as T) : value // The same shape: only what would show a secret is another text.
  }

  /** A scrubber of text that arrives in pieces: the same output, put together, however the text was cut. */
  stream(): ScrubStream {
    return this.isEmpty ? passingStream : new HoldingStream(() => this.#build())
  }

  #build(): Automaton {
    this.#automaton ??= new Automaton(patternsOf(this.#nameOf))
    return this.#automaton
  }

  #scalar(value: unknown): unknown {
    if (typeof value === 'string') return this.text(value)
    if (typeof value !== 'number' && typeof value !== 'bigint') return value
    // Only a long number, and only as a whole: a PIN is not worth a broken count or timestamp.
    const isLong = value >= 1e7 || value <= -1e7
    return isLong && this.#nameOf.has(String(value)) ? this.text(String(value)) : value
  }
}

export interface ScrubStream {
  /** Takes the next piece and gives what is now certain: all but an end that could still become a secret. */
  push(text: string): string
  /** Gives what was held back. The stream is then as new. */
  end(): string
}

const passingStream: ScrubStream = /* @__PURE__ */ Object.freeze({
  push: (text: string) => text,
  end: () => '',
})

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null && (Array.isArray(value) || isPlainObject(value))
}

/**
 * The automaton reports a match at its end, the longest that ends there. None that is still to come starts before the
 * position less the depth of the state, so up to there everything is known, and only what follows is held.
 * All offsets are into the whole text, in UTF-16 code units.
 */
class HoldingStream implements ScrubStream {
  readonly #build: () => Automaton
  #automaton: Automaton | undefined
  #state = 0
  #position = 0
  #text = ''
  #textFrom = 0
  #heldFrom = 0
  // The matches found but not yet replaced, in order, none within another. Lists of numbers and not a list of objects,
  // because a text full of matches would otherwise spend most of its time in the garbage collector.
  readonly #starts: number[] = []
  readonly #ends: number[] = []
  readonly #labels: string[] = []
  /** True if what is held comes right after a replaced match, into which the next one may reach back. */
  #follows = false

  constructor(build: () => Automaton) {
    this.#build = build
  }

  push(text: string): string {
    if (text === '') return ''
    this.#automaton ??= this.#build()
    const automaton = this.#automaton
    const before = this.#position
    let output = ''
    let state = this.#state
    this.#text += text
    for (let index = 0; index < text.length; index += 1) {
      state = automaton.next(state, text.charCodeAt(index))
      const length = automaton.matchLength(state)
      if (length === 0) continue
      this.#position = before + index + 1
      this.#add(this.#position - length, this.#position, automaton.matchLabel(state))
      // Here as well as below, so that a text full of matches does not pile them up.
      output += this.#release(this.#position - automaton.depth(state))
    }
    this.#state = state
    this.#position = before + text.length
    output += this.#release(this.#position - automaton.depth(state))
    this.#forget()
    return output
  }

  end(): string {
    const output = this.#release(this.#position)
    this.#forget()
    this.#state = 0
    this.#follows = false
    return output
  }

  #add(start: number, end: number, label: string): void {
    while ((this.#starts.at(-1) ?? -1) >= start) {
      this.#starts.pop()
      this.#ends.pop()
      this.#labels.pop()
    }
    this.#starts.push(start)
    this.#ends.push(end)
    this.#labels.push(label)
  }

  /** Gives what is certain if no match that is still to come starts before `known`. */
  #release(known: number): string {
    let output = ''
    for (;;) {
      if (this.#follows && known <= this.#heldFrom) return output
      // Of those that reach back into what was replaced, or touch it, the last reaches furthest: nothing is left between.
      while (this.#follows && (this.#starts[1] ?? known) <= this.#heldFrom) this.#drop()
      const start = this.#starts[0] ?? known
      if (start >= known) break
      output += this.#take(start) + (this.#labels[0] ?? '')
      this.#heldFrom = this.#ends[0] ?? start
      this.#drop()
      this.#follows = true
    }
    this.#follows = false
    return output + this.#take(known)
  }

  #drop(): void {
    this.#starts.shift()
    this.#ends.shift()
    this.#labels.shift()
  }

  #take(until: number): string {
    if (until <= this.#heldFrom) return ''
    const text = this.#text.slice(this.#heldFrom - this.#textFrom, until - this.#textFrom)
    this.#heldFrom = until
    return text
  }

  #forget(): void {
    this.#text = this.#text.slice(this.#heldFrom - this.#textFrom)
    this.#textFrom = this.#heldFrom
  }
}

/** Aho-Corasick over UTF-16 code units. A state is an index; 0 is the start; children are a list, for most have one. */
class Automaton {
  readonly #unit: Uint16Array
  readonly #firstChild: Int32Array
  readonly #sibling: Int32Array
  readonly #fallback: Int32Array
  readonly #depth: Int32Array
  readonly #matchLength: Int32Array
  readonly #matchLabel: Int32Array
  readonly #labels: string[] = []
  /** The children of the start for ASCII, where nearly every step begins and ends. */
  readonly #starts = new Int32Array(128)

  constructor(patterns: ReadonlyMap<string, string>) {
    let size = 1
    for (const pattern of patterns.keys()) size += pattern.length
    this.#unit = new Uint16Array(size)
    this.#firstChild = new Int32Array(size)
    this.#sibling = new Int32Array(size)
    this.#fallback = new Int32Array(size)
    this.#depth = new Int32Array(size)
    this.#matchLength = new Int32Array(size)
    this.#matchLabel = new Int32Array(size)
    this.#plant(patterns)
    this.#link()
  }

  next(state: number, unit: number): number {
    for (let from = state; from !== 0; from = this.#fallback[from] ?? 0) {
      const child = this.#child(from, unit)
      if (child !== 0) return child
    }
    return unit < 128 ? (this.#starts[unit] ?? 0) : this.#child(0, unit)
  }

  /** How many of the last code units may be the beginning of a match. */
  depth(state: number): number {
    return this.#depth[state] ?? 0
  }

  /** The length of the longest pattern that ends in this state, 0 if none does. */
  matchLength(state: number): number {
    return this.#matchLength[state] ?? 0
  }

  matchLabel(state: number): string {
    return this.#labels[this.#matchLabel[state] ?? 0] ?? secretLabel(undefined)
  }

  #child(state: number, unit: number): number {
    let child = this.#firstChild[state] ?? 0
    while (child !== 0 && this.#unit[child] !== unit) child = this.#sibling[child] ?? 0
    return child
  }

  #plant(patterns: ReadonlyMap<string, string>): void {
    let last = 0
    for (const [pattern, label] of patterns) {
      let state = 0
      for (let index = 0; index < pattern.length; index += 1) {
        const unit = pattern.charCodeAt(index)
        const known = this.#child(state, unit)
        if (known !== 0) {
          state = known
          continue
        }
        last += 1
        this.#unit[last] = unit
        this.#depth[last] = index + 1
        this.#sibling[last] = this.#firstChild[state] ?? 0
        this.#firstChild[state] = last
        if (state === 0 && unit < 128) this.#starts[unit] = last
        state = last
      }
      this.#matchLength[state] = pattern.length
      this.#matchLabel[state] = this.#labels.push(label) - 1
    }
  }

  /** Breadth first, because the fallback of a state is always less deep than the state. */
  #link(): void {
    const queue = new Int32Array(this.#unit.length)
    let filled = 1
    for (let head = 0; head < filled; head += 1) {
      const parent = queue[head] ?? 0
      for (let child = this.#firstChild[parent] ?? 0; child !== 0; child = this.#sibling[child] ?? 0) {
        queue[filled] = child
        filled += 1
        const fallback = parent === 0 ? 0 : this.next(this.#fallback[parent] ?? 0, this.#unit[child] ?? 0)
        this.#fallback[child] = fallback
        if (this.#matchLength[child] !== 0) continue
        this.#matchLength[child] = this.#matchLength[fallback] ?? 0
        this.#matchLabel[child] = this.#matchLabel[fallback] ?? 0
      }
    }
  }
}

/** What to look for, and what to put in its place. */
function patternsOf(nameOf: ReadonlyMap<string, string>): Map<string, string> {
  const labelOf = new Map<string, string>()
  for (const [value, name] of nameOf) {
    const label = secretLabel(name)
    // A name such as `db.password` must not tell that the password is "password".
    const tells = [...nameOf.keys()].some((other) => label.includes(other))
    labelOf.set(value, tells ? secretLabel(undefined) : label)
  }

  // The one label that may have a secret in it, such as "secret", stands for itself.
  const patterns = new Map([[secretLabel(undefined), secretLabel(undefined)]])
  for (const [value, label] of labelOf) patterns.set(value, label)
  for (const [value, label] of labelOf) {
    for (const spelling of spellings(value)) {
      if (!patterns.has(spelling)) patterns.set(spelling, label)
    }
  }
  return patterns
}

/** Every way we know in which a text turns up in other text. */
function spellings(value: string): Set<string> {
  const bytes = new TextEncoder().encode(value)
  // A key of several lines may have its line ends as in a file of Windows, or as environment variables have them: `\\n`.
  const lines = value.replace(/\r\n|\\r\\n|\\n/g, '\n')
  const texts = [value, lines, lines.replaceAll('\n', '\r\n')]
  return new Set([
    ...texts,
    ...texts.flatMap(jsonSpellings),
    ...markupSpellings(value),
    ...urlSpellings(bytes),
    ...base64Spellings(bytes),
    ...hexSpellings(bytes),
    // What indents, quotes or wraps such a key shows its lines one by one. Prose has blanks.
    ...lines.split('\n').filter((line) => /^\S{32,}$/.test(line)),
  ])
}

/** As in a JSON string, and as in a JSON string that holds JSON. */
function jsonSpellings(value: string): string[] {
  const escaped = jsonEscape(value)
  // Slashes as PHP, angle brackets as Go writes them; quotes as in the single quotes of JavaScript and Python.
  const dialects = [
    escaped,
    escaped.replaceAll('/', '\\/'),
    escaped.replace(/[<>&]/g, unicodeEscape),
    escaped.replaceAll('\\"', '"'),
  ]
  const once = dialects.flatMap((text) => {
    const ascii = text.replace(/[^ -~]/g, unicodeEscape)
    return [text, ascii, ascii.replace(/\\u[0-9a-f]{4}/g, (found) => `\\u${found.slice(2).toUpperCase()}`)]
  })
  return [...once, ...once.map(jsonEscape)]
}

/** As in the text and in the attributes of HTML and XML. */
function markupSpellings(value: string): string[] {
  const text = value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  const attribute = text.replaceAll('"', '&quot;')
  return [text, attribute, attribute.replaceAll("'", '&#39;'), attribute.replaceAll("'", '&apos;')]
}

function jsonEscape(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}

function unicodeEscape(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
}

// What is left as it is, besides letters and digits, by: encodeURIComponent, encodeURI, RFC 3986, Python's quote, HTML forms,
// and the query of what `new URL` was given unencoded.
const urlSafe = ["-_.!~*'()", "-_.!~*'();/?:@&=+$,#", '-_.~', '-_.~/', '-_.*', '!$%&()*+,-./:;=?@[\\]^_`{|}~']

/** As in a URL or a form, and as in a URL that is itself a parameter. */
function urlSpellings(bytes: Uint8Array): string[] {
  const once = urlSafe.flatMap((safe) => {
    const upper = percentEncode(bytes, safe)
    const lower = lowerPercents(upper)
    return [upper, lower, upper.replaceAll('%20', '+'), lower.replaceAll('%20', '+')]
  })
  return [...once, ...once.map((text) => text.replaceAll('%', '%25'))]
}

function percentEncode(bytes: Uint8Array, safe: string): string {
  let text = ''
  for (const byte of bytes) {
    const character = String.fromCharCode(byte)
    const stays = /[0-9A-Za-z]/.test(character) || safe.includes(character)
    text += stays ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return text
}

function lowerPercents(text: string): string {
  return text.replace(/%[0-9A-F]{2}/g, (percent) => percent.toLowerCase())
}

/**
 * As in base64 of a longer text, which the secret may enter at any of three byte alignments. The characters at its ends
 * that also hold bits of its neighbours are left out, unless the text ends there.
 */
function base64Spellings(bytes: Uint8Array): string[] {
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return [0, 1, 2].flatMap((before) => {
    const padded = btoa('\0'.repeat(before) + binary)
    const start = Math.ceil((before * 8) / 6)
    const end = Math.floor(((before + bytes.length) * 8) / 6)
    // Less is not telling, and too likely to be something else.
    if (end - start < 8) return []
    const inner = padded.slice(start, end)
    const final = padded.slice(start)
    return [inner, final.replace(/=+$/, ''), final].flatMap((text) => {
      const percents = text.replaceAll('+', '%2B').replaceAll('/', '%2F').replaceAll('=', '%3D')
      const urlSafe = text.replaceAll('+', '-').replaceAll('/', '_')
      return [text, urlSafe, text.replaceAll('/', '\\/'), percents, lowerPercents(percents)]
    })
  })
}

function hexSpellings(bytes: Uint8Array): string[] {
  let hex = ''
  for (const byte of bytes) hex += byte.toString(16).padStart(2, '0')
  return [hex, hex.toUpperCase()]
}
