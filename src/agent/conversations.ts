import { ConfigurationError } from '../errors.ts'
import type { ConversationStore } from '../transcript/store.ts'
import { ConversationState } from './conversation-state.ts'

/** The conversations of one agent, by id. One of them is its own. */
export class Conversations {
  readonly #states = new Map<string, ConversationState>()
  readonly #newId: () => string
  readonly #store: ConversationStore | undefined
  #own: ConversationState

  constructor(newId: () => string, store: ConversationStore | undefined, ownId = newId()) {
    this.#newId = newId
    this.#store = store
    this.#own = this.get(ownId)
  }

  get own(): ConversationState {
    return this.#own
  }

  /** @throws ConfigurationError for an id that is none. */
  get(id: string): ConversationState {
    if (typeof id !== 'string' || id.trim() === '') {
      throw new ConfigurationError('conversation', 'A conversation id must be a string that is not empty.', {
        value: id,
      })
    }
    const known = this.#states.get(id)
    if (known) return known
    const state = new ConversationState(id, this.#store)
    this.#states.set(id, state)
    return state
  }

  create(): ConversationState {
    return this.get(this.#newId())
  }

  /** Forgets it here. If it was the agent's own, a new one takes its place. */
  forget(id: string): void {
    this.#states.delete(id)
    if (id === this.#own.id) this.#own = this.create()
  }

  /** Forgets it here and in the store. */
  async delete(id: string): Promise<void> {
    const state = this.get(id)
    this.forget(id)
    await state.delete()
  }
}
