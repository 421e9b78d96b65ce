import { describe, expect, expectTypeOf, it, onTestFinished, vi } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  type AgentMemory,
  type ConversationStore,
  consoleLogger,
  type Entry,
  type LLMClient,
  LLMError,
  type Logger,
  type Runtime,
  type Tool,
  ToolSet,
  tool,
  user,
} from '../../src/index.ts'
import { calls, fails, ScriptedClient, says, virtualClock } from '../../src/testing/index.ts'
import { thrownBy } from '../support/outcome.ts'

const once429 = fails('rate_limit', { status: 429 })

describe('seed 002, design principles', () => {
  it('002-59 takes an object literal for each of its collaborators', async () => {
    let time = 0
    let ids = 0
    const stored: Entry[] = []
    const logged: string[] = []
    const said: string[] = []
    const client: LLMClient = {
      provider: 'own',
      model: 'own-1',
      capabilities: { tools: true, streaming: false, structuredOutput: false, images: false },
      call: async ({ messages }) =>
        messages.at(-1)?.role === 'tool'
          ? { text: 'It is noon.', toolCalls: [], stopReason: 'stop' }
          : { text: '', toolCalls: [{ id: 'a', toolName: 'now', parameters: {} }], stopReason: 'tool_calls' },
    }
    const now: Tool = {
      name: 'now',
      description: 'The time',
      parameters: z.object({}),
      execute: () => 'noon',
    }
    const memory: AgentMemory = { manageHistory: (history) => history }
    const store: ConversationStore = {
      init: async () => {},
      append: async (_id, _version, entries) => stored.push(...entries),
      read: async () => [],
      list: async () => [],
      delete: async () => {},
      close: async () => {},
    }
    const log = (message: string) => void logged.push(message)
    const logger: Logger = { debug: log, info: log, warn: log, error: log }
    const runtime: Runtime = {
      now: () => ++time,
      sleep: (_ms, signal) =>
        new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason))),
      random: () => 0,
      id: () => `own-${++ids}`,
      fetch: async () => new Response(),
    }
    const hooks = { onMessage: ({ role }: { role: string }) => void said.push(role) }
    const agent = new Agent({ client, tools: [now], memory, store, logger, runtime, hooks })

    expect(await agent.run('Time?')).toBe('It is noon.')
    expect(stored.map(({ type }) => type)).toEqual([
      'input',
      'reply',
      'tool_started',
      'tool_finished',
      'reply',
      'run_ended',
    ])
    expect(logged.at(0)).toBe('run started')
    expect(said).toEqual(['user', 'assistant', 'tool', 'assistant'])
    expect(agent.conversationId).toMatch(/^own-/)
  })

  it('002-60 infers what a tool receives and a run gives from their schemas', async () => {
    const weather = tool({
      name: 'weather',
      description: 'The weather',
      parameters: z.object({ city: z.string(), days: z.number().default(1) }),
      config: z.object({ apiKey: z.string() }),
      execute: ({ city, days, apiKey }) => {
        expectTypeOf(city).toEqualTypeOf<string>()
        expectTypeOf(days).toEqualTypeOf<number>()
        expectTypeOf(apiKey).toEqualTypeOf<string>()
        return `${city}, ${days} day, sunny`
      },
    })
    const set = new ToolSet({
      name: 'w',
      description: 'Weather',
      tools: [weather],
      config: { apiKey: 'k-12345678' },
    })
    const output = z.object({ city: z.string(), sunny: z.boolean() })
    const client = new ScriptedClient([
      calls(['weather', { city: 'Oslo' }]),
      says('{"city":"Oslo","sunny":true}'),
    ])
    const answer = await new Agent({ client, tools: [set], output }).run('Oslo?')

    expectTypeOf(answer).toEqualTypeOf<{ city: string; sunny: boolean }>()
    expect(answer).toEqual({ city: 'Oslo', sunny: true })
    expectTypeOf(new Agent({ client }).run).returns.resolves.toEqualTypeOf<string>()
    // @ts-expect-error an absent option is absent, not undefined
    new Agent({ client, instructions: undefined })
  })

  it('002-61 writes to the logger it is given, and nowhere else', async () => {
    const lines: [level: string, message: string][] = []
    const at = (level: string) => (message: string) => void lines.push([level, message])
    const logger: Logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
    const { runtime } = virtualClock()
    const methods = ['debug', 'info', 'log', 'warn', 'error'] as const
    const consoles = methods.map((method) => vi.spyOn(console, method).mockImplementation(() => {}))
    onTestFinished(() => void vi.restoreAllMocks())

    const script = () => new ScriptedClient([once429, 'Hello.', fails('auth')])
    for (const options of [{ logger }, {}]) {
      const agent = new Agent({ client: script(), runtime, ...options })
      await agent.run('Hello?')
      await thrownBy(agent.run('Again?'))
    }
    expect(lines.map(([level, message]) => [level, message.split(',')[0]])).toEqual([
      ['info', 'run started'],
      ['warn', 'model call failed'],
      ['debug', 'usage'],
      ['debug', 'final_response'],
      ['info', 'run done'],
      ['info', 'run started'],
      ['error', 'run failed'],
    ])
    expect(consoles.flatMap((spy) => spy.mock.calls)).toEqual([])
  })

  it('002-61 writes to the console at the level that was asked for, whatever the environment says', () => {
    vi.stubEnv('LOG_LEVEL', 'debug')
    const [warn, info] = [
      vi.spyOn(console, 'warn').mockReturnValue(),
      vi.spyOn(console, 'info').mockReturnValue(),
    ]
    onTestFinished(() => {
      vi.restoreAllMocks()
      vi.unstubAllEnvs()
    })
    const logger = consoleLogger({ level: 'warn' })
    logger.info('quiet')
    logger.warn('loud', { why: 'test' })
    expect(info.mock.calls).toEqual([])
    expect(warn.mock.calls).toEqual([['tercet warn: loud', { why: 'test' }]])
  })

  it('002-61 takes retries and memory as they are given, and none for false and null', async () => {
    const clock = virtualClock()
    const client = new ScriptedClient([once429, 'Hello.'])
    const agent = new Agent({ client, retry: false, memory: null, runtime: clock.runtime })
    expect(await thrownBy(agent.run('Hello?'))).toMatchObject({ kind: 'rate_limit' })
    expect(client.calls).toBe(1)

    const patient = new ScriptedClient([once429, once429, once429, 'Hello.'])
    const retry = { attempts: 4, minDelayMs: 10, factor: 1, jitter: 'none' } as const
    const memory: AgentMemory = { manageHistory: () => [user('In short: hello?')] }
    expect(await new Agent({ client: patient, retry, memory, runtime: clock.runtime }).run('Hello?')).toBe(
      'Hello.',
    )
    expect(patient.requests.at(-1)?.messages).toEqual([user('In short: hello?')])
  })

  it('002-62 tries a model call again after a rate limit, waiting twice as long each time', async () => {
    const clock = virtualClock()
    const client = new ScriptedClient([once429, once429, 'ok'])
    // Full jitter is the default; without it the waits are whole.
    const agent = new Agent({ client, retry: { jitter: 'none' }, runtime: clock.runtime })
    const waits: number[] = []
    agent.on('retry', ({ delayMs }) => waits.push(delayMs))

    expect(await agent.run('Hello?')).toBe('ok')
    expect(waits).toEqual([1000, 2000])
    expect(clock.sleeps.filter((ms) => ms <= 2000)).toEqual([1000, 2000])
    expect(client.calls).toBe(3)
    expect(agent.history.map(({ role }) => role)).toEqual(['user', 'assistant'])
  })

  it('002-62 waits at random by default, never longer than doubling would have it, and gives up after three attempts', async () => {
    const clock = virtualClock()
    const client = new ScriptedClient([once429, once429, once429, 'never'])
    const agent = new Agent({ client, runtime: clock.runtime })
    const waits: number[] = []
    agent.on('retry', ({ delayMs }) => waits.push(delayMs))

    expect(await thrownBy(agent.run('Hello?'))).toMatchObject({ code: 'llm', kind: 'rate_limit' })
    expect(client.calls).toBe(3)
    expect(waits.map((ms, index) => ms > 0 && ms <= 1000 * 2 ** index)).toEqual([true, true])
  })

  it('002-62 does not try again with a wrong key, nor run a failing tool twice', async () => {
    const client = new ScriptedClient([fails('auth', { status: 401 })])
    const { runtime } = virtualClock()
    const error = await thrownBy(new Agent({ client, runtime }).run('Hello?'))
    expect(error).toBeInstanceOf(LLMError)
    expect([error, client.calls]).toMatchObject([{ kind: 'auth', status: 401 }, 1])

    let executed = 0
    const pay = tool({
      name: 'pay',
      description: 'Pays',
      parameters: z.object({}),
      execute: () => {
        executed++
        throw new Error('The bank is closed.')
      },
    })
    const payer = new Agent({
      client: new ScriptedClient([calls(['pay']), 'It failed.']),
      tools: [pay],
      runtime,
    })
    expect(await payer.run('Pay.')).toBe('It failed.')
    expect(executed).toBe(1)
    expect(payer.history[2]).toMatchObject({ role: 'tool', content: 'Error: The bank is closed.', ok: false })
  })
})
