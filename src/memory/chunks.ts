import { ConfigurationError, shown } from '../errors.ts'
import { checkOptions, fn, integer, number, oneOf, optional } from '../options.ts'
import { type Embed, embedded, likeness } from './meaning-search.ts'
import type { TokenCounter } from './memory.ts'
import {
  lineStarts,
  paragraphStarts,
  sectionStarts,
  sentenceStarts,
  type UnitStarts,
  wordStarts,
} from './text-units.ts'
import { TokenCounts } from './tokens.ts'

/** A part of a text, and what it repeats of the one before. */
export interface Chunk {
  readonly text: string
  /** What `text` begins with and the chunk before ends with; `''` if nothing is repeated. */
  readonly overlap: string
  /** Where `text` begins in the whole, as `slice` counts. */
  readonly start: number
}

export interface ChunkOptions {
  /** Tokens of a chunk, its overlap included, at most; at least 1. Only a single code point may have more. */
  readonly maxTokens: number
  /**
   * Tokens that a chunk repeats of the one before, at most; less than `maxTokens`. Fewer where there is no room for more, and
   * none where the topic changes. Default 0.
   */
  readonly overlapTokens?: number
  /**
   * What stays whole where it fits: what is from one Markdown heading to the next, a paragraph, or a sentence. What is too long
   * is split at the next smaller of them, then at lines, words and code points. Default `'paragraph'`.
   */
  readonly boundary?: 'heading' | 'paragraph' | 'sentence'
  /** How alike two neighbours are, of those that stay whole. Asked once for each two, without the blanks around them. */
  readonly similarity?: (a: string, b: string) => number
  /** Neighbours that are less alike than this are never in one chunk. Default 0.5. */
  readonly threshold?: number
  /** Default: `estimateTokens`. */
  readonly countTokens?: TokenCounter
}

/** As `ChunkOptions`, but how alike two neighbours are is the likeness of their vectors (cosine). */
export interface EmbeddedChunkOptions extends Omit<ChunkOptions, 'similarity'> {
  /** Each text is embedded once, at most 100 in one call. */
  readonly embed: Embed
}

/**
 * Cuts a text where its sense allows. Neighbours share a chunk as long as they fit and, with `similarity` or `embed`, are alike.
 * The chunks without their overlaps, put together, are the text, to the byte; an empty text has none. Takes time linear in the
 * length of the text.
 *
 * @throws ConfigurationError, and what `similarity` throws. With `embed`, as a rejection, and so is what that throws.
 */
export function chunkSemantically(text: string, options: ChunkOptions): Chunk[]
export function chunkSemantically(text: string, options: EmbeddedChunkOptions): Promise<Chunk[]>
export function chunkSemantically(
  text: string,
  options: ChunkOptions & Partial<EmbeddedChunkOptions>,
): Chunk[] | Promise<Chunk[]> {
  checkOptions('chunkSemantically()', options, {
    maxTokens: integer(1),
    overlapTokens: optional(integer(0)),
    boundary: optional(oneOf('heading', 'paragraph', 'sentence')),
    similarity: optional(fn()),
    embed: optional(fn()),
    threshold: optional(number()),
    countTokens: optional(fn()),
  })
  const { maxTokens, overlapTokens = 0, boundary = 'paragraph', similarity, embed, threshold = 0.5 } = options
  if (typeof text !== 'string') throw refused('text', 'must be a string', text)
  if (overlapTokens >= maxTokens) {
    throw refused('overlapTokens', `must be less than maxTokens (${maxTokens})`, overlapTokens)
  }
  if (similarity && embed) throw refused('embed', 'must be absent beside similarity', embed)

  const level = levels.indexOf(unitsOf[boundary])
  const starts = unitsOf[boundary](text)
  const topicsBy = (likenessBefore: (index: number) => number): Chunk[] => {
    const chunker = new Chunker(text, maxTokens, overlapTokens, options.countTokens)
    let from = 0
    for (const [index, start] of starts.entries()) {
      if (likenessBefore(index) >= threshold) continue
      chunker.addTopic(from, start, level)
      from = start
    }
    chunker.addTopic(from, text.length, level)
    return chunker.chunks
  }
  const units = () => partsOf(text, starts).map((unit) => unit.trim())
  if (embed) return byMeaning(units(), embed).then(topicsBy)
  return topicsBy(similarity ? bySimilarity(units(), similarity) : () => threshold)
}

/** From the coarsest on; what is too long for one of them is split at the next. */
const levels: readonly UnitStarts[] = [sectionStarts, paragraphStarts, sentenceStarts, lineStarts, wordStarts]

const unitsOf = { heading: sectionStarts, paragraph: paragraphStarts, sentence: sentenceStarts } as const

function bySimilarity(
  units: readonly string[],
  similarity: (a: string, b: string) => number,
): (index: number) => number {
  return (index) => {
    const score: unknown = similarity(units[index] ?? '', units[index + 1] ?? '')
    if (typeof score === 'number' && !Number.isNaN(score)) return score
    throw refused('similarity', 'must give a number', score)
  }
}

async function byMeaning(units: readonly string[], embed: Embed): Promise<(index: number) => number> {
  const vectors = units.length > 1 ? await embedded(units, embed) : []
  return (index) => likeness(vectors[index] ?? [], vectors[index + 1] ?? [])
}

function partsOf(text: string, starts: readonly number[]): string[] {
  return [0, ...starts].map((start, index) => text.slice(start, starts[index]))
}

function refused(path: string, says: string, value: unknown): ConfigurationError {
  const subject = path === 'text' ? 'text' : `chunkSemantically() option ${path}`
  return new ConfigurationError(path, `${subject} ${says}, got ${shown(value)}.`, { value })
}

class Chunker {
  readonly chunks: Chunk[] = []
  readonly #text: string
  readonly #maxTokens: number
  readonly #overlapTokens: number
  readonly #countTokens: TokenCounter
  /** Where the last chunk of the topic begins, its overlap not counted: what may be repeated. */
  #repeatable: number | undefined

  constructor(text: string, maxTokens: number, overlapTokens: number, countTokens: TokenCounter | undefined) {
    this.#text = text
    this.#maxTokens = maxTokens
    this.#overlapTokens = overlapTokens
    this.#countTokens = new TokenCounts(countTokens).text
  }

  addTopic(from: number, to: number, level: number): void {
    this.#repeatable = undefined
    this.#split(from, to, level)
  }

  /** Packs the units of a level; one that is too long is split by itself. */
  #split(from: number, to: number, level: number): void {
    const startsOf = levels[level]
    if (!startsOf) {
      this.#cut(from, to)
      return
    }
    const ends = startsOf(this.#text.slice(from, to)).map((start) => from + start)
    ends.push(to)
    let usual = 1
    for (let next = 0, at = from; at < to; at = ends[next - 1] ?? to) {
      const taken = this.#add(at, {
        count: ends.length - next,
        usual,
        endOf: (n) => ends[next + n - 1] ?? to,
      })
      if (taken === 0) this.#split(at, ends[next] ?? to, level + 1)
      next += Math.max(1, taken)
      usual = Math.max(1, taken)
    }
  }

  /** The last resort: between code points. */
  #cut(from: number, to: number): void {
    for (let at = from, usual = 1; at < to; ) {
      const endOf = (n: number) => this.#whole(at + n)
      const taken = this.#add(at, { count: to - at, usual, endOf })
      usual = Math.max(1, taken)
      if (taken === 0) this.#push(at, at, endOf(1))
      at = endOf(usual)
    }
  }

  /** Adds a chunk of as many units as fit, with as much overlap as leaves room for the first of them; 0 if that is too long. */
  #add(at: number, { count, usual, endOf }: Units): number {
    if (!this.#fits(at, endOf(1), this.#maxTokens)) return 0
    const start = this.#startBefore(at, endOf(1))
    const taken = furthest(count, usual, (n) => this.#fits(start, endOf(n), this.#maxTokens))
    this.#push(start, at, endOf(taken))
    return taken
  }

  #push(start: number, at: number, end: number): void {
    this.chunks.push({ text: this.#text.slice(start, end), overlap: this.#text.slice(start, at), start })
    this.#repeatable = at
  }

  #startBefore(at: number, end: number): number {
    const earliest = this.#repeatable ?? at
    for (let room = this.#overlapTokens; room > 0 && earliest < at; room = Math.floor(room / 2)) {
      const units = furthest(at - earliest, room, (n) => this.#fits(this.#whole(at - n), at, room))
      const start = this.#wordFrom(this.#whole(at - units), earliest, at)
      if (this.#fits(start, at, room) && this.#fits(start, end, this.#maxTokens)) return start
    }
    return at
  }

  /** The first word that begins in `start` or after it; `start` itself, if there is none. */
  #wordFrom(start: number, earliest: number, at: number): number {
    if (start === earliest || /\s/.test(this.#text.charAt(start - 1))) return start
    const blank = this.#text.slice(start, at).search(/\s\S/)
    return blank < 0 ? start : start + blank + 1
  }

  #fits(start: number, end: number, maxTokens: number): boolean {
    return this.#countTokens(this.#text.slice(start, end)) <= maxTokens
  }

  /** `at`, or the end of the code point that it is in the middle of. */
  #whole(at: number): number {
    return isHighSurrogate(this.#text.charCodeAt(at - 1)) && isLowSurrogate(this.#text.charCodeAt(at))
      ? at + 1
      : at
  }
}

/** What a chunk is made of next. */
interface Units {
  readonly count: number
  /** How many may fit: where the search begins. */
  readonly usual: number
  /** Where the first `n` of them end. */
  readonly endOf: (n: number) => number
}

/** The largest `n` up to `count` that fits, found near `usual`; 0 if not even 1 does. */
function furthest(count: number, usual: number, fits: (n: number) => boolean): number {
  let most = 0
  let tooMany = count + 1
  for (let n = Math.min(usual, count), step = 1; tooMany - most > 1; step *= 2) {
    if (fits(n)) most = n
    else tooMany = n
    // Away from where the search began until it is between the two, then half-way between them.
    if (most === 0) n = Math.max(1, tooMany - step)
    else if (tooMany > count) n = Math.min(count, most + step)
    else n = Math.floor((most + tooMany) / 2)
  }
  return most
}

const isHighSurrogate = (unit: number) => unit >= 0xd800 && unit <= 0xdbff

const isLowSurrogate = (unit: number) => unit >= 0xdc00 && unit <= 0xdfff
