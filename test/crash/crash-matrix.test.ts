import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PostgresStore } from '../../src/stores/postgres.ts'
import { SqliteStore } from '../../src/stores/sqlite.ts'
import { newDatabase } from '../support/database.ts'
import { compactionFaults, compactionTraces } from './compacting-run.ts'
import {
  buildProgram,
  type ChildOrder,
  each,
  faultsOf,
  type Remains,
  remainsOf,
  runChild,
} from './crash-kit.ts'

const timeout = 300_000
const folders: string[] = []
const newFolder = () => {
  const folder = mkdtempSync(join(tmpdir(), 'tercet-crash-'))
  folders.push(folder)
  return folder
}
let program = ''
let remove = () => {}
beforeAll(async () => {
  ;({ program, remove } = await buildProgram())
})
afterAll(() => {
  remove()
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

const storeOf = (where: ChildOrder['store']) =>
  'path' in where ? new SqliteStore(where) : new PostgresStore(where)

/** Kills a run at each of its boundaries, each in a conversation of its own, and recovers all of them in one process. */
async function matrix(store: ChildOrder['store'], pretended?: ChildOrder['pretended'], every = 1) {
  const folder = newFolder()
  const order = { store, folder, ...(pretended && { pretended }) }
  const { boundaries = 0 } = await runChild(program, { ...order, conversation: 'undisturbed' })
  const numbers = Array.from({ length: boundaries }, (_, index) => index + 1).filter((at) => at % every === 0)
  await each(numbers, 2, async (dieAt) => {
    const { signal } = await runChild(program, { ...order, conversation: `killed-at-${dieAt}`, dieAt })
    expect(signal).toBe('SIGKILL')
  })
  const view = storeOf(store)
  await view.init()
  const deaths: Remains[] = []
  for (const at of numbers) deaths.push(await remainsOf(view, folder, `killed-at-${at}`))
  await runChild(program, order)
  const faults: string[] = []
  for (const death of deaths) {
    // Before its first entry there is no run yet.
    if (death.entries.length === 0) continue
    faults.push(...faultsOf([death], await remainsOf(view, folder, death.conversation)))
  }
  const unfinished = await view.list({ unfinished: true })
  await view.close()
  return { boundaries, faults, unfinished, begun: deaths.filter(({ entries }) => entries.length > 0).length }
}

// Six model calls and eight effects: each append and each effect has a boundary before and after it.
describe('a run that is killed at any of its boundaries goes on in another process, with no effect repeated,', () => {
  it('on SQLite', { timeout }, async () => {
    const { boundaries, faults, unfinished, begun } = await matrix({ path: join(newFolder(), 'c.db') })
    expect(faults).toEqual([])
    expect(unfinished).toEqual([])
    expect(boundaries).toBeGreaterThan(50)
    expect(begun).toBe(boundaries - 1)
  })

  it('on Postgres', { timeout }, async () => {
    const { boundaries, faults, unfinished, begun } = await matrix({ connectionString: await newDatabase() })
    expect(faults).toEqual([])
    expect(unfinished).toEqual([])
    expect(boundaries).toBeGreaterThan(50)
    expect(begun).toBe(boundaries - 1)
  })

  it('and the matrix notices tools that say they may be repeated and may not', { timeout }, async () => {
    const { faults } = await matrix({ path: join(newFolder(), 'c.db') }, 'read', 4)
    expect(faults.filter((fault) => fault.includes('ran twice')).length).toBeGreaterThan(0)
  })
})

describe('a conversation that is killed at any boundary of its compaction', () => {
  it('loses nothing and has nothing summarised twice', { timeout }, async () => {
    const folder = newFolder()
    const store = { path: join(newFolder(), 'c.db') }
    const order = { store, folder, compacts: true } as const
    const { boundaries = 0 } = await runChild(program, { ...order, conversation: 'undisturbed' })
    const view = storeOf(store)
    await view.init()
    const leftOf = async (conversation: string) => ({
      entries: await view.read(conversation),
      traces: compactionTraces(folder, conversation),
    })
    const compactions = (await view.read('undisturbed')).filter(({ type }) => type === 'compaction')
    expect(compactions.length).toBeGreaterThan(3)

    const numbers = Array.from({ length: boundaries }, (_, index) => index + 1)
    await each(numbers, 2, async (dieAt) => {
      await runChild(program, { ...order, conversation: `killed-at-${dieAt}`, dieAt })
    })
    const left = await Promise.all(numbers.map((at) => leftOf(`killed-at-${at}`)))
    await runChild(program, order)
    const faults: string[] = []
    for (const [index, death] of left.entries()) {
      if (death.entries.length === 0) continue
      const found = compactionFaults(death, await leftOf(`killed-at-${index + 1}`))
      faults.push(...found.map((fault) => `killed-at-${index + 1}: ${fault}`))
    }
    await view.close()
    expect(faults).toEqual([])
  })
})
