import type { CallScope, LLMClient } from '../client/client.ts'
import { type BudgetExceededError, isTercetError } from '../errors.ts'
import type { Budget } from '../resilience/budget-options.ts'
import type { AgentParts } from './settings.ts'

/** What a run may spend: its part in a budget that others may have a part in, too. */
export class RunBudget {
  /** The client, which refuses what there is no budget for. */
  readonly client: LLMClient
  readonly #budget: Budget
  readonly #scope: CallScope
  #low: BudgetExceededError | undefined

  constructor(budget: Budget, scope: CallScope, { clientWith }: AgentParts) {
    this.client = clientWith(budget)
    this.#budget = budget
    this.#scope = scope
  }

  /** Why the run should land now; once there is a reason, it stays. */
  low(): BudgetExceededError | undefined {
    this.#low ??= this.#budget.low(this.#scope)
    return this.#low
  }

  /** Gives the reason if no further tool call may be begun. */
  async takeToolCall(signal: AbortSignal): Promise<BudgetExceededError | undefined> {
    try {
      await this.#budget.takeToolCall(this.#scope, signal)
      return undefined
    } catch (error) {
      if (isBudgetExceeded(error)) return error
      throw error
    }
  }

  /** Resolves with the reason when the time is up; rejects when `stop` aborts. */
  timeUp(stop: AbortSignal): Promise<BudgetExceededError | undefined> {
    return this.#budget.timeUp(this.#scope, stop)
  }
}

/** Also for one from another copy of the package. */
export function isBudgetExceeded(value: unknown): value is BudgetExceededError {
  return isTercetError(value) && value.code === 'budget_exceeded'
}
