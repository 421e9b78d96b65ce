import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { type ConversationStore, MemoryStore } from '../../src/index.ts'
import { PostgresStore } from '../../src/stores/postgres.ts'
import { SqliteStore } from '../../src/stores/sqlite.ts'
import { newDatabase } from '../support/database.ts'
import { ids, type Outcome, type Place, write, written } from './writing.ts'

const names = ['p0', 'p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'p7']
const count = 25

describe('eight writers to four conversations, of which nothing is there at first', {
  timeout: 120_000,
}, () => {
  test('in SQLite', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tercet-processes-'))
    const place = { path: join(folder, 'conversations.db') }
    await writeInProcesses(place)
    const store = new SqliteStore(place)
    await store.init()
    await expectAll(store)
    await store.close()
    rmSync(folder, { recursive: true })
  })

  test('in Postgres', async () => {
    const place = { connectionString: await newDatabase() }
    await writeInProcesses(place)
    const store = new PostgresStore(place)
    await store.init()
    await expectAll(store)
    await store.close()
  })

  test('in memory', async () => {
    const store = new MemoryStore()
    const outcomes = await Promise.all(names.map((name) => write(store, name, count)))
    expect(outcomes.flatMap(({ failures }) => failures)).toEqual([])
    expect(outcomes.some(({ conflicts }) => conflicts > 0)).toBe(true)
    await expectAll(store)
  })
})

/** Each writer is a process of its own, and they all begin at once, also to initialise. */
async function writeInProcesses(place: Place): Promise<void> {
  const writers = names.map((name) => {
    const program = join(import.meta.dirname, 'writer.ts')
    return spawn(process.execPath, [program, JSON.stringify({ place, name, count })], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
  })
  await Promise.all(writers.map(isReady))
  for (const writer of writers) writer.stdin.end('go\n')
  const outcomes = await Promise.all(
    writers.map(async ({ stdout, stderr }): Promise<Outcome> => {
      const [printed, wrong] = await Promise.all([text(stdout), text(stderr)])
      if (printed === '') throw new Error(wrong)
      return JSON.parse(printed) as Outcome // written by writer.ts
    }),
  )
  expect(outcomes.flatMap(({ failures }) => failures)).toEqual([])
  expect(outcomes.some(({ conflicts }) => conflicts > 0)).toBe(true)
}

function isReady({ stdout, stderr }: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    stdout?.once('data', () => resolve())
    stdout?.once('end', () => reject(new Error(`A writer did not start: ${stderr?.read() ?? ''}`)))
  })
}

/** Nothing is lost, doubled, out of order, or between what was written at once. */
async function expectAll(store: ConversationStore): Promise<void> {
  const expected = names.flatMap((name) => Array.from({ length: count }, (_, index) => written(name, index)))
  for (const id of ids) {
    const entries = await store.read(id)
    const pairs = Array.from({ length: entries.length / 2 }, (_, index) =>
      entries.slice(index * 2, index * 2 + 2),
    )
    const of = (name: string) => pairs.filter(([entry]) => JSON.stringify(entry).includes(`"${name} `))
    expect(names.flatMap(of)).toEqual(expected)
    expect(pairs).toHaveLength(expected.length)
  }
  expect((await store.list()).map(({ id, version }) => ({ id, version }))).toEqual(
    ids.map((id) => ({ id, version: expected.length * 2 })),
  )
}
