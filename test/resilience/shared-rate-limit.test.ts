import { getEventListeners } from 'node:events'
import pg from 'pg'
import { RateLimiterMemory, RateLimiterPostgres } from 'rate-limiter-flexible'
import { afterEach, beforeEach, describe, expect, expectTypeOf, onTestFinished, test, vi } from 'vitest'
import type { CallOptions, LLMRequest } from '../../src/client/client.ts'
import { StoreError } from '../../src/errors.ts'
import { user } from '../../src/messages.ts'
import {
  type SharedLimiter,
  type SharedRateLimitOptions,
  sharedRateLimit,
} from '../../src/resilience/shared-rate-limit.ts'
import { virtualClock } from '../../src/testing/clock.ts'
import { ScriptedClient } from '../../src/testing/scripted-client.ts'
import { newDatabase } from '../support/database.ts'
import { thrownBy, turn } from '../support/outcome.ts'

const request: LLMRequest = { messages: [user('hi')] }

const of = (principal: string): CallOptions => ({
  scope: { runId: 'r', conversationId: 'c', agent: 'a', principal },
})

test('a limiter of rate-limiter-flexible is one without more ado', () => {
  expectTypeOf<RateLimiterMemory>().toExtend<SharedLimiter>()
  expectTypeOf<RateLimiterPostgres>().toExtend<SharedLimiter>()
})

describe('sharedRateLimit over a limiter in memory, whose clock is the platform’s', () => {
  beforeEach(() => void vi.useFakeTimers({ now: 0 }))
  afterEach(() => void vi.useRealTimers())

  /** Clients of two processes, and when their requests were sent. */
  const twoProcesses = (options: Omit<SharedRateLimitOptions, 'limiter'> = {}) => {
    const limiter = new RateLimiterMemory({ points: 2, duration: 60 })
    const starts: number[] = []
    const inner = new ScriptedClient(() => {
      starts.push(Date.now())
      return 'ok'
    })
    const clients = [1, 2].map(() => sharedRateLimit({ limiter, ...options })(inner))
    return { clients, starts, inner }
  }

  test('waits for as long as the limiter says, also for what others took', async () => {
    const { clients, starts } = twoProcesses()
    const [one, other] = clients
    const calls = [one, other, one, other, other].map((client) => client?.call(request))
    await vi.advanceTimersByTimeAsync(120_000)
    await Promise.all(calls)
    expect(starts).toEqual([0, 0, 60_000, 60_000, 120_000])
    expect(vi.getTimerCount()).toBeLessThanOrEqual(1) // the limiter's own
  })

  test('waits in a stream before its first pull is answered', async () => {
    const { clients, starts } = twoProcesses()
    const drain = async () => {
      for await (const _ of clients[0]?.stream?.(request) ?? []);
    }
    const streams = [drain(), drain(), drain()]
    await vi.advanceTimersByTimeAsync(60_000)
    await Promise.all(streams)
    expect(starts).toEqual([0, 0, 60_000])
  })

  test('keeps keys by themselves, and takes as many points as it is told, but no more than there are', async () => {
    const { clients, starts } = twoProcesses({
      key: (_, { scope }, { model }) => `${model}:${scope?.principal}`,
      points: (_, { scope }) => (scope?.principal === 'a' ? 5 : 1),
    })
    const calls = ['a', 'a', 'b', 'b'].map((name) => clients[0]?.call(request, of(name)))
    await vi.advanceTimersByTimeAsync(60_000)
    await Promise.all(calls)
    expect(starts).toEqual([0, 0, 0, 60_000])
  })

  test('waits no longer when its signal aborts, and sends nothing', async () => {
    const { clients, inner } = twoProcesses()
    const [one] = clients
    await Promise.all([one?.call(request), one?.call(request)])
    const controller = new AbortController()
    const waiting = thrownBy(one?.call(request, { signal: controller.signal }) ?? Promise.resolve())
    await vi.advanceTimersByTimeAsync(10)
    const timers = vi.getTimerCount()
    controller.abort('enough')
    expect(await waiting).toMatchObject({ kind: 'aborted', cause: 'enough' })
    expect(getEventListeners(controller.signal, 'abort')).toEqual([])
    expect([timers - vi.getTimerCount(), inner.calls]).toEqual([1, 2])
  })
})

describe('sharedRateLimit', () => {
  const inner = () => new ScriptedClient(() => 'ok')

  test('does not wait for a store that does not answer, once its signal aborts', async () => {
    const limiter = { consume: () => new Promise(() => {}) }
    const controller = new AbortController()
    const failed = thrownBy(
      sharedRateLimit({ limiter })(inner()).call(request, { signal: controller.signal }),
    )
    await turn()
    controller.abort('enough')
    expect(await failed).toMatchObject({ kind: 'aborted', cause: 'enough' })
  })

  test('sends nothing when the store fails, or what it says is nothing', async () => {
    for (const reason of [new Error('connection refused'), undefined, { msBeforeNext: '7' }]) {
      const client = inner()
      const limiter = { consume: () => Promise.reject(reason) }
      const error = await thrownBy(sharedRateLimit({ limiter })(client).call(request))
      expect(error).toBeInstanceOf(StoreError)
      expect([(error as StoreError).cause, client.calls]).toEqual([reason, 0])
    }
  })

  test('says so when waiting would never end', async () => {
    const limiter = new RateLimiterMemory({ points: 1, duration: 0 })
    const client = sharedRateLimit({ limiter })(inner())
    await client.call(request)
    expect(await thrownBy(client.call(request))).toMatchObject({ code: 'configuration', path: 'limiter' })
  })

  test('asks again after the rest of a millisecond, and not at once', async () => {
    const clock = virtualClock()
    let asked = 0
    const limiter = { consume: () => (++asked < 3 ? Promise.reject({ msBeforeNext: 0 }) : Promise.resolve()) }
    await sharedRateLimit({ limiter, runtime: clock.runtime })(inner()).call(request)
    expect(clock.sleeps).toEqual([1, 1])
  })

  test.each<[string, unknown]>([
    ['limiter', undefined],
    ['limiter.consume', {}],
    ['key', 'a'],
    ['points', 1],
    ['store', {}],
  ])('refuses %s: %j', (path, value) => {
    const [name = ''] = path.split('.')
    const options = { limiter: { consume: async () => {} }, [name]: value } as SharedRateLimitOptions
    expect(() => sharedRateLimit(options)).toThrow(expect.objectContaining({ code: 'configuration', path }))
  })

  test('shares a limit in Postgres among processes', async () => {
    const connectionString = await newDatabase()
    const clock = virtualClock({ auto: false })
    const sent = inner()
    const clients = await Promise.all(
      [1, 2].map(async () => {
        const pool = new pg.Pool({ connectionString })
        onTestFinished(() => pool.end())
        const limiter = await new Promise<RateLimiterPostgres>((resolve, reject) => {
          const made = new RateLimiterPostgres(
            { storeClient: pool, points: 3, duration: 60, clearExpiredByTimeout: false },
            (error?: Error) => (error ? reject(error) : resolve(made)),
          )
        })
        return sharedRateLimit({ limiter, runtime: clock.runtime })(sent)
      }),
    )
    const [one, other] = clients
    for (const client of [one, other, one]) await client?.call(request)
    const controller = new AbortController()
    const waiting = thrownBy(other?.call(request, { signal: controller.signal }) ?? Promise.resolve())
    while (clock.pending === 0) await turn()
    expect(clock.sleeps[0]).toBeGreaterThan(0)
    expect(clock.sleeps[0]).toBeLessThanOrEqual(60_000)
    controller.abort()
    await waiting
    expect([sent.calls, clock.pending]).toEqual([3, 0])
  })
})
