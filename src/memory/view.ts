import { isPromise, untilAborted } from '../abort.ts'
import { messageOf, shown } from '../errors.ts'
import type { Message } from '../messages.ts'
import type { AgentMemory, MemoryContext } from './memory.ts'
import { withOpening } from './opening.ts'
import { areWhole, holds, rangesOf } from './ranges.ts'
import { type Repaired, repairHistory } from './repair.ts'
import type { TokenCounts } from './tokens.ts'

export interface ViewInput {
  /** The whole conversation, oldest first. Neither it nor a message of it is changed. */
  readonly history: readonly Message[]
  /** `null`: everything is sent, as far as the context window allows. */
  readonly memory: AgentMemory | null
  readonly counts: TokenCounts
  /** Makes of a history one that can be sent. Default: `repairHistory`; `growingRepair()` does not begin anew each time. */
  readonly repair?: (history: readonly Message[]) => Repaired
  /** Tokens that `history` lost at its beginning before. Default 0. */
  readonly droppedTokens?: number
  /** Tokens of what is sent beside the messages: system text and tools. */
  readonly overheadTokens: number
  /** Tokens of request and answer together. Unknown: nothing is held to a budget. */
  readonly contextWindow?: number
  /** Real tokens for each token of the estimate. Default 1. */
  readonly calibration?: number
  /** Tokens kept free for the answer. Default: a quarter of the window, at most 4,096. */
  readonly maxOutputTokens?: number
  /** The part of the window that is left alone, because token counts are estimates. Default 0.1. */
  readonly safetyMargin?: number
  readonly conversationId: string
  readonly signal: AbortSignal
}

/** The messages of one request. */
export interface View {
  /** The array that was given, if it can be sent as it is. */
  readonly messages: readonly Message[]
  readonly tokens: number
  /** What `tokens` may be: ⌊(⌊window · (1 − margin)⌋ − output) / calibration⌋ − overhead, never below 0. */
  readonly budgetTokens?: number
  readonly diagnostics: readonly ViewDiagnostic[]
}

export interface ViewDiagnostic {
  readonly code: 'history_repaired' | 'context_overflow' | 'memory_failed'
  readonly message: string
}

/**
 * What of a conversation is sent: a history that providers accept, as its memory chose it, within the context window.
 *
 * The memory has its say first. What it tears apart is dropped as a whole, and what it must not forget is put back: the
 * last user message and the exchange the model is in. If the rest is too long for the window, the oldest goes, then tool
 * results are cut, then other texts, the last user message last; if it still does not fit, a diagnostic says so.
 *
 * Keeps the order, and given a memory that does too, the view of a view is itself. A memory that fails costs a
 * diagnostic, not the run. Only a memory that takes time has to be waited for.
 *
 * @throws The signal's reason, when it aborts while the memory works.
 */
export function view(input: ViewInput): View | Promise<View> {
  const { counts, memory, repair = repairHistory, conversationId, signal } = input
  const budgetTokens = budgetOf(input)
  const budget = budgetTokens !== undefined && { budgetTokens }
  const repaired = repair(input.history)
  const history = repaired.messages
  // From here on its sum is known.
  counts.history(history)
  const managed = memory
    ? managedBy(memory, history, counts, { countTokens: counts.text, conversationId, signal, ...budget })
    : { messages: history, diagnostics: [] }
  const seen = (chosen: Managed) => viewOf(chosen, repaired, budgetTokens, input)
  return managed instanceof Promise ? managed.then(seen) : seen(managed)
}

function viewOf(
  managed: Managed,
  repaired: Repaired,
  budgetTokens: number | undefined,
  input: ViewInput,
): View | Promise<View> {
  const { counts, droppedTokens = 0 } = input
  const history = repaired.messages
  const seen = (messages: readonly Message[]): View => {
    const tokens = counts.messages(messages)
    const diagnostics = [...repairDiagnostics('The history', repaired.repairs), ...managed.diagnostics]
    if (budgetTokens === undefined) return { messages, tokens, diagnostics }
    if (tokens > budgetTokens) diagnostics.push(overflow(tokens, budgetTokens, input))
    return { messages, tokens, budgetTokens, diagnostics }
  }
  if (budgetTokens === undefined || counts.messages(managed.messages) <= budgetTokens)
    return seen(withOpening(managed.messages, history, counts))
  // Loaded late: as a rule, a memory keeps to the budget.
  const limits = { limit: budgetTokens, keepNewest: 0, droppedTokens }
  return import('./fitted.ts').then(({ fitted }) => seen(fitted(managed.messages, history, counts, limits)))
}

function budgetOf(input: ViewInput): number | undefined {
  const { contextWindow } = input
  return contextWindow === undefined ? undefined : messageBudget({ ...input, contextWindow })
}

/** Tokens that are left for messages in a window: without its margin, the answer, and what is sent beside them. */
export function messageBudget({
  contextWindow,
  overheadTokens,
  safetyMargin = 0.1,
  calibration = 1,
  maxOutputTokens = Math.min(4_096, Math.floor(contextWindow / 4)),
}: Omit<Pick<ViewInput, BudgetParts>, 'contextWindow'> & { readonly contextWindow: number }): number {
  const window = Math.floor(contextWindow * (1 - safetyMargin))
  const inputTokens = Math.floor((window - maxOutputTokens) / calibration)
  return Math.max(0, inputTokens - overheadTokens)
}

type BudgetParts = 'contextWindow' | 'overheadTokens' | 'safetyMargin' | 'calibration' | 'maxOutputTokens'

function overflow(tokens: number, budgetTokens: number, input: ViewInput): ViewDiagnostic {
  return {
    code: 'context_overflow',
    message:
      `The least that can be sent is about ${tokens} tokens, and ${budgetTokens} of the context window of ` +
      `${input.contextWindow} are left for it, besides ${input.overheadTokens} of instructions and tools. Shorten them ` +
      'or the last message, or use a model with a larger window.',
  }
}

function repairDiagnostics(what: string, repairs: readonly string[]): ViewDiagnostic[] {
  if (repairs.length === 0) return []
  const more = repairs.length > 3 ? ` And ${repairs.length - 3} more.` : ''
  return [
    { code: 'history_repaired', message: `${what} was repaired. ${repairs.slice(0, 3).join(' ')}${more}` },
  ]
}

export type Managed = Pick<View, 'messages' | 'diagnostics'>

function managedBy(
  memory: AgentMemory,
  history: readonly Message[],
  counts: TokenCounts,
  context: MemoryContext,
): Managed | Promise<Managed> {
  const told: ViewDiagnostic[] = []
  const warn = (message: string) => {
    told.push({ code: 'memory_failed', message })
  }
  const read = (managed: unknown): Managed | Promise<Managed> => {
    if (!Array.isArray(managed)) {
      throw new TypeError(`manageHistory must return messages, got ${shown(managed)}.`)
    }
    const messages = memory.isReader === true ? managed : managed.slice()
    if (isUsableChoice(messages, history, counts)) {
      return { messages: messages.length === history.length ? history : messages, diagnostics: told }
    }
    // Loaded late: most memories only choose.
    return import('./essentials.ts').then(({ withEssentials }) => {
      const { messages: whole, repairs } = withEssentials(managed, history, counts)
      const repaired = repairDiagnostics('What the memory gave back', repairs)
      return { messages: whole, diagnostics: [...told, ...repaired] }
    })
  }
  const failed = (error: unknown): Managed => {
    context.signal.throwIfAborted()
    const message = `The memory failed, so the history is sent without it: ${messageOf(error)}`
    return { messages: history, diagnostics: [{ code: 'memory_failed', message }] }
  }
  try {
    // A copy of its own: a memory that shifts and splices harms nobody.
    const given = memory.isReader === true ? history : history.slice()
    const managing: unknown = memory.manageHistory(given, { ...context, warn })
    const chosen = isPromise(managing) ? untilAborted(managing, context.signal).then(read) : read(managing)
    return chosen instanceof Promise ? chosen.catch(failed) : chosen
  } catch (error) {
    return failed(error)
  }
}

/**
 * Whether it is what most memories give back, without a second look at each message: a choice from the history in which
 * nothing is torn and nothing essential is missing.
 */
function isUsableChoice(
  managed: readonly unknown[],
  history: readonly Message[],
  counts: TokenCounts,
): managed is readonly Message[] {
  const ranges = rangesOf(managed, history)
  if (!ranges || !areWhole(ranges, history)) return false
  const { sums, question, exchange } = counts.measure(history)
  if (![question, exchange].every((index) => index < 0 || holds(ranges, index))) return false
  const tokens = ranges.reduce((sum, { start, end }) => sum + (sums[end] ?? 0) - (sums[start] ?? 0), 0)
  counts.remember(managed as readonly Message[], tokens) // all of them from the history
  return true
}
