import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, expectTypeOf, test, vi } from 'vitest'
import type { ClientNotice, LLMChunk, LLMClient, LLMRequest } from '../../../src/client/client.ts'
import { type AssistantMessage, assistant, toolMessage, user } from '../../../src/messages.ts'
import { AnthropicClient, type AnthropicClientOptions } from '../../../src/providers/anthropic.ts'
import { type Chunking, strictProvider } from '../../../src/testing/index.ts'
import { runNode } from '../../support/child.ts'
import { answering, json, openBody } from '../../support/fetch.ts'
import { root } from '../../support/repository.ts'
import { end, fixtures, start, stop, streamed, text } from './fixtures.ts'

const apiKey = 'sk-ant-0123456789abcdef'
const model = 'claude-test'
const hello: LLMRequest = { messages: [user('Hello')] }
const body = {
  id: 'msg_1',
  type: 'message',
  content: [{ type: 'text', text: 'Hi.' }],
  stop_reason: 'end_turn',
  usage: { input_tokens: 3, output_tokens: 2 },
}

beforeEach(() => {
  for (const name of ['ANTHROPIC_API_KEY', 'ANTHROPIC_BASE_URL', 'ANTHROPIC_AUTH_TOKEN'])
    vi.stubEnv(name, undefined)
})

afterEach(() => {
  vi.unstubAllEnvs()
})

const clientOf = (options: Partial<AnthropicClientOptions> = {}) =>
  new AnthropicClient({ apiKey, model, ...options })

async function chunksOf(client: AnthropicClient, request: LLMRequest = hello): Promise<LLMChunk[]> {
  const chunks: LLMChunk[] = []
  for await (const chunk of client.stream(request)) chunks.push(chunk)
  return chunks
}

async function responseOf(client: AnthropicClient, request: LLMRequest = hello) {
  const end = (await chunksOf(client, request)).at(-1)
  if (end?.type !== 'end') throw new Error('no end')
  return end.response
}

test('is a client', () => {
  expectTypeOf<AnthropicClient>().toExtend<LLMClient>()
})

describe('against a provider that checks every request', () => {
  const weather = { name: 'weather', description: 'Weather', parameters: { type: 'object', properties: {} } }
  const script = [
    {
      text: 'Ich schaue größere Städte an 👋',
      reasoning: 'hm',
      toolCalls: [
        { id: 'toolu_1', toolName: 'weather', parameters: { city: 'Zürich' } },
        { id: 'toolu_2', toolName: 'weather', parameters: {} },
      ],
      usage: { inputTokens: 9, outputTokens: 8, cachedInputTokens: 4 },
    },
    { text: 'Sunny.', usage: { inputTokens: 3, outputTokens: 2 } },
  ]

  describe.each<Chunking>(['event', 'whole', 'bytes', 'utf8'])('that sends %s', (chunking) => {
    test.each(['call', 'stream'] as const)(
      '%s gives the whole response, and every request is served',
      async (verb) => {
        await using provider = await strictProvider({ script, chunking, keys: [apiKey] })
        const client = clientOf({ baseURL: provider.anthropicURL })
        const ask = (request: LLMRequest) =>
          verb === 'call' ? client.call(request) : responseOf(client, request)
        const request = { ...hello, system: 'Be brief.', tools: [weather], params: { maxOutputTokens: 50 } }
        const reply = await ask(request)
        expect(reply).toMatchObject({
          text: 'Ich schaue größere Städte an 👋',
          toolCalls: [
            { id: 'toolu_1', toolName: 'weather', parameters: { city: 'Zürich' } },
            { id: 'toolu_2', toolName: 'weather', parameters: {} },
          ],
          reasoning: [{ provider: 'anthropic', model, text: 'hm' }],
          stopReason: 'tool_calls',
          usage: { inputTokens: 9, outputTokens: 8, cachedInputTokens: 4 },
          requestId: 'req_1',
        })
        const said: AssistantMessage = {
          ...assistant(reply.text, reply.toolCalls),
          ...(reply.reasoning && { reasoning: reply.reasoning }),
        }
        const messages = [
          ...hello.messages,
          said,
          ...reply.toolCalls.map((call) => toolMessage(call, 'Sunny')),
        ]
        expect(await ask({ ...request, messages })).toMatchObject({
          text: 'Sunny.',
          toolCalls: [],
          stopReason: 'stop',
          usage: { inputTokens: 3, outputTokens: 2 },
          requestId: 'req_2',
        })
        expect(provider.refusals).toEqual([])
        expect(provider.requests[1]?.body).toMatchObject({
          max_tokens: 50,
          messages: [
            { role: 'user' },
            { role: 'assistant', content: [{ type: 'thinking', thinking: 'hm' }, { type: 'text' }, {}, {}] },
            { role: 'user' },
          ],
        })
      },
    )
  })

  test('a refusal is told by its kind, and asked only once', async () => {
    await using provider = await strictProvider({ script: [{ text: 'ok' }], contextWindow: 10 })
    const client = clientOf({ baseURL: provider.anthropicURL })
    await expect(client.call({ messages: [user('x'.repeat(1000))] })).rejects.toMatchObject({
      kind: 'context_length',
      status: 400,
      provider: 'anthropic',
    })
    expect(provider.requests).toHaveLength(1)
  })
})

describe('bytes', () => {
  const announced = fixtures.filter(({ events }) => events.at(-1) === end)

  test.each(announced)('$name: split at every byte', async ({ events, response }) => {
    const bytes = new TextEncoder().encode(streamed(events))
    const { fetch } = answering(() => {
      const one = new ReadableStream<Uint8Array>({
        start(controller) {
          for (const byte of bytes) controller.enqueue(Uint8Array.of(byte))
          controller.close()
        },
      })
      return new Response(one, { headers: { 'content-type': 'text/event-stream' } })
    })
    expect(await responseOf(clientOf({ fetch }))).toEqual(response)
  })

  test('a stream that is cut anywhere is an error, or the whole answer', async () => {
    const whole = streamed([start(), ...text(0, 'Grüße'), stop('end_turn'), end])
    const outcomes = new Set<string>()
    for (let length = 0; length <= whole.length; length += 1) {
      const { fetch } = answering(() => {
        const { response, write, end: finish } = openBody()
        write(whole.slice(0, length))
        finish()
        return response
      })
      outcomes.add(
        await clientOf({ fetch })
          .call(hello)
          .then(
            ({ text, stopReason }) => `${text} ${stopReason}`,
            ({ kind }) => kind,
          ),
      )
    }
    expect([...outcomes]).toEqual(['malformed', 'Grüße stop'])
  })
})

describe('headers', () => {
  test.each([
    [{}, { authorization: `Bearer ${apiKey}`, 'anthropic-version': '2026-10-21' }],
    [{ keyHeader: 'x-api-key' }, { 'x-api-key': apiKey, 'anthropic-version': '2026-10-21' }],
    [{ apiVersion: '2023-06-01' }, { 'x-api-key': apiKey, 'anthropic-version': '2023-06-01' }],
    [
      { apiVersion: '2023-06-01', keyHeader: 'authorization' },
      { authorization: `Bearer ${apiKey}`, 'anthropic-version': '2023-06-01' },
    ],
  ] as const)('with %j the key and the version go where they should', async (options, expected) => {
    const { fetch, sent } = answering(() => json(body))
    await clientOf({ ...options, fetch }).call(hello)
    const { headers } = sent[0] ?? {}
    const names = ['authorization', 'x-api-key', 'anthropic-version']
    expect(
      Object.fromEntries(names.flatMap((name) => (headers?.has(name) ? [[name, headers.get(name)]] : []))),
    ).toEqual(expected)
  })

  test('of the client, of the call and the idempotency key are sent', async () => {
    const { fetch, sent } = answering(() => json(body))
    const client = clientOf({ fetch, defaultHeaders: { 'x-app': 'a', 'anthropic-beta': 'b' } })
    await client.call(hello, { idempotencyKey: 'once', headers: { 'x-call': 'c' } })
    const names = ['x-app', 'anthropic-beta', 'x-call', 'idempotency-key']
    expect(names.map((name) => sent[0]?.headers.get(name))).toEqual(['a', 'b', 'c', 'once'])
  })

  test('a server that needs no key is sent none, wherever its version is in its address', async () => {
    for (const baseURL of [
      'http://localhost:8080',
      'http://localhost:8080/v1/',
      'http://localhost:8080/v1',
    ]) {
      const { fetch, sent } = answering(() => json(body))
      await new AnthropicClient({ model, baseURL, fetch }).call(hello)
      const [{ url, headers } = { url: '', headers: new Headers() }] = sent
      expect([url, headers.has('authorization'), headers.has('x-api-key')]).toEqual([
        'http://localhost:8080/v1/messages',
        false,
        false,
      ])
    }
  })

  test('the request id is that of the answer, also of a failed one', async () => {
    const headers = { 'request-id': 'req_9', 'retry-after': '3' }
    const error = { type: 'error', error: { type: 'overloaded_error', message: `Overloaded, ${apiKey}` } }
    const answers = [json(body, { headers }), json(error, { status: 529, headers })]
    const { fetch, sent } = answering((number) => answers[number - 1] ?? json({}))
    expect((await clientOf({ fetch }).call(hello)).requestId).toBe('req_9')
    await expect(clientOf({ fetch }).call(hello)).rejects.toMatchObject({
      kind: 'overloaded',
      status: 529,
      retryAfterMs: 3000,
      requestId: 'req_9',
      message:
        'anthropic (claude-test) answered 529 overloaded_error: Overloaded, [secret:apiKey]. Call again later.',
    })
    expect(sent).toHaveLength(2)
  })
})

test('what is left out is told, and harms nothing', async () => {
  const { fetch, sent } = answering(() => json(body))
  const notices: ClientNotice[] = []
  const notify = (notice: ClientNotice) => {
    notices.push(notice)
    throw new Error('not my business')
  }
  await clientOf({ fetch }).call({ ...hello, params: { temperature: 0.3 } }, { notify })
  expect(notices).toEqual([{ type: 'warning', message: expect.stringContaining('was not sent temperature') }])
  expect(sent[0]?.body).not.toHaveProperty('temperature')
})

test('nothing is written to the console, also about models that the SDK has something to say of', async () => {
  const written = (['log', 'info', 'warn', 'error', 'debug'] as const).map((name) =>
    vi.spyOn(console, name).mockImplementation(() => {}),
  )
  vi.stubEnv('ANTHROPIC_LOG', 'debug')
  const { fetch } = answering(() => json(body))
  const params = { extra: { thinking: { type: 'enabled', budget_tokens: 1024 } } }
  for (const each of ['claude-sonnet-4-5', 'claude-opus-4-6']) {
    await clientOf({ fetch, model: each }).call({ ...hello, params })
  }
  expect(written.map(({ mock }) => mock.calls)).toEqual([[], [], [], [], []])
  vi.restoreAllMocks()
})

describe('an abort', () => {
  test('in the middle of a stream is an error, not an end', async () => {
    const { response, write, isCancelled } = openBody()
    const { fetch } = answering(() => response)
    const controller = new AbortController()
    write(streamed([start(), ...text(0, 'Hi.')]))
    const chunks = clientOf({ fetch }).stream(hello, { signal: controller.signal })
    expect(await chunks.next()).toEqual({ done: false, value: { type: 'text', text: 'Hi.' } })
    const reason = new Error('enough')
    controller.abort(reason)
    await expect(chunks.next()).rejects.toMatchObject({ kind: 'aborted', cause: reason })
    expect(isCancelled()).toBe(true)
  })

  test('leaves no listener on the signal it came from', async () => {
    const { fetch } = answering(() => json(body))
    const { signal } = new AbortController()
    const added = vi.spyOn(signal, 'addEventListener')
    const removed = vi.spyOn(signal, 'removeEventListener')
    for (let call = 0; call < 5; call += 1) await clientOf({ fetch }).call(hello, { signal })
    expect(added.mock.calls.length).toBeGreaterThan(0)
    expect(removed.mock.calls.length).toBeGreaterThanOrEqual(added.mock.calls.length)
  })
})

describe('making a client', () => {
  test('without a key names the variable; no profile of the SDK is looked for', () => {
    const make = (options: object = {}) => new AnthropicClient({ model, ...options })
    const missing = expect.objectContaining({ code: 'missing_credential', variable: 'ANTHROPIC_API_KEY' })
    expect(() => make()).toThrow(missing)
    expect(() => make({ baseURL: 'https://api.anthropic.com/' })).toThrow(missing)
    vi.stubEnv('ANTHROPIC_AUTH_TOKEN', 'token')
    expect(() => make()).toThrow(missing)
    vi.stubEnv('ANTHROPIC_API_KEY', apiKey)
    expect(make().provider).toBe('anthropic')
  })

  test('says what the model can do, where it is known', () => {
    const usual = { tools: true, streaming: true, images: true, structuredOutput: true }
    const of = (options: Partial<AnthropicClientOptions>) => clientOf(options).capabilities
    const known = (contextWindow: number, maxOutputTokens: number) => ({
      ...usual,
      contextWindow,
      maxOutputTokens,
    })
    expect(of({ model: 'claude-sonnet-5-5' })).toEqual(known(1_000_000, 32_000))
    expect(of({ model: 'claude-opus-4-6' })).toEqual(known(1_000_000, 32_000))
    expect(of({ model: 'claude-haiku-4-5-20251001' })).toEqual(known(200_000, 32_000))
    expect(of({ model: 'claude-3-haiku-20240307' })).toEqual({
      ...known(200_000, 4096),
      structuredOutput: false,
    })
    expect(of({ model: 'unheard-of' })).toEqual({ ...usual, structuredOutput: false })
    const elsewhere = { model: 'claude-sonnet-5-5', baseURL: 'https://api.anthropic.com.evil.test' }
    expect(of(elsewhere)).toEqual({ ...usual, structuredOutput: false })
    expect(of({ ...elsewhere, capabilities: { structuredOutput: true, maxOutputTokens: 10 } })).toEqual({
      ...usual,
      maxOutputTokens: 10,
    })
  })

  test('an answer may be as long as the model is known for, and 4096 tokens of others', async () => {
    const lengthOf = async (options: Partial<AnthropicClientOptions>) => {
      const { fetch, sent } = answering(() => json(body))
      await clientOf({ ...options, fetch }).call(hello)
      return Reflect.get(Object(sent[0]?.body), 'max_tokens')
    }
    expect(await lengthOf({ model: 'claude-sonnet-5-5' })).toBe(32_000)
    expect(await lengthOf({ capabilities: { maxOutputTokens: 77 } })).toBe(77)
    expect(await lengthOf({ model: 'm', baseURL: 'http://localhost:1' })).toBe(4096)
  })

  test.each([
    [{ modle: 'claude' }, 'modle'],
    [{ model: '' }, 'model'],
    [{ apiKey: `${apiKey}\n${apiKey}` }, 'apiKey'],
    [{ baseURL: 'localhost' }, 'baseURL'],
    [{ apiVersion: '2024-01-01' }, 'apiVersion'],
    [{ keyHeader: 'cookie' }, 'keyHeader'],
    [{ cache: { ttl: '2h' } }, 'cache'],
    [{ cache: 'yes' }, 'cache'],
    [{ quirks: { effort: 'much' } }, 'quirks.effort'],
    [{ idleMs: 0 }, 'idleMs'],
  ])('with %j is refused', (options, path) => {
    const make = () => clientOf(options as Partial<AnthropicClientOptions>) // what JavaScript may pass
    expect(make).toThrow(
      expect.objectContaining({ code: 'configuration', path, message: expect.not.stringContaining(apiKey) }),
    )
  })

  test('keeps the key out of sight', () => {
    const client = clientOf()
    expect(inspect(client, { depth: 9, showHidden: true }) + JSON.stringify(client)).not.toContain(apiKey)
  })

  test('loads the SDK at the first call, and says what to install if there is none', async () => {
    const program = `
      import { registerHooks } from 'node:module'
      const loaded = []
      registerHooks({ resolve(specifier, context, next) {
        if (specifier !== '@anthropic-ai/sdk') return next(specifier, context)
        loaded.push(specifier)
        throw Object.assign(new Error("Cannot find package '@anthropic-ai/sdk'"), { code: 'ERR_MODULE_NOT_FOUND' })
      } })
      const { AnthropicClient } = await import('./src/providers/anthropic.ts')
      const client = new AnthropicClient({ apiKey: 'sk-test', model: 'm' })
      const before = loaded.length
      const error = await client.call({ messages: [] }).catch((error) => error)
      console.log(JSON.stringify([before, loaded.length, error.code, error.message]))`
    const { stdout, stderr, code } = await runNode(['--input-type=module', '--eval', program], { cwd: root })
    expect({ code, stderr, said: JSON.parse(stdout || 'null') }).toEqual({
      code: 0,
      stderr: '',
      said: [
        0,
        1,
        'missing_package',
        'The package "@anthropic-ai/sdk" is not installed. Run: npm install @anthropic-ai/sdk',
      ],
    })
  })
})
