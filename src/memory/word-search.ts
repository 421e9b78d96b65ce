export interface Hit<Item> {
  readonly item: Item
  /** Larger is better; comparable within one search only. */
  readonly score: number
}

/** Ranks texts by their words (BM25). The words of an item are found once: items are immutable. */
export class WordIndex<Item extends object> {
  readonly #textOf: (item: Item) => string
  readonly #known = new WeakMap<Item, Words>()

  constructor(textOf: (item: Item) => string) {
    this.#textOf = textOf
  }

  /** The items that speak of words of the query, best first; of equals, the first. Words that only begin alike count half. */
  rank(query: string, items: readonly Item[]): Hit<Item>[] {
    const texts = items.map((item) => this.#wordsOf(item))
    const usualLength = texts.reduce((sum, { length }) => sum + length, 0) / texts.length
    const scores = new Float64Array(texts.length)
    for (const word of wordsOfQuery(query)) {
      const counts = texts.map((words) => occurrences(word, words))
      const found = counts.filter((count) => count > 0).length
      // The rarer a word is, the more it says.
      const weight = Math.log(1 + (texts.length - found + 0.5) / (found + 0.5))
      for (const [index, { length }] of texts.entries()) {
        const count = counts[index] ?? 0
        const saturation = count + 1.2 * (0.25 + (0.75 * length) / usualLength)
        if (count > 0) scores[index] = (scores[index] ?? 0) + (weight * count * 2.2) / saturation
      }
    }
    const hits = items.map((item, index) => ({ item, score: scores[index] ?? 0 }))
    return hits.filter(({ score }) => score > 0).sort((a, b) => b.score - a.score)
  }

  #wordsOf(item: Item): Words {
    const known = this.#known.get(item)
    if (known) return known
    const found = wordsOf(this.#textOf(item))
    const words = { list: ` ${found.join(' ')} `, length: found.length }
    this.#known.set(item, words)
    return words
  }
}

/**
 * Where in `text` words of the query stand closest together: the start of the first of them, in UTF-16 code units. `size` is
 * how far apart they may be. 0 if there are none.
 */
export function bestPlace(query: string, text: string, size: number): number {
  const wanted = wordsOfQuery(query)
  const places: { readonly at: number; readonly word: string }[] = []
  for (const { 0: found, index } of text.matchAll(word)) {
    const folded = fold(found)
    const meant = wanted.find((each) => each === folded || beginAlike(each, folded))
    if (meant !== undefined) places.push({ at: index, word: meant })
  }
  let best = 0
  let most = 0
  let last = 0
  const within = new Map<string, number>()
  for (const { at, word } of places) {
    for (let next = places[last]; next && next.at < at + size; next = places[++last]) {
      within.set(next.word, (within.get(next.word) ?? 0) + 1)
    }
    if (within.size > most) [best, most] = [at, within.size]
    const left = (within.get(word) ?? 0) - 1
    if (left > 0) within.set(word, left)
    else within.delete(word)
  }
  return best
}

/** The words of a text in one string, with a blank before and after each: that takes least room, and is searched fastest. */
interface Words {
  readonly list: string
  readonly length: number
}

// Scripts that put no blanks between words are taken sign by sign.
const word = /[\p{Ideographic}\p{Script=Hiragana}\p{Script=Katakana}]|[\p{L}\p{M}\p{N}]+/gu

const fold = (text: string): string => text.normalize('NFKC').toLowerCase()

const wordsOf = (text: string): string[] => fold(text).match(word) ?? []

// More say nothing new, and each costs a look at all texts.
const mostWords = 50

const wordsOfQuery = (query: string): string[] => [...new Set(wordsOf(query))].slice(0, mostWords)

function occurrences(wanted: string, { list }: Words): number {
  // What all words that count begin with. Searched without the blank before it: that stands before every word.
  const stem =
    wanted.length < shortestStem
      ? wanted
      : wanted.slice(0, Math.max(shortestStem, wanted.length - longestEnding))
  let count = 0
  for (let at = list.indexOf(stem); at >= 0; at = list.indexOf(stem, at + 1)) {
    if (list[at - 1] !== ' ') continue
    const each = list.slice(at, list.indexOf(' ', at))
    if (each === wanted) count++
    else if (beginAlike(each, wanted)) count += 0.5
  }
  return count
}

const shortestStem = 4
const longestEnding = 3

// "invoice" and "invoices": other endings of one word, in many languages.
const beginAlike = (a: string, b: string) =>
  Math.min(a.length, b.length) >= shortestStem &&
  Math.abs(a.length - b.length) <= longestEnding &&
  (a.startsWith(b) || b.startsWith(a))
