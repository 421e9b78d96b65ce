import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ConversationStore } from '../../src/index.ts'
import { PostgresStore } from '../../src/stores/postgres.ts'
import { SqliteStore } from '../../src/stores/sqlite.ts'
import { newDatabase } from '../support/database.ts'
import { dialogue, hold } from './support/dialogue.ts'
import { trials } from './support/law.ts'
import { runPlan, World } from './support/mortal-world.ts'
import { type Death, dyingStore, watchedStore } from './support/unreliable-stores.ts'

const timeout = 120_000
const folder = mkdtempSync(join(tmpdir(), 'tercet-laws-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

// What holds for conversations in memory holds for those in a database: fewer cases, for each takes its time.
describe.each<[string, () => Promise<ConversationStore>]>([
  ['SqliteStore', async () => new SqliteStore({ path: join(folder, 'conversations.db') })],
  ['PostgresStore', async () => new PostgresStore({ connectionString: await newDatabase() })],
])('on %s,', (_, open) => {
  let store: ConversationStore
  let conversations = 0
  beforeAll(async () => {
    store = await open()
    await store.init()
  })
  afterAll(() => store.close())

  it('law 9: the same replies leave the same entries as in memory, to the byte', { timeout }, async () => {
    await fc.assert(
      fc.asyncProperty(dialogue, fc.constantFrom('native', 'json'), async (planned, protocol) => {
        const inMemory = await hold(planned, { protocol, stream: true })
        const id = inMemory.result.conversationId
        await store.delete(id)
        const held = await hold(planned, { protocol, stream: true, store: watchedStore(store) })
        expect(JSON.stringify(await store.read(id))).toBe(JSON.stringify(inMemory.entries))
        expect(held.result.answer).toBe(planned.final)
      }),
      trials(25),
    )
  })

  it('law 6: whenever its process dies, a run goes on from what was acknowledged', { timeout }, async () => {
    const when = fc.constantFrom<Death['when']>('before', 'after')
    await fc.assert(
      fc.asyncProperty(runPlan, fc.nat(12), when, async (plan, at, when) => {
        const world = new World(plan, store, `c${++conversations}`)
        const first = dyingStore(store, { at, when })
        await world.live(first.view, () => first.life.isDead)
        const before = await world.entries()
        expect(await world.live(store)).toMatchObject({ status: 'done', answer: 'The end.' })
        const after = await world.entries()
        expect(JSON.stringify(after.slice(0, before.length))).toBe(JSON.stringify(before))
        expect(await world.faults()).toEqual([])
      }),
      trials(40),
    )
  })
})
