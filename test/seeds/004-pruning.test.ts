import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  assistant,
  composeMemory,
  estimateTokens,
  type MemoryContext,
  type Message,
  PriorityMemory,
  RetentionMemory,
  SimpleAgentMemory,
  system,
  TurnPruningMemory,
  type TurnPruningMemoryOptions,
  toolMessage,
  user,
  validateHistory,
} from '../../src/index.ts'
import { TokenCounts } from '../../src/memory/tokens.ts'
import { view } from '../../src/memory/view.ts'
import { agentHistory } from '../memory/histories.ts'

const context: MemoryContext = {
  countTokens: estimateTokens,
  conversationId: 'c',
  signal: new AbortController().signal,
}

const tokensOf = (messages: readonly Message[]) => new TokenCounts().messages(messages)

const pruned = (history: readonly Message[], options: TurnPruningMemoryOptions) =>
  new TurnPruningMemory(options).manageHistory(history, context)

/** Turns of a question and an answer, each of 100 tokens. */
const turns = (count: number): Message[] =>
  Array.from({ length: count }, (_, index) => [
    user(`u${index}`.padEnd(399, 'u')),
    assistant(`a${index}`.padEnd(399, 'a')),
  ]).flat()

/** A summary of these turns, as it is made by default. */
const summaryOf = (first: number, last: number): Message => {
  const count = last - first + 1
  const many = count === 1 ? '' : 's'
  return system(
    `Summary of earlier conversation:\n\n- ${count} user message${many}\n- ${count} assistant response${many}\n\n` +
      `First message: ${`u${first}`.padEnd(99, 'u')}…\nLast message: ${`a${last}`.padEnd(99, 'a')}…\n`,
  )
}

const exchange = (id: string, tokens: number): Message[] => {
  const call = { id, toolName: 'look', parameters: {} }
  return [assistant('', [call]), toolMessage(call, 'r'.repeat(tokens * 4))]
}

const six = turns(6)
const ofSix = { maxTokens: 1_000, minRetainTurns: 3, pruneThreshold: 0.8 }
const appended = [summaryOf(0, 1), summaryOf(2, 2), ...six.slice(6)]
const rolling = [summaryOf(0, 2), ...six.slice(6)]

describe('seed 004, pruning', () => {
  it('004-6 keeps the newest turns: with a summary of each pruning, 8 messages of 754 tokens', async () => {
    const kept = await pruned(six, { ...ofSix, summaryMode: 'append' })
    expect(kept).toEqual(appended)
    expect([kept.length, tokensOf(kept)]).toEqual([8, 754])
  })

  it('004-6 keeps the newest turns: with one summary of all, 7 messages', async () => {
    const kept = await pruned(six, ofSix)
    expect(kept).toEqual(rolling)
    expect([kept.length, tokensOf(kept)]).toEqual([7, 677])
  })

  it('004-6 prunes nothing at exactly the threshold', async () => {
    const history = [user('u'.repeat(32))]
    expect(await pruned(history, { maxTokens: 10, minRetainTurns: 1 })).toBe(history)
  })

  // The original kept what it had to retain at any size: 300 tokens of 100, 503 of 100.
  it('004-6 stays within the maximum when what it retains is above it', async () => {
    const users = ['u', 'v', 'w'].map((letter) => user(letter.repeat(400)))
    expect(await pruned(users, { maxTokens: 100, minRetainTurns: 5 })).toEqual(users.slice(2))

    const said = ['a', 'b', 'c', 'd', 'e'].map((letter) => assistant(letter.repeat(400)))
    const history = [user('Why so long'), ...said]
    expect(await pruned(history, { maxTokens: 103, minRetainTurns: 1 })).toEqual([history[0], said[4]])
  })

  it.each([{ minRetainTurns: 0 }, { maxTokens: 0 }, { pruneThreshold: 0 }])(
    '004-6 refuses %j rather than bend it',
    (options) => {
      const [path] = Object.keys(options)
      expect(() => new TurnPruningMemory(options)).toThrow(
        expect.objectContaining({ code: 'configuration', path }),
      )
    },
  )

  // Pinning is the application's judgement of a message, as messages carry no marks of their own.
  it('004-7 keeps pinned and system messages through all prunes', async () => {
    const [, ...rest] = turns(40)
    const history = [system('Be kind.'), user('My name is Ada.'), ...rest]
    const isName = ({ content }: Message) => content === 'My name is Ada.'
    for (const memory of [
      new TurnPruningMemory({ maxTokens: 1_000, minRetainTurns: 1, pinned: isName }),
      new SimpleAgentMemory({ maxHistoryTokens: 1_000, pinned: isName }),
      new PriorityMemory({ maxTokens: 1_000, score: () => 0, pinned: isName }),
      new RetentionMemory({ maxMessages: 5, pinned: isName }),
    ]) {
      for (let length = 2; length <= history.length; length++) {
        const kept = await memory.manageHistory(history.slice(0, length), context)
        expect(kept.slice(0, 2)).toEqual(history.slice(0, 2))
        expect(tokensOf(kept)).toBeLessThanOrEqual(1_000)
      }
    }
  })

  it('004-8 says what was pruned: how many, and how the first and the last began', async () => {
    const [summary] = await pruned(six, { ...ofSix, summaryMode: 'append' })
    expect(summary?.content).toBe(
      'Summary of earlier conversation:\n\n- 2 user messages\n- 2 assistant responses\n\n' +
        `First message: u0${'u'.repeat(97)}…\nLast message: a1${'a'.repeat(97)}…\n`,
    )
  })

  it('004-8 asks for a summary with the messages that it stands for', async () => {
    const asked: (readonly Message[])[] = []
    const summarize = (messages: readonly Message[]) => {
      asked.push(messages)
      return `${messages.length} before`
    }
    await pruned(six, { ...ofSix, summarize })
    await pruned(six, { ...ofSix, summarize, summaryMode: 'append' })
    expect(asked).toEqual([six.slice(0, 4), six.slice(0, 6), six.slice(0, 4), six.slice(4, 6)])
  })

  it('004-9 stands in order: system messages, the summary, what is kept', async () => {
    const history = [system('Be kind.'), ...six]
    const options = { ...ofSix, maxTokens: 1_003 }
    expect(await pruned(history, options)).toEqual([system('Be kind.'), ...rolling])
    expect(await pruned(history, { ...options, summaryMode: 'append' })).toEqual([
      system('Be kind.'),
      ...appended,
    ])
  })

  // The original ended at 472 tokens of 400 here: seven summaries and one turn.
  it.each(['rolling', 'append'] as const)(
    '004-9 never exceeds the maximum by its summaries: %s',
    async (summaryMode) => {
      const history = turns(8)
      const options = { maxTokens: 400, minRetainTurns: 1, pruneThreshold: 0.5, summaryMode }
      for (let length = 1; length <= history.length; length++)
        expect(tokensOf(await pruned(history.slice(0, length), options))).toBeLessThanOrEqual(400)
      expect(await pruned(history, options)).toEqual([summaryOf(0, 6), ...history.slice(14)])
    },
  )

  // The original ended at 198 tokens of 100: three summaries.
  it.each(['rolling', 'append'] as const)(
    '004-9 has room for a system message, a summary and a turn: %s',
    async (summaryMode) => {
      const users = ['u', 'v', 'w', 'x'].map((letter) => user(letter.repeat(200)))
      const options = { maxTokens: 100, minRetainTurns: 1, pruneThreshold: 0.5, summaryMode }
      const kept = await pruned([system('Be kind.'), ...users], options)
      expect(kept.map(({ role }) => role)).toEqual(['system', 'system', 'user'])
      expect(kept[2]).toBe(users[3])
      expect(tokensOf(kept)).toBeLessThanOrEqual(100)
    },
  )

  it('004-14 leaves no result without its call, even one that came late', async () => {
    const calls = ['k1', 'k2'].map((id) => ({ id, toolName: 'look', parameters: {} }))
    const [k1, k2] = calls as [(typeof calls)[0], (typeof calls)[0]]
    const history = [
      assistant('', calls),
      toolMessage(k1, 'one'),
      user('u'.repeat(400)),
      toolMessage(k2, 'two'),
    ]
    const { messages } = await view({
      ...context,
      history,
      memory: new TurnPruningMemory({ maxTokens: 100, minRetainTurns: 1 }),
      counts: new TokenCounts(),
      overheadTokens: 0,
    })
    expect(validateHistory(messages)).toEqual([])
    expect(messages.filter(({ role }) => role === 'tool')).toEqual([])
    expect(messages.at(-1)).toEqual(history[2])
  })

  it('004-14 leaves a valid history after any prune', async () => {
    await fc.assert(
      fc.asyncProperty(
        agentHistory,
        fc.integer({ min: 1, max: 1_000 }),
        fc.integer({ min: 1, max: 4 }),
        fc.constantFrom('rolling' as const, 'append' as const),
        async (history, maxTokens, minRetainTurns, summaryMode) => {
          const memory = new TurnPruningMemory({ maxTokens, minRetainTurns, summaryMode })
          expect(validateHistory(await memory.manageHistory(history, context))).toEqual([])
        },
      ),
    )
  })

  it('004-15 prunes the oldest exchanges of a turn that is too long by itself', async () => {
    const exchanges = Array.from({ length: 5 }, (_, index) => exchange(`call_${index}`, 98)).flat()
    const history = [user('Why so long'), ...exchanges]
    const kept = await pruned(history, { maxTokens: 103, minRetainTurns: 1 })
    expect(kept).toEqual([history[0], ...exchanges.slice(-2)])
    expect(tokensOf(kept)).toBe(103)
    expect(await pruned(history, { maxTokens: 330, minRetainTurns: 1 })).toEqual([
      history[0],
      ...exchanges.slice(-4),
    ])
  })

  it('004-54 drops the oldest exchanges first where tools matter least', async () => {
    const score = ({ role }: Message) => (role === 'tool' ? 0 : 1)
    const turn = (index: number) => [
      user(`Question ${index}`.padEnd(40)),
      ...exchange(`call_${index}`, 98),
      assistant(`Answer ${index}`.padEnd(40)),
    ]
    const history = [0, 1, 2, 3].flatMap(turn)
    const memory = new PriorityMemory({ maxTokens: 300, score })
    const kept = memory.manageHistory(history, context)
    const dropped = history.filter((message) => !kept.includes(message))
    expect(dropped).toEqual([...history.slice(1, 3), ...history.slice(5, 7), ...history.slice(9, 11)])
    expect(await composeMemory(memory).manageHistory(history, context)).toEqual(kept)
  })
})
