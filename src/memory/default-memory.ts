import type { Message } from '../messages.ts'
import type { AgentMemory, MemoryContext } from './memory.ts'
import { CountsByCounter, defaultBudgetTokens } from './tokens.ts'

/** The memory of an agent that was given none: `SimpleAgentMemory`, loaded when there is something to forget. */
export class DefaultMemory implements AgentMemory {
  readonly isReader = true
  readonly #counts = new CountsByCounter()
  #memory: Promise<AgentMemory> | undefined

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
    this.#memory ??= import('./simple.ts').then(({ SimpleAgentMemory }) => new SimpleAgentMemory())
    const memory = await this.#memory
    return memory.manageHistory(history, context)
  }
}
