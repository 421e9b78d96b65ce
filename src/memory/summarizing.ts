import { isClient, type LLMClient } from '../client/client.ts'
import { messageOf } from '../errors.ts'
import { type Message, system } from '../messages.ts'
import { checkOptions, filledText, integer, optional, positiveMs, that } from '../options.ts'
import { type Runtime, runtimeCheck, systemRuntime } from '../runtime.ts'
import { dropOldest } from './exchanges.ts'
import type { AgentMemory, MemoryContext } from './memory.ts'
import { defaultPrompt, type SummarizerSettings, summarize } from './summarizer.ts'
import { CountsByCounter } from './tokens.ts'
import { unitsOf } from './units.ts'

export interface SummarizingMemoryOptions {
  /** The model that writes the summaries. It is not closed with the agent. */
  readonly client: LLMClient
  /** Tokens of messages above which older ones are summarised. Default: what the context window leaves; 8,000 if it is unknown. */
  readonly triggerTokens?: number
  /** Turns at the end that stay, at least 1; the newest user message begins the last of them. Default 4. */
  readonly keepTurns?: number
  /** Tokens a summary is to have at most. Default: 1,024, and no more than a quarter of `triggerTokens`. */
  readonly maxSummaryTokens?: number
  /** Tokens of messages that the model is given at once. Default: what half of its context window holds, at most 16,000. */
  readonly chunkTokens?: number
  /** Milliseconds that one summary may take. Default 60,000. */
  readonly timeoutMs?: number
  /** What the model is told. Default: to keep what the assistant needs in order to go on. */
  readonly prompt?: string
  /** Default: the real clock. */
  readonly runtime?: Pick<Runtime, 'sleep'>
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
      client: that('an LLMClient with provider, model, capabilities and call()', isClient),
      triggerTokens: optional(integer(1)),
      keepTurns: optional(integer(1)),
      maxSummaryTokens: optional(integer(1)),
      chunkTokens: optional(integer(1)),
      timeoutMs: optional(positiveMs()),
      prompt: optional(filledText()),
      runtime: optional(runtimeCheck),
    })
    this.#options = { ...options }
  }

  async manageHistory(history: readonly Message[], context: MemoryContext): Promise<readonly Message[]> {
    const { triggerTokens = context.budgetTokens ?? 8_000, keepTurns = 4 } = this.#options
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
      const folds = summarize(said, known?.message.content, this.#settings(triggerTokens), {
        ...context,
        counts,
      })
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

  #settings(triggerTokens: number): SummarizerSettings {
    const { client, prompt = defaultPrompt, timeoutMs = 60_000, runtime = systemRuntime } = this.#options
    const { contextWindow = 32_000 } = client.capabilities
    const share = Math.max(1, Math.floor(triggerTokens / 4))
    const { maxSummaryTokens = Math.min(1_024, share) } = this.#options
    const { chunkTokens = Math.min(16_000, Math.ceil(contextWindow / 2)) } = this.#options
    return { client, prompt, maxSummaryTokens, chunkTokens, timeoutMs, runtime }
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
