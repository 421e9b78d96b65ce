import { ConfigurationError, shown } from '../errors.ts'
import type { MemoryBlock } from './block-state.ts'

/** Vectors of texts, one for each, in their order and all of one length: what an embedding model gives. */
export type Embed = (texts: readonly string[]) => readonly Vector[] | Promise<readonly Vector[]>

export type Vector = ArrayLike<number>

export interface BlockHit {
  readonly block: MemoryBlock
  /** Larger is better; comparable within one search only. */
  readonly score: number
}

/** The blocks that speak of words of the query, best first (BM25). Words that only begin alike count half. */
export function rankByWords(query: string, blocks: readonly MemoryBlock[]): BlockHit[] {
  const wanted = [...new Set(wordsOf(query))]
  const texts = blocks.map((block) => ({ block, words: wordsOf(textOfBlock(block)) }))
  const usualLength = texts.reduce((sum, { words }) => sum + words.length, 0) / texts.length
  const scores = new Map<MemoryBlock, number>()
  for (const word of wanted) {
    const found = texts
      .map(({ block, words }) => ({ block, length: words.length, count: occurrences(word, words) }))
      .filter(({ count }) => count > 0)
    // The rarer a word is, the more it says.
    const weight = Math.log(1 + (texts.length - found.length + 0.5) / (found.length + 0.5))
    for (const { block, length, count } of found) {
      const score = (weight * count * 2.2) / (count + 1.2 * (0.25 + (0.75 * length) / usualLength))
      scores.set(block, (scores.get(block) ?? 0) + score)
    }
  }
  return bestFirst(blocks, (block) => scores.get(block) ?? 0).filter(({ score }) => score > 0)
}

/** Ranks by likeness of vectors (cosine). A block is embedded once: it is immutable. */
export class MeaningIndex {
  readonly #vectors = new WeakMap<Embed, WeakMap<MemoryBlock, Vector>>()

  /** @throws ConfigurationError for an `embed` that does not give a vector for each text. What it throws is passed on. */
  async rank(query: string, blocks: readonly MemoryBlock[], embed: Embed): Promise<BlockHit[]> {
    const known = this.#vectors.get(embed) ?? new WeakMap<MemoryBlock, Vector>()
    this.#vectors.set(embed, known)
    const unknown = blocks.filter((block) => !known.has(block))
    const texts = [query, ...unknown.map(textOfBlock)]
    const vectors: unknown = await embed(texts)
    if (!Array.isArray(vectors) || vectors.length !== texts.length) {
      throw new ConfigurationError(
        'embed',
        `embed must give ${texts.length} vectors for ${texts.length} texts, got ${shown(vectors)}.`,
      )
    }
    const [wanted, ...found] = vectors as Vector[] // as many as was asked for; a wrong one scores nothing
    for (const [index, block] of unknown.entries()) known.set(block, found[index] ?? [])
    return bestFirst(blocks, (block) => likeness(wanted ?? [], known.get(block) ?? []))
  }
}

const textOfBlock = ({ label, description = '', content }: MemoryBlock) =>
  `${label}\n${description}\n${content}`

// Scripts that put no blanks between words are taken sign by sign.
const word = /[\p{Ideographic}\p{Script=Hiragana}\p{Script=Katakana}]|[\p{L}\p{M}\p{N}]+/gu

const wordsOf = (text: string): string[] => text.normalize('NFKC').toLowerCase().match(word) ?? []

function occurrences(wanted: string, words: readonly string[]): number {
  let count = 0
  for (const each of words) {
    if (each === wanted) count++
    else if (beginAlike(each, wanted)) count += 0.5
  }
  return count
}

// "invoice" and "invoices": other endings of one word, in many languages.
const beginAlike = (a: string, b: string) =>
  Math.min(a.length, b.length) >= 4 &&
  Math.abs(a.length - b.length) <= 3 &&
  (a.startsWith(b) || b.startsWith(a))

function likeness(a: Vector, b: Vector): number {
  let [product, ofA, ofB] = [0, 0, 0]
  for (let at = 0; at < a.length; at++) {
    const [x, y] = [a[at] ?? 0, b[at] ?? 0]
    product += x * y
    ofA += x * x
    ofB += y * y
  }
  return product === 0 ? 0 : product / Math.sqrt(ofA * ofB)
}

const bestFirst = (blocks: readonly MemoryBlock[], scoreOf: (block: MemoryBlock) => number): BlockHit[] =>
  blocks.map((block) => ({ block, score: scoreOf(block) })).sort((a, b) => b.score - a.score)
