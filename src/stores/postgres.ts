import { ConfigurationError, ConflictError, StoreError } from '../errors.ts'
import { checkMembers, checkOptions, fn, hidden, optional, that } from '../options.ts'
import type { Entry } from '../transcript/entry.ts'
import {
  type ConversationInfo,
  type ConversationQuery,
  type ConversationStore,
  runStateAfter,
} from '../transcript/store.ts'
import { decodeEntry, encodeEntry } from '../transcript/stored-entry.ts'
import {
  type ConversationRow,
  type EntryRow,
  entriesOf,
  infoOf,
  keyOf,
  statesAskedFor,
} from './conversation-rows.ts'
import { messageColumns } from './message-columns.ts'
import { isLostRace, PostgresConnections, type PostgresPool } from './postgres-pool.ts'
import { migrationOf, migrations } from './postgres-schema.ts'
import { Resource } from './resource.ts'

export type PostgresStoreOptions = {
  /** The namespace of its tables, made when there is none: lower-case letters, digits and `_`. Default `'tercet'`. */
  readonly schema?: string
} & (
  | {
      /** `postgres://user:password@host:port/database`. The store makes a pool of connections and closes it. */
      readonly connectionString: string
    }
  | {
      /** A pool of `pg`. It stays yours: listen to its `error` events, and close it when the store is closed. */
      readonly pool: PostgresPool
    }
)

/**
 * Conversations in Postgres, shared by any number of processes and machines, by the package `pg`. An append is one
 * statement, and as durable as the server's `synchronous_commit` makes it. The view `messages` of the schema shows who
 * said what, for people. The id of a conversation has at most 1 000 characters.
 */
export class PostgresStore implements ConversationStore {
  readonly #connections: Resource<PostgresConnections>
  readonly #schema: string

  /** @throws ConfigurationError for options that are wrong. Nothing is connected before `init`. */
  constructor(options: PostgresStoreOptions) {
    checkOptions('PostgresStore', options, checks)
    if ('pool' in options === 'connectionString' in options) {
      throw new ConfigurationError(
        'connectionString',
        'PostgresStore needs a connectionString or a pool: one of the two.',
      )
    }
    if ('pool' in options) checkMembers('PostgresStore', options.pool, { query: fn() }, 'pool')
    const { schema = 'tercet' } = options
    this.#schema = schema
    this.#connections = new Resource(
      async () => {
        const connections =
          'pool' in options
            ? PostgresConnections.of(options.pool)
            : await PostgresConnections.to(options.connectionString)
        return ready(connections, schema)
      },
      (connections) => connections.end(),
    )
  }

  /**
   * @throws StoreError if the server cannot be reached or refuses, or the schema is one of a newer version of tercet;
   *   MissingPackageError without `pg`.
   */
  init(): Promise<void> {
    return this.#connections.open()
  }

  async append(id: string, expectedVersion: number, entries: readonly Entry[]): Promise<number> {
    const connections = this.#connections.get()
    const key = postgresKey(id)
    if (entries.length > 0) {
      const columns = entries.map(messageColumns)
      const appended = await connections
        .rows(
          this.#appending(expectedVersion),
          key,
          expectedVersion,
          entries.length,
          stateChange(entries),
          entries.map(encodeEntry),
          columns.map(({ role }) => role),
          columns.map(({ content }) => content),
          columns.map(({ toolName }) => toolName),
          ...(expectedVersion === 0 ? [id.replaceAll('\0', '\ufffd')] : []),
        )
        .catch((error: unknown) => {
          if (!isLostRace(error)) throw error
          return []
        })
      if (appended.length > 0) return expectedVersion + entries.length
    }
    const [kept] = await connections.rows(
      `SELECT version FROM ${this.#schema}.conversations WHERE key = $1`,
      key,
    )
    const actualVersion = Number(kept?.['version'] ?? 0)
    if (entries.length > 0 || actualVersion !== expectedVersion) {
      throw new ConflictError(id, expectedVersion, actualVersion)
    }
    return actualVersion
  }

  /**
   * One statement that adds the entries if the conversation is at the version that is expected, and is empty otherwise.
   * Of two at once the second waits for the first and then finds another version.
   */
  #appending(expectedVersion: number): string {
    const moved =
      expectedVersion === 0
        ? `INSERT INTO ${this.#schema}.conversations (key, id, version, state, updated_at)
           VALUES ($1::bytea, $9::text, $2::integer + $3::integer, coalesce($4::text, 'ended'), now())
           ON CONFLICT (key) DO NOTHING`
        : `UPDATE ${this.#schema}.conversations
           SET version = version + $3::integer, state = coalesce($4::text, state), updated_at = now()
           WHERE key = $1::bytea AND version = $2::integer`
    return `
      WITH moved AS (${moved} RETURNING number)
      INSERT INTO ${this.#schema}.entries (conversation, position, entry, role, content, tool_name)
      SELECT number, $2::integer + at - 1, entry, role, content, tool_name
      FROM moved, unnest($5::text[], $6::text[], $7::text[], $8::text[])
        WITH ORDINALITY AS added (entry, role, content, tool_name, at)
      RETURNING position`
  }

  async read(id: string, from = 0, to?: number): Promise<readonly Entry[]> {
    const rows = await this.#connections.get().rows(
      `SELECT version, position, entry
       FROM ${this.#schema}.conversations LEFT JOIN ${this.#schema}.entries
         ON conversation = number AND position >= $2::integer AND ($3::integer IS NULL OR position < $3::integer)
       WHERE key = $1::bytea ORDER BY position`,
      postgresKey(id),
      from,
      to ?? null,
    )
    // The columns of the query, in the types of their tables.
    return entriesOf(rows as unknown as readonly EntryRow[], { id, from, to }, ({ entry }, place) =>
      decodeEntry(entry, place),
    )
  }

  async list(query: ConversationQuery = {}): Promise<readonly ConversationInfo[]> {
    const rows = await this.#connections.get().rows(
      `SELECT key, version, state, floor(extract(epoch FROM updated_at) * 1000)::float8 AS "updatedAt"
       FROM ${this.#schema}.conversations
       WHERE state = ANY($1::text[]) AND ($2::bytea IS NULL OR key > $2::bytea) ORDER BY key LIMIT $3::bigint`,
      statesAskedFor(query),
      query.after === undefined ? null : keyOf(query.after),
      query.limit ?? null,
    )
    return (rows as unknown as readonly ConversationRow[]).map(infoOf) // the columns of the query
  }

  async delete(id: string): Promise<void> {
    await this.#connections
      .get()
      .rows(`DELETE FROM ${this.#schema}.conversations WHERE key = $1`, postgresKey(id))
  }

  close(): Promise<void> {
    return this.#connections.close()
  }
}

const checks = {
  connectionString: optional(
    hidden(
      that(
        'a URL such as postgres://user:password@host:5432/database',
        (value) => typeof value === 'string' && /^postgres(ql)?:/.test(value) && URL.canParse(value),
      ),
    ),
  ),
  pool: optional(that('a pool of pg', (value) => value !== null)),
  schema: optional(
    that(
      "a name of lower-case letters, digits and '_', at most 63",
      (value) => typeof value === 'string' && /^[a-z_][a-z0-9_]{0,62}$/.test(value),
    ),
  ),
}

/** `connections` with the tables in their newest form, or no longer open. */
async function ready(connections: PostgresConnections, schema: string): Promise<PostgresConnections> {
  try {
    if ((await versionOf(connections, schema)) < migrations.length) {
      await connections.rows(migrationOf(schema))
    }
    const version = await versionOf(connections, schema)
    if (version > migrations.length) {
      throw new StoreError(
        `The schema "${schema}" was written by a newer version of tercet: it is ${version}, and this version knows up to ` +
          `${migrations.length}. Update tercet.`,
      )
    }
    return connections
  } catch (error) {
    await connections.end()
    throw error
  }
}

/** 0 where there is nothing yet. */
async function versionOf(connections: PostgresConnections, schema: string): Promise<number> {
  const table = `${schema}.schema_version`
  const [found] = await connections.rows('SELECT to_regclass($1) IS NOT NULL AS there', table)
  if (!found?.['there']) return 0
  const [row] = await connections.rows(`SELECT version FROM ${table}`)
  return Number(row?.['version'])
}

/** The state after `entries` if they decide it, whatever it was before. */
function stateChange(entries: readonly Entry[]): string | null {
  const after = runStateAfter('ended', entries)
  return after === runStateAfter('unfinished', entries) ? after : null
}

function postgresKey(id: string): Uint8Array {
  if (id.length <= 1_000) return keyOf(id)
  throw new StoreError(
    `The id of a conversation in Postgres has at most 1000 characters; this one has ${id.length}.`,
  )
}
