import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Runtime } from '../../src/index.ts'
import { virtualClock } from '../../src/testing/index.ts'
import { trials } from './support/law.ts'
import { type RunPlan, runPlan, World } from './support/mortal-world.ts'
import { type Death, dyingStore, failingStore, type Mishap, slowStore } from './support/unreliable-stores.ts'

const timeout = 120_000

it('law 6: whenever its process dies, a run goes on from what was acknowledged and repeats no effect', {
  timeout,
}, async () => {
  const when = fc.constantFrom<Death['when']>('before', 'after')
  const again = fc.option(fc.nat(12), { nil: undefined })
  await fc.assert(
    fc.asyncProperty(runPlan, fc.nat(1_000), when, again, async (plan, place, when, again) => {
      const appends = await appendsOf(plan)
      const world = new World(plan)
      const first = dyingStore(world.store, { at: place % appends, when })
      expect(await world.live(first.view, () => first.life.isDead)).toBeUndefined()
      if (again !== undefined) {
        const second = dyingStore(world.store, { at: again, when })
        await world.live(second.view, () => second.life.isDead)
      }
      const before = await world.entries()
      const result = await world.live(world.store)

      expect(result).toMatchObject({ status: 'done', answer: 'The end.' })
      const after = await world.entries()
      expect(JSON.stringify(after.slice(0, before.length))).toBe(JSON.stringify(before))
      expect(await world.store.list({ unfinished: true })).toEqual([])
      expect(await world.faults()).toEqual([])
    }),
    trials(150),
  )
})

it('law 6: a store that fails, hangs or loses its answer once ends the run with a clear error, and it can be resumed', {
  timeout,
}, async () => {
  const mishap = fc.constantFrom<Mishap>('throws', 'lost answer', 'hangs')
  await fc.assert(
    fc.asyncProperty(runPlan, fc.nat(1_000), mishap, fc.boolean(), async (plan, place, mishap, isSame) => {
      const appends = await appendsOf(plan)
      const world = new World(plan)
      const at = place % appends
      const agent = world.process(failingStore(world.store, at, mishap), withoutIds(virtualClock().runtime))
      const failed = await agent.runStream('Go', { conversation: 'c' }).result
      const code = failed.error?.code
      expect(mishap === 'hangs' ? 'run_timeout' : 'store').toBe(code)
      const kept = await world.entries()

      // What hangs in one process stays so there; all else is mended.
      const next = isSame && mishap !== 'hangs' ? agent : world.process(world.store)
      const stream = kept.length > 0 ? next.resumeStream('c') : next.runStream('Go', { conversation: 'c' })
      expect(await stream.result).toMatchObject({ status: 'done', answer: 'The end.' })
      const after = await world.entries()
      expect(JSON.stringify(after.slice(0, kept.length))).toBe(JSON.stringify(kept))
      expect(await world.faults()).toEqual([])
    }),
    trials(200),
  )
})

it('law 6: of two who go on with one run at once, the stale one loses with a conflict and has done nothing more', {
  timeout,
}, async () => {
  const turns = fc.array(fc.nat(6), { minLength: 1, maxLength: 8 })
  await fc.assert(
    fc.asyncProperty(runPlan, fc.nat(1_000), turns, turns, async (plan, place, turnsOfOne, turnsOfOther) => {
      const appends = await appendsOf(plan)
      const world = new World(plan)
      const first = dyingStore(world.store, { at: place % appends, when: 'after' })
      await world.live(first.view, () => first.life.isDead)

      const both = await Promise.all(
        [turnsOfOne, turnsOfOther].map(async (turns) => {
          const agent = world.process(slowStore(world.store, turns))
          return agent.resumeStream('c').result
        }),
      )
      const outcomes = both.map(({ status, error }) => error?.code ?? status)
      expect(outcomes).toContain('done')
      expect(outcomes.filter((outcome) => outcome !== 'done' && outcome !== 'conflict')).toEqual([])
      expect(await world.live(world.store)).toMatchObject({ status: 'done', answer: 'The end.' })
      expect(await world.faults()).toEqual([])
    }),
    trials(100),
  )
})

/** Ids of two virtual clocks are the same; those of two processes are not. */
const withoutIds = ({ now, sleep }: Runtime): Partial<Runtime> => ({ now, sleep })

/** How often a run of that plan appends. */
async function appendsOf(plan: RunPlan): Promise<number> {
  const world = new World(plan)
  const { view, life } = dyingStore(world.store)
  await world.live(view)
  return life.appends
}
