import { ConcurrentRunError, isTercetError, messageOf, StoreError } from '../errors.ts'
import type { Entry } from '../transcript/entry.ts'
import type { ConversationStore } from '../transcript/store.ts'
import { checkEntry, encodeEntry } from '../transcript/stored-entry.ts'
import { Transcript } from '../transcript/transcript.ts'

/** A live conversation: its transcript, what of it is stored, and whose turn it is. */
export class ConversationState {
  readonly id: string
  #transcript = new Transcript()
  readonly #store: ConversationStore | undefined
  #stored = 0
  /** Entries up to here that are not stored never will be: another process went on with the conversation. */
  #lostUntil: number | undefined
  /** An append failed, and what it was to write may be stored all the same. */
  #inDoubt = false
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
   * @throws ConflictError if another process went on with the conversation; StoreError for whatever else a store throws.
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

  /** Brings in what the store has beyond what is known here, as far as position `to`. */
  async load(to?: number): Promise<void> {
    const store = this.#store
    if (store) await this.#next(() => this.#read(store, to))
  }

  /** Everything that happened, or the first `to` entries. While a run goes on, only it says what the conversation goes on from. */
  async entries(to?: number): Promise<readonly Entry[]> {
    // What comes after them may be unreadable, and need not be known.
    const isKnown = to !== undefined && to <= this.#stored
    if (!this.isRunning && !isKnown) await this.load(to)
    return this.#transcript.entries.slice(0, to)
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
    if (this.#inDoubt) await this.#settleDoubt(store)
    const entries = this.#transcript.entries.slice(this.#stored)
    if (entries.length === 0) return
    try {
      await store.append(this.id, this.#stored, entries)
      this.#stored += entries.length
    } catch (error) {
      const isConflict = isTercetError(error) && error.code === 'conflict'
      if (isConflict) this.#lostUntil = this.#transcript.version
      else this.#inDoubt = true
      throw this.#storeError('append to', error)
    }
  }

  /** Finds out how much of what is not known to be stored is stored: a store may do its work and answer with an error. */
  async #settleDoubt(store: ConversationStore): Promise<void> {
    const there = await this.#readFrom(store)
    this.#stored += this.#commonWith(there)
    this.#inDoubt = false
  }

  /** How many of `entries`, which the store has beyond what is known to be stored, are this conversation's own. */
  #commonWith(entries: readonly Entry[]): number {
    const own = this.#transcript.entries.slice(this.#stored)
    const isOther = (entry: Entry, index: number) => {
      const mine = own[index]
      return mine === undefined || encodeEntry(mine) !== encodeEntry(entry)
    }
    const first = entries.findIndex(isOther)
    return first < 0 ? entries.length : first
  }

  async #readFrom(store: ConversationStore, to?: number): Promise<Entry[]> {
    const from = this.#stored
    try {
      await store.init()
      const entries: unknown = await store.read(this.id, from, to)
      if (!Array.isArray(entries)) throw new TypeError('read() gave no array of entries')
      return entries.map((entry, index) =>
        checkEntry(entry, { conversationId: this.id, position: from + index }),
      )
    } catch (error) {
      throw this.#storeError('read', error)
    }
  }

  async #read(store: ConversationStore, to?: number): Promise<void> {
    const there = await this.#readFrom(store, to)
    const landed = this.#inDoubt ? this.#commonWith(there) : 0
    this.#inDoubt = false
    this.#stored += landed
    const entries = there.slice(landed)
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

  #storeError(verb: 'append to' | 'read', error: unknown): unknown {
    if (isTercetError(error)) return error
    return new StoreError(
      `The store could not ${verb} the conversation "${this.id}": ${messageOf(error)}. ` +
        'What it acknowledged is kept; mend the store, and resume the run or run again.',
      { cause: error },
    )
  }
}
