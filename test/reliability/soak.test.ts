import { expect, it } from 'vitest'
import { soak } from './soak-kit.ts'

// A short one; `npm run soak` makes 100,000 runs of it and watches the heap.
it('a thousand runs on two providers that fail at random keep every limit and end as they should', {
  timeout: 120_000,
}, async () => {
  const result = await soak({ runs: 1_000, atOnce: 50, seed: 7, faultRate: 0.3 })
  expect(result.faults).toEqual([])
  expect(result.listenersLeft).toBe(0)
  expect(result.sleepersLeft).toBe(0)
  const ended = Object.values(result.statuses).reduce((sum, count) => sum + count, 0)
  expect(ended).toBe(1_000)
  expect(result.statuses.done).toBeGreaterThan(300)
  expect(result.statuses.aborted).toBeGreaterThan(20)
})
