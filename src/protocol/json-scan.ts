import { type EnvelopeChannel, type Findings, ObjectReader, type Span } from './json-object.ts'
import { isSpace, isWord } from './json-text.ts'

/**
 * Finds the envelopes in a reply fed in pieces of any size and tells the text of their answers, thoughts and plans as it
 * arrives. It reads from left to right, each code unit once or twice, whatever the input: the stream of a reply and the
 * reading of it as a whole agree because both are this.
 */
export class ReplyScanner implements Findings {
  readonly tell: (channel: EnvelopeChannel, text: string) => void
  readonly claims = new Map<EnvelopeChannel, number>()
  readonly calls: Span[] = []
  answerEnd: number | undefined
  tooDeep = false
  /** The well-formed objects that are part of no other. */
  readonly objects: Span[] = []
  /** How many of them have a key of the protocol. */
  envelopes = 0
  readonly damages: Damage[] = []
  /** There is more than objects, fences and space. */
  prose = false

  /** What is being read; prose if neither. */
  #object: ObjectReader | undefined
  #damage: DamageReader | undefined
  /** Where that object starts, and what was wrong with it first. */
  #start = 0
  #ours = false
  #flaw = ''
  /** The length of all pieces before this one. */
  #offset = 0
  /** The last character that is not space. */
  #last = ''

  constructor(tell: (channel: EnvelopeChannel, text: string) => void) {
    this.tell = tell
  }

  /** Nothing that was meant as JSON has broken its grammar so far. */
  get isSound(): boolean {
    return this.#damage === undefined && this.damages.length === 0 && !this.tooDeep
  }

  feed(piece: string): void {
    let at = 0
    while (at < piece.length) {
      if (this.#object !== undefined) at = this.#readObject(this.#object, piece, at)
      else if (this.#damage !== undefined) at = this.#readDamage(this.#damage, piece, at)
      else at = this.#readProse(piece, at)
    }
    this.#offset += piece.length
    this.#last = piece.trimEnd().at(-1) ?? this.#last
  }

  /** To be called once, after the last piece. */
  end(): void {
    if (this.#ticks > 0) this.prose = true
    const inString = this.#object?.inString ?? false
    if (this.#object !== undefined) {
      this.#ours = this.#object.ours
      this.#flaw = `it is cut off at character ${this.#offset}`
    } else if (this.#damage === undefined) return
    this.#endDamage(this.#offset, inString || this.#last !== '}')
  }

  #ticks = 0
  /** What of a fence's label has been read. */
  #label: string | undefined
  /** Where an object may be an envelope: in a fence of another language only if it stands first. */
  #envelopesAllowed: 'anywhere' | 'first' | 'nowhere' = 'anywhere'

  #readProse(piece: string, at: number): number {
    const char = piece.charAt(at)
    if (this.#label !== undefined && this.#readLabel(this.#label, char)) return at + 1
    if (char === '`') {
      if (++this.#ticks === 3) this.#openFence()
      return at + 1
    }
    if (this.#ticks > 0) this.prose = true
    this.#ticks = 0
    if (char.trim() === '') return at + 1
    if (char === '{' && this.#envelopesAllowed !== 'nowhere') {
      this.#start = this.#offset + at
      this.#object = new ObjectReader(this, this.#start)
    } else {
      this.prose = true
    }
    if (this.#envelopesAllowed === 'first') this.#envelopesAllowed = 'nowhere'
    return at + 1
  }

  /** A closing fence is an opening one without a label: what follows is read like any prose. */
  #openFence(): void {
    this.#ticks = 0
    this.#label = ''
  }

  /** False once the label is over. */
  #readLabel(label: string, char: string): boolean {
    if (char === '`' && label === '') return true
    if (isWord(char)) {
      if (label.length <= LONGEST_LABEL) this.#label += char
      return true
    }
    this.#envelopesAllowed = PLAIN_LABELS.has(label.toLowerCase()) ? 'anywhere' : 'first'
    this.#label = undefined
    return false
  }

  #readObject(object: ObjectReader, piece: string, from: number): number {
    const at = object.read(piece, from, this.#offset)
    if (object.state === 'reading') return at
    this.#object = undefined
    const end = this.#offset + at
    if (object.state === 'whole') {
      this.objects.push({ start: this.#start, end })
      if (object.ours) this.envelopes++
    } else if (object.ours || (object.attempted && !this.prose)) {
      this.#ours = object.ours
      this.#flaw = `at character ${end} there should be ${object.need}`
      this.#damage = new DamageReader(object)
    } else {
      this.prose = true
    }
    return at
  }

  #readDamage(damage: DamageReader, piece: string, from: number): number {
    const at = damage.read(piece, from)
    if (damage.end === undefined) return at
    this.#endDamage(this.#offset + at - (damage.end === 'fence' ? 3 : 0), false)
    if (damage.end === 'fence') this.#openFence()
    return at
  }

  #endDamage(end: number, open: boolean): void {
    this.#object = undefined
    this.#damage = undefined
    if (this.#ours || !this.prose) {
      this.damages.push({ start: this.#start, end, ours: this.#ours, open, flaw: this.#flaw })
    } else {
      this.prose = true
    }
  }
}

/** Fences that are read like prose: they hold JSON or say nothing about what they hold. */
const PLAIN_LABELS = new Set(['', 'json', 'jsonc', 'json5', 'text', 'txt', 'plaintext'])
const LONGEST_LABEL = 16

/** An object of a reply that breaks off or breaks JSON's grammar. */
export interface Damage extends Span {
  /** It has a key of the protocol, so it was meant as an envelope. */
  readonly ours: boolean
  /** It was cut off: nobody knows how it would have gone on. */
  readonly open: boolean
  /** What was wrong first, and where. */
  readonly flaw: string
}

/** Looks for the end of a damaged object: where its brackets close outside strings, or its fence does. */
class DamageReader {
  end: 'bracket' | 'fence' | undefined
  #depth: number
  /** The quote that ends the string being read. */
  #quote: string | undefined
  /** A string may begin here: elsewhere a quote is just one more thing that is wrong. */
  #atOpening: boolean
  #escaped = false
  #ticks = 0

  constructor(broken: { readonly depth: number; readonly inString: boolean; readonly atOpening: boolean }) {
    this.#depth = broken.depth
    this.#quote = broken.inString ? '"' : undefined
    this.#atOpening = broken.atOpening
  }

  /** Reads on at `from`; returns where the piece ended, or what follows the object or the three backticks. */
  read(piece: string, from: number): number {
    let at = from
    while (at < piece.length && this.end === undefined) {
      const char = piece.charAt(at++)
      if (this.#quote !== undefined) this.#readQuoted(char)
      else this.#readUnquoted(char)
    }
    return at
  }

  #readQuoted(char: string): void {
    if (this.#escaped) {
      this.#escaped = false
    } else if (char === '\\') {
      this.#escaped = true
    } else if (char === this.#quote) {
      this.#quote = undefined
      this.#atOpening = false
    }
  }

  #readUnquoted(char: string): void {
    this.#ticks = char === '`' ? this.#ticks + 1 : 0
    if (this.#ticks === 3) this.end = 'fence'
    if (isSpace(char)) return
    if (this.#atOpening && (char === '"' || char === "'")) this.#quote = char
    else if ('{['.includes(char)) this.#depth++
    else if ('}]'.includes(char) && --this.#depth <= 0) this.end = 'bracket'
    this.#atOpening = '{[,:'.includes(char)
  }
}
