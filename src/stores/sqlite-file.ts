import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import { messageOf, StoreError } from '../errors.ts'
import { systemRuntime } from '../runtime.ts'
import { closed } from './resource.ts'
import { inTransaction, migrate } from './sqlite-schema.ts'

/** A row, by the names of its columns. */
export type SqliteRow = Readonly<Record<string, unknown>>

/** An open file. Its failures are `StoreError`s; when another process writes, it waits, and this process does not. */
export class SqliteFile {
  readonly #database: DatabaseSync
  readonly #path: string
  readonly #busyTimeoutMs: number
  readonly #statements = new Map<string, StatementSync>()
  #isClosed = false

  /** @throws StoreError if it cannot be opened, or is no database of ours. */
  static async open(path: string, busyTimeoutMs: number): Promise<SqliteFile> {
    const { DatabaseSync } = await import('node:sqlite').catch((cause: unknown) => {
      throw new StoreError(
        'SqliteStore needs node:sqlite, which this runtime lacks: use Node 22.13 or newer.',
        {
          cause,
        },
      )
    })
    let database: DatabaseSync
    try {
      database = new DatabaseSync(path)
    } catch (error) {
      throw failure(error, path)
    }
    const file = new SqliteFile(database, path, busyTimeoutMs)
    try {
      // What is written is on the disk before anyone is told so; fullfsync is how macOS is asked for that.
      await file.#patiently(() => database.exec('PRAGMA synchronous = FULL; PRAGMA fullfsync = ON'))
      await file.#patiently(() => migrate(database))
    } catch (error) {
      file.close()
      throw error
    }
    return file
  }

  private constructor(database: DatabaseSync, path: string, busyTimeoutMs: number) {
    this.#database = database
    this.#path = path
    this.#busyTimeoutMs = busyTimeoutMs
  }

  /** All of `work` or nothing; no other process writes meanwhile. */
  write<T>(work: () => T): Promise<T> {
    return this.#patiently(() => inTransaction(this.#database, 'IMMEDIATE', work))
  }

  /** `work` sees the file as it is at one moment. */
  read<T>(work: () => T): Promise<T> {
    return this.#patiently(() => inTransaction(this.#database, 'DEFERRED', work))
  }

  rows(sql: string, ...values: readonly SQLInputValue[]): readonly SqliteRow[] {
    return this.#statement(sql).all(...values)
  }

  run(sql: string, ...values: readonly SQLInputValue[]): void {
    this.#statement(sql).run(...values)
  }

  /** Whoever still waits is told that it is closed. */
  close(): void {
    this.#isClosed = true
    this.#database.close()
  }

  /**
   * The result of `work`, which begins anew for as long as another process has the file to itself.
   *
   * @throws StoreError for what SQLite throws; anything else as it is.
   */
  async #patiently<T>(work: () => T): Promise<T> {
    const { now, sleep, random } = systemRuntime
    const deadline = now() + this.#busyTimeoutMs
    for (let longestMs = 1; ; longestMs = Math.min(longestMs * 2, 25)) {
      if (this.#isClosed) throw closed()
      try {
        return work()
      } catch (error) {
        if (resultCodeOf(error) !== busy || now() >= deadline) throw failure(error, this.#path)
      }
      // Not SQLite's own way to wait, which is to stop the whole process.
      await sleep(random() * longestMs)
    }
  }

  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql)
    if (known) return known
    const prepared = this.#database.prepare(sql)
    this.#statements.set(sql, prepared)
    return prepared
  }
}

const busy = 5
const corrupt = 11

/** What to do, by SQLite's primary result code: https://sqlite.org/rescode.html, 2026-11-28. */
const cures: Readonly<Record<number, string>> = {
  [busy]: 'Another process has the file to itself: let it finish, or raise busyTimeoutMs.',
  8: 'Let this process write to the file and to its folder.',
  10: 'The disk failed or is full. Nothing of this append is written: repair the disk, or make room, and try again.',
  [corrupt]:
    'The file is damaged: restore it from a copy, or save what is left with "sqlite3 FILE .recover".',
  13: 'The disk is full. Nothing of this append is written: make room and try again.',
  14: 'Its folder has to exist, and this process has to be allowed to write there.',
  26: 'The file is no SQLite database, or its beginning is damaged: name another, or restore it from a copy.',
}

function failure(error: unknown, path: string): unknown {
  const code = resultCodeOf(error)
  if (code === undefined) return error
  const cure = cures[code]
  return new StoreError(`SQLite, ${path}: ${messageOf(error)}.${cure ? ` ${cure}` : ''}`, { cause: error })
}

/** The primary result code, if it is an error of SQLite. */
function resultCodeOf(error: unknown): number | undefined {
  const { errcode, code } = Object(error) as { errcode?: unknown; code?: unknown } // only read and compared
  // A number that no JavaScript number can be: nobody wrote it.
  if (code === 'ERR_OUT_OF_RANGE') return corrupt
  return typeof errcode === 'number' ? errcode & 0xff : undefined
}
