import { describe, expect, test } from 'vitest'
import type { LLMClient, LLMRequest, LLMResponse } from '../../src/client/client.ts'
import { user } from '../../src/messages.ts'
import { AnthropicClient } from '../../src/providers/anthropic.ts'
import { GroqClient } from '../../src/providers/groq.ts'
import { OpenAIClient } from '../../src/providers/openai.ts'
import { readProviderLimits } from '../../src/providers/rate-limit-headers.ts'
import { rateLimit } from '../../src/resilience/rate-limit.ts'
import { virtualClock } from '../../src/testing/clock.ts'
import { strictProvider } from '../../src/testing/strict-provider.ts'
import { answering, eventText, json } from '../support/fetch.ts'

const read = (headers: Record<string, string>, now = 0) => readProviderLimits(new Headers(headers), now)

// As OpenAI's and Groq's documentation show them.
const openAI = {
  'x-ratelimit-limit-requests': '60',
  'x-ratelimit-limit-tokens': '150000',
  'x-ratelimit-remaining-requests': '59',
  'x-ratelimit-remaining-tokens': '149984',
  'x-ratelimit-reset-requests': '1s',
  'x-ratelimit-reset-tokens': '6m0s',
}
const groq = {
  'x-ratelimit-limit-requests': '14400',
  'x-ratelimit-limit-tokens': '18000',
  'x-ratelimit-remaining-requests': '14370',
  'x-ratelimit-remaining-tokens': '17997',
  'x-ratelimit-reset-requests': '2m59.56s',
  'x-ratelimit-reset-tokens': '7.66s',
}
const anthropic = {
  'anthropic-ratelimit-requests-limit': '50',
  'anthropic-ratelimit-requests-remaining': '0',
  'anthropic-ratelimit-requests-reset': '1970-01-01T00:01:00Z',
  'anthropic-ratelimit-tokens-limit': '48000',
  'anthropic-ratelimit-tokens-remaining': '47000',
  'anthropic-ratelimit-tokens-reset': '1970-01-01T00:00:02.5+00:00',
  'anthropic-ratelimit-input-tokens-limit': '40000',
  'anthropic-ratelimit-input-tokens-remaining': '39000',
  'anthropic-ratelimit-input-tokens-reset': '1970-01-01T00:00:00Z',
  'anthropic-ratelimit-output-tokens-limit': '8000',
  'anthropic-ratelimit-output-tokens-remaining': '8000',
  'anthropic-ratelimit-output-tokens-reset': '1970-01-01T00:00:01Z',
}

describe('what a provider says of its limits', () => {
  test('is read as OpenAI says it', () => {
    expect(read(openAI)).toEqual({
      requests: { limit: 60, remaining: 59, resetMs: 1000 },
      tokens: { limit: 150_000, remaining: 149_984, resetMs: 360_000 },
    })
  })

  test('is read as Groq says it', () => {
    expect(read(groq)).toEqual({
      requests: { limit: 14_400, remaining: 14_370, resetMs: 179_560 },
      tokens: { limit: 18_000, remaining: 17_997, resetMs: 7660 },
    })
  })

  test('is read as Anthropic says it; a time that has passed is now', () => {
    expect(read(anthropic, 1000)).toEqual({
      requests: { limit: 50, remaining: 0, resetMs: 59_000 },
      tokens: { limit: 48_000, remaining: 47_000, resetMs: 1500 },
      inputTokens: { limit: 40_000, remaining: 39_000, resetMs: 0 },
      outputTokens: { limit: 8000, remaining: 8000, resetMs: 0 },
    })
  })

  test.each([
    ['20ms', 20],
    ['1h2m3s', 3_723_000],
    ['0s', 0],
    ['1.5s', 1500],
    ['0.4ms', 1],
    ['1d', 86_400_000],
    [' 7s ', 7000],
  ])('knows that %s are %d ms', (text, resetMs) => {
    const headers = { 'x-ratelimit-remaining-requests': '3', 'x-ratelimit-reset-requests': text }
    expect(read(headers)).toEqual({ requests: { remaining: 3, resetMs } })
  })

  test.each(['', '7', '-1s', 's', '1x', '1s2', 'soon', '1e3s', `${'9'.repeat(99)}s`, '1s'.repeat(50_000)])(
    'says nothing of a reset that cannot be read: %.20s',
    (text) => {
      const headers = { 'x-ratelimit-remaining-requests': '3', 'x-ratelimit-reset-requests': text }
      expect(read(headers)).toBeUndefined()
    },
  )

  test.each(['', '-1', '1.5', 'many', 'NaN', '1e3', '9'.repeat(99)])('nor of a count: %.20s', (text) => {
    expect(read({ ...openAI, 'x-ratelimit-remaining-requests': text })).toEqual({ tokens: expect.anything() })
    expect(read({ ...openAI, 'x-ratelimit-limit-requests': text })).toMatchObject({
      requests: { remaining: 59 },
    })
    expect(read({})).toBeUndefined()
  })
})

const request: LLMRequest = { messages: [user('Hi.')] }

const completion = {
  id: 'c',
  object: 'chat.completion',
  created: 1,
  model: 'm',
  choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'Hi.' } }],
}
const message = {
  id: 'm',
  type: 'message',
  role: 'assistant',
  model: 'm',
  content: [{ type: 'text', text: 'Hi.' }],
  stop_reason: 'end_turn',
  usage: { input_tokens: 1, output_tokens: 1 },
}
const delta = (rest: object) => ({
  ...completion,
  object: 'chat.completion.chunk',
  choices: [{ index: 0, ...rest }],
})
const completionEvents = [
  delta({ delta: { content: 'Hi.' } }),
  delta({ delta: {}, finish_reason: 'stop' }),
  '[DONE]',
]
const messageEvents = [
  { type: 'message_start', message: { ...message, content: [], stop_reason: null } },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hi.' } },
  { type: 'content_block_stop', index: 0 },
  { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 1 } },
  { type: 'message_stop' },
]

async function streamed(client: LLMClient): Promise<LLMResponse | undefined> {
  let response: LLMResponse | undefined
  for await (const chunk of client.stream?.(request) ?? [])
    if (chunk.type === 'end') response = chunk.response
  return response
}

describe('a response holds what its provider says of its limits', () => {
  // The SDKs are not there at once, and a clock that moves by itself would not wait for them.
  const { runtime } = virtualClock({ auto: false })
  type Make = (fetch: typeof globalThis.fetch) => LLMClient
  const cases: [string, Make, Record<string, string>, object, readonly (object | string)[]][] = [
    [
      'OpenAI',
      (fetch) => new OpenAIClient({ apiKey: 'k', fetch, runtime }),
      openAI,
      completion,
      completionEvents,
    ],
    [
      'Groq',
      (fetch) => new GroqClient({ apiKey: 'k', model: 'm', fetch, runtime }),
      groq,
      completion,
      completionEvents,
    ],
    [
      'Anthropic',
      (fetch) => new AnthropicClient({ apiKey: 'k', model: 'm', fetch, runtime }),
      anthropic,
      message,
      messageEvents,
    ],
  ]

  test.each(cases)('%s, whole and streamed', async (_, make, headers, body, events) => {
    const { fetch } = answering((number) =>
      number === 1
        ? json(body, { headers: { ...headers, 'content-type': 'application/json' } })
        : new Response(events.map(eventText).join(''), {
            headers: { ...headers, 'content-type': 'text/event-stream' },
          }),
    )
    const client = make(fetch)
    const expected = { text: 'Hi.', rateLimit: read(headers) }
    expect(await client.call(request)).toMatchObject(expected)
    expect(await streamed(client)).toMatchObject(expected)
  })

  test('and nothing where it says nothing', async () => {
    await using provider = await strictProvider()
    const client = new OpenAIClient({ apiKey: 'k', baseURL: provider.url })
    expect('rateLimit' in (await client.call(request))).toBe(false)
  })

  test('so that a rate limit without limits of its own waits for it', async () => {
    const clock = virtualClock()
    const starts: number[] = []
    const left = (remaining: string) => ({
      'x-ratelimit-limit-requests': '2',
      'x-ratelimit-remaining-requests': remaining,
      'x-ratelimit-reset-requests': remaining === '1' ? '30s' : '1m0s',
    })
    const { fetch } = answering((number) => {
      starts.push(clock.runtime.now())
      return json(completion, {
        headers: { ...left(number === 1 ? '1' : '0'), 'content-type': 'application/json' },
      })
    })
    const client = rateLimit({ runtime: clock.runtime })(new OpenAIClient({ apiKey: 'k', fetch, runtime }))
    for (let call = 0; call < 3; call++) await client.call(request)
    expect(starts).toEqual([0, 0, 30_000])
  })
})
