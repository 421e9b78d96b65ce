import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { MemoryContext } from '../../src/memory/memory.ts'
import { repairHistory, validateHistory } from '../../src/memory/repair.ts'
import { estimateTokens, TokenCounts } from '../../src/memory/tokens.ts'
import { TurnPruningMemory } from '../../src/memory/turns.ts'
import { assistant, type Message, system, textOf, toolMessage, user } from '../../src/messages.ts'
import { agentHistory, hostileHistory } from './histories.ts'

const context: MemoryContext = {
  countTokens: estimateTokens,
  conversationId: 'c',
  signal: new AbortController().signal,
}

/** Turns of a question and an answer, each of 100 tokens. */
const turns = (count: number): Message[] =>
  Array.from({ length: count }, (_, index) => [
    user(`u${index}`.padEnd(399, 'u')),
    assistant(`a${index}`.padEnd(399, 'a')),
  ]).flat()

/** A question of 3 tokens and rounds of tool calls, of 100 tokens each. */
const longTurn = (rounds: number): Message[] => [
  user('Why so long'),
  ...Array.from({ length: rounds }, (_, index) => {
    const call = { id: `call_${index}`, toolName: 'look', parameters: {} }
    return [assistant('', [call]), toolMessage(call, 'r'.repeat(98 * 4))]
  }).flat(),
]

const tokensOf = (messages: readonly Message[]) => new TokenCounts().messages(messages)

describe('a memory of turns', () => {
  test('puts one summary in the place of all turns but the newest', async () => {
    const history = Object.freeze(turns(6))
    const memory = new TurnPruningMemory({ maxTokens: 1_000, minRetainTurns: 3 })
    const kept = await memory.manageHistory(history, context)
    const summary = system(
      [
        'Summary of earlier conversation:',
        '',
        '- 3 user messages',
        '- 3 assistant responses',
        '',
        `First message: ${'u0'.padEnd(99, 'u')}…`,
        `Last message: ${'a2'.padEnd(99, 'a')}…`,
        '',
      ].join('\n'),
    )
    expect(kept).toEqual([summary, ...history.slice(6)])
    expect(tokensOf(kept)).toBe(677)
  })

  test('prunes above the threshold, not at it', async () => {
    const memory = new TurnPruningMemory({ maxTokens: 100, minRetainTurns: 1 })
    const at = [user('u'.repeat(320))]
    expect(await memory.manageHistory(at, context)).toBe(at)
    const still = [user('u'.repeat(4)), user('v'.repeat(316))]
    expect(await memory.manageHistory(still, context)).toBe(still)
    const above = [user('u'.repeat(4)), user('v'.repeat(320))]
    expect(await memory.manageHistory(above, context)).toEqual([
      system(
        'Summary of earlier conversation:\n\n- 1 user message\n- 0 assistant responses\n\nFirst message: uuuu\n',
      ),
      above[1],
    ])
  })

  test('gives up what is oldest of the turns it retains where they alone are too long', async () => {
    const history = turns(3)
    const memory = new TurnPruningMemory({ maxTokens: 499, minRetainTurns: 5 })
    expect(await memory.manageHistory(history, context)).toEqual(history.slice(2))
  })

  test('gives up the exchanges of earlier turns before what was said in them', async () => {
    const history = [...longTurn(4), assistant('So.'), user('And now?'), ...longTurn(1).slice(1)]
    const kept = async (maxTokens: number) =>
      new TurnPruningMemory({ maxTokens, minRetainTurns: 2 }).manageHistory(history, context)
    expect(await kept(520)).toBe(history)
    expect(await kept(400)).toEqual([history[0], ...history.slice(5)])
    expect(await kept(130)).toEqual([history[0], ...history.slice(9)])
    expect(await kept(100)).toEqual(history.slice(10))
  })

  test('drops the oldest exchanges of a turn that is too long by itself', async () => {
    const history = longTurn(5)
    const memory = new TurnPruningMemory({ maxTokens: 100, minRetainTurns: 1 })
    expect(await memory.manageHistory(history, context)).toEqual([history[0], ...history.slice(-2)])
    const roomy = new TurnPruningMemory({ maxTokens: 600, minRetainTurns: 1, pruneThreshold: 0.5 })
    expect(await roomy.manageHistory(history, context)).toBe(history)
  })

  test('keeps all system messages, in front of the summary where they stood among what was pruned', async () => {
    const [u0, a0, u1, a1] = turns(2) as [Message, Message, Message, Message]
    const history = [system('Be kind.'), u0, system('Be quick.'), a0, u1, system('Be brief.'), a1]
    const memory = new TurnPruningMemory({ maxTokens: 300, minRetainTurns: 1, summarize: () => 'Before.' })
    expect(await memory.manageHistory(history, context)).toEqual([
      system('Be kind.'),
      system('Be quick.'),
      system('Before.'),
      u1,
      system('Be brief.'),
      a1,
    ])
  })

  test('tells how many tools were called in what it pruned', async () => {
    const memory = new TurnPruningMemory({ maxTokens: 250, minRetainTurns: 1 })
    const [summary] = await memory.manageHistory([...longTurn(2), assistant('So.'), user('Oh')], context)
    expect(summary).toEqual(
      system(
        'Summary of earlier conversation:\n\n- 1 user message\n- 3 assistant responses\n- 2 tool calls executed\n\n' +
          'First message: Why so long\nLast message: So.\n',
      ),
    )
  })

  test('cuts a summary to a quarter of the limit', async () => {
    const memory = new TurnPruningMemory({
      maxTokens: 400,
      minRetainTurns: 1,
      summarize: () => 's'.repeat(4_000),
    })
    const history = turns(3)
    const kept = await memory.manageHistory(history, context)
    expect([tokensOf(kept.slice(0, 1)), kept.slice(1)]).toEqual([100, history.slice(4)])
    expect(await memory.manageHistory(kept, context)).toBe(kept)
  })

  test('asks for a summary once each time it prunes, with everything pruned so far', async () => {
    const asked: number[] = []
    const summarize = async (pruned: readonly Message[]) => {
      asked.push(pruned.length)
      return `${pruned.length} before`
    }
    const memory = new TurnPruningMemory({ maxTokens: 1_000, minRetainTurns: 2, summarize })
    const history = turns(12)
    const summaries = new Set<string | undefined>()
    for (let length = 1; length <= history.length; length++) {
      const [first] = await memory.manageHistory(history.slice(0, length), context)
      summaries.add(first?.role === 'system' ? first.content : undefined)
    }
    expect(asked).toEqual([6, 10, 14, 18])
    expect([...summaries]).toEqual([undefined, '6 before', '10 before', '14 before', '18 before'])
  })

  test('appends summaries until they take up a quarter, then asks for one that stands for all', async () => {
    const asked: number[] = []
    const summarize = (pruned: readonly Message[]) => {
      asked.push(pruned.length)
      return `${pruned.length} before`.padEnd(400)
    }
    const options = { maxTokens: 1_000, minRetainTurns: 2, summarize, summaryMode: 'append' } as const
    const memory = new TurnPruningMemory(options)
    const summaries = async (count: number) => {
      const kept = await memory.manageHistory(turns(count), context)
      return kept.filter(({ role }) => role === 'system').map(({ content }) => textOf(content).trim())
    }
    expect(await summaries(5)).toEqual(['6 before'])
    expect(await summaries(8)).toEqual(['6 before', '4 before'])
    expect(asked.splice(0)).toEqual([6, 6, 4])
    expect(await summaries(9)).toEqual(['14 before'])
    expect(asked).toEqual([6, 4, 4, 14])
  })

  test('leaves no summary where there is nothing to say', async () => {
    const history = turns(6)
    const memory = new TurnPruningMemory({ maxTokens: 1_000, minRetainTurns: 3, summarize: () => '' })
    expect(await memory.manageHistory(history, context)).toEqual(history.slice(4))
  })

  test('fails rather than to send a summary that is no text', async () => {
    // @ts-expect-error what a caller without types may do
    const memory = new TurnPruningMemory({ maxTokens: 10, minRetainTurns: 1, summarize: () => undefined })
    await expect(memory.manageHistory(turns(2), context)).rejects.toThrow('summarize must give a string')
  })

  test('has a limit of 8,000 tokens, or what the context window leaves, and keeps ten turns, unless told another', async () => {
    const history = turns(33)
    const kept = async (budgetTokens?: number) => {
      const given = { ...context, ...(budgetTokens !== undefined && { budgetTokens }) }
      return (await new TurnPruningMemory().manageHistory(history, given)).length
    }
    // The first question above 6,400 tokens is the 33rd.
    expect([await kept(), await kept(10_000), await kept(3_000)]).toEqual([21, 66, 21])
  })

  test('tears nothing, keeps the order, and does not change its own work', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(agentHistory, hostileHistory),
        fc.integer({ min: 1, max: 1_000 }),
        fc.integer({ min: 1, max: 4 }),
        async (given, maxTokens, minRetainTurns) => {
          const history = repairHistory(given).messages
          const memory = new TurnPruningMemory({ maxTokens, minRetainTurns })
          const kept = await memory.manageHistory(history, context)
          expect(validateHistory(kept)).toEqual([])
          const places = kept.map((message) => history.indexOf(message)).filter((at) => at >= 0)
          expect(places).toEqual(places.toSorted((a, b) => a - b))
          expect(kept.length - places.length).toBeLessThanOrEqual(1)
          const users = history.filter(({ role }) => role === 'user')
          const isWithin = tokensOf(history) <= maxTokens
          expect(kept).toEqual(expect.arrayContaining(users.slice(isWithin ? -minRetainTurns : -1)))
          expect(await memory.manageHistory(kept, context)).toEqual(kept)
        },
      ),
      { numRuns: 500 },
    )
  })

  test.each([
    [{ maxTokens: 0 }, 'maxTokens'],
    [{ minRetainTurns: 0 }, 'minRetainTurns'],
    [{ minRetainTurns: 1.5 }, 'minRetainTurns'],
    [{ pruneThreshold: 0 }, 'pruneThreshold'],
    [{ pruneThreshold: 1.01 }, 'pruneThreshold'],
    [{ pruneThreshold: Number.NaN }, 'pruneThreshold'],
    [{ summarize: 'short' } as object, 'summarize'],
    [{ summaryMode: 'some' } as object, 'summaryMode'],
    [{ pinned: 'all' } as object, 'pinned'],
    [{ keepTurns: 5 } as object, 'keepTurns'],
  ])('refuses %j', (options, path) => {
    expect(() => new TurnPruningMemory(options)).toThrow(
      expect.objectContaining({ code: 'configuration', path }),
    )
  })
})
