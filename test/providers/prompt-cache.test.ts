import { describe, expect, test } from 'vitest'
import { Agent, type LLMClient, tool } from '../../src/index.ts'
import { AnthropicClient } from '../../src/providers/anthropic.ts'
import { GroqClient } from '../../src/providers/groq.ts'
import { OpenAIClient } from '../../src/providers/openai.ts'
import { OpenRouterClient } from '../../src/providers/openrouter.ts'
import { calls, strictProvider } from '../../src/testing/index.ts'

const look = tool({
  name: 'look',
  description: 'Looks',
  parameters: { type: 'object', properties: {} },
  effect: 'read',
  execute: () => 'found',
})

type Body = Record<string, unknown>

/** The bodies that reached a strict server which plays the host that the client believes to speak to. */
async function bodiesOf(
  make: (fetch: typeof globalThis.fetch) => LLMClient,
  ask: (client: LLMClient) => Promise<unknown>,
): Promise<Body[]> {
  await using provider = await strictProvider({
    script: [calls('I look.', ['look']), { text: 'Done.' }, { text: 'More.' }],
  })
  const client = make((input, init) => {
    const { pathname } = new URL(input instanceof Request ? input.url : input)
    return fetch(new URL(pathname, provider.url), init)
  })
  await ask(client)
  return provider.requests.map(({ body }) => body as Body)
}

const run = (client: LLMClient) =>
  new Agent({ client, tools: [look], conversationId: 'user-42' }).run('Look around.')
const apiKey = 'sk-test-0123456789'

describe('the cache key of a conversation', () => {
  test('is the same in each of its requests to OpenAI, short, and does not tell its name', async () => {
    const bodies = await bodiesOf((fetch) => new OpenAIClient({ apiKey, model: 'gpt-4o', fetch }), run)
    expect(bodies).toHaveLength(2)
    const [key, again] = bodies.map((body) => body['prompt_cache_key'])
    expect(key).toMatch(/^[a-z\d]{14}$/)
    expect(again).toBe(key)
  })

  test("is not sent for a call of no conversation, and is the caller's own where there is one", async () => {
    const make = (fetch: typeof globalThis.fetch) => new OpenAIClient({ apiKey, model: 'gpt-4o', fetch })
    const [alone] = await bodiesOf(make, (client) =>
      client.call({ messages: [{ role: 'user', content: 'Hi' }] }),
    )
    expect(alone).not.toHaveProperty('prompt_cache_key')
    const own = { params: { extra: { prompt_cache_key: 'mine' } } }
    const [given] = await bodiesOf(make, (client) => new Agent({ client, ...own }).run('Hi'))
    expect(given?.['prompt_cache_key']).toBe('mine')
  })

  test.each<[string, (fetch: typeof globalThis.fetch) => LLMClient]>([
    [
      'a compatible server',
      (fetch) => new OpenAIClient({ apiKey, baseURL: 'http://127.0.0.1:9/v1', model: 'm', fetch }),
    ],
    ['Groq', (fetch) => new GroqClient({ apiKey, model: 'llama-3.3-70b-versatile', fetch })],
    ['OpenRouter', (fetch) => new OpenRouterClient({ apiKey, model: 'openai/gpt-4o', fetch })],
  ])('is not sent to %s', async (_, make) => {
    const bodies = await bodiesOf(make, run)
    expect(bodies).toHaveLength(2)
    for (const body of bodies) expect(body).not.toHaveProperty('prompt_cache_key')
  })

  test('longer than 64 characters is refused, as OpenAI does', async () => {
    const extra = { prompt_cache_key: 'k'.repeat(65) }
    const make = (fetch: typeof globalThis.fetch) => new OpenAIClient({ apiKey, model: 'gpt-4o', fetch })
    const asking = bodiesOf(make, (client) =>
      client.call({ messages: [{ role: 'user', content: 'Hi' }], params: { extra } }),
    )
    await expect(asking).rejects.toThrow(/string too long/)
  })
})

describe('the breakpoints of a prompt at Anthropic', () => {
  const make = (options: object) => (fetch: typeof globalThis.fetch) =>
    new AnthropicClient({ apiKey, model: 'claude-sonnet-5-5', fetch, ...options })
  const isMarked = (body: Body | undefined) => JSON.stringify(body).includes('cache_control')

  test('are set for what an agent asks, and stand where those of the next request find them', async () => {
    const bodies = await bodiesOf(make({}), run)
    expect(bodies).toHaveLength(2)
    const places = bodies.map(({ messages }) =>
      (messages as Body[]).flatMap((turn, at) =>
        JSON.stringify(turn).includes('cache_control') ? [at] : [],
      ),
    )
    expect(places).toEqual([[0], [0, 2]])
    const [tools, toolsAgain] = bodies.map((body) => JSON.stringify(body['tools']))
    expect(tools).toContain('cache_control')
    expect(toolsAgain).toBe(tools)
  })

  test('are not set for a single call, by another server, or when nobody wants them', async () => {
    const alone = (client: LLMClient) => client.call({ messages: [{ role: 'user', content: 'Hi' }] })
    expect((await bodiesOf(make({}), alone)).some(isMarked)).toBe(false)
    expect((await bodiesOf(make({ cache: true }), alone)).every(isMarked)).toBe(true)
    expect((await bodiesOf(make({ cache: false }), run)).some(isMarked)).toBe(false)
    const elsewhere = make({ baseURL: 'http://127.0.0.1:9' })
    expect((await bodiesOf(elsewhere, run)).some(isMarked)).toBe(false)
  })
})
