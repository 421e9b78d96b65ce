import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import type { CallOptions, ClientNotice, LLMChunk, LLMRequest } from '../../src/client/client.ts'
import { LLMError } from '../../src/errors.ts'
import { user } from '../../src/messages.ts'
import { errorSourceOf } from '../../src/providers/errors.ts'
import { Exchange } from '../../src/providers/exchange.ts'
import { exchangeSettings } from '../../src/providers/exchange-options.ts'
import { OpenAIClient, type OpenAIClientOptions } from '../../src/providers/openai.ts'
import type { AnswerReader, Wire } from '../../src/providers/wire.ts'
import { virtualClock } from '../../src/testing/clock.ts'
import { answering, events, eventText, openBody } from '../support/fetch.ts'
import { delta } from '../support/raw-server.ts'

const hello: LLMRequest = { messages: [user('Hello')] }
const say = (text: string) => eventText(delta({ content: text }))
const stop = eventText(delta({}, 'stop'))

/** A client in a time of its own, and what became of its one call. */
function calling(
  verb: 'call' | 'stream',
  answer: () => Response | Promise<Response>,
  { options = {}, callOptions = {} }: { options?: OpenAIClientOptions; callOptions?: CallOptions } = {},
) {
  const clock = virtualClock({ auto: false })
  const { fetch, sent } = answering(answer)
  const client = new OpenAIClient({
    apiKey: 'sk-test',
    fetch,
    runtime: clock.runtime,
    firstContentMs: 1000,
    idleMs: 300,
    ...options,
  })
  const texts: string[] = []
  const outcome = (async () => {
    if (verb === 'call') return (await client.call(hello, callOptions)).text
    for await (const chunk of client.stream(hello, callOptions)) {
      if (chunk.type === 'text') texts.push(chunk.text)
    }
    return texts.join('')
  })().catch((error: unknown) =>
    error instanceof LLMError ? { kind: error.kind, says: error.message } : error,
  )
  let settled: unknown
  outcome.then((value) => {
    settled = value
  })
  return { clock, sent, texts, settled: () => settled, outcome }
}

const notBegun = {
  kind: 'stalled',
  says: 'openai (gpt-4o) said nothing for 1000 ms. Call again. Or raise firstContentMs.',
}
const notGoneOn = {
  kind: 'stalled',
  says: 'openai (gpt-4o) said nothing more for 300 ms. Call again. Or raise idleMs.',
}

describe.each(['call', 'stream'] as const)('%s gives up a provider', (verb) => {
  test('that sends no headers, at its time and not before', async () => {
    const { clock, sent, settled } = calling(verb, () => new Promise(() => {}))
    await clock.advance(999)
    expect([settled(), sent[0]?.signal?.aborted]).toEqual([undefined, false])
    await clock.advance(1)
    expect(settled()).toEqual(notBegun)
    expect([sent[0]?.signal?.aborted, clock.pending]).toEqual([true, 0])
  })

  test('that sends headers and nothing else', async () => {
    const { response, isCancelled } = openBody()
    const { clock, settled } = calling(verb, () => response)
    await clock.advance(1000)
    expect([settled(), isCancelled(), clock.pending]).toEqual([notBegun, true, 0])
  })

  test('that stops in the middle', async () => {
    const { response, write, isCancelled } = openBody()
    const { clock, settled } = calling(verb, () => response)
    await clock.advance(900)
    write(say('Hel'))
    await clock.advance(299)
    expect(settled()).toBe(undefined)
    await clock.advance(1)
    expect([settled(), isCancelled(), clock.pending]).toEqual([notGoneOn, true, 0])
  })

  test.each([
    ['comments', ': ping\n\n'],
    ['pings', 'event: ping\ndata: {}\n\n'],
    ['empty deltas', eventText(delta({ content: '' }))],
    ['chunks without choices', eventText({ choices: [] })],
    [
      'empty shells of a tool call',
      eventText(delta({ tool_calls: [{ index: 0, function: { arguments: '' } }] })),
    ],
  ])('that keeps its line open by %s', async (_, ping) => {
    const { response, write } = openBody()
    const { clock, settled } = calling(verb, () => response)
    write(say('Hel'))
    for (let count = 0; count < 5; count += 1) {
      await clock.advance(50)
      write(ping)
    }
    await clock.advance(49)
    expect(settled()).toBe(undefined)
    await clock.advance(1)
    expect([settled(), clock.pending]).toEqual([notGoneOn, 0])
  })

  test('not if it is slow, but goes on', async () => {
    const { response, write, end } = openBody()
    const { clock, settled } = calling(verb, () => response)
    for (const text of ['a', 'b', 'c', 'd', 'e']) {
      await clock.advance(299)
      write(say(text))
    }
    await clock.advance(299)
    write(stop)
    end()
    await clock.advance(0)
    expect([settled(), clock.pending]).toEqual(['abcde', 0])
  })

  test('not if it had said why it stopped, and only kept the line open', async () => {
    const { response, write } = openBody()
    const { clock, settled } = calling(verb, () => response)
    write(say('Hello') + stop)
    await clock.advance(300)
    expect([settled(), clock.pending]).toEqual(['Hello', 0])
  })

  test('whose JSON body stops, and not one that comes in pieces', async () => {
    const { response, write, end } = openBody('application/json')
    const { clock, settled } = calling(verb, () => response)
    await clock.advance(999)
    write('{"choices":[{"message":')
    await clock.advance(299)
    write('{"content":"Hi"},')
    await clock.advance(299)
    write('"finish_reason":"stop"}]}')
    end()
    await clock.advance(0)
    expect(settled()).toBe('Hi')
    const other = openBody('application/json')
    const second = calling(verb, () => other.response)
    other.write('{')
    // Blanks keep a connection open, as pings do.
    for (let count = 0; count < 5; count += 1) {
      await second.clock.advance(50)
      other.write('\n')
    }
    await second.clock.advance(50)
    expect(second.settled()).toEqual(notGoneOn)
  })

  test('later than the caller does', async () => {
    const controller = new AbortController()
    const { response } = openBody()
    const { clock, settled } = calling(verb, () => response, { callOptions: { signal: controller.signal } })
    await clock.advance(500)
    controller.abort(new Error('enough'))
    await clock.advance(0)
    expect(settled()).toEqual({ kind: 'aborted', says: 'The model call was aborted.' })
    expect(clock.pending).toBe(0)
  })
})

test("the time that the reader of a stream takes is not the provider's", async () => {
  const clock = virtualClock({ auto: false })
  const { response, write, end } = openBody()
  const { fetch } = answering(() => response)
  const client = new OpenAIClient({
    apiKey: 'sk-test',
    fetch,
    runtime: clock.runtime,
    firstContentMs: 1000,
    idleMs: 300,
  })
  const iterator = client.stream(hello)
  write(say('a'))
  const first = iterator.next()
  await clock.advance(0)
  expect(await first).toEqual({ done: false, value: { type: 'text', text: 'a' } })
  await clock.advance(10_000)
  const second = iterator.next()
  await clock.advance(299)
  write(say('b') + stop)
  end()
  await clock.advance(0)
  expect((await second).value).toEqual({ type: 'text', text: 'b' })
  expect((await iterator.next()).value).toMatchObject({ type: 'end' })
  // Nobody asks again after the end: nothing is left all the same.
  expect(clock.pending).toBe(0)
})

test('a reader that only begins leaves no timer but while it waits', async () => {
  const clock = virtualClock({ auto: false })
  const { fetch } = answering(() => new Promise(() => {}))
  const client = new OpenAIClient({ apiKey: 'sk-test', fetch, runtime: clock.runtime })
  const iterator = client.stream(hello)
  expect(clock.pending).toBe(0)
  const pending = iterator.next().catch((error: unknown) => error)
  await clock.advance(0)
  expect(clock.pending).toBe(1)
  await iterator.return?.()
  expect(await pending).toMatchObject({ kind: 'aborted' })
  expect(clock.pending).toBe(0)
})

test('a clock that stands still is not waited for', async () => {
  const runtime = { now: () => 0, sleep: async () => {} }
  const { fetch } = answering(() => new Promise(() => {}))
  const client = new OpenAIClient({ apiKey: 'sk-test', fetch, runtime })
  await expect(client.call(hello)).rejects.toMatchObject({ kind: 'stalled' })
})

test('no timer runs while the reader of a stream takes its time', async () => {
  const clock = virtualClock({ auto: false })
  const { response, write } = openBody()
  const { fetch } = answering(() => response)
  const client = new OpenAIClient({ apiKey: 'sk-test', fetch, runtime: clock.runtime, idleMs: 300 })
  const iterator = client.stream(hello)
  write(say('a'))
  const first = iterator.next()
  await clock.advance(300)
  await first
  expect(clock.pending).toBe(0)
  const second = iterator.next().catch((error: unknown) => error)
  await clock.advance(299)
  expect(clock.pending).toBe(1)
  await clock.advance(1)
  expect(await second).toMatchObject({ kind: 'stalled' })
})

test('thousands of streams on one signal leave neither a listener nor a timer', async () => {
  const clock = virtualClock({ auto: false })
  const { fetch } = answering(() =>
    events(delta({ content: 'a' }), delta({ content: 'b' }), delta({}, 'stop'), '[DONE]'),
  )
  const client = new OpenAIClient({ apiKey: 'sk-test', fetch, runtime: clock.runtime })
  const { signal } = new AbortController()
  for (let call = 1; call <= 2000; call += 1) {
    for await (const _ of client.stream(hello, { signal })) if (call % 20 === 0) break
  }
  expect([getEventListeners(signal, 'abort').length, clock.pending]).toEqual([0, 0])
})

test('limits are times greater than 0', () => {
  expect(() => new OpenAIClient({ apiKey: 'k', idleMs: 0 })).toThrow(
    'OpenAIClient option idleMs must be a number of milliseconds greater than 0, got 0.',
  )
})

describe('a wire', () => {
  const reader: AnswerReader = {
    isDone: true,
    readEvent: () => [],
    readBody: () => [],
    end: () => ({ type: 'end', response: { text: '', toolCalls: [], stopReason: 'stop' } }),
  }
  const wire: Wire = {
    ...exchangeSettings({}),
    source: errorSourceOf({ provider: 'p', model: 'm' }, [], { now: () => 0 }),
    encode: (_request, _mode, { warn }) => {
      warn('left out')
      return {}
    },
    send: async () => new Response('{}'),
    reader: () => reader,
  }

  test('that leaves something out says so, to a listener that may throw', async () => {
    const notices: ClientNotice[] = []
    const notify = (notice: ClientNotice) => {
      notices.push(notice)
      throw new Error('listener')
    }
    const chunks: LLMChunk[] = []
    for await (const chunk of new Exchange(wire).stream(hello, { notify })) chunks.push(chunk)
    expect(chunks).toEqual([reader.end()])
    expect(notices).toEqual([{ type: 'warning', message: 'left out' }])
  })

  test('is given the headers of a call, its idempotency key among them', async () => {
    const seen: unknown[] = []
    const send: Wire['send'] = async (_body, headers) => {
      seen.push(headers)
      return new Response('{}')
    }
    await new Exchange({ ...wire, send }).call(hello, { idempotencyKey: 'once', headers: { 'x-a': 'b' } })
    expect(seen).toEqual([{ 'Idempotency-Key': 'once', 'x-a': 'b' }])
  })
})
