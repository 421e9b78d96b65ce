import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CallOptions, LLMChunk, LLMRequest } from '../../src/client/client.ts'
import { LLMError } from '../../src/errors.ts'
import { assistant, user } from '../../src/messages.ts'
import { virtualClock } from '../../src/testing/clock.ts'
import { calls, chunks, fails, hangs, json, plans, type Reply, says } from '../../src/testing/script.ts'
import { ScriptExhaustedError, ScriptedClient } from '../../src/testing/scripted-client.ts'
import { thrownBy, turn } from '../support/outcome.ts'

const ask = (text = 'hi'): LLMRequest => ({ messages: [user(text)] })
const usage = { inputTokens: 10, outputTokens: 5 }

function stream(client: ScriptedClient, options?: CallOptions) {
  if (!client.stream) throw new Error('the client does not stream')
  return client.stream(ask(), options)
}

async function drain(client: ScriptedClient, options?: CallOptions): Promise<LLMChunk[]> {
  const all: LLMChunk[] = []
  for await (const chunk of stream(client, options)) all.push(chunk)
  return all
}

describe('a scripted client', () => {
  test('gives its replies in order and keeps the requests as they came', async () => {
    const client = new ScriptedClient(['one', says('two', { usage: 'absent', requestId: 'r2' })])
    const requests = [ask('a'), ask('b')]
    const options = { idempotencyKey: 'k' }
    expect(await client.call(requests[0] as LLMRequest, options)).toEqual({
      text: 'one',
      toolCalls: [],
      stopReason: 'stop',
      usage,
    })
    expect(await client.call(requests[1] as LLMRequest)).toEqual({
      text: 'two',
      toolCalls: [],
      stopReason: 'stop',
      requestId: 'r2',
    })
    expect(client.requests).toEqual(requests)
    expect(client.requests[0]).toBe(requests[0])
    expect(client.callOptions).toEqual([options, undefined])
    expect(client.calls).toBe(2)
    client.assertComplete()
  })

  test('says who it is, as it was told', () => {
    const { provider, model, capabilities } = new ScriptedClient([])
    expect({ provider, model, capabilities }).toEqual({
      provider: 'scripted',
      model: 'scripted-1',
      capabilities: { tools: true, streaming: true, structuredOutput: true, images: true },
    })
    const small = new ScriptedClient([], {
      provider: 'p',
      model: 'm',
      capabilities: { tools: false, contextWindow: 100 },
    })
    expect([small.provider, small.model, small.capabilities]).toEqual([
      'p',
      'm',
      { tools: false, streaming: true, structuredOutput: true, images: true, contextWindow: 100 },
    ])
  })

  test('numbers calls without an id over its whole life', async () => {
    const client = new ScriptedClient([
      calls('Both.', ['add', { a: 1 }], ['sub']),
      plans('1. Add.', ['add', {}, 'mine']),
    ])
    expect(await client.call(ask())).toEqual({
      text: 'Both.',
      toolCalls: [
        { id: 'call_1', toolName: 'add', parameters: { a: 1 } },
        { id: 'call_2', toolName: 'sub', parameters: {} },
      ],
      stopReason: 'tool_calls',
      usage,
    })
    expect(await client.call(ask())).toEqual({
      text: '',
      toolCalls: [
        { id: 'call_3', toolName: 'plan', parameters: { plan: '1. Add.' } },
        { id: 'mine', toolName: 'add', parameters: {} },
      ],
      stopReason: 'tool_calls',
      usage,
    })
  })

  test('streams reasoning, text, calls and the whole response', async () => {
    const reply: Reply = {
      text: 'Ab',
      reasoning: 'Hm',
      toolCalls: [{ toolName: 'add', parameters: { a: 1 }, id: 'x' }],
    }
    const response = {
      text: 'Ab',
      toolCalls: [{ id: 'x', toolName: 'add', parameters: { a: 1 } }],
      reasoning: [{ provider: 'scripted', model: 'scripted-1', text: 'Hm' }],
      stopReason: 'tool_calls',
      usage,
    }
    expect(await drain(new ScriptedClient([reply]))).toEqual([
      { type: 'reasoning', text: 'Hm' },
      { type: 'text', text: 'Ab' },
      { type: 'tool_call', index: 0, id: 'x', toolName: 'add', parametersText: '{"a":1}' },
      { type: 'end', response },
    ])
    expect(await drain(new ScriptedClient([reply], { chunkSize: 4 }))).toEqual([
      { type: 'reasoning', text: 'Hm' },
      { type: 'text', text: 'Ab' },
      { type: 'tool_call', index: 0, id: 'x', toolName: 'add', parametersText: '{"a"' },
      { type: 'tool_call', index: 0, parametersText: ':1}' },
      { type: 'end', response },
    ])
  })

  test('streams a text in the pieces it was given', async () => {
    const all = await drain(new ScriptedClient([chunks(['He', 'llo'])]))
    expect(all).toEqual([
      { type: 'text', text: 'He' },
      { type: 'text', text: 'llo' },
      { type: 'end', response: { text: 'Hello', toolCalls: [], stopReason: 'stop', usage } },
    ])
  })

  test('speaks the JSON protocol', async () => {
    const client = new ScriptedClient([json({ final_answer: 'Done "now"' })])
    expect((await client.call(ask())).text).toBe('```json\n{"final_answer":"Done \\"now\\""}\n```')
  })

  test('gives by call what it gives by stream, in any chunking, and never cuts a character', async () => {
    const reply = fc.record(
      {
        text: fc.string({ unit: 'grapheme' }),
        reasoning: fc.string({ minLength: 1 }),
        toolCalls: fc.array(
          fc.record({
            toolName: fc.constantFrom('add', 'sub'),
            parameters: fc.dictionary(fc.constantFrom('a', 'é', '😀'), fc.string({ unit: 'grapheme' })),
          }),
        ),
        usage: fc.constantFrom('absent' as const, usage),
      },
      { requiredKeys: [] },
    )
    await fc.assert(
      fc.asyncProperty(reply, fc.integer({ min: 1, max: 5 }), async (said, chunkSize) => {
        const called = await new ScriptedClient([said]).call(ask())
        const all = await drain(new ScriptedClient([said], { chunkSize }))
        expect(all.filter(({ type }) => type === 'end')).toEqual([{ type: 'end', response: called }])
        expect(all.at(-1)?.type).toBe('end')
        const textOf = (wanted: string) =>
          all.map((chunk) => ('text' in chunk && chunk.type === wanted ? chunk.text : '')).join('')
        expect(textOf('text')).toBe(called.text)
        expect(textOf('reasoning')).toBe(called.reasoning?.[0]?.text ?? '')
        const parameters = called.toolCalls.map((_, index) =>
          all
            .map((chunk) => (chunk.type === 'tool_call' && chunk.index === index ? chunk.parametersText : ''))
            .join(''),
        )
        expect(parameters).toEqual(called.toolCalls.map((call) => JSON.stringify(call.parameters)))
        for (const chunk of all) if ('text' in chunk) expect(chunk.text).not.toMatch(/\p{Surrogate}/u)
      }),
    )
  })

  test('asks a function when its turn comes, with the request and its options', async () => {
    const client = new ScriptedClient([
      (request, options) => `${request.messages.length} ${options?.idempotencyKey}`,
      async () => calls(['add', {}, 'x']),
      () => new Error('no'),
    ])
    expect((await client.call(ask(), { idempotencyKey: 'k' })).text).toBe('1 k')
    expect((await client.call(ask())).toolCalls).toEqual([{ id: 'x', toolName: 'add', parameters: {} }])
    await expect(client.call(ask())).rejects.toEqual(new Error('no'))
  })

  test('answers every call when its whole script is a function', async () => {
    const client = new ScriptedClient((request) => `You said ${request.messages.length}.`)
    for (let call = 0; call < 3; call++) expect((await client.call(ask())).text).toBe('You said 1.')
    client.assertComplete()
  })

  test('throws an error as it is, and a failure as an LLMError after its text', async () => {
    const wire = Object.assign(new Error('slow down'), { status: 429 })
    const script = [wire, fails('overloaded', { status: 503, retryAfterMs: 5, after: ['par', 'tial'] })]
    const client = new ScriptedClient(script)
    expect(await thrownBy(client.call(ask()))).toBe(wire)
    const pieces: LLMChunk[] = []
    const failed = thrownBy(
      (async () => {
        for await (const chunk of stream(client)) pieces.push(chunk)
      })(),
    )
    expect(await failed).toMatchObject({
      name: 'LLMError',
      kind: 'overloaded',
      provider: 'scripted',
      model: 'scripted-1',
      status: 503,
      retryAfterMs: 5,
      retryable: true,
    })
    expect(pieces).toEqual([
      { type: 'text', text: 'par' },
      { type: 'text', text: 'tial' },
    ])
    expect(client.left).toBe(0)
  })

  test('fails loudly when its script is over, naming the request', async () => {
    const client = new ScriptedClient(['only'])
    await client.call(ask())
    const error = await thrownBy(client.call({ messages: [user('a'), assistant('b'), user('again?')] }))
    expect(error).toBeInstanceOf(ScriptExhaustedError)
    expect(error).toMatchObject({
      code: 'script_exhausted',
      requestNumber: 2,
      message:
        'Request 2 found no reply: the script holds 1. Its last message is of the user: "again?". ' +
        'Script one more reply, or find out why the model was asked again.',
    })
    await expect(drain(client)).rejects.toThrow('Request 3 found no reply: the script holds 1.')
    expect(client.calls).toBe(3)
    await expect(new ScriptedClient([]).call({ messages: [] })).rejects.toThrow('It has no messages.')
  })

  test('complains of replies that nobody asked for', async () => {
    const client = new ScriptedClient(['a', 'b', 'c'])
    await client.call(ask())
    expect(() => client.assertComplete()).toThrow(
      '2 of 3 scripted replies were never asked for: the next is reply 2.',
    )
  })

  test('does nothing before the first pull', async () => {
    const client = new ScriptedClient(['a'])
    const chunks = stream(client)
    await Promise.resolve()
    expect(client.calls).toBe(0)
    await chunks.next()
    expect(client.calls).toBe(1)
  })

  test('notes a stream that was left, and only that', async () => {
    const client = new ScriptedClient([chunks(['a', 'b']), chunks(['a', 'b']), 'c'])
    for await (const chunk of stream(client)) {
      expect(chunk).toEqual({ type: 'text', text: 'a' })
      break
    }
    expect(client.left).toBe(1)
    await drain(client)
    await client.call(ask())
    expect(client.left).toBe(1)
  })

  test('sends nothing when its signal has aborted before', async () => {
    const client = new ScriptedClient(['a'])
    const reason = new Error('enough')
    const error = await thrownBy(client.call(ask(), { signal: AbortSignal.abort(reason) }))
    expect(error).toMatchObject({ name: 'LLMError', kind: 'aborted', retryable: false })
    expect((error as LLMError).cause).toBe(reason)
    expect(client.calls).toBe(0)
  })

  test('hangs until its signal aborts, after the text it was given', async () => {
    const client = new ScriptedClient([hangs(['Let', ' me']), hangs()])
    for (const way of ['stream', 'call'] as const) {
      const controller = new AbortController()
      const reason = { why: way }
      const pieces: LLMChunk[] = []
      const running = thrownBy(
        (async () => {
          if (way === 'call') return client.call(ask(), { signal: controller.signal })
          for await (const chunk of stream(client, { signal: controller.signal })) pieces.push(chunk)
        })(),
      )
      await turn()
      controller.abort(reason)
      const error = await running
      expect(error).toBeInstanceOf(LLMError)
      expect(error).toMatchObject({ kind: 'aborted', cause: reason })
      expect(pieces.length).toBe(way === 'stream' ? 2 : 0)
    }
    expect(client.left).toBe(0)
  })

  test('stops between two chunks, in a delay and in a slow function when its signal aborts', async () => {
    const clock = virtualClock({ auto: false })
    const script = [chunks(['a', 'b']), says('late', { delayMs: 1000 }), () => new Promise<string>(() => {})]
    const client = new ScriptedClient(script, { runtime: clock.runtime })
    for (let reply = 0; reply < script.length; reply++) {
      const controller = new AbortController()
      const pieces: LLMChunk[] = []
      const running = thrownBy(
        (async () => {
          for await (const chunk of stream(client, { signal: controller.signal })) {
            pieces.push(chunk)
            controller.abort('stop')
          }
        })(),
      )
      await turn()
      controller.abort('stop')
      expect(await running).toMatchObject({ kind: 'aborted', cause: 'stop' })
      expect(pieces.length).toBe(reply === 0 ? 1 : 0)
    }
    expect(clock.pending).toBe(0)
    expect(clock.sleeps).toEqual([1000])
  })

  test('waits before a delayed reply, on its own clock', async () => {
    const { runtime } = virtualClock()
    const client = new ScriptedClient([says('slow', { delayMs: 60_000 })], { runtime })
    await client.call(ask())
    expect(runtime.now()).toBe(60_000)
  })

  test('has no stream when it is told not to stream', async () => {
    const client = new ScriptedClient(['a'], { capabilities: { streaming: false } })
    expect(client.stream).toBeUndefined()
    expect((await client.call(ask())).text).toBe('a')
  })

  test('tells when it was closed', async () => {
    const client = new ScriptedClient([])
    expect(client.closed).toBe(false)
    await client.close()
    expect(client.closed).toBe(true)
  })

  test('refuses replies that are none, chunks of another text and chunks without size', async () => {
    const torn = new ScriptedClient([{ text: 'ab', chunks: ['a', 'c'] }])
    await expect(torn.call(ask())).rejects.toThrow('The chunks of a reply must make up its text, got "ac".')
    const client = new ScriptedClient([undefined as unknown as string])
    await expect(client.call(ask())).rejects.toMatchObject({ code: 'configuration', path: 'script[0]' })
    for (const chunkSize of [0, -1, Number.NaN]) {
      expect(() => new ScriptedClient([], { chunkSize })).toThrow(
        'ScriptedClient option chunkSize must be an integer of at least 1',
      )
    }
  })
})
