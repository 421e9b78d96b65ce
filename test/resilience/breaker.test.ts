import { describe, expect, test } from 'vitest'
import { wrapClient } from '../../src/client/client.ts'
import type { LLMError, LLMErrorKind } from '../../src/errors.ts'
import { Agent } from '../../src/index.ts'
import {
  type CircuitBreakerOptions,
  type CircuitChange,
  CircuitOpenError,
  circuitBreaker,
} from '../../src/resilience/breaker.ts'
import { failover } from '../../src/resilience/failover.ts'
import { retry } from '../../src/resilience/retry.ts'
import { virtualClock } from '../../src/testing/clock.ts'
import { chunks, fails, hangs, type ScriptedReply, says } from '../../src/testing/script.ts'
import { ScriptedClient } from '../../src/testing/scripted-client.ts'
import { countListeners, thrownBy, turn } from '../support/outcome.ts'
import { drain, named, request } from './support.ts'

/** A breaker around a client that does as `mood` says at the moment of each call. */
function stage(options: CircuitBreakerOptions = {}) {
  const clock = virtualClock({ auto: false })
  const changes: CircuitChange[] = []
  const breaker = circuitBreaker({
    runtime: clock.runtime,
    onStateChange: (change) => changes.push(change),
    ...options,
  })
  const told: { mood: ScriptedReply } = { mood: 'ok' }
  const inner = named('a', () => told.mood as string)
  const client = breaker(inner)
  const ask = async (mood: ScriptedReply) => {
    told.mood = mood
    return client.call(request).then(
      ({ text }) => text,
      (error: LLMError) => error.kind,
    )
  }
  const open = async () => {
    for (let call = 0; call < 5; call++) await ask(fails('network'))
  }
  return { clock, breaker, changes, inner, client, told, ask, open }
}

const states = (changes: readonly CircuitChange[]) =>
  changes.map(({ from, to, at }) => `${from} > ${to} at ${at}`)

describe('circuitBreaker', () => {
  test('opens at the rate, not after failures in a row', async () => {
    for (const moods of ['f.f.f', 'fff..', '.f.ff', 'f..ff']) {
      const { ask, breaker } = stage()
      const seen: string[] = []
      for (const mood of moods) {
        await ask(mood === 'f' ? fails('network') : 'ok')
        seen.push(breaker.state)
      }
      expect(seen).toEqual(['closed', 'closed', 'closed', 'closed', 'open'])
    }
  })

  test('stays closed below the rate, however many fail', async () => {
    const { ask, breaker, clock } = stage({ failureRate: 0.6 })
    for (let call = 0; call < 100; call++) {
      await ask(call % 2 === 0 ? 'ok' : fails('network'))
      await clock.advance(10)
    }
    expect(breaker.health()).toEqual([
      { provider: 'a', model: 'm', state: 'closed', samples: 100, failures: 50, failureRate: 0.5 },
    ])
  })

  test('forgets what lies before the window, to the millisecond', async () => {
    const { ask, breaker, clock } = stage({ windowMs: 1000 })
    for (let call = 0; call < 4; call++) await ask(fails('network'))
    await clock.advance(999)
    expect(breaker.health()[0]?.failures).toBe(4)
    await clock.advance(1)
    expect(breaker.health()[0]).toMatchObject({ samples: 0, failures: 0, failureRate: 0 })
    await ask(fails('network'))
    expect(breaker.state).toBe('closed')
  })

  test('sends nothing while it is open, and says when it will', async () => {
    const { ask, open, breaker, clock, client, inner } = stage()
    await open()
    await clock.advance(10_000)
    for (const way of ['call', 'stream'] as const) {
      const error = await thrownBy(way === 'call' ? client.call(request) : drain(client))
      expect(error).toBeInstanceOf(CircuitOpenError)
      expect(error).toMatchObject({
        kind: 'overloaded',
        provider: 'a',
        model: 'm',
        retryAfterMs: 20_000,
        retryable: true,
      })
    }
    expect(inner.calls).toBe(5)
    expect(breaker.health()).toMatchObject([{ state: 'open', failureRate: 1, openUntil: 30_000 }])
    await clock.advance(19_999)
    expect(await ask('ok')).toBe('overloaded')
    await clock.advance(1)
    expect([await ask('ok'), inner.calls]).toEqual(['ok', 6])
  })

  test('recovers by one, two, and four calls at once', async () => {
    const { open, breaker, clock, client, told, changes, inner } = stage()
    await open()
    await clock.advance(30_000)
    told.mood = says('ok', {})
    for (const allowed of [1, 2, 4]) {
      expect(breaker.state).toBe('half_open')
      const before = inner.calls
      const asked = Array.from({ length: 6 }, () =>
        client.call(request).then(
          () => 'ok',
          (error) => error,
        ),
      )
      const outcomes = await Promise.all(asked)
      expect(inner.calls - before).toBe(allowed)
      const refused = outcomes.filter((outcome) => outcome instanceof CircuitOpenError)
      expect(refused.map(({ retryAfterMs }) => retryAfterMs)).toEqual(Array(6 - allowed).fill(undefined))
    }
    expect(states(changes)).toEqual([
      'closed > open at 0',
      'open > half_open at 30000',
      'half_open > closed at 30000',
    ])
  })

  test('opens again when one of these fails, for as long again', async () => {
    const { open, ask, breaker, clock, changes } = stage()
    await open()
    await clock.advance(30_000)
    for (const mood of ['ok', 'ok', fails('stalled')]) await ask(mood)
    expect(breaker.state).toBe('open')
    await clock.advance(29_999)
    expect(breaker.state).toBe('open')
    await clock.advance(1)
    expect(breaker.state).toBe('half_open')
    expect(states(changes).slice(2)).toEqual(['half_open > open at 30000', 'open > half_open at 60000'])
  })

  test('recovers in other steps, if it is told to', async () => {
    const { open, ask, breaker, clock } = stage({ halfOpen: { initial: 2, step: 1, max: 3 } })
    await open()
    await clock.advance(30_000)
    for (let call = 0; call < 4; call++) await ask('ok')
    expect(breaker.state).toBe('half_open')
    await ask('ok')
    expect(breaker.state).toBe('closed')
  })

  test('lets a call that was aborted or left make room for another, and counts it as nothing', async () => {
    const { open, ask, breaker, clock, client, told } = stage()
    await open()
    await clock.advance(30_000)
    const controller = new AbortController()
    const listeners = countListeners(controller.signal)
    told.mood = hangs()
    const probe = thrownBy(client.call(request, { signal: controller.signal }))
    await turn()
    expect(await ask('ok')).toBe('overloaded')
    controller.abort('enough')
    expect(await probe).toMatchObject({ kind: 'aborted', cause: 'enough' })
    expect(listeners.now).toBeLessThanOrEqual(1)
    told.mood = chunks(['x', 'y'])
    for await (const _ of client.stream?.(request) ?? []) break
    expect(breaker.health()).toMatchObject([{ state: 'half_open', samples: 0 }])
    expect(await ask('ok')).toBe('ok')
  })

  test('counts a stream that breaks in the middle as a failure, once', async () => {
    const { breaker, client, told } = stage()
    told.mood = fails('overloaded', { after: ['Hel', 'lo'] })
    await thrownBy(drain(client))
    expect(breaker.health()).toMatchObject([{ samples: 1, failures: 1 }])
  })

  test('counts neither what the request, the account or the caller is to blame for, nor what is no failed call', async () => {
    const { ask, breaker } = stage()
    const kinds: LLMErrorKind[] = [
      'invalid_request',
      'context_length',
      'content_filter',
      'not_found',
      'auth',
      'quota',
      'aborted',
    ]
    for (const kind of kinds) await ask(fails(kind))
    expect(breaker.health()).toMatchObject([{ samples: 0 }])
    const counted: LLMErrorKind[] = [
      'rate_limit',
      'overloaded',
      'timeout',
      'stalled',
      'network',
      'malformed',
      'unknown',
    ]
    for (const kind of counted.slice(0, 4)) await ask(fails(kind))
    expect(breaker.health()).toMatchObject([{ samples: 4, failures: 4 }])
  })

  test('asks countsAsFailure instead, but never about an abort', async () => {
    const asked: string[] = []
    const countsAsFailure = ({ kind }: LLMError) => {
      asked.push(kind)
      return kind === 'auth'
    }
    const { ask, breaker } = stage({ countsAsFailure })
    for (const kind of ['auth', 'network', 'aborted'] as const) await ask(fails(kind))
    expect(breaker.health()).toMatchObject([{ samples: 1, failures: 1 }])
    expect(asked).toEqual(['auth', 'network'])
  })

  test('asks no more at once than it takes to open, until something has answered', async () => {
    const { client, inner, told } = stage()
    told.mood = fails('network', { delayMs: 0 })
    const failed = await Promise.all(Array.from({ length: 100 }, () => thrownBy(client.call(request))))
    expect(inner.calls).toBe(5)
    expect(failed.filter((error) => error instanceof CircuitOpenError).length).toBe(95)
  })

  test('asks all at once as soon as one answer has begun', async () => {
    const clock = virtualClock({ auto: false })
    const inner = named('a', () => hangs(['I ']))
    const client = circuitBreaker({ runtime: clock.runtime })(inner)
    const controller = new AbortController()
    const running = Array.from({ length: 20 }, () => thrownBy(drain(client, { signal: controller.signal })))
    await turn()
    expect(inner.calls).toBe(20)
    controller.abort()
    await Promise.all(running)
  })

  test('lets go of a call that waits when its signal aborts', async () => {
    const { client, told, inner } = stage({ minSamples: 1 })
    told.mood = hangs()
    const first = new AbortController()
    const second = new AbortController()
    const listeners = countListeners(second.signal)
    const hanging = thrownBy(client.call(request, { signal: first.signal }))
    const waiting = thrownBy(client.call(request, { signal: second.signal }))
    await turn()
    expect([inner.calls, listeners.now]).toEqual([1, 1])
    second.abort('enough')
    expect(await waiting).toMatchObject({ kind: 'aborted', cause: 'enough' })
    first.abort()
    await hanging
    expect(inner.calls).toBe(1)
  })

  test('keeps a circuit for each model, and shares it among clients of the same', async () => {
    const breaker = circuitBreaker({ minSamples: 2 })
    const [one, two, other] = [
      breaker(named('a', [fails('network')])),
      breaker(named('a', [fails('network')])),
      breaker(named('b', ['ok'])),
    ]
    await thrownBy(one.call(request))
    await thrownBy(two.call(request))
    expect((await other.call(request)).text).toBe('ok')
    expect(await thrownBy(one.call(request))).toBeInstanceOf(CircuitOpenError)
    expect(breaker.health().map(({ provider, state }) => [provider, state])).toEqual([
      ['a', 'open'],
      ['b', 'closed'],
    ])
    expect(breaker.state).toBe('open')
  })

  test('is exported as JSON and restored, open or closed', async () => {
    const { open, breaker, clock } = stage()
    await open()
    const state = JSON.parse(JSON.stringify(breaker))
    expect(state['a/m'].openUntil).toBe(30_000)
    const restored = stage({ initialState: state, runtime: clock.runtime })
    expect(restored.breaker.health()).toEqual(breaker.health())
    expect(await restored.ask('ok')).toBe('overloaded')
    await clock.advance(30_000)
    expect(await restored.ask('ok')).toBe('ok')

    const sick = stage()
    for (let call = 0; call < 4; call++) await sick.ask(fails('network'))
    const other = stage({ initialState: sick.breaker.toJSON() })
    await other.ask(fails('network'))
    expect(other.breaker.state).toBe('open')
  })

  test('restores a half-open circuit as one that is tried again at once, and the name of a model with a slash', async () => {
    const { open, breaker, clock } = stage()
    await open()
    await clock.advance(40_000)
    expect(breaker.state).toBe('half_open')
    const initialState = { 'openrouter/openai/gpt-5': breaker.toJSON()['a/m'] ?? { samples: [] } }
    const restored = circuitBreaker({ initialState, runtime: clock.runtime })
    expect(restored.health()).toMatchObject([
      { provider: 'openrouter', model: 'openai/gpt-5', state: 'half_open' },
    ])
  })

  test('goes on when a listener throws', async () => {
    const onStateChange = () => {
      throw new Error('listener')
    }
    const { open, breaker } = stage({ onStateChange })
    await open()
    expect(breaker.state).toBe('open')
  })

  test('is waited for by a retry around it, exactly until it is half-open', async () => {
    const clock = virtualClock()
    let isDown = true
    const inner = named('a', () => (isDown ? fails('network') : 'ok'))
    const breaker = circuitBreaker({
      minSamples: 1,
      runtime: clock.runtime,
      onStateChange: () => (isDown = false),
    })
    const client = wrapClient(
      inner,
      retry({ runtime: clock.runtime, jitter: 'none', minDelayMs: 0 }),
      breaker,
    )
    expect((await client.call(request)).text).toBe('ok')
    expect(clock.sleeps).toEqual([0, 30_000])
  })

  test('looks like its client', () => {
    const inner = named('a', [])
    const client = circuitBreaker()(inner)
    expect([client.provider, client.model, client.capabilities]).toEqual(['a', 'm', inner.capabilities])
  })

  test.each<[string, unknown]>([
    ['failureRate', 0],
    ['failureRate', 1.1],
    ['minSamples', 0],
    ['windowMs', 0],
    ['openMs', Number.POSITIVE_INFINITY],
    ['halfOpen.initial', { initial: 0 }],
    ['halfOpen.initial', { initial: 5 }],
    ['halfOpen.step', { step: 'triple' }],
    ['countsAsFailure', ['auth']],
    ['initialState.a/m.samples', { 'a/m': {} }],
    ['threshold', 1],
  ])('refuses %s: %j', (path, value) => {
    const [name = ''] = path.split('.')
    expect(() => circuitBreaker({ [name]: value })).toThrow(
      expect.objectContaining({ code: 'configuration', path }),
    )
  })
})

test('a provider that is down for a minute hears of 100 runs at once no more than it takes to know, and all are answered', async () => {
  const clock = virtualClock()
  const { runtime } = clock
  const first = new ScriptedClient(
    () => (runtime.now() < 60_000 ? fails('overloaded', { delayMs: 300 }) : says('first', { delayMs: 300 })),
    { provider: 'first', runtime },
  )
  const second = new ScriptedClient(() => says('second', { delayMs: 700 }), { provider: 'second', runtime })
  const breaker = circuitBreaker({ runtime })
  const agent = new Agent({ client: wrapClient(first, failover([second]), breaker), runtime })
  const answers = async () => {
    const asked = Array.from({ length: 100 }, () => agent.run('Hello?', { history: [] }))
    return new Set(await Promise.all(asked))
  }

  // Most runs wait to see what becomes of the first five.
  expect(await answers()).toEqual(new Set(['second']))
  expect([first.calls, runtime.now()]).toEqual([5, 1000])
  while (runtime.now() < 60_000) expect(await answers()).toEqual(new Set(['second']))
  // Half-open at 30.3 s, by one probe.
  expect(first.calls).toBe(5 + 1)
  while (breaker.state !== 'closed') await answers()
  expect(await answers()).toEqual(new Set(['first']))
})
