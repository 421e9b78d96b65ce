import type { CallScope, LLMClient } from '../client/client.ts'
import { type BudgetExceededError, isTercetError } from '../errors.ts'
import { budget } from '../resilience/budget.ts'
import type { Budget, BudgetLimits } from '../resilience/budget-options.ts'
import { nanoPerUsd } from '../resilience/prices.ts'
import { costOf, PriceList } from '../resilience/pricing.ts'
import type { RunFold } from '../transcript/transcript.ts'
import type { AgentParts } from './settings.ts'

/** What a run may spend. */
export interface RunBudget {
  /** The client, which refuses what there is no money for. */
  readonly client: LLMClient
  /** Why the run should land now; once there is a reason, it stays. */
  low(): BudgetExceededError | undefined
  /** Gives the reason if no further tool call may be begun. */
  takeToolCall(): Promise<BudgetExceededError | undefined>
  /** Resolves with the reason when the time is up; rejects when `stop` aborts. */
  timeUp(stop: AbortSignal): Promise<BudgetExceededError | undefined>
}

interface BudgetParts {
  readonly scope: CallScope
  readonly settings: AgentParts
  readonly signal: AbortSignal
  readonly fold: RunFold | undefined
}

/** The budget of a run: one that is shared, or one of its own. */
export async function openBudget(given: Budget | BudgetLimits, parts: BudgetParts): Promise<RunBudget> {
  const { scope, settings, signal } = parts
  const shared = typeof given === 'function' ? given : await ownBudget(given, parts)
  let low: BudgetExceededError | undefined
  return {
    client: settings.clientWith(shared),
    low: () => {
      low ??= shared.low(scope)
      return low
    },
    takeToolCall: () =>
      shared.takeToolCall(scope, signal).then(
        () => undefined,
        (error: unknown) => {
          if (isTercetError(error) && error.code === 'budget_exceeded') return error as BudgetExceededError // by its code
          throw error
        },
      ),
    timeUp: (stop) => shared.timeUp(scope, stop),
  }
}

/** What a run that is resumed has spent before, maybe in another process, stands in its transcript. */
async function ownBudget(limits: BudgetLimits, { settings, fold }: BudgetParts): Promise<Budget> {
  const { client, runtime } = settings
  if (!fold || fold.iterations === 0) return budget({ ...limits, runtime })
  const { usage, iterations, started } = fold
  const quote = await new PriceList(limits.prices, runtime).priceOf(client)
  const usd = usage.costUsd ?? (quote && costOf(usage, quote.price)) ?? 0
  const spent = {
    nanoUsd: Math.round(usd * nanoPerUsd),
    tokens: usage.inputTokens + usage.outputTokens,
    calls: iterations,
    toolCalls: started.size,
  }
  return budget({ ...limits, runtime, initialState: { 'all/': spent } })
}
