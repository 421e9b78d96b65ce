import type { JsonValue } from '../json.ts'
import type { Channel } from './protocol.ts'

/** What the decoded text of an envelope can be. */
export type EnvelopeChannel = Exclude<Channel, 'reasoning'>

/** A stretch of the reply, in code units of everything fed; `end` is exclusive. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** Where a reader puts what it finds in an object. */
export interface Findings {
  tell(channel: EnvelopeChannel, text: string): void
  /** The channels that have text, and where the object it comes from starts: the first to speak keeps a channel. */
  readonly claims: Map<EnvelopeChannel, number>
  /** The values of `tool_calls`, null excepted. */
  readonly calls: Span[]
  /** Where the value of the answer ends, once all of it is told. */
  answerEnd: number | undefined
  tooDeep: boolean
}

export const MAX_DEPTH = 200

/**
 * Reads one JSON object fed in pieces and tells the text of its answer, thought and plan as it arrives: strings decoded,
 * other values as their source. Only a list or object as plan or thought is told at its end, a list as lines.
 *
 * Told text never ends in half a surrogate pair; a half without its other half becomes U+FFFD. Control characters in an
 * envelope's strings stand for themselves.
 */
export class ObjectReader {
  state: 'reading' | 'whole' | 'broken' = 'reading'
  /** It has a key of the protocol, so it is meant as an envelope. */
  ours = false
  /** It has the opening quote of a key, or a word with a colon: braces in prose look otherwise. */
  attempted = false

  readonly #findings: Findings
  readonly #start: number
  /** The closing bracket of every open container, outermost first. */
  readonly #closers: string[] = ['}']
  #expected: Expected = 'first key'
  /** The last key of the object itself. */
  #key = ''
  /** What the value of that key is to us. */
  #member: EnvelopeChannel | 'calls' | undefined
  #valueStart = 0
  #literal = ''

  /** `start` is where its opening brace stands, which is not read again. */
  constructor(findings: Findings, start: number) {
    this.#findings = findings
    this.#start = start
  }

  get depth(): number {
    return this.#closers.length
  }

  get inString(): boolean {
    return this.#expected === 'string'
  }

  /** A string may begin here. */
  get atOpening(): boolean {
    return OPENINGS.has(this.#expected)
  }

  /** What the grammar asks for at this place. */
  get need(): string {
    return NEEDS[this.#expected]
  }

  /** Reads on at `from`; returns where the piece or the object ended, or where the grammar broke. `offset` is all fed before. */
  read(piece: string, from: number, offset: number): number {
    let at = from
    this.#sourceStart = from
    while (at < piece.length && this.state === 'reading') {
      at = this.inString ? this.#readString(piece, at, offset) : this.#readToken(piece, at, offset)
    }
    this.#tellSource(piece, at)
    return at
  }

  #readToken(piece: string, at: number, offset: number): number {
    const char = piece.charAt(at)
    if (this.#expected === 'literal') return this.#readLiteral(piece, at, offset)
    if (this.#expected === 'word') return this.#readWord(char, at)
    if (isSpace(char)) return at + 1
    const closer = this.#closers.at(-1)
    switch (this.#expected) {
      case 'colon':
        if (char !== ':') return this.#break(at)
        this.#endKey()
        return at + 1
      case 'comma':
        if (char === closer) return this.#close(piece, at, offset)
        if (char !== ',') return this.#break(at)
        this.#expected = closer === '}' ? 'key' : 'value'
        return at + 1
      case 'first key':
        if (char === '}') return this.#close(piece, at, offset)
        if (char === '"') return this.#beginString(at, true)
        if (this.#isOutermost) {
          this.#expected = 'word'
          return at
        }
        return this.#break(at)
      case 'key':
        return char === '"' ? this.#beginString(at, true) : this.#break(at)
      case 'first item':
        return char === ']' ? this.#close(piece, at, offset) : this.#beginValue(char, at, offset)
      default:
        return this.#beginValue(char, at, offset)
    }
  }

  get #isOutermost(): boolean {
    return this.#closers.length === 1
  }

  /** Reads `{'final_answer':` or `{final_answer:` far enough to know what it was meant as. */
  #readWord(char: string, at: number): number {
    if (isWord(char) && this.#key.length < MAX_WORD) {
      this.#key += char
      return at + 1
    }
    if (isSpace(char) || QUOTES.includes(char)) return at + 1
    this.attempted = char === ':' && this.#key !== ''
    // `{plan: …}` in prose is too likely to be someone's data.
    this.ours = this.attempted && MEMBERS.has(this.#key) && this.#key !== 'plan'
    return this.#break(at)
  }

  #endKey(): void {
    this.#expected = 'value'
    if (!this.#isOutermost) return
    const member = MEMBERS.get(this.#key)
    this.ours ||= member !== undefined
    const isTaken = member !== undefined && member !== 'calls' && this.#findings.claims.has(member)
    this.#member = isTaken ? undefined : member
  }

  #beginValue(char: string, at: number, offset: number): number {
    if (!VALUE_STARTS.includes(char)) return this.#break(at)
    if (BRACKETS.has(char) && this.#closers.length >= MAX_DEPTH) {
      this.#findings.tooDeep = true
      return this.#break(at)
    }
    if (this.#isOutermost) this.#beginMember(char, at, offset)
    if (char === '"') return this.#beginString(at, false)
    const closer = BRACKETS.get(char)
    if (closer === undefined) {
      this.#literal = ''
      this.#expected = 'literal'
      return at
    }
    this.#closers.push(closer)
    this.#expected = closer === '}' ? 'first key' : 'first item'
    return at + 1
  }

  #beginMember(char: string, at: number, offset: number): void {
    // null is as good as absent.
    if (char === 'n') this.#member = undefined
    this.#valueStart = offset + at
    if (this.#member === undefined || this.#member === 'calls') return
    this.#findings.claims.set(this.#member, this.#start)
    this.#isSource = char !== '"'
    this.#sourceStart = at
    this.#held = BRACKETS.has(char) && this.#member !== 'answer' ? [] : undefined
  }

  #readLiteral(piece: string, at: number, offset: number): number {
    const char = piece.charAt(at)
    if (isWord(char)) {
      this.#literal += char
      return at + 1
    }
    if (!LITERAL.test(this.#literal)) return this.#break(at)
    this.#endValue(piece, at, offset)
    return at
  }

  #close(piece: string, at: number, offset: number): number {
    this.#closers.pop()
    if (this.#closers.length === 0) this.state = 'whole'
    else this.#endValue(piece, at + 1, offset)
    return at + 1
  }

  #endValue(piece: string, end: number, offset: number): void {
    this.#expected = 'comma'
    if (!this.#isOutermost) return
    if (this.#member === 'calls') {
      this.#findings.calls.push({ start: this.#valueStart, end: offset + end })
    } else if (this.#member !== undefined) {
      this.#tellSource(piece, end)
      this.#endText()
      if (this.#member === 'answer') this.#findings.answerEnd = offset + end
    }
    this.#member = undefined
  }

  #inKey = false
  /** What of an escape sequence has been read. */
  #escape = ''

  #beginString(at: number, isKey: boolean): number {
    this.#expected = 'string'
    this.#inKey = isKey
    if (isKey && this.#isOutermost) {
      this.#key = ''
      this.attempted = true
    }
    return at + 1
  }

  #readString(piece: string, at: number, offset: number): number {
    if (this.#escape !== '') return this.#readEscape(piece.charAt(at), at)
    let end = at
    while (end < piece.length && isPlain(piece.charCodeAt(end))) end++
    if (end > at) this.#use(piece.slice(at, end))
    if (end === piece.length) return end
    const char = piece.charAt(end)
    if (char === '"') {
      if (this.#inKey) this.#expected = 'colon'
      else this.#endValue(piece, end + 1, offset)
    } else if (char === '\\') {
      this.#escape = char
    } else if (this.ours && !this.#inKey) {
      // In an envelope a raw line break is a model's slip; elsewhere it shows that this was no JSON after all.
      this.#use(char)
    } else {
      return this.#break(end)
    }
    return end + 1
  }

  #readEscape(char: string, at: number): number {
    const escape = this.#escape + char
    if (!ESCAPE_SO_FAR.test(escape)) return this.#break(at)
    const isWhole = escape.length === (escape.startsWith('\\u') ? 6 : 2)
    this.#escape = isWhole ? '' : escape
    if (isWhole) this.#use(JSON.parse(`"${escape}"`))
    return at + 1
  }

  #use(text: string): void {
    if (!this.#isOutermost) return
    if (!this.#inKey) {
      if (!this.#isSource) this.#tell(text)
    } else if (this.#key.length < MAX_WORD) {
      this.#key += text.slice(0, MAX_WORD)
    }
  }

  /** The value of the member is told as it stands in the reply, not decoded. */
  #isSource = false
  /** Where the part of this piece starts that is still to be told. */
  #sourceStart = 0
  /** Collects a value that is told at its end. */
  #held: string[] | undefined
  /** The first half of a surrogate pair whose second half has not come yet. */
  #high = ''

  #tellSource(piece: string, end: number): void {
    if (!this.#isSource) return
    this.#tell(piece.slice(this.#sourceStart, end))
    this.#sourceStart = end
  }

  #tell(text: string): void {
    if (this.#member === undefined || this.#member === 'calls') return
    if (this.#held !== undefined) {
      this.#held.push(text)
      return
    }
    const known = this.#high + text
    this.#high = /[\ud800-\udbff]$/.exec(known)?.[0] ?? ''
    const ready = known.slice(0, known.length - this.#high.length)
    if (ready !== '') this.#findings.tell(this.#member, ready.toWellFormed())
  }

  #endText(): void {
    const held = this.#held?.join('')
    this.#held = undefined
    this.#isSource = false
    if (held !== undefined) this.#tell(asLines(held))
    if (this.#high !== '') this.#tell('')
  }

  /** The grammar breaks at `at`: what stands there is left to be read as something else. */
  #break(at: number): number {
    this.state = 'broken'
    return at
  }
}
