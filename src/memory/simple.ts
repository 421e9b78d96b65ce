import type { Message } from '../messages.ts'
import { checkOptions, fn, integer, optional } from '../options.ts'
import { cutLongest } from './cut.ts'
import { dropInOrder, droppableUnits, type Pinned } from './drop.ts'
import { dropOldest } from './exchanges.ts'
import type { AgentMemory, MemoryContext } from './memory.ts'
import { CountsByCounter, defaultBudgetTokens } from './tokens.ts'

export interface SimpleAgentMemoryOptions {
  /** Tokens of history that are sent at most, at least 1. Default: what the context window leaves; 8,000 if it is unknown. */
  readonly maxHistoryTokens?: number
  /**
   * Messages at the end that are cut rather than dropped, at least 1; an exchange counts with all its messages. Default 2.
   */
  readonly minMessages?: number
  /** Messages of which it is true are neither dropped nor cut. Default: none, but system messages are never dropped. */
  readonly pinned?: (message: Message) => boolean
}

/**
 * Forgets the oldest first. A history above the limit loses its oldest messages, an exchange always as a whole; system
 * messages, the last user message and the exchange the model is in stay. If what stays is still too long, its longest
 * texts lose their beginning, shown by `...`; only calls, images and files can keep it above the limit.
 */
export class SimpleAgentMemory implements AgentMemory {
  readonly isReader = true
  readonly #maxHistoryTokens: number | undefined
  readonly #minMessages: number
  readonly #pinned: Pinned | undefined
  readonly #counts = new CountsByCounter()

  /** @throws ConfigurationError */
  constructor(options: SimpleAgentMemoryOptions = {}) {
    checkOptions('SimpleAgentMemory', options, {
      maxHistoryTokens: optional(integer(1)),
      minMessages: optional(integer(1)),
      pinned: optional(fn()),
    })
    const { maxHistoryTokens, minMessages = 2, pinned } = options
    this.#maxHistoryTokens = maxHistoryTokens
    this.#minMessages = minMessages
    this.#pinned = pinned
  }

  manageHistory(history: readonly Message[], context: MemoryContext): readonly Message[] {
    const limit = this.#maxHistoryTokens ?? context.budgetTokens ?? defaultBudgetTokens
    const counts = this.#counts.of(context.countTokens)
    // From here on its sum is known.
    counts.history(history)
    const pinned = this.#pinned
    const drop = (messages: readonly Message[], keepNewest: number) =>
      pinned
        ? dropInOrder(messages, droppableUnits(messages, pinned, keepNewest), {
            limit,
            sizeOf: (message) => counts.message(message),
          })
        : dropOldest(messages, counts, { limit, keepNewest })
    const newest = drop(history, this.#minMessages)
    const cut = cutLongest(newest, counts, { limit, keep: 'end', mayCut: (message) => !pinned?.(message) })
    // So tight that not even the beginnings of all fit: the minimum gives way.
    return drop(cut, 1)
  }
}
