import { describe, expect, test } from 'vitest'
import { RetentionMemory, type RetentionMemoryOptions } from '../../src/memory/retention.ts'
import { type Message, system, textOf, user } from '../../src/messages.ts'
import { context, exchange, turns } from './strategies.ts'

const managed = (history: readonly Message[], options: RetentionMemoryOptions) =>
  new RetentionMemory(options).manageHistory(history, context)

const numberOf = ({ content }: Message) => Number(/\d+/.exec(textOf(content))?.[0])

describe('a memory of limits', () => {
  test('sends everything without a limit, and at a limit', () => {
    const history = turns(4)
    expect(managed(history, {})).toBe(history)
    const limits = { maxMessages: 8, maxTurns: 4, maxTokens: 80, maxAgeMs: 3, timeOf: numberOf }
    expect(managed(history, limits)).toBe(history)
  })

  test('sends what is within all of its limits', () => {
    const history = turns(8)
    expect(managed(history, { maxMessages: 5 })).toEqual(history.slice(-5))
    expect(managed(history, { maxTurns: 2 })).toEqual(history.slice(-4))
    expect(managed(history, { maxTokens: 37 })).toEqual(history.slice(-3))
    expect(managed(history, { maxMessages: 5, maxTurns: 2, maxTokens: 37 })).toEqual(history.slice(-3))
  })

  test('keeps system messages, exchanges as a whole, the last question and the exchange the model is in', () => {
    const history = [
      system('Be kind.'),
      user('Look'),
      ...exchange('a', 'one'),
      ...exchange('b', 'two'),
      ...exchange('c', 'three'),
    ]
    for (const limits of [{ maxMessages: 1 }, { maxTokens: 1 }])
      expect(managed(history, limits)).toEqual([history[0], history[1], ...history.slice(-2)])
    expect(managed(history, { maxMessages: 7 })).toEqual([history[0], history[1], ...history.slice(4)])
  })

  test('counts age from the newest message; one of unknown time is as old as the one before it', () => {
    const timeOf = (message: Message) => (message.role === 'user' ? numberOf(message) * 100 : undefined)
    const history = turns(10)
    expect(managed(history, { maxAgeMs: 400, timeOf })).toEqual(history.slice(-10))
    expect(managed(history, { maxAgeMs: 399, timeOf })).toEqual(history.slice(-8))
    expect(managed(history, { maxAgeMs: 399, timeOf: () => undefined })).toBe(history)
  })

  test('sends nothing that is too old, whatever the times, but moves a quarter of the age at a time', () => {
    const history = turns(200)
    const memory = new RetentionMemory({ maxAgeMs: 40, timeOf: numberOf })
    const starts = new Set<Message | undefined>()
    for (let length = 1; length <= history.length; length++) {
      const kept = memory.manageHistory(history.slice(0, length), context)
      const newest = Math.max(...kept.map(numberOf))
      expect(newest - Math.min(...kept.map(numberOf))).toBeLessThanOrEqual(40)
      starts.add(kept[0])
    }
    expect(starts.size).toBe(200 / 10 - 3)
  })

  test.each([{ maxMessages: 40 }, { maxTurns: 20 }, { maxTokens: 400 }])(
    'makes room for a quarter more when %j is crossed, so that it moves seldom',
    (limits) => {
      const history = turns(200)
      const memory = new RetentionMemory(limits)
      const starts = new Set<Message | undefined>()
      for (let length = 1; length <= history.length; length++)
        starts.add(memory.manageHistory(history.slice(0, length), context)[0])
      expect(starts.size).toBe(1 + 360 / 10)
    },
  )

  test('fails rather than to go by a time that is none', () => {
    expect(() => managed(turns(2), { maxAgeMs: 1, timeOf: () => Number.NaN })).toThrow('timeOf must give')
  })

  test('refuses an age without a way to know it', () => {
    expect(() => new RetentionMemory({ maxAgeMs: 1 })).toThrow(
      expect.objectContaining({ code: 'configuration', path: 'timeOf' }),
    )
  })
})
