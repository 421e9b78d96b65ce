import { describe, expect, test } from 'vitest'
import { PriorityMemory } from '../../src/memory/priority.ts'
import { assistant, type Message, system, user } from '../../src/messages.ts'
import { context, exchange, tokensOf, turns } from './strategies.ts'

describe('a memory of priorities', () => {
  test('changes nothing at exactly the limit', () => {
    const history = turns(5)
    expect(new PriorityMemory({ maxTokens: 100 }).manageHistory(history, context)).toBe(history)
    const kept = new PriorityMemory({ maxTokens: 99 }).manageHistory(history, context)
    expect(tokensOf(kept)).toBeLessThanOrEqual(99)
  })

  test('drops the lowest score first, of equal ones the oldest, and asks with the place of each message', () => {
    const history = turns(6)
    const asked: [Message, number, number][] = []
    const score = (message: Message, index: number, total: number) => {
      asked.push([message, index, total])
      return message.role === 'user' ? 2 : 1
    }
    const kept = new PriorityMemory({ maxTokens: 80, score }).manageHistory(history, context)
    expect(history.filter((message) => !kept.includes(message))).toEqual(
      [1, 3, 5, 7].map((at) => history[at]),
    )
    // When the limit was crossed: what came later only adds to it.
    expect(asked.every(([message, index, total]) => message === history[index] && total === 11)).toBe(true)
  })

  test('prefers questions, calls, keywords, long messages and new ones by default', () => {
    const day = 'I had a nice day.'.padEnd(80)
    const plain = () => user(day)
    const preferred: [unit: Message[], to: Message][] = [
      [[user(day)], assistant(day)],
      [[user('Did I have a nice day?'.padEnd(80, '?'))], user(day)],
      [exchange('a', ''), assistant(day)],
      [[user('I MUST have a day.'.padEnd(80))], user(day)],
      [[user('I had a long day.'.padEnd(800))], user(day)],
    ]
    for (const [unit, to] of preferred) {
      const history = [...unit, ...Array.from({ length: 4 }, () => ({ ...to })), user('And now.')]
      const kept = new PriorityMemory({ maxTokens: tokensOf(history) - 1 }).manageHistory(history, context)
      expect(kept.slice(0, unit.length)).toEqual(unit)
      expect(kept.length).toBeLessThan(history.length)
    }
    const alike = Array.from({ length: 5 }, plain)
    const kept = new PriorityMemory({ maxTokens: 90, keywords: [] }).manageHistory(alike, context)
    expect(kept[0]).toBe(alike[2])
  })

  test('keeps system messages, the last question and the exchange the model is in, whatever their score', () => {
    const history = [system('Be kind.'), ...turns(10), user('And now?'), ...exchange('a', 'x'.repeat(100))]
    const score = ({ role, content }: Message) => (role === 'assistant' && content !== '' ? 1 : 0)
    const kept = new PriorityMemory({ maxTokens: 60, score }).manageHistory(history, context)
    expect(kept[0]).toBe(history[0])
    expect(kept.slice(-3)).toEqual(history.slice(-3))
    expect(tokensOf(kept)).toBeLessThanOrEqual(60)
  })

  test('chooses anew once the conversation has grown by a quarter, and only adds in between', () => {
    const memory = new PriorityMemory({ maxTokens: 400 })
    const history = turns(100)
    let changes = 0
    let before: readonly Message[] = []
    for (let length = 1; length <= history.length; length++) {
      const kept = memory.manageHistory(history.slice(0, length), context)
      expect(tokensOf(kept)).toBeLessThanOrEqual(400)
      if (before.some((message, at) => message !== kept[at])) changes++
      before = kept
    }
    expect(changes).toBe((2_000 - 400) / 100)
  })

  test.each([undefined, Number.NaN, '5'])('fails rather than to go by the score %s', (score) => {
    const memory = new PriorityMemory({ maxTokens: 10, score: () => score as number })
    expect(() => memory.manageHistory([...turns(3), assistant('So.')], context)).toThrow(
      'score must give a number',
    )
  })

  test('refuses keywords beside a score that would not look at them', () => {
    expect(() => new PriorityMemory({ score: () => 1, keywords: ['cat'] })).toThrow(
      expect.objectContaining({ code: 'configuration', path: 'keywords' }),
    )
  })
})
