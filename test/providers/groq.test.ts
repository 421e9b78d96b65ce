import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, expectTypeOf, test, vi } from 'vitest'
import type { LLMClient, LLMRequest } from '../../src/client/client.ts'
import { assistant, toolMessage, user } from '../../src/messages.ts'
import { GroqClient, type GroqClientOptions } from '../../src/providers/groq.ts'
import { answering, events, eventText, json } from '../support/fetch.ts'
import { delta } from '../support/raw-server.ts'

const apiKey = 'gsk_0123456789abcdef'
const hello: LLMRequest = { messages: [user('Hello')] }
const model = 'openai/gpt-oss-120b'

beforeEach(() => {
  for (const name of ['GROQ_API_KEY', 'GROQ_BASE_URL']) vi.stubEnv(name, undefined)
})

afterEach(() => {
  vi.unstubAllEnvs()
})

function talking(answer: () => Response, options: Partial<GroqClientOptions> = {}) {
  const { fetch, sent } = answering(answer)
  const client = new GroqClient({ apiKey, model, fetch, ...options })
  const say = async (verb: 'call' | 'stream', request = hello) => {
    if (verb === 'call') return client.call(request)
    for await (const chunk of client.stream(request)) if (chunk.type === 'end') return chunk.response
    throw new Error('no end')
  }
  return { client, sent, say }
}

const ok = () => json({ choices: [{ message: { content: 'Hi' }, finish_reason: 'stop' }] })

test('is a client', () => {
  expectTypeOf<GroqClient>().toExtend<LLMClient>()
})

test.each([
  'https://proxy.test',
  'https://proxy.test/',
  'https://proxy.test/openai/v1',
  'https://proxy.test/openai/v1/',
])('the base URL %s is understood', async (baseURL) => {
  const { client, sent } = talking(ok, { baseURL })
  await client.call(hello)
  expect(sent[0]?.url).toBe('https://proxy.test/openai/v1/chat/completions')
})

test('the environment has key and address where the options have none', async () => {
  vi.stubEnv('GROQ_API_KEY', ` ${apiKey}\n`)
  vi.stubEnv('GROQ_BASE_URL', 'https://groq.test')
  const { fetch, sent } = answering(ok)
  await new GroqClient({ model, fetch }).call(hello)
  expect(sent.map(({ url, headers }) => [url, headers.get('authorization')])).toEqual([
    ['https://groq.test/openai/v1/chat/completions', `Bearer ${apiKey}`],
  ])
  vi.stubEnv('GROQ_API_KEY', undefined)
  expect(() => new GroqClient({ model })).toThrow(
    'There is no API key for Groq. Set GROQ_API_KEY, or pass apiKey.',
  )
})

describe('reads', () => {
  test('reasoning, usage in x_groq, and the request id of the headers', async () => {
    const response = events(
      { ...delta({ role: 'assistant', content: '' }), x_groq: { id: 'req_x' } },
      delta({ reasoning: 'hm', channel: 'analysis' }),
      delta({ content: 'Hi' }),
      {
        ...delta({}, 'stop'),
        x_groq: { id: 'req_x', usage: { prompt_tokens: 3, completion_tokens: 2, queue_time: 0.1 } },
      },
      '[DONE]',
    )
    response.headers.set('x-request-id', 'req_header')
    expect(await talking(() => response).say('stream')).toEqual({
      text: 'Hi',
      toolCalls: [],
      reasoning: [{ provider: 'groq', model, text: 'hm' }],
      stopReason: 'stop',
      usage: { inputTokens: 3, outputTokens: 2 },
      requestId: 'req_header',
    })
  })

  test('the request id of x_groq where the headers have none', async () => {
    const body = { choices: [{ message: { content: 'Hi' }, finish_reason: 'stop' }], x_groq: { id: 'req_x' } }
    expect((await talking(() => json(body)).say('call')).requestId).toBe('req_x')
  })

  test('an error in x_groq', async () => {
    const answer = () =>
      events(delta({ content: 'Hi' }), { choices: [], x_groq: { id: 'req_x', error: 'over capacity' } })
    await expect(talking(answer).say('stream')).rejects.toMatchObject({
      kind: 'overloaded',
      requestId: 'req_x',
      message: 'groq (openai/gpt-oss-120b) failed: over capacity. Call again later.',
    })
  })
})

describe('a tool call that the model got wrong can be asked for again', () => {
  const error = {
    message: "Failed to call a function. See 'failed_generation' for more details.",
    type: 'invalid_request_error',
    code: 'tool_use_failed',
    failed_generation: `<function=weather{"city": Oslo} ${apiKey}>`,
  }
  const message =
    'Failed to call a function. See \'failed_generation\' for more details. It wrote: <function=weather{"city": Oslo} [secret]>. Call again.'

  test.each(['call', 'stream'] as const)('by its status: %s', async (verb) => {
    const answer = () => json({ error }, { status: 400 })
    const failure = await talking(answer)
      .say(verb)
      .catch((thrown: unknown) => thrown)
    expect(failure).toMatchObject({ kind: 'malformed', status: 400, retryable: true })
    expect((failure as Error).message.replace(/\[[^\]]*\]/, '[secret]')).toBe(
      `groq (${model}) answered 400 tool_use_failed: ${message}`,
    )
    expect(inspect(failure)).not.toContain(apiKey)
  })

  test('in the middle of a stream', async () => {
    const body = `${eventText(delta({ reasoning: 'hm' }))}event: error\n${eventText({ error: { ...error, status_code: 400 } })}`
    const answer = () => new Response(body, { headers: { 'content-type': 'text/event-stream' } })
    await expect(talking(answer).say('stream')).rejects.toMatchObject({ kind: 'malformed', retryable: true })
  })
})

test('sends texts where Groq takes only texts, and no names', async () => {
  const { sent, say } = talking(ok)
  const call = { id: 'call_1', toolName: 'weather', parameters: { city: 'Oslo' } }
  const image = { type: 'image', url: 'https://example.test/a.png' } as const
  await say('call', {
    system: 'Be brief.',
    messages: [
      user([{ type: 'text', text: 'Look' }, image]),
      { ...assistant('', [call]), reasoning: [{ provider: 'groq', model, text: 'hm' }] },
      toolMessage(call, 'Sunny'),
    ],
    params: { maxOutputTokens: 9 },
  })
  expect(sent[0]?.body).toEqual({
    model,
    max_completion_tokens: 9,
    messages: [
      { role: 'system', content: 'Be brief.' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Look' },
          { type: 'image_url', image_url: { url: image.url } },
        ],
      },
      {
        role: 'assistant',
        content: null,
        tool_calls: [
          { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
        ],
      },
      { role: 'tool', tool_call_id: 'call_1', content: 'Sunny' },
    ],
  })
})

test('refuses files before it sends them', async () => {
  const { sent, say } = talking(ok)
  const file = { type: 'file', data: 'AAAA', mediaType: 'application/pdf' } as const
  await expect(say('call', { messages: [user([file])] })).rejects.toMatchObject({
    kind: 'invalid_request',
    message: `groq (${model}) takes no files. Give their text instead.`,
  })
  expect(sent).toEqual([])
})

test('says what it can do; structured output is asked for by name', () => {
  const { client } = talking(ok)
  expect(client.capabilities).toEqual({ tools: true, streaming: true, structuredOutput: false, images: true })
  const { capabilities } = talking(ok, { capabilities: { structuredOutput: true } }).client
  expect(capabilities.structuredOutput).toBe(true)
})

test('keeps the key out of sight', () => {
  expect(inspect(talking(ok).client, { depth: 9, showHidden: true })).not.toContain(apiKey)
})
