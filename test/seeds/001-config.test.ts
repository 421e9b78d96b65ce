import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  Agent,
  defaultParams,
  defineProvider,
  MissingCredentialError,
  ProviderRegistry,
  textClient,
  textOf,
  wrapClient,
} from '../../src/index.ts'
import { GroqClient } from '../../src/providers/groq.ts'
import { OpenAIClient } from '../../src/providers/openai.ts'
import { createClient, defaultProviders, env } from '../../src/providers/providers.ts'
import { ScriptedClient, strictProvider } from '../../src/testing/index.ts'

afterEach(() => {
  vi.unstubAllEnvs()
})

const house = () =>
  new ProviderRegistry().register('house', (model, at) => new OpenAIClient({ ...at, model }))

describe('seed 001, configuration', () => {
  it('001-10 puts provider below model below client below call, key by key', async () => {
    await using server = await strictProvider({ script: () => ({ text: 'ok' }) })
    const params = { temperature: 0.1, topP: 0.1, seed: 1, maxOutputTokens: 10 }
    const providers = house()
      .configure('house', { apiKey: 'sk-0123456789', baseURL: server.url, params })
      .defaults('m', { topP: 0.2, seed: 2, maxOutputTokens: 20 })
    const agent = new Agent({ client: 'house/m', providers, params: { seed: 3, maxOutputTokens: 30 } })
    await agent.run('Hi?', { params: { maxOutputTokens: 40 } })
    expect(server.requests[0]?.body).toMatchObject({
      model: 'm',
      temperature: 0.1,
      top_p: 0.2,
      seed: 3,
      max_tokens: 40,
    })
    // A client that somebody else asks has options of its own, too.
    await providers
      .resolve('house/m', { params: { seed: 4 } })
      .call({ messages: [{ role: 'user', content: 'Hi?' }] })
    expect(server.requests[1]?.body).toMatchObject({ temperature: 0.1, top_p: 0.2, seed: 4, max_tokens: 20 })
    const wrapped = wrapClient(providers.resolve('house/m'), defaultParams({ seed: 5 }))
    await wrapped.call({ messages: [{ role: 'user', content: 'Hi?' }], params: { topP: 1 } })
    expect(server.requests[2]?.body).toMatchObject({ temperature: 0.1, top_p: 1, seed: 5, max_tokens: 20 })
  })

  it('001-53 runs an agent on a provider of ten lines', async () => {
    const shouting = defineProvider({
      name: 'shouting',
      create: ({ model }) =>
        textClient((messages) => textOf(messages.at(-1)?.content ?? '').toUpperCase(), {
          provider: 'shouting',
          model,
        }),
    })
    const agent = new Agent({ client: 'shouting/loud', providers: new ProviderRegistry().register(shouting) })
    expect(await agent.run('hello')).toBe('HELLO')
    expect(agent.inspect()).toMatchObject({ provider: 'shouting', model: 'loud' })
  })

  it('001-55 reads a key from the environment at its first use, and says which variable is missing', async () => {
    await using server = await strictProvider({ keys: ['sk-custom-0123456789'] })
    vi.stubEnv('CUSTOM_API_KEY', undefined)
    const custom = { apiKey: env('CUSTOM_API_KEY'), baseURL: server.url, defaultModel: 'm' }
    const providers = house().configure('house', custom)
    const other = house()
    expect(() => providers.resolve('house')).toThrow(MissingCredentialError)
    expect(() => providers.resolve('house')).toThrow(
      expect.objectContaining({ code: 'missing_credential', variable: 'CUSTOM_API_KEY' }),
    )
    vi.stubEnv('CUSTOM_API_KEY', 'sk-custom-0123456789')
    expect(await new Agent({ client: providers.resolve('house') }).run('Hi?')).toBe('ok')
    expect(server.requests[0]?.body['model']).toBe('m')
    // What one registry was told, another does not know.
    expect(() => other.resolve('house')).toThrow(
      expect.objectContaining({ code: 'configuration', path: 'spec' }),
    )
  })

  it('001-56 sends the defaults of a model, also a 0, and nothing that was not set', async () => {
    await using server = await strictProvider({ script: () => ({ text: 'ok' }) })
    const providers = house()
      .configure('house', { apiKey: 'sk-0123456789', baseURL: server.url })
      .defaults('m', { temperature: 0.7, maxOutputTokens: 2_000, topP: 0.95 })
    await new Agent({ client: 'house/m', providers }).run('Hi?')
    await new Agent({ client: 'house/m', providers }).run('Hi?', { params: { temperature: 0 } })
    await new Agent({ client: 'house/other', providers }).run('Hi?')
    const [first, second, third] = server.requests.map(({ body }) => body)
    expect(first).toMatchObject({ temperature: 0.7, max_tokens: 2_000, top_p: 0.95 })
    expect(second).toMatchObject({ temperature: 0, max_tokens: 2_000, top_p: 0.95 })
    for (const name of ['temperature', 'max_tokens', 'top_p']) expect(third).not.toHaveProperty(name)
  })

  it('001-68 makes an agent of each of several providers, by name, split at the first slash only', async () => {
    vi.stubEnv('GROQ_API_KEY', 'gsk-0123456789')
    const groq = createClient('groq/llama-x')
    expect(groq).toBeInstanceOf(GroqClient)
    expect([groq.provider, groq.model]).toEqual(['groq', 'llama-x'])
    expect(createClient('groq/openai/gpt-oss-120b').model).toBe('openai/gpt-oss-120b')

    // createAgent and createAgents are no functions of their own: an agent takes the name.
    const providers = defaultProviders().register(
      'house',
      (model) => new ScriptedClient([`I am ${model}.`], { model }),
    )
    providers.configure('groq', { apiKey: 'gsk-9876543210' })
    const specs = { fast: 'house/small', wise: 'house/large' }
    const agents = Object.entries(specs).map(([name, client]) => new Agent({ name, client, providers }))
    expect(await Promise.all(agents.map((agent) => agent.run('Who are you?')))).toEqual([
      'I am small.',
      'I am large.',
    ])
  })
})
