import type { ConversationStore } from '../../transcript/store.ts'
import { same } from './expectations.ts'
import { everyEntry, failsWith, type MakeStore, StoreStage, saidEach } from './store-stage.ts'

/** How a store and its conversations begin and end, by name. */
export const lifetimeCases = {
  async 'is made ready once, however often and at once that is asked'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.unopened(make)
    await Promise.all([stage.store.init(), stage.store.init(), stage.store.init()])
    await stage.store.append('a', 0, saidEach(2))
    await stage.store.init()
    await stage.holds('a', saidEach(2))
    same(await stage.store.append('a', 2, saidEach(1, 2)), 3, 'the version')
  },

  async 'does nothing before it is made ready, and says so'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.unopened(make)
    await everyVerbFails(stage.store)
    await stage.store.init()
    same(await stage.store.list(), [], 'the conversations')
  },

  async 'does nothing after it is closed, and says so'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.open(make)
    await stage.store.append('a', 0, saidEach(1))
    await stage.store.close()
    await stage.store.close()
    await everyVerbFails(stage.store)
    await failsWith(stage.store.init(), 'store')
  },

  async 'closes before it was made ready'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.unopened(make)
    await stage.store.close()
  },

  async 'forgets a conversation, which then begins anew'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.open(make)
    await stage.store.append('a', 0, everyEntry)
    await stage.store.append('b', 0, saidEach(3))
    await stage.store.delete('a')
    await stage.store.delete('a')
    await stage.store.delete('never there')
    await stage.holds('a', [])
    same(
      (await stage.store.list()).map(({ id }) => id),
      ['b'],
      'the conversations',
    )
    await failsWith(stage.store.append('a', everyEntry.length, saidEach(1)), 'conflict', { actualVersion: 0 })
    same(await stage.store.append('a', 0, saidEach(2, 10)), 2, 'the version of the new one')
    await stage.holds('a', saidEach(2, 10))
    await stage.holds('b', saidEach(3))
  },

  async 'shows another store on the same data all of it, at once'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.open(make)
    await stage.store.append('a', 0, everyEntry)
    const other = await stage.reopened()
    await stage.holds('a', everyEntry, other)
    same(await other.list(), await stage.store.list(), 'the conversations')
    same(await other.append('a', everyEntry.length, saidEach(1)), everyEntry.length + 1, 'the version')
    await stage.holds('a', [...everyEntry, ...saidEach(1)])
    await failsWith(stage.store.append('a', everyEntry.length, saidEach(1, 1)), 'conflict', {
      actualVersion: everyEntry.length + 1,
    })
    await other.delete('a')
    await stage.holds('a', [])
  },

  async 'keeps everything after it is closed'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.open(make)
    await stage.store.append('a', 0, everyEntry)
    const before = await stage.store.list()
    await stage.store.close()
    const other = await stage.reopened()
    await stage.holds('a', everyEntry, other)
    same(await other.list(), before, 'the conversations')
  },
}

async function everyVerbFails(store: ConversationStore): Promise<void> {
  await failsWith(store.append('a', 0, saidEach(1)), 'store')
  await failsWith(store.read('a'), 'store')
  await failsWith(store.list(), 'store')
  await failsWith(store.delete('a'), 'store')
}
