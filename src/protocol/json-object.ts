import { isPlain, isSpace, isWord, ValueText } from './json-text.ts'
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
 * Control characters in an envelope's strings stand for themselves.
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
  /** What that value tells. */
  #text: ValueText | undefined
  /** Where in the piece the source starts that it has not been told yet. */
  #sourceStart = 0
  #literal = ''
  #inKey = false
  /** What of an escape sequence has been read. */
  #escape = ''
  #piece = ''
  /** The length of all pieces before this one. */
  #offset = 0

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

  get need(): string {
    return NEEDS[this.#expected]
  }

  /** Reads on at `from`; returns where the piece or the object ended, or where the grammar broke. */
  read(piece: string, from: number, offset: number): number {
    let at = from
    this.#piece = piece
    this.#offset = offset
    this.#sourceStart = from
    while (at < piece.length && this.state === 'reading') {
      at = this.inString ? this.#readString(at) : this.#readToken(at)
    }
    this.#tellSource(at)
    return at
  }

  #readToken(at: number): number {
    const char = this.#piece.charAt(at)
    if (this.#expected === 'literal') return this.#readLiteral(char, at)
    if (this.#expected === 'word') return this.#readWord(char, at)
    if (isSpace(char)) return at + 1
    const closer = this.#closers.at(-1)
    switch (this.#expected) {
      case 'colon':
        if (char !== ':') return this.#break(at)
        this.#endKey()
        return at + 1
      case 'comma':
        if (char === closer) return this.#close(at)
        if (char !== ',') return this.#break(at)
        this.#expected = closer === '}' ? 'key' : 'value'
        return at + 1
      case 'first key':
      case 'key':
        if (char === '"') return this.#beginString(at, true)
        if (this.#expected === 'key') return this.#break(at)
        if (char === '}') return this.#close(at)
        return this.depth === 1 ? this.#readWord(char, at) : this.#break(at)
      case 'first item':
        return char === ']' ? this.#close(at) : this.#beginValue(char, at)
      default:
        return this.#beginValue(char, at)
    }
  }

  /** Reads `{'final_answer':` or `{final_answer:` far enough to know what it was meant as. */
  #readWord(char: string, at: number): number {
    this.#expected = 'word'
    const isPart = isWord(char) && this.#key.length < MAX_WORD
    if (isPart) this.#key += char
    if (isPart || isSpace(char) || QUOTES.includes(char)) return at + 1
    this.attempted = char === ':' && this.#key !== ''
    // `{plan: …}` in prose is too likely to be someone's data.
    this.ours = this.attempted && MEMBERS.has(this.#key) && this.#key !== 'plan'
    return this.#break(at)
  }

  #endKey(): void {
    this.#expected = 'value'
    if (this.depth > 1) return
    this.#member = MEMBERS.get(this.#key)
    this.ours ||= this.#member !== undefined
  }

  #beginValue(char: string, at: number): number {
    if (!VALUE_STARTS.includes(char)) return this.#break(at)
    if (this.depth === 1) this.#beginMember(char, at)
    if (char === '"') return this.#beginString(at, false)
    if (char !== '{' && char !== '[') {
      this.#literal = ''
      this.#expected = 'literal'
      return at
    }
    if (this.depth === MAX_DEPTH) {
      this.#findings.tooDeep = true
      return this.#break(at)
    }
    this.#closers.push(char === '{' ? '}' : ']')
    this.#expected = char === '{' ? 'first key' : 'first item'
    return at + 1
  }

  #beginMember(char: string, at: number): void {
    const { claims } = this.#findings
    // What was said before counts, and null is as good as absent.
    if (char === 'n' || (this.#member !== 'calls' && this.#member && claims.has(this.#member)))
      this.#member = undefined
    this.#valueStart = this.#offset + at
    const channel = this.#member
    if (channel === undefined || channel === 'calls') return
    const isLines = channel !== 'answer' && (char === '{' || char === '[')
    const form = char === '"' ? 'decoded' : isLines ? 'lines' : 'source'
    this.#text = new ValueText(form, (text) => this.#findings.tell(channel, text))
    this.#sourceStart = at
    claims.set(channel, this.#start)
  }

  #readLiteral(char: string, at: number): number {
    if (isWord(char)) {
      this.#literal += char
      return at + 1
    }
    if (!LITERAL.test(this.#literal)) return this.#break(at)
    this.#endValue(at)
    return at
  }

  #close(at: number): number {
    this.#closers.pop()
    if (this.#closers.length === 0) this.state = 'whole'
    else this.#endValue(at + 1)
    return at + 1
  }

  #endValue(end: number): void {
    this.#expected = 'comma'
    if (this.depth > 1) return
    if (this.#member === 'calls') {
      this.#findings.calls.push({ start: this.#valueStart, end: this.#offset + end })
    }
    this.#tellSource(end)
    this.#text?.end()
    this.#text = undefined
    if (this.#member === 'answer') this.#findings.answerEnd = this.#offset + end
    this.#member = undefined
  }

  #beginString(at: number, isKey: boolean): number {
    this.#expected = 'string'
    this.#inKey = isKey
    if (isKey && this.depth === 1) {
      this.#key = ''
      this.attempted = true
    }
    return at + 1
  }

  #readString(at: number): number {
    const piece = this.#piece
    if (this.#escape !== '') return this.#readEscape(piece.charAt(at), at)
    let end = at
    while (end < piece.length && isPlain(piece.charCodeAt(end))) end++
    if (end > at) this.#use(piece.slice(at, end))
    if (end === piece.length) return end
    const char = piece.charAt(end)
    if (char === '"') {
      if (this.#inKey) this.#expected = 'colon'
      else this.#endValue(end + 1)
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
    const source = this.#escape + char
    if (!ESCAPE_SO_FAR.test(source)) return this.#break(at)
    const isWhole = source.length === (source.startsWith('\\u') ? 6 : 2)
    this.#escape = isWhole ? '' : source
    if (isWhole) this.#use(JSON.parse(`"${source}"`))
    return at + 1
  }

  #use(text: string): void {
    if (this.depth > 1) return
    if (!this.#inKey) {
      if (this.#text?.form === 'decoded') this.#text.add(text)
    } else if (this.#key.length < MAX_WORD) {
      this.#key += text.slice(0, MAX_WORD)
    }
  }

  /** Tells what of a value's source has been read since it was last told. */
  #tellSource(end: number): void {
    if (this.#text === undefined || this.#text.form === 'decoded') return
    this.#text.add(this.#piece.slice(this.#sourceStart, end))
    this.#sourceStart = end
  }

  /** The grammar breaks at `at`: what stands there is left to be read as something else. */
  #break(at: number): number {
    this.state = 'broken'
    return at
  }
}

const MEMBERS: ReadonlyMap<string, EnvelopeChannel | 'calls'> = new Map([
  ['final_answer', 'answer'],
  ['tool_thought', 'thought'],
  ['plan', 'plan'],
  ['tool_calls', 'calls'],
])
/** Longer than any key that means something. */
const MAX_WORD = 32

type Expected = keyof typeof NEEDS

const NEEDS = {
  'first key': 'a key in double quotes or "}"',
  word: 'a key in double quotes or "}"',
  key: 'a key in double quotes',
  colon: '":"',
  'first item': 'a value or "]"',
  value: 'a value',
  comma: '"," or a closing bracket',
  string: 'a valid escape or character in a string',
  literal: 'a number, true, false or null',
}

const OPENINGS: ReadonlySet<Expected> = new Set(['first key', 'key', 'first item', 'value'])
const VALUE_STARTS = '"{[tfn-0123456789'
const LITERAL = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/
const ESCAPE_SO_FAR = /^\\(?:["\\/bfnrt]|u[\da-fA-F]{0,4})$/
/** The quotes that models put around keys. */
const QUOTES = '"\'“”‘’'
