import { ConfigurationError, isTercetError, messageOf, StoreError } from '../errors.ts'
import { canonicalJson } from '../json.ts'
import type { BlockChange } from '../transcript/entry.ts'
import type { ConversationStore } from '../transcript/store.ts'
import { checkEntry } from '../transcript/stored-entry.ts'
import { BlockState } from './block-state.ts'

/** What a change comes to, and the change itself; without one, nothing is written. */
export type Decided<Result> = readonly [result: Result, change?: BlockChange]

/** The changes of some blocks in a store, and the state that they come to. */
export class BlockTranscript {
  readonly #store: ConversationStore
  readonly #id: string
  #state = new BlockState()
  /** The last visit to the store. They come one after another: before one is over, no other knows the version. */
  #visit: Promise<unknown> = Promise.resolve()

  constructor(store: ConversationStore, id: string) {
    this.#store = store
    this.#id = id
  }

  get state(): BlockState {
    return this.#state
  }

  /**
   * Brings in what the store has beyond what is known here.
   *
   * @throws ConfigurationError if a conversation has the id; CorruptEntryError, StoreError.
   */
  load(): Promise<void> {
    return this.#next(() => this.#read())
  }

  /**
   * Makes the change that is decided on in view of the newest state; when somebody else was faster, it is decided anew.
   *
   * @throws ConflictError if others keep being faster. What `load` and `decide` throw.
   */
  change<Result>(decide: (state: BlockState) => Decided<Result>): Promise<Result> {
    return this.#next(async () => {
      await this.#read()
      for (let attempt = 1; ; attempt++) {
        const [result, change] = decide(this.#state)
        if (!change) return result
        try {
          await this.#append(change)
          return result
        } catch (error) {
          const isConflict = isTercetError(error) && error.code === 'conflict'
          if (!isConflict || attempt === mostAttempts) throw error
        }
        await this.#read()
      }
    })
  }

  async #append(change: BlockChange): Promise<void> {
    try {
      await this.#store.append(this.#id, this.#state.version, [{ type: 'block', change }])
    } catch (error) {
      throw this.#storeError('append to', error)
    }
    this.#state.apply(change)
  }

  async #read(): Promise<void> {
    const { last, version } = this.#state
    const found = await this.#changesFrom(last ? version - 1 : 0)
    if (!last || (found[0] && isSame(found[0], last))) {
      for (const change of last ? found.slice(1) : found) this.#state.apply(change)
      return
    }
    // They were deleted, and perhaps begun anew: what is known here is gone.
    const state = new BlockState()
    for (const change of await this.#changesFrom(0)) state.apply(change)
    this.#state = state
  }

  async #changesFrom(from: number): Promise<readonly BlockChange[]> {
    const entries = await this.#entriesFrom(from)
    return entries.map((entry, index) => {
      const checked = checkEntry(entry, { conversationId: this.#id, position: from + index })
      if (checked.type === 'block') return checked.change
      throw new ConfigurationError(
        'id',
        `"${this.#id}" is a conversation, not memory blocks. Give the blocks an id of their own, such as "blocks:${this.#id}".`,
      )
    })
  }

  async #entriesFrom(from: number): Promise<readonly unknown[]> {
    try {
      await this.#store.init()
      const entries: unknown = await this.#store.read(this.#id, from)
      if (!Array.isArray(entries)) throw new TypeError('read() gave no array of entries')
      return entries
    } catch (error) {
      throw this.#storeError('read', error)
    }
  }

  #storeError(verb: 'append to' | 'read', error: unknown): unknown {
    if (isTercetError(error)) return error
    return new StoreError(
      `The store could not ${verb} the memory blocks "${this.#id}": ${messageOf(error)}. Mend the store and try again.`,
      { cause: error },
    )
  }

  #next<Result>(visit: () => Promise<Result>): Promise<Result> {
    const done = this.#visit.then(visit)
    this.#visit = done.catch(() => {})
    return done
  }
}

const isSame = (one: BlockChange, other: BlockChange): boolean =>
  one === other || canonicalJson({ ...one }) === canonicalJson({ ...other })

// Each conflict means that somebody else has written: only as many at once could use them all up.
const mostAttempts = 10
