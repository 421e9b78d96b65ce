import { crc32 } from 'node:zlib'
import { ConflictError, CorruptEntryError, StoreError, shown } from '../errors.ts'
import { checkOptions, filledText, integer, optional } from '../options.ts'
import type { Entry } from '../transcript/entry.ts'
import {
  type ConversationInfo,
  type ConversationQuery,
  type ConversationRunState,
  type ConversationStore,
  runStateAfter,
} from '../transcript/store.ts'
import { decodeEntry, type EntryPlace, encodeEntry } from '../transcript/stored-entry.ts'
import {
  type ConversationRow,
  type EntryRow,
  entriesOf,
  infoOf,
  keyOf,
  statesAskedFor,
} from './conversation-rows.ts'
import { Resource } from './resource.ts'
import { SqliteFile } from './sqlite-file.ts'

export interface SqliteStoreOptions {
  /** The file, in a folder that exists; made when there is none. `':memory:'` keeps nothing beyond this store. */
  readonly path: string
  /** How long to wait while other processes write, in milliseconds. Default 5 000. */
  readonly busyTimeoutMs?: number
}

/**
 * Conversations in one file of SQLite, by Node's own `node:sqlite`. Any number of processes of one machine may share the
 * file; it must not be on a network file system, where locks do not hold.
 *
 * An append is on the disk when it has resolved: it outlives the process, and also a power cut if the disk keeps what it
 * has confirmed. That costs a sync to the disk for each append, during which the process stands still, as for every call
 * of `node:sqlite`: well below a millisecond on an SSD, some on a slow disk.
 */
export class SqliteStore implements ConversationStore {
  readonly #file: Resource<SqliteFile>

  /** @throws ConfigurationError for options that are wrong. Nothing is opened before `init`. */
  constructor(options: SqliteStoreOptions) {
    checkOptions('SqliteStore', options, { path: filledText(), busyTimeoutMs: optional(integer(0)) })
    const { path, busyTimeoutMs = 5_000 } = options
    this.#file = new Resource(
      () => SqliteFile.open(path, busyTimeoutMs),
      async (file) => file.close(),
    )
  }

  /** @throws StoreError if the file cannot be opened, is no database, or is one of a newer version of tercet. */
  init(): Promise<void> {
    return this.#file.open()
  }

  async append(id: string, expectedVersion: number, entries: readonly Entry[]): Promise<number> {
    const file = this.#file.get()
    const texts = entries.map(encodeEntry)
    return file.write(() => {
      const [kept] = file.rows(
        'SELECT number, version, state FROM tercet_conversations WHERE key = ?',
        keyOf(id),
      )
      if (!kept) checkAbsence(file, id)
      const actualVersion = Number(kept?.['version'] ?? 0)
      if (actualVersion !== expectedVersion) throw new ConflictError(id, expectedVersion, actualVersion)
      if (texts.length === 0) return actualVersion
      const version = actualVersion + texts.length
      // Written by the statement below, and by no one else.
      const before = (kept?.['state'] ?? 'ended') as ConversationRunState
      const [conversation] = file.rows(
        `INSERT INTO tercet_conversations (key, id, version, state, updated_at)
           VALUES (?, ?, ?, ?, CAST(unixepoch('subsec') * 1000 AS INTEGER))
         ON CONFLICT (key) DO UPDATE
           SET version = excluded.version, state = excluded.state, updated_at = excluded.updated_at
         RETURNING number`,
        keyOf(id),
        id,
        version,
        runStateAfter(before, entries),
      )
      for (const [index, text] of texts.entries()) {
        file.run(
          'INSERT INTO tercet_entries (conversation, position, entry, checksum) VALUES (?, ?, ?, ?)',
          Number(conversation?.['number']),
          actualVersion + index,
          text,
          crc32(text),
        )
      }
      return version
    })
  }

  async read(id: string, from = 0, to?: number): Promise<readonly Entry[]> {
    const file = this.#file.get()
    const rows = await file.read(() => {
      const found = file.rows(
        `SELECT version, position, entry, checksum
         FROM tercet_conversations
           LEFT JOIN tercet_entries ON conversation = number AND position >= ?2 AND (?3 IS NULL OR position < ?3)
         WHERE key = ?1 ORDER BY position`,
        keyOf(id),
        from,
        to ?? null,
      )
      if (found.length === 0) checkAbsence(file, id)
      return found
    })
    // The columns of the query, in tables whose types are strict.
    return entriesOf(rows as unknown as readonly CheckedRow[], { id, from, to }, decodeChecked)
  }

  async list(query: ConversationQuery = {}): Promise<readonly ConversationInfo[]> {
    const file = this.#file.get()
    const rows = await file.read(() =>
      file.rows(
        `SELECT key, version, state, updated_at AS "updatedAt" FROM tercet_conversations
         WHERE state IN (SELECT value FROM json_each(?1)) AND (?2 IS NULL OR key > ?2) ORDER BY key LIMIT ?3`,
        JSON.stringify(statesAskedFor(query)),
        query.after === undefined ? null : keyOf(query.after),
        query.limit ?? -1,
      ),
    )
    return (rows as unknown as readonly ConversationRow[]).map(infoOf) // the columns of the query
  }

  async delete(id: string): Promise<void> {
    const file = this.#file.get()
    await file.write(() => file.run('DELETE FROM tercet_conversations WHERE key = ?', keyOf(id)))
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

/**
 * A conversation that is not found is looked for in the other index, too: damage to the one would else be taken for a
 * conversation that never was, and begin it anew.
 *
 * @throws StoreError if it is there.
 */
function checkAbsence(file: SqliteFile, id: string): void {
  const found = file.rows(
    `SELECT 1 FROM tercet_conversations INDEXED BY tercet_conversations_by_state
     WHERE state IN ('ended', 'unfinished', 'suspended') AND key = ?`,
    keyOf(id),
  )
  if (found.length === 0) return
  throw new StoreError(
    `The file is damaged: the conversation ${shown(id)} is in one index and not in the other. Restore the file from a ` +
      'copy, or mend it with "sqlite3 FILE REINDEX".',
  )
}

interface CheckedRow extends EntryRow {
  readonly checksum: number
}

function decodeChecked(
  { entry, checksum }: CheckedRow & { readonly entry: string },
  place: EntryPlace,
): Entry {
  if (crc32(entry) !== checksum) throw new CorruptEntryError(place, 'its checksum says that it was changed')
  return decodeEntry(entry, place)
}
