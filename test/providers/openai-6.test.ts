import { describe, expect, test, vi } from 'vitest'
import { user } from '../../src/messages.ts'
import { OpenAIClient } from '../../src/providers/openai.ts'
import { answering, json } from '../support/fetch.ts'

// The client says only "openai"; here that is its older major version. All that the newest one has to pass follows.
vi.mock('openai', () => import('openai-6'))

test('the SDK that sends is that of version 6', async () => {
  const { fetch, sent } = answering(() =>
    json({ choices: [{ message: { content: 'Hi' }, finish_reason: 'stop' }] }),
  )
  await new OpenAIClient({ apiKey: 'sk-test', fetch }).call({ messages: [user('Hello')] })
  expect(sent[0]?.headers.get('x-stainless-package-version')).toMatch(/^6\./)
})

describe('the client', async () => {
  await import('./openai.test.ts')
})

describe('an exchange', async () => {
  await import('./exchange.test.ts')
})

describe('OpenRouter', async () => {
  await import('./openrouter.test.ts')
})

describe('batches', async () => {
  await import('./batches.test.ts')
})
