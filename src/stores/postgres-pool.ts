import { MissingPackageError, messageOf, StoreError } from '../errors.ts'
import { Scrubber } from '../scrubber.ts'

/** What the store asks of a pool; one of `pg` is one. */
export interface PostgresPool {
  query(text: string, values?: unknown[]): Promise<{ readonly rows: readonly unknown[] }>
}

/** A row, by the names of its columns. */
export type PostgresRow = Readonly<Record<string, unknown>>

/** A pool whose failures are `StoreError`s, and which tells nobody how it connects. */
export class PostgresConnections {
  readonly #pool: PostgresPool
  readonly #scrubber: Scrubber
  readonly #end: () => Promise<void>

  /** Those of a pool that is someone else's, and stays open. */
  static of(pool: PostgresPool): PostgresConnections {
    return new PostgresConnections(pool, Scrubber.none, async () => {})
  }

  /** @throws MissingPackageError without `pg`. Nothing is connected yet. */
  static async to(connectionString: string): Promise<PostgresConnections> {
    const { default: pg } = await import('pg').catch((cause: unknown) => {
      throw new MissingPackageError('pg', { cause })
    })
    const pool = new pg.Pool({
      connectionString,
      connectionTimeoutMillis: 10_000,
      keepAlive: true,
      // A program that has nothing else to do may end.
      allowExitOnIdle: true,
    })
    // A server that goes away while nobody asks it is told by the next query; unheard, it would end the process.
    pool.on('error', () => {})
    return new PostgresConnections(pool, new Scrubber(secretsOf(connectionString)), () => pool.end())
  }

  private constructor(pool: PostgresPool, scrubber: Scrubber, end: () => Promise<void>) {
    this.#pool = pool
    this.#scrubber = scrubber
    this.#end = end
  }

  /** @throws StoreError */
  async rows(text: string, ...values: readonly unknown[]): Promise<readonly PostgresRow[]> {
    try {
      const { rows } = await this.#pool.query(text, values.length > 0 ? [...values] : undefined)
      return rows as readonly PostgresRow[] // what pg makes of rows, unless it is told otherwise for one query
    } catch (error) {
      throw this.#failure(error)
    }
  }

  end(): Promise<void> {
    return this.#end()
  }

  #failure(error: unknown): StoreError {
    const cure = cureOf(codeOf(error))
    const told = messageOf(error)
    const problem = this.#scrubber.text(told)
    const cause = problem === told ? error : new Error(problem)
    return new StoreError(`Postgres: ${problem}.${cure ? ` ${cure}` : ''}`, { cause })
  }
}

/** Another transaction came first, as a server tells it whose transactions are stricter than by default. */
export function isLostRace(error: unknown): boolean {
  const code = error instanceof StoreError ? codeOf(error.cause) : undefined
  return code === '40001' || code === '23505'
}

function secretsOf(connectionString: string): { name: string; value: string }[] {
  const { password } = URL.parse(connectionString) ?? { password: '' }
  return [connectionString, password, decoded(password)].map((value) => ({ name: 'connectionString', value }))
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const unreachable =
  'See that the server runs and can be reached from here. Whether what was under way is written is unknown: read it again.'

/**
 * What to do, by code of the operating system or SQLSTATE; where there is none of a code, by its class.
 * https://www.postgresql.org/docs/18/errcodes-appendix.html, 2026-11-28
 */
const cures: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'No server listens there: start it, or correct the address.',
  ENOTFOUND: 'There is no such host: correct the address.',
  ECONNRESET: unreachable,
  EPIPE: unreachable,
  ETIMEDOUT: unreachable,
  '08': unreachable,
  '22021': 'The encoding of the database has to be UTF8: make one that is.',
  '25006': 'This server or user may only read: name the primary server, or a user that may write.',
  '28': 'Correct the user or the password.',
  '3D000': 'Make the database, or name another.',
  '42501': 'Grant the user what it lacks; to create its tables it needs CREATE on the database.',
  '42P01': 'The tables are gone: make a new store and initialise it.',
  '53100': 'The disk of the server is full: make room and try again.',
  '53300': 'The server has no connection left: raise its max_connections, or give a smaller pool.',
  '54000': 'An id or an entry is larger than Postgres can keep.',
  '57P': unreachable,
}

function cureOf(code: string | undefined): string | undefined {
  if (code === undefined) return unreachable // pg's own: a connection that ended or did not come to be
  return cures[code] ?? cures[code.slice(0, 3)] ?? cures[code.slice(0, 2)]
}

function codeOf(error: unknown): string | undefined {
  const { code } = Object(error) as { code?: unknown } // only read, and only used when it is text
  return typeof code === 'string' ? code : undefined
}
