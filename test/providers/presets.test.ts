import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { LLMRequest } from '../../src/client/client.ts'
import { type AssistantMessage, assistant, toolMessage, user } from '../../src/messages.ts'
import {
  OpenAIClient,
  type OpenAIClientOptions,
  type PresetName,
  presets,
} from '../../src/providers/openai.ts'
import { createClient, defaultProviders } from '../../src/providers/providers.ts'
import { answering, json } from '../support/fetch.ts'
import { codeSpansOf, tableOf } from '../support/markdown.ts'
import { read } from '../support/repository.ts'

const hello: LLMRequest = { messages: [user('Hello')] }
const ok = () => json({ choices: [{ message: { content: 'Hi' }, finish_reason: 'stop' }] })
// The keys of our own table.
const names = Object.keys(presets) as PresetName[]

beforeEach(() => {
  vi.stubEnv('OPENAI_API_KEY', 'openai-s-own-key')
  vi.stubEnv('OPENAI_BASE_URL', 'https://openai-s-own.test/v1')
  vi.stubEnv('OPENAI_ORG_ID', 'openai-s-own-organization')
  vi.stubEnv('OPENAI_PROJECT_ID', 'openai-s-own-project')
  for (const { keyVariable } of Object.values(presets)) {
    if (keyVariable !== undefined) vi.stubEnv(keyVariable, `key-of-${keyVariable}`)
  }
})

afterEach(() => {
  vi.unstubAllEnvs()
})

async function sentBy(options: OpenAIClientOptions, request = hello) {
  const { fetch, sent } = answering(ok)
  await new OpenAIClient({ model: 'm', fetch, ...options }).call(request)
  const [first] = sent
  if (first === undefined) throw new Error('nothing was sent')
  return first
}

describe.each(names)('%s', (preset) => {
  const { baseURL, keyVariable } = presets[preset]

  test("is asked at its address, with its own key and nothing of OpenAI's", async () => {
    const { url, headers } = await sentBy({ preset })
    expect(url).toBe(`${baseURL}/chat/completions`)
    expect(headers.get('authorization')).toBe(
      `Bearer ${keyVariable === undefined ? 'not-needed' : `key-of-${keyVariable}`}`,
    )
    expect(JSON.stringify([...headers])).not.toContain('openai-s-own')
  })

  test('names itself in what it says, and can be moved', async () => {
    const { fetch, sent } = answering(() => json({ error: { message: 'no' } }, { status: 400 }))
    const client = new OpenAIClient({ preset, model: 'm', fetch, baseURL: 'http://elsewhere.test/v1' })
    await expect(client.call(hello)).rejects.toMatchObject({ provider: preset, kind: 'invalid_request' })
    expect(sent[0]?.url).toBe('http://elsewhere.test/v1/chat/completions')
  })

  test('needs its key, if it needs one, and a model', () => {
    expect(() => new OpenAIClient({ preset })).toThrow('OpenAIClient option model must be')
    if (keyVariable === undefined) return
    vi.stubEnv(keyVariable, undefined)
    expect(() => new OpenAIClient({ preset, model: 'm' })).toThrow(
      `There is no API key for ${preset}. Set ${keyVariable}, or pass apiKey.`,
    )
  })

  test('is made by its name', () => {
    const client = createClient(`${preset}/some/model`)
    expect([client.provider, client.model]).toEqual([preset, 'some/model'])
  })
})

test('a preset that does not exist is refused', () => {
  // As a program without types would.
  const options = { preset: 'olama', model: 'm' } as unknown as OpenAIClientOptions
  expect(() => new OpenAIClient(options)).toThrow('OpenAIClient option preset must be one of "ollama", ')
})

test('Mistral is sent what it takes: nine letters for an id, its own word for a seed, no stream options', async () => {
  const call = { id: 'call_0123456789', toolName: 'weather', parameters: {} }
  const messages = [user('Weather?'), assistant('', [call]), toolMessage(call, 'Sunny')]
  const { fetch, sent } = answering(ok)
  const client = new OpenAIClient({ preset: 'mistral', model: 'm', fetch })
  for await (const _ of client.stream({ messages, params: { seed: 1, maxOutputTokens: 5 } }));
  const id = expect.stringMatching(/^[a-z\d]{9}$/)
  expect(sent[0]?.body).toEqual({
    model: 'm',
    messages: [
      { role: 'user', content: 'Weather?' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id, type: 'function', function: { name: 'weather', arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: id, content: 'Sunny' },
    ],
    random_seed: 1,
    max_tokens: 5,
    stream: true,
  })
  const body = sent[0]?.body as { messages: { tool_calls?: { id: string }[]; tool_call_id?: string }[] }
  expect(body.messages[1]?.tool_calls?.[0]?.id).toBe(body.messages[2]?.tool_call_id)
})

test('an id that Mistral takes is left as it is', async () => {
  const call = { id: 'abcDEF123', toolName: 'weather', parameters: {} }
  const { body } = await sentBy(
    { preset: 'mistral' },
    { messages: [user('a'), assistant('', [call]), toolMessage(call, 'b')] },
  )
  expect(body).toMatchObject({ messages: [{}, { tool_calls: [{ id: 'abcDEF123' }] }, {}] })
})

describe.each(['deepseek', 'moonshot', 'llamacpp'] as const)('%s', (preset) => {
  const reasoned = (provider: string, model: string): AssistantMessage => ({
    role: 'assistant',
    content: 'Hi',
    reasoning: [{ provider, model, text: 'hm' }],
  })

  test("is given its own reasoning back, and no other model's", async () => {
    const messages = [
      user('a'),
      reasoned(preset, 'm'),
      user('b'),
      reasoned(preset, 'other'),
      user('c'),
      reasoned('openai', 'm'),
      user('d'),
    ]
    const { body } = await sentBy({ preset }, { messages })
    const hi = { role: 'assistant', content: 'Hi' }
    expect((body as { messages: unknown[] }).messages.filter((_, index) => index % 2 === 1)).toEqual([
      { ...hi, reasoning_content: 'hm' },
      hi,
      hi,
    ])
  })
})

test('the providers there are can be asked for', () => {
  expect(
    defaultProviders()
      .list()
      .map(({ name }) => name),
  ).toEqual(expect.arrayContaining(['openai', 'anthropic', 'groq', 'openrouter', ...names]))
})

test('docs/openai.md has every preset with its address and key', () => {
  const rows = tableOf(read('docs/openai.md'), 'preset').map((row) =>
    row.flatMap((cell) => codeSpansOf(cell)),
  )
  const known = Object.entries(presets).map(([name, { baseURL, keyVariable }]) =>
    [name, baseURL, keyVariable].filter((cell) => cell !== undefined),
  )
  expect(rows).toEqual(known)
})
