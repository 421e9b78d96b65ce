import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ConfigurationError, createPool, type PoolOptions } from '../../src/index.ts'
import { virtualClock } from '../../src/testing/index.ts'
import { countListeners, thrownBy, turn } from '../support/outcome.ts'

/** A pool of numbered items that notes what is done with them. */
function pooled(options: Partial<PoolOptions<number>> = {}) {
  const created: number[] = []
  const destroyed: number[] = []
  const pool = createPool<number>({
    create: () => created.push(created.length + 1),
    destroy: (item) => void destroyed.push(item),
    max: 2,
    ...options,
  })
  return { pool, created, destroyed }
}

/** A promise, and what fulfils it. */
function gate<Value = void>() {
  let open: (value: Value) => void = () => {}
  const promise = new Promise<Value>((resolve) => {
    open = resolve
  })
  return { promise, open }
}

/** Uses an item until told to stop. */
function occupied(pool: ReturnType<typeof pooled>['pool'], options?: { signal: AbortSignal }) {
  const { promise, open: leave } = gate()
  return { leave, done: pool.use((item) => promise.then(() => item), options) }
}

describe('a pool', () => {
  it('makes nothing before it is used, and lends the same item again', async () => {
    const { pool, created } = pooled()
    expect(created).toEqual([])
    expect([await pool.use((item) => item), await pool.use((item) => item)]).toEqual([1, 1])
  })

  it('never has more than max, and serves who waits in order', async () => {
    const { pool, created, destroyed } = pooled()
    let inUse = 0
    let most = 0
    const order: number[] = []
    const work = (number: number) =>
      pool.use(async () => {
        most = Math.max(most, ++inUse)
        order.push(number)
        await turn()
        inUse--
      })
    await Promise.all([1, 2, 3, 4, 5].map(work))

    expect({ most, order, created, destroyed }).toEqual({
      most: 2,
      order: [1, 2, 3, 4, 5],
      created: [1, 2],
      destroyed: [],
    })
  })

  it('lends the item that was used last', async () => {
    const { pool } = pooled()
    const [first, second] = [occupied(pool), occupied(pool)]
    second.leave()
    await second.done
    first.leave()
    await first.done
    expect(await pool.use((item) => item)).toBe(1)
  })

  it.each([
    ['says no', () => false],
    ['throws', () => Promise.reject(new Error('gone'))],
  ])('destroys an item and makes another when validate %s', async (_, validate) => {
    const { pool, created, destroyed } = pooled({ validate })
    expect([await pool.use((item) => item), await pool.use((item) => item)]).toEqual([1, 2])
    expect({ created, destroyed }).toEqual({ created: [1, 2], destroyed: [1] })
  })

  it('validates an item that goes from one user to the next', async () => {
    const { pool } = pooled({ max: 1, validate: () => false })
    expect(await Promise.all([pool.use((item) => item), pool.use((item) => item)])).toEqual([1, 2])
  })

  it('destroys an item that nobody used for idleMs', async () => {
    const clock = virtualClock({ auto: false })
    const { pool, destroyed } = pooled({ idleMs: 1_000, runtime: clock.runtime })
    await pool.use((item) => item)
    await clock.advance(900)
    await pool.use((item) => item)
    await clock.advance(999)
    expect(destroyed).toEqual([])

    await clock.advance(1)
    expect({ destroyed, timers: clock.pending }).toEqual({ destroyed: [1], timers: 0 })
    expect(await pool.use((item) => item)).toBe(2)
  })

  it('leaves no timer behind when it is drained', async () => {
    const clock = virtualClock({ auto: false })
    const { pool, destroyed } = pooled({ idleMs: 1_000, runtime: clock.runtime })
    await Promise.all([pool.use(turn), pool.use(turn)])
    expect(clock.pending).toBe(2)

    await pool.drain()
    expect(clock.pending).toBe(0)
    expect(destroyed.toSorted()).toEqual([1, 2])
  })

  it('counts an item until it is destroyed', async () => {
    const { promise, open: finish } = gate()
    const clock = virtualClock({ auto: false })
    const { pool, created } = pooled({
      max: 1,
      idleMs: 10,
      runtime: clock.runtime,
      destroy: () => promise,
    })
    await pool.use((item) => item)
    await clock.advance(10)
    const next = pool.use((item) => item)
    await turn()
    expect(created).toEqual([1])
    finish()
    expect(await next).toBe(2)
  })

  it('is told what create and work throw, and goes on', async () => {
    let broken = true
    const { pool } = pooled({
      max: 1,
      create: () => {
        if (broken) throw new Error('no connection')
        return 7
      },
    })
    const waiting = pool.use((item) => item)
    const alsoWaiting = pool.use((item) => item)
    expect(await thrownBy(waiting)).toEqual(new Error('no connection'))
    expect(await thrownBy(alsoWaiting)).toEqual(new Error('no connection'))

    broken = false
    const failing = pool.use(() => {
      throw new Error('bad query')
    })
    expect(await thrownBy(failing)).toEqual(new Error('bad query'))
    expect(await pool.use((item) => item)).toBe(7)
  })

  it('lets go who stops waiting, with their own reason, and listens no longer', async () => {
    const { pool, created } = pooled({ max: 1 })
    const controller = new AbortController()
    const listeners = countListeners(controller.signal)
    const first = occupied(pool)
    const given = pool.use((item) => item, { signal: controller.signal })
    const last = pool.use((item) => item)
    controller.abort('enough')

    expect(await thrownBy(given)).toBe('enough')
    expect(await thrownBy(pool.use((item) => item, { signal: controller.signal }))).toBe('enough')
    first.leave()
    expect([await first.done, await last]).toEqual([1, 1])
    expect({ created, listeners: listeners.now }).toEqual({ created: [1], listeners: 0 })
  })

  it('keeps for others what was made for one who has left', async () => {
    const { promise, open: connect } = gate<number>()
    const { pool } = pooled({ max: 1, create: () => promise })
    const controller = new AbortController()
    const left = pool.use(() => 'never', { signal: controller.signal })
    const next = pool.use((item) => item)
    await turn()
    controller.abort('enough')
    expect(await thrownBy(left)).toBe('enough')

    connect(5)
    expect(await next).toBe(5)
  })

  it('does not take an item away from work that is stopped', async () => {
    const { pool } = pooled({ max: 1 })
    const controller = new AbortController()
    const listeners = countListeners(controller.signal)
    const first = occupied(pool, { signal: controller.signal })
    await turn()
    controller.abort('enough')
    first.leave()
    expect(await first.done).toBe(1)
    expect(listeners.now).toBe(0)
  })

  it('waits for who is at work when it is drained, and refuses who waits or comes later', async () => {
    const { pool, created, destroyed } = pooled({ max: 1 })
    const first = occupied(pool)
    const waiting = pool.use((item) => item)
    const draining = pool.drain()
    expect(await thrownBy(waiting)).toBeInstanceOf(ConfigurationError)
    expect(await thrownBy(pool.use((item) => item))).toMatchObject({ code: 'configuration', path: 'pool' })
    expect(destroyed).toEqual([])

    first.leave()
    expect(await first.done).toBe(1)
    await draining
    await pool.drain()
    expect({ created, destroyed }).toEqual({ created: [1], destroyed: [1] })
  })

  it('destroys everything even if one refuses to go, and then says so', async () => {
    const destroyed: number[] = []
    const { pool } = pooled({
      destroy: async (item) => {
        destroyed.push(item)
        if (item === 1) throw new Error('still busy')
      },
    })
    await Promise.all([pool.use(turn), pool.use(turn)])
    expect(await thrownBy(pool.drain())).toEqual(new Error('still busy'))
    expect(destroyed.toSorted()).toEqual([1, 2])
  })

  it('is drained at the end of its block', async () => {
    const { pool, destroyed } = pooled()
    {
      await using lent = pool
      await lent.use((item) => item)
    }
    expect(destroyed).toEqual([1])
  })

  it('never exceeds max and loses no item, whoever fails or leaves', async () => {
    const user = fc.record({
      arrives: fc.nat(20),
      works: fc.nat(10),
      leavesAfter: fc.option(fc.nat(10), { nil: undefined }),
      how: fc.constantFrom('well', 'work fails', 'create fails', 'is invalid'),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(user, { maxLength: 12 }),
        fc.integer({ min: 1, max: 3 }),
        async (users, max) => {
          const clock = virtualClock()
          const { sleep } = clock.runtime
          const alive = new Set<number>()
          let made = 0
          let most = 0
          const hows = users.map(({ how }) => how)
          const pool = createPool<number>({
            create: async () => {
              await sleep(1)
              if (hows[made++] === 'create fails') throw new Error('create')
              alive.add(made)
              most = Math.max(most, alive.size)
              return made
            },
            destroy: async (item) => {
              await sleep(1)
              alive.delete(item)
            },
            validate: (item) => hows[item] !== 'is invalid',
            max,
            idleMs: 5,
            runtime: clock.runtime,
          })
          const lent = new Set<number>()
          const visits = users.map(async ({ arrives, works, leavesAfter, how }) => {
            await sleep(arrives)
            const controller = new AbortController()
            if (leavesAfter !== undefined) void sleep(leavesAfter).then(() => controller.abort('left'))
            await pool.use(
              async (item) => {
                expect(lent.has(item)).toBe(false)
                lent.add(item)
                await sleep(works)
                lent.delete(item)
                if (how === 'work fails') throw new Error('work')
              },
              { signal: controller.signal },
            )
          })
          const ends = (await Promise.allSettled(visits)).map((end) =>
            end.status === 'fulfilled'
              ? 'well'
              : end.reason instanceof Error
                ? end.reason.message
                : end.reason,
          )
          await pool.drain()

          expect(ends.filter((end) => !['well', 'work', 'create', 'left'].includes(end))).toEqual([])
          expect(most).toBeLessThanOrEqual(max)
          expect([...alive]).toEqual([])
        },
      ),
      { numRuns: 100 },
    )
  })

  it.each([
    [{ max: 0 }, 'max'],
    [{ idleMs: 0 }, 'idleMs'],
    [{ validate: 'yes' }, 'validate'],
    [{ destroy: undefined }, 'destroy'],
    [{ minimum: 1 }, 'minimum'],
  ])('refuses the options %o', (wrong, path) => {
    // @ts-expect-error what types would refuse too
    expect(() => pooled(wrong)).toThrow(expect.objectContaining({ code: 'configuration', path }))
  })

  it('refuses work that is no function', async () => {
    const { pool, created } = pooled()
    // @ts-expect-error what types would refuse too
    expect(await thrownBy(pool.use('work'))).toMatchObject({ code: 'configuration', path: 'work' })
    expect(created).toEqual([])
  })
})
