import { type Message, system, textOf } from '../messages.ts'
import { checkOptions, fn, integer, oneOf, optional, that } from '../options.ts'
import { cutLongest } from './cut.ts'
import { dropInOrder, droppableUnits, type Pinned, pinnedPlaces } from './drop.ts'
import type { AgentMemory, MemoryContext } from './memory.ts'
import { CountsByCounter, defaultBudgetTokens, firstCodePoints, type TokenCounts } from './tokens.ts'
import { hasCalls, type Unit } from './units.ts'

export interface TurnPruningMemoryOptions {
  /** Tokens of history, at least 1. Default: what the context window leaves; 8,000 if it is unknown. */
  readonly maxTokens?: number
  /**
   * Turns at the end that are not pruned, at least 1; the newest user message begins the last of them. What of them is
   * above `maxTokens` still goes: first the oldest exchanges, of the newest turn at last, then the oldest messages. Default 10.
   */
  readonly minRetainTurns?: number
  /** The part of `maxTokens` above which turns are pruned: more than 0, at most 1. Default 0.8. */
  readonly pruneThreshold?: number
  /**
   * Says what was in the messages it is given; `''` says nothing. Asked once each time that turns are pruned, and once
   * more where appended summaries give way to one. Default: how many messages there were, and how the first and the last
   * of them began. What is longer than a quarter of `maxTokens` is cut.
   */
  readonly summarize?: (pruned: readonly Message[]) => string | Promise<string>
  /**
   * `'rolling'`: one summary stands for all the messages pruned so far. `'append'`: each pruning adds a summary of its own,
   * so that what was sent stays at the beginning of each request; when they take up more than a quarter of `maxTokens`, one
   * stands for all again. Default `'rolling'`.
   */
  readonly summaryMode?: 'rolling' | 'append'
  /** Messages of which it is true stay, before the summary. Default: none but system messages. */
  readonly pinned?: (message: Message) => boolean
}

/**
 * Forgets whole turns. A history that grows above the threshold loses all its turns but the newest, and a summary, a
 * system message, stands for them. System messages stay, and what a history was pruned to stays as it is until it has
 * grown above the threshold again. A summary longer than what it stands for costs no retained turn: if the whole history fits
 * and the pruned one does not, it is sent whole.
 */
export class TurnPruningMemory implements AgentMemory {
  readonly #maxTokens: number | undefined
  readonly #minRetainTurns: number
  readonly #pruneThreshold: number
  readonly #summarize: TurnPruningMemoryOptions['summarize']
  readonly #summaryMode: 'rolling' | 'append'
  readonly #pinned: Pinned | undefined
  readonly #counts = new CountsByCounter()
  /** By the last message of each pruning. */
  readonly #prunings = new WeakMap<Message, Pruning>()

  /** @throws ConfigurationError */
  constructor(options: TurnPruningMemoryOptions = {}) {
    checkOptions('TurnPruningMemory', options, {
      maxTokens: optional(integer(1)),
      minRetainTurns: optional(integer(1)),
      pruneThreshold: optional(
        that('a number above 0 and up to 1', (value) => typeof value === 'number' && value > 0 && value <= 1),
      ),
      summarize: optional(fn()),
      summaryMode: optional(oneOf('rolling', 'append')),
      pinned: optional(fn()),
    })
    const { maxTokens, minRetainTurns = 10, pruneThreshold = 0.8, summaryMode = 'rolling' } = options
    this.#maxTokens = maxTokens
    this.#minRetainTurns = minRetainTurns
    this.#pruneThreshold = pruneThreshold
    this.#summarize = options.summarize
    this.#summaryMode = summaryMode
    this.#pinned = options.pinned
  }

  async manageHistory(history: readonly Message[], context: MemoryContext): Promise<readonly Message[]> {
    const counts = this.#counts.of(context.countTokens)
    const maxTokens = this.#maxTokens ?? context.budgetTokens ?? defaultBudgetTokens
    const threshold = Math.floor(maxTokens * this.#pruneThreshold)
    const pinned = pinnedPlaces(history, this.#pinned)
    const turns: number[] = []
    // What stands before the turns that are kept: summaries, and what stayed of the turns that are not.
    let head: readonly Message[] = []
    let keptFrom = 0
    let tokens = 0
    let pruning: Pruning | undefined
    // Message by message, as it grew: what was pruned at each point does not depend on what came later.
    for (const [at, message] of history.entries()) {
      if (message.role === 'user') turns.push(at)
      tokens += counts.message(message)
      const from = turns.at(-this.#minRetainTurns) ?? 0
      if (tokens <= threshold || from <= keptFrom) continue
      const stayed: Message[] = []
      const pruned: Message[] = []
      for (const [place, each] of history.slice(keptFrom, from).entries()) {
        const stays = each.role === 'system' || pinned.has(keptFrom + place)
        if (stays) stayed.push(each)
        else pruned.push(each)
      }
      keptFrom = from
      const before = pruning?.summaries ?? []
      if (pruned.length > 0) pruning = await this.#prune(pruned, pruning, counts, maxTokens)
      const summaries = pruning?.summaries ?? []
      const standing = new Set(summaries)
      const gone = new Set(before.filter((summary) => !standing.has(summary)))
      const added = summaries.filter((summary) => !before.includes(summary))
      head = [...head.filter((each) => !gone.has(each)), ...stayed, ...added]
      tokens += counts.messages(added) - counts.messages([...gone]) - counts.messages(pruned)
    }
    const messages = keptFrom === 0 ? history : [...head, ...history.slice(keptFrom)]
    const within = this.#withinLimit(messages, counts, maxTokens)
    // A summary may be longer than the few words it stands for: no turn that is to stay goes for it.
    const isVain = within !== messages && counts.history(history) <= maxTokens
    return isVain ? history : within
  }

  /** Also what is retained may be too much. */
  #withinLimit(messages: readonly Message[], counts: TokenCounts, limit: number): readonly Message[] {
    const newestTurn = messages.findLastIndex(({ role }) => role === 'user')
    const isOldExchange = ({ start }: Unit) => start < newestTurn && hasCalls(messages[start])
    const units = droppableUnits(messages, this.#pinned)
    const order = [...units.filter(isOldExchange), ...units.filter((unit) => !isOldExchange(unit))]
    return dropInOrder(messages, order, { limit, sizeOf: (message) => counts.message(message) })
  }

  async #prune(
    pruned: readonly Message[],
    earlier: Pruning | undefined,
    counts: TokenCounts,
    maxTokens: number,
  ): Promise<Pruning> {
    const last = pruned.at(-1)
    const known = last && this.#prunings.get(last)
    if (known && known.earlier === earlier && isSame(known.pruned, pruned)) return known
    const made = { pruned, tally: tallyOf(pruned, earlier?.tally), ...(earlier && { earlier }) }
    const pruning = { ...made, summaries: await this.#summaries(made, counts, maxTokens) }
    if (last) this.#prunings.set(last, pruning)
    return pruning
  }

  async #summaries(
    { pruned, tally, earlier }: Omit<Pruning, 'summaries'>,
    counts: TokenCounts,
    maxTokens: number,
  ): Promise<readonly Message[]> {
    const limit = Math.floor(maxTokens / 4)
    // Not to what is left just now: it would be another text with each request.
    const cut = (summary: readonly Message[]) =>
      cutLongest(summary, counts, { limit, keep: 'start', mayCut: () => true })
    const before = earlier?.summaries ?? []
    if (this.#summaryMode === 'append') {
      const own = await this.#summary(pruned, tallyOf(pruned))
      if (before.length === 0) return cut(own)
      const summaries = [...before, ...own]
      if (counts.messages(summaries) <= limit) return summaries
    }
    return cut(await this.#summary(allPruned(pruned, earlier), tally))
  }

  /** None, if there is nothing to say. */
  async #summary(pruned: readonly Message[], tally: Tally): Promise<readonly Message[]> {
    const summarize = this.#summarize
    const text: unknown = summarize ? await summarize(pruned) : countSummary(tally)
    if (typeof text !== 'string') throw new TypeError('summarize must give a string.')
    return text.trim() === '' ? [] : [system(text)]
  }
}

/** Turns that were pruned together, after those of `earlier`. */
interface Pruning {
  readonly pruned: readonly Message[]
  readonly earlier?: Pruning
  /** Of these and all earlier ones. */
  readonly tally: Tally
  /** What stands for these and all earlier ones. */
  readonly summaries: readonly Message[]
}

function allPruned(pruned: readonly Message[], earlier: Pruning | undefined): readonly Message[] {
  const parts = [pruned]
  for (let before = earlier; before; before = before.earlier) parts.push(before.pruned)
  return parts.reverse().flat()
}

const isSame = (some: readonly Message[], others: readonly Message[]) =>
  some.length === others.length && some.every((message, index) => message === others[index])

/** Messages in numbers, and the first and the last of them that has text. */
interface Tally {
  readonly users: number
  readonly replies: number
  readonly calls: number
  readonly first?: Message
  readonly last?: Message
}

function tallyOf(messages: readonly Message[], earlier: Tally = { users: 0, replies: 0, calls: 0 }): Tally {
  let { users, replies, calls, first, last } = earlier
  for (const message of messages) {
    if (message.role === 'tool') continue
    if (message.role === 'user') users++
    if (message.role === 'assistant') {
      replies++
      calls += message.toolCalls?.length ?? 0
    }
    if (textOf(message.content).trim() === '') continue
    if (first) last = message
    else first = message
  }
  return { users, replies, calls, ...(first && { first }), ...(last && { last }) }
}

function countSummary({ users, replies, calls, first, last }: Tally): string {
  return [
    'Summary of earlier conversation:\n',
    `- ${counted(users, 'user message')}`,
    `- ${counted(replies, 'assistant response')}`,
    ...(calls > 0 ? [`- ${counted(calls, 'tool call')} executed`] : []),
    '',
    ...(first ? [`First message: ${excerpt(first)}`] : []),
    ...(last ? [`Last message: ${excerpt(last)}`] : []),
    '',
  ].join('\n')
}

const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`

const excerptLength = 100

function excerpt({ content }: Message): string {
  const text = textOf(content)
  // Not counted as a whole: it may be very long.
  if (firstCodePoints(text, excerptLength) === text) return text
  return `${firstCodePoints(text, excerptLength - 1)}…`
}
