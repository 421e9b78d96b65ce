import { Agent, request as httpRequest } from 'node:http'
import OpenAI, { APIError } from 'openai'
import type { ChatCompletion, ChatCompletionChunk, ChatCompletionCreateParams } from 'openai/resources/chat'
import { afterEach, describe, expect, it } from 'vitest'
import { ConfigurationError } from '../../src/errors.ts'
import type { JsonObject } from '../../src/json.ts'
import type { Chunking } from '../../src/testing/strict-bytes.ts'
import type { StrictReply } from '../../src/testing/strict-contract.ts'
import {
  type StrictProvider,
  type StrictProviderOptions,
  strictProvider,
} from '../../src/testing/strict-provider.ts'

const hello = { model: 'gpt-4o', messages: [{ role: 'user' as const, content: 'hi' }] }
const weather = {
  type: 'function' as const,
  function: {
    name: 'get_weather',
    parameters: {
      type: 'object',
      properties: {
        city: { type: 'string', minLength: 3 },
        days: { type: 'integer', minimum: 2 },
        unit: { enum: ['C', 'F'] },
        tags: { type: 'array', items: { type: 'string' } },
        when: { anyOf: [{ type: 'string', format: 'date' }, { type: 'null' }] },
        exact: { type: ['boolean', 'null'] },
      },
    },
  },
}

const open: StrictProvider[] = []
afterEach(async () => {
  for (const provider of open.splice(0)) await provider.close()
})

async function start(options?: StrictProviderOptions): Promise<{ provider: StrictProvider; client: OpenAI }> {
  const provider = await strictProvider(options)
  open.push(provider)
  return { provider, client: new OpenAI({ apiKey: 'sk-test', baseURL: provider.url, maxRetries: 0 }) }
}

async function streamed(client: OpenAI, changes: Partial<ChatCompletionCreateParams> = {}) {
  const chunks: ChatCompletionChunk[] = []
  const stream = await client.chat.completions.create({ ...hello, ...changes, stream: true })
  for await (const chunk of stream) chunks.push(chunk)
  return chunks
}

/** What the deltas of a stream add up to, without the parts that say nothing. */
function collected(chunks: readonly ChatCompletionChunk[]) {
  const deltas = chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta))
  const calls: { id: string; name: string; arguments: string }[] = []
  for (const part of deltas.flatMap((delta) => delta.tool_calls ?? [])) {
    calls[part.index] ??= { id: part.id ?? '', name: part.function?.name ?? '', arguments: '' }
    const call = calls[part.index]
    if (call !== undefined) call.arguments += part.function?.arguments ?? ''
  }
  return {
    text: deltas.map((delta) => delta.content ?? '').join(''),
    refusal: deltas.map((delta) => delta.refusal ?? '').join(''),
    calls,
    stop: chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.finish_reason)).filter(Boolean),
    usage: chunks.flatMap((chunk) => chunk.usage ?? []),
  }
}

function whole(completion: ChatCompletion) {
  const [choice] = completion.choices
  return {
    text: choice?.message.content ?? '',
    refusal: choice?.message.refusal ?? '',
    calls: (choice?.message.tool_calls ?? []).map((call) =>
      call.type === 'function' ? { id: call.id, ...call.function } : call,
    ),
    stop: [choice?.finish_reason],
    usage: completion.usage === undefined ? [] : [completion.usage],
  }
}

const usage = { inputTokens: 12, outputTokens: 7, cachedInputTokens: 5, reasoningTokens: 3 }
const wireUsage = {
  prompt_tokens: 12,
  completion_tokens: 7,
  total_tokens: 19,
  prompt_tokens_details: { cached_tokens: 5, audio_tokens: 0 },
  completion_tokens_details: {
    reasoning_tokens: 3,
    audio_tokens: 0,
    accepted_prediction_tokens: 0,
    rejected_prediction_tokens: 0,
  },
}

const spoken = 'Grüße, 世界! 👩‍🚀 naïve \u2028 end\n'
const replies: [name: string, reply: StrictReply, expected: Omit<ReturnType<typeof collected>, 'usage'>][] = [
  ['text', { text: spoken, usage }, { text: spoken, refusal: '', calls: [], stop: ['stop'] }],
  ['no text at all', { text: '', usage }, { text: '', refusal: '', calls: [], stop: ['stop'] }],
  [
    'a text that was cut',
    { text: 'so f', stop: 'length', usage },
    { text: 'so f', refusal: '', calls: [], stop: ['length'] },
  ],
  [
    'a filtered text',
    { text: '', stop: 'content_filter', usage },
    { text: '', refusal: '', calls: [], stop: ['content_filter'] },
  ],
  [
    'a refusal',
    { refusal: 'I will nöt.', usage },
    { text: '', refusal: 'I will nöt.', calls: [], stop: ['stop'] },
  ],
  [
    'a tool call with a thought',
    { text: 'Let me see.', toolCalls: [{ toolName: 'get_weather', parameters: { city: 'Zürich' } }], usage },
    {
      text: 'Let me see.',
      refusal: '',
      calls: [{ id: 'call_1', name: 'get_weather', arguments: '{"city":"Zürich"}' }],
      stop: ['tool_calls'],
    },
  ],
  [
    'parallel tool calls, one of them broken',
    {
      toolCalls: [
        { toolName: 'get_weather', parameters: { city: '東京' } },
        { id: 'mine', toolName: 'get_weather', parameters: '{"city":' },
        { toolName: 'get_weather', parameters: {} },
      ],
      usage,
    },
    {
      text: '',
      refusal: '',
      calls: [
        { id: 'call_1', name: 'get_weather', arguments: '{"city":"東京"}' },
        { id: 'mine', name: 'get_weather', arguments: '{"city":' },
        { id: 'call_2', name: 'get_weather', arguments: '{}' },
      ],
      stop: ['tool_calls'],
    },
  ],
]

const chunkings: [name: string, chunking: Chunking][] = [
  ['event', 'event'],
  ['whole', 'whole'],
  ['bytes', 'bytes'],
  ['utf8', 'utf8'],
  [
    'sevens',
    (bytes) =>
      Array.from({ length: Math.ceil(bytes.length / 7) }, (_, n) => bytes.subarray(n * 7, n * 7 + 7)),
  ],
]

/** Posts with Node's own client, which gives the chunks of a response as they were written. */
async function post(
  provider: StrictProvider,
  body: JsonObject,
  agent?: Agent,
): Promise<{ sizes: number[]; text: string }> {
  const headers = { authorization: 'Bearer k', 'content-type': 'application/json' }
  const chunks: Uint8Array[] = await new Promise((resolve, reject) => {
    const sent = httpRequest(
      `${provider.url}/chat/completions`,
      { method: 'POST', headers, ...(agent && { agent }) },
      (response) => {
        const read: Uint8Array[] = []
        response.on('data', (chunk: Uint8Array) => read.push(chunk))
        response.on('close', () => resolve(read))
      },
    )
    sent.on('error', reject)
    sent.end(JSON.stringify(body))
  })
  return { sizes: chunks.map((chunk) => chunk.length), text: Buffer.concat(chunks).toString() }
}

describe.each(chunkings)('with chunking %s the openai SDK reads', (_, chunking) => {
  it.each(replies)('%s as JSON', async (_name, reply, expected) => {
    const { provider, client } = await start({ script: [reply], chunking })
    expect(whole(await client.chat.completions.create(hello))).toEqual({ ...expected, usage: [wireUsage] })
    expect(provider.refusals).toEqual([])
  })

  it.each(replies)('%s as a stream', async (_name, reply, expected) => {
    const { provider, client } = await start({ script: [reply], chunking })
    const chunks = await streamed(client, { stream_options: { include_usage: true } })
    expect(collected(chunks)).toEqual({ ...expected, usage: [wireUsage] })
    expect(provider.refusals).toEqual([])
    await until(() => provider.liveRequests === 0)
    expect(provider.requests.map((request) => request.clientAborted)).toEqual([false])
  })
})

describe('the bytes of a reply', () => {
  const envelope = {
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1760000000,
    model: 'gpt-4o',
    service_tier: 'default',
    system_fingerprint: 'fp_strict',
  }
  const event = (delta: JsonObject, finish_reason: string | null = null): string =>
    `data: ${JSON.stringify({ ...envelope, choices: [{ index: 0, delta, logprobs: null, finish_reason }] })}\n\n`

  it('are events that end in [DONE], with no usage unless it is asked for', async () => {
    const { provider } = await start({
      script: [{ text: 'a b', reasoning: 'hm', usage }],
      pieces: 'codepoint',
    })
    const { text } = await post(provider, { ...hello, stream: true })
    expect(text).toBe(
      event({ role: 'assistant', content: '', refusal: null }) +
        event({ reasoning_content: 'h' }) +
        event({ reasoning_content: 'm' }) +
        event({ content: 'a' }) +
        event({ content: ' ' }) +
        event({ content: 'b' }) +
        event({}, 'stop') +
        'data: [DONE]\n\n',
    )
  })

  it('name usage as null in every chunk before the one that has it', async () => {
    const { client } = await start({ script: [{ text: 'a', usage }] })
    const chunks = await streamed(client, { stream_options: { include_usage: true } })
    expect(chunks.map((chunk) => [chunk.choices.length, chunk.usage])).toEqual([
      [1, null],
      [1, null],
      [1, null],
      [0, wireUsage],
    ])
  })

  it('are written one by one', async () => {
    const { provider } = await start({ script: [{ text: 'é' }, { text: 'é' }], chunking: 'bytes' })
    for (const stream of [true, false]) {
      const { sizes, text } = await post(provider, { ...hello, stream })
      expect(new Set(sizes)).toEqual(new Set([1]))
      expect(sizes.length).toBe(Buffer.byteLength(text))
    }
  })

  it('are cut inside every character of more than one byte', async () => {
    const { provider } = await start({ script: [{ text: 'é世👋' }], chunking: 'utf8', pieces: 3 })
    const { sizes, text } = await post(provider, { ...hello, stream: true })
    expect(text).toContain('"content":"é世👋"')
    // The first event, the second up to the first byte of é, then [A9 E4] [B8] [96 F0] [9F] [91] and the rest.
    expect(sizes.slice(2, 7)).toEqual([2, 1, 2, 1, 1])
    expect(sizes.length).toBe(10)
  })

  it('are split into words, code points or pieces of a length, and never inside a character', async () => {
    const pieces = async (option: StrictProviderOptions['pieces']): Promise<unknown[]> => {
      const { client } = await start({
        script: [{ text: 'Héllo, 👋👋!' }],
        ...(option && { pieces: option }),
      })
      return (await streamed(client)).flatMap((chunk) => chunk.choices[0]?.delta.content || [])
    }
    expect(await pieces(undefined)).toEqual(['Héllo', ', 👋👋!'])
    expect(await pieces('codepoint')).toEqual(['H', 'é', 'l', 'l', 'o', ',', ' ', '👋', '👋', '!'])
    expect(await pieces(8)).toEqual(['Héllo, 👋', '👋!'])
  })
})

describe('a script', () => {
  it('may leave usage out, or leave it to an estimate', async () => {
    const { client } = await start({ script: [{ text: 'a', usage: 'absent' }, { text: 'abcdefgh' }] })
    expect((await client.chat.completions.create(hello)).usage).toBeUndefined()
    expect((await client.chat.completions.create(hello)).usage).toMatchObject({
      prompt_tokens: Math.ceil(JSON.stringify(hello.messages).length / 4),
      completion_tokens: 2,
    })
  })

  it('leaves the usage chunk of a stream out too', async () => {
    const { client } = await start({ script: [{ text: 'a', usage: 'absent' }] })
    const chunks = await streamed(client, { stream_options: { include_usage: true } })
    expect(chunks.map((chunk) => 'usage' in chunk)).toEqual([false, false, false])
  })

  it('may answer with an error of any body and headers', async () => {
    const error = { message: 'Slow down.', type: 'requests', param: null, code: 'rate_limit_exceeded' }
    const { provider, client } = await start({
      script: [
        { status: 429, body: { error }, headers: { 'Retry-After': '7' } },
        { status: 502, body: '<html>', headers: { 'Content-Type': 'text/html' } },
        { status: 503 },
      ],
    })
    const failures: unknown[] = []
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const thrown: unknown = await client.chat.completions.create(hello).catch((reason: unknown) => reason)
      if (!(thrown instanceof APIError)) throw new Error('the request was served')
      const header = (name: string) => thrown.headers?.get(name)
      failures.push([thrown.status, thrown.error, header('retry-after'), header('content-type')])
    }
    expect(failures).toEqual([
      [429, error, '7', 'application/json'],
      [502, undefined, null, 'text/html'],
      [
        503,
        { message: 'Scripted error 503.', type: 'server_error', param: null, code: null },
        null,
        'application/json',
      ],
    ])
    expect(provider.refusals).toEqual([])
  })

  it('may be a function of the request', async () => {
    const { client } = await start({
      script: ({ body, headers }) => ({ text: `${body['model']} ${headers['x-who']}` }),
    })
    const completion = await client.chat.completions.create(hello, { headers: { 'X-Who': 'me' } })
    expect(completion.choices[0]?.message.content).toBe('gpt-4o me')
  })

  it('that runs out is an error of the provider, at once and loudly', async () => {
    const { provider, client } = await start({ script: [{ text: 'only' }] })
    const retrying = client.withOptions({ maxRetries: 3 })
    await retrying.chat.completions.create(hello)
    const body = {
      error: {
        message:
          'The script of the strict provider is exhausted: it has 1 reply, and request 2 asks for another one. Add a reply to the script, or find out why the client asks again.',
        type: 'server_error',
        param: null,
        code: 'script_exhausted',
      },
    }
    await expect(retrying.chat.completions.create(hello)).rejects.toMatchObject({
      status: 500,
      error: body.error,
    })
    expect(provider.refusals).toEqual([{ status: 500, rule: 'script_exhausted', body }])
    expect(provider.requests.map((request) => request.refusal?.rule)).toEqual([undefined, 'script_exhausted'])

    provider.script([{ text: 'again' }])
    expect((await client.chat.completions.create(hello)).choices[0]?.message.content).toBe('again')
  })

  it('that throws is an error of the provider, before and after the reply began', async () => {
    const { provider, client } = await start({
      script: () => {
        throw new Error('my mistake')
      },
    })
    const error = {
      message: 'The script of the strict provider threw: my mistake',
      type: 'server_error',
      param: null,
      code: 'script_failed',
    }
    await expect(client.chat.completions.create(hello)).rejects.toMatchObject({ status: 500, error })
    expect(provider.refusals).toEqual([{ status: 500, rule: 'script_failed', body: { error } }])

    const late = await start({
      chunking: () => {
        throw new Error('my mistake')
      },
    })
    await expect(streamed(late.client)).rejects.toThrow()
    expect(late.provider.refusals).toEqual([{ status: 500, rule: 'script_failed', body: { error } }])
    expect(late.provider.requests.map((request) => request.clientAborted)).toEqual([false])
  })

  it('that is absent calls the first tool once with sampled parameters, then says ok', async () => {
    const { provider, client } = await start()
    const first = await client.chat.completions.create({ ...hello, tools: [weather] })
    const message = first.choices[0]?.message
    const [call] = message?.tool_calls ?? []
    if (message === undefined || call?.type !== 'function') throw new Error('no tool was called')
    expect(call.function.name).toBe('get_weather')
    expect(JSON.parse(call.function.arguments)).toEqual({
      city: 'xxx',
      days: 2,
      unit: 'C',
      tags: ['x'],
      when: '2026-01-01',
      exact: true,
    })
    const messages = [
      ...hello.messages,
      message,
      { role: 'tool' as const, tool_call_id: call.id, content: 'Sun' },
    ]
    const ask = async (changes: Partial<ChatCompletionCreateParams>) =>
      whole(await client.chat.completions.create({ ...hello, tools: [weather], ...changes, stream: false }))
    expect(await ask({ messages })).toMatchObject({ text: 'ok', calls: [] })
    expect(await ask({ messages: [...messages, ...hello.messages] })).toMatchObject({
      text: '',
      stop: ['tool_calls'],
    })
    expect(await ask({ tool_choice: 'none' })).toMatchObject({ text: 'ok', calls: [] })
    const other = { type: 'function' as const, function: { name: 'other' } }
    expect(await ask({ tools: [weather, other], tool_choice: other })).toMatchObject({
      calls: [{ name: 'other', arguments: '{}' }],
    })
    expect(provider.refusals).toEqual([])
  })
})

describe('a request', () => {
  it('is recorded as it was sent, with the reason it was refused for', async () => {
    const { provider, client } = await start({ keys: ['sk-test'], models: ['gpt-4o'], contextWindow: 100 })
    const attempts: [client: OpenAI, body: JsonObject][] = [
      [client, { ...hello }],
      [client, { ...hello, max_token: 1 }],
      [client, { ...hello, model: 'gpt-9' }],
      [client, { ...hello, messages: [{ role: 'user', content: 'long '.repeat(100) }] }],
      [client.withOptions({ apiKey: 'sk-wrong' }), { ...hello }],
    ]
    const statuses: unknown[] = []
    for (const [caller, body] of attempts) {
      const answer = await caller
        .post('/chat/completions', { body })
        .catch((thrown: APIError) => thrown.status)
      statuses.push(typeof answer === 'number' ? answer : 200)
    }
    const rules = ['unknown_parameter', 'unknown_model', 'context_length', 'api_key']
    expect(statuses).toEqual([200, 400, 404, 400, 401])
    expect(provider.refusals.map((refusal) => refusal.rule)).toEqual(rules)
    expect(provider.requests.map(({ body, refusal }) => [body, refusal?.rule])).toEqual(
      attempts.map(([, body], index) => [body, [undefined, ...rules][index]]),
    )
    expect(provider.requests[0]).toMatchObject({
      method: 'POST',
      path: '/v1/chat/completions',
      headers: { authorization: 'Bearer sk-test', 'content-type': 'application/json' },
      clientAborted: false,
    })
  })

  it.each([
    ['no JSON', '{"model":', { 'content-type': 'application/json' }, 400, 'json'],
    ['no UTF-8', new Uint8Array([0x22, 0xff, 0x22]), { 'content-type': 'application/json' }, 400, 'json'],
    ['of another content type', JSON.stringify(hello), { 'content-type': 'text/plain' }, 400, 'json'],
  ])('that is %s is refused', async (_, body, headers, status, rule) => {
    const { provider } = await start()
    const response = await fetch(`${provider.url}/chat/completions`, {
      method: 'POST',
      headers: { ...headers, authorization: 'Bearer k' },
      body,
    })
    expect(response.status).toBe(status)
    expect(await response.json()).toEqual(provider.refusals[0]?.body)
    expect(provider.requests.map((request) => [request.body, request.refusal?.rule])).toEqual([[{}, rule]])
  })

  it('without a key or for another path is refused', async () => {
    const { provider } = await start()
    const noKey = await fetch(`${provider.url}/chat/completions`, { method: 'POST', body: '{}' })
    const noPath = await fetch(`${provider.url}/models?x=1`)
    expect([noKey.status, noPath.status]).toEqual([401, 404])
    expect([await noKey.json(), await noPath.json()]).toEqual(
      provider.refusals.map((refusal) => refusal.body),
    )
    expect(provider.refusals.map((refusal) => refusal.rule)).toEqual(['authorization', 'url'])
  })

  it('whose client leaves while it is held is marked, and nothing is written', async () => {
    const leave = new AbortController()
    const { provider, client } = await start({
      script: [{ text: 'late' }, { text: 'next' }],
      hold: (request) => {
        if (provider.requests.indexOf(request) > 0) return Promise.resolve()
        leave.abort()
        return new Promise(() => {})
      },
    })
    await expect(client.chat.completions.create(hello, { signal: leave.signal })).rejects.toThrow('aborted')
    // The second request is answered after the first one's connection is known to be gone, or before: both are fine.
    const next = await client.chat.completions.create(hello)
    expect(next.choices[0]?.message.content).toBe('next')
    await until(() => provider.liveRequests === 0)
    expect(provider.requests.map((request) => request.clientAborted)).toEqual([true, false])
  })

  it('whose client leaves in the middle of a stream is marked, and the rest is not written', async () => {
    const text = 'x'.repeat(64 * 1024 * 1024)
    const { provider, client } = await start({ script: [{ text }], pieces: 1024 * 1024 })
    const stream = await client.chat.completions.create({ ...hello, stream: true })
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break
    await until(() => provider.liveRequests === 0)
    expect(provider.requests.map((request) => request.clientAborted)).toEqual([true])
  })

  it('is held until it may be answered', async () => {
    const order: string[] = []
    const { client } = await start({
      hold: async () => {
        await Promise.resolve()
        order.push('held')
      },
    })
    await client.chat.completions.create(hello)
    order.push('answered')
    expect(order).toEqual(['held', 'answered'])
  })
})

describe('a provider', () => {
  it('keeps one connection for requests one after another, served and refused ones', async () => {
    const { provider } = await start({ chunking: 'bytes' })
    const agent = new Agent({ keepAlive: true })
    for (const changes of [{}, { stream: true }, { zap: 1 }, { stream: true }, {}]) {
      await post(provider, { ...hello, ...changes }, agent)
    }
    expect(provider.requests.length).toBe(5)
    expect(provider.openSockets).toBe(1)
  })

  it('gives the same bytes for the same requests', async () => {
    const run = async (): Promise<unknown[]> => {
      const { client } = await start()
      const tools = [weather]
      return [await client.chat.completions.create({ ...hello, tools }), await streamed(client, { tools })]
    }
    expect(JSON.stringify(await run())).toBe(JSON.stringify(await run()))
  })

  it('that is closed has no sockets and no requests left, also when some were held', async () => {
    const arrived: (() => void)[] = []
    const twoHeld = new Promise<void>((resolve) => {
      arrived.push(() => {}, resolve)
    })
    const { provider, client } = await start({
      hold: () => {
        arrived.shift()?.()
        return new Promise(() => {})
      },
    })
    const answers = [client.chat.completions.create(hello), streamed(client)].map((answer) =>
      answer.then(
        () => 'served',
        () => 'failed',
      ),
    )
    await twoHeld
    expect([provider.openSockets, provider.liveRequests]).toEqual([2, 2])
    await Promise.all([provider.close(), provider.close()])
    expect([provider.openSockets, provider.liveRequests]).toEqual([0, 0])
    expect(await Promise.all(answers)).toEqual(['failed', 'failed'])
    expect(provider.requests.map((request) => request.clientAborted)).toEqual([false, false])
    expect(provider.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/v1$/)
    await expect(fetch(provider.url)).rejects.toThrow()
  })

  it('closes at the end of its scope', async () => {
    let outer: StrictProvider | undefined
    {
      await using provider = await strictProvider()
      outer = provider
      await fetch(`${provider.url}/chat/completions`)
    }
    expect(outer.openSockets).toBe(0)
  })

  it.each([0, -1, 1.5, Number.NaN])('is not started with pieces of length %d', async (pieces) => {
    await expect(strictProvider({ pieces })).rejects.toEqual(
      new ConfigurationError('pieces', `pieces is ${pieces}; it must be a positive integer.`),
    )
  })
})

/** Lets the event loop turn until the condition holds; the test's own time limit ends a wait in vain. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}
