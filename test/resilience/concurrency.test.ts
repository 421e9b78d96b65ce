import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import { Agent } from '../../src/agent/agent.ts'
import type { CallOptions, LLMClient, LLMRequest } from '../../src/client/client.ts'
import { LLMError, QueueFullError } from '../../src/errors.ts'
import { user } from '../../src/messages.ts'
import { type ConcurrencyOptions, concurrency } from '../../src/resilience/concurrency.ts'
import { virtualClock } from '../../src/testing/clock.ts'
import { fails, says } from '../../src/testing/script.ts'
import { ScriptedClient } from '../../src/testing/scripted-client.ts'
import { thrownBy, turn } from '../support/outcome.ts'
import { ended, PacedClient, said } from '../support/paced-client.ts'

const request: LLMRequest = { messages: [user('hi')] }
const ways = ['call', 'stream'] as const

async function ask(client: LLMClient, way: 'call' | 'stream', options?: CallOptions): Promise<void> {
  if (way === 'call') await client.call(request, options)
  else for await (const _ of client.stream?.(request, options) ?? []);
}

const of = (principal: string): CallOptions => ({
  scope: { runId: 'r', conversationId: 'c', agent: 'a', principal },
})

/** A client that notes who begins and how many are at work. */
function watched(clock = virtualClock()) {
  const began: [number, string | undefined][] = []
  const busy = { now: 0, most: 0 }
  const scripted = new ScriptedClient(
    (_, options) => {
      began.push([clock.runtime.now(), options?.scope?.principal])
      return says('ok', { delayMs: 100 })
    },
    { runtime: clock.runtime },
  )
  const inner: LLMClient = {
    provider: 'p',
    model: 'm',
    capabilities: scripted.capabilities,
    async call(...given) {
      busy.most = Math.max(busy.most, ++busy.now)
      return scripted.call(...given).finally(() => busy.now--)
    },
    async *stream(...given) {
      busy.most = Math.max(busy.most, ++busy.now)
      try {
        yield* scripted.stream?.(...given) ?? []
      } finally {
        busy.now--
      }
    },
  }
  return { clock, inner, began, busy }
}

describe('concurrency', () => {
  test.each(ways)('lets max calls through at once, the others in the order they came: %s', async (way) => {
    const { inner, began, busy } = watched()
    const client = concurrency({ max: 2 })(inner)
    await Promise.all(['a', 'b', 'c', 'd', 'e'].map((name) => ask(client, way, of(name))))
    expect(began).toEqual([
      [0, 'a'],
      [0, 'b'],
      [100, 'c'],
      [100, 'd'],
      [200, 'e'],
    ])
    expect(busy).toEqual({ now: 0, most: 2 })
  })

  test('is shared by all clients and agents that are given it, and by nobody else', async () => {
    const { clock, inner, busy } = watched()
    const shared = concurrency({ max: 1 })
    const agent = (slots = shared) =>
      new Agent({ client: slots(inner), runtime: clock.runtime, retry: false })
    await Promise.all([agent().run('a'), agent().run('b'), shared(inner).call(request)])
    expect([busy.most, clock.runtime.now()]).toEqual([1, 300])
    await Promise.all([agent().run('a'), agent(concurrency({ max: 1 })).run('b')])
    expect([busy.most, clock.runtime.now()]).toEqual([2, 400])
  })

  test('refuses a call that finds the queue full, and sends nothing of it', async () => {
    const { inner, began } = watched()
    const client = concurrency({ max: 1, queueMax: 1 })(inner)
    const calls = [ask(client, 'call'), ask(client, 'stream')]
    for (const way of ways) {
      const error = await thrownBy(ask(client, way))
      expect(error).toBeInstanceOf(QueueFullError)
      expect(error).toMatchObject({ code: 'queue_full', queueMax: 1 })
    }
    await Promise.all(calls)
    expect(began.length).toBe(2)
    await ask(client, 'call')
  })

  test.each(ways)('frees its slot when a call fails: %s', async (way) => {
    const client = concurrency({ max: 1 })(new ScriptedClient([fails('auth'), new Error('odd'), 'ok']))
    const outcomes = await Promise.allSettled([ask(client, way), ask(client, way), ask(client, way)])
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled'])
  })

  test('holds a slot until the end of a stream, or until its consumer left', async () => {
    const clock = virtualClock({ auto: false })
    const inner = new PacedClient(clock, [
      [0, said('a')],
      [0, said('b')],
      [0, ended('ab')],
    ])
    const client = concurrency({ max: 1 })(inner)
    const first = client.stream?.(request)?.[Symbol.asyncIterator]()
    const second = client.stream?.(request)?.[Symbol.asyncIterator]()
    const pull = async (stream = first) => {
      const step = stream?.next()
      await clock.advance(0)
      return (await step)?.value?.type
    }
    expect(await pull()).toBe('text')
    const waits = second?.next()
    await clock.advance(0)
    expect(inner.signals.length).toBe(1)
    expect(await pull()).toBe('text')
    expect(inner.signals.length).toBe(1)
    expect(await pull()).toBe('end')
    await clock.advance(0)
    expect([inner.signals.length, (await waits)?.value]).toEqual([2, said('a')])
    const third = ask(client, 'call')
    await clock.advance(0)
    expect(inner.signals.length).toBe(2)
    await second?.return?.()
    expect(inner.left).toBe(1)
    await clock.advance(0)
    await third
    expect(inner.signals.length).toBe(3)
  })

  test('leaves no slot to a client that takes no notice of an abort', async () => {
    for (const way of ways) {
      const clock = virtualClock({ auto: false })
      const deaf = new PacedClient(clock, [[1_000_000, ended('')]], { deaf: true })
      const slots = concurrency({ max: 1 })
      const controller = new AbortController()
      const failed = thrownBy(ask(slots(deaf), way, { signal: controller.signal }))
      await turn()
      controller.abort('enough')
      expect(await failed).toMatchObject({ kind: 'aborted', cause: 'enough' })
      expect(getEventListeners(controller.signal, 'abort').length).toBe(0)
      await ask(slots(new ScriptedClient(['ok'])), way)
    }
  })

  test.each(ways)('waits no longer when its signal aborts, and leaves nothing behind: %s', async (way) => {
    const clock = virtualClock({ auto: false })
    const { inner, began } = watched(clock)
    const client = concurrency({ max: 1, queueMax: 2 })(inner)
    const first = ask(client, way, of('a'))
    const controller = new AbortController()
    const { signal } = controller
    const waiting = thrownBy(ask(client, way, { ...of('b'), signal }))
    const last = ask(client, way, of('c'))
    await turn()
    controller.abort('enough')
    const error = await waiting
    expect(error).toBeInstanceOf(LLMError)
    expect(error).toMatchObject({ kind: 'aborted', cause: 'enough' })
    expect(getEventListeners(signal, 'abort').length).toBe(0)
    expect(await thrownBy(ask(client, way, { signal }))).toMatchObject({ kind: 'aborted' })
    await clock.advance(200)
    await Promise.all([first, last])
    expect(began).toEqual([
      [0, 'a'],
      [100, 'c'],
    ])
  })

  test('keeps a slot from nobody whose principal has its share', async () => {
    const { clock, inner, began } = watched()
    const client = concurrency({ max: 3, perPrincipal: 2 })(inner)
    const names = ['a', 'a', 'a', 'a', 'b', 'b']
    await Promise.all(names.map((name) => ask(client, 'call', of(name))))
    expect(began).toEqual([
      [0, 'a'],
      [0, 'a'],
      [0, 'b'],
      [100, 'a'],
      [100, 'a'],
      [100, 'b'],
    ])
    began.length = 0
    await Promise.all([1, 2, 3].map(() => ask(client, 'call')))
    expect(began.map(([at]) => at)).toEqual([200, 200, 200])
    expect(clock.runtime.now()).toBe(300)
  })

  test('never has more than max at work among 1,000 calls, some of which fail, abort or are left', async () => {
    const clock = virtualClock()
    const { random } = clock.runtime
    const { inner, busy } = watched(clock)
    const client = concurrency({ max: 7, perPrincipal: 3 })(inner)
    const one = async (index: number) => {
      await clock.runtime.sleep(Math.floor(random() * 5000))
      const controller = new AbortController()
      const options = { ...of(`p${index % 5}`), signal: controller.signal }
      const fate = index % 4
      if (fate === 0) return ask(client, 'call', options)
      if (fate === 1) for await (const _ of client.stream?.(request, options) ?? []) return
      const stopped = ask(client, fate === 2 ? 'call' : 'stream', options).catch(() => {})
      await clock.runtime.sleep(Math.floor(random() * 300))
      controller.abort()
      await stopped
    }
    await Promise.all(Array.from({ length: 1000 }, (_, index) => one(index)))
    expect(busy).toEqual({ now: 0, most: 7 })
    await Promise.all(Array.from({ length: 7 }, () => ask(client, 'call')))
    expect(busy).toEqual({ now: 0, most: 7 })
  })

  test('forwards requests and options as they are', async () => {
    const inner = new ScriptedClient(['ok', 'ok'])
    const client = concurrency({ max: 1 })(inner)
    const options: CallOptions = { idempotencyKey: 'k', headers: { a: 'b' } }
    for (const way of ways) await ask(client, way, options)
    expect(inner.requests.every((sent) => sent === request)).toBe(true)
    expect(inner.callOptions.every((sent) => sent === options)).toBe(true)
    expect([client.provider, client.model, client.capabilities]).toEqual([
      'scripted',
      'scripted-1',
      inner.capabilities,
    ])
    await client.close?.()
    expect(inner.closed).toBe(true)
  })

  test.each<[string, unknown]>([
    ['max', 0],
    ['max', undefined],
    ['queueMax', -1],
    ['perPrincipal', 0],
    ['limit', 3],
  ])('refuses %s: %j', (name, value) => {
    expect(() => concurrency({ max: 1, [name]: value } as ConcurrencyOptions)).toThrow(
      expect.objectContaining({ code: 'configuration', path: name }),
    )
  })
})
