import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import type { CallOptions, LLMChunk, LLMClient, LLMRequest } from '../../src/client/client.ts'
import { wrapClient } from '../../src/client/client.ts'
import { LLMError } from '../../src/errors.ts'
import { user } from '../../src/messages.ts'
import { retry } from '../../src/resilience/retry.ts'
import { type TimeoutOptions, timeout } from '../../src/resilience/timeout.ts'
import { virtualClock } from '../../src/testing/clock.ts'
import { ScriptedClient } from '../../src/testing/scripted-client.ts'
import { thrownBy, turn } from '../support/outcome.ts'
import { ended, PacedClient, type PacedStep, said } from '../support/paced-client.ts'

const request: LLMRequest = { messages: [user('hi')] }
const ways = ['call', 'stream'] as const

/** A client with a time limit, on a virtual clock. */
function limited(steps: readonly PacedStep[], limits: TimeoutOptions, deaf = false) {
  const clock = virtualClock()
  const inner = new PacedClient(clock, steps, { deaf })
  const client = timeout({ runtime: clock.runtime, ...limits })(inner)
  return { clock, inner, client }
}

async function ask(client: LLMClient, way: 'call' | 'stream', options?: CallOptions): Promise<string> {
  if (way === 'call') return (await client.call(request, options)).text
  let text = ''
  for await (const chunk of client.stream?.(request, options) ?? [])
    if (chunk.type === 'text') text += chunk.text
  return text
}

const never = 1_000_000

describe('timeout', () => {
  test.each(ways)('gives up a %s that takes longer than requestMs, at its time', async (way) => {
    const steps: PacedStep[] = [
      [40, said('a')],
      [20, said('b')],
      [0, ended('ab')],
    ]
    const { clock, inner, client } = limited(steps, { requestMs: 50 })
    const error = await thrownBy(ask(client, way))
    expect(error).toBeInstanceOf(LLMError)
    expect(error).toMatchObject({
      kind: 'timeout',
      retryable: true,
      provider: 'paced',
      model: 'paced-1',
      message: 'paced (paced-1) took longer than 50 ms. Call again, or raise requestMs.',
    })
    expect(inner.signals[0]?.reason).toBe(error)
    expect([clock.runtime.now(), clock.pending]).toEqual([50, 0])
    expect(await ask(limited(steps, { requestMs: 61 }).client, way)).toBe('ab')
  })

  test.each(ways)('gives up a %s that says nothing for firstContentMs', async (way) => {
    const empty: LLMChunk[] = [said(''), { type: 'reasoning', text: '' }, { type: 'tool_call', index: 0 }]
    const keptAlive = empty.map((chunk): PacedStep => [30, chunk])
    const { clock, inner, client } = limited([...keptAlive, [never, ended('')]], { firstContentMs: 100 })
    const error = await thrownBy(ask(client, way))
    expect(error).toMatchObject({
      kind: 'timeout',
      message: 'paced (paced-1) said nothing for 100 ms. Call again, or raise firstContentMs.',
    })
    expect(inner.signals[0]?.reason).toBe(error)
    expect([clock.runtime.now(), clock.pending]).toEqual([100, 0])
  })

  test.each<LLMChunk>([
    said('a'),
    { type: 'reasoning', text: 'hm' },
    { type: 'tool_call', index: 0, parametersText: '{' },
    { type: 'tool_call', index: 0, toolName: 'pay' },
    { type: 'tool_call', index: 0, id: 'c1' },
  ])('gives up a stream that has begun with %j and falls silent for idleMs', async (content) => {
    const { clock, inner, client } = limited(
      [
        [900, content],
        [90, content],
        [60, said('')],
        [never, ended('')],
      ],
      { firstContentMs: 1000, idleMs: 100 },
    )
    const error = await thrownBy(ask(client, 'stream'))
    expect(error).toMatchObject({
      kind: 'stalled',
      retryable: true,
      message: 'paced (paced-1) said nothing more for 100 ms. Call again, or raise idleMs.',
    })
    expect(inner.signals[0]?.reason).toBe(error)
    expect([clock.runtime.now(), clock.pending]).toEqual([1090, 0])
  })

  test('counts the reader neither as silence nor as keeping alive, but as a part of the whole', async () => {
    const steps: PacedStep[] = [
      [10, said('a')],
      [50, said('b')],
      [0, ended('ab')],
    ]
    const read = async (limits: TimeoutOptions) => {
      const { clock, client } = limited(steps, limits)
      for await (const _ of client.stream?.(request) ?? []) await clock.runtime.sleep(500)
      return clock.runtime.now()
    }
    expect(await read({ firstContentMs: 20, idleMs: 60 })).toBe(1560)
    expect(await thrownBy(read({ requestMs: 700 }))).toMatchObject({ kind: 'timeout' })
    expect(await thrownBy(read({ idleMs: 40 }))).toMatchObject({ kind: 'stalled' })
  })

  test.each(ways)('is not held by a client that takes no notice of its signal: %s', async (way) => {
    for (const limits of [{ requestMs: 50 }, { firstContentMs: 50 }]) {
      const { clock, client } = limited([[never, ended('')]], limits, true)
      const failed = thrownBy(ask(client, way)).then((error) => [error, clock.runtime.now()])
      expect(await failed).toEqual([expect.objectContaining({ kind: 'timeout' }), 50])
    }
  })

  test.each(ways)('lets an abort through, at once also where the client does not: %s', async (way) => {
    for (const deaf of [false, true]) {
      const clock = virtualClock({ auto: false })
      const inner = new PacedClient(clock, [[never, ended('')]], { deaf })
      const client = timeout({ requestMs: 50, idleMs: 10, runtime: clock.runtime })(inner)
      const controller = new AbortController()
      const failed = thrownBy(ask(client, way, { signal: controller.signal }))
      await turn()
      controller.abort('enough')
      const error = await failed
      // A client may throw the reason itself.
      if (error !== 'enough') expect(error).toMatchObject({ kind: 'aborted', cause: 'enough' })
      expect(inner.signals[0]?.reason).toBe('enough')
      expect([getEventListeners(controller.signal, 'abort').length, clock.pending]).toEqual([0, deaf ? 1 : 0])
    }
  })

  test.each(ways)('sends nothing when its signal had aborted: %s', async (way) => {
    const { inner, client } = limited([[0, ended('')]], { requestMs: 50 })
    const error = await thrownBy(ask(client, way, { signal: AbortSignal.abort('before') }))
    expect(error).toMatchObject({ kind: 'aborted', cause: 'before' })
    expect(inner.signals).toEqual([])
  })

  test.each(ways)('leaves nothing behind when all goes well: %s', async (way) => {
    const { clock, inner, client } = limited(
      [
        [5, said('a')],
        [5, ended('a')],
      ],
      {
        requestMs: 50,
        firstContentMs: 50,
        idleMs: 50,
      },
    )
    const controller = new AbortController()
    expect(await ask(client, way, { signal: controller.signal, idempotencyKey: 'k' })).toBe('a')
    expect([
      getEventListeners(controller.signal, 'abort').length,
      clock.pending,
      clock.runtime.now(),
    ]).toEqual([0, 0, 10])
    expect(inner.signals[0]?.aborted).toBe(false)
  })

  test('asks nothing before the first pull, counts from it, and leaves what it has begun', async () => {
    const { clock, inner, client } = limited(
      [
        [5, said('a')],
        [5, ended('a')],
      ],
      { requestMs: 20 },
    )
    const stream = client.stream?.(request)
    await clock.advance(100)
    expect(inner.signals).toEqual([])
    for await (const _ of stream ?? []) break
    expect([inner.left, clock.pending]).toEqual([1, 0])
  })

  test('throws what the client throws', async () => {
    const failure = new LLMError('no', { kind: 'auth', provider: 'p', model: 'm' })
    const client = timeout()(new ScriptedClient([failure, failure]))
    for (const way of ways) expect(await thrownBy(ask(client, way))).toBe(failure)
  })

  test('has the limits of our own clients when it is given none', async () => {
    for (const [steps, ms] of [
      [[], 300_000],
      [[[1, said('a')]], 60_001],
    ] as const) {
      const { clock, client } = limited([...steps, [never, ended('')]], {})
      const failed = thrownBy(ask(client, 'stream')).then(() => clock.runtime.now())
      expect(await failed).toBe(ms)
    }
    expect(await ask(limited([[400_000, ended('late')]], { idleMs: 10 }).client, 'stream')).toBe('')
  })

  test('limits each attempt within retry, and all of them around it', async () => {
    const build = (order: 'within' | 'around') => {
      const clock = virtualClock()
      const inner = new PacedClient(clock, [[never, ended('')]])
      const again = retry({ jitter: 'none', runtime: clock.runtime })
      const limit = timeout({ requestMs: 1500, runtime: clock.runtime })
      const client = order === 'within' ? wrapClient(inner, again, limit) : wrapClient(inner, limit, again)
      const failed = thrownBy(ask(client, 'call'))
      return failed.then(() => [clock.runtime.now(), inner.signals.length])
    }
    expect(await build('within')).toEqual([7500, 3])
    expect(await build('around')).toEqual([1500, 1])
  })

  test('passes on what the client is and can, and closes it', async () => {
    const inner = new ScriptedClient([], { provider: 'p', model: 'm' })
    const client = timeout()(inner)
    expect([client.provider, client.model, client.capabilities]).toEqual(['p', 'm', inner.capabilities])
    await client.close?.()
    expect(inner.closed).toBe(true)
    const { provider, model, capabilities } = inner
    const bare = timeout()({ provider, model, capabilities, call: (...all) => inner.call(...all) })
    expect('stream' in bare || 'close' in bare).toBe(false)
  })

  test.each<[string, unknown]>([
    ['requestMs', 0],
    ['firstContentMs', Number.POSITIVE_INFINITY],
    ['idleMs', '3'],
    ['runtime', 'real'],
    ['firstTokenMs', 3],
  ])('refuses %s: %j', (name, value) => {
    expect(() => timeout({ [name]: value })).toThrow(
      expect.objectContaining({ code: 'configuration', path: name }),
    )
  })
})
