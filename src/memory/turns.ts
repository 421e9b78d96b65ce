import { type Message, type SystemMessage, system, textOf } from '../messages.ts'
import { checkOptions, fn, integer, optional, that } from '../options.ts'
import { dropOldest } from './exchanges.ts'
import type { AgentMemory, MemoryContext } from './memory.ts'
import { CountsByCounter, firstCodePoints, type TokenCounts } from './tokens.ts'

export interface TurnPruningMemoryOptions {
  /** Tokens of history, at least 1. Default: what the context window leaves; 8,000 if it is unknown. */
  readonly maxTokens?: number
  /** Turns at the end that are never pruned, at least 1; the newest user message begins the last of them. Default 10. */
  readonly minRetainTurns?: number
  /** The part of `maxTokens` above which turns are pruned: more than 0, at most 1. Default 0.8. */
  readonly pruneThreshold?: number
  /**
   * Says what was in all the messages pruned so far; `''` says nothing. Asked once each time that turns are pruned.
   * Default: how many messages there were, and how the first and the last of them began.
   */
  readonly summarize?: (pruned: readonly Message[]) => string | Promise<string>
}

/**
 * Forgets whole turns. A history that grows above the threshold loses all its turns but the newest, and one summary, a
 * system message, stands for all of them. System messages stay, and what a history was pruned to stays as it is until
 * it has grown above the threshold again. If the newest turn alone is too long, its oldest exchanges go.
 */
export class TurnPruningMemory implements AgentMemory {
  readonly #maxTokens: number | undefined
  readonly #minRetainTurns: number
  readonly #pruneThreshold: number
  readonly #summarize: TurnPruningMemoryOptions['summarize']
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
    })
    const { maxTokens, minRetainTurns = 10, pruneThreshold = 0.8, summarize } = options
    this.#maxTokens = maxTokens
    this.#minRetainTurns = minRetainTurns
    this.#pruneThreshold = pruneThreshold
    this.#summarize = summarize
  }

  async manageHistory(history: readonly Message[], context: MemoryContext): Promise<readonly Message[]> {
    const counts = this.#counts.of(context.countTokens)
    const maxTokens = this.#maxTokens ?? context.budgetTokens ?? 8_000
    const threshold = Math.floor(maxTokens * this.#pruneThreshold)
    const turns: number[] = []
    let keptFrom = 0
    let tokens = 0
    let pruning: Pruning | undefined
    // Message by message, as it grew: what was pruned at each point does not depend on what came later.
    for (const [at, message] of history.entries()) {
      if (message.role === 'user') turns.push(at)
      tokens += counts.message(message)
      const from = turns.at(-this.#minRetainTurns) ?? 0
      if (tokens <= threshold || from <= keptFrom) continue
      const pruned = history.slice(keptFrom, from).filter((each) => !isSystem(each))
      keptFrom = from
      if (pruned.length === 0) continue
      const earlier = pruning
      pruning = await this.#prune(pruned, earlier)
      tokens += summaryTokens(pruning, counts) - summaryTokens(earlier, counts) - counts.messages(pruned)
    }
    const newest = history.slice(turns.at(-1) ?? 0)
    const limit = maxTokens - (tokens - counts.messages(newest))
    const newestKept = dropOldest(newest, counts, { limit, keepNewest: 1 })
    if (!pruning && newestKept === newest) return history
    return [
      ...history.slice(0, keptFrom).filter(isSystem),
      ...(pruning?.summary ? [pruning.summary] : []),
      ...history.slice(keptFrom, history.length - newest.length),
      ...newestKept,
    ]
  }

  async #prune(pruned: readonly Message[], earlier: Pruning | undefined): Promise<Pruning> {
    const last = pruned.at(-1)
    const known = last && this.#prunings.get(last)
    if (known && known.earlier === earlier && isSame(known.pruned, pruned)) return known
    const tally = tallyOf(pruned, earlier?.tally)
    const summarize = this.#summarize
    const text: unknown = summarize ? await summarize(allPruned(pruned, earlier)) : countSummary(tally)
    if (typeof text !== 'string') throw new TypeError('summarize must give a string.')
    const pruning = {
      pruned,
      tally,
      ...(earlier && { earlier }),
      ...(text.trim() !== '' && { summary: system(text) }),
    }
    if (last) this.#prunings.set(last, pruning)
    return pruning
  }
}

/** Turns that were pruned together, after those of `earlier`. */
interface Pruning {
  readonly pruned: readonly Message[]
  readonly earlier?: Pruning
  /** Of these and all earlier ones, and so is the summary. */
  readonly tally: Tally
  readonly summary?: SystemMessage
}

function allPruned(pruned: readonly Message[], earlier: Pruning | undefined): readonly Message[] {
  const parts = [pruned]
  for (let before = earlier; before; before = before.earlier) parts.push(before.pruned)
  return parts.reverse().flat()
}

const summaryTokens = (pruning: Pruning | undefined, counts: TokenCounts) =>
  pruning?.summary ? counts.message(pruning.summary) : 0

const isSame = (some: readonly Message[], others: readonly Message[]) =>
  some.length === others.length && some.every((message, index) => message === others[index])

const isSystem = ({ role }: Message) => role === 'system'

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
