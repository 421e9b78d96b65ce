import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  type AgentMemory,
  assistant,
  dropOldToolOutput,
  estimateTokens,
  type MemoryContext,
  type Message,
  PriorityMemory,
  RetentionMemory,
  SimpleAgentMemory,
  TurnPruningMemory,
  tool,
  toolMessage,
  user,
} from '../../src/index.ts'
import { calls, ScriptedClient } from '../../src/testing/index.ts'

const context: MemoryContext = {
  countTokens: estimateTokens,
  conversationId: 'c',
  signal: new AbortController().signal,
}

const exchange = (id: string, result: string): Message[] => {
  const call = { id, toolName: 'look', parameters: {} }
  return [assistant('', [call]), toolMessage(call, result)]
}

const chat = (count: number): Message[] =>
  Array.from({ length: count }, (_, index) =>
    index % 2 === 0 ? user(`Question ${index}`) : assistant(`Answer ${index}`),
  )

describe('seed 001, what is retained', () => {
  // Messages carry no time: `timeOf` is the application's. What is kept is at most, rather than exactly, so many.
  it.each([
    ['maxMessages', { maxMessages: 4 }, 4],
    ['maxTurns', { maxTurns: 2 }, 4],
    ['maxAgeMs', { maxAgeMs: 4, timeOf: ({ content }: Message) => Number(/\d+/.exec(String(content))) }, 5],
    ['maxTokens', { maxTokens: 12 }, 3],
  ])('001-30 keeps a pinned message although it is the oldest, whatever %s says', (_, limits, kept) => {
    const history = chat(20)
    const pinned = (message: Message) => message === history[0]
    const memory = new RetentionMemory({ ...limits, pinned })
    const messages = memory.manageHistory(history, context)
    expect(messages[0]).toBe(history[0])
    expect(messages.slice(1)).toEqual(history.slice(-messages.length + 1))
    expect(new RetentionMemory(limits).manageHistory(history, context)).toEqual(history.slice(-kept))
  })

  it('001-33 lets an old message that matters outlive newer filler', () => {
    const filler = Array.from({ length: 30 }, (_, index) => user(`filler ${index} `.padEnd(400, 'x')))
    const [constraint, last] = [user('The constraint is: at most ten euros.'), user('And now?')]
    const history = [constraint, ...filler, last]
    const kept = new PriorityMemory({ maxTokens: 1_000 }).manageHistory(history, context)
    expect(kept[0]).toBe(constraint)
    expect(kept.at(-1)).toBe(last)
    expect(kept.length).toBeLessThan(12)
    expect(history.filter((message) => kept.includes(message))).toEqual(kept)
  })

  it('001-33 takes keywords of the application', () => {
    const filler = Array.from({ length: 30 }, (_, index) => user(`filler ${index} `.padEnd(400, 'x')))
    const history = [user('My cat is called Tom.'), ...filler]
    const kept = (keywords?: string[]) =>
      new PriorityMemory({ maxTokens: 1_000, ...(keywords && { keywords }) }).manageHistory(history, context)
    expect(kept(['CAT'])[0]).toBe(history[0])
    expect(kept()[0]).not.toBe(history[0])
  })

  it('001-33 keeps or drops a call and its results together', () => {
    const history = [
      user('Look!'),
      ...exchange('a', 'x'.repeat(400)),
      user('Again!'),
      ...exchange('b', 'important '.repeat(40)),
      user('Well?'),
    ]
    const kept = new PriorityMemory({ maxTokens: 150 }).manageHistory(history, context)
    expect(kept).toEqual(history.slice(3))
  })

  // Time depends on the machine; what is done for each message does not.
  it.each<[string, AgentMemory]>([
    ['SimpleAgentMemory', new SimpleAgentMemory()],
    ['SimpleAgentMemory with pins', new SimpleAgentMemory({ pinned: () => false })],
    ['TurnPruningMemory', new TurnPruningMemory()],
    ['PriorityMemory', new PriorityMemory()],
    ['RetentionMemory', new RetentionMemory({ maxTokens: 8_000 })],
    ['dropOldToolOutput()', dropOldToolOutput()],
  ])('001-58 counts each of 10,000 messages once, and only new ones after that: %s', async (_, memory) => {
    const history = Array.from({ length: 2_500 }, (__, index) => [
      user(`Question ${index} `.padEnd(80, 'x')),
      ...exchange(`call_${index}`, 'x'.repeat(400)),
      assistant(`Answer ${index} `.padEnd(80, 'x')),
    ]).flat()
    let counted = 0
    const countTokens = (text: string) => {
      counted++
      return estimateTokens(text)
    }
    const kept = await memory.manageHistory(history, { ...context, countTokens })
    expect(kept).not.toBe(history)
    // A call has a name and parameters; what is replaced or summarized is counted, too.
    expect(counted).toBeLessThanOrEqual(history.length + 2 * 2_500 + 2_500)
    counted = 0
    await memory.manageHistory([...history, user('And now?')], { ...context, countTokens })
    expect(counted).toBeLessThanOrEqual(10)
  })

  it('001-58 asks for the score of each message once', () => {
    const history = chat(10_000)
    let asked = 0
    const score = () => ++asked
    const kept = new PriorityMemory({ maxTokens: 1_000, score }).manageHistory(history, context)
    expect(kept.length).toBeLessThan(500)
    expect(asked).toBeLessThanOrEqual(10_000)
  })

  it('001-60 drops old tool output, and leaves what was sent before as it was', async () => {
    const page = tool({
      name: 'page',
      description: 'A page',
      parameters: z.object({ number: z.number() }),
      execute: ({ number }) => `${number} `.repeat(400),
      effect: 'read',
    })
    const rounds = Array.from({ length: 12 }, (_, number) => calls(['page', { number }]))
    const client = new ScriptedClient([...rounds, 'Done.'])
    const memory = dropOldToolOutput({ keepLast: 2, minFreedTokens: 800, replaceWith: '[old]' })
    const agent = new Agent({
      client,
      memory,
      tools: [page],
      instructions: 'Read.',
      maxIterations: 20,
    })
    await agent.run('Read all of it.')

    const heads = client.requests.map(({ system, tools }) => JSON.stringify([system, tools]))
    expect(new Set(heads).size).toBe(1)
    const sent = client.requests.map(({ messages }) => messages.map((message) => JSON.stringify(message)))
    const changes = sent.filter((texts, at) => sent[at - 1]?.some((text, index) => text !== texts[index]))
    expect(changes.length).toBe(2)
    const last = client.requests.at(-1)?.messages ?? []
    const results = last.filter(({ role }) => role === 'tool').map(({ content }) => content === '[old]')
    expect(results).toEqual([...Array(10).fill(true), false, false])
    expect(last.flatMap((message) => (message.role === 'assistant' ? message.toolCalls : []))).toHaveLength(
      12,
    )
  })
})
