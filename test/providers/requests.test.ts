import { describe, expect, test } from 'vitest'
import type { LLMClient } from '../../src/client/client.ts'
import type { JsonObject } from '../../src/json.ts'
import { GroqClient } from '../../src/providers/groq.ts'
import { OpenAIClient } from '../../src/providers/openai.ts'
import { OpenRouterClient } from '../../src/providers/openrouter.ts'
import { validateOpenAI } from '../../src/testing/strict-openai.ts'
import { answering, events, json } from '../support/fetch.ts'
import { delta } from '../support/raw-server.ts'
import { type SharedConversation, sharedConversations } from './conversations.ts'

type Fetch = typeof globalThis.fetch

interface Writer {
  readonly name: string
  readonly make: (fetch: Fetch) => LLMClient
  /** What it cannot be sent. */
  readonly without?: SharedConversation['needs']
  /** What the wire has beyond OpenAI's own. */
  readonly beyond?: readonly string[]
}

const apiKey = 'key-0123456789'

const writers: readonly Writer[] = [
  {
    name: 'openai',
    make: (fetch) =>
      new OpenAIClient({ apiKey, model: 'gpt-4o', baseURL: 'https://api.openai.com/v1', fetch }),
  },
  { name: 'groq', make: (fetch) => new GroqClient({ apiKey, model: 'llama', fetch }), without: 'files' },
  {
    name: 'openrouter',
    make: (fetch) => new OpenRouterClient({ apiKey, model: 'a/b', fetch }),
    beyond: ['usage', 'reasoning_details'],
  },
  { name: 'ollama', make: (fetch) => new OpenAIClient({ preset: 'ollama', model: 'llama', fetch }) },
  {
    name: 'mistral',
    make: (fetch) => new OpenAIClient({ preset: 'mistral', apiKey, model: 'mistral', fetch }),
    without: 'files',
    beyond: ['random_seed'],
  },
  {
    name: 'deepseek',
    make: (fetch) => new OpenAIClient({ preset: 'deepseek', apiKey, model: 'deepseek', fetch }),
    without: 'files',
    beyond: ['reasoning_content'],
  },
]

const body = { choices: [{ message: { content: 'Hi' }, finish_reason: 'stop' }] }

describe.each(writers)('$name', ({ make, without, beyond = [] }) => {
  const { provider, model } = make(globalThis.fetch)
  const opaque = [{ type: 'reasoning.text', text: 'Oslo is in Norway.', signature: 'signed', index: 0 }]

  test.each(sharedConversations({ provider, model, text: 'Oslo is in Norway.', opaque }))(
    'writes $name',
    async ({ request, needs }) => {
      const called = answering(() => json(body))
      const streamed = answering(() => events(delta({ content: 'Hi' }, 'stop')))
      const call = make(called.fetch).call(request)
      if (needs !== undefined && needs === without) {
        await expect(call).rejects.toMatchObject({ kind: 'invalid_request' })
        expect(called.sent).toEqual([])
        return
      }
      await call
      for await (const _ of make(streamed.fetch).stream?.(request) ?? []);
      // We wrote them ourselves, as JSON objects.
      const [sent, asStream] = [called, streamed].map(({ sent }) => sent[0]?.body as JsonObject)
      expect(sent).toMatchSnapshot()
      const { stream, stream_options: options, ...rest } = asStream ?? {}
      expect(rest).toEqual(sent)
      expect([stream, options]).toEqual([true, provider === 'mistral' ? undefined : { include_usage: true }])
      // What OpenAI's own rules say of all that it has in common with them.
      expect(validateOpenAI(lacking(sent ?? {}, beyond))).toBe(undefined)
    },
  )
})

function lacking(value: JsonObject, names: readonly string[]): JsonObject {
  return JSON.parse(JSON.stringify(value, (name, item) => (names.includes(name) ? undefined : item)))
}
