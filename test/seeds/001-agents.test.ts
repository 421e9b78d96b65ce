import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  type AgentOptions,
  assistant,
  estimateTokens,
  type InstructionsContext,
  isEvent,
  type LLMClient,
  OutputValidationError,
  ProviderNotFoundError,
  ProviderRegistry,
  resultOf,
  retry,
  SimpleAgentMemory,
  Tool,
  textClient,
  tool,
  user,
  wrapClient,
} from '../../src/index.ts'
import { OpenAIClient } from '../../src/providers/openai.ts'
import { calls, ScriptedClient, says } from '../../src/testing/index.ts'
import { runNode } from '../support/child.ts'
import { thrownBy } from '../support/outcome.ts'
import { root } from '../support/repository.ts'
import { eventsOf } from './events-of.ts'

describe('seed 001, architecture', () => {
  it.each([true, false])(
    '001-2 chats without a word about tools when there are none (native: %s)',
    async (tools) => {
      // The seed's createChatAgent is no thing of its own: an agent without tools, with a limit to its memory.
      const client = new ScriptedClient(['Hello.'], { capabilities: { tools } })
      const memory = new SimpleAgentMemory({ maxHistoryTokens: 4_000 })
      await new Agent({ client, instructions: 'Be kind.', memory }).run('Hi.')
      expect(client.requests).toEqual([{ system: 'Be kind.', messages: [user('Hi.')] }])
    },
  )

  it('001-3 lets a subclass write its own instructions', async () => {
    class Tutor extends Agent {
      readonly #subject: string

      constructor(subject: string, options: AgentOptions) {
        super(options)
        this.#subject = subject
      }

      protected override buildInstructions({ context }: InstructionsContext): string {
        return `Teach ${this.#subject} to ${context}.`
      }
    }
    const client = new ScriptedClient(['Gladly.'])
    await new Tutor('Latin', { client, instructions: 'Not this.' }).run('Hi.', { context: 'Ada' })
    expect(client.requests[0]?.system).toBe('Teach Latin to Ada.')
  })

  it('001-4 gives its history out, not away', async () => {
    const agent = new Agent({ client: new ScriptedClient(['Hi.', 'Fine.']) })
    await agent.run('Hello?')
    const history = agent.history as unknown[] // as someone without types would
    history.push({ role: 'user', content: 'I never said this.' })
    expect(agent.history).toEqual([user('Hello?'), assistant('Hi.')])
  })

  it('001-5 tells the usage of each model call, and its own estimate where the provider says nothing', async () => {
    const client = new ScriptedClient([
      calls(['look', {}, 'a']),
      says('There are many of them.', { usage: 'absent' }),
    ])
    const look = tool({
      name: 'look',
      description: 'Looks',
      parameters: z.object({}),
      execute: () => 'stars',
    })
    const agent = new Agent({ client, tools: [look], instructions: 'Be brief.', planning: 'off' })
    const events = (await eventsOf(agent.runStream('What is there?'))).filter((event) =>
      isEvent(event, 'usage'),
    )

    const { tools = [], system = '' } = client.requests[1] ?? {}
    const sent = [
      system,
      ...tools.flatMap(({ name, description, parameters }) => [
        name,
        description,
        JSON.stringify(parameters),
      ]),
      ...['What is there?', 'look', '{}', 'stars'],
    ]
    const usages = [
      { inputTokens: 10, outputTokens: 5 },
      {
        inputTokens: sent.reduce((tokens, text) => tokens + estimateTokens(text), 0),
        outputTokens: estimateTokens('There are many of them.'),
        estimated: true,
      },
    ]
    expect(
      events.map(({ usage, estimated, provider, model }) => ({ usage, estimated, provider, model })),
    ).toEqual([
      { usage: usages[0], estimated: false, provider: 'scripted', model: 'scripted-1' },
      { usage: usages[1], estimated: true, provider: 'scripted', model: 'scripted-1' },
    ])
  })

  it('001-7 has one shape for all clients', () => {
    // countTokens is no member: counting is the agent's option, because few providers can and none can for free.
    const openai = new OpenAIClient({ model: 'gpt-5', apiKey: 'sk-test-0123456789' }) satisfies LLMClient
    const clients = [
      openai,
      new ScriptedClient([]) satisfies LLMClient,
      textClient(() => 'ok') satisfies LLMClient,
      wrapClient(openai, retry()) satisfies LLMClient,
    ]
    expect(clients.map(({ provider, model }) => `${provider}/${model}`)).toEqual([
      'openai/gpt-5',
      'scripted/scripted-1',
      'custom/text',
      'openai/gpt-5',
    ])
  })

  it('001-9 finds a model by the name of a provider that was registered', async () => {
    const providers = new ProviderRegistry()
      .register('custom', (model) => textClient(() => `I am ${model}.`, { provider: 'custom', model }), {
        description: 'Ours',
      })
      .register('scripted', () => new ScriptedClient([]))
    expect(providers.list()).toEqual([{ name: 'custom', description: 'Ours' }, { name: 'scripted' }])
    expect(await new Agent({ client: 'custom/small/v2', providers }).run('Who are you?')).toBe(
      'I am small/v2.',
    )

    const resolve = () => providers.resolve('acme/large')
    expect(resolve).toThrow(ProviderNotFoundError)
    expect(resolve).toThrow(expect.objectContaining({ provider: 'acme', available: ['custom', 'scripted'] }))
  })

  it('001-29 forgets the oldest messages above its limit of tokens', async () => {
    const tokens50 = (letter: string) => letter.repeat(200)
    const history = [
      user(tokens50('a')),
      assistant(tokens50('b')),
      user(tokens50('c')),
      assistant(tokens50('d')),
    ]
    const memory = new SimpleAgentMemory({ maxHistoryTokens: 100 })
    const { signal } = new AbortController()
    const context = { countTokens: estimateTokens, conversationId: 'c', signal }
    // The two newest fit to the token. The last user message is one of them, as it must always be.
    expect(memory.manageHistory(history, context)).toEqual(history.slice(2))
  })

  it('001-44 writes to no stream and no console unless it has a logger', async () => {
    const program = `
      import { Agent, consoleLogger, tool } from './src/index.ts'
      import { calls, fails, ScriptedClient } from './src/testing/index.ts'
      const parameters = { type: 'object', properties: {} }
      const broken = tool({ name: 'broken', description: 'Fails', parameters, execute: () => { throw new Error('no') } })
      const script = () => [calls(['broken']), 'It failed.', fails('auth')]
      for (const logger of [undefined, ...(process.argv[1] === 'log' ? [consoleLogger({ level: 'debug' })] : [])]) {
        const agent = new Agent({ client: new ScriptedClient(script()), tools: [broken], ...(logger && { logger }) })
        agent.on('final_response', () => { throw new Error('listener') })
        await agent.run('Go.')
        await agent.run('Again.').catch(() => {})
        await agent.close()
      }`
    const running = (...args: string[]) =>
      runNode(['--input-type=module', '-e', program, ...args], { cwd: root })

    expect(await running()).toEqual({ code: 0, stdout: '', stderr: '' })
    // Told to log, the same program is heard.
    const { stdout, stderr } = await running('log')
    expect(stdout).toContain('run started')
    expect(stderr).toContain('run failed')
  })

  it('001-44 writes what happens to the logger it is given', async () => {
    const lines: string[] = []
    const write = (level: string) => (message: string) => void lines.push(`${level}: ${message}`)
    const logger = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
    await new Agent({ client: new ScriptedClient(['Hi.']), logger }).run('Hello?')
    expect(lines).toEqual(['info: run started', 'debug: usage', 'debug: final_response', 'info: run done'])
  })
})

describe('seed 001, extension and safety', () => {
  it('001-54 runs on a function that gives text', async () => {
    expect(await new Agent({ client: textClient(async () => 'ok') }).run('x')).toBe('ok')
  })

  abstract class Lookup extends Tool<{ word: string }> {
    readonly parameters = z.object({ word: z.string() })
    protected abstract find(word: string): unknown

    override execute({ word }: { word: string }): unknown {
      return this.find(word)
    }
  }

  class Dictionary extends Lookup {
    readonly name = 'dictionary'
    readonly description = 'What a word means'

    protected override find(word: string): unknown {
      return { status: 'found', result: `a thing called ${word}` }
    }
  }

  it('001-69 calls a tool that is a class of one’s own', async () => {
    const client = new ScriptedClient([calls(['dictionary', { word: 'tercet' }]), 'A thing.'])
    const agent = new Agent({ client, tools: [new Dictionary()], planning: 'off' })
    expect(await agent.run('What is a tercet?')).toBe('A thing.')
    expect(client.requests[0]?.tools).toEqual([
      {
        name: 'dictionary',
        description: 'What a word means',
        parameters: { type: 'object', properties: { word: { type: 'string' } }, required: ['word'] },
      },
    ])
  })

  it('001-70 shows the model an object as JSON, and keeps it as it is for the application', async () => {
    const client = new ScriptedClient([calls(['dictionary', { word: 'tercet' }, 'd']), 'A thing.'])
    const { steps } = await new Agent({ client, tools: [new Dictionary()] }).runStream('What is it?').result
    const meaning = { status: 'found', result: 'a thing called tercet' }
    expect(steps[0]?.results).toMatchObject([{ ok: true, output: JSON.stringify(meaning), data: meaning }])
    expect(client.requests[1]?.messages.at(-1)?.content).toBe(JSON.stringify(meaning))
  })

  const sum = z.object({ sum: z.number() })

  it('001-75 asks again until the answer fits its schema', async () => {
    // Guards of the output are to come; the schema is the verification there is.
    const client = new ScriptedClient(['It is 3.', '{"sum":"three"}', '{"sum":3}'])
    expect(await new Agent({ client, output: sum }).run('1 + 2?')).toEqual({ sum: 3 })
    expect(client.calls).toBe(3)
  })

  it('001-75 fails when the answer never fits', async () => {
    const client = new ScriptedClient(() => '{"sum":"three"}')
    const error = await thrownBy(new Agent({ client, output: sum }).run('1 + 2?'))
    expect(error).toBeInstanceOf(OutputValidationError)
    expect(error).toMatchObject({ issues: [expect.stringContaining('sum')] })
    expect(resultOf(error)).toMatchObject({ status: 'failed', partial: '{"sum":"three"}' })
    expect(client.calls).toBe(3)
  })
})
