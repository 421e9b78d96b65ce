import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, expectTypeOf, test, vi } from 'vitest'
import type { LLMClient, LLMRequest } from '../../src/client/client.ts'
import { type AssistantMessage, addUsage, user } from '../../src/messages.ts'
import { OpenRouterClient, type OpenRouterClientOptions } from '../../src/providers/openrouter.ts'
import { answering, events, eventText, json } from '../support/fetch.ts'
import { delta } from '../support/raw-server.ts'

const apiKey = 'sk-or-0123456789abcdef'
const model = 'anthropic/claude-opus-4.5'
const hello: LLMRequest = { messages: [user('Hello')] }

beforeEach(() => {
  for (const name of ['OPENROUTER_API_KEY', 'OPENAI_API_KEY', 'OPENAI_BASE_URL', 'OPENAI_ORG_ID']) {
    vi.stubEnv(name, name === 'OPENROUTER_API_KEY' ? undefined : `openai-s-own-${name}`)
  }
})

afterEach(() => {
  vi.unstubAllEnvs()
})

function talking(answer: () => Response, options: Partial<OpenRouterClientOptions> = {}) {
  const { fetch, sent } = answering(answer)
  const client = new OpenRouterClient({ apiKey, model, fetch, ...options })
  const say = async (verb: 'call' | 'stream', request = hello) => {
    if (verb === 'call') return client.call(request)
    for await (const chunk of client.stream(request)) if (chunk.type === 'end') return chunk.response
    throw new Error('no end')
  }
  return { client, sent, say }
}

const ok = () => json({ choices: [{ message: { content: 'Hi' }, finish_reason: 'stop' }] })

test('is a client', () => {
  expectTypeOf<OpenRouterClient>().toExtend<LLMClient>()
})

test("takes its own key, never OpenAI's", async () => {
  expect(() => new OpenRouterClient({ model })).toThrow(
    'There is no API key for OpenRouter. Set OPENROUTER_API_KEY, or pass apiKey.',
  )
  vi.stubEnv('OPENROUTER_API_KEY', apiKey)
  const { fetch, sent } = answering(ok)
  await new OpenRouterClient({ model, fetch }).call(hello)
  expect(sent[0]?.headers.get('authorization')).toBe(`Bearer ${apiKey}`)
  expect(JSON.stringify([...(sent[0]?.headers ?? [])])).not.toContain('openai-s-own')
})

test('a name that no header can hold is refused when the client is made', () => {
  expect(() => new OpenRouterClient({ apiKey, model, appName: 'Ex\nample' })).toThrow(
    'OpenRouterClient option appName must be a text of visible ASCII characters and blanks',
  )
})

test('asks for the cost, and tells it as billed', async () => {
  const usage = {
    prompt_tokens: 10,
    completion_tokens: 4,
    total_tokens: 14,
    cost: 0.00042,
    prompt_tokens_details: { cached_tokens: 3 },
  }
  const body = { choices: [{ message: { content: 'Hi' }, finish_reason: 'stop' }], usage }
  const { sent, say } = talking(() => json(body))
  const response = await say('call', {
    ...hello,
    params: { extra: { models: ['a/b', 'c/d'], provider: { sort: 'price' } } },
  })
  const costs = { inputTokens: 10, outputTokens: 4, cachedInputTokens: 3, costUsd: 0.00042 }
  expect(response.usage).toEqual(costs)
  expect(sent[0]?.body).toEqual({
    model,
    messages: [{ role: 'user', content: 'Hello' }],
    usage: { include: true },
    models: ['a/b', 'c/d'],
    provider: { sort: 'price' },
  })
  expect(addUsage(costs, { inputTokens: 1, outputTokens: 1, costUsd: 1 }).costUsd).toBe(1.00042)
})

test.each([[-1], ['0.1'], [null]])('a cost of %s is none', async (cost) => {
  const usage = { prompt_tokens: 1, completion_tokens: 1, cost }
  const body = { choices: [{ message: { content: 'Hi' }, finish_reason: 'stop' }], usage }
  expect((await talking(() => json(body)).say('call')).usage).toEqual({ inputTokens: 1, outputTokens: 1 })
})

describe('the failure of a provider behind it is told', () => {
  const failed = {
    code: 502,
    message: 'Provider disconnected unexpectedly',
    metadata: { provider_name: 'X' },
  }
  const told = { kind: 'overloaded', status: 502, retryable: true }

  test('in the middle of a stream', async () => {
    const chunk = {
      id: 'g',
      error: failed,
      choices: [{ index: 0, delta: { content: '' }, finish_reason: 'error' }],
    }
    const body = `: OPENROUTER PROCESSING\n\n${[delta({ content: 'Hel' }), chunk, '[DONE]'].map(eventText).join('')}`
    const answer = () => new Response(body, { headers: { 'content-type': 'text/event-stream' } })
    await expect(talking(answer).say('stream')).rejects.toMatchObject(told)
  })

  test('in a body with status 200', async () => {
    await expect(talking(() => json({ error: failed })).say('call')).rejects.toMatchObject(told)
  })

  test('in the choice that it has no answer to', async () => {
    const answer = () =>
      json({ choices: [{ error: failed, message: { content: '' }, finish_reason: 'error' }] })
    await expect(talking(answer).say('call')).rejects.toMatchObject(told)
  })

  test.each([
    [429, 'rate_limit'],
    [402, 'quota'],
    [401, 'auth'],
    ['server_error', 'overloaded'],
  ])('by its code %s', async (code, kind) => {
    const answer = () => events(delta({ content: 'a' }), { error: { code, message: 'no' }, choices: [] })
    await expect(talking(answer).say('stream')).rejects.toMatchObject({ kind })
  })
})

describe('reasoning', () => {
  const detail = (rest: object) => ({
    type: 'reasoning.text',
    format: 'anthropic-claude-v1',
    index: 0,
    ...rest,
  })
  const encrypted = {
    type: 'reasoning.encrypted',
    data: 'abc',
    id: 'r1',
    format: 'openai-responses-v1',
    index: 1,
  }
  const whole = [detail({ text: 'Let me think.', signature: 'sig' }), encrypted]
  const answers = {
    call: () =>
      json({
        choices: [
          {
            message: { content: 'Hi', reasoning: 'Let me think.', reasoning_details: whole },
            finish_reason: 'stop',
          },
        ],
      }),
    stream: () =>
      events(
        delta({ reasoning: '', reasoning_details: [] }),
        delta({ reasoning: 'Let me', reasoning_details: [detail({ text: 'Let me', signature: '' })] }),
        delta({ reasoning: ' think.', reasoning_details: [detail({ text: ' think.' })] }),
        delta({ reasoning_details: [detail({ text: '', signature: 'sig' }), encrypted] }),
        delta({ content: 'Hi' }),
        delta({}, 'stop'),
        '[DONE]',
      ),
  }
  const reasoning = [{ provider: 'openrouter', model, text: 'Let me think.', opaque: whole }]
  const reply: AssistantMessage = { role: 'assistant', content: 'Hi', reasoning }

  test.each(['call', 'stream'] as const)('is kept whole: %s', async (verb) => {
    expect((await talking(answers[verb]).say(verb)).reasoning).toEqual(reasoning)
  })

  test('is text where it comes in details only', async () => {
    const answer = () =>
      events(delta({ reasoning_details: [detail({ text: 'hm' })] }), delta({ content: 'Hi' }, 'stop'))
    expect((await talking(answer).say('stream')).reasoning?.[0]?.text).toBe('hm')
  })

  test('goes back to the model it came from, and to no other', async () => {
    const request = { messages: [user('a'), reply, user('b')] }
    const toItself = talking(ok)
    await toItself.say('call', request)
    expect(toItself.sent[0]?.body).toMatchObject({
      messages: [{}, { role: 'assistant', content: 'Hi', reasoning_details: whole }, {}],
    })
    const toAnother = talking(ok, { model: 'openai/gpt-5' })
    await toAnother.say('call', request)
    expect(toAnother.sent[0]?.body).toMatchObject({
      messages: [{}, { role: 'assistant', content: 'Hi' }, {}],
    })
    expect(JSON.stringify(toAnother.sent)).not.toContain('reasoning')
  })

  test('that is nested too deeply to be sent back is dropped', async () => {
    const deep = `{"type":"other","data":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
    const text = `{"choices":[{"delta":{"content":"Hi","reasoning_details":[${deep}]},"finish_reason":"stop"}]}`
    expect((await talking(() => events(text)).say('stream')).reasoning).toBe(undefined)
  })

  test('with names that mean something to JavaScript harms nothing', async () => {
    const piece = '{"type":"reasoning.text","text":"a","index":0,"__proto__":{"polluted":1}}'
    const text = `data: {"choices":[{"index":0,"delta":{"reasoning_details":[${piece},${piece}]}}]}\n\n`
    const body = `${text}${eventText(delta({ content: 'Hi' }, 'stop'))}`
    const answer = () => new Response(body, { headers: { 'content-type': 'text/event-stream' } })
    expect((await talking(answer).say('stream')).reasoning?.[0]?.text).toBe('aa')
    expect(({} as { polluted?: unknown }).polluted).toBe(undefined)
  })
})

test('keeps the key out of sight', () => {
  expect(inspect(talking(ok).client, { depth: 9, showHidden: true })).not.toContain(apiKey)
})
