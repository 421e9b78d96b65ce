import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import { Agent } from '../../src/agent/agent.ts'
import { type CallOptions, type LLMClient, type LLMRequest, wrapClient } from '../../src/client/client.ts'
import { LLMError, MissingPackageError, QueueFullError } from '../../src/errors.ts'
import { type Usage, user } from '../../src/messages.ts'
import { type RateLimitOptions, rateLimit } from '../../src/resilience/rate-limit.ts'
import { retry } from '../../src/resilience/retry.ts'
import { virtualClock } from '../../src/testing/clock.ts'
import { chunks, fails, type Script, says } from '../../src/testing/script.ts'
import { ScriptedClient, type ScriptedClientOptions } from '../../src/testing/scripted-client.ts'
import { thrownBy, turn } from '../support/outcome.ts'
import { PacedClient, response } from '../support/paced-client.ts'

const ways = ['call', 'stream'] as const

/** A request that is estimated at so many tokens. */
const tokens = (count: number): LLMRequest => ({ messages: [user('x'.repeat(count * 4))] })

const used = (inputTokens: number, outputTokens = 0): Usage => ({ inputTokens, outputTokens })

const of = (principal: string): CallOptions => ({
  scope: { runId: 'r', conversationId: 'c', agent: 'a', principal },
})

/** A limited client on a virtual clock, and when each request reached it. */
function limited(options: RateLimitOptions, script: Script = () => says('ok', { usage: used(0) })) {
  const clock = virtualClock()
  const { runtime } = clock
  const starts: number[] = []
  const build = (more: ScriptedClientOptions = {}): LLMClient => {
    const scripted = new ScriptedClient(script, { runtime, ...more })
    const { provider, model, capabilities } = scripted
    const started = () => starts.push(runtime.now())
    return {
      provider,
      model,
      capabilities,
      call: (...given) => {
        started()
        return scripted.call(...given)
      },
      async *stream(...given) {
        started()
        yield* scripted.stream?.(...given) ?? []
      },
    }
  }
  const limits = rateLimit({ runtime, ...options })
  return { clock, limits, build, client: limits(build()), starts }
}

async function ask(
  client: LLMClient,
  way: 'call' | 'stream' = 'call',
  request = tokens(0),
  options?: CallOptions,
): Promise<string> {
  if (way === 'call') return (await client.call(request, options)).text
  let text = ''
  for await (const chunk of client.stream?.(request, options) ?? [])
    if (chunk.type === 'text') text += chunk.text
  return text
}

const status = (remaining: object, waiting = 0) => ({ 'scripted/scripted-1': { remaining, waiting } })

describe('rateLimit', () => {
  test.each(ways)(
    'lets a minute’s worth through at once, and then as much as comes back: %s',
    async (way) => {
      const { client, starts } = limited({ requestsPerMinute: 3 })
      await Promise.all(Array.from({ length: 6 }, () => ask(client, way)))
      expect(starts).toEqual([0, 0, 0, 20_000, 40_000, 60_000])
    },
  )

  test('waits to the millisecond, never too short', async () => {
    const { client, starts } = limited({ requestsPerMinute: 7 })
    await Promise.all(Array.from({ length: 10 }, () => ask(client)))
    expect(starts.slice(6)).toEqual([0, 8572, 17_143, 25_715])
  })

  test('fills up to a minute’s worth, and no further, while nobody asks', async () => {
    const { clock, client, starts } = limited({ requestsPerMinute: 2 })
    await ask(client)
    await clock.runtime.sleep(10 * 60_000)
    await Promise.all([1, 2, 3].map(() => ask(client)))
    expect(starts).toEqual([0, 600_000, 600_000, 630_000])
  })

  test('waits for all of its limits at once', async () => {
    const { client, starts, limits } = limited(
      {
        requestsPerMinute: 60,
        inputTokensPerMinute: 600,
        outputTokensPerMinute: 100,
        minOutputReserve: 50,
      },
      () => says('ok', { usage: used(500, 90) }),
    )
    await ask(client, 'call', tokens(500))
    expect(limits.status()).toEqual(status({ requests: 59, inputTokens: 100, outputTokens: 10 }))
    // 400 tokens of input come in 40 s, 40 of output in 24 s.
    await ask(client, 'call', tokens(500))
    expect(starts).toEqual([0, 40_000])
  })

  test('reserves what a request is estimated to take, and corrects it by what it took', async () => {
    const { client, limits, clock } = limited(
      { inputTokensPerMinute: 10_000, outputTokensPerMinute: 10_000, minOutputReserve: 300 },
      () => says('ok', { usage: used(7000, 20), delayMs: 1 }),
    )
    const params = { maxOutputTokens: 400 }
    const done = ask(client, 'call', { ...tokens(5000), params })
    await turn()
    expect(limits.status()).toEqual(status({ inputTokens: 5000, outputTokens: 9600 }))
    await done
    expect(clock.runtime.now()).toBe(1)
    expect(limits.status()).toEqual(status({ inputTokens: 3000, outputTokens: 9980 }))
  })

  test('counts everything that is sent: system, tools, messages, images and schemas', async () => {
    const { client, limits } = limited(
      { inputTokensPerMinute: 1_000_000, countTokens: (text) => text.length },
      () => says('ok', { usage: 'absent' }),
    )
    await ask(client, 'call', {
      system: '12345',
      messages: [
        user([
          { type: 'text', text: '1234' },
          { type: 'image', url: 'https://a.test/b.png' },
        ]),
      ],
      tools: [{ name: 'abc', description: 'de', parameters: {} }],
      responseFormat: { type: 'json', schema: { type: 'object' } },
    })
    const all = 5 + 4 + 1000 + 3 + 2 + 2 + JSON.stringify({ type: 'object' }).length
    expect(limits.status()).toEqual(status({ inputTokens: 1_000_000 - all }))
  })

  test('estimates what a response took that does not say, or cannot be believed', async () => {
    const hostile = [Number.NaN, -5, Number.POSITIVE_INFINITY, 1e300, '7' as unknown as number]
    for (const usage of ['absent' as const, ...hostile.flatMap((n) => [used(n), used(1, n)])]) {
      const { client, limits } = limited({ inputTokensPerMinute: 100, outputTokensPerMinute: 100 }, () =>
        says('x'.repeat(40), { usage }),
      )
      await ask(client, 'stream', tokens(30))
      expect(limits.status()).toEqual(status({ inputTokens: 70, outputTokens: 90 }))
    }
  })

  test('lets a request through that is larger than the limit, once all of it is there', async () => {
    const { client, starts, limits } = limited({ inputTokensPerMinute: 100 }, () =>
      says('ok', { usage: 'absent' }),
    )
    await ask(client, 'call', tokens(40))
    await ask(client, 'call', tokens(250))
    expect(limits.status()).toEqual(status({ inputTokens: -150 }))
    await ask(client, 'call', tokens(10))
    expect(starts).toEqual([0, 24_000, 24_000 + 96_000])
  })

  test('lets nobody overtake a large request, and everybody be overtaken by priority', async () => {
    const order: string[] = []
    const { client } = limited(
      { inputTokensPerMinute: 100, priority: (_, { headers }) => Number(headers?.['p']) },
      () => says('ok', { usage: 'absent' }),
    )
    const named = (name: string, size: number, p: number) =>
      ask(client, 'call', tokens(size), { headers: { p: String(p) } }).then(() => order.push(name))
    await Promise.all([
      named('first', 100, 0),
      named('large', 90, 0),
      named('small', 1, 0),
      named('urgent', 50, 1),
      named('urgent too', 1, 1),
      named('nonsense', 1, Number.NaN),
    ])
    expect(order).toEqual(['first', 'urgent', 'urgent too', 'large', 'small', 'nonsense'])
  })

  test('lets priority be worth a minute, so that nobody waits for ever', async () => {
    const { clock, client } = limited({
      requestsPerMinute: 6,
      priority: (_, { headers }) => Number(headers?.['p']),
    })
    const done: [string, number][] = []
    const named = (p: number) =>
      ask(client, 'call', tokens(0), { headers: { p: String(p) } }).then(() =>
        done.push([`${p}`, clock.runtime.now()]),
      )
    await Promise.all([1, 2, 3, 4, 5, 6].map(() => named(1)))
    const low = named(0)
    // Twice as many as there may be, all of them more urgent.
    const high = Array.from({ length: 40 }, async (_, index) => {
      await clock.runtime.sleep(1 + index * 5000)
      await named(1)
    })
    await low
    const [, at = 0] = done.find(([name]) => name === '0') ?? []
    // Those that came within a minute go before it: 12 of them, at 10 s each.
    expect(at).toBe(130_000)
    await Promise.all(high)
  })

  test('keeps each key by itself, and holds nobody up for another', async () => {
    const { client, starts, limits } = limited({
      requestsPerMinute: 1,
      key: (_, { scope }) => scope?.principal ?? '',
    })
    await Promise.all(['a', 'a', 'b', '__proto__'].map((name) => ask(client, 'call', tokens(0), of(name))))
    expect(starts).toEqual([0, 0, 0, 60_000])
    expect(Object.keys(limits.status())).toEqual(['a', 'b', '__proto__'])
  })

  test('gives its key function the request, the options and the client', async () => {
    const seen: unknown[] = []
    const { client } = limited({ key: (...given) => String(seen.push(given)) })
    const request = tokens(1)
    const options = of('a')
    await ask(client, 'call', request, options)
    await ask(client, 'stream', request)
    const asked = expect.objectContaining({ provider: 'scripted', model: 'scripted-1' })
    expect(seen).toEqual([
      [request, options, asked],
      [request, {}, asked],
    ])
  })

  test('is shared by all clients of a model that are given it, and by agents', async () => {
    const { clock, limits, build, starts } = limited({ requestsPerMinute: 1 })
    const other = limits(build({ model: 'scripted-2' }))
    const agent = new Agent({ client: limits(build()), runtime: clock.runtime })
    await Promise.all([limits(build()).call(tokens(0)), agent.run('hi'), other.call(tokens(0))])
    expect(starts).toEqual([0, 0, 60_000])
    expect(Object.keys(limits.status())).toEqual(['scripted/scripted-1', 'scripted/scripted-2'])
  })

  test('shares nothing with another value of the same options', async () => {
    const { clock, client, build, starts } = limited({ requestsPerMinute: 1 })
    const other = rateLimit({ requestsPerMinute: 1, runtime: clock.runtime })(build())
    await Promise.all([client.call(tokens(0)), other.call(tokens(0))])
    expect(starts).toEqual([0, 0])
  })

  test.each(ways)('leaves nothing behind of a request whose signal aborts in the queue: %s', async (way) => {
    const clock = virtualClock({ auto: false })
    const inner = new ScriptedClient(() => says('ok', { usage: 'absent' }), { runtime: clock.runtime })
    const limits = rateLimit({ inputTokensPerMinute: 100, runtime: clock.runtime })
    const client = limits(inner)
    await ask(client, way, tokens(100))
    const controller = new AbortController()
    const { signal } = controller
    const waiting = thrownBy(ask(client, way, tokens(80), { signal }))
    const last = ask(client, way, tokens(10))
    await turn()
    expect([clock.pending, limits.status()]).toEqual([1, status({ inputTokens: 0 }, 2)])
    controller.abort('enough')
    const error = await waiting
    expect(error).toBeInstanceOf(LLMError)
    expect(error).toMatchObject({ kind: 'aborted', cause: 'enough', provider: 'scripted' })
    expect(getEventListeners(signal, 'abort')).toEqual([])
    expect(await thrownBy(ask(client, way, tokens(1), { signal }))).toMatchObject({ kind: 'aborted' })
    // The next one waits for what it needs, not for what the other needed.
    await clock.advance(6000)
    await last
    expect([inner.calls, clock.pending, limits.status()]).toEqual([2, 0, status({ inputTokens: 0 })])
  })

  test('leaves no timer when the only one who waits leaves', async () => {
    const clock = virtualClock({ auto: false })
    const client = rateLimit({ requestsPerMinute: 1, runtime: clock.runtime })(new ScriptedClient(['ok']))
    await ask(client)
    const controller = new AbortController()
    const waiting = thrownBy(ask(client, 'stream', tokens(0), { signal: controller.signal }))
    await turn()
    expect(clock.pending).toBe(1)
    controller.abort()
    await waiting
    expect(clock.pending).toBe(0)
  })

  test('refuses a request that finds the queue full, and reserves nothing for it', async () => {
    const { client, starts, limits } = limited({ requestsPerMinute: 1, queueMax: 1 })
    const calls = [ask(client), ask(client)]
    for (const way of ways) {
      const error = await thrownBy(ask(client, way))
      expect(error).toBeInstanceOf(QueueFullError)
      expect(error).toMatchObject({ code: 'queue_full', queueMax: 1 })
    }
    await Promise.all(calls)
    expect([starts, limits.status()]).toEqual([[0, 60_000], status({ requests: 0 })])
  })

  describe('of a call that fails', () => {
    const limits: RateLimitOptions = {
      requestsPerMinute: 10,
      inputTokensPerMinute: 100,
      outputTokensPerMinute: 100,
      minOutputReserve: 30,
    }
    const left = async (failure: Parameters<typeof limited>[1], way: 'call' | 'stream' = 'call') => {
      const { client, limits: used } = limited(limits, failure)
      await thrownBy(ask(client, way, tokens(20)))
      return used.status()['scripted/scripted-1']?.remaining
    }

    test.each([
      'auth',
      'quota',
      'rate_limit',
      'overloaded',
      'context_length',
      'invalid_request',
      'not_found',
    ] as const)('gives the tokens back if it was refused: %s', async (kind) => {
      for (const way of ways)
        expect(await left([fails(kind)], way)).toEqual({ requests: 9, inputTokens: 100, outputTokens: 100 })
    })

    test.each([fails('network'), fails('timeout'), fails('malformed', { after: ['a'] }), new Error('odd')])(
      'keeps what was reserved if nobody knows what it took: %o',
      async (failure) => {
        for (const way of ways)
          expect(await left([failure], way)).toEqual({ requests: 9, inputTokens: 80, outputTokens: 70 })
      },
    )

    test('gives all of it back if nothing was sent', async () => {
      const failure = new MissingPackageError('openai')
      expect(await left([failure])).toEqual({ requests: 10, inputTokens: 100, outputTokens: 100 })
    })

    test('keeps what was reserved for a stream that is left', async () => {
      const { client, limits: used } = limited(limits, [chunks(['a', 'b'])])
      for await (const _ of client.stream?.(tokens(20)) ?? []) break
      expect(used.status()).toEqual(status({ requests: 9, inputTokens: 80, outputTokens: 70 }))
    })

    test('believes a status as much as an error of this library', async () => {
      const failure = Object.assign(new Error('HTTP 401'), { status: 401 })
      expect(await left([failure])).toEqual({ requests: 9, inputTokens: 100, outputTokens: 100 })
    })
  })

  describe('of what a provider says', () => {
    test.each(ways)('holds back all requests to a model for as long as it asks: %s', async (way) => {
      const failure = fails('rate_limit', { retryAfterMs: 7000 })
      const { clock, client, starts } = limited({}, [failure, 'ok', 'ok', 'ok'])
      await thrownBy(ask(client, way))
      await clock.runtime.sleep(1000)
      await Promise.all([ask(client, way), ask(client, way)])
      expect(starts).toEqual([0, 7000, 7000])
    })

    test('holds back those with other keys too, but not those to other models', async () => {
      const { limits, build, starts } = limited(
        { key: (_, { scope }) => scope?.principal ?? '' },
        (_, options) =>
          options?.scope?.principal === 'a' ? fails('rate_limit', { retryAfterMs: 7000 }) : 'ok',
      )
      const [client, other] = [limits(build()), limits(build({ model: 'scripted-2' }))]
      await thrownBy(ask(client, 'call', tokens(0), of('a')))
      await Promise.all([client, other].map((each) => ask(each, 'call', tokens(0), of('b'))))
      expect(starts).toEqual([0, 0, 7000])
    })

    test('sends what would have to wait too long, so that it can be asked for elsewhere', async () => {
      const failure = fails('rate_limit', { retryAfterMs: 60_001 })
      const { client, starts } = limited({}, [failure, failure])
      await thrownBy(ask(client))
      await thrownBy(ask(client))
      expect(starts).toEqual([0, 0])
    })

    test.each([Number.NaN, -1, Number.POSITIVE_INFINITY])('does not wait for %d ms', async (retryAfterMs) => {
      const { client, starts } = limited({}, [fails('rate_limit', { retryAfterMs }), 'ok'])
      await thrownBy(ask(client))
      await ask(client)
      expect(starts).toEqual([0, 0])
    })

    test('is tried again by retry as soon as the provider allows it, in the queue of all', async () => {
      const { clock, limits, build, starts } = limited({}, [
        fails('rate_limit', { retryAfterMs: 5000 }),
        'ok',
        'ok',
      ])
      const client = wrapClient(build(), retry({ jitter: 'none', runtime: clock.runtime }), limits)
      expect(await Promise.all([ask(client), clock.runtime.sleep(10).then(() => ask(client))])).toEqual([
        'ok',
        'ok',
      ])
      expect(starts).toEqual([0, 5000, 5000])
    })

    /** A client whose answers say what is left. */
    const telling = (rateLimits: readonly object[], latencyMs = 0) => {
      const { clock, limits, starts } = limited({ minOutputReserve: 0 })
      const client = limits({
        provider: 'p',
        model: 'm',
        capabilities: { tools: true, streaming: false, structuredOutput: true, images: true },
        call: async () => {
          const rateLimit = rateLimits[starts.push(clock.runtime.now()) - 1] ?? {}
          await clock.runtime.sleep(latencyMs)
          return response('ok', { rateLimit, usage: used(1) })
        },
      })
      return { clock, client, starts }
    }

    test('sends no faster than it says that requests come back', async () => {
      const { client, starts } = telling([{ requests: { limit: 10, remaining: 1, resetMs: 54_000 } }])
      for (let call = 0; call < 4; call++) await ask(client)
      expect(starts).toEqual([0, 0, 6000, 12_000])
    })

    test.each(['tokens', 'inputTokens'])('waits for %s that it says are left', async (resource) => {
      const { client, starts } = telling([{ [resource]: { limit: 100, remaining: 20, resetMs: 8000 } }])
      await ask(client)
      await ask(client, 'call', tokens(20))
      await ask(client, 'call', tokens(30))
      expect(starts).toEqual([0, 0, 3000])
    })

    test('takes into account what was sent while the answer was on its way', async () => {
      const left = (remaining: number) => ({
        requests: { limit: 4, remaining, resetMs: (4 - remaining) * 1000 },
      })
      const { client, starts } = telling([left(2), left(1), left(0)], 500)
      await Promise.all([ask(client), ask(client), ask(client)])
      // Of the one that came last it knows that none is left, and since 500 ms that one comes back each second.
      await ask(client)
      expect(starts).toEqual([0, 0, 0, 1000])
    })

    test('waits for the reset if that is all it says, and forgets a limit of which all is there', async () => {
      const { client, starts } = telling([
        { requests: { remaining: 0, resetMs: 900 } },
        { requests: { limit: 10, remaining: 0, resetMs: 1000 } },
        { requests: { limit: 10, remaining: 10, resetMs: 0 } },
      ])
      for (let call = 0; call < 5; call++) await ask(client)
      expect(starts).toEqual([0, 900, 1000, 1000, 1000])
    })

    test('is not misled by nonsense', async () => {
      const wrong = [Number.NaN, Number.POSITIVE_INFINITY, '7', undefined, null, -1]
      const all = wrong.flatMap((value) => [
        { requests: { limit: value, remaining: 0, resetMs: 9 } },
        { requests: { limit: 1, remaining: value, resetMs: 0 } },
        { tokens: { limit: 1, remaining: 1, resetMs: value } },
        { tokens: value },
      ])
      const { client, starts } = telling([...all, null as unknown as object])
      for (let call = 0; call <= all.length + 1; call++) await ask(client)
      expect(starts.at(-1)).toBeLessThan(100)
    })
  })

  test('forgets keys that were not used for long, and none that are in use', async () => {
    const { clock, client, limits } = limited({
      requestsPerMinute: 1,
      key: (_, { scope }) => scope?.principal ?? '',
    })
    for (let index = 0; index < 1000; index++) await ask(client, 'call', tokens(0), of(`user ${index}`))
    expect(Object.keys(limits.status()).length).toBe(1000)
    await clock.runtime.sleep(59_999)
    await ask(client, 'call', tokens(0), of('recent'))
    await clock.runtime.sleep(60_000)
    for (let index = 0; index < 1000; index++) await ask(client, 'call', tokens(0), of(`other ${index}`))
    expect(Object.keys(limits.status()).length).toBeLessThanOrEqual(1001)
    expect(limits.status()['user 0']).toBeUndefined()
  })

  test('does not wait for a client that takes no notice of an abort', async () => {
    const clock = virtualClock({ auto: false })
    const deaf = new PacedClient(clock, [[1_000_000, { type: 'text', text: 'late' }]], { deaf: true })
    const client = rateLimit({ runtime: clock.runtime })(deaf)
    for (const way of ways) {
      const controller = new AbortController()
      const failed = thrownBy(ask(client, way, tokens(0), { signal: controller.signal }))
      await turn()
      controller.abort('enough')
      expect(await failed).toMatchObject({ kind: 'aborted', cause: 'enough' })
    }
  })

  test('forwards requests and options as they are, and sends nothing before the first pull', async () => {
    const inner = new ScriptedClient(['ok', 'ok'])
    const limits = rateLimit({ requestsPerMinute: 5 })
    const client = limits(inner)
    const [request, options] = [tokens(1), of('a')]
    client.stream?.(request)
    await turn()
    expect([inner.calls, limits.status()]).toEqual([0, {}])
    for (const way of ways) await ask(client, way, request, options)
    expect(inner.requests.every((sent) => sent === request)).toBe(true)
    expect(inner.callOptions.every((sent) => sent === options)).toBe(true)
    expect(client.capabilities).toBe(inner.capabilities)
    await client.close?.()
    expect(inner.closed).toBe(true)
  })

  test.each<[string, unknown]>([
    ['requestsPerMinute', 0],
    ['inputTokensPerMinute', 1.5],
    ['outputTokensPerMinute', Number.POSITIVE_INFINITY],
    ['minOutputReserve', -1],
    ['key', 'principal'],
    ['priority', 1],
    ['queueMax', -1],
    ['maxRetryAfterMs', Number.NaN],
    ['countTokens', 4],
    ['runtime', 'real'],
    ['rpm', 60],
  ])('refuses %s: %j', (name, value) => {
    expect(() => rateLimit({ [name]: value })).toThrow(
      expect.objectContaining({ code: 'configuration', path: name }),
    )
  })
})
