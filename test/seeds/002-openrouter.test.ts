import { expect, it } from 'vitest'
import { user } from '../../src/index.ts'
import { OpenRouterClient } from '../../src/providers/openrouter.ts'
import { answering, json } from '../support/fetch.ts'

const ok = () => json({ choices: [{ message: { content: 'Hi' }, finish_reason: 'stop' }] })
const common = { apiKey: 'sk-or-0123456789', model: 'openai/gpt-5' }

it('002-13 says whose site and application it is', async () => {
  const { fetch, sent } = answering(ok)
  const client = new OpenRouterClient({
    ...common,
    fetch,
    siteUrl: 'https://example.test',
    appName: 'Example',
  })
  await client.call({ messages: [user('Hello')] })
  expect(sent.map(({ url }) => url)).toEqual(['https://openrouter.ai/api/v1/chat/completions'])
  expect(['HTTP-Referer', 'X-Title'].map((name) => sent[0]?.headers.get(name))).toEqual([
    'https://example.test',
    'Example',
  ])
})

it('002-13 says nothing of them by itself', async () => {
  const { fetch, sent } = answering(ok)
  await new OpenRouterClient({ ...common, fetch }).call({ messages: [user('Hello')] })
  expect(['HTTP-Referer', 'X-Title'].map((name) => sent[0]?.headers.get(name))).toEqual([null, null])
})
