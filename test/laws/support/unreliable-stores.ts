import { setImmediate } from 'node:timers/promises'
import type { Entry } from '../../../src/transcript/entry.ts'
import type { ConversationQuery, ConversationStore } from '../../../src/transcript/store.ts'

type Append = (id: string, expectedVersion: number, entries: readonly Entry[]) => Promise<number>

/** A store whose appends go through `change`, which may pass them on. */
class ChangedStore implements ConversationStore {
  readonly #store: ConversationStore
  readonly #change: (pass: Append) => Append

  constructor(store: ConversationStore, change: (pass: Append) => Append) {
    this.#store = store
    this.#change = change
  }

  append(id: string, expectedVersion: number, entries: readonly Entry[]): Promise<number> {
    const pass: Append = (...visit) => this.#store.append(...visit)
    return this.#change(pass)(id, expectedVersion, entries)
  }

  init = () => this.#store.init()
  read = (id: string, from?: number, to?: number) => this.#store.read(id, from, to)
  list = (query?: ConversationQuery) => this.#store.list(query)
  delete = (id: string) => this.#store.delete(id)
  close = () => this.#store.close()
}

/** Where a process dies: at which append, counted from 0, and whether that is stored by then. */
export interface Death {
  readonly at: number
  readonly when: 'before' | 'after'
}

/** A store as a process sees it that dies: from then on nothing is answered. */
export function dyingStore(store: ConversationStore, death?: Death) {
  const life = { appends: 0, isDead: false }
  const die = (): Promise<never> => {
    life.isDead = true
    return new Promise(() => {})
  }
  const view = new ChangedStore(store, (pass) => async (...visit) => {
    const isNow = life.appends++ === death?.at
    if (life.isDead || (isNow && death?.when === 'before')) return die()
    const version = await pass(...visit)
    return isNow ? die() : version
  })
  return { view, life }
}

/** What goes wrong with one append. `lost answer`: it is stored, and answered with an error. */
export type Mishap = 'throws' | 'lost answer' | 'hangs'

/** A store of which one append goes wrong, counted from 0. */
export function failingStore(store: ConversationStore, at: number, mishap: Mishap): ConversationStore {
  let appends = 0
  return new ChangedStore(store, (pass) => async (...visit) => {
    if (appends++ !== at) return pass(...visit)
    if (mishap === 'hangs') return new Promise(() => {})
    if (mishap === 'lost answer') await pass(...visit)
    throw new Error('the connection was reset')
  })
}

/** A store that takes its time: before each append so many turns of the event loop as `turns` says, in a circle. */
export function slowStore(store: ConversationStore, turns: readonly number[]): ConversationStore {
  let appends = 0
  return new ChangedStore(store, (pass) => async (...visit) => {
    const wait = turns[appends++ % turns.length] ?? 0
    for (let turn = 0; turn < wait; turn++) await setImmediate()
    return pass(...visit)
  })
}

/** A store that says when it has nothing to do. */
export type WatchedStore = ConversationStore & { idle(): Promise<void> }

export function watchedStore(store: ConversationStore): WatchedStore {
  let busy = 0
  const watch = async <T>(visit: Promise<T>): Promise<T> => {
    busy++
    try {
      return await visit
    } finally {
      busy--
    }
  }
  return {
    init: () => watch(store.init()),
    append: (id, expectedVersion, entries) => watch(store.append(id, expectedVersion, entries)),
    read: (id, from, to) => watch(store.read(id, from, to)),
    list: (query) => watch(store.list(query)),
    delete: (id) => watch(store.delete(id)),
    close: () => watch(store.close()),
    idle: async () => {
      for (let quiet = 0; quiet < 3; quiet = busy === 0 ? quiet + 1 : 0) await setImmediate()
    },
  }
}
