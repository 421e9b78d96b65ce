import { describe, expect, test } from 'vitest'
import { type BatcherOptions, batcher } from '../../src/resilience/batch.ts'
import { virtualClock } from '../../src/testing/clock.ts'
import { countListeners, thrownBy, turn } from '../support/outcome.ts'

/** A batcher of numbers on a virtual clock, what was executed and when. */
function doubling(options: Partial<BatcherOptions<number, number>> = {}) {
  const clock = virtualClock({ auto: false })
  const batches: { items: readonly number[]; at: number; signal: AbortSignal }[] = []
  const batch = batcher<number, number>({
    maxBatchSize: 2,
    maxWaitMs: 20,
    runtime: clock.runtime,
    ...options,
    execute: async (items, executing) => {
      batches.push({ items, at: clock.runtime.now(), signal: executing.signal })
      return options.execute?.(items, executing) ?? items.map((item) => item * 2)
    },
  })
  return { clock, batch, batches }
}

describe('a batcher', () => {
  test('executes a full batch at once and the rest when it has waited long enough, and gives each its own', async () => {
    const { clock, batch, batches } = doubling()
    const results = Promise.all([1, 2, 3, 4, 5].map((item) => batch.enqueue(item)))
    expect(batches.map(({ items }) => items)).toEqual([
      [1, 2],
      [3, 4],
    ])
    await clock.advance(20)
    expect(await results).toEqual([2, 4, 6, 8, 10])
    expect(batches.map(({ items, at }) => [items, at])).toEqual([
      [[1, 2], 0],
      [[3, 4], 0],
      [[5], 20],
    ])
    expect(clock.pending).toBe(0)
  })

  test('tells the error of one item to it alone, and one of all to all', async () => {
    const odd = new Error('odd')
    const some = doubling({ execute: async (items) => items.map((item) => (item % 2 ? odd : item * 2)) })
    const settled = await Promise.allSettled([some.batch.enqueue(1), some.batch.enqueue(2)])
    expect(settled).toEqual([
      { status: 'rejected', reason: odd },
      { status: 'fulfilled', value: 4 },
    ])
    const none = doubling({
      execute: () => {
        throw odd
      },
    })
    const all = await Promise.allSettled([none.batch.enqueue(1), none.batch.enqueue(2)])
    expect(all).toEqual([
      { status: 'rejected', reason: odd },
      { status: 'rejected', reason: odd },
    ])
  })

  test.each([[[2]], [undefined]])('is not content with %j for two items', async (given) => {
    const { batch } = doubling({ execute: async () => given as number[] })
    const [error] = await Promise.all([thrownBy(batch.enqueue(1)), thrownBy(batch.enqueue(2))])
    expect(error).toMatchObject({ code: 'unexpected', message: expect.stringContaining('for 2 items') })
  })

  test('takes an item out whose signal aborts before, and leaves no timer and no listener', async () => {
    const { clock, batch, batches } = doubling()
    const { signal, ...controller } = abortable()
    const leaving = thrownBy(batch.enqueue(1, { signal }))
    await turn()
    expect([clock.pending, signal.listeners.now]).toEqual([1, 1])
    controller.abort('enough')
    expect(await leaving).toBe('enough')
    await turn()
    expect([clock.pending, signal.listeners.now, batches.length]).toEqual([0, 0, 0])
    await Promise.all([batch.enqueue(2), batch.enqueue(3)])
    expect(batches.map(({ items }) => items)).toEqual([[2, 3]])
    expect(await thrownBy(batch.enqueue(4, { signal }))).toBe('enough')
  })

  test('lets an item go that aborts while it is executed, and stops the work when nobody waits for it', async () => {
    const { batch, batches } = doubling({ execute: () => new Promise(() => {}) })
    const [one, two] = [new AbortController(), new AbortController()]
    const first = thrownBy(batch.enqueue(1, { signal: one.signal }))
    const second = thrownBy(batch.enqueue(2, { signal: two.signal }))
    one.abort('one')
    expect(await first).toBe('one')
    expect(batches[0]?.signal.aborted).toBe(false)
    two.abort('two')
    expect(await second).toBe('two')
    expect(batches[0]?.signal.reason).toBe('two')
  })

  test('executes what waits when it is flushed or drained, waits for it, and takes nothing more', async () => {
    let finish = () => {}
    const { clock, batch, batches } = doubling({
      maxBatchSize: 9,
      execute: (items) =>
        new Promise((resolve) => {
          finish = () => resolve(items)
        }),
    })
    const first = batch.enqueue(1)
    batch.flush()
    expect(batches.length).toBe(1)
    finish()
    expect(await first).toBe(1)
    const second = batch.enqueue(2)
    let drained = false
    const draining = batch.drain().then(() => {
      drained = true
    })
    await turn()
    expect([batches.length, drained, clock.pending]).toEqual([2, false, 0])
    finish()
    await draining
    expect(await second).toBe(2)
    expect(await thrownBy(batch.enqueue(3))).toMatchObject({ code: 'configuration', path: 'batcher' })
  })

  test('finds its size: one more for a batch in time, half of it after three that were slow', async () => {
    const clock = virtualClock()
    let tookMs = 0
    const batch = batcher<number, number>({
      maxBatchSize: 4,
      maxWaitMs: 0,
      adaptive: { min: 2, max: 6, targetLatencyMs: 100 },
      runtime: clock.runtime,
      execute: async (items) => {
        await clock.runtime.sleep(tookMs)
        return items
      },
    })
    const sizes: number[] = []
    for (const ms of [100, 100, 100, 101, 101, 100, 101, 101, 101, 101, 101, 101, 0]) {
      tookMs = ms
      await batch.enqueue(0)
      sizes.push(batch.batchSize)
    }
    expect(sizes).toEqual([5, 6, 6, 6, 6, 6, 6, 6, 3, 3, 3, 2, 3])
  })

  test.each<[string, unknown]>([
    ['maxBatchSize', 0],
    ['maxWaitMs', -1],
    ['execute', undefined],
    ['adaptive.min', { min: 0, max: 2, targetLatencyMs: 1 }],
    ['adaptive.max', { min: 3, max: 2, targetLatencyMs: 1 }],
    ['maxBatchSize', { min: 3, max: 4, targetLatencyMs: 1 }],
  ])('refuses %s: %j', (path, value) => {
    const name = typeof value === 'object' ? 'adaptive' : path
    const options = { maxBatchSize: 2, maxWaitMs: 1, execute: async () => [], [name]: value }
    expect(() => batcher(options as never)).toThrow(expect.objectContaining({ code: 'configuration', path }))
  })
})

function abortable() {
  const controller = new AbortController()
  const { signal } = controller
  const listeners = countListeners(signal)
  return { signal: Object.assign(signal, { listeners }), abort: (reason: string) => controller.abort(reason) }
}
