/** A word of a text, as it stands there, and what all its forms have in common. */
export interface Word {
  readonly text: string
  readonly stem: string
}

/** The words that say what a text is about, each stem once, in order. `runStream` counts as itself, `run` and `stream`. */
export function contentWords(text: string): Word[] {
  const found = new Map<string, Word>()
  for (const word of wordsOf(text)) if (!found.has(word.stem)) found.set(word.stem, word)
  return [...found.values()]
}

/** The stems of a text, repeated as they are in it. */
export function stemsOf(text: string): string[] {
  return wordsOf(text).map(({ stem }) => stem)
}

/** What else documentation may call it: other words for a stem. */
export function otherWords(stem: string): readonly string[] {
  return kin.get(stem) ?? []
}

function wordsOf(text: string): Word[] {
  const words: Word[] = []
  for (const [name] of text.matchAll(/[\p{L}\p{N}]+(?:'[\p{L}]+)?/gu)) {
    const parts = name.split(/(?<=[\p{Ll}\p{N}])(?=\p{Lu})/u)
    const pieces = parts.length > 1 ? [name, ...parts] : [name]
    for (const piece of pieces) {
      const lower = piece.toLowerCase().replace(/'.*$/, '')
      // A part of a name is no filler: the `to` of `stepTo` is, but nobody looks for it either.
      if (lower.length > 1 && !fillers.has(lower)) words.push({ text: lower, stem: stem(lower) })
    }
  }
  return words
}

/** Cuts the endings that English puts on a word. Rough, and the same on both sides, which is what counts. */
function stem(word: string): string {
  const known = irregular.get(word)
  if (known !== undefined) return known
  const singular = word.endsWith('ies') && word.length > 4 ? `${word.slice(0, -3)}y` : withoutS(word)
  const base = singular.length > 5 ? singular.replace(/(?:ing|ed|(?<=[st])ion)$/, '') : singular
  const single = base !== singular && /([^aeiouls])\1$/.test(base) ? base.slice(0, -1) : base
  return single.length > 3 && single.endsWith('e') ? single.slice(0, -1) : single
}

function withoutS(word: string): string {
  if (word.length < 4 || !word.endsWith('s') || /(?:ss|us|is)$/.test(word)) return word
  return /(?:sh|ch|x|ss)es$/.test(word) ? word.slice(0, -2) : word.slice(0, -1)
}

const fillers = new Set(
  (
    'a about actually all also am an and any anyone are as at be been being best build but by can cannot ' +
    'could create creating define describe did do does doing don done each else ever every explain for ' +
    'from get gets getting give go going got had happen happens has have having he hello help here hi ' +
    'how however if implement in into is isn it its just know let like ll long made make makes making ' +
    'many may me mean means might more most much must my need needs no nor not of off on one onto or our ' +
    'out over please re really same shall she should show so some something such support supported ' +
    'supports take takes tell tercet than thank thanks that the their them then there these they thing ' +
    'things this those to too took up us use used uses using ve very via want was way ways we were what ' +
    'whatever when where whether which while who whom whose why will with within won work ' +
    'working works would write writing yes yet you your'
  ).split(' '),
)

const irregular = new Map(
  Object.entries({
    broke: 'break',
    broken: 'break',
    chosen: 'choos',
    chose: 'choos',
    gave: 'giv',
    given: 'giv',
    hid: 'hid',
    hidden: 'hid',
    hide: 'hid',
    hides: 'hid',
    hiding: 'hid',
    kept: 'keep',
    ran: 'run',
    running: 'run',
    sent: 'send',
    threw: 'throw',
    thrown: 'throw',
  }),
)

/** Words that people and documentation use for the same thing; each line is one thing. */
const synonyms = [
  'stop abort cancel interrupt end',
  'error failure exception fail throw crash',
  'typed structured schema output json',
  'secret hidden key credential password token',
  'save persist store storage keep disk database durable',
  'history memory conversation remember transcript',
  'local ollama offline',
  'cost price usage budget money',
  'retry again attempt',
  'parallel concurrent concurrency simultaneous',
  'approve approval confirm permission',
  'install setup start begin',
  'mock fake test scripted',
  'max limit maximum most',
  'prompt instructions system',
  'picture image photo',
  'config configuration configure setting option',
]

const kin: ReadonlyMap<string, readonly string[]> = kinOf(synonyms)

function kinOf(lines: readonly string[]): Map<string, readonly string[]> {
  const found = new Map<string, readonly string[]>()
  for (const line of lines) {
    const stems = line.split(' ').map(stem)
    for (const one of stems) {
      found.set(one, [...new Set([...(found.get(one) ?? []), ...stems.filter((other) => other !== one)])])
    }
  }
  return found
}
