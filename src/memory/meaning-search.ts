import { untilAborted } from '../abort.ts'
import { ConfigurationError, shown } from '../errors.ts'
import type { Hit } from './word-search.ts'

/** Vectors of texts, one for each, in their order and all of one length: what an embedding model gives. */
export type Embed = (texts: readonly string[]) => readonly Vector[] | Promise<readonly Vector[]>

export type Vector = ArrayLike<number>

/** Ranks by likeness of vectors (cosine). An item is embedded once: it is immutable. */
export class MeaningIndex<Item extends object> {
  readonly #textOf: (item: Item) => string
  readonly #vectors = new WeakMap<Embed, WeakMap<Item, Vector>>()

  constructor(textOf: (item: Item) => string) {
    this.#textOf = textOf
  }

  /**
   * All items, the nearest first. What is not known yet is embedded at most 100 texts at a time; what was, stays known
   * when a later call of `embed` fails.
   *
   * @throws ConfigurationError for an `embed` that does not give a vector for each text. What it throws is passed on, and so
   * is the reason of the signal.
   */
  async rank(
    query: string,
    items: readonly Item[],
    embed: Embed,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<Hit<Item>[]> {
    const known = this.#vectors.get(embed) ?? new WeakMap<Item, Vector>()
    this.#vectors.set(embed, known)
    const unknown = items.filter((item) => !known.has(item))
    const [first, ...others] = batchesOf(unknown, batchSize)
    const [wanted = [], ...found] = await vectorsOf([query, ...first.map(this.#textOf)], embed, signal)
    for (const [index, item] of first.entries()) known.set(item, found[index] ?? [])
    for (const batch of others) {
      const vectors = await vectorsOf(batch.map(this.#textOf), embed, signal)
      for (const [index, item] of batch.entries()) known.set(item, vectors[index] ?? [])
    }
    const hits = items.map((item) => ({ item, score: likeness(wanted, known.get(item) ?? []) }))
    return hits.sort((a, b) => b.score - a.score)
  }
}

/**
 * The vectors of texts, of at most 100 in one call.
 *
 * @throws As `MeaningIndex.rank` does.
 */
export async function embedded(texts: readonly string[], embed: Embed): Promise<Vector[]> {
  const vectors: Vector[] = []
  const { signal } = new AbortController()
  for (const batch of batchesOf(texts, batchSize)) vectors.push(...(await vectorsOf(batch, embed, signal)))
  return vectors
}

// Embedding models take some thousand texts at once, or fewer.
const batchSize = 100

/** The first may be empty. */
function batchesOf<Item>(items: readonly Item[], size: number): [Item[], ...Item[][]] {
  const rest: Item[][] = []
  for (let from = size; from < items.length; from += size) rest.push(items.slice(from, from + size))
  return [items.slice(0, size), ...rest]
}

async function vectorsOf(
  texts: readonly string[],
  embed: Embed,
  signal: AbortSignal,
): Promise<readonly Vector[]> {
  // Within an async function, so that what it throws at once is a rejection too.
  const vectors: unknown = await untilAborted((async () => embed(texts))(), signal)
  if (Array.isArray(vectors) && vectors.length === texts.length) {
    return vectors as Vector[] // as many as was asked for; a wrong one scores nothing
  }
  throw new ConfigurationError(
    'embed',
    `embed must give ${texts.length} vectors for ${texts.length} texts, got ${shown(vectors)}.`,
  )
}

/** The cosine of the angle between two vectors. */
export function likeness(a: Vector, b: Vector): number {
  let [product, ofA, ofB] = [0, 0, 0]
  for (let at = 0; at < a.length; at++) {
    const [x, y] = [a[at] ?? 0, b[at] ?? 0]
    product += x * y
    ofA += x * x
    ofB += y * y
  }
  return product === 0 ? 0 : product / Math.sqrt(ofA * ofB)
}
