import { ConfigurationError, shown } from '../errors.ts'
import { type Message, textOf } from '../messages.ts'
import { checkOptions, filledText, fn, integer, list, optional } from '../options.ts'
import { dropInOrder, droppableUnits, type Pinned, stepOf } from './drop.ts'
import type { AgentMemory, MemoryContext } from './memory.ts'
import { CountsByCounter, codePointsOf, defaultBudgetTokens, type TokenCounts } from './tokens.ts'
import { type Unit, unitsOf } from './units.ts'

/** How much a message matters; the message stands at `index` of a conversation of `total` messages. */
export type MessageScore = (message: Message, index: number, total: number) => number

export interface PriorityMemoryOptions {
  /** Tokens of history, at least 1. Default: what the context window leaves; 8,000 if it is unknown. */
  readonly maxTokens?: number
  /**
   * Messages of a low score leave first, of equal ones the oldest. An exchange scores the mean of its messages. Default:
   * 10 for a system message, 5 for one of the user, 3 for others; 2 more for a question, 4 for tool calls, 1.5 for each of
   * `keywords`, up to 3 for its length (1 for 400 code points) and up to 1 for being recent.
   */
  readonly score?: MessageScore
  /**
   * What makes a message matter, in any case of letters, for the default score only. Default: always, constraint,
   * deadline, decision, important, must, never, remember, require.
   */
  readonly keywords?: readonly string[]
  /** Messages of which it is true stay, whatever their score. Default: none but system messages. */
  readonly pinned?: (message: Message) => boolean
}

/**
 * Forgets what matters least. What is kept stays in its order, an exchange always as a whole; system messages, the last
 * user message and the exchange the model is in stay whatever their score.
 *
 * The choice is made anew each time that the conversation has grown by a quarter of the limit. In between new messages
 * are added and nothing leaves, so that most requests begin as the one before.
 */
export class PriorityMemory implements AgentMemory {
  readonly #maxTokens: number | undefined
  readonly #score: MessageScore
  readonly #pinned: Pinned | undefined
  readonly #counts = new CountsByCounter()

  /** @throws ConfigurationError */
  constructor(options: PriorityMemoryOptions = {}) {
    checkOptions('PriorityMemory', options, {
      maxTokens: optional(integer(1)),
      score: optional(fn()),
      keywords: optional(list(filledText())),
      pinned: optional(fn()),
    })
    const { maxTokens, score, keywords, pinned } = options
    if (score && keywords) {
      const message = 'PriorityMemory option keywords is for the default score: leave out it, or score.'
      throw new ConfigurationError('keywords', message, { value: keywords })
    }
    this.#maxTokens = maxTokens
    this.#score = score ?? defaultScore(keywords)
    this.#pinned = pinned
  }

  manageHistory(history: readonly Message[], context: MemoryContext): readonly Message[] {
    const counts = this.#counts.of(context.countTokens)
    const limit = this.#maxTokens ?? context.budgetTokens ?? defaultBudgetTokens
    const chosenAt = lastStep(history, counts, limit)
    if (chosenAt === 0) return history
    const chosen = this.#chosen(history.slice(0, chosenAt), counts, limit)
    const messages = [...chosen, ...history.slice(chosenAt)]
    // What had to be kept then may be too much now.
    return counts.messages(messages) <= limit ? messages : this.#chosen(history, counts, limit)
  }

  #chosen(messages: readonly Message[], counts: TokenCounts, limit: number): readonly Message[] {
    const scored = droppableUnits(messages, this.#pinned).map((unit) => ({
      unit,
      score: this.#scoreOf(unit, messages),
    }))
    // A stable sort: of equal ones the oldest stays first.
    const order = scored.sort((a, b) => a.score - b.score).map(({ unit }) => unit)
    return dropInOrder(messages, order, { limit, sizeOf: (message) => counts.message(message) })
  }

  #scoreOf({ start, end }: Unit, messages: readonly Message[]): number {
    let sum = 0
    messages.slice(start, end).forEach((message, index) => {
      const score: unknown = this.#score(message, start + index, messages.length)
      if (typeof score !== 'number' || Number.isNaN(score)) {
        throw new TypeError(`score must give a number, got ${shown(score)}.`)
      }
      sum += score
    })
    return sum / (end - start)
  }
}

/** The number of messages at which the history last grew past the limit, or past another step above it; 0 if it did not. */
function lastStep(history: readonly Message[], counts: TokenCounts, limit: number): number {
  const excess = counts.messages(history) - limit
  if (excess <= 0) return 0
  const step = stepOf(limit)
  const passed = limit + (Math.ceil(excess / step) - 1) * step
  let tokens = 0
  for (const { start, end } of unitsOf(history)) {
    for (const message of history.slice(start, end)) tokens += counts.message(message)
    if (tokens > passed) return end
  }
  return history.length
}

const defaultKeywords = [
  'always',
  'constraint',
  'deadline',
  'decision',
  'important',
  'must',
  'never',
  'remember',
  'require',
]

function defaultScore(keywords: readonly string[] = defaultKeywords): MessageScore {
  const wanted = keywords.map((keyword) => keyword.toLowerCase())
  const known = new WeakMap<Message, number>()
  return (message, index, total) => {
    const score = known.get(message) ?? lastingScore(message, wanted)
    known.set(message, score)
    return score + 0.95 ** (total - 1 - index)
  }
}

/** All but how recent it is. */
function lastingScore(message: Message, keywords: readonly string[]): number {
  const said = textOf(message.content)
  const lower = said.toLowerCase()
  const found = keywords.filter((keyword) => lower.includes(keyword)).length
  return (
    roleScores[message.role] +
    (said.trimEnd().endsWith('?') ? 2 : 0) +
    (message.role === 'assistant' && message.toolCalls ? 4 : 0) +
    1.5 * found +
    Math.min(3, codePointsOf(said) / 400)
  )
}

const roleScores = { system: 10, user: 5, assistant: 3, tool: 3 }
