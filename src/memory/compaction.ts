import { LLMError } from '../errors.ts'
import type { Message } from '../messages.ts'
import { type Checks, checkOptions, fn, integer, number, optional } from '../options.ts'
import { type Runtime, systemRuntime } from '../runtime.ts'
import type { Compaction } from '../transcript/entry.ts'
import { pinnedPlaces } from './drop.ts'
import type { CompactionTask, Compactor } from './memory.ts'
import { type SummarizerOptions, summarizerChecks, summarizerSettings } from './summarizer-options.ts'
import { CountsByCounter, type TokenCounts } from './tokens.ts'
import { type Unit, unitsOf } from './units.ts'

export interface CompactorOptions extends SummarizerOptions {
  /** Messages at the beginning that stay as they are. Default 1: what the conversation began with. */
  readonly keepFirst?: number
  /** Messages at the end that stay at least; an exchange counts with all its messages. At least 1, default 4. */
  readonly keepLast?: number
  /** Messages that stay wherever they are, such as one with a rule. System messages and the last user message always do. */
  readonly pinned?: (message: Message) => boolean
  /** Compactions in a row that may fail before the model is left alone for `cooldownMs`. Default 3. */
  readonly maxFailures?: number
  /** Milliseconds. Default 60,000. */
  readonly cooldownMs?: number
  /** Default: the real clock. */
  readonly runtime?: Pick<Runtime, 'now' | 'sleep'>
}

/**
 * Lets a model summarise the older part of a conversation, for the option `compactor` of an agent and for `compactTool`.
 *
 * @throws ConfigurationError
 */
export function compactor(options: CompactorOptions): Compactor {
  checkOptions('compactor', options, checks())
  return new SummarizingCompactor(options)
}

// A function: a bundler keeps what is called when a module is loaded, also for those who never use it.
const checks = (): Checks => ({
  ...summarizerChecks(),
  keepFirst: optional(integer(0)),
  keepLast: optional(integer(1)),
  pinned: optional(fn()),
  maxFailures: optional(integer(1)),
  cooldownMs: optional(number(0)),
})

class SummarizingCompactor implements Compactor {
  readonly #options: CompactorOptions
  readonly #runtime: Pick<Runtime, 'now' | 'sleep'>
  readonly #counts = new CountsByCounter()
  /** Compactions in a row, the last ones. */
  #failures = 0
  #restsUntil = Number.NEGATIVE_INFINITY

  constructor(options: CompactorOptions) {
    this.#options = { ...options }
    this.#runtime = options.runtime ?? systemRuntime
  }

  async *compact(task: CompactionTask): AsyncGenerator<Compaction> {
    const counts = this.#counts.of(task.countTokens)
    const cut = cutOf(task, this.#options, counts)
    const settings = summarizerSettings(this.#options, task.keepTokens)
    const groups = cut.summarized.map(({ start, end }) => task.history.slice(start, end))
    const tokens = groups.reduce((sum, group) => sum + counts.messages(group), 0)
    // A call of a model is to gain more than a few words.
    if (tokens < 2 * settings.maxSummaryTokens) return
    this.#rest()
    const { provider, model } = settings.client
    try {
      const { summarize } = await import('./summarizer.ts')
      const folds = summarize(groups, task.earlier?.summary, settings, { ...task, counts })
      for await (const { groups: done, summary, usage } of folds) {
        yield { ...cutAfter(cut, done), summary, usage, provider, model }
      }
      this.#failures = 0
    } catch (error) {
      task.signal.throwIfAborted()
      this.#fail()
      throw error
    }
  }

  #rest(): void {
    if (this.#runtime.now() >= this.#restsUntil) return
    const { provider, model } = this.#options.client
    const { maxFailures = 3, cooldownMs = 60_000 } = this.#options
    throw new LLMError(
      `${provider} (${model}) failed to summarize ${maxFailures} times in a row and is left alone for ${cooldownMs} ms.`,
      { kind: 'overloaded', provider, model },
    )
  }

  #fail(): void {
    const { maxFailures = 3, cooldownMs = 60_000 } = this.#options
    this.#failures += 1
    if (this.#failures < maxFailures) return
    this.#failures = 0
    this.#restsUntil = this.#runtime.now() + cooldownMs
  }
}

/** Which messages a summary is to stand for. */
interface Cut {
  readonly from: number
  readonly to: number
  /** Where the summary so far ends. */
  readonly begun: number
  /** What it has to be told of, in order. */
  readonly summarized: readonly Unit[]
  /** Messages between `from` and `to` that stay. */
  readonly kept: readonly number[]
}

function cutOf(
  { history, earlier, keepTokens }: CompactionTask,
  { keepFirst = 1, keepLast = 4, pinned }: CompactorOptions,
  counts: TokenCounts,
): Cut {
  const units = unitsOf(history)
  const from = earlier?.from ?? headOf(units, history, keepFirst)
  const begun = earlier?.to ?? from
  const to = Math.max(begun, tailOf(units, history, { keepTokens, keepLast }, counts))
  const question = history.findLastIndex(({ role }) => role === 'user')
  const pinnedAt = pinnedPlaces(history, pinned)
  const stays = (index: number) =>
    history[index]?.role === 'system' || index === question || pinnedAt.has(index)
  const told = new Set(earlier?.kept)
  const summarized: Unit[] = []
  const kept: number[] = []
  for (const unit of units) {
    if (unit.start < from || unit.start >= to) continue
    const indices = Array.from({ length: unit.end - unit.start }, (_, offset) => unit.start + offset)
    if (indices.some(stays)) kept.push(...indices)
    else if (unit.start >= begun || told.has(unit.start)) summarized.push(unit)
  }
  return { from, to, begun, summarized, kept }
}

/** Where the oldest messages end that stay. System messages stay anyway. */
function headOf(units: readonly Unit[], history: readonly Message[], keepFirst: number): number {
  let left = keepFirst
  for (const { start, end } of units) {
    if (left <= 0) return start
    for (const { role } of history.slice(start, end)) if (role !== 'system') left -= 1
  }
  return history.length
}

/** Where the newest messages begin that stay. */
function tailOf(
  units: readonly Unit[],
  history: readonly Message[],
  { keepTokens, keepLast }: { readonly keepTokens: number; readonly keepLast: number },
  counts: TokenCounts,
): number {
  let tokens = 0
  const last = units.findLast(({ start, end }) => {
    for (const message of history.slice(start, end)) tokens += counts.message(message)
    return tokens > keepTokens && history.length - end >= keepLast
  })
  return last?.end ?? 0
}

/** As much of the cut as the first `done` units that are summarised come to. */
function cutAfter(
  { from, to, begun, summarized, kept }: Cut,
  done: number,
): Pick<Compaction, 'from' | 'to' | 'kept'> {
  const left = summarized.slice(done)
  const end = left[0] === undefined ? to : Math.max(begun, left[0].start)
  const waiting = left.flatMap(({ start, end: after }) =>
    Array.from({ length: after - start }, (_, offset) => start + offset),
  )
  const stays = [...kept, ...waiting].filter((index) => index < end).sort((a, b) => a - b)
  return { from, to: end, ...(stays.length > 0 && { kept: stays }) }
}
