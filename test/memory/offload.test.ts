import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  Agent,
  assistant,
  estimateTokens,
  type MemoryContext,
  type Message,
  offloadToolOutput,
  recallTool,
  tool,
  toolMessage,
  user,
} from '../../src/index.ts'
import { codePointsOf } from '../../src/memory/tokens.ts'
import { calls, ScriptedClient } from '../../src/testing/index.ts'
import { damagedHistory } from './histories.ts'

const context: MemoryContext = {
  countTokens: estimateTokens,
  conversationId: 'c',
  signal: new AbortController().signal,
}

const call = { id: 'a', toolName: 'log', parameters: {} }
const exchange = (content: string): Message[] => [
  user('Logs?'),
  assistant('', [call]),
  toolMessage(call, content),
]
const numbers = (count: number) => Array.from({ length: count }, (_, number) => `line ${number}`).join('\n')

describe('a large tool result', () => {
  const content = numbers(1_000)

  test('is shown by its beginning, its end, and how to read what is between', () => {
    const history = exchange(content)
    const [question, reply, result] = offloadToolOutput({ maxTokens: 100, keepTokens: 15 }).manageHistory(
      history,
      context,
    ) as Message[]
    expect([question, reply]).toEqual(history.slice(0, 2))
    expect(result).toEqual({
      ...history[2],
      content:
        'line 0\nline 1\nline 2\nline 3\nline 4\nline\n\n' +
        '[8831 of 8889 code points are left out here: recall({ "call": "a", "offset": 39 }) reads them]\n\n' +
        '7\nline 998\nline 999',
    })
    expect(estimateTokens(String(result?.content))).toBeLessThanOrEqual(100)
    expect(history[2]?.content).toBe(content)
  })

  test('is shown whole up to the limit', () => {
    const history = exchange('x'.repeat(400))
    const memory = offloadToolOutput({ maxTokens: 100 })
    expect(memory.manageHistory(history, context)).toBe(history)
    expect(memory.manageHistory(exchange('x'.repeat(401)), context)).not.toEqual(exchange('x'.repeat(401)))
  })

  test('is the same object each time', () => {
    const history = exchange(content)
    const memory = offloadToolOutput({ maxTokens: 100 })
    const first = memory.manageHistory(history, context) as Message[]
    const later = memory.manageHistory([...history, user('More?')], context) as Message[]
    expect(later[2]).toBe(first[2])
    expect(later[2]).not.toBe(history[2])
  })

  test('is not promised to be read where nothing reads it, and stays whole where it was read on purpose', () => {
    const shown = (readWith: string | null, toolName = 'log') => {
      const [, , result] = exchange(content)
      const history = [result && { ...result, toolName }] as Message[]
      return (
        offloadToolOutput({ maxTokens: 100, keepTokens: 0, readWith }).manageHistory(
          history,
          context,
        ) as Message[]
      )[0]?.content
    }
    expect(shown(null)).toBe('[8889 of 8889 code points are left out here]')
    expect(shown('look_back')).toBe(
      '[8889 of 8889 code points are left out here: look_back({ "call": "a", "offset": 0 }) reads them]',
    )
    expect(shown('recall', 'recall')).toBe(content)
  })

  test('keeps less where the note needs the room, and stays as it is where not even that fits', () => {
    const shown = (maxTokens: number, keepTokens: number, countTokens = estimateTokens) =>
      (
        offloadToolOutput({ maxTokens, keepTokens }).manageHistory(exchange(content), {
          ...context,
          countTokens,
        }) as Message[]
      )[2]?.content
    expect(estimateTokens(String(shown(100, 5_000)))).toBeLessThanOrEqual(100)
    expect(shown(100, 25, (text) => 10 * text.length)).toBe(content)
  })
})

test('options that are wrong are refused', () => {
  expect(() => offloadToolOutput({ maxTokens: 99 })).toThrow(
    'offloadToolOutput() option maxTokens must be an integer of at least 100',
  )
  expect(() => offloadToolOutput({ maxTokens: 100, readWith: '' })).toThrow(
    'option readWith must be a string that is not empty, or one of null',
  )
})

test('any history: results are cut between code points and are never longer than before, all else is untouched', () => {
  const texts = fc.string({
    unit: fc.constantFrom('👍', 'é', 'a', '\r\n', ' '),
    minLength: 200,
    maxLength: 900,
  })
  const histories = fc
    .tuple(damagedHistory, texts)
    .map(([history, text]) =>
      history.map((message, index) =>
        index % 2 === 0 && message.role === 'tool' ? { ...message, content: text } : message,
      ),
    )
  fc.assert(
    fc.property(
      histories,
      fc.integer({ min: 100, max: 150 }),
      fc.nat(120),
      (history, maxTokens, keepTokens) => {
        const before = JSON.stringify(history)
        const memory = offloadToolOutput({ maxTokens, keepTokens })
        const shown = memory.manageHistory(history, context) as readonly Message[]
        expect(JSON.stringify(history)).toBe(before)
        expect(memory.manageHistory(shown, context)).toBe(shown)
        // Law 11: what is shown of a message does not depend on what follows.
        expect(memory.manageHistory(history.slice(0, -1), context)).toEqual(shown.slice(0, -1))
        shown.forEach((message, index) => {
          const given = history[index]
          if (message === given) {
            if (message.role === 'tool')
              expect(estimateTokens(message.content)).toBeLessThanOrEqual(maxTokens)
            return
          }
          expect({ ...message, content: '' }).toEqual({ ...given, content: '' })
          const [text, whole] = [String(message.content), String(given?.content)]
          expect(estimateTokens(text)).toBeLessThanOrEqual(maxTokens)
          const [note, left, total, offset] =
            /\[(\d+) of (\d+) code points [^\]]* "offset": (\d+) \}\) reads them\]/.exec(text) ?? []
          expect(Number(total)).toBe(codePointsOf(whole))
          const [start = '', end = ''] = text.split(`${note}`)
          const [first, last] = [start.replace(/\n\n$/, ''), end.replace(/^\n\n/, '')]
          expect(whole.startsWith(first) && whole.endsWith(last)).toBe(true)
          expect(codePointsOf(first)).toBe(Number(offset))
          expect(Number(left)).toBe(Number(total) - codePointsOf(first) - codePointsOf(last))
        })
      },
    ),
    { numRuns: 300 },
  )
})

test('a model reads on where the note says', async () => {
  const content = numbers(2_000)
  const logs = tool({
    name: 'log',
    description: 'Logs',
    parameters: { type: 'object' },
    effect: 'read',
    execute: () => content,
  })
  let read = ''
  const client = new ScriptedClient(({ messages }) => {
    const last = messages.at(-1)
    if (last?.role !== 'tool') return calls(['log', {}, 'a'])
    const [, offset] = /"offset": (\d+)/.exec(last.content) ?? []
    read +=
      last.toolName === 'log'
        ? last.content.slice(0, last.content.indexOf('\n\n['))
        : last.content.slice(last.content.indexOf('\n') + 1)
    return offset === undefined ? 'Read.' : calls(['recall', { call: 'a', offset: Number(offset) }])
  })
  const memory = offloadToolOutput({ maxTokens: 1_000 })
  const agent = new Agent({ client, memory, tools: [logs, recallTool()] })
  expect(await agent.run('Logs?')).toBe('Read.')
  expect(read).toBe(content)
  expect(client.calls).toBe(5)

  // Law 11: each request begins with the one before.
  client.requests.slice(1).forEach(({ messages }, index) => {
    const before = client.requests[index]?.messages ?? []
    expect(JSON.stringify(messages.slice(0, before.length))).toBe(JSON.stringify(before))
  })
  expect(agent.history.find(({ role }) => role === 'tool')?.content).toBe(content)
})
