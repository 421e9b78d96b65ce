import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, expectTypeOf, test, vi } from 'vitest'
import type { LLMChunk, LLMClient, LLMRequest } from '../../src/client/client.ts'
import { LLMError } from '../../src/errors.ts'
import { assistant, toolMessage, user } from '../../src/messages.ts'
import { OpenAIClient, type OpenAIClientOptions } from '../../src/providers/openai.ts'
import { type Chunking, strictProvider } from '../../src/testing/index.ts'
import { runNode } from '../support/child.ts'
import { delta, rawServer, sendEvents, startEvents } from '../support/raw-server.ts'
import { root } from '../support/repository.ts'

const apiKey = 'sk-test-0123456789abcdef'
const hello: LLMRequest = { messages: [user('Hello')] }
const variables = ['OPENAI_API_KEY', 'OPENAI_BASE_URL', 'OPENAI_ORG_ID', 'OPENAI_PROJECT_ID']

beforeEach(() => {
  for (const name of variables) vi.stubEnv(name, undefined)
})

afterEach(() => {
  vi.unstubAllEnvs()
})

const clientOf = (baseURL: string, options: OpenAIClientOptions = {}) =>
  new OpenAIClient({ apiKey, baseURL, ...options })

async function chunksOf(client: OpenAIClient, request: LLMRequest = hello): Promise<LLMChunk[]> {
  const chunks: LLMChunk[] = []
  for await (const chunk of client.stream(request)) chunks.push(chunk)
  return chunks
}

test('is a client', () => {
  expectTypeOf<OpenAIClient>().toExtend<LLMClient>()
})

describe('against a provider that checks every request', () => {
  const script = [
    {
      text: 'Ich schaue größere Städte an 👋',
      reasoning: 'hm',
      toolCalls: [
        { id: 'call_1', toolName: 'weather', parameters: { city: 'Zürich' } },
        { id: 'call_2', toolName: 'weather', parameters: '{"city":' },
      ],
      usage: { inputTokens: 9, outputTokens: 8, cachedInputTokens: 4, reasoningTokens: 2 },
    },
    { text: 'Sunny.', usage: 'absent' as const },
  ]
  const weather = { name: 'weather', description: 'Weather', parameters: { type: 'object', properties: {} } }
  const first = {
    text: 'Ich schaue größere Städte an 👋',
    toolCalls: [
      { id: 'call_1', toolName: 'weather', parameters: { city: 'Zürich' } },
      {
        id: 'call_2',
        toolName: 'weather',
        parameters: {},
        invalid: 'The parameters are not valid JSON. Received: {"city":',
      },
    ],
    reasoning: [{ provider: 'openai', model: 'gpt-4o', text: 'hm' }],
    stopReason: 'tool_calls',
    usage: { inputTokens: 9, outputTokens: 8, cachedInputTokens: 4, reasoningTokens: 2 },
    requestId: 'req_1',
  }
  const second = { text: 'Sunny.', toolCalls: [], stopReason: 'stop', requestId: 'req_2' }

  describe.each<Chunking>(['event', 'whole', 'bytes', 'utf8'])('that sends %s', (chunking) => {
    test.each(['call', 'stream'] as const)(
      '%s gives the whole response, and every request is served',
      async (verb) => {
        await using provider = await strictProvider({ script, chunking, keys: [apiKey] })
        const client = clientOf(provider.url)
        const ask = async (request: LLMRequest) => {
          if (verb === 'call') return client.call(request)
          const chunks = await chunksOf(client, request)
          const end = chunks.at(-1)
          if (end?.type !== 'end') throw new Error('no end')
          const texts = chunks.flatMap((chunk) => (chunk.type === 'text' ? [chunk.text] : []))
          expect(texts.join('')).toBe(end.response.text)
          return end.response
        }
        const request = { ...hello, system: 'Be brief.', tools: [weather], params: { maxOutputTokens: 50 } }
        const reply = await ask(request)
        expect(reply).toEqual(first)
        const answers = reply.toolCalls.map((call) => toolMessage(call, call.invalid ?? 'Sunny'))
        const messages = [...hello.messages, assistant(reply.text, reply.toolCalls), ...answers]
        expect(await ask({ ...request, messages })).toEqual(second)
        expect(provider.refusals).toEqual([])
        expect(provider.requests.map(({ body }) => body['max_tokens'])).toEqual([50, 50])
        expect(provider.requests.map(({ body }) => body['stream'])).toEqual(
          verb === 'stream' ? [true, true] : [undefined, undefined],
        )
      },
    )
  })

  test('a refusal is told by its kind, and asked only once', async () => {
    await using provider = await strictProvider({ script: [{ text: 'ok' }], contextWindow: 10 })
    const request = { messages: [user('x'.repeat(1000))] }
    await expect(clientOf(provider.url).call(request)).rejects.toMatchObject({
      kind: 'context_length',
      status: 400,
    })
    expect(provider.requests).toHaveLength(1)
  })

  test('headers, the idempotency key and the account are sent', async () => {
    await using provider = await strictProvider({ script: () => ({ text: 'ok' }) })
    const client = clientOf(provider.url, {
      defaultHeaders: { 'x-app': 'a' },
      organization: 'org',
      project: 'proj',
    })
    await client.call(hello, { idempotencyKey: 'once', headers: { 'x-call': 'b' } })
    expect(provider.requests[0]?.headers).toMatchObject({
      authorization: `Bearer ${apiKey}`,
      'x-app': 'a',
      'x-call': 'b',
      'idempotency-key': 'once',
      'openai-organization': 'org',
      'openai-project': 'proj',
    })
  })

  test('the environment is read when the client is made; its account is not told to another server', async () => {
    await using provider = await strictProvider({ script: () => ({ text: 'ok' }), keys: [apiKey] })
    vi.stubEnv('OPENAI_API_KEY', ` ${apiKey}\n`)
    vi.stubEnv('OPENAI_BASE_URL', provider.url)
    vi.stubEnv('OPENAI_ORG_ID', 'org')
    vi.stubEnv('OPENAI_PROJECT_ID', 'proj')
    const client = new OpenAIClient()
    vi.stubEnv('OPENAI_API_KEY', 'another-key')
    expect((await client.call(hello)).text).toBe('ok')
    const { headers } = provider.requests[0] ?? {}
    expect([headers?.['openai-organization'], headers?.['openai-project']]).toEqual([undefined, undefined])
  })
})

describe('on hostile wires', () => {
  test('nothing is sent before the first pull', async () => {
    await using server = await rawServer((response) => sendEvents(response, delta({ content: 'a' }, 'stop')))
    const chunks = clientOf(server.url).stream(hello)
    await new Promise((resolve) => setImmediate(resolve))
    expect(server.requests).toHaveLength(0)
    await chunks.next()
    expect(server.requests).toHaveLength(1)
    await chunks.return?.()
  })

  test('a cut stream hands out what came, and fails', async () => {
    await using server = await rawServer((response) => sendEvents(response, delta({ content: 'half' })))
    const chunks = clientOf(server.url).stream(hello)
    expect(await chunks.next()).toEqual({ done: false, value: { type: 'text', text: 'half' } })
    await expect(chunks.next()).rejects.toMatchObject({ kind: 'malformed', retryable: true })
  })

  test('connections are used again, also when their end comes after the announced one', async () => {
    await using server = await rawServer((response) => {
      const stream = startEvents(response, delta({ content: 'a' }, 'stop'), '[DONE]')
      setImmediate(() => setImmediate(() => stream.end()))
    })
    const client = clientOf(server.url)
    for (let turn = 0; turn < 10; turn += 1) await client.call(hello)
    // As many as the platform's fetch opens for one request after the other.
    expect(server.connections).toBeLessThanOrEqual(2)
  })

  test('a stream cut at any byte is an error, or the whole answer', async () => {
    const call = { index: 0, id: 'a', function: { name: 'f', arguments: '{"a":"ö"}' } }
    const events = [
      delta({ content: 'größer' }),
      delta({ tool_calls: [call] }),
      delta({}, 'tool_calls'),
      '[DONE]',
    ]
    const text = events.map(
      (event) => `data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`,
    )
    const bytes = new TextEncoder().encode(text.join(''))
    const whole = {
      text: 'größer',
      toolCalls: [{ id: 'a', toolName: 'f', parameters: { a: 'ö' } }],
      stopReason: 'tool_calls',
    }
    // All that is needed is there once the event with the finish reason is.
    const needed = new TextEncoder().encode(text.slice(0, 3).join('').trimEnd()).length
    let end = 0
    const client = clientOf('http://127.0.0.1:9/v1', { fetch: async () => new Response(bytes.slice(0, end)) })
    for (; end <= bytes.length; end += 1) {
      const outcome = await client.call(hello).catch((error: unknown) => error)
      if (end >= needed) expect(outcome).toEqual(whole)
      else expect(outcome).toMatchObject({ kind: 'malformed', retryable: true })
    }
  })

  test('a connection that breaks is a failure of the network', async () => {
    await using server = await rawServer((response) => {
      startEvents(response, delta({ content: 'half' }))
      setImmediate(() => response.destroy())
    })
    await expect(chunksOf(clientOf(server.url))).rejects.toMatchObject({ kind: 'network', retryable: true })
  })

  test('nobody at the address is a failure of the network', async () => {
    const { url } = await (async () => {
      await using server = await rawServer(() => {})
      return { url: server.url }
    })()
    await expect(clientOf(url).call(hello)).rejects.toMatchObject({ kind: 'network', retryable: true })
  })

  test('an answer is whole although the connection stays open after its end', async () => {
    await using server = await rawServer((response) => {
      startEvents(response, delta({ content: 'a' }, 'stop'), '[DONE]')
    })
    expect((await clientOf(server.url).call(hello)).text).toBe('a')
    await server.requests[0]?.closed
  })

  test('a web page with status 200 is no answer', async () => {
    await using server = await rawServer((response) => response.end('<html>Log in to the Wi-Fi</html>'))
    await expect(clientOf(server.url).call(hello)).rejects.toMatchObject({
      kind: 'malformed',
      retryable: true,
    })
    await expect(chunksOf(clientOf(server.url))).rejects.toMatchObject({ kind: 'malformed', retryable: true })
  })

  test('a redirect is not followed', async () => {
    await using elsewhere = await rawServer((response) => response.end('{}'))
    await using server = await rawServer((response) =>
      response.writeHead(307, { location: `${elsewhere.url}/chat/completions` }).end(),
    )
    await expect(clientOf(server.url).call(hello)).rejects.toMatchObject({
      kind: 'invalid_request',
      status: 307,
    })
    expect(elsewhere.requests).toHaveLength(0)
  })

  test('an error without its wrapper is still read', async () => {
    await using server = await rawServer((response) =>
      response.writeHead(400).end('{"object":"error","message":"max_tokens must be positive","code":400}'),
    )
    await expect(clientOf(server.url).call(hello)).rejects.toThrow(
      'answered 400: max_tokens must be positive.',
    )
  })

  test('an echoed key shows in no error', async () => {
    const body = JSON.stringify({ error: { message: `Bad key ${apiKey}`, code: apiKey } })
    await using server = await rawServer((response, _, number) =>
      number === 1
        ? response.writeHead(401).end(body)
        : response.end(number === 2 ? body : `${'o'.repeat(70)}${apiKey}`),
    )
    const client = clientOf(server.url)
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const error: unknown = await client.call(hello).catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(LLMError)
      expect(inspect(error, { depth: 9 }) + JSON.stringify(error)).not.toContain(apiKey.slice(0, 8))
    }
  })
})

describe('an abort', () => {
  const reason = new Error('the user left')
  const aborted = expect.objectContaining({ kind: 'aborted', retryable: false, cause: reason })

  test('before the call sends nothing', async () => {
    await using server = await rawServer((response) => sendEvents(response))
    const client = clientOf(server.url)
    await expect(client.call(hello, { signal: AbortSignal.abort(reason) })).rejects.toEqual(aborted)
    await expect(client.stream(hello, { signal: AbortSignal.abort(reason) }).next()).rejects.toEqual(aborted)
    expect(server.requests).toHaveLength(0)
  })

  test('while the provider is silent is heard at once, and cancels the request', async () => {
    const stop = new AbortController()
    await using server = await rawServer(() => stop.abort(reason))
    await expect(clientOf(server.url).call(hello, { signal: stop.signal })).rejects.toEqual(aborted)
    await server.requests[0]?.closed
  })

  test('in the middle of a stream is an error, not an end', async () => {
    await using server = await rawServer((response) => {
      startEvents(response, delta({ content: 'a' }))
    })
    const stop = new AbortController()
    const chunks = clientOf(server.url).stream(hello, { signal: stop.signal })
    await chunks.next()
    const next = chunks.next()
    stop.abort(reason)
    await expect(next).rejects.toEqual(aborted)
    await server.requests[0]?.closed
  })

  test('holds back what had arrived with the same bytes', async () => {
    const events = [delta({ content: 'a' }), delta({ content: 'b' }, 'stop')].map(
      (event) => `data: ${JSON.stringify(event)}\n\n`,
    )
    const client = clientOf('http://127.0.0.1:9/v1', { fetch: async () => new Response(events.join('')) })
    const stop = new AbortController()
    const chunks = client.stream(hello, { signal: stop.signal })
    expect(await chunks.next()).toEqual({ done: false, value: { type: 'text', text: 'a' } })
    stop.abort(reason)
    await expect(chunks.next()).rejects.toEqual(aborted)
  })

  test('does not wait for a fetch that ignores it', async () => {
    const stop = new AbortController()
    const calling = clientOf('http://127.0.0.1:9/v1', { fetch: () => new Promise(() => {}) }).call(hello, {
      signal: stop.signal,
    })
    stop.abort(reason)
    await expect(calling).rejects.toEqual(aborted)
  })

  test('leaves no listener on the signal it came from', async () => {
    await using server = await rawServer((response, _, number) => {
      if (number % 2 === 0) response.writeHead(500).end()
      else sendEvents(response, delta({ content: 'a' }, 'stop'), '[DONE]')
    })
    const { signal } = new AbortController()
    const added = vi.spyOn(signal, 'addEventListener')
    const removed = vi.spyOn(signal, 'removeEventListener')
    const client = clientOf(server.url)
    for (let turn = 0; turn < 4; turn += 1) await client.call(hello, { signal }).catch(() => {})
    expect(added).toHaveBeenCalledTimes(4)
    expect(removed.mock.calls.map(([, listener]) => listener)).toEqual(
      added.mock.calls.map(([, listener]) => listener),
    )
  })
})

describe('leaving a stream', () => {
  test('cancels the request', async () => {
    await using server = await rawServer((response) => {
      startEvents(response, delta({ content: 'a' }))
    })
    for await (const chunk of clientOf(server.url).stream(hello)) {
      expect(chunk).toEqual({ type: 'text', text: 'a' })
      break
    }
    await server.requests[0]?.closed
  })

  test('does not wait for the chunk that is under way', async () => {
    await using server = await rawServer((response) => {
      startEvents(response)
    })
    const chunks = clientOf(server.url).stream(hello)
    const next = chunks.next().catch((error: unknown) => error)
    expect(await chunks.return?.()).toEqual({ done: true, value: undefined })
    expect(await next).toMatchObject({ kind: 'aborted' })
    expect(await chunks.next()).toEqual({ done: true, value: undefined })
  })

  test('before it began sends nothing', async () => {
    await using server = await rawServer((response) => sendEvents(response))
    const chunks = clientOf(server.url).stream(hello)
    await chunks.return?.()
    expect(await chunks.next()).toEqual({ done: true, value: undefined })
    expect(server.requests).toHaveLength(0)
  })
})

describe('making a client', () => {
  test('without a key names the variable; a server of your own needs none', async () => {
    expect(() => new OpenAIClient()).toThrow(
      expect.objectContaining({ code: 'missing_credential', variable: 'OPENAI_API_KEY' }),
    )
    expect(() => new OpenAIClient({ baseURL: 'https://eu.api.openai.com/v1' })).toThrow(/OPENAI_API_KEY/)
    vi.stubEnv('OPENAI_API_KEY', ' ')
    expect(() => new OpenAIClient()).toThrow(expect.objectContaining({ code: 'missing_credential' }))
    await using server = await rawServer((response) => sendEvents(response, delta({ content: 'a' }, 'stop')))
    await new OpenAIClient({ baseURL: server.url }).call(hello)
    expect(server.requests[0]?.headers.authorization).toBe('Bearer not-needed')
  })

  test('says what the model can do', () => {
    const unset = { tools: undefined } as object // what JavaScript may pass
    const usual = { tools: true, streaming: true, structuredOutput: true, images: true }
    const of = (options: OpenAIClientOptions) => new OpenAIClient({ apiKey, ...options }).capabilities
    expect(of({})).toEqual({ ...usual, contextWindow: 128_000 })
    expect(of({ model: 'gpt-4.1-mini' })).toEqual({ ...usual, contextWindow: 1_047_576 })
    expect(of({ model: 'gpt-5-mini' })).toEqual({ ...usual, contextWindow: 400_000 })
    expect(of({ model: 'ft:gpt-3.5-turbo-0125:me' })).toEqual({ ...usual, contextWindow: 16_385 })
    expect(of({ model: 'unheard-of' })).toEqual(usual)
    expect(of({ baseURL: 'http://localhost:11434/v1' })).toEqual(usual)
    expect(of({ baseURL: 'https://eu.api.openai.com/v1' })).toEqual({ ...usual, contextWindow: 128_000 })
    expect(of({ baseURL: 'https://api.openai.com.evil.test/v1' })).toEqual(usual)
    expect(of({ capabilities: { images: false, contextWindow: 1000, ...unset } })).toEqual({
      ...usual,
      images: false,
      contextWindow: 1000,
    })
  })

  test.each([
    [{ modle: 'gpt-4o' }, 'modle'],
    [{ model: '' }, 'model'],
    [{ apiKey: 'ключ' }, 'apiKey'],
    [{ apiKey: `${apiKey}\n${apiKey}` }, 'apiKey'],
    [{ baseURL: 'localhost:11434' }, 'baseURL'],
    [{ fetch: 'fetch' }, 'fetch'],
    [{ defaultHeaders: { authorization: [apiKey] } }, 'defaultHeaders'],
    [{ capabilities: { tools: 'yes' } }, 'capabilities.tools'],
    [{ quirks: { maxTokensField: 'tokens' } }, 'quirks.maxTokensField'],
  ])('with %j is refused', (options, path) => {
    const make = () => new OpenAIClient({ apiKey, ...options } as unknown as OpenAIClientOptions) // what JavaScript may pass
    expect(make).toThrow(
      expect.objectContaining({ code: 'configuration', path, message: expect.not.stringContaining(apiKey) }),
    )
  })

  test('keeps the key out of sight', () => {
    const client = new OpenAIClient({ apiKey })
    expect(inspect(client, { depth: 9, showHidden: true }) + JSON.stringify(client)).not.toContain(apiKey)
  })

  test('loads the SDK at the first call, and says what to install if there is none', async () => {
    const program = `
      import { registerHooks } from 'node:module'
      const loaded = []
      registerHooks({ resolve(specifier, context, next) {
        if (specifier !== 'openai') return next(specifier, context)
        loaded.push(specifier)
        throw Object.assign(new Error("Cannot find package 'openai'"), { code: 'ERR_MODULE_NOT_FOUND' })
      } })
      const { OpenAIClient } = await import('./src/providers/openai.ts')
      const client = new OpenAIClient({ apiKey: 'sk-test' })
      const before = loaded.length
      const error = await client.call({ messages: [] }).catch((error) => error)
      console.log(JSON.stringify([before, loaded.length, error.code, error.message]))`
    const { stdout, stderr, code } = await runNode(['--input-type=module', '--eval', program], { cwd: root })
    expect({ code, stderr, said: JSON.parse(stdout || 'null') }).toEqual({
      code: 0,
      stderr: '',
      said: [0, 1, 'missing_package', 'The package "openai" is not installed. Run: npm install openai'],
    })
  })
})
