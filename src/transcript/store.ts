import { ConflictError } from '../errors.ts'
import type { Entry } from './entry.ts'

/** Keeps conversations. A conversation's version is the number of its entries. */
export interface ConversationStore {
  /** Makes the store ready; calling it again does nothing. */
  init(): Promise<void>
  /**
   * Adds `entries`, all or none, and gives the new version.
   *
   * @throws ConflictError if the conversation is not at `expectedVersion`. Nothing is written then.
   */
  append(id: string, expectedVersion: number, entries: readonly Entry[]): Promise<number>
  /** The entries from position `from` on (default 0), oldest first; none for a conversation that does not exist. */
  read(id: string, from?: number): Promise<readonly Entry[]>
  list(query?: ConversationQuery): Promise<readonly ConversationInfo[]>
  delete(id: string): Promise<void>
  close(): Promise<void>
}

export interface ConversationQuery {
  /** Only conversations whose last run has not ended. */
  readonly unfinished?: boolean
}

export interface ConversationInfo {
  readonly id: string
  readonly version: number
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

  async read(id: string, from = 0): Promise<readonly Entry[]> {
    return (this.#conversations.get(id) ?? []).slice(from)
  }

  async list(query: ConversationQuery = {}): Promise<readonly ConversationInfo[]> {
    const all = [...this.#conversations].map(([id, entries]) => ({ id, version: entries.length, entries }))
    return all
      .filter(({ entries }) => !query.unfinished || isUnfinished(entries))
      .map(({ id, version }) => ({ id, version }))
  }

  async delete(id: string): Promise<void> {
    this.#conversations.delete(id)
  }

  async close(): Promise<void> {}
}

function isUnfinished(entries: readonly Entry[]): boolean {
  const last = entries.findLast((entry) => entry.type === 'input' || entry.type === 'run_ended')
  return last?.type === 'input'
}
