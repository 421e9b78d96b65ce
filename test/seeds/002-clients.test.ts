import { describe, expect, it, onTestFinished, vi } from 'vitest'
import {
  Agent,
  assistant,
  type LLMClient,
  LLMError,
  type LLMRequest,
  type LLMResponse,
  MissingCredentialError,
  resultOf,
  textClient,
  user,
} from '../../src/index.ts'
import { OpenAIClient } from '../../src/providers/openai.ts'
import { ScriptedClient, says, strictProvider } from '../../src/testing/index.ts'
import { thrownBy } from '../support/outcome.ts'
import { eventsOf } from './events-of.ts'

describe('seed 002, clients', () => {
  it('002-10 makes a client of a function, which gets the messages and the params', async () => {
    const generate = vi.fn(async () => 'Hi.')
    const agent = new Agent({ client: textClient(generate), params: { temperature: 0 }, planning: 'off' })

    expect(await agent.run('Hello?')).toBe('Hi.')
    expect(generate.mock.calls).toEqual([
      [[user('Hello?')], { signal: expect.any(AbortSignal), params: { temperature: 0 } }],
    ])
  })

  it('002-11 asks for a key that neither the options nor the environment have', () => {
    vi.stubEnv('OPENAI_API_KEY', undefined)
    vi.stubEnv('OPENAI_BASE_URL', undefined)
    onTestFinished(() => void vi.unstubAllEnvs())

    expect(() => new OpenAIClient()).toThrow(MissingCredentialError)
    expect(() => new OpenAIClient()).toThrow(/OPENAI_API_KEY/)
  })

  it('002-11 posts to the base URL, with the key, organization and headers it was given', async () => {
    const asked: { url: string; headers: Headers }[] = []
    const client = new OpenAIClient({
      apiKey: 'sk-test-0123456789',
      baseURL: 'http://models.test/v1',
      organization: 'org-1',
      defaultHeaders: { 'x-team': 'blue' },
      fetch: async (input, init) => {
        const request = new Request(input, init)
        asked.push({ url: request.url, headers: request.headers })
        return Response.json({
          id: 'c',
          object: 'chat.completion',
          created: 1,
          model: 'gpt-4o',
          choices: [
            {
              index: 0,
              finish_reason: 'stop',
              message: { role: 'assistant', content: 'Hi.', refusal: null },
            },
          ],
        })
      },
    })
    expect(client.model).toBe('gpt-4o')
    expect(await new Agent({ client, stream: false }).run('Hello?')).toBe('Hi.')

    const [{ url, headers } = { url: '', headers: new Headers() }] = asked
    expect(url).toBe('http://models.test/v1/chat/completions')
    expect(['authorization', 'openai-organization', 'x-team'].map((name) => headers.get(name))).toEqual([
      'Bearer sk-test-0123456789',
      'org-1',
      'blue',
    ])
  })

  it.each([true, false])(
    '002-12 is answered by a local server that speaks OpenAI (stream: %s)',
    async (stream) => {
      await using server = await strictProvider({ script: [{ text: 'Hello from here.' }] })
      const client = new OpenAIClient({ baseURL: server.url, apiKey: 'not-needed', model: 'local' })

      expect(await new Agent({ client, stream }).run('Hello?')).toBe('Hello from here.')
      expect(server.refusals).toEqual([])
      expect(server.requests.map(({ path, body }) => [path, body['model'], body['messages']])).toEqual([
        ['/v1/chat/completions', 'local', [{ role: 'user', content: 'Hello?' }]],
      ])
    },
  )

  it('002-14 takes a class of the caller with call() alone, whose reply is then one token', async () => {
    class EchoClient implements LLMClient {
      readonly provider = 'echo'
      readonly model = 'echo-1'
      readonly capabilities = { tools: false, streaming: true, structuredOutput: false, images: false }

      async call({ messages }: LLMRequest): Promise<LLMResponse> {
        return { text: `You said: ${messages.at(-1)?.content}`, toolCalls: [], stopReason: 'stop' }
      }
    }
    const agent = new Agent({ client: new EchoClient() })

    expect(await agent.run('Hello?')).toBe('You said: Hello?')
    const events = await eventsOf(agent.runStream('Bye!'))
    const tokens = events.flatMap((event) => (event.type === 'token' ? [[event.channel, event.text]] : []))
    expect(tokens).toEqual([['answer', 'You said: Bye!']])
  })

  it('002-15 asks again after an empty reply', async () => {
    const client = new ScriptedClient([says(''), 'Hello.'])
    const agent = new Agent({ client })

    expect(await agent.run('Hello?')).toBe('Hello.')
    expect(client.requests[1]?.messages).toEqual([
      user('Hello?'),
      user('Your reply was empty. Answer, or call a tool. Reply again, complete and in the right form.'),
    ])
    expect(agent.history).toEqual([user('Hello?'), assistant('Hello.')])
  })

  it.each(['native', 'json'] as const)('002-15 fails when replies stay empty (%s)', async (protocol) => {
    const agent = new Agent({ client: new ScriptedClient([says(''), says(' ')]), protocol })
    const error = await thrownBy(agent.run('Hello?'))

    expect(error).toBeInstanceOf(LLMError)
    expect(error).toMatchObject({ kind: 'malformed' })
    expect(resultOf(error)).toMatchObject({ status: 'failed', usage: { inputTokens: 20, outputTokens: 10 } })
    expect(agent.history).toEqual([user('Hello?')])
  })

  it('002-15 takes a null content of the wire for an empty reply', async () => {
    await using server = await strictProvider({ script: [{}, { text: 'Hello.' }] })
    const client = new OpenAIClient({ baseURL: server.url, apiKey: 'not-needed', model: 'local' })
    expect(await new Agent({ client, stream: false }).run('Hello?')).toBe('Hello.')
  })
})
