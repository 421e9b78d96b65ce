import { ConcurrentRunError, isTercetError } from '../errors.ts'
import type { Entry } from '../transcript/entry.ts'
import type { ConversationStore } from '../transcript/store.ts'
import { Transcript } from '../transcript/transcript.ts'

/** A live conversation: its transcript, what of it is stored, and whose turn it is. */
export class ConversationState {
  readonly id: string
  #transcript = new Transcript()
  readonly #store: ConversationStore | undefined
  #stored = 0
  /** Entries up to here that are not stored never will be: another process went on with the conversation. */
  #lostUntil: number | undefined
  /** The last visit to the store. They come one after another: before one is over, no other knows the version. */
  #visit: Promise<void> = Promise.resolve()
  /** A visit that has not begun yet, and will store whatever there is by then. */
  #saving: Promise<void> | undefined
  #turn: Promise<void> = Promise.resolve()
  #runs = 0

  constructor(id: string, store?: ConversationStore) {
    this.id = id
    this.#store = store
  }

  get transcript(): Transcript {
    return this.#transcript
  }

  get isRunning(): boolean {
    return this.#runs > 0
  }

  /** Adds entries to the transcript without waiting for the store; they are stored with the next `save`. */
  add(entries: Iterable<Entry>): void {
    for (const entry of entries) this.#transcript.append(entry)
  }

  /**
   * Makes all entries durable. Nothing to wait for without a store.
   *
   * @throws ConflictError if another process went on with the conversation.
   */
  save(): Promise<void> | undefined {
    const store = this.#store
    if (!store || this.#stored === this.#transcript.version) return undefined
    this.#saving ??= this.#next(() => {
      this.#saving = undefined
      return this.#append(store)
    })
    return this.#saving
  }

  /** Brings in what the store has beyond what is known here. */
  async load(): Promise<void> {
    const store = this.#store
    if (store) await this.#next(() => this.#read(store))
  }

  /** Everything that happened. While a run goes on, only it says what the conversation goes on from. */
  async entries(): Promise<readonly Entry[]> {
    if (!this.isRunning) await this.load()
    return this.#transcript.entries.slice()
  }

  /**
   * Waits until it is this run's turn and gives back how to end the turn.
   *
   * @throws ConcurrentRunError at once, when another run is going on and runs do not queue.
   */
  async enter(concurrency: 'queue' | 'reject'): Promise<() => void> {
    if (concurrency === 'reject' && this.isRunning) throw new ConcurrentRunError(this.id)
    this.#runs++
    const before = this.#turn
    let leave = () => {}
    this.#turn = new Promise((resolve) => {
      leave = () => {
        this.#runs--
        resolve()
      }
    })
    await before
    return leave
  }

  #next(visit: () => Promise<void>): Promise<void> {
    const done = this.#visit.then(visit)
    this.#visit = done.catch(() => {})
    return done
  }

  async #append(store: ConversationStore): Promise<void> {
    const entries = this.#transcript.entries.slice(this.#stored)
    try {
      await store.append(this.id, this.#stored, entries)
      this.#stored += entries.length
    } catch (error) {
      if (isTercetError(error) && error.code === 'conflict') this.#lostUntil = this.#transcript.version
      throw error
    }
  }

  async #read(store: ConversationStore): Promise<void> {
    await store.init()
    const entries = await store.read(this.id, this.#stored)
    // What a run wrote here and lost to another process is gone with it; messages that were added by hand come after
    // what is stored.
    const lost = this.#lostUntil ?? 0
    const own = this.#transcript.entries.filter(
      ({ type }, index) => index >= this.#stored && (index >= lost || type === 'message'),
    )
    if (this.#lostUntil !== undefined || (entries.length > 0 && own.length > 0)) {
      const known = this.#transcript.entries.slice(0, this.#stored)
      this.#transcript = new Transcript([...known, ...entries, ...own])
      this.#lostUntil = undefined
    } else {
      this.add(entries)
    }
    this.#stored += entries.length
  }
}
