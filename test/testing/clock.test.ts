import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { virtualClock } from '../../src/testing/clock.ts'
import { countListeners } from '../support/outcome.ts'

describe('a virtual clock', () => {
  test('moves to the next sleeper by itself, in no time', async () => {
    const clock = virtualClock({ start: 1000 })
    const { runtime } = clock
    const woken: [string, number][] = []
    const nap = async (name: string, ...naps: number[]) => {
      for (const ms of naps) {
        await runtime.sleep(ms)
        woken.push([name, runtime.now()])
      }
    }
    await Promise.all([nap('a', 300_000), nap('b', 10, 20, 86_400_000), nap('c', 30)])
    expect(woken).toEqual([
      ['b', 1010],
      ['c', 1030],
      ['b', 1030],
      ['a', 301_000],
      ['b', 86_401_030],
    ])
    expect(clock.sleeps).toEqual([300_000, 10, 30, 20, 86_400_000])
    expect(clock.pending).toBe(0)
  })

  test('lets a timeout win only when nothing else is under way', async () => {
    const { runtime } = virtualClock()
    const work = async () => {
      for (let turn = 0; turn < 20; turn++) await runtime.sleep(1)
      await setImmediate()
      await Promise.resolve()
      return 'work'
    }
    const timeout = async () => {
      await runtime.sleep(21)
      return 'timeout'
    }
    expect(await Promise.race([timeout(), work()])).toBe('work')
  })

  test('counts its turns anew whenever somebody falls asleep or is cut short', async () => {
    const clock = virtualClock()
    const work = async () => {
      const controller = new AbortController()
      const nap = clock.runtime.sleep(1000, controller.signal).catch(() => {})
      for (let turn = 0; turn < 3; turn++) await setImmediate()
      controller.abort()
      await nap
      for (let turn = 0; turn < 3; turn++) await setImmediate()
      return 'work'
    }
    expect(await Promise.race([clock.runtime.sleep(100), work()])).toBe('work')
  })

  test('stands still until it is advanced, with auto off', async () => {
    const clock = virtualClock({ auto: false })
    const { runtime } = clock
    const woken: number[] = []
    const naps = (async () => {
      for (const ms of [10, 10, 10]) {
        await runtime.sleep(ms)
        woken.push(runtime.now())
      }
    })()
    await setImmediate()
    expect([woken, clock.pending, runtime.now()]).toEqual([[], 1, 0])
    await clock.advance(25)
    expect([woken, clock.pending, runtime.now()]).toEqual([[10, 20], 1, 25])
    await clock.advance(4)
    expect([woken, runtime.now()]).toEqual([[10, 20], 29])
    await clock.advance(1)
    await naps
    expect([woken, clock.pending, runtime.now()]).toEqual([[10, 20, 30], 0, 30])
  })

  test('wakes sleepers of the same time in the order they fell asleep', async () => {
    const clock = virtualClock({ auto: false })
    const woken: string[] = []
    for (const name of ['a', 'b', 'c']) void clock.runtime.sleep(5).then(() => woken.push(name))
    await clock.advance(5)
    expect(woken).toEqual(['a', 'b', 'c'])
  })

  test('lets sleepers go when their signal aborts, with its reason', async () => {
    const clock = virtualClock({ auto: false })
    const controller = new AbortController()
    const reason = { why: 'enough' }
    const { signal } = controller
    const listeners = countListeners(signal)
    const slept = clock.runtime.sleep(1, signal)
    await clock.advance(1)
    await slept
    const cut = clock.runtime.sleep(100, signal)
    expect(clock.pending).toBe(1)
    controller.abort(reason)
    await expect(cut).rejects.toBe(reason)
    await expect(clock.runtime.sleep(7, signal)).rejects.toBe(reason)
    expect(clock.pending).toBe(0)
    expect(clock.sleeps).toEqual([1, 100, 7])
    expect(listeners.now).toBe(0)
    expect(clock.runtime.now()).toBe(1)
  })

  test('takes no, negative and nonsensical waits for none, and never wakes from an endless one', async () => {
    const clock = virtualClock()
    await Promise.all([0, -5, Number.NaN].map((ms) => clock.runtime.sleep(ms)))
    expect(clock.runtime.now()).toBe(0)
    void clock.runtime.sleep(Number.POSITIVE_INFINITY)
    await clock.runtime.sleep(5)
    expect([clock.runtime.now(), clock.pending]).toEqual([5, 1])
  })

  test('gives repeatable ids and numbers, spread over [0, 1)', () => {
    const draw = (seed: number) => {
      const { runtime } = virtualClock({ seed })
      return { ids: [runtime.id(), runtime.id()], numbers: Array.from({ length: 10_000 }, runtime.random) }
    }
    const first = draw(1)
    expect(first.ids).toEqual(['id-1', 'id-2'])
    expect(draw(1)).toEqual(first)
    expect(draw(2).numbers).not.toEqual(first.numbers)
    expect(first.numbers.every((number) => number >= 0 && number < 1)).toBe(true)
    const tenths = Array.from({ length: 10 }, (_, tenth) => {
      return first.numbers.filter((number) => Math.floor(number * 10) === tenth).length
    })
    expect(tenths.every((count) => count > 900 && count < 1100)).toBe(true)
  })

  test('has no network', async () => {
    await expect(virtualClock().runtime.fetch('https://example.com')).rejects.toThrow('no network')
  })
})
