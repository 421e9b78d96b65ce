import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  type Message,
  SimpleAgentMemory,
  secret,
  ToolRegistry,
  ToolSet,
  tool,
} from '../../src/index.ts'
import { calls, ScriptedClient } from '../../src/testing/index.ts'

/** A tool that keeps what it was told of its conversation, each time. */
function curious() {
  const seen: (readonly Message[] | undefined)[] = []
  const look = tool({
    name: 'look',
    description: 'Looks back',
    parameters: z.object({ at: z.string().optional() }),
    effect: 'read',
    execute: (_, { conversation }) => {
      seen.push(conversation?.history())
      return 'seen'
    },
  })
  return { look, seen }
}

describe('the conversation that a tool sees', () => {
  test('is all of it, also what requests no longer hold, and the call itself at its end', async () => {
    const { look, seen } = curious()
    const client = new ScriptedClient([
      'Noted.',
      'Noted.',
      calls(['look', {}, 'a'], ['look', {}, 'b']),
      'Done.',
    ])
    const memory = new SimpleAgentMemory({ maxHistoryTokens: 10 })
    const agent = new Agent({ client, memory, tools: [look], toolConcurrency: 1 })
    for (const input of ['My dog is called Rex.', 'My cat is called Tom.', 'Who is Rex?'])
      await agent.run(input)

    expect(client.requests.at(-1)?.messages.map(({ role }) => role)).toEqual([
      'user',
      'assistant',
      'tool',
      'tool',
    ])
    expect(seen[1]?.map(({ role, content }) => [role, content])).toEqual([
      ['user', 'My dog is called Rex.'],
      ['assistant', 'Noted.'],
      ['user', 'My cat is called Tom.'],
      ['assistant', 'Noted.'],
      ['user', 'Who is Rex?'],
      ['assistant', ''],
      ['tool', 'seen'],
      ['tool', 'No result: the run was interrupted, so the outcome of this call is unknown.'],
    ])
    expect(seen[1]?.slice(0, 5).every((message, index) => message === seen[0]?.[index])).toBe(true)
  })

  test('is another one for each conversation, and free of secrets', async () => {
    const { look, seen } = curious()
    const client = new ScriptedClient(() => calls(['look']))
    const keys = new ToolSet({
      name: 's',
      description: 'S',
      tools: [look],
      config: { key: secret('S3CR3T-0123') },
    })
    const agent = new Agent({ client, tools: [keys], maxIterations: 1 })
    await agent
      .conversation('one')
      .run('The key is S3CR3T-0123.')
      .catch(() => {})
    await agent
      .conversation('two')
      .run('Hello.')
      .catch(() => {})

    expect(seen.map((history) => history?.[0]?.content)).toEqual(['The key is [secret:key].', 'Hello.'])
  })

  test('is absent where a tool is dispatched by hand', async () => {
    const { look, seen } = curious()
    const registry = new ToolRegistry()
    registry.register(look)
    await registry.dispatch({ toolName: 'look', parameters: {} })
    expect(seen).toEqual([undefined])
  })
})
