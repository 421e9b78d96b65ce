import { describe, expect, test } from 'vitest'
import { ConflictError, type ConversationStore, CorruptEntryError, type Entry } from '../../src/index.ts'
import { type MakeStore, type StoreCaseName, storeConformance } from '../../src/testing/index.ts'
import { inSqlite } from './stores.ts'

/** A store with one defect. */
interface Defect {
  readonly name: string
  /** Some case that finds it. */
  readonly found: StoreCaseName
  readonly change: (sound: ConversationStore) => Partial<ConversationStore>
}

const defects: readonly Defect[] = [
  {
    name: 'gives the number of entries added as the version',
    found: 'gives the version: the number of entries',
    change: (sound) => ({
      append: async (id, version, entries) => (await sound.append(id, version, entries)) - version,
    }),
  },
  {
    name: 'takes any version',
    found: 'refuses a version that is not the current one, and writes nothing then',
    change: (sound) => ({
      append: async (id, _, entries) => sound.append(id, (await sound.read(id)).length, entries),
    }),
  },
  {
    name: 'looks at the version first and writes later',
    found: 'lets one of several appends at one version win, and refuses the others',
    change: (sound) => ({
      append: async (id, version, entries) => {
        if ((await sound.read(id)).length !== version) return sound.append(id, version, entries)
        for (;;) {
          try {
            return await sound.append(id, (await sound.read(id)).length, entries)
          } catch (error) {
            if (!(error instanceof ConflictError)) throw error
          }
        }
      },
    }),
  },
  {
    name: 'refuses with an error of its own',
    found: 'refuses a version that is not the current one, and writes nothing then',
    change: (sound) => ({
      append: (id, version, entries) =>
        sound.append(id, version, entries).catch((error: Error) => {
          throw new Error(error.message)
        }),
    }),
  },
  {
    name: 'writes half of what it refuses',
    found: 'refuses a version that is not the current one, and writes nothing then',
    change: (sound) => ({
      append: async (id, version, entries) => {
        const kept = (await sound.read(id)).length
        if (kept !== version) await sound.append(id, kept, entries.slice(0, 1))
        return sound.append(id, version, entries)
      },
    }),
  },
  {
    name: 'makes a conversation of nothing',
    found: 'adds nothing when nothing is given, also to no conversation',
    change: (sound) => ({
      list: async (query) => [...(await sound.list(query)), { id: 'a', version: 0, state: 'ended' as const }],
    }),
  },
  {
    name: 'takes large and small letters for the same',
    found: 'keeps conversations apart, also those that grow at the same time',
    change: (sound) => ({
      append: (id, version, entries) => sound.append(id.toLowerCase(), version, entries),
      read: (id, from, to) => sound.read(id.toLowerCase(), from, to),
    }),
  },
  {
    name: 'ends ids at U+0000',
    found: 'takes any text as an id',
    change: (sound) => ({
      append: (id, version, entries) => sound.append(id.replace(/\0.*/s, ''), version, entries),
      read: (id, from, to) => sound.read(id.replace(/\0.*/s, ''), from, to),
    }),
  },
  {
    name: 'loses halves of surrogate pairs',
    found: 'gives back any text as it was',
    change: (sound) => ({
      read: async (id, from, to) =>
        reread(await sound.read(id, from, to), (text) => text.replace(/\\ud83d/g, '?')),
    }),
  },
  {
    name: 'sorts the members of entries',
    found: 'gives back every kind of entry as it was, to the byte',
    change: (sound) => ({
      read: async (id, from, to) =>
        (await sound.read(id, from, to)).map(
          (entry) =>
            // The same members.
            Object.fromEntries(
              Object.entries(entry).sort(([a], [b]) => (a < b ? -1 : 1)),
            ) as unknown as Entry,
        ),
    }),
  },
  {
    name: 'loses members called __proto__',
    found: 'gives back members of any name, and their order',
    change: (sound) => ({
      read: async (id, from, to) =>
        reread(await sound.read(id, from, to), (text) => text.replace('__proto__', 'proto')),
    }),
  },
  {
    name: 'gives no entry that is large',
    found: 'keeps an entry of a megabyte, and a thousand entries at once',
    change: (sound) => ({
      read: async (id, from, to) =>
        (await sound.read(id, from, to)).filter((entry) => JSON.stringify(entry).length < 100_000),
    }),
  },
  {
    name: 'includes the end of a range',
    found: 'gives a range: from a position on, and before another',
    change: (sound) => ({ read: (id, from, to) => sound.read(id, from, to === undefined ? to : to + 1) }),
  },
  {
    name: 'hands out its own list',
    found: 'is not changed by what happens to entries that it has given',
    change: (sound) => {
      let kept: readonly Entry[] | undefined
      return {
        read: async (id) => {
          kept ??= await sound.read(id)
          return kept
        },
      }
    },
  },
  {
    name: 'gives nothing of what is damaged, and says nothing',
    found: 'says which entry is damaged, and still gives and takes the others',
    change: (sound) => ({
      read: (id, from, to) =>
        sound.read(id, from, to).catch((error: unknown) => {
          if (error instanceof CorruptEntryError) return []
          throw error
        }),
    }),
  },
  {
    name: 'sorts ids by code points',
    found: 'lists conversations by id, with their versions',
    change: (sound) => ({
      list: async (query) =>
        [...(await sound.list(query))].sort((a, b) => Buffer.compare(Buffer.from(a.id), Buffer.from(b.id))),
    }),
  },
  {
    name: 'begins a page with the end of the one before',
    found: 'lists a page at a time',
    change: (sound) => ({
      list: async ({ after, ...query } = {}) =>
        (await sound.list(query)).filter(({ id }) => after === undefined || id >= after),
    }),
  },
  {
    name: 'takes waiting runs for unfinished ones',
    found: 'tells how the last run of a conversation stands, and lists by it',
    change: (sound) => ({
      list: (query = {}) => sound.list(query.unfinished ? { ...query, suspended: true } : query),
    }),
  },
  {
    name: 'tells the time in seconds',
    found: 'tells when a conversation was last appended to, if it has a clock',
    change: (sound) => ({
      list: async (query) =>
        (await sound.list(query)).map((info) => ({ ...info, updatedAt: (info.updatedAt ?? 0) / 1000 })),
    }),
  },
  {
    name: 'forgets when it is made ready',
    found: 'is made ready once, however often and at once that is asked',
    change: (sound) => ({
      init: async () => {
        await sound.init()
        await sound.delete('a')
      },
    }),
  },
  {
    name: 'is silent when it is not ready',
    found: 'does nothing before it is made ready, and says so',
    change: (sound) => ({ list: (query) => sound.list(query).catch(() => []) }),
  },
  {
    name: 'fails to close twice',
    found: 'does nothing after it is closed, and says so',
    change: (sound) => {
      let isClosed = false
      return {
        close: async () => {
          if (isClosed) throw new Error('It is closed.')
          isClosed = true
          await sound.close()
        },
      }
    },
  },
  {
    name: 'only hides what is deleted',
    found: 'forgets a conversation, which then begins anew',
    change: (sound) => {
      const hidden = new Set<string>()
      return {
        delete: async (id) => {
          hidden.add(id)
        },
        read: async (id, from, to) => (hidden.has(id) ? [] : sound.read(id, from, to)),
        list: async (query) => (await sound.list(query)).filter(({ id }) => !hidden.has(id)),
      }
    },
  },
  {
    name: 'keeps for itself what is appended',
    found: 'shows another store on the same data all of it, at once',
    change: () => {
      const kept: Entry[] = []
      return {
        append: async (_, __, entries) => kept.push(...entries),
        read: async () => kept,
      }
    },
  },
]

describe('the suite finds a store that', () => {
  test.each(defects)('$name', async ({ found, change }) => {
    const caseOf = (make: MakeStore) => storeConformance(make).find(({ name }) => name === found)
    await expect(caseOf(broken(change))?.run()).rejects.toThrow()
    await expect(caseOf(inSqlite)?.run()).resolves.toBeUndefined()
  })
})

function broken(change: Defect['change']): MakeStore {
  return async () => {
    const subject = await inSqlite()
    const { store } = subject
    const sound: ConversationStore = {
      init: () => store.init(),
      append: (id, version, entries) => store.append(id, version, entries),
      read: (id, from, to) => store.read(id, from, to),
      list: (query) => store.list(query),
      delete: (id) => store.delete(id),
      close: () => store.close(),
    }
    return { ...subject, store: { ...sound, ...change(sound) } }
  }
}

/** The entries as they are after their JSON was changed. */
function reread(entries: readonly Entry[], change: (text: string) => string): Entry[] {
  return entries.map((entry) => JSON.parse(change(JSON.stringify(entry))) as Entry) // what they are now called
}
