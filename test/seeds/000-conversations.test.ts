import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  assistant,
  ConcurrentRunError,
  ConfigurationError,
  estimateTokens,
  LLMError,
  type LLMRequest,
  loadConfig,
  type Message,
  resolveConfig,
  resultOf,
  secret,
  ToolSet,
  textOf,
  tool,
  user,
  validateHistory,
} from '../../src/index.ts'
import { calls, fails, ScriptedClient, says } from '../../src/testing/index.ts'
import { thrownBy } from '../support/outcome.ts'

/** What a request comes to by the library's own estimate: system, tools and messages. */
function tokensOf({ system = '', tools = [], messages }: LLMRequest): number {
  const ofMessage = (message: Message): number => {
    const { toolCalls = [] } = message.role === 'assistant' ? message : {}
    const parts = toolCalls.flatMap(({ toolName, parameters }) => [toolName, JSON.stringify(parameters)])
    return [textOf(message.content), ...parts].reduce((tokens, text) => tokens + estimateTokens(text), 0)
  }
  const definitions = tools.flatMap(({ name, description, parameters }) => [
    name,
    description,
    JSON.stringify(parameters),
  ])
  return (
    [system, ...definitions].reduce((tokens, text) => tokens + estimateTokens(text), 0) +
    messages.reduce((tokens, message) => tokens + ofMessage(message), 0)
  )
}

describe('seed 000, conversations', () => {
  it('000-10 sends what the context window holds beside the answer', async () => {
    const client = new ScriptedClient(['Yes.'], { capabilities: { contextWindow: 200, maxOutputTokens: 50 } })
    const history = Array.from({ length: 20 }, (_, index) =>
      index % 2 === 0 ? user('q'.repeat(200)) : assistant('a'.repeat(200)),
    )
    await new Agent({ client }).run('Do you remember?', { history })

    const [request] = client.requests
    expect(history.reduce((tokens, { content }) => tokens + estimateTokens(textOf(content)), 0)).toBe(1000)
    expect(request && tokensOf(request)).toBeLessThanOrEqual(200 - 50)
    expect(request?.messages.length).toBeGreaterThan(1)
    expect(request?.messages.at(-1)).toEqual(user('Do you remember?'))
  })

  it.each([
    ['', 0],
    ['test', 1],
    ['hello world', 3],
    ['é'.repeat(8), 2],
    ['👍'.repeat(4), 1],
  ])('000-11 takes a token for four code points: %j', (text, tokens) => {
    expect(estimateTokens(text)).toBe(tokens)
  })

  it('000-11 counts tokens as it is told to', async () => {
    const history = Array.from({ length: 100 }, (_, index) =>
      index % 2 === 0 ? user('q'.repeat(4_000)) : assistant('a'.repeat(4_000)),
    )
    const sent = async (options: { countTokens?: () => number }) => {
      const client = new ScriptedClient(['Yes.'])
      await new Agent({ client, ...options }).run('Do you remember?', { history })
      return client.requests[0]?.messages.length
    }
    expect(await sent({ countTokens: () => 1 })).toBe(101)
    expect(await sent({})).toBeLessThan(101)
  })

  it('000-23 makes a second run wait for the first', async () => {
    const agent = new Agent({ client: new ScriptedClient(['a1', 'a2']) })
    expect(await Promise.all([agent.run('u1'), agent.run('u2')])).toEqual(['a1', 'a2'])
    expect(agent.history).toEqual([user('u1'), assistant('a1'), user('u2'), assistant('a2')])
  })

  it('000-23 refuses a second run, if told to, and keeps nothing of it', async () => {
    const agent = new Agent({ client: new ScriptedClient(['a1']), concurrency: 'reject' })
    const first = agent.run('u1')
    const second = thrownBy(agent.run('u2'))
    expect(await second).toBeInstanceOf(ConcurrentRunError)
    expect(await first).toBe('a1')
    expect(agent.history).toEqual([user('u1'), assistant('a1')])
  })

  it('000-26 sends the question and the answer before with the next question', async () => {
    const client = new ScriptedClient(['A.', 'B.'])
    const agent = new Agent({ client })
    await agent.run('a')
    await agent.run('b')
    expect(client.requests[1]?.messages).toEqual([user('a'), assistant('A.'), user('b')])
  })

  it('000-27 keeps to the window before every model call, not only the first', async () => {
    const dump = tool({
      name: 'dump',
      description: 'Gives everything',
      parameters: z.object({}),
      execute: () => 'x'.repeat(40_000),
    })
    const client = new ScriptedClient([calls(['dump', {}, 'd']), 'Too much.'], {
      capabilities: { contextWindow: 2_000, maxOutputTokens: 500 },
    })
    const agent = new Agent({ client, tools: [dump] })
    expect(await agent.run('Everything, please.')).toBe('Too much.')

    const second = client.requests[1]
    expect(second && tokensOf(second)).toBeLessThanOrEqual(2_000 - 500)
    expect(second?.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool'])
    expect(agent.history[2]?.content.length).toBe(40_000)
  })

  it('000-38d goes on after a failure without running again what was run', async () => {
    let booked = 0
    const book = tool({
      name: 'book',
      description: 'Books a room',
      parameters: z.object({}),
      execute: () => `booking ${++booked}`,
    })
    const client = new ScriptedClient([calls(['book', {}, 'b']), fails('auth'), 'Your room is booked.'])
    const agent = new Agent({ client, tools: [book] })

    const error = await thrownBy(agent.run('Book me a room.'))
    expect(error).toBeInstanceOf(LLMError)
    const kept = [
      user('Book me a room.'),
      assistant('', [{ id: 'b', toolName: 'book', parameters: {} }]),
      { role: 'tool', callId: 'b', toolName: 'book', content: 'booking 1', ok: true },
    ]
    expect(agent.history).toEqual(kept)
    expect(validateHistory(agent.history)).toEqual([])
    expect(resultOf(error)).toMatchObject({
      status: 'failed',
      steps: [{ results: [{ output: 'booking 1' }] }],
    })

    expect(await agent.resume(agent.conversationId)).toBe('Your room is booked.')
    expect(client.requests[2]?.messages).toEqual(kept)
    expect(booked).toBe(1)
  })
})

describe('seed 000, configuration', () => {
  it('000-22 takes an option from the nearest of its layers, and says which', () => {
    const { values, sources } = resolveConfig({
      defaults: { maxIterations: 5, timeoutMs: 1_000 },
      file: { maxIterations: 6, planning: 'off' },
      env: { MAX_ITERATIONS: '7', TOOL_CONCURRENCY: '2' },
      call: { maxIterations: 8 },
    })
    expect(values).toEqual({ maxIterations: 8, timeoutMs: 1_000, planning: 'off', toolConcurrency: 2 })
    expect(sources).toEqual({
      maxIterations: 'call',
      timeoutMs: 'defaults',
      planning: 'file',
      toolConcurrency: 'env',
    })
  })

  it('000-22 lets the options of a run stand before those of the agent', async () => {
    const look = tool({ name: 'look', description: 'Looks', parameters: z.object({}), execute: () => '' })
    const client = new ScriptedClient(() => calls(['look']))
    const agent = new Agent({ client, tools: [look], maxIterations: 1 })
    expect(await thrownBy(agent.run('Go.', { maxIterations: 2 }))).toMatchObject({ maxIterations: 2 })
    expect(await thrownBy(agent.run('Go.'))).toMatchObject({ maxIterations: 1 })
  })

  it('000-35 names the variable that holds a wrong value', () => {
    // The seed's defineConfig(zodSchema) is not there: what can be configured is fixed, and so is its check.
    const load = () => loadConfig({ env: { MAX_ITERATIONS: 'abc' } })
    expect(load).toThrow(ConfigurationError)
    expect(load).toThrow(expect.objectContaining({ path: 'MAX_ITERATIONS' }))
    expect(load).toThrow(/MAX_ITERATIONS/)
  })

  it('000-35 reads no environment that it was not given', () => {
    const env = { MAX_ITERATIONS: '7' }
    expect(loadConfig({ env })).toEqual({ maxIterations: 7 })
    const before = process.env
    try {
      process.env = env
      expect(loadConfig({})).toEqual({})
      new Agent({ client: new ScriptedClient([]) })
    } finally {
      process.env = before
    }
  })

  it('000-37 shows what it is and what it sent last, and nothing of hidden configs', async () => {
    const weather = tool({
      name: 'get_weather',
      description: 'Weather',
      parameters: z.object({}),
      config: z.object({ apiKey: z.string(), password: z.string() }),
      execute: ({ password }) => `Sunny, says ${password}.`,
    })
    const set = new ToolSet({
      name: 'weather_api',
      description: 'Weather data',
      config: { apiKey: 'S3CR3T', password: secret('pa55') },
      tools: [weather],
    })
    const client = new ScriptedClient([calls(['get_weather']), says('Sunny.')])
    const agent = new Agent({ client, name: 'forecaster', instructions: 'Be brief.', tools: [set] })
    await agent.run('Weather?')

    const snapshot = agent.inspect()
    expect(snapshot).toMatchObject({
      name: 'forecaster',
      provider: 'scripted',
      model: 'scripted-1',
      tools: ['get_weather'],
      toolsets: ['weather_api'],
      status: 'idle',
      historyLength: 4,
      lastRequest: { system: expect.stringContaining('Be brief.'), messages: expect.any(Array) },
    })
    for (const shown of [
      JSON.stringify(snapshot),
      inspect(snapshot, { depth: null }),
      inspect(agent, { depth: null }),
    ]) {
      expect(shown).not.toContain('S3CR3T')
      expect(shown).not.toContain('pa55')
    }
  })
})
