import { messageOf } from '../errors.ts'
import { type Message, system } from '../messages.ts'
import { checkOptions, integer, optional } from '../options.ts'
import { dropOldest } from './exchanges.ts'
import type { AgentMemory, MemoryContext } from './memory.ts'
import { type SummarizerOptions, summarizerChecks, summarizerSettings } from './summarizer-options.ts'
import { CountsByCounter, defaultBudgetTokens } from './tokens.ts'
import { unitsOf } from './units.ts'

export interface SummarizingMemoryOptions extends SummarizerOptions {
  /** Tokens of messages above which older ones are summarised. Default: what the context window leaves; 8,000 if it is unknown. */
  readonly triggerTokens?: number
  /** Turns at the end that stay, at least 1; the newest user message begins the last of them. Default 4. */
  readonly keepTurns?: number
}

/**
 * Lets a model summarise older turns when there is too much, as a `compactor` does, but writes nothing down: another process
 * summarises anew. System messages stay. If no summary can be had, the oldest messages are left out, and a diagnostic says so.
 */
export class SummarizingMemory implements AgentMemory {
  readonly #options: SummarizingMemoryOptions
  readonly #counts = new CountsByCounter()
  /** By the last message for which they stand. */
  readonly #summaries = new WeakMap<Message, Summary>()

  /** @throws ConfigurationError */
  constructor(options: SummarizingMemoryOptions) {
    checkOptions('SummarizingMemory', options, {
      ...summarizerChecks(),
      triggerTokens: optional(integer(1)),
      keepTurns: optional(integer(1)),
    })
    this.#options = { ...options }
  }

  async manageHistory(history: readonly Message[], context: MemoryContext): Promise<readonly Message[]> {
    const { triggerTokens = context.budgetTokens ?? defaultBudgetTokens, keepTurns = 4 } = this.#options
    const counts = this.#counts.of(context.countTokens)
    const known = this.#newestIn(history)
    const sent = withSummary(history, known)
    if (counts.messages(sent) <= triggerTokens) return sent
    const turns = history.flatMap(({ role }, at) => (role === 'user' ? [at] : []))
    const end = turns.at(-keepTurns) ?? 0
    const covered = known?.covered ?? 0
    if (end <= covered) return sent
    const older = history.slice(covered, end)
    const groups = unitsOf(older).map((unit) => older.slice(unit.start, unit.end))
    const said = groups.filter(([first]) => first?.role !== 'system')
    try {
      const { summarize } = await import('./summarizer.ts')
      const folds = summarize(
        said,
        known?.message.content,
        summarizerSettings(this.#options, triggerTokens),
        {
          ...context,
          counts,
        },
      )
      let text = ''
      for await (const { summary } of folds) text = summary
      const summary = { covered: end, message: system(text) }
      const last = history[end - 1]
      if (last && text !== '') this.#summaries.set(last, summary)
      return withSummary(history, text === '' ? known : summary)
    } catch (error) {
      context.signal.throwIfAborted()
      context.warn?.(`No summary could be had, so the oldest messages are left out: ${messageOf(error)}`)
      return dropOldest(sent, counts, { limit: triggerTokens, keepNewest: 1 })
    }
  }

  #newestIn(history: readonly Message[]): Summary | undefined {
    for (let at = history.length - 1; at >= 0; at--) {
      const message = history[at]
      const summary = message && this.#summaries.get(message)
      if (summary?.covered === at + 1) return summary
    }
    return undefined
  }
}

interface Summary {
  /** Messages for which it stands, from the first on. */
  readonly covered: number
  readonly message: Message & { readonly role: 'system' }
}

function withSummary(history: readonly Message[], summary: Summary | undefined): readonly Message[] {
  if (!summary) return history
  const { covered, message } = summary
  const standing = history.slice(0, covered).filter(({ role }) => role === 'system')
  return [...standing, message, ...history.slice(covered)]
}
