import { ConflictError } from '../errors.ts'
import type { Entry } from './entry.ts'

/** Keeps conversations. A conversation's version is the number of its entries. */
export interface ConversationStore {
  /** Makes the store ready; calling it again does nothing. */
  init(): Promise<void>
  /**
   * Adds `entries`, all or none, and gives the new version. Once it has resolved, they outlive whatever happens to the
   * process.
   *
   * @throws ConflictError if the conversation is not at `expectedVersion`. Nothing is written then.
   */
  append(id: string, expectedVersion: number, entries: readonly Entry[]): Promise<number>
  /**
   * The entries from position `from` on (default 0) and before `to` (default: all), oldest first; none for a conversation
   * that does not exist.
   *
   * @throws CorruptEntryError for the first of them that cannot be read.
   */
  read(id: string, from?: number, to?: number): Promise<readonly Entry[]>
  /** Sorted by id, by UTF-16 code units. */
  list(query?: ConversationQuery): Promise<readonly ConversationInfo[]>
  /** Afterwards there is no conversation of that id; version 0 is where one begins anew. */
  delete(id: string): Promise<void>
  close(): Promise<void>
}

export interface ConversationQuery {
  /** Only conversations whose last run neither ended nor waits for approval: what a crash left, and what is running. */
  readonly unfinished?: boolean
  /** Only conversations whose last run waits for approval. With `unfinished`: those of either kind. */
  readonly suspended?: boolean
  /** Only ids after this one: the last of the page before. */
  readonly after?: string
  /** At most so many. Default: all. */
  readonly limit?: number
}

export interface ConversationInfo {
  readonly id: string
  readonly version: number
  readonly state: ConversationRunState
  /** When it was last appended to, in milliseconds since the epoch, by the store's clock, if it has one. */
  readonly updatedAt?: number
}

/** How the last run of a conversation stands: `ended`, also where there was none. */
export type ConversationRunState = 'ended' | 'unfinished' | 'suspended'

/** The state of a conversation's last run after `entries`, given what it was `before` them. */
export function runStateAfter(before: ConversationRunState, entries: readonly Entry[]): ConversationRunState {
  let state = before
  for (const { type } of entries) {
    if (type === 'input' || type === 'run_resumed') state = 'unfinished'
    else if (type === 'run_suspended') state = 'suspended'
    else if (type === 'run_ended') state = 'ended'
  }
  return state
}

/** Whether a conversation in that state is asked for. */
export function isAskedFor(state: ConversationRunState, query: ConversationQuery): boolean {
  if (!query.unfinished && !query.suspended) return true
  return (
    (query.unfinished === true && state === 'unfinished') ||
    (query.suspended === true && state === 'suspended')
  )
}

/** Conversations in memory: shared by all agents that are given it, gone with the process. */
export class MemoryStore implements ConversationStore {
  readonly #conversations = new Map<string, Entry[]>()

  async init(): Promise<void> {}

  async append(id: string, expectedVersion: number, entries: readonly Entry[]): Promise<number> {
    const kept = this.#conversations.get(id) ?? []
    if (kept.length !== expectedVersion) throw new ConflictError(id, expectedVersion, kept.length)
    if (entries.length > 0) this.#conversations.set(id, kept)
    for (const entry of entries) kept.push(entry)
    return kept.length
  }

  async read(id: string, from = 0, to?: number): Promise<readonly Entry[]> {
    return (this.#conversations.get(id) ?? []).slice(from, to)
  }

  async list(query: ConversationQuery = {}): Promise<readonly ConversationInfo[]> {
    const { after, limit } = query
    return [...this.#conversations]
      .map(([id, entries]) => ({ id, version: entries.length, state: runStateAfter('ended', entries) }))
      .filter(({ id, state }) => (after === undefined || id > after) && isAskedFor(state, query))
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .slice(0, limit)
  }

  async delete(id: string): Promise<void> {
    this.#conversations.delete(id)
  }

  async close(): Promise<void> {}
}
