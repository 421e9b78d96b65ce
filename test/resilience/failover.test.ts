import { describe, expect, test } from 'vitest'
import type { ClientNotice, LLMClient, LLMRequest } from '../../src/client/client.ts'
import { wrapClient } from '../../src/client/client.ts'
import { ConfigurationError, LLMError, type LLMErrorKind, llmErrorKinds } from '../../src/errors.ts'
import { user } from '../../src/messages.ts'
import { CircuitOpenError } from '../../src/resilience/breaker.ts'
import { degrade } from '../../src/resilience/degrade.ts'
import { type FailoverOptions, failover } from '../../src/resilience/failover.ts'
import { retry } from '../../src/resilience/retry.ts'
import { virtualClock } from '../../src/testing/clock.ts'
import { chunks, fails, hangs, says } from '../../src/testing/script.ts'
import { thrownBy, turn } from '../support/outcome.ts'
import { drain, named, request, textOfChunks, withTools } from './support.ts'

const ways = ['call', 'stream'] as const

/** The text of a reply, asked for in one way or the other. */
async function ask(client: LLMClient, way: 'call' | 'stream', options = {}): Promise<string> {
  if (way === 'call') return (await client.call(request, options)).text
  return textOfChunks(await drain(client, options))
}

/** What an error and its causes say, outermost first. */
function causes(error: unknown): string[] {
  return error instanceof Error ? [error.message, ...causes(error.cause)] : []
}

describe('failover', () => {
  test.each(ways)('asks the next client, each once and in order, and says who answered: %s', async (way) => {
    const [a, b, c] = [named('a', [fails('overloaded')]), named('b', [fails('auth')]), named('c', ['from c'])]
    const notices: ClientNotice[] = []
    const client = failover([b, c])(a)
    const options = { notify: (notice: ClientNotice) => void notices.push(notice) }
    const chunk = way === 'stream' ? (await drain(client, options)).at(-1) : undefined
    const response = chunk?.type === 'end' ? chunk.response : await client.call(request, options)
    expect(response).toMatchObject({ text: 'from c', answeredBy: { provider: 'c', model: 'm' } })
    expect([a, b, c].map(({ requests }) => requests)).toEqual([[request], [request], [request]])
    expect([a, b, c].map(({ callOptions }) => callOptions[0])).toEqual([options, options, options])
    const told = (from: string, to: string, kind: LLMErrorKind): ClientNotice => ({
      type: 'failover',
      from: { provider: from, model: 'm' },
      to: { provider: to, model: 'm' },
      error: { code: 'llm', kind, message: `scripted failure: ${kind}` },
    })
    expect(notices).toEqual([told('a', 'b', 'overloaded'), told('b', 'c', 'auth')])
  })

  test('leaves the answer of the first client as it is, and asks nobody else', async () => {
    const [a, b] = [named('a', ['from a', 'from a']), named('b', ['from b'])]
    const client = failover([b])(a)
    expect(await client.call(request)).not.toHaveProperty('answeredBy')
    expect(await drain(client)).toEqual(await drain(named('a', ['from a'])))
    expect(b.calls).toBe(0)
  })

  const cured = llmErrorKinds.filter(
    (kind) => !['aborted', 'invalid_request', 'content_filter'].includes(kind),
  )
  test.each(cured)('asks another after %s', async (kind) => {
    expect(await ask(failover([named('b', ['ok'])])(named('a', [fails(kind)])), 'call')).toBe('ok')
  })

  test.each(['aborted', 'invalid_request', 'content_filter'] as const)(
    'asks nobody else after %s',
    async (kind) => {
      const b = named('b', ['ok'])
      expect(await thrownBy(failover([b])(named('a', [fails(kind)])).call(request))).toMatchObject({ kind })
      expect(b.calls).toBe(0)
    },
  )

  test('asks another after an error of no kind, and when a circuit is open', async () => {
    const open = new CircuitOpenError({ provider: 'a', model: 'm' }, 10)
    for (const error of [new TypeError('odd'), open])
      expect(await ask(failover([named('b', ['ok'])])(named('a', [error])), 'call')).toBe('ok')
  })

  test('asks nobody else after an error of this library that is no failed call', async () => {
    const mistake = new ConfigurationError('model', 'no')
    const b = named('b', ['ok'])
    expect(await thrownBy(failover([b])(named('a', [mistake])).call(request))).toBe(mistake)
    expect(b.calls).toBe(0)
  })

  test.each<[string, number | undefined, readonly (number | undefined)[], string]>([
    ['a larger window', 100, [50, 100, 200], 'c2'],
    ['a window that nobody knows', 100, [50, undefined], 'c1'],
    ['any window, if its own is not known', undefined, [50], 'c0'],
  ])('asks a client with %s after context_length', async (_, own, windows, expected) => {
    const window = (contextWindow: number | undefined) =>
      contextWindow === undefined ? {} : { contextWindow }
    const others = windows.map((each, index) => named(`c${index}`, [`c${index}`], window(each)))
    const client = failover(others)(named('a', [fails('context_length')], window(own)))
    expect(await ask(client, 'call')).toBe(expected)
  })

  test('throws after context_length if no window is larger', async () => {
    const b = named('b', ['ok'], { contextWindow: 10 })
    const client = failover([b])(named('a', [fails('context_length')], { contextWindow: 10 }))
    expect(await thrownBy(client.call(request))).toMatchObject({ kind: 'context_length', provider: 'a' })
    expect(b.calls).toBe(0)
  })

  test('goes by a list of kinds, or asks a function about each client', async () => {
    const only = (kind: LLMErrorKind) =>
      failover([named('b', ['ok'])], { when: ['auth'] })(named('a', [fails(kind)]))
    expect(await ask(only('auth'), 'call')).toBe('ok')
    expect(await thrownBy(only('overloaded').call(request))).toMatchObject({ kind: 'overloaded' })
    const asked: string[] = []
    const when = (error: LLMError, { provider }: LLMClient) => {
      asked.push(`${error.kind} ${provider}`)
      return provider !== 'b'
    }
    const [b, c] = [named('b', ['no']), named('c', ['ok'])]
    expect(await ask(failover([b, c], { when })(named('a', [fails('invalid_request')])), 'call')).toBe('ok')
    expect([asked, b.calls]).toEqual([['invalid_request b', 'invalid_request c'], 0])
  })

  test('asks a client with its own params on top of those of the request', async () => {
    const b = named('b', ['ok'])
    const client = failover([{ client: b, params: { maxOutputTokens: 500 } }])(
      named('a', [fails('overloaded')]),
    )
    await client.call({ ...request, params: { temperature: 0, maxOutputTokens: 9 } })
    expect(b.requests).toEqual([{ ...request, params: { temperature: 0, maxOutputTokens: 500 } }])
  })

  test('throws the last failure when all have failed, with the others at the end of its causes', async () => {
    const last = new LLMError('c', {
      kind: 'network',
      provider: 'c',
      model: 'm',
      retryAfterMs: 5,
      cause: new Error('reset'),
    })
    const [a, b, c] = [fails('auth', { message: 'a' }), fails('quota', { message: 'b' }), last]
    for (const way of ways) {
      const client = failover([named('b', [b]), named('c', [c])])(named('a', [a]))
      const error = await thrownBy(ask(client, way))
      expect(causes(error)).toEqual(['c', 'reset', 'b', 'a'])
      expect(error).toBeInstanceOf(LLMError)
      expect(error).toMatchObject({
        name: 'LLMError',
        kind: 'network',
        provider: 'c',
        retryAfterMs: 5,
        retryable: true,
      })
    }
    // It belongs to the client that threw it, perhaps again.
    expect(causes(last)).toEqual(['c', 'reset'])
  })

  test('ends when errors are their own cause', async () => {
    const loop = new LLMError('loop', { kind: 'network', provider: 'b', model: 'm', cause: undefined })
    loop.cause = loop
    const client = failover([named('b', [loop])])(named('a', [fails('auth', { message: 'a' })]))
    expect(causes(await thrownBy(client.call(request))).at(-1)).toBe('a')
  })

  test('does not ask a client without tools for a call with tools, and says why in the causes', async () => {
    const [b, c] = [named('b', ['no'], { tools: false }), named('c', [fails('network', { message: 'c' })])]
    const client = failover([b, c])(named('a', [fails('auth', { message: 'a' })]))
    const error = await thrownBy(client.call(withTools))
    expect(b.calls).toBe(0)
    expect(causes(error)).toEqual([
      'c',
      'a',
      'b (m) was not asked: it cannot call tools. Ask through an Agent, which speaks JSON to it, or give a client that can.',
    ])
    const alone = failover([named('b', ['no'], { tools: false })])(
      named('a', [fails('auth', { message: 'a' })]),
    )
    expect(causes(await thrownBy(alone.call(withTools)))).toEqual(['a', expect.stringContaining('b (m)')])
  })

  test('asks each client in its own words, when they are to be had', async () => {
    const told: string[] = []
    const requestFor = async ({ provider }: LLMClient): Promise<LLMRequest> => {
      told.push(`request for ${provider}`)
      return { messages: [user(`for ${provider}`)] }
    }
    const notify = (notice: ClientNotice) => void told.push(notice.type)
    const [b, c] = [named('b', [fails('network')], { tools: false }), named('c', ['ok'])]
    const client = failover([b, { client: c, params: { temperature: 1 } }])(named('a', [fails('network')]))
    await client.call(withTools, { requestFor, notify })
    expect(b.requests).toEqual([{ messages: [user('for b')] }])
    expect(c.requests).toEqual([{ messages: [user('for c')], params: { temperature: 1 } }])
    expect(told).toEqual(['failover', 'request for b', 'failover', 'request for c'])
  })

  test('asks the first client in its own words again, when the call is tried again', async () => {
    const requestFor = async ({ provider }: LLMClient): Promise<LLMRequest> => ({
      messages: [user(`for ${provider}`)],
    })
    const { runtime } = virtualClock()
    const a = named('a', [fails('network'), fails('network'), 'ok'])
    const b = named('b', [fails('network'), fails('network')])
    await wrapClient(a, retry({ runtime }), failover([b])).call(request, { requestFor })
    const text = (requests: readonly LLMRequest[]) => requests.map(({ messages }) => messages[0]?.content)
    expect([text(a.requests), text(b.requests)]).toEqual([
      ['hi', 'for a', 'for a'],
      ['for b', 'for b'],
    ])
  })

  test('keeps the params of a client in the words for those behind it', async () => {
    const requestFor = async ({ provider }: LLMClient): Promise<LLMRequest> => ({
      messages: [user(`for ${provider}`)],
    })
    const [b1, b2] = [named('b1', [fails('overloaded')]), named('b2', ['ok'])]
    const inner = { client: degrade([b1, { client: b2, params: { seed: 2 } }]), params: { temperature: 1 } }
    await failover([inner])(named('a', [fails('network')])).call(request, { requestFor })
    expect(b1.requests).toEqual([{ messages: [user('for b1')], params: { temperature: 1 } }])
    expect(b2.requests).toEqual([{ messages: [user('for b2')], params: { temperature: 1, seed: 2 } }])
  })
})

describe('failover in the middle of a stream', () => {
  const broken = fails('network', { after: ['Good mor'] })

  test('withdraws what was handed out, if the caller can, and begins anew', async () => {
    const client = failover([named('b', [chunks(['Good ', 'evening'])])])(named('a', [broken]))
    const seen = await drain(client, { canRetract: true })
    expect(seen.map(({ type }) => type)).toEqual(['text', 'retracted', 'text', 'text', 'end'])
    expect(textOfChunks(seen)).toBe('Good evening')
  })

  test('throws for a caller that cannot retract', async () => {
    const b = named('b', ['ok'])
    const seen: unknown[] = []
    const error = await thrownBy(drain(failover([b])(named('a', [broken])), {}, seen as never[]))
    expect(error).toMatchObject({ kind: 'network', provider: 'a' })
    expect([seen, b.calls]).toEqual([[{ type: 'text', text: 'Good mor' }], 0])
  })

  test('leaves what was handed out where nothing comes instead', async () => {
    const client = failover([named('b', [fails('auth')])])(named('a', [broken]))
    const seen: never[] = []
    expect(await thrownBy(drain(client, { canRetract: true }, seen))).toMatchObject({ kind: 'auth' })
    expect(textOfChunks(seen)).toBe('Good mor')
  })

  test('withdraws once for each reply that was begun', async () => {
    const others = [
      named('b', [fails('auth')]),
      named('c', [fails('stalled', { after: ['Go'] })]),
      named('d', ['Hi']),
    ]
    const seen = await drain(failover(others)(named('a', [broken])), { canRetract: true })
    expect(seen.map((chunk) => (chunk.type === 'text' ? chunk.text : chunk.type))).toEqual([
      'Good mor',
      'retracted',
      'Go',
      'retracted',
      'Hi',
      'end',
    ])
  })

  test('tells the answer of a client that cannot stream in one piece', async () => {
    const b = named('b', [says('All of it.')], { streaming: false })
    const seen = await drain(failover([b])(named('a', [broken])), { canRetract: true })
    expect(seen.slice(1).map(({ type }) => type)).toEqual(['retracted', 'text', 'end'])
    expect(textOfChunks(seen)).toBe('All of it.')
  })

  test('takes a stream without an end for a failure', async () => {
    const a: LLMClient = {
      provider: 'a',
      model: 'm',
      capabilities: named('a', []).capabilities,
      call: async () => ({ text: '', toolCalls: [], stopReason: 'stop' }),
      async *stream() {
        yield { type: 'text', text: 'Hel' }
      },
    }
    const seen = await drain(failover([named('b', ['Hello'])])(a), { canRetract: true })
    expect(textOfChunks(seen)).toBe('Hello')
  })
})

describe('failover and its surroundings', () => {
  test.each(ways)('stops at once when its signal aborts, and asks nobody else: %s', async (way) => {
    const [a, b] = [named('a', [hangs()]), named('b', ['ok'])]
    const controller = new AbortController()
    const running = thrownBy(ask(failover([b])(a), way, { signal: controller.signal }))
    await turn()
    controller.abort('enough')
    expect(await running).toMatchObject({ kind: 'aborted', cause: 'enough' })
    expect([a.calls, b.calls]).toEqual([1, 0])
  })

  test('asks nobody else after an abort, whatever the client makes of it', async () => {
    const controller = new AbortController()
    const b = named('b', ['ok'])
    const a = named('a', [
      () => {
        controller.abort('enough')
        return fails('overloaded')
      },
    ])
    const error = await thrownBy(
      failover([b], { when: () => true })(a).call(request, { signal: controller.signal }),
    )
    expect(error).toMatchObject({ kind: 'aborted', cause: 'enough' })
    expect(b.calls).toBe(0)
  })

  test('asks nothing before the first pull, and leaves the stream it is in', async () => {
    const [a, b] = [named('a', [fails('network')]), named('b', [chunks(['x', 'y'])])]
    const stream = failover([b])(a).stream?.(request)
    await turn()
    expect(a.calls).toBe(0)
    for await (const _ of stream ?? []) break
    expect([a.calls, b.calls, b.left]).toEqual([1, 1, 1])
  })

  test('goes on when a listener throws', async () => {
    const notify = () => {
      throw new Error('listener')
    }
    expect(
      await ask(failover([named('b', ['ok'])])(named('a', [fails('network')])), 'call', { notify }),
    ).toBe('ok')
  })

  test('looks like its first client, streams if that can, and closes all', async () => {
    const [a, b] = [named('a', [], { contextWindow: 9 }), named('b', [])]
    const client = failover([b])(a)
    expect([client.provider, client.model, client.capabilities]).toEqual(['a', 'm', a.capabilities])
    expect('stream' in failover([b])(named('a', [], { streaming: false }))).toBe(false)
    await client.close?.()
    expect([a.closed, b.closed]).toEqual([true, true])
  })

  test('closes the others also when one cannot be closed', async () => {
    const b = named('b', [])
    const close = async () => {
      throw new Error('stuck')
    }
    const client = failover([b])(Object.assign(named('a', []), { close }))
    await expect(client.close?.()).rejects.toThrow('stuck')
    expect(b.closed).toBe(true)
  })

  test.each<[string, unknown, unknown]>([
    ['others', [], {}],
    ['others', 'b', {}],
    ['others', [{ client: 'b' }], {}],
    ['others', [{ client: named('b', []), params: { temperature: -1 } }], {}],
    ['when', [named('b', [])], { when: ['nope'] }],
    ['on', [named('b', [])], { on: () => true }],
  ])('refuses %s', (path, others, options) => {
    expect(() => failover(others as never, options as FailoverOptions)).toThrow(
      expect.objectContaining({ code: 'configuration', path }),
    )
  })
})

describe('degrade', () => {
  test.each(['context_length', 'overloaded'] as const)('asks a smaller model after %s', async (kind) => {
    const [large, small] = [
      named('p', [fails(kind)], { contextWindow: 9 }),
      named('p', ['ok'], { contextWindow: 5 }),
    ]
    const client = degrade([large, { client: small, params: { maxOutputTokens: 500 } }])
    expect((await client.call(request)).text).toBe('ok')
    expect(small.requests).toEqual([{ ...request, params: { maxOutputTokens: 500 } }])
  })

  test('asks no smaller model after other failures, unless it is told to', async () => {
    const models = () => [named('p', [fails('auth')]), named('p', ['ok'])]
    expect(await thrownBy(degrade(models()).call(request))).toMatchObject({ kind: 'auth' })
    expect((await degrade(models(), { when: ['auth'] }).call(request)).text).toBe('ok')
  })

  test('asks the first model with its params, too', async () => {
    const large = named('p', ['ok'])
    await degrade([{ client: large, params: { temperature: 0 } }]).call(request)
    expect(large.requests).toEqual([{ ...request, params: { temperature: 0 } }])
  })

  test('refuses an empty list', () => {
    expect(() => degrade([])).toThrow(expect.objectContaining({ code: 'configuration', path: 'models' }))
  })
})
