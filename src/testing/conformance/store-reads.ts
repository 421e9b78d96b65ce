import type { Entry } from '../../transcript/entry.ts'
import { same } from './expectations.ts'
import {
  everyEntry,
  failsWith,
  hostileTexts,
  type MakeStore,
  StoreStage,
  said,
  saidEach,
  sameEntries,
} from './store-stage.ts'

/** How entries are given back, by name. */
export const readCases = {
  async 'gives nothing of a conversation that does not exist'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.open(make)
    same(await stage.store.read('a'), [], 'all of it')
    same(await stage.store.read('a', 3, 5), [], 'a part of it')
    same(await stage.store.list(), [], 'the conversations')
  },

  async 'gives back every kind of entry as it was, to the byte'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.open(make)
    await stage.store.append('a', 0, everyEntry)
    await stage.holds('a', everyEntry)
  },

  async 'gives back any text as it was'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.open(make)
    const entries = hostileTexts.map(said)
    await stage.store.append('a', 0, entries)
    await stage.holds('a', entries)
  },

  async 'gives back members of any name, and their order'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.open(make)
    // Read from JSON: in a literal `__proto__` would be no member.
    const entry = JSON.parse(
      '{"runId":"r","type":"tool_finished","later":{"z":1,"a":2},"result":{"durationMs":1,"ok":true,"output":"","toolName":"t",' +
        '"callId":"c","data":{"__proto__":{"x":1},"constructor":null,"":0,"\\u0000":"\\ud800","toString":[[],{}]}}}',
    ) as Entry // one with a member of a later version
    await stage.store.append('a', 0, [entry])
    await stage.holds('a', [entry])
  },

  async 'keeps an entry of a megabyte, and a thousand entries at once'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.open(make)
    const large = said('é"\\\n'.repeat(200_000))
    const entries = [large, ...saidEach(1_000)]
    same(await stage.store.append('a', 0, entries), 1_001, 'the version')
    await stage.holds('a', entries)
  },

  async 'gives a range: from a position on, and before another'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.open(make)
    const all = saidEach(12)
    await stage.store.append('a', 0, all)
    await stage.store.append('b', 0, saidEach(30, 100))
    for (const [from, to] of [
      [0],
      [0, 12],
      [5],
      [5, 6],
      [5, 5],
      [0, 1],
      [11],
      [12],
      [50],
      [3, 50],
      [9, 3],
    ] as const) {
      sameEntries(await stage.store.read('a', from, to), all.slice(from, to), `from ${from} to ${to}`)
    }
  },

  async 'is not changed by what happens to entries that it has given'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.open(make)
    const given = [...saidEach(2)]
    await stage.store.append('a', 0, given)
    given.push(said('more'))
    const read = (await stage.store.read('a')) as Entry[] // as code without types has it
    read.length = 0
    read.push(said('other'))
    await stage.holds('a', saidEach(2))
  },

  async 'is not changed by what happens to the members of entries'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.open(make)
    const given = structuredClone([...everyEntry])
    await stage.store.append('a', 0, given)
    for (const entry of [...given, ...(await stage.store.read('a'))])
      Object.assign(entry, { type: 'other', runId: 0 })
    await stage.holds('a', everyEntry)
  },

  async 'says which entry is damaged, and still gives and takes the others'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.open(make)
    const damages = [
      '',
      '{',
      'null',
      '[]',
      '{}',
      '{"v":1}',
      '{"v":1,"type":"message","message":{"role":"user"}}',
      'x\u00e9',
    ]
    for (const [index, damage] of damages.entries()) {
      const id = `damaged ${index}`
      await stage.store.append(id, 0, saidEach(5))
      await stage.corrupt(id, 2, damage)
      const place = { conversationId: id, position: 2 }
      await failsWith(stage.store.read(id), 'corrupt_entry', place)
      await failsWith(stage.store.read(id, 2, 3), 'corrupt_entry', place)
      sameEntries(await stage.store.read(id, 0, 2), saidEach(2), 'the entries before it')
      sameEntries(await stage.store.read(id, 3), saidEach(2, 3), 'the entries after it')
      same(await stage.store.append(id, 5, saidEach(1, 5)), 6, 'the version after one more')
      sameEntries(await stage.store.read(id, 3), saidEach(3, 3), 'the entries after it, and the new one')
    }
    same((await stage.store.list()).length, damages.length, 'the number of conversations')
  },

  async 'says of an entry of a later version that it is one'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.open(make)
    await stage.store.append('a', 0, saidEach(2))
    await stage.corrupt('a', 1, '{"v":999,"type":"message","message":{"role":"user","content":"1"}}')
    await failsWith(stage.store.read('a'), 'corrupt_entry', { conversationId: 'a', position: 1 })
  },
}
