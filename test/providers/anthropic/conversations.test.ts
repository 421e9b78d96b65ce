import { describe, expect, test } from 'vitest'
import { AnthropicClient, type AnthropicClientOptions } from '../../../src/providers/anthropic.ts'
import { validateAnthropic } from '../../../src/testing/strict-anthropic.ts'
import { answering, events, json } from '../../support/fetch.ts'
import { sharedConversations } from '../conversations.ts'
import { end, start, stop, text } from './fixtures.ts'

const model = 'claude-sonnet-5'
const body = { content: [{ type: 'text', text: 'Hi.' }], stop_reason: 'end_turn' }

const writers: readonly (readonly [name: string, options: Partial<AnthropicClientOptions>])[] = [
  ['the newer version', {}],
  ['the older version', { apiVersion: '2023-06-01' }],
  ['a compatible server, with a cache', { baseURL: 'http://localhost:8080', cache: true }],
]

/** What it says of its own thinking, as it reads it. */
async function ownReasoning() {
  const thought = { type: 'thinking', thinking: 'Oslo is in Norway.', signature: 'signed' }
  const { fetch } = answering(() => json({ content: [thought], stop_reason: 'end_turn' }))
  const { reasoning = [] } = await new AnthropicClient({ apiKey: 'key', model, fetch }).call({ messages: [] })
  const [own] = reasoning
  if (own === undefined) throw new Error('no reasoning')
  return own
}

describe.each(writers)('%s', async (_, options) => {
  test.each(sharedConversations(await ownReasoning()))('writes $name', async ({ request }) => {
    const called = answering(() => json(body))
    const streamed = answering(() => events(start(), ...text(0, 'Hi.'), stop('end_turn'), end))
    await new AnthropicClient({ apiKey: 'key', model, ...options, fetch: called.fetch }).call(request)
    const client = new AnthropicClient({ apiKey: 'key', model, ...options, fetch: streamed.fetch })
    for await (const _ of client.stream(request));
    const [sent, asStream] = [called, streamed].map((each) => each.sent[0])
    expect(sent?.body).toMatchSnapshot()
    expect(asStream?.body).toEqual({ ...Object(sent?.body), stream: true })
    const headers = Object.fromEntries(sent?.headers ?? [])
    expect(validateAnthropic(sent?.body, {}, headers)).toBe(undefined)
  })
})
