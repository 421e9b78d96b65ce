import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { MemoryContext } from '../../src/memory/memory.ts'
import { repairHistory, validateHistory } from '../../src/memory/repair.ts'
import { SimpleAgentMemory } from '../../src/memory/simple.ts'
import { estimateTokens, TokenCounts } from '../../src/memory/tokens.ts'
import { assistant, type Message, system, toolMessage, user } from '../../src/messages.ts'
import { agentHistory, hostileHistory } from './histories.ts'

const context: MemoryContext = {
  countTokens: estimateTokens,
  conversationId: 'c',
  signal: new AbortController().signal,
}

/** A user message and a reply by turns, ending with the user's; each of this many tokens. */
const chat = (count: number, tokens: number): Message[] =>
  Array.from({ length: count }, (_, index) => {
    const text = String.fromCharCode(97 + (index % 26)).repeat(tokens * 4)
    return (count - index) % 2 ? user(text) : assistant(text)
  })

const tokensOf = (messages: readonly Message[]) => new TokenCounts().messages(messages)

describe('a simple memory', () => {
  test('keeps the newest messages that fit', () => {
    const history = Object.freeze(chat(4, 50))
    const memory = new SimpleAgentMemory({ maxHistoryTokens: 100 })
    expect(memory.manageHistory(history, context)).toEqual(history.slice(-2))
  })

  test('changes nothing at exactly the limit', () => {
    const history = chat(4, 50)
    expect(new SimpleAgentMemory({ maxHistoryTokens: 200 }).manageHistory(history, context)).toBe(history)
    expect(new SimpleAgentMemory({ maxHistoryTokens: 199 }).manageHistory(history, context)).toEqual(
      history.slice(1),
    )
  })

  test('has a limit of 8,000 tokens, or what the context window leaves, unless it is told another', () => {
    const history = chat(101, 100)
    const kept = (memory: SimpleAgentMemory, budgetTokens?: number) =>
      tokensOf(
        memory.manageHistory(history, { ...context, ...(budgetTokens !== undefined && { budgetTokens }) }),
      )
    expect(kept(new SimpleAgentMemory())).toBe(8_000)
    expect(kept(new SimpleAgentMemory(), 20_000)).toBe(10_100)
    expect(kept(new SimpleAgentMemory(), 1_000)).toBe(1_000)
    expect(kept(new SimpleAgentMemory({ maxHistoryTokens: 4_000 }), 20_000)).toBe(3_900)
  })

  test('keeps two messages at least, and the ends of their texts', () => {
    const history = chat(3, 250)
    const kept = new SimpleAgentMemory({ maxHistoryTokens: 10 }).manageHistory(history, context)
    expect(kept).toEqual([assistant(`...${'b'.repeat(17)}`), user(`...${'c'.repeat(17)}`)])
    expect(tokensOf(kept)).toBe(10)
  })

  test('keeps fewer where the limit is smaller than that', () => {
    const kept = new SimpleAgentMemory({ maxHistoryTokens: 1 }).manageHistory(chat(2, 10), context)
    expect(kept).toEqual([user('...b')])
  })

  test('cuts between characters', () => {
    const kept = new SimpleAgentMemory({ maxHistoryTokens: 2 }).manageHistory(
      [user('👍'.repeat(100))],
      context,
    )
    expect(kept).toEqual([user(`...${'👍'.repeat(5)}`)])
  })

  test('keeps a whole exchange where two messages would tear it', () => {
    const calls = ['a', 'b', 'c'].map((id) => ({ id, toolName: 'add', parameters: {} }))
    const exchange = [assistant('', calls), ...calls.map((call) => toolMessage(call, 'x'.repeat(400)))]
    const history = [...chat(5, 100), ...exchange]
    const kept = new SimpleAgentMemory({ maxHistoryTokens: 406 }).manageHistory(history, context)
    expect(kept).toEqual([history[4], ...exchange])
  })

  test('keeps system messages', () => {
    const history = [system('Be kind.'), ...chat(4, 50)]
    const kept = new SimpleAgentMemory({ maxHistoryTokens: 102 }).manageHistory(history, context)
    expect(kept).toEqual([history[0], ...history.slice(-2)])
  })

  test('keeps the question of a long run of tool calls, and its last exchange', () => {
    const rounds = Array.from({ length: 20 }, (_, index) => {
      const call = { id: `call_${index}`, toolName: 'add', parameters: {} }
      return [assistant('', [call]), toolMessage(call, 'x'.repeat(98 * 4))]
    })
    const history = [user('Why?'), ...rounds.flat()]
    const kept = new SimpleAgentMemory({ maxHistoryTokens: 400 }).manageHistory(history, context)
    expect(kept).toEqual([history[0], ...rounds.slice(-3).flat()])
  })

  test('forgets in steps, so that most requests begin as the one before', () => {
    const memory = new SimpleAgentMemory({ maxHistoryTokens: 1_000 })
    const history = chat(401, 10)
    const starts = new Set<Message | undefined>()
    for (let length = 1; length <= 401; length += 2) {
      const kept = memory.manageHistory(history.slice(0, length), context)
      expect(tokensOf(kept)).toBeLessThanOrEqual(1_000)
      starts.add(kept[0])
    }
    // An eighth of 1,000, to the power of two above it.
    expect(starts.size).toBe(1 + Math.ceil(3_010 / 128))
  })

  test('ends within its limit for any conversation without large calls, in order, and does not change its own work', () => {
    fc.assert(
      fc.property(agentHistory, fc.integer({ min: 60, max: 3_000 }), (history, maxHistoryTokens) => {
        const memory = new SimpleAgentMemory({ maxHistoryTokens })
        const kept = memory.manageHistory(history, context)
        expect(tokensOf(kept)).toBeLessThanOrEqual(maxHistoryTokens)
        expect(validateHistory(kept)).toEqual([])
        expect(kept.at(-1)?.role).toBe(history.at(-1)?.role)
        expect(memory.manageHistory(kept, context)).toBe(kept)
      }),
      { numRuns: 1000 },
    )
  })

  test('tears nothing in any repaired history, whatever its limit', () => {
    fc.assert(
      fc.property(
        hostileHistory,
        fc.integer({ min: 1, max: 500 }),
        fc.integer({ min: 1, max: 5 }),
        (hostile, maxHistoryTokens, minMessages) => {
          const history = repairHistory(hostile).messages
          const memory = new SimpleAgentMemory({ maxHistoryTokens, minMessages })
          const kept = memory.manageHistory(history, context)
          expect(validateHistory(kept)).toEqual([])
          expect(kept.length > 0).toBe(history.length > 0)
          expect(memory.manageHistory(kept, context)).toEqual(kept)
        },
      ),
      { numRuns: 1000 },
    )
  })

  test.each([
    [{ maxHistoryTokens: 0 }, 'maxHistoryTokens'],
    [{ maxHistoryTokens: Number.POSITIVE_INFINITY }, 'maxHistoryTokens'],
    [{ minMessages: 1.5 }, 'minMessages'],
    [{ minMessages: 0 }, 'minMessages'],
    [{ maxTokens: 5 } as object, 'maxTokens'],
  ])('refuses %j', (options, path) => {
    expect(() => new SimpleAgentMemory(options)).toThrow(
      expect.objectContaining({ code: 'configuration', path }),
    )
  })
})
