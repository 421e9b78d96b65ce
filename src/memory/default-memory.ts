import type { Message } from '../messages.ts'
import type { AgentMemory, MemoryContext } from './memory.ts'
import { CountsByCounter, defaultBudgetTokens } from './tokens.ts'

/** The memory of an agent that was given none: `SimpleAgentMemory`, loaded when there is something to forget. */
export class DefaultMemory implements AgentMemory {
  readonly isReader = true
  readonly #counts = new CountsByCounter()
  #memory: AgentMemory | undefined

  manageHistory(
    history: readonly Message[],
    context: MemoryContext,
  ): readonly Message[] | Promise<readonly Message[]> {
    const limit = context.budgetTokens ?? defaultBudgetTokens
    return this.#counts.of(context.countTokens).history(history) <= limit
      ? history
      : this.#forget(history, context)
  }

  async #forget(history: readonly Message[], context: MemoryContext): Promise<readonly Message[]> {
    const { SimpleAgentMemory } = await import('./simple.ts')
    this.#memory ??= new SimpleAgentMemory()
    return this.#memory.manageHistory(history, context)
  }
}
