import { describe, expect, test } from 'vitest'
import { passing, takeArrived } from '../../src/client/arrived.ts'
import type { LLMChunk } from '../../src/client/client.ts'
import { user } from '../../src/messages.ts'
import { OpenAIClient } from '../../src/providers/openai.ts'
import { retry } from '../../src/resilience/retry.ts'

const event = (content: string) =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: null }] })}\n\n`

/** A client whose answers arrive in these pieces. */
const clientOf = (...pieces: readonly string[]) =>
  new OpenAIClient({
    apiKey: 'sk-test',
    fetch: async () => {
      const bytes = pieces.map((piece) => new TextEncoder().encode(piece))
      const body = ReadableStream.from(bytes)
      return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
    },
  })

const request = { messages: [user('Hello?')] }
const text = (said: string): LLMChunk => ({ type: 'text', text: said })
const done = 'data: [DONE]\n\n'

describe.each([
  ['a client', (client: OpenAIClient) => client.stream(request)],
  [
    'a client with retries',
    (client: OpenAIClient) => retry()(client).stream?.(request) ?? client.stream(request),
  ],
])('what has arrived of %s', (_, streamOf) => {
  const open = (...pieces: readonly string[]) => streamOf(clientOf(...pieces))[Symbol.asyncIterator]()

  test('is taken without waiting, in order, and goes on where that ended', async () => {
    const stream = open(event('a') + event('b') + event('c'), event('d') + done)
    expect(takeArrived(stream)).toBeUndefined()
    expect(await stream.next()).toEqual({ done: false, value: text('a') })
    // What stands before the first piece of a reply is handed out by itself.
    const second = takeArrived(stream) ?? (await stream.next()).value
    expect([second, takeArrived(stream), takeArrived(stream)]).toEqual([text('b'), text('c'), undefined])
    expect(await stream.next()).toEqual({ done: false, value: text('d') })
    expect(takeArrived(stream)).toBeUndefined()
    expect((await stream.next()).value).toMatchObject({ type: 'end', response: { text: 'abcd' } })
  })

  test('is given before the failure that came with it', async () => {
    const stream = open(`${event('a')}${event('b')}data: {broken\n\n`)
    expect(await stream.next()).toEqual({ done: false, value: text('a') })
    const second = takeArrived(stream) ?? (await stream.next()).value
    expect([second, takeArrived(stream)]).toEqual([text('b'), undefined])
    await expect(stream.next()).rejects.toMatchObject({ kind: 'malformed' })
  })

  test('is nothing any more once the stream was left', async () => {
    const stream = open(event('a') + event('b') + event('c'), done)
    await stream.next()
    await stream.return?.()
    expect(takeArrived(stream)).toBeUndefined()
  })
})

describe('a stream that cannot say what has arrived', () => {
  test('is asked for each piece', async () => {
    async function* pieces(): AsyncGenerator<LLMChunk, void, undefined> {
      yield text('a')
      yield text('b')
    }
    const stream = pieces()
    const passed = passing(stream, () => stream)
    expect(await passed.next()).toEqual({ done: false, value: text('a') })
    expect(takeArrived(passed)).toBeUndefined()
    expect(await passed.next()).toEqual({ done: false, value: text('b') })
  })
})
