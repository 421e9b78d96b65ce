import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  type AgentMemory,
  assistant,
  estimateTokens,
  type MemoryContext,
  type Message,
  SimpleAgentMemory,
  system,
  textOf,
  tool,
  toolMessage,
  user,
} from '../../src/index.ts'
import { calls, ScriptedClient } from '../../src/testing/index.ts'
import { eventsOf } from './events-of.ts'

const context: MemoryContext = {
  countTokens: estimateTokens,
  conversationId: 'c',
  signal: new AbortController().signal,
}

/** So many messages of so many tokens each, user and assistant by turns, told apart by their last letter. */
const talk = (count: number, tokens: number): Message[] =>
  Array.from({ length: count }, (_, index) => {
    const content = 'x'.repeat(tokens * 4 - 1) + String.fromCharCode(97 + (index % 26))
    return index % 2 === 0 ? user(content) : assistant(content)
  })

const tokensOf = (messages: readonly Message[]) =>
  messages.reduce((sum, { content }) => sum + estimateTokens(textOf(content)), 0)

const now = tool({ name: 'now', description: 'The time', parameters: z.object({}), execute: () => 'noon' })

describe('seed 002, memory', () => {
  it.each(['002-39', '002-44'])(
    '%s asks the memory once before each model call, with the history of that moment',
    async () => {
      const asked: string[][] = []
      const memory: AgentMemory = {
        manageHistory: (history) => {
          asked.push(history.map(({ role }) => role))
          return history
        },
      }
      const client = new ScriptedClient([calls(['now']), 'Noon.', 'Bye.'])
      const agent = new Agent({ client, memory, tools: [now] })
      await agent.run('Time?')
      await agent.run('Bye?')

      const first = ['user', 'assistant', 'tool']
      expect(asked).toEqual([['user'], first, [...first, 'assistant', 'user']])
      expect(client.requests.map(({ messages }) => messages.map(({ role }) => role))).toEqual(asked)
    },
  )

  it('002-39 changes nothing of what it is given', () => {
    const history = talk(4, 50)
    for (const message of history) Object.freeze(message)
    const before = structuredClone(history)
    new SimpleAgentMemory({ maxHistoryTokens: 60 }).manageHistory(Object.freeze(history), context)
    expect(history).toEqual(before)
  })

  it('002-40 keeps to 8,000 tokens by default', () => {
    const memory = new SimpleAgentMemory()
    const full = talk(80, 100)
    expect(memory.manageHistory(full, context)).toEqual(full)

    const over = [...full, user('?')]
    const kept = memory.manageHistory(over, context)
    expect(tokensOf(kept)).toBeLessThanOrEqual(8000)
    expect(kept).toEqual(over.slice(-kept.length))
  })

  it('002-41 counts a token for every four code points, rounded up', () => {
    const texts = ['test', 'hello world', '', 'é'.repeat(8), '👍'.repeat(4)]
    expect(texts.map(estimateTokens)).toEqual([1, 3, 0, 2, 1])
  })

  it('002-42 drops the oldest above the limit, and nothing at it', () => {
    const history = talk(4, 50)
    const kept = (maxHistoryTokens: number) =>
      new SimpleAgentMemory({ maxHistoryTokens }).manageHistory(history, context)
    expect(kept(100)).toEqual(history.slice(2))
    expect(kept(200)).toEqual(history)
  })

  it('002-43 keeps the two newest messages, their beginnings cut when they are too long', () => {
    const kept = new SimpleAgentMemory({ maxHistoryTokens: 10 }).manageHistory(talk(3, 250), context)
    expect(kept.map(({ role, content }) => [role, textOf(content)])).toEqual([
      ['assistant', `...${'x'.repeat(16)}b`],
      ['user', `...${'x'.repeat(16)}c`],
    ])
  })

  it('002-43 ends within the limit also when that is smaller than the number of messages', () => {
    // As in a run, the last of them is the user's: a model cannot do without the question.
    const history = [assistant('x'.repeat(40)), user('x'.repeat(40))]
    const kept = new SimpleAgentMemory({ maxHistoryTokens: 1 }).manageHistory(history, context)
    expect(kept).toEqual([user('...x')])
    expect(tokensOf(kept)).toBe(1)
  })

  it('002-45 sends no more than the limit over twenty runs, and keeps all of them', async () => {
    // What is sent shrinks, the history never does: that is the archive. There is no `trim: 'log'`.
    const client = new ScriptedClient(() => 'That is a good question, and this is its answer.')
    const agent = new Agent({ client, memory: new SimpleAgentMemory({ maxHistoryTokens: 100 }) })
    for (let number = 1; number <= 20; number++)
      await agent.run(`Question number ${number}: what do you think?`)

    const sent = client.requests.map(({ messages }) => tokensOf(messages))
    expect(Math.max(...sent)).toBeLessThanOrEqual(100)
    expect(sent.at(-1)).toBeGreaterThan(40)
    expect(agent.history.length).toBe(40)
  })

  it('002-46 sends everything with memory: null, and forgets by default', async () => {
    const history = [...talk(100, 1000)]
    const sent = async (options: { memory?: null }) => {
      const client = new ScriptedClient(['Done.'])
      await new Agent({ client, ...options }).run('Go on.', { history })
      return client.requests[0]?.messages ?? []
    }
    expect(await sent({ memory: null })).toEqual([...history, user('Go on.')])
    expect(tokensOf(await sent({}))).toBeLessThanOrEqual(8000)
  })

  it('002-47 takes a memory of the caller: the first two, a summary, the last two', async () => {
    class SummarizingMemory implements AgentMemory {
      manageHistory(history: readonly Message[]): readonly Message[] {
        if (history.length <= 5) return history
        const left = history.length - 4
        return [...history.slice(0, 2), system(`[${left} messages left out]`), ...history.slice(-2)]
      }
    }
    const history = talk(8, 5)
    const client = new ScriptedClient(['Done.'])
    await new Agent({ client, memory: new SummarizingMemory() }).run('Go on.', { history })

    expect(client.requests[0]?.messages).toEqual([
      ...history.slice(0, 2),
      system('[5 messages left out]'),
      ...history.slice(-1),
      user('Go on.'),
    ])
  })

  it('002-47 repairs what such a memory tears apart', async () => {
    const call = { id: 'call_1', toolName: 'now', parameters: {} }
    const answered = [assistant('', [call]), toolMessage(call, 'noon')]
    const history = [user('Time?'), ...answered, assistant('Noon.'), user('Thanks.')]
    const client = new ScriptedClient(['Done.'])
    const memory: AgentMemory = { manageHistory: (all) => all.slice(2) }
    const agent = new Agent({ client, memory, tools: [now] })
    const events = await eventsOf(agent.runStream('Bye?', { history }))

    expect(client.requests[0]?.messages).toEqual([user('Thanks.'), user('Bye?')])
    expect(events.filter(({ type }) => type === 'diagnostic')).toMatchObject([{ code: 'history_repaired' }])
  })
})
