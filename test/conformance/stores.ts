import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { MemoryStore } from '../../src/index.ts'
import { PostgresStore } from '../../src/stores/postgres.ts'
import { SqliteStore } from '../../src/stores/sqlite.ts'
import type { MakeStore } from '../../src/testing/index.ts'
import { queryOnce } from '../support/database.ts'

export const inMemory: MakeStore = async () => {
  const store = new MemoryStore()
  return { store, close: () => store.close() }
}

/** Each store in a file of its own. */
export const inSqlite: MakeStore = async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tercet-sqlite-'))
  const path = join(folder, 'conversations.db')
  const stores = [new SqliteStore({ path })]
  return {
    // There is one from the start.
    store: stores[0] as SqliteStore,
    reopen: async () => {
      const store = new SqliteStore({ path })
      stores.push(store)
      return store
    },
    corrupt: async (id, position, text) => {
      const database = new DatabaseSync(path)
      database
        .prepare(
          `UPDATE tercet_entries SET entry = ?
           WHERE position = ? AND conversation = (SELECT number FROM tercet_conversations WHERE id = ?)`,
        )
        .run(text, position, id)
      database.close()
    },
    close: async () => {
      for (const store of stores) await store.close()
      rmSync(folder, { recursive: true })
    },
  }
}

/** Each store in a schema of its own, in the database of that URL. */
export function inPostgres(databaseOf: () => string): MakeStore {
  let schemas = 0
  return async () => {
    const connectionString = databaseOf()
    const schema = `conformance_${++schemas}`
    const stores = [new PostgresStore({ connectionString, schema })]
    return {
      store: stores[0] as PostgresStore, // there is one from the start
      reopen: async () => {
        const store = new PostgresStore({ connectionString, schema })
        stores.push(store)
        return store
      },
      corrupt: async (id, position, text) => {
        await queryOnce(
          connectionString,
          `UPDATE ${schema}.entries SET entry = $1
           WHERE position = $2 AND conversation = (SELECT number FROM ${schema}.conversations WHERE id = $3)`,
          [text, position, id],
        )
      },
      close: async () => {
        for (const store of stores) await store.close()
      },
    }
  }
}
