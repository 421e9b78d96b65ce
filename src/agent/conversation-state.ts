import type { LLMRequest } from '../client/client.ts'
import { ConcurrentRunError, ConflictError, isTercetError, messageOf, StoreError } from '../errors.ts'
import { canonicalJson, type JsonObject, jsonCopy } from '../json.ts'
import type { Entry } from '../transcript/entry.ts'
import type { ConversationStore } from '../transcript/store.ts'
import { Transcript } from '../transcript/transcript.ts'

/** A live conversation: its transcript, what of it is stored, and whose turn it is. */
export class ConversationState {
  readonly id: string
  /** What was last asked of a model here. */
  lastRequest: LLMRequest | undefined
  #transcript = new Transcript()
  readonly #store: ConversationStore | undefined
  #stored = 0
  /** What of a run is not stored never will be: another process went on with the conversation. */
  #isLost = false
  #isDeleted = false
  /** An append failed, and what it was to write may be stored all the same. */
  #inDoubt = false
  /** The last visit to the store. They come one after another: before one is over, no other knows the version. */
  #visit: Promise<void> | undefined
  /** The last reading of all there is, unless it failed. */
  #loaded: Promise<void> | undefined
  /** A visit that has not begun yet, and will store whatever there is by then. */
  #saving: Promise<void> | undefined
  #runs = 0
  /** The runs that wait for the one before them to leave. */
  #line: (() => void)[] | undefined

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

  /**
   * Deletes it from the store. Whoever still goes on with it loses: what begins anew by the same id is another conversation,
   * also when it has become as long as this one.
   */
  async delete(): Promise<void> {
    this.#isDeleted = true
    try {
      await this.#store?.init()
      await this.#store?.delete(this.id)
    } catch (error) {
      throw this.#storeError('delete', error)
    }
  }

  /** Brings in what the store has beyond what is known here, as far as position `to`. Nothing to wait for without a store. */
  load(to?: number): Promise<void> | undefined {
    const store = this.#store
    const loading = store && this.#next(() => this.#read(store, to))
    if (!loading || to !== undefined) return loading
    this.#loaded = loading
    loading.catch(() => {
      if (this.#loaded === loading) this.#loaded = undefined
    })
    return loading
  }

  /** Everything that happened, or the first `to` entries. What a run has read, only it says what the conversation goes on from. */
  async entries(to?: number): Promise<readonly Entry[]> {
    // What comes after them may be unreadable, and need not be known.
    const isKnown = to !== undefined && to <= this.#stored
    if (!isKnown) await ((this.isRunning && this.#loaded) || this.load(to))
    return this.#transcript.entries.slice(0, to)
  }

  /** Queues up behind the runs that are going on. When there is one and runs do not queue, the turn never comes. */
  enter(concurrency: 'queue' | 'reject'): Turn {
    if (concurrency === 'reject' && this.isRunning) return refused(new ConcurrentRunError(this.id))
    const comes = this.isRunning ? this.#lineUp() : undefined
    this.#runs++
    const end = () => {
      this.#runs--
      const next = this.#line?.shift()
      if (next) next()
      else this.#transcript.trim()
    }
    // The turn of a run that was stopped in the queue comes, and is given up then.
    return comes ? { comes, leave: () => void comes.then(end) } : { leave: end }
  }

  #lineUp(): Promise<void> {
    return new Promise((resolve) => {
      this.#line ??= []
      this.#line.push(resolve)
    })
  }

  #next(visit: () => Promise<void>): Promise<void> {
    const done = Promise.resolve(this.#visit).then(visit)
    this.#visit = done.catch(() => {})
    return done
  }

  async #append(store: ConversationStore): Promise<void> {
    if (this.#isDeleted) throw new ConflictError(this.id, this.#stored, 0)
    if (this.#inDoubt) await this.#settleDoubt(store)
    const entries = this.#transcript.entries.slice(this.#stored)
    if (entries.length === 0) return
    try {
      await store.append(this.id, this.#stored, entries)
      this.#stored += entries.length
    } catch (error) {
      const isConflict = isTercetError(error) && error.code === 'conflict'
      if (isConflict) this.#isLost = true
      else this.#inDoubt = true
      throw this.#storeError('append to', error)
    }
  }

  /** Finds out how much of what is not known to be stored is stored: a store may do its work and answer with an error. */
  async #settleDoubt(store: ConversationStore): Promise<void> {
    const news = await this.#newsIn(store)
    this.#stored += this.#commonWith(news ?? [])
    this.#inDoubt = false
  }

  /** How many of `entries`, which the store has beyond what is known to be stored, are this conversation's own. */
  #commonWith(entries: readonly Entry[]): number {
    const own = this.#transcript.entries.slice(this.#stored)
    const first = entries.findIndex((entry, index) => !isSame(entry, own[index]))
    return first < 0 ? entries.length : first
  }

  /**
   * What the store has beyond what is known to be stored. `undefined` if not even that is there any more: the conversation
   * was deleted, and perhaps begun anew.
   */
  async #newsIn(store: ConversationStore, to?: number): Promise<readonly Entry[] | undefined> {
    const last = this.#stored - 1
    if (last < 0) return this.#readFrom(store, 0, to)
    const [first, ...news] = await this.#readFrom(store, last, to)
    return isSame(first, this.#transcript.entries[last]) ? news : undefined
  }

  async #readFrom(store: ConversationStore, from: number, to?: number): Promise<Entry[]> {
    try {
      // Loaded late: without a store, no entry is anyone else's.
      const { checkEntry } = await import('../transcript/stored-entry.ts')
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
    const news = await this.#newsIn(store, to)
    const there = news ?? (await this.#readFrom(store, 0, to))
    const known = news ? this.#transcript.entries.slice(0, this.#stored) : []
    const landed = news && this.#inDoubt ? this.#commonWith(news) : 0
    const own = this.#transcript.entries.slice(this.#stored + landed)
    const isLost = this.#isLost || news === undefined || there.length > landed
    this.#inDoubt = false
    this.#isLost = false
    this.#stored = known.length + there.length
    if (!isLost) return
    if (news && own.length === 0) this.add(there.slice(landed))
    else this.#transcript = new Transcript([...known, ...there, ...own.filter(isSaidByHand)])
  }

  #storeError(verb: 'append to' | 'delete' | 'read', error: unknown): unknown {
    if (isTercetError(error)) return error
    const cure =
      verb === 'delete'
        ? 'Mend the store and delete it again.'
        : 'What it acknowledged is kept; mend the store, and resume the run or run again.'
    return new StoreError(
      `The store could not ${verb} the conversation "${this.id}": ${messageOf(error)}. ${cure}`,
      { cause: error },
    )
  }
}

/** A run's place among the runs of a conversation. */
export interface Turn {
  /** When it has come; absent if it has already. Rejects with a ConcurrentRunError if it never does. */
  readonly comes?: Promise<void>
  /** Makes room for the next, once it has come. */
  readonly leave: () => void
}

function refused(error: ConcurrentRunError): Turn {
  const comes = Promise.reject(error)
  comes.catch(() => {})
  return { comes, leave: () => {} }
}

/** Of no run: it has not to be told again because another process went on, only later. */
const isSaidByHand = (entry: Entry): boolean => entry.type === 'message' && entry.runId === undefined

/** A store may give back the members of an entry in another order. */
function isSame(one: Entry | undefined, other: Entry | undefined): boolean {
  if (one === undefined || other === undefined || one === other) return one === other
  return canonicalOf(one) === canonicalOf(other)
}

const canonicalOf = (entry: Entry): string => canonicalJson(jsonCopy<unknown>(entry) as JsonObject) // an entry is JSON
