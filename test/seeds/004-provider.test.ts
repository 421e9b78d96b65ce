import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  assistant,
  ConfigurationError,
  loadConfig,
  type Message,
  parseMessages,
  RunTimeoutError,
  resolveConfig,
  resultOf,
  system,
  TurnPruningMemory,
  tool,
  toolMessage,
  user,
} from '../../src/index.ts'
import { calls, hangs, ScriptExhaustedError, ScriptedClient, virtualClock } from '../../src/testing/index.ts'
import { thrownBy } from '../support/outcome.ts'

const search = tool({
  name: 'search',
  description: 'Finds texts',
  parameters: z.object({ query: z.string(), limit: z.int().min(1).default(10) }),
  execute: () => 'x'.repeat(60_000),
})

const call = { id: 'a', toolName: 'search', parameters: { query: 'sky' } }

describe('seed 004, provider', () => {
  it('004-40 sends the definitions of the registry, as plain JSON', async () => {
    const client = new ScriptedClient(['Hi.'])
    const agent = new Agent({ client, tools: [search], planning: 'off' })
    await agent.run('Hello?')
    const { tools } = client.requests[0] ?? {}
    expect(tools).toEqual(await agent.tools.definitions())
    expect(JSON.parse(JSON.stringify(tools))).toEqual([
      {
        name: 'search',
        description: 'Finds texts',
        parameters: expect.objectContaining({
          type: 'object',
          properties: {
            query: { type: 'string' },
            limit: expect.objectContaining({ type: 'integer', minimum: 1, default: 10 }),
          },
          required: ['query'],
        }),
      },
    ])
  })

  it('004-41 reads an assistant message that only calls tools', () => {
    const [first, second] = parseMessages([
      { role: 'assistant', toolCalls: [call] },
      { role: 'assistant', content: null, toolCalls: [call] },
    ])
    expect(first).toEqual(assistant('', [call]))
    expect(second).toEqual(first)
  })

  it('004-42 makes each kind of message by name', () => {
    const made: Message[] = [
      user('Hello'),
      assistant('Hi'),
      system('Be kind.'),
      toolMessage(call, 'Blue.'),
      assistant('I shall look.', [call]),
    ]
    expect(made).toEqual([
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: 'Hi' },
      { role: 'system', content: 'Be kind.' },
      { role: 'tool', callId: 'a', toolName: 'search', content: 'Blue.', ok: true },
      { role: 'assistant', content: 'I shall look.', toolCalls: [call] },
    ])
  })

  // A ConfigurationError, because the messages are an argument; a StoreError is a store that fails.
  it('004-43 names the message of a restored history whose role is none', async () => {
    const restored: unknown = JSON.parse('[{"role":"user","content":"Hi"},{"role":"robot","content":"Hi"}]')
    const wrong = { code: 'configuration', path: 'history[1].role' }
    expect(() => parseMessages(restored)).toThrow(expect.objectContaining(wrong))
    const agent = new Agent({ client: new ScriptedClient([]) })
    const running = agent.run('Hello?', { history: restored as unknown[] }) // what a file held
    expect(await thrownBy(running)).toMatchObject(wrong)
  })

  it('004-44 fails loudly when a scripted model runs out of replies', async () => {
    const client = new ScriptedClient([calls(['search', { query: 'sky' }])])
    const error = await thrownBy(new Agent({ client, tools: [search] }).run('Colour?'))
    expect(error).toBeInstanceOf(ScriptExhaustedError)
    expect(error).toMatchObject({ code: 'script_exhausted', requestNumber: 2 })
    expect(client.calls).toBe(2)
  })
})

describe('seed 004, configuration', () => {
  // The seed's file, in our words: what belongs to a memory is an option of the memory.
  const file = JSON.parse(`{
    "agent": { "maxIterations": 50, "timeoutMs": 300000, "maxToolOutput": 50000 },
    "conversation": { "maxTokens": 8000, "minRetainTurns": 10, "pruneThreshold": 0.8 }
  }`)
  const configured = () => ({
    ...loadConfig({ file: file.agent }),
    memory: new TurnPruningMemory(file.conversation),
  })

  it('004-45 limits an agent to exactly what its file says', async () => {
    let asked = 0
    const client = new ScriptedClient(() => calls(['search', { query: String(++asked) }]))
    const agent = new Agent({ ...configured(), client, tools: [search] })
    const error = await thrownBy(agent.run('Go.'))
    expect(error).toMatchObject({ code: 'max_iterations', maxIterations: 50 })
    expect(asked).toBe(50)
    const output = resultOf(error)?.steps[0]?.results[0]?.output ?? ''
    expect(/^x*/.exec(output)?.[0]).toHaveLength(50_000)
  })

  it('004-45 ends a run after the time its file allows', async () => {
    const { runtime } = virtualClock()
    const agent = new Agent({ ...configured(), client: new ScriptedClient([hangs()]), runtime })
    const error = await thrownBy(agent.run('Go.'))
    expect(error).toBeInstanceOf(RunTimeoutError)
    expect(runtime.now()).toBe(300_000)
  })

  it('004-45 keeps as many turns as its file says, above four fifths of 8,000 tokens', async () => {
    const client = new ScriptedClient(() => 'a'.repeat(1_200))
    const agent = new Agent({ ...configured(), client })
    for (let turn = 0; turn < 12; turn++) await agent.run('u'.repeat(1_200))
    // 6,300 tokens with the eleventh question; 6,600 with its answer, so that then the newest ten turns are kept.
    expect(client.requests[10]?.messages).toHaveLength(21)
    expect(client.requests[11]?.messages.map(({ role }) => role)).toEqual([
      'system',
      ...Array.from({ length: 10 }, () => ['user', 'assistant']).flat(),
      'user',
    ])
  })

  it('004-45 refuses an option that does not exist', () => {
    expect(() => loadConfig({ file: { max_turns: 50 } })).toThrow(
      expect.objectContaining({ code: 'configuration', path: 'max_turns' }),
    )
  })

  const client = new ScriptedClient([])
  const outcomeOf = (make: () => unknown) => {
    try {
      make()
      return 'accepted'
    } catch (error) {
      return error instanceof ConfigurationError ? error.path : error
    }
  }

  it.each([
    [0, 'maxIterations'],
    [1, 'accepted'],
    [1000, 'accepted'],
    [1001, 'maxIterations'],
    [-1, 'maxIterations'],
    [Number.NaN, 'maxIterations'],
    [1.5, 'maxIterations'],
  ])(
    '004-46 judges maxIterations %d alike in code, in a file and for one run: %s',
    (maxIterations, outcome) => {
      expect(outcomeOf(() => new Agent({ client, maxIterations }))).toBe(outcome)
      expect(outcomeOf(() => resolveConfig({ file: { maxIterations } }))).toBe(outcome)
      expect(outcomeOf(() => new Agent({ client }).runStream('Hi', { maxIterations }))).toBe(outcome)
    },
  )

  it.each([
    [0, 'timeoutMs'],
    [1, 'accepted'],
  ])('004-46 judges timeoutMs %d: %s', (timeoutMs, outcome) => {
    expect(outcomeOf(() => new Agent({ client, timeoutMs }))).toBe(outcome)
    expect(outcomeOf(() => resolveConfig({ file: { timeoutMs } }))).toBe(outcome)
  })

  it.each([
    [0, 'pruneThreshold'],
    [1, 'accepted'],
    [1.01, 'pruneThreshold'],
  ])('004-46 judges pruneThreshold %d: %s', (pruneThreshold, outcome) => {
    expect(outcomeOf(() => new TurnPruningMemory({ pruneThreshold }))).toBe(outcome)
  })
})
