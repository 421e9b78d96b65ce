import type { DatabaseSync } from 'node:sqlite'
import { StoreError } from '../errors.ts'

/**
 * What takes a file from each version of its schema to the next; what was released never changes. The names begin with
 * `tercet_`, so that the file may hold tables of others.
 */
export const migrations: readonly string[] = [
  `CREATE TABLE tercet_schema (version INTEGER NOT NULL) STRICT;
   INSERT INTO tercet_schema VALUES (0);

   -- key is the exact id, as UTF-16; id is the same for people to read.
   CREATE TABLE tercet_conversations (
     number INTEGER PRIMARY KEY,
     key BLOB NOT NULL UNIQUE,
     id TEXT NOT NULL,
     version INTEGER NOT NULL,
     state TEXT NOT NULL,
     updated_at INTEGER NOT NULL
   ) STRICT;
   CREATE INDEX tercet_conversations_by_state ON tercet_conversations (state, key);

   -- checksum is the CRC-32 of entry: SQLite itself does not notice when a text is damaged.
   CREATE TABLE tercet_entries (
     conversation INTEGER NOT NULL REFERENCES tercet_conversations ON DELETE CASCADE,
     position INTEGER NOT NULL,
     entry TEXT NOT NULL,
     checksum INTEGER NOT NULL,
     PRIMARY KEY (conversation, position)
   ) STRICT;`,
]

/**
 * Makes `database` one of the newest schema: once, whoever else tries at the same time.
 *
 * @throws StoreError if it is of a newer one than `steps` lead to.
 */
export function migrate(database: DatabaseSync, steps: readonly string[] = migrations): void {
  if (versionOf(database, steps.length) === steps.length) return
  // For good: the file remembers it. Readers and a writer are then in nobody's way.
  database.exec('PRAGMA journal_mode = WAL')
  inTransaction(database, 'IMMEDIATE', () => {
    const version = versionOf(database, steps.length)
    for (const step of steps.slice(version)) database.exec(step)
    database.prepare('UPDATE tercet_schema SET version = ?').run(steps.length)
  })
}

/**
 * Does all of `work` or nothing. `IMMEDIATE`: no other process writes meanwhile; `DEFERRED`, for reading: what it writes is
 * not seen.
 */
export function inTransaction<T>(database: DatabaseSync, kind: 'IMMEDIATE' | 'DEFERRED', work: () => T): T {
  database.exec(`BEGIN ${kind}`)
  try {
    const result = work()
    database.exec('COMMIT')
    return result
  } catch (error) {
    try {
      database.exec('ROLLBACK')
    } catch {
      // After some failures SQLite has done so by itself.
    }
    throw error
  }
}

function versionOf(database: DatabaseSync, newest: number): number {
  const table = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'tercet_schema'").get()
  if (!table) return 0
  const version = Number(database.prepare('SELECT version FROM tercet_schema').get()?.['version'])
  if (version <= newest) return version
  throw new StoreError(
    `The file was written by a newer version of tercet: its schema is ${version}, and this version knows up to ` +
      `${newest}. Update tercet.`,
  )
}
