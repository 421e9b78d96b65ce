import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CallOptions, ClientNotice, LLMChunk, LLMClient, LLMRequest } from '../../src/client/client.ts'
import { ConfigurationError, LLMError } from '../../src/errors.ts'
import { user } from '../../src/messages.ts'
import { retry } from '../../src/resilience/retry.ts'
import type { RetryOptions } from '../../src/resilience/retry-options.ts'
import { virtualClock } from '../../src/testing/clock.ts'
import { chunks, fails, type ScriptedReply } from '../../src/testing/script.ts'
import { ScriptExhaustedError, ScriptedClient } from '../../src/testing/scripted-client.ts'
import { countListeners, thrownBy, turn } from '../support/outcome.ts'

const request: LLMRequest = { messages: [user('hi')] }

/** A client that retries on a virtual clock, without jitter where nothing else is said. */
function retrying(script: readonly ScriptedReply[], options: RetryOptions = {}) {
  const clock = virtualClock()
  const inner = new ScriptedClient(script, { runtime: clock.runtime })
  const notices: ClientNotice[] = []
  const client = retry({ jitter: 'none', runtime: clock.runtime, ...options })(inner)
  const callOptions: CallOptions = { notify: (notice) => notices.push(notice) }
  return { clock, inner, client, notices, callOptions }
}

async function drain(client: LLMClient, options?: CallOptions, into: LLMChunk[] = []): Promise<LLMChunk[]> {
  for await (const chunk of client.stream?.(request, options) ?? []) into.push(chunk)
  return into
}

const wireError = (status: number) => Object.assign(new Error(`HTTP ${status}`), { status })

describe('retry', () => {
  test('tries again after a wait that doubles, and tells each retry before it', async () => {
    const script = [wireError(429), wireError(429), 'ok']
    for (const way of ['call', 'stream'] as const) {
      const { clock, inner, client, notices, callOptions } = retrying(script)
      if (way === 'call') expect((await client.call(request, callOptions)).text).toBe('ok')
      else expect((await drain(client, callOptions)).map(({ type }) => type)).toEqual(['text', 'end'])
      expect(clock.sleeps).toEqual([1000, 2000])
      expect(inner.requests).toEqual([request, request, request])
      expect(inner.callOptions).toEqual([callOptions, callOptions, callOptions])
      const error = { code: 'llm', kind: 'rate_limit', message: 'HTTP 429' }
      expect(notices).toEqual([
        { type: 'retry', attempt: 1, delayMs: 1000, error },
        { type: 'retry', attempt: 2, delayMs: 2000, error },
      ])
    }
  })

  test('makes three attempts in all, and then throws the last failure', async () => {
    const { clock, inner, client } = retrying([
      fails('network'),
      fails('timeout'),
      fails('overloaded'),
      'late',
    ])
    expect(await thrownBy(client.call(request))).toMatchObject({ name: 'LLMError', kind: 'overloaded' })
    expect(inner.calls).toBe(3)
    expect(clock.sleeps).toEqual([1000, 2000])
  })

  test('doubles its wait up to the longest', async () => {
    const { clock, client } = retrying(
      Array.from({ length: 7 }, () => fails('overloaded')),
      { attempts: 7 },
    )
    await thrownBy(client.call(request))
    expect(clock.sleeps).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000])
  })

  test.each([
    ['auth', fails('auth')],
    ['quota', fails('quota')],
    ['invalid_request', fails('invalid_request')],
    ['context_length', fails('context_length')],
    ['overloaded', fails('overloaded', { retryable: false })],
    ['auth', wireError(401)],
    ['unknown', new Error('who knows')],
  ])('does not try again after a final failure: %s', async (kind, failure) => {
    for (const way of ['call', 'stream'] as const) {
      const { clock, inner, client, notices, callOptions } = retrying([failure, 'ok'])
      const error = await thrownBy(
        way === 'call' ? client.call(request, callOptions) : drain(client, callOptions),
      )
      expect(error).toBeInstanceOf(LLMError)
      expect(error).toMatchObject({ kind })
      expect([inner.calls, clock.sleeps, notices]).toEqual([1, [], []])
    }
  })

  test('lets errors of this library that are no failed call through as they are', async () => {
    const mistake = new ConfigurationError('model', 'no')
    expect(await thrownBy(retrying([mistake, 'ok']).client.call(request))).toBe(mistake)
    expect(await thrownBy(retrying([]).client.call(request))).toBeInstanceOf(ScriptExhaustedError)
  })

  test('throws the LLMError it got, and keeps as a cause what was none', async () => {
    const own = new LLMError('x', { kind: 'auth', provider: 'p', model: 'm' })
    expect(await thrownBy(retrying([own]).client.call(request))).toBe(own)
    const plain = new TypeError('x is not a function')
    expect(await thrownBy(retrying([plain]).client.call(request))).toMatchObject({
      kind: 'unknown',
      message: 'x is not a function',
      provider: 'scripted',
      model: 'scripted-1',
      cause: plain,
    })
  })

  test('asks retryOn instead, if there is one', async () => {
    const asked: string[] = []
    const retryOn = (error: LLMError) => {
      asked.push(error.kind)
      return error.kind === 'unknown'
    }
    const { client, inner } = retrying([new Error('odd'), fails('overloaded'), 'ok'], { retryOn })
    expect(await thrownBy(client.call(request))).toMatchObject({ kind: 'overloaded' })
    expect([asked, inner.calls]).toEqual([['unknown', 'overloaded'], 2])
  })

  test('does not wait with minDelayMs 0, however much its waits grow', async () => {
    const { clock, client } = retrying([fails('network'), fails('network'), fails('network'), 'ok'], {
      attempts: 4,
      minDelayMs: 0,
      factor: 1e300,
    })
    await client.call(request)
    expect(clock.sleeps).toEqual([0, 0, 0])
  })

  test('waits as long as it is asked to', async () => {
    const script = [
      fails('rate_limit', { retryAfterMs: 45_000 }),
      fails('rate_limit', { retryAfterMs: 10 }),
      fails('overloaded'),
      'ok',
    ]
    const { clock, client } = retrying(script, { attempts: 4 })
    await client.call(request)
    expect(clock.sleeps).toEqual([45_000, 10, 4000])
  })

  test('fails at once when it is asked to wait too long', async () => {
    const { clock, client, inner, notices, callOptions } = retrying([
      fails('rate_limit', { retryAfterMs: 60_001 }),
      'ok',
    ])
    expect(await thrownBy(client.call(request, callOptions))).toMatchObject({ retryAfterMs: 60_001 })
    expect([clock.sleeps, inner.calls, notices]).toEqual([[], 1, []])
  })

  test('never tries a stream again once a chunk was handed out', async () => {
    const { client, inner, notices, callOptions } = retrying([
      fails('overloaded'),
      fails('network', { after: ['par'] }),
      'full',
    ])
    const seen: LLMChunk[] = []
    expect(await thrownBy(drain(client, callOptions, seen))).toMatchObject({ kind: 'network' })
    expect(seen).toEqual([{ type: 'text', text: 'par' }])
    expect([inner.calls, notices.length]).toEqual([2, 1])
  })

  test('tries a stream again that broke in a tool call: nothing of it was shown', async () => {
    const { inner, callOptions } = retrying(['ok'])
    let opened = 0
    const breaking: LLMClient = {
      ...inner,
      call: (...given) => inner.call(...given),
      async *stream(...given) {
        if (opened++ > 0) {
          yield* inner.stream?.(...given) ?? []
          return
        }
        yield { type: 'tool_call', index: 0, id: 'c1', toolName: 'pay', parametersText: '{"amo' }
        throw wireError(500)
      },
    }
    const client = retry({ runtime: virtualClock().runtime })(breaking)
    expect((await drain(client, callOptions)).map(({ type }) => type)).toEqual(['text', 'end'])
    expect(opened).toBe(2)
  })

  test('makes an LLMError of a stream that breaks in the middle, also of a plain error', async () => {
    const broken: LLMClient = {
      provider: 'p',
      model: 'm',
      capabilities: { tools: true, streaming: true, structuredOutput: false, images: false },
      call: async () => ({ text: '', toolCalls: [], stopReason: 'stop' }),
      async *stream() {
        yield { type: 'text', text: 'a' }
        throw wireError(503)
      },
    }
    expect(await thrownBy(drain(retry()(broken)))).toMatchObject({ kind: 'overloaded', status: 503 })
  })

  test('asks nothing before the first pull, and closes what it opened when it is left', async () => {
    const { client, inner } = retrying([chunks(['a', 'b']), chunks(['a', 'b'])])
    const unread = client.stream?.(request)
    await turn()
    expect(inner.calls).toBe(0)
    for await (const _ of unread ?? []) break
    expect([inner.calls, inner.left]).toEqual([1, 1])
    await drain(client)
    expect(inner.left).toBe(1)
  })

  test('stops at once when its signal aborts in a wait, and leaves nothing behind', async () => {
    for (const way of ['call', 'stream'] as const) {
      const clock = virtualClock({ auto: false })
      const inner = new ScriptedClient([fails('overloaded'), 'ok'])
      const client = retry({ runtime: clock.runtime })(inner)
      const controller = new AbortController()
      const { signal } = controller
      const listeners = countListeners(signal)
      const running = thrownBy(way === 'call' ? client.call(request, { signal }) : drain(client, { signal }))
      await turn()
      expect(clock.pending).toBe(1)
      const reason = { why: 'enough' }
      controller.abort(reason)
      const error = await running
      expect(error).toBeInstanceOf(LLMError)
      expect(error).toMatchObject({ kind: 'aborted', retryable: false })
      expect((error as LLMError).cause).toBe(reason)
      expect([clock.pending, inner.calls, listeners.now]).toEqual([0, 1, 0])
    }
  })

  test('does not try again after an abort, whatever the client makes of it', async () => {
    const controller = new AbortController()
    const { client, inner, notices } = retrying(
      [
        () => {
          controller.abort('enough')
          return fails('overloaded')
        },
        'ok',
      ],
      { retryOn: () => true },
    )
    const options: CallOptions = { signal: controller.signal, notify: (notice) => notices.push(notice) }
    expect(await thrownBy(client.call(request, options))).toMatchObject({ kind: 'aborted', cause: 'enough' })
    expect([inner.calls, notices]).toEqual([1, []])
  })

  test('goes on when a listener throws', async () => {
    const { client } = retrying([fails('network'), 'ok'])
    const notify = () => {
      throw new Error('listener')
    }
    expect((await client.call(request, { notify })).text).toBe('ok')
  })

  test('passes on what the client is and can, and closes it', async () => {
    const inner = new ScriptedClient([], { provider: 'p', model: 'm', capabilities: { contextWindow: 9 } })
    const client = retry()(inner)
    expect([client.provider, client.model, client.capabilities]).toEqual(['p', 'm', inner.capabilities])
    await client.close?.()
    expect(inner.closed).toBe(true)
    const { provider, model, capabilities } = inner
    const bare = retry()({ provider, model, capabilities, call: (...all) => inner.call(...all) })
    expect('stream' in bare || 'close' in bare).toBe(false)
  })

  test.each<[keyof RetryOptions, unknown]>([
    ['attempts', 0],
    ['attempts', 1.5],
    ['attempts', Number.POSITIVE_INFINITY],
    ['attempts', '3'],
    ['minDelayMs', -1],
    ['minDelayMs', Number.NaN],
    ['factor', 0.5],
    ['maxDelayMs', Number.POSITIVE_INFINITY],
    ['jitter', 'some'],
    ['retryOn', true],
    ['maxRetryAfterMs', -1],
    ['runtime', 'real'],
  ])('refuses %s: %j', (name, value) => {
    expect(() => retry({ [name]: value })).toThrow(
      expect.objectContaining({ code: 'configuration', path: name }),
    )
  })

  test('refuses what it does not know, with the nearest name', () => {
    expect(() => retry({ maxAttempts: 3 } as RetryOptions)).toThrow(
      expect.objectContaining({ code: 'configuration', path: 'maxAttempts' }),
    )
    expect(() => retry({ minDelay: 3 } as RetryOptions)).toThrow('Did you mean "minDelayMs"?')
    expect(() => retry(null as unknown as RetryOptions)).toThrow(ConfigurationError)
  })

  test('keeps its law for any policy and anything a provider asks for', async () => {
    const asked = fc.oneof(
      fc.constantFrom(
        undefined,
        Number.NaN,
        Number.POSITIVE_INFINITY,
        Number.NEGATIVE_INFINITY,
        0,
        -5,
        1e300,
      ),
      fc.double({ min: 0.001, max: 200_000, noNaN: true }),
    )
    const policy = fc.record({
      attempts: fc.integer({ min: 1, max: 6 }),
      minDelayMs: fc.integer({ min: 0, max: 5000 }),
      factor: fc.double({ min: 1, max: 10, noNaN: true }),
      maxDelayMs: fc.integer({ min: 0, max: 100_000 }),
      jitter: fc.constantFrom('full' as const, 'equal' as const, 'none' as const),
      maxRetryAfterMs: fc.integer({ min: 0, max: 100_000 }),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(asked, { maxLength: 7 }),
        policy,
        fc.integer(),
        async (asks, options, seed) => {
          const script: ScriptedReply[] = asks.map((retryAfterMs) =>
            fails('rate_limit', retryAfterMs === undefined ? {} : { retryAfterMs }),
          )
          const clock = virtualClock({ seed })
          const inner = new ScriptedClient([...script, 'ok'])
          const client = retry({ ...options, runtime: clock.runtime })(inner)
          const outcome = await client.call(request).then(
            () => 'ok',
            () => 'failed',
          )
          const real = (ask: number | undefined): ask is number =>
            ask !== undefined && Number.isFinite(ask) && ask > 0
          const tooLong = asks.findIndex((ask) => real(ask) && ask > options.maxRetryAfterMs)
          const tries = Math.min(
            options.attempts,
            asks.length + 1,
            tooLong < 0 ? Number.POSITIVE_INFINITY : tooLong + 1,
          )
          expect(inner.calls).toBe(tries)
          expect(outcome).toBe(tries === asks.length + 1 ? 'ok' : 'failed')
          expect(clock.sleeps.length).toBe(tries - 1)
          clock.sleeps.forEach((slept, index) => {
            const ask = asks[index]
            const whole = Math.min(
              options.minDelayMs === 0 ? 0 : options.minDelayMs * options.factor ** index,
              options.maxDelayMs,
            )
            const least = { full: Math.min(100, whole), equal: whole / 2, none: whole }[options.jitter]
            expect(slept).toBeGreaterThanOrEqual(real(ask) ? ask : least)
            expect(slept).toBeLessThanOrEqual(real(ask) ? Math.ceil(ask * 1.1) : Math.ceil(whole))
          })
        },
      ),
      { numRuns: 2000 },
    )
  })

  test('spreads its waits evenly', async () => {
    const clock = virtualClock()
    const inner = new ScriptedClient(() => fails('overloaded'))
    const client = retry({ attempts: 2, minDelayMs: 10_000, runtime: clock.runtime })(inner)
    for (let call = 0; call < 4000; call++) await thrownBy(client.call(request))
    const mean = clock.sleeps.reduce((sum, slept) => sum + slept, 0) / clock.sleeps.length
    expect(mean / 5000).toBeGreaterThan(0.98)
    expect(mean / 5000).toBeLessThan(1.02)
  })
})
