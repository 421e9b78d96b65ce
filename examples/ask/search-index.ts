import type { Passage } from './passages.ts'
import { contentWords, otherWords, stemsOf } from './words.ts'

/** A passage that was found. */
export interface Hit {
  readonly passage: Passage
  readonly score: number
  /** How much of what was looked for it speaks of, from 0 to 1: rare words count for more. */
  readonly coverage: number
}

export interface Findings {
  /** Best first. */
  readonly hits: readonly Hit[]
  /** Words that were looked for and stand nowhere. */
  readonly unknown: readonly string[]
}

interface Indexed {
  readonly passage: Passage
  readonly counts: ReadonlyMap<string, number>
  /** What the name of the file says. */
  readonly subject: ReadonlySet<string>
  readonly length: number
  readonly weight: number
}

/** Finds passages by words: BM25, in which headings count more than text and documentation more than source. */
export class SearchIndex {
  readonly #passages: readonly Indexed[]
  readonly #stems = new Set<string>()
  /** How many passages for people have a stem; how often source repeats a word says little of how telling it is. */
  readonly #holders = new Map<string, number>()
  readonly #prose: number
  readonly #meanLength: number

  constructor(passages: readonly Passage[]) {
    this.#passages = passages.map(indexed)
    const prose = this.#passages.filter(({ passage }) => passage.path.endsWith('.md'))
    this.#prose = prose.length
    for (const { counts } of this.#passages) for (const stem of counts.keys()) this.#stems.add(stem)
    for (const { counts } of prose) {
      for (const stem of counts.keys()) this.#holders.set(stem, (this.#holders.get(stem) ?? 0) + 1)
    }
    const lengths = this.#passages.reduce((sum, { length }) => sum + length, 0)
    this.#meanLength = Math.max(1, lengths / Math.max(1, this.#passages.length))
  }

  find(query: string, limit: number): Findings {
    const words = contentWords(query)
    const hits = this.#passages
      .map((candidate) =>
        this.#hit(
          candidate,
          words.map(({ stem }) => stem),
        ),
      )
      .filter(({ score }) => score > 0)
      .sort((a, b) => b.score - a.score)
    const unknown = words.filter(({ stem }) => !this.#stems.has(stem)).map(({ text }) => text)
    return { hits: hits.slice(0, limit), unknown }
  }

  #hit(candidate: Indexed, stems: readonly string[]): Hit {
    let wanted = 0
    let met = 0
    let relevance = 0
    for (const stem of stems) {
      const rarity = this.#rarity(stem)
      wanted += rarity
      const own = this.#frequency(candidate, stem)
      const akin = Math.max(0, ...otherWords(stem).map((other) => this.#frequency(candidate, other)))
      const frequency = Math.max(own, akin * kinship)
      relevance += rarity * frequency
      if (frequency > 0) met += own > 0 ? rarity : rarity * kinship
    }
    const coverage = wanted === 0 ? 0 : met / wanted
    const isSubject = stems.some((stem) => candidate.subject.has(stem))
    return {
      passage: candidate.passage,
      score: relevance * coverage * candidate.weight * (isSubject ? subjectWeight : 1),
      coverage,
    }
  }

  /** How telling a word is: one that stands in no text is the most telling of all. */
  #rarity(stem: string): number {
    const holders = this.#holders.get(stem) ?? 0
    return Math.log(1 + (this.#prose - holders + 0.5) / (holders + 0.5))
  }

  #frequency({ counts, length }: Indexed, stem: string): number {
    const count = counts.get(stem) ?? 0
    return (count * 2.2) / (count + 1.2 * (0.3 + 0.7 * (length / this.#meanLength)))
  }
}

/** What another word for it counts, where the word itself would count 1. */
const kinship = 0.7

/** A word counts as so many in the text where a passage has it in its own heading, or in those above it and its path. */
const headingWeight = 3
const placeWeight = 1

/** A page about what was asked is likely to be the place. */
const subjectWeight = 1.2

/** A few words that happen to hit are no better than many that tell. */
const leastLength = 60

function indexed(passage: Passage): Indexed {
  const counts = new Map<string, number>()
  const add = (stem: string, weight: number) => counts.set(stem, (counts.get(stem) ?? 0) + weight)
  // A question that is shown as an example of how to ask is no answer to it, and an import says nothing.
  const stems = stemsOf(passage.text.replace(/^(?:.*npm start -- .*|import .* from .*)$/gm, ''))
  for (const stem of stems) add(stem, 1)
  const above = passage.heading.split(' › ')
  const own = above.pop() ?? ''
  for (const stem of new Set(stemsOf(own))) add(stem, headingWeight)
  for (const stem of new Set(stemsOf(`${above.join(' ')} ${passage.path}`))) add(stem, placeWeight)
  const subject = new Set(stemsOf(passage.path.replace(/^.*\/|\.\w+$/g, '')))
  return { passage, counts, subject, length: Math.max(stems.length, leastLength), weight: weightOf(passage) }
}

/** Guides come first, then lists of entries, what is written for contributors, examples, source; signposts are last. */
function weightOf({ path, text }: Passage): number {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  const links = lines.filter((line) => /\]\([^)]*\.md[#)]/.test(line)).length
  const isSignpost = path.endsWith('.md') && links * 2 > lines.length
  const [, weight = 0.4] = weights.find(([paths]) => paths.test(path)) ?? []
  return isSignpost ? weight * 0.15 : weight
}

const weights: readonly (readonly [RegExp, number])[] = [
  [/^(?:CHANGELOG|AGENTS)\.md$|^docs\/(?:architecture|decisions)/, 0.35],
  [/^docs\/(?:errors|events)\.md$/, 0.9],
  [/\.md$/, 1],
  // The words of this program are those of questions, not of answers.
  [/^examples\/ask\//, 0.1],
  [/^examples\//, 0.5],
]
