import { inspect } from 'node:util'
import pg from 'pg'
import { beforeAll, describe, expect, test } from 'vitest'
import { ConfigurationError, ConflictError, type Entry, StoreError, user } from '../../src/index.ts'
import { PostgresStore } from '../../src/stores/postgres.ts'
import { migrationOf, migrations } from '../../src/stores/postgres-schema.ts'
import { newDatabase, queryOnce } from '../support/database.ts'
import { startPostgres } from '../support/postgres.ts'

let url: string
beforeAll(async () => {
  url = await newDatabase()
})

const said = (text: string): Entry => ({ type: 'message', message: user(text) })

async function opened(schema: string, connectionString = url): Promise<PostgresStore> {
  const store = new PostgresStore({ connectionString, schema })
  await store.init()
  return store
}

describe('the database', () => {
  test('shows people who said what, whatever was said', async () => {
    const store = await opened('shown')
    await store.append('user-42\0', 0, [
      { type: 'input', runId: 'r', message: user([{ type: 'text', text: 'Look: \0 \ud800' }]) },
      {
        type: 'reply',
        runId: 'r',
        stepId: 'r/1',
        kind: 'malformed',
        text: 'no reply',
        stopReason: 'stop',
        usage: { inputTokens: 1, outputTokens: 1 },
        provider: 'p',
        model: 'm',
      },
      {
        type: 'tool_finished',
        runId: 'r',
        result: { callId: 'c', toolName: 'look', ok: true, output: 'dark', durationMs: 1 },
      },
    ])
    const rows = await queryOnce(
      url,
      'SELECT conversation_id, position, role, content, tool_name FROM shown.messages ORDER BY position',
    )
    expect(rows).toEqual([
      {
        conversation_id: 'user-42\ufffd',
        position: 0,
        role: 'user',
        content: 'Look: \ufffd \ufffd',
        tool_name: null,
      },
      { conversation_id: 'user-42\ufffd', position: 2, role: 'tool', content: 'dark', tool_name: 'look' },
    ])
    await store.close()
  })

  test('refuses an append that comes second as a conflict, also where transactions are stricter', async () => {
    const strict = await newDatabase()
    await queryOnce(
      strict,
      `ALTER DATABASE ${strict.split('/').at(-1)} SET default_transaction_isolation = 'serializable'`,
    )
    const store = await opened('tercet', strict)
    for (let version = 0; version < 5; version++) {
      const outcomes = await Promise.allSettled(
        Array.from({ length: 8 }, (_, index) => store.append('a', version, [said(`${index}`)])),
      )
      const lost = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
      expect(lost).toHaveLength(7)
      for (const reason of lost) expect(reason).toBeInstanceOf(ConflictError)
    }
    await store.close()
  })

  test('has to be of UTF-8', async () => {
    const name = `latin_${process.pid}`
    await queryOnce(url, `CREATE DATABASE ${name} ENCODING 'LATIN1' TEMPLATE template0`)
    const latin = url.replace(/[^/]*$/, name)
    await expect(opened('tercet', latin)).rejects.toThrow(
      /encoding of the database is LATIN1, and has to be UTF8/,
    )
  })
})

describe('a pool', () => {
  test('that is given is used, and stays open', async () => {
    const pool = new pg.Pool({ connectionString: url })
    const store = new PostgresStore({ pool, schema: 'given' })
    await store.init()
    await store.append('a', 0, [said('Hello')])
    await store.close()
    expect((await pool.query('SELECT content FROM given.messages')).rows).toEqual([{ content: 'Hello' }])
    await pool.end()
  })

  test('or an address is given, and not both', () => {
    const pool = { query: async () => ({ rows: [] }) }
    const made = (options: object) => () => new PostgresStore(options as { pool: typeof pool }) // as code without types
    expect(made({})).toThrow(ConfigurationError)
    expect(made({ pool, connectionString: url })).toThrow('one of the two')
    expect(made({ pool: {} })).toThrow('pool.query')
    expect(made({ pool, schema: 'Tercet"' })).toThrow('lower-case')
    expect(made({ connectionString: 'postgres//user:geheimnis@localhost/db' })).toThrow(
      /^(?!.*geheimnis).*postgres:/,
    )
  })
})

describe('the schema', () => {
  /** As version 0.1.0 made it, written down here so that it is never forgotten how to read it. */
  async function writeVersion1(schema: string): Promise<void> {
    await queryOnce(
      url,
      `CREATE SCHEMA ${schema};
       SET search_path TO ${schema};
       CREATE TABLE schema_version (version integer NOT NULL);
       INSERT INTO schema_version VALUES (1);
       CREATE TABLE conversations (
         number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key bytea NOT NULL UNIQUE, id text NOT NULL,
         version integer NOT NULL, state text NOT NULL, updated_at timestamptz NOT NULL);
       CREATE INDEX conversations_by_state ON conversations (state, key);
       CREATE TABLE entries (
         conversation bigint NOT NULL REFERENCES conversations ON DELETE CASCADE, position integer NOT NULL,
         entry text NOT NULL, role text, content text, tool_name text, created_at timestamptz NOT NULL DEFAULT now(),
         PRIMARY KEY (conversation, position));
       CREATE VIEW messages AS
         SELECT id AS conversation_id, position, role, content, tool_name, created_at
         FROM entries JOIN conversations ON number = conversation WHERE role IS NOT NULL;
       INSERT INTO conversations (key, id, version, state, updated_at)
         VALUES ('\\x0061', 'a', 1, 'suspended', to_timestamp(1700000000));
       INSERT INTO entries (conversation, position, entry, role, content)
         VALUES (1, 0, '{"v":1,"type":"message","message":{"role":"user","content":"Hello"}}', 'user', 'Hello')`,
    )
  }

  test('of version 1 is read and written', async () => {
    await writeVersion1('version_1')
    const store = await opened('version_1')
    expect(await store.list()).toEqual([
      { id: 'a', version: 1, state: 'suspended', updatedAt: 1_700_000_000_000 },
    ])
    expect(await store.read('a')).toEqual([said('Hello')])
    expect(await store.append('a', 1, [said('Bye')])).toBe(2)
    await store.close()
  })

  test('is made a newer one once, however many try at once', async () => {
    await writeVersion1('newer')
    const steps = [...migrations, "ALTER TABLE conversations ADD COLUMN title text NOT NULL DEFAULT 'none';"]
    await Promise.all(Array.from({ length: 5 }, () => queryOnce(url, migrationOf('newer', steps))))
    expect(await queryOnce(url, 'SELECT id, title, version FROM newer.conversations')).toEqual([
      { id: 'a', title: 'none', version: 1 },
    ])
    expect(await queryOnce(url, 'SELECT version FROM newer.schema_version')).toEqual([{ version: 2 }])
    await expect(opened('newer')).rejects.toThrow(/is 2, and this version knows up to 1\. Update tercet/)
  })

  test('stays as it was when a step fails', async () => {
    await writeVersion1('failing')
    const steps = [...migrations, 'CREATE TABLE other (a integer); ALTER TABLE nothing RENAME TO something;']
    await expect(queryOnce(url, migrationOf('failing', steps))).rejects.toThrow('nothing')
    const store = await opened('failing')
    expect(await store.read('a')).toEqual([said('Hello')])
    await store.close()
  })

  test('is used by whoever may use it, and says what is missing to whoever may not', async () => {
    await queryOnce(url, 'CREATE ROLE reader LOGIN')
    const reader = url.replace('postgres@', 'reader@')
    await expect(opened('granted', reader)).rejects.toThrow(/Grant the user what it lacks/)
    const store = await opened('granted')
    await queryOnce(
      url,
      'GRANT USAGE ON SCHEMA granted TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA granted TO reader',
    )
    const reading = await opened('granted', reader)
    expect(await reading.list()).toEqual([])
    await expect(reading.append('a', 0, [said('Hello')])).rejects.toThrow(/permission denied.*Grant the user/)
    await Promise.all([store.close(), reading.close()])
  })
})

describe('a server', () => {
  test('that ends connections, and then refuses new ones, is found again when it is back', async () => {
    const shut = await newDatabase()
    const name = shut.split('/').at(-1)
    const store = await opened('tercet', shut)
    await store.append('a', 0, [said('before')])
    await queryOnce(url, `ALTER DATABASE ${name} ALLOW_CONNECTIONS false`)
    await queryOnce(url, 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name])
    // The first may still be sent on a connection that has ended.
    for (let attempt = 0; attempt < 3; attempt++) {
      await expect(store.append('a', 1, [said('meanwhile')])).rejects.toThrow(StoreError)
    }
    await queryOnce(url, `ALTER DATABASE ${name} ALLOW_CONNECTIONS true`)
    expect(await store.append('a', 1, [said('after')])).toBe(2)
    expect(await store.read('a')).toEqual([said('before'), said('after')])
    await store.close()
  })

  test('that stops is told as a failure, and ends nothing else', async () => {
    const server = await startPostgres()
    const store = await opened('tercet', `${server.url}/postgres`)
    await store.append('a', 0, [said('Hello')])
    const [appended] = await Promise.allSettled([store.append('a', 1, [said('Bye')]), server.stop()])
    if (appended.status === 'rejected') expect(appended.reason).toBeInstanceOf(StoreError)
    await expect(store.read('a')).rejects.toThrow(StoreError)
    await expect(store.read('a')).rejects.toThrow(/No server listens there/)
    await store.close()
  })

  test.each([
    ['that is not there', 'postgres://ada:geheimnis%21@127.0.0.1:1/none'],
    [
      'that wants a certificate of that path',
      'postgres://ada:geheimnis@127.0.0.1:1/none?sslcert=/geheimnis.pem',
    ],
    ['that does not know the user', () => url.replace('postgres@', 'ada:geheimnis%21@')],
    ['without that database', () => `${url.replace('postgres@', 'postgres:geheimnis%21@')}_none`],
  ])('%s is told without the password', async (_, address) => {
    const store = new PostgresStore({ connectionString: typeof address === 'string' ? address : address() })
    const failure = await store.init().catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(StoreError)
    const shown = `${inspect(failure, { depth: 20, showHidden: true })}${inspect(store, { depth: 20, showHidden: true })}`
    expect(shown).not.toContain('geheimnis')
    await store.close()
  })

  test('refuses an id that it cannot keep', async () => {
    const store = await opened('long')
    await expect(store.append('x'.repeat(1_001), 0, [said('Hello')])).rejects.toThrow(
      /at most 1000 characters/,
    )
    await store.close()
  })
})
