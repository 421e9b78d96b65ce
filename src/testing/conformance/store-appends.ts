import { isTercetError } from '../../errors.ts'
import type { Entry } from '../../transcript/entry.ts'
import { same } from './expectations.ts'
import { failsWith, hostileTexts, type MakeStore, StoreStage, said, saidEach } from './store-stage.ts'

/** How entries are added, by name. */
export const appendCases = {
  async 'gives the version: the number of entries'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.open(make)
    same(await stage.store.append('a', 0, saidEach(1)), 1, 'the version after one entry')
    same(await stage.store.append('a', 1, saidEach(3, 1)), 4, 'the version after three more')
    await stage.holds('a', saidEach(4))
  },

  async 'adds nothing when nothing is given, also to no conversation'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.open(make)
    same(await stage.store.append('a', 0, []), 0, 'the version of nothing')
    same(await stage.store.list(), [], 'the conversations')
    await stage.store.append('a', 0, saidEach(2))
    same(await stage.store.append('a', 2, []), 2, 'the version')
    await failsWith(stage.store.append('a', 1, []), 'conflict')
    await stage.holds('a', saidEach(2))
  },

  async 'refuses a version that is not the current one, and writes nothing then'(
    make: MakeStore,
  ): Promise<void> {
    await using stage = await StoreStage.open(make)
    const refused = (id: string, expectedVersion: number, actualVersion: number) =>
      failsWith(stage.store.append(id, expectedVersion, saidEach(2, 50)), 'conflict', {
        conversationId: id,
        expectedVersion,
        actualVersion,
      })
    await refused('a', 1, 0)
    same(await stage.store.list(), [], 'the conversations after a refused first append')
    await stage.store.append('a', 0, saidEach(3))
    for (const version of [0, 2, 4]) await refused('a', version, 3)
    await stage.holds('a', saidEach(3))
    same(await stage.store.append('a', 3, saidEach(1, 3)), 4, 'the version after a good append')
  },

  async 'lets one of several appends at one version win, and refuses the others'(
    make: MakeStore,
  ): Promise<void> {
    await using stage = await StoreStage.open(make)
    const expected: Entry[] = []
    for (let round = 0; round < 5; round++) {
      const attempts = Array.from({ length: 8 }, (_, writer) => [
        said(`${round}/${writer}`),
        said(`and ${writer}`),
      ])
      const outcomes = await Promise.allSettled(
        attempts.map((entries) => stage.store.append('a', expected.length, entries)),
      )
      const won = attempts.filter((_, writer) => outcomes[writer]?.status === 'fulfilled')
      same(won.length, 1, `round ${round}: the number of appends that won`)
      for (const outcome of outcomes) {
        if (outcome.status === 'fulfilled') continue
        if (isTercetError(outcome.reason) && outcome.reason.code === 'conflict') continue
        throw new Error('An append that lost failed with what is no ConflictError.', {
          cause: outcome.reason,
        })
      }
      expected.push(...won.flat())
    }
    await stage.holds('a', expected)
  },

  async 'keeps conversations apart, also those that grow at the same time'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.open(make)
    const ids = ['a', 'A', 'a ', 'b', 'ä', 'a\u0308']
    for (let version = 0; version < 3; version++) {
      await Promise.all(ids.map((id) => stage.store.append(id, version, [said(`${id} ${version}`)])))
    }
    for (const id of ids)
      await stage.holds(
        id,
        [0, 1, 2].map((version) => said(`${id} ${version}`)),
      )
  },

  async 'takes any text as an id'(make: MakeStore): Promise<void> {
    await using stage = await StoreStage.open(make)
    const ids = [...hostileTexts, 'x'.repeat(500), '\ufffd']
    for (const id of ids) await stage.store.append(id, 0, [said(`of ${ids.indexOf(id)}`)])
    for (const id of ids) await stage.holds(id, [said(`of ${ids.indexOf(id)}`)])
    same(
      (await stage.store.list()).map(({ id }) => id),
      [...ids].sort(),
      'the ids',
    )
    for (const id of ids) await stage.store.delete(id)
    same(await stage.store.list(), [], 'the conversations in the end')
  },
}
