import { expect, it } from 'vitest'
import { assistant, type LLMRequest, toolMessage, user } from '../../src/index.ts'
import { AnthropicClient } from '../../src/providers/anthropic.ts'
import { answering, json } from '../support/fetch.ts'

const call = { id: 'toolu_1', toolName: 'weather', parameters: { city: 'Oslo' } }
const wireCall = { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Oslo' } }
const body = {
  content: [{ type: 'text', text: 'I look.' }, wireCall],
  stop_reason: 'tool_use',
  usage: { input_tokens: 3, output_tokens: 2 },
}
const clientOf = (fetch: typeof globalThis.fetch) =>
  new AnthropicClient({
    apiKey: 'key-0123456789',
    model: 'claude-sonnet-5',
    baseURL: 'https://api.anthropic.com',
    fetch,
  })

it('001-6 001-8 asks its default host with its key, and reads the reply as everyone does', async () => {
  const { fetch, sent } = answering(() => json(body, { headers: { 'request-id': 'req_1' } }))
  expect(await clientOf(fetch).call({ messages: [user('Weather?')] })).toEqual({
    text: 'I look.',
    toolCalls: [call],
    stopReason: 'tool_calls',
    usage: { inputTokens: 3, outputTokens: 2 },
    requestId: 'req_1',
  })
  expect(sent.map(({ url, headers }) => [url, headers.get('authorization')])).toEqual([
    ['https://api.anthropic.com/v1/messages', 'Bearer key-0123456789'],
  ])
})

it('001-8 writes messages as its wire has them: the system apart, results as the user, a limit always', async () => {
  const { fetch, sent } = answering(() => json(body))
  const parameters = { type: 'object', properties: { city: { type: 'string' } } }
  const request: LLMRequest = {
    system: 'Be brief.',
    messages: [user('Weather?'), assistant('', [call]), toolMessage(call, 'Sunny')],
    tools: [{ name: 'weather', description: 'Weather now', parameters }],
  }
  await clientOf(fetch).call(request)
  expect(sent[0]?.body).toEqual({
    model: 'claude-sonnet-5',
    max_tokens: 32_000,
    system: [{ type: 'text', text: 'Be brief.' }],
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'Weather?' }] },
      { role: 'assistant', content: [wireCall] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: 'Sunny' }] },
    ],
    tools: [{ name: 'weather', description: 'Weather now', input_schema: parameters }],
  })
})
