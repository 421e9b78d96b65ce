import Anthropic from '@anthropic-ai/sdk'
import Groq from 'groq-sdk'
import OpenAI from 'openai'
import { afterEach, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../src/json.ts'
import type { Chunking } from '../../src/testing/strict-bytes.ts'
import type { StrictReply } from '../../src/testing/strict-contract.ts'
import {
  type StrictProvider,
  type StrictProviderOptions,
  strictProvider,
} from '../../src/testing/strict-provider.ts'

const open: StrictProvider[] = []
afterEach(async () => {
  for (const provider of open.splice(0)) await provider.close()
})

async function start(options?: StrictProviderOptions): Promise<StrictProvider> {
  const provider = await strictProvider(options)
  open.push(provider)
  return provider
}

const hello = { model: 'some-model', messages: [{ role: 'user' as const, content: 'hi' }] }
const usage = { inputTokens: 12, outputTokens: 7, cachedInputTokens: 5, reasoningTokens: 3 }
const reply: StrictReply = {
  text: 'Grüße, 世界! 👩‍🚀',
  reasoning: 'Hm, größer?',
  toolCalls: [
    { toolName: 'look', parameters: { city: 'Zürich 👍' } },
    { id: 'mine', toolName: 'look', parameters: {} },
  ],
  usage,
}
const chunkings = ['event', 'whole', 'bytes', 'utf8'] as const

const groqOf = ({ groqURL }: StrictProvider) => new Groq({ apiKey: 'k', baseURL: groqURL, maxRetries: 0 })
const routerOf = ({ openRouterURL }: StrictProvider) =>
  new OpenAI({ apiKey: 'k', baseURL: openRouterURL, maxRetries: 0 })
const anthropicOf = ({ anthropicURL }: StrictProvider) =>
  new Anthropic({ apiKey: 'k', baseURL: anthropicURL, maxRetries: 0, openTelemetry: false })

describe.each<Chunking>(chunkings)('with chunking %s', (chunking) => {
  const content = [
    { type: 'thinking', thinking: reply.reasoning, signature: 'c2lnbmF0dXJl1=' },
    { type: 'text', text: reply.text },
    { type: 'tool_use', id: 'call_1', name: 'look', input: { city: 'Zürich 👍' } },
    { type: 'tool_use', id: 'mine', name: 'look', input: {} },
  ]

  it('the Anthropic SDK reads a whole message', async () => {
    const provider = await start({ script: [reply], chunking })
    const message = await anthropicOf(provider).messages.create({ ...hello, max_tokens: 10 })
    expect({ ...message }).toMatchObject({
      content,
      stop_reason: 'tool_use',
      usage: { input_tokens: 7, cache_read_input_tokens: 5, output_tokens: 7 },
    })
    expect(message._request_id).toBe('req_1')
    expect(provider.refusals).toEqual([])
  })

  it('the Anthropic SDK reads a message from its events', async () => {
    const provider = await start({ script: [reply], chunking })
    const message = await anthropicOf(provider)
      .messages.stream({ ...hello, max_tokens: 10 })
      .finalMessage()
    expect(message).toMatchObject({
      content,
      stop_reason: 'tool_use',
      usage: { input_tokens: 7, cache_read_input_tokens: 5, output_tokens: 7 },
    })
    expect(provider.refusals).toEqual([])
  })

  it('the Groq SDK reads a completion and its chunks', async () => {
    const provider = await start({ script: [reply, reply], chunking })
    const whole = await groqOf(provider).chat.completions.create(hello)
    expect(whole.choices[0]?.message).toMatchObject({ content: reply.text, reasoning: reply.reasoning })
    expect(whole.usage).toMatchObject({ prompt_tokens: 12, completion_tokens: 7, queue_time: 0.03 })
    const chunks: Groq.Chat.ChatCompletionChunk[] = []
    for await (const chunk of await groqOf(provider).chat.completions.create({ ...hello, stream: true })) {
      chunks.push(chunk)
    }
    const deltas = chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta))
    expect(deltas.map(({ content }) => content ?? '').join('')).toBe(reply.text)
    expect(deltas.map(({ reasoning }) => reasoning ?? '').join('')).toBe(reply.reasoning)
    expect(chunks.at(-1)?.x_groq).toMatchObject({ id: 'req_2', usage: { prompt_tokens: 12 } })
    expect(chunks[0]?.x_groq).toEqual({ id: 'req_2' })
    expect(provider.refusals).toEqual([])
  })

  it('the OpenAI SDK reads what OpenRouter says', async () => {
    const provider = await start({ script: [reply, reply], chunking })
    const asked: JsonObject = { usage: { include: true }, reasoning: { effort: 'low' } }
    const whole = await routerOf(provider).chat.completions.create({ ...hello, ...asked, stream: false })
    expect(whole).toMatchObject({
      provider: 'Strict',
      choices: [{ message: { content: reply.text, reasoning: reply.reasoning } }],
      usage: { prompt_tokens: 12, cost: 0.000669 },
    })
    const chunks: OpenAI.ChatCompletionChunk[] = []
    const stream = await routerOf(provider).chat.completions.create({ ...hello, ...asked, stream: true })
    for await (const chunk of stream) chunks.push(chunk)
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')).toBe(reply.text)
    expect(chunks.at(-1)).toMatchObject({
      choices: [{ finish_reason: 'tool_calls' }],
      usage: { cost: 0.000669 },
    })
    expect(provider.refusals).toEqual([])
  })
})

describe('Anthropic', () => {
  const tool = {
    name: 'look',
    input_schema: { type: 'object' as const, properties: { city: { type: 'string' } } },
  }

  it('calls the first tool once and then says ok, without a script', async () => {
    const provider = await start()
    const client = anthropicOf(provider)
    const ask = { ...hello, max_tokens: 10, tools: [tool] }
    const { content } = await client.messages.create(ask)
    expect(content).toEqual([{ type: 'tool_use', id: 'call_1', name: 'look', input: { city: 'x' } }])
    const answered = await client.messages.create({
      ...ask,
      messages: [
        ...hello.messages,
        { role: 'assistant', content },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'call_1', content: 'sun' }] },
      ],
    })
    expect(answered.content).toEqual([{ type: 'text', text: 'ok' }])
    expect(provider.refusals).toEqual([])
  })

  it('refuses in its own words, and says when the script is over', async () => {
    const provider = await start({ script: [], keys: ['k'] })
    const client = anthropicOf(provider)
    const failed = async (changes: JsonObject) =>
      client.messages.create({ ...hello, max_tokens: 10, ...changes, stream: false }).catch((error) => error)
    expect((await failed({ max_tokens: 0 })).error).toEqual({
      type: 'error',
      error: {
        type: 'invalid_request_error',
        message: 'max_tokens: Input should be greater than or equal to 1',
      },
    })
    expect(await failed({})).toMatchObject({
      status: 500,
      requestID: 'req_2',
      errorCode: 'script_exhausted',
      error: { type: 'error', error: { type: 'api_error' } },
    })
    const other = await client
      .withOptions({ apiKey: 'x' })
      .messages.create({ ...hello, max_tokens: 1 })
      .catch((e) => e)
    expect([other.status, other.type]).toEqual([401, 'authentication_error'])
    expect(provider.refusals.map(({ rule }) => rule)).toEqual(['max_tokens', 'script_exhausted', 'api_key'])
  })

  it('tells a refusal, a cut and calls by their stop reasons', async () => {
    const turns: [StrictReply, string][] = [
      [{ refusal: 'No.' }, 'refusal'],
      [{ text: 'a', stop: 'content_filter' }, 'refusal'],
      [{ text: 'a', stop: 'length' }, 'max_tokens'],
      [{ text: 'a' }, 'end_turn'],
    ]
    const provider = await start({ script: turns.map(([turn]) => turn) })
    for (const [, reason] of turns) {
      const message = await anthropicOf(provider).messages.create({ ...hello, max_tokens: 10 })
      expect(message.stop_reason).toBe(reason)
    }
  })
})

describe('Groq', () => {
  const refusedOf = async (changes: JsonObject) => {
    const provider = await start({ script: () => ({ text: 'ok' }) })
    await groqOf(provider)
      .post('/openai/v1/chat/completions', { body: { ...hello, ...changes } })
      .catch(() => {})
    return provider.refusals.map(({ rule, body }) => [rule, (body['error'] as JsonObject)['message']]) // as it is made
  }

  it.each<[string, JsonObject, string, string]>([
    ['parameters it does not know', { zap: 1 }, 'unknown_parameter', "property 'zap' is unsupported"],
    [
      'names of users',
      { messages: [{ role: 'user', content: 'a', name: 'Ann' }] },
      'message_name',
      "'messages.0' : for 'role:user' the following must be satisfied[('messages.0' : property 'name' is unsupported)]",
    ],
    [
      'parts of anybody but users',
      { messages: [{ role: 'system', content: [{ type: 'text', text: 'a' }] }, ...hello.messages] },
      'content',
      "'messages.0' : for 'role:system' the following must be satisfied[('messages.0.content' : value must be a string)]",
    ],
    ['more than one choice', { n: 2 }, 'n', "'n' : number must be at most 1"],
    [
      'JSON mode beside tools',
      {
        messages: [{ role: 'user', content: 'json' }],
        response_format: { type: 'json_object' },
        tools: [{ type: 'function', function: { name: 'look' } }],
      },
      'json_mode',
      'json mode cannot be combined with tool/function calling',
    ],
  ])('refuses %s', async (_, changes, rule, message) => {
    expect(await refusedOf(changes)).toEqual([[rule, message]])
  })

  it.each<[string, JsonObject]>([
    ['parameters of its own', { reasoning_format: 'parsed', include_reasoning: true }],
    [
      'images of users',
      {
        messages: [
          { role: 'user', content: [{ type: 'image_url', image_url: { url: 'https://a.example/b.png' } }] },
        ],
      },
    ],
    [
      'reasoning of the assistant',
      {
        messages: [...hello.messages, { role: 'assistant', content: 'a', reasoning: 'b' }, ...hello.messages],
      },
    ],
    [
      'long ids of calls',
      {
        messages: [
          ...hello.messages,
          {
            role: 'assistant',
            tool_calls: [{ id: 'x'.repeat(60), type: 'function', function: { name: 'a', arguments: '{}' } }],
          },
          { role: 'tool', tool_call_id: 'x'.repeat(60), content: 'a' },
        ],
      },
    ],
  ])('serves %s', async (_, changes) => {
    expect(await refusedOf(changes)).toEqual([])
  })

  it('knows its keys', async () => {
    const provider = await start({ keys: ['other'] })
    const failed = await groqOf(provider)
      .chat.completions.create(hello)
      .catch((error) => error)
    expect(failed.error).toEqual({
      error: {
        message: 'Invalid API Key',
        type: 'invalid_request_error',
        param: null,
        code: 'invalid_api_key',
      },
    })
    expect(provider.refusals.map(({ rule }) => rule)).toEqual(['api_key'])
  })
})

describe('OpenRouter', () => {
  it('refuses in its own words, and takes reasoning back', async () => {
    const provider = await start({ script: () => ({ text: 'ok' }), keys: ['k'] })
    const post = (body: JsonObject) =>
      routerOf(provider)
        .post('/chat/completions', { body })
        .catch((error: unknown) => error)
    expect(await post({ ...hello, zap: 1 })).toMatchObject({
      error: { message: 'Unrecognized key: "zap"', code: 400 },
    })
    const reasoned = {
      role: 'assistant',
      content: 'a',
      reasoning_details: [{ type: 'reasoning.text', text: 'b' }],
    }
    await post({ ...hello, messages: [...hello.messages, reasoned, ...hello.messages] })
    const nobody = await fetch(`${provider.openRouterURL}/chat/completions`, { method: 'POST', body: '{}' })
    expect(await nobody.json()).toEqual({ error: { message: 'No auth credentials found', code: 401 } })
    expect(provider.refusals.map(({ rule }) => rule)).toEqual(['unknown_parameter', 'authorization'])
  })
})
