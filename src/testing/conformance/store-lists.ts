import type { Entry } from '../../transcript/entry.ts'
import type { ConversationQuery } from '../../transcript/store.ts'
import { same } from './expectations.ts'
import {
  type MakeStore,
  runBegins,
  runEnds,
  runGoesOn,
  runWaits,
  StoreStage,
  saidEach,
} from './store-stage.ts'

/** How conversations are listed, by name. */
export const listCases = {
  async 'lists conversations by id, with their versions'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.open(make)
    // By UTF-16 code units: not by code points, and by nobody's alphabet.
    const ids = ['', '10', '9', 'B', 'a', 'aa', 'b', 'z', 'ä', '\ud800', '\ud83d\ude00', '\uffff']
    for (const [index, id] of [...ids].reverse().entries())
      await stage.store.append(id, 0, saidEach(index + 1))
    const listed = (await stage.store.list()).map(({ id, version, state }) => ({ id, version, state }))
    same(
      listed,
      ids.map((id, index) => ({ id, version: ids.length - index, state: 'ended' })),
      'the list',
    )
  },

  async 'lists a page at a time'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.open(make)
    const ids = ['', 'a', 'b', '\ud83d\ude00', '\uffff']
    for (const id of ids) await stage.store.append(id, 0, saidEach(1))
    const listed = async (query: ConversationQuery) => (await stage.store.list(query)).map(({ id }) => id)
    const pages: string[][] = []
    let after: string | undefined
    // One that begins anew would never end.
    while (pages.length <= ids.length) {
      const page = await listed({ limit: 2, ...(after !== undefined && { after }) })
      if (page.length === 0) break
      pages.push(page)
      after = page.at(-1)
    }
    same(pages, [ids.slice(0, 2), ids.slice(2, 4), ids.slice(4)], 'the pages')
    same(await listed({ after: 'aa' }), ids.slice(2), 'those after an id that there is not')
    same(await listed({ limit: 0 }), [], 'a page of none')
    same(await listed({ limit: 50 }), ids, 'a page of more than there are')
  },

  async 'tells how the last run of a conversation stands, and lists by it'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.open(make)
    const expected: Readonly<Record<string, { state: string; entries: readonly (readonly Entry[])[] }>> = {
      'a said': { state: 'ended', entries: [saidEach(1)] },
      'b began': { state: 'unfinished', entries: [[runBegins]] },
      'c ended': { state: 'ended', entries: [[runBegins], saidEach(1), [runEnds]] },
      'd waits': { state: 'suspended', entries: [[runBegins, ...saidEach(1), runWaits]] },
      'e resumed': { state: 'unfinished', entries: [[runBegins, runWaits], [runGoesOn]] },
      'f resumed and ended': { state: 'ended', entries: [[runBegins], [runWaits, runGoesOn, runEnds]] },
      'g began again': {
        state: 'unfinished',
        entries: [
          [runBegins, runEnds],
          [runBegins, ...saidEach(2)],
        ],
      },
      'h waits, and was told more': { state: 'suspended', entries: [[runBegins, runWaits], saidEach(2)] },
    }
    for (const [id, { entries }] of Object.entries(expected)) {
      let version = 0
      for (const appended of entries) version = await stage.store.append(id, version, appended)
    }
    const listed = async (query?: ConversationQuery) =>
      (await stage.store.list(query)).map(({ id, state }) => ({ id, state }))
    const of = (...states: readonly string[]) =>
      Object.entries(expected).flatMap(([id, { state }]) => (states.includes(state) ? [{ id, state }] : []))
    same(await listed(), of('ended', 'unfinished', 'suspended'), 'all')
    same(await listed({ unfinished: true }), of('unfinished'), 'the unfinished')
    same(await listed({ suspended: true }), of('suspended'), 'the suspended')
    same(
      await listed({ unfinished: true, suspended: true }),
      of('unfinished', 'suspended'),
      'those of either kind',
    )
    same(await listed({ unfinished: false, suspended: false }), await listed(), 'those of any kind')
    same(
      await listed({ unfinished: true, after: 'b began', limit: 1 }),
      of('unfinished').slice(1, 2),
      'a page of them',
    )
  },

  async 'tells when a conversation was last appended to, if it has a clock'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.open(make)
    await stage.store.append('a', 0, saidEach(1))
    const [before] = await stage.store.list()
    await stage.store.append('a', 1, saidEach(1))
    const [after] = await stage.store.list()
    if (before?.updatedAt === undefined || after?.updatedAt === undefined) {
      same(
        [before && 'updatedAt' in before, after && 'updatedAt' in after],
        [false, false],
        'a time that is absent',
      )
      return
    }
    // Of this century, in milliseconds.
    same([before.updatedAt > 1e12, before.updatedAt < 1e13], [true, true], `the time ${before.updatedAt}`)
    same(after.updatedAt >= before.updatedAt, true, 'a later append has no earlier time')
  },
}
