import { describe, expect, test } from 'vitest'
import type { CallOptions, LLMChunk, LLMClient, LLMRequest } from '../../src/client/client.ts'
import { type Generate, textClient } from '../../src/client/text-client.ts'
import { LLMError } from '../../src/errors.ts'
import { system, user } from '../../src/messages.ts'
import { countListeners, thrownBy, turn } from '../support/outcome.ts'

const request: LLMRequest = { messages: [user('hi')] }

async function drain(client: LLMClient, options?: CallOptions): Promise<LLMChunk[]> {
  const all: LLMChunk[] = []
  for await (const chunk of client.stream?.(request, options) ?? []) all.push(chunk)
  return all
}

const response = (text: string) => ({ text, toolCalls: [], stopReason: 'stop' })

async function* counting(said: readonly string[], seen: string[], hang = false) {
  try {
    for (const piece of said) {
      seen.push(piece)
      yield piece
    }
    if (hang) await new Promise(() => {})
  } finally {
    seen.push('closed')
  }
}

describe('a text client', () => {
  test.each<[string, Generate]>([
    ['a promise', async () => 'ok'],
    ['text', () => 'ok'],
    ['pieces', () => counting(['o', '', 'k'], [])],
  ])('answers with %s', async (_, generate) => {
    expect(await textClient(generate).call(request)).toEqual(response('ok'))
  })

  test('gives the system text as the first message, and the settings', async () => {
    const seen: unknown[] = []
    const client = textClient(async (messages, { signal, ...options }) => {
      seen.push(messages, options, signal.aborted)
      return 'ok'
    })
    await client.call({ ...request, system: 'Be brief.', params: { temperature: 0 } })
    expect(seen).toEqual([
      [system('Be brief.'), user('hi')],
      { params: { temperature: 0 }, system: 'Be brief.' },
      false,
    ])
    seen.length = 0
    await client.call(request)
    expect(seen).toEqual([[user('hi')], { params: {} }, false])
  })

  test('streams pieces as they come, and a text as one', async () => {
    expect(await drain(textClient(() => counting(['a', 'b'], [])))).toEqual([
      { type: 'text', text: 'a' },
      { type: 'text', text: 'b' },
      { type: 'end', response: response('ab') },
    ])
    expect(await drain(textClient(async () => 'ab'))).toEqual([
      { type: 'text', text: 'ab' },
      { type: 'end', response: response('ab') },
    ])
    expect(await drain(textClient(async () => ''))).toEqual([{ type: 'end', response: response('') }])
  })

  test('can do nothing but text, unless it is told otherwise', () => {
    const { provider, model, capabilities } = textClient(() => '')
    expect({ provider, model, capabilities }).toEqual({
      provider: 'custom',
      model: 'text',
      capabilities: { tools: false, streaming: true, structuredOutput: false, images: false },
    })
    const named = textClient(() => '', { provider: 'p', model: 'm', capabilities: { contextWindow: 8 } })
    expect([named.provider, named.model, named.capabilities.contextWindow]).toEqual(['p', 'm', 8])
  })

  test('refuses what is no function, and options that are none', () => {
    expect(() => textClient('hi' as unknown as Generate)).toThrow(
      expect.objectContaining({ code: 'configuration', path: 'generate' }),
    )
    expect(() => textClient(() => '', { name: 'm' } as object)).toThrow(
      expect.objectContaining({ code: 'configuration', path: 'name' }),
    )
  })

  test('asks nothing before the first pull', async () => {
    let asked = 0
    const client = textClient(() => `${++asked}`)
    const chunks = client.stream?.(request)
    await turn()
    expect(asked).toBe(0)
    for await (const _ of chunks ?? []) expect(asked).toBe(1)
  })

  test('makes an LLMError of what is thrown, and leaves one as it is', async () => {
    const own = new LLMError('x', { kind: 'rate_limit', provider: 'p', model: 'm' })
    const wire = Object.assign(new Error('no key'), { status: 401 })
    const throwing = (error: unknown): Generate[] => [
      () => {
        throw error
      },
      async () => {
        throw error
      },
      () =>
        (async function* () {
          yield 'a'
          throw error
        })(),
    ]
    for (const generate of throwing(own)) expect(await thrownBy(textClient(generate).call(request))).toBe(own)
    for (const generate of throwing('boo')) {
      expect(await thrownBy(textClient(generate).call(request))).toMatchObject({
        kind: 'unknown',
        message: 'boo',
        cause: 'boo',
        provider: 'custom',
        model: 'text',
      })
    }
    for (const generate of throwing(wire)) {
      expect(await thrownBy(drain(textClient(generate)))).toMatchObject({
        kind: 'auth',
        status: 401,
        cause: wire,
      })
    }
  })

  test.each([undefined, null, 42, { text: 'x' }, ['a']])('calls %j malformed', async (said) => {
    const client = textClient((async () => said) as unknown as Generate)
    expect(await thrownBy(client.call(request))).toMatchObject({
      code: 'llm',
      kind: 'malformed',
      retryable: false,
    })
    const pieces = textClient(() => counting([said as unknown as string], []))
    expect(await thrownBy(pieces.call(request))).toMatchObject({ kind: 'malformed' })
  })

  test('does not wait for a function that ignores its abort', async () => {
    for (const generate of [
      () => new Promise<string>(() => {}),
      () => counting(['a'], [], true),
    ] satisfies Generate[]) {
      for (const way of [(client: LLMClient, options: CallOptions) => client.call(request, options), drain]) {
        const controller = new AbortController()
        const running = thrownBy(way(textClient(generate), { signal: controller.signal }))
        await turn()
        controller.abort('enough')
        expect(await running).toMatchObject({ kind: 'aborted', cause: 'enough' })
      }
    }
  })

  test('asks nothing when its signal has aborted before', async () => {
    let asked = 0
    const client = textClient(() => `${++asked}`)
    expect(await thrownBy(client.call(request, { signal: AbortSignal.abort('no') }))).toMatchObject({
      kind: 'aborted',
      cause: 'no',
    })
    expect(asked).toBe(0)
  })

  test('closes the pieces behind an abort as soon as they let it', async () => {
    const seen: string[] = []
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const controller = new AbortController()
    const client = textClient(async function* () {
      try {
        await held
        yield 'late'
        seen.push('went on')
      } finally {
        seen.push('closed')
      }
    })
    const running = thrownBy(client.call(request, { signal: controller.signal }))
    await turn()
    controller.abort()
    await running
    expect(seen).toEqual([])
    release()
    await turn()
    expect(seen).toEqual(['closed'])
  })

  test('swallows what comes after the abort', async () => {
    const controller = new AbortController()
    let fail = (_: Error) => {}
    const client = textClient(
      () =>
        new Promise<string>((_, reject) => {
          fail = reject
        }),
    )
    const running = thrownBy(client.call(request, { signal: controller.signal }))
    await turn()
    controller.abort()
    await running
    fail(new Error('late'))
    await turn()
  })

  test('cancels the function and closes its pieces when the stream is left', async () => {
    const seen: string[] = []
    let signal: AbortSignal | undefined
    const client = textClient((_, options) => {
      signal = options.signal
      return counting(['a', 'b'], seen)
    })
    for await (const chunk of client.stream?.(request) ?? []) {
      expect(chunk).toEqual({ type: 'text', text: 'a' })
      break
    }
    expect(seen).toEqual(['a', 'closed'])
    expect(signal?.aborted).toBe(true)
  })

  test('leaves no listener on its signal', async () => {
    const { signal } = new AbortController()
    const listeners = countListeners(signal)
    await textClient(() => 'ok').call(request, { signal })
    await drain(
      textClient(() => counting(['a', 'b'], [])),
      { signal },
    )
    expect(listeners.now).toBe(0)
  })
})
