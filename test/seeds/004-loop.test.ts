import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  assistant,
  ConfigurationError,
  type Hooks,
  LLMError,
  MaxIterationsError,
  RunTimeoutError,
  resultOf,
  SimpleAgentMemory,
  tool,
  toolMessage,
  user,
  validateHistory,
} from '../../src/index.ts'
import { TokenCounts } from '../../src/memory/tokens.ts'
import { calls, hangs, ScriptedClient, says, virtualClock } from '../../src/testing/index.ts'
import { thrownBy } from '../support/outcome.ts'
import { eventsOf } from './events-of.ts'

const look = tool({
  name: 'look',
  description: 'Looks',
  parameters: z.object({ at: z.string().default('sky') }),
  execute: ({ at }) => `The ${at} is blue.`,
})

describe('seed 004, agent loop', () => {
  it('004-16 hands a conversation to an agent with other tools', async () => {
    const first = new Agent({ client: new ScriptedClient([calls(['look']), 'Blue.']), tools: [look] })
    await first.run('Colour?')

    const client = new ScriptedClient(['Still blue.'])
    const paint = tool({
      name: 'paint',
      description: 'Paints',
      parameters: z.object({}),
      execute: () => 'red',
    })
    const second = new Agent({ client, tools: [paint], planning: 'off' })
    for (const message of first.history) second.addMessage(message)
    expect(await second.run('And now?')).toBe('Still blue.')
    expect(client.requests[0]?.messages).toEqual([...first.history, user('And now?')])
    expect(client.requests[0]?.tools?.map(({ name }) => name)).toEqual(['paint'])
    expect(validateHistory(second.history)).toEqual([])
  })

  it('004-17 adds the prompt, then calls the model and its tools in turn, and gives the last reply', async () => {
    const trace: string[] = []
    const hooks: Hooks = {
      beforeModel: ({ messages }) => void trace.push(`model asked, ${messages.length}`),
      afterModel: () => void trace.push('model answered'),
      beforeTool: ({ toolName }) => void trace.push(`${toolName} called`),
      afterTool: ({ output }) => void trace.push(output),
      onMessage: ({ role }) => void trace.push(`added ${role}`),
    }
    const client = new ScriptedClient([calls(['look']), 'Blue.'])
    expect(await new Agent({ client, tools: [look], hooks }).run('Colour?')).toBe('Blue.')
    expect(trace).toEqual([
      'added user',
      'model asked, 1',
      'model answered',
      'added assistant',
      'look called',
      'The sky is blue.',
      'added tool',
      'model asked, 3',
      'model answered',
      'added assistant',
    ])
  })

  it('004-19 stops a model that hangs when its time is up, not after', async () => {
    const clock = virtualClock()
    const client = new ScriptedClient([hangs()])
    const agent = new Agent({ client, timeoutMs: 50, runtime: clock.runtime })
    const error = await thrownBy(agent.run('Hello?'))
    expect(error).toBeInstanceOf(RunTimeoutError)
    expect(clock.runtime.now()).toBe(50)
    expect(client.callOptions[0]?.signal?.aborted).toBe(true)
  })

  it('004-19 stops a tool that hangs when its time is up', async () => {
    const clock = virtualClock()
    let stoppedAt: number | undefined
    const wait = tool({
      name: 'wait',
      description: 'Waits',
      parameters: z.object({}),
      execute: (_, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            stoppedAt = clock.runtime.now()
            reject(signal.reason)
          })
        }),
    })
    const client = new ScriptedClient([calls(['wait'])])
    const agent = new Agent({ client, tools: [wait], timeoutMs: 50, runtime: clock.runtime })
    expect(await thrownBy(agent.run('Wait.'))).toBeInstanceOf(RunTimeoutError)
    expect(stoppedAt).toBe(50)
  })

  it('004-20 keeps every request of 200 random runs within its budget', async () => {
    const { runtime } = virtualClock({ seed: 20 })
    const upTo = (most: number) => Math.floor(runtime.random() * most)
    const counts = new TokenCounts()
    const search = tool({
      name: 'search',
      description: 'Finds texts',
      parameters: z.object({ words: z.number() }),
      execute: ({ words }) => 'word '.repeat(words),
    })
    const over: number[] = []
    for (let run = 0; run < 200; run++) {
      const client = new ScriptedClient(({ tools }) =>
        tools && runtime.random() < 0.6
          ? calls(['search', { words: upTo(800) }])
          : 'word '.repeat(1 + upTo(300)),
      )
      const contextWindow = 1_000 + upTo(2_000)
      const limits = { contextWindow, maxOutputTokens: 200, onLimit: 'stop' as const, runtime }
      const memory = run % 2 ? new SimpleAgentMemory() : null
      const agent = new Agent({ client, tools: [search], memory, ...limits })
      for (let turn = 0; turn < 3; turn++) await agent.run('word '.repeat(1 + upTo(300)))
      for (const { system = '', tools = [], messages } of client.requests) {
        const tokens = counts.text(system) + counts.tools(tools) + counts.messages(messages)
        if (tokens > contextWindow * 0.9 - 200) over.push(tokens)
      }
    }
    expect(over).toEqual([])
  })

  it('004-21 fails with the limit, and what was done until then', async () => {
    const client = new ScriptedClient(({ messages }) => calls(['look', { at: `sky ${messages.length}` }]))
    const agent = new Agent({ client, tools: [look], maxIterations: 2 })
    const error = await thrownBy(agent.run('Colour?'))
    expect(error).toBeInstanceOf(MaxIterationsError)
    expect(error).toMatchObject({ code: 'max_iterations', maxIterations: 2 })
    // History, steps and usage are those of the run's result, whatever ended it.
    const result = resultOf(error)
    expect(result).toMatchObject({ status: 'limit', limit: 'iterations', history: agent.history })
    expect([result?.steps.length, result?.usage]).toEqual([2, { inputTokens: 20, outputTokens: 10 }])
  })

  it('004-22 fails for want of time with an error of its own, and a history that goes on', async () => {
    const { runtime } = virtualClock()
    const client = new ScriptedClient([calls(['look']), hangs(['It ']), 'Blue.'])
    const agent = new Agent({ client, tools: [look], timeoutMs: 50, runtime })
    const error = await thrownBy(agent.run('Colour?'))
    expect(error).toBeInstanceOf(RunTimeoutError)
    expect(error).not.toBeInstanceOf(ConfigurationError)
    expect(error).toMatchObject({ timeoutMs: 50, elapsedMs: 50 })
    expect(validateHistory(resultOf(error)?.history ?? [])).toEqual([])
    expect(await agent.run('Colour?')).toBe('Blue.')
  })

  it('004-23 tells the model which tools there are when it asks for another', async () => {
    const client = new ScriptedClient([calls(['lok']), 'Never mind.'])
    const agent = new Agent({ client, tools: [look] })
    expect(await agent.run('Colour?')).toBe('Never mind.')
    expect(client.requests[1]?.messages.at(-1)).toMatchObject({
      content: 'Error: There is no tool "lok". Available: look. Did you mean "look"?',
      ok: false,
    })
  })

  // `onUnknownTool: 'throw'` is composition: a model that keeps at it fails the run, at once if so wanted.
  it('004-23 fails the run at once where no tool error is tolerated', async () => {
    const client = new ScriptedClient([calls(['lok'])])
    const agent = new Agent({ client, tools: [look], maxConsecutiveToolErrors: 1 })
    const error = await thrownBy(agent.run('Colour?'))
    expect(error).toMatchObject({ code: 'tool_execution', toolName: 'lok' })
    expect(resultOf(error)?.steps[0]?.results[0]?.error?.code).toBe('tool_not_found')
  })

  it('004-24 remembers earlier questions and answers, in order', async () => {
    const client = new ScriptedClient(['A1', 'A2', 'A3'])
    const agent = new Agent({ client })
    for (const question of ['Q1', 'Q2', 'Q3']) await agent.run(question)
    expect(client.requests[2]?.messages).toEqual([
      user('Q1'),
      assistant('A1'),
      user('Q2'),
      assistant('A2'),
      user('Q3'),
    ])
  })

  it('004-25 ends with the first reply that only says something', async () => {
    const client = new ScriptedClient(['First response', 'never'])
    expect(await new Agent({ client, tools: [look] }).run('Hello?')).toBe('First response')
    expect(client.calls).toBe(1)
  })

  it('004-26 goes on after a reply that calls tools, and keeps what it said beside them', async () => {
    const client = new ScriptedClient([calls('I shall look.', ['look', {}, 'a']), 'Blue.'])
    const agent = new Agent({ client, tools: [look] })
    const events = await eventsOf(agent.runStream('Colour?'))
    const call = { id: 'a', toolName: 'look', parameters: {} }
    expect(events.find(({ type }) => type === 'step')).toMatchObject({
      thought: 'I shall look.',
      toolCalls: [call],
    })
    expect(agent.history).toEqual([
      user('Colour?'),
      assistant('I shall look.', [call]),
      toolMessage(call, 'The sky is blue.'),
      assistant('Blue.'),
    ])
  })

  it('004-27 ends with a reply whose list of calls is empty', async () => {
    const client = new ScriptedClient([{ text: 'x', toolCalls: [] }])
    expect(await new Agent({ client, tools: [look] }).run('Hello?')).toBe('x')
  })

  it('004-28 fails with a malformed reply when it is empty again', async () => {
    const client = new ScriptedClient([says(''), says('')])
    const error = await thrownBy(new Agent({ client, tools: [look], repairAttempts: 1 }).run('Hello?'))
    expect(error).toBeInstanceOf(LLMError)
    expect(error).toMatchObject({ kind: 'malformed' })
    expect(client.calls).toBe(2)
  })

  it('004-29 keeps the chain of causes of what a client throws', async () => {
    const root = new Error('cable cut')
    const thrown = new Error('no route', { cause: root })
    const client = new ScriptedClient([thrown])
    const error = await thrownBy(new Agent({ client, retry: false }).run('Hello?'))
    expect(error).toBeInstanceOf(LLMError)
    const { cause } = error as LLMError
    expect(cause).toMatchObject({ message: 'no route', cause: { message: 'cable cut' } })
  })
})
