import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  assistant,
  type LLMClient,
  type LLMRequest,
  ProviderNotFoundError,
  toolMessage,
  user,
} from '../../src/index.ts'
import { GroqClient } from '../../src/providers/groq.ts'
import { OpenAIClient } from '../../src/providers/openai.ts'
import { createClient, defaultProviders } from '../../src/providers/providers.ts'
import { ScriptedClient, says } from '../../src/testing/index.ts'
import { answering, json } from '../support/fetch.ts'

beforeEach(() => {
  for (const name of ['OPENAI_BASE_URL', 'OPENAI_ORG_ID', 'OPENAI_PROJECT_ID', 'GROQ_BASE_URL']) {
    vi.stubEnv(name, undefined)
  }
})

afterEach(() => {
  vi.unstubAllEnvs()
})

interface Provider {
  readonly name: string
  readonly url: string
  readonly maxTokens: string
  readonly make: (fetch: typeof globalThis.fetch) => LLMClient
}

const providers: readonly Provider[] = [
  {
    name: 'openai',
    url: 'https://api.openai.com/v1/chat/completions',
    maxTokens: 'max_completion_tokens',
    make: (fetch) => new OpenAIClient({ apiKey: 'key-0123456789', model: 'm', fetch }),
  },
  {
    name: 'groq',
    url: 'https://api.groq.com/openai/v1/chat/completions',
    maxTokens: 'max_completion_tokens',
    make: (fetch) => new GroqClient({ apiKey: 'key-0123456789', model: 'm', fetch }),
  },
]

const call = { id: 'call_1', toolName: 'weather', parameters: { city: 'Oslo' } }
const wireCall = {
  id: 'call_1',
  type: 'function',
  function: { name: 'weather', arguments: '{"city":"Oslo"}' },
}

describe.each(providers)('$name', ({ url, make, maxTokens }) => {
  const body = {
    choices: [{ message: { content: 'I look.', tool_calls: [wireCall] }, finish_reason: 'tool_calls' }],
    usage: { prompt_tokens: 3, completion_tokens: 2 },
  }

  it('001-6 001-8 asks its default host with its key, and reads the reply as everyone does', async () => {
    const { fetch, sent } = answering(() => json(body, { headers: { 'x-request-id': 'req_1' } }))
    expect(await make(fetch).call({ messages: [user('Weather?')] })).toEqual({
      text: 'I look.',
      toolCalls: [call],
      stopReason: 'tool_calls',
      usage: { inputTokens: 3, outputTokens: 2 },
      requestId: 'req_1',
    })
    expect(sent.map(({ url, headers }) => [url, headers.get('authorization')])).toEqual([
      [url, 'Bearer key-0123456789'],
    ])
  })

  it('001-8 writes messages as its wire has them', async () => {
    const { fetch, sent } = answering(() => json(body))
    const parameters = { type: 'object', properties: { city: { type: 'string' } } }
    const request: LLMRequest = {
      system: 'Be brief.',
      messages: [user('Weather?'), assistant('', [call]), toolMessage(call, 'Sunny')],
      tools: [{ name: 'weather', description: 'Weather now', parameters }],
      params: { maxOutputTokens: 100 },
    }
    await make(fetch).call(request)
    expect(sent[0]?.body).toEqual({
      model: 'm',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Weather?' },
        { role: 'assistant', content: null, tool_calls: [wireCall] },
        { role: 'tool', tool_call_id: 'call_1', content: 'Sunny' },
      ],
      tools: [{ type: 'function', function: { name: 'weather', description: 'Weather now', parameters } }],
      [maxTokens]: 100,
    })
  })
})

it('001-9 knows its own providers, and a custom one in a few lines', async () => {
  const mine = defaultProviders().register('custom', () => new ScriptedClient([says('Hi')]), {
    description: 'Ours',
  })
  expect(mine.list()).toContainEqual({ name: 'custom', description: 'Ours' })
  expect((await createClient('custom/m', mine).call({ messages: [user('Hello')] })).text).toBe('Hi')
  // An instance: what one program part registers, another does not see.
  expect(() => createClient('custom/m')).toThrow(ProviderNotFoundError)
  expect(mine.list().map(({ name }) => name)).toEqual([
    ...defaultProviders()
      .list()
      .map(({ name }) => name),
    'custom',
  ])
})
