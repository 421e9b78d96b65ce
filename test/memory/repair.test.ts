import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { repairHistory, validateHistory } from '../../src/memory/repair.ts'
import { assistant, type Message, system, toolMessage, user } from '../../src/messages.ts'
import { validateOpenAI } from '../../src/testing/strict-openai.ts'
import { agentHistory, damagedHistory, hostileHistory } from './histories.ts'

const call = (id: string, toolName = 'add') => ({ id, toolName, parameters: {} })
const result = (id: string, content = `result of ${id}`) => toolMessage(call(id), content)
const calls = (...ids: string[]) =>
  assistant(
    '',
    ids.map((id) => call(id)),
  )
const noResult = (id: string) =>
  toolMessage(call(id), 'No result: the call was interrupted, so its outcome is unknown.', false)

describe('a history', () => {
  test('with nothing wrong is given back as the same array', () => {
    const history = [system('s'), user('u'), calls('a', 'b'), result('a'), result('b'), assistant('done')]
    const { messages, repairs } = repairHistory(history)
    expect(messages).toBe(history)
    expect(repairs).toEqual([])
  })

  test.each<[string, Message[], Message[], string[]]>([
    [
      'loses results that answer no call before them',
      [result('a'), user('u'), result('b'), calls('b')],
      [user('u'), calls('b'), noResult('b')],
      [
        'Dropped a result of "add": no call before it has the id "a".',
        'Dropped a result of "add": no call before it has the id "b".',
        'Added a result to the call "b" of "add", which had none.',
      ],
    ],
    [
      'gets a result for each call that has none',
      [user('u'), calls('a', 'b', 'c'), result('b'), user('v')],
      [user('u'), calls('a', 'b', 'c'), noResult('a'), result('b'), noResult('c'), user('v')],
      [
        'Added a result to the call "a" of "add", which had none.',
        'Added a result to the call "c" of "add", which had none.',
      ],
    ],
    [
      'has late results moved to their call, in the order of the calls',
      [calls('a', 'b'), result('b'), user('u'), result('a')],
      [calls('a', 'b'), result('a'), result('b'), user('u')],
      ['Moved the result of "add" to its call "a".'],
    ],
    [
      'has results in the wrong order put in the order of the calls',
      [user('u'), calls('a', 'b'), result('b'), result('a')],
      [user('u'), calls('a', 'b'), result('a'), result('b')],
      ['Moved the result of "add" to its call "a".'],
    ],
    [
      'keeps the first of two results',
      [calls('a'), result('a', 'first'), result('a', 'second')],
      [calls('a'), result('a', 'first')],
      ['Dropped a second result of "add" for the call "a".'],
    ],
    [
      'keeps the first of two calls with one id in one reply',
      [assistant('', [call('a', 'add'), call('a', 'sub')]), result('a')],
      [calls('a'), result('a')],
      ['Dropped a call of "sub": another call of the same reply has the id "a".'],
    ],
    [
      'has ids that come again renamed, with their results, around names that are taken',
      [
        calls('a'),
        result('a', '1'),
        calls('a_2'),
        result('a_2', '2'),
        calls('a'),
        result('a', '3'),
        calls('a'),
      ],
      [
        calls('a'),
        result('a', '1'),
        calls('a_2'),
        result('a_2', '2'),
        calls('a_3'),
        result('a_3', '3'),
        calls('a_4'),
        noResult('a_4'),
      ],
      [
        'Renamed a call of "add" from "a" to "a_3": the id was taken.',
        'Renamed a call of "add" from "a" to "a_4": the id was taken.',
        'Added a result to the call "a_4" of "add", which had none.',
      ],
    ],
    [
      'has calls without an id named',
      [calls(''), result(''), calls('x'.repeat(40)), result('x'.repeat(40)), calls('x'.repeat(40))],
      [
        calls('call_2'),
        result('call_2', 'result of '),
        calls('x'.repeat(40)),
        result('x'.repeat(40)),
        calls(`${'x'.repeat(30)}_2`),
        noResult(`${'x'.repeat(30)}_2`),
      ],
      [
        'Renamed a call of "add" from "" to "call_2": the id was taken.',
        `Renamed a call of "add" from "${'x'.repeat(40)}" to "${'x'.repeat(30)}_2": the id was taken.`,
        `Added a result to the call "${'x'.repeat(30)}_2" of "add", which had none.`,
      ],
    ],
    [
      'loses replies and system messages that say nothing, and keeps the question',
      [
        system(' '),
        user(''),
        assistant('\n'),
        user([{ type: 'text', text: ' ' }]),
        { ...assistant(''), toolCalls: [] },
        { ...assistant(''), plan: 'p' },
      ],
      [user('(empty)'), user('(empty)'), { ...assistant(''), plan: 'p' }],
      [
        'Dropped a message of role system without content.',
        'Gave a user message without content the text "(empty)".',
        'Dropped a message of role assistant without content.',
        'Gave a user message without content the text "(empty)".',
        'Dropped a message of role assistant without content.',
      ],
    ],
    [
      'loses an empty list of calls',
      [user('u'), { ...assistant('a'), toolCalls: [] }],
      [user('u'), assistant('a')],
      ['Took an empty list of calls off a reply.'],
    ],
  ])('%s', (_, history, messages, repairs) => {
    expect(repairHistory(history)).toEqual({ messages, repairs })
  })
})

describe('a repaired history', () => {
  test('is valid, also to OpenAI, and repairing it again changes nothing', () => {
    fc.assert(
      fc.property(fc.oneof(hostileHistory, damagedHistory), (history) => {
        const { messages } = repairHistory(history)
        expect(validateHistory(messages)).toEqual([])
        if (messages.length > 0) expect(validateOpenAI(openAIBody(messages))).toBeUndefined()
        expect(repairHistory(messages)).toEqual({ messages, repairs: [] })
        expect(repairHistory(messages).messages).toBe(messages)
      }),
      { numRuns: 1500 },
    )
  })

  test('holds the messages of the history in their order, and the history is untouched', () => {
    fc.assert(
      fc.property(hostileHistory, (history) => {
        const before = structuredClone(history)
        const spoken = repairHistory(deepFreeze(history)).messages.filter(({ role }) => role !== 'tool')
        let at = 0
        for (const message of spoken) {
          while (at < history.length && !isFrom(message, history[at])) at++
          expect(at++).toBeLessThan(history.length)
        }
        expect(history).toEqual(before)
      }),
      { numRuns: 1000 },
    )
  })

  test('says that something was done exactly if something was wrong', () => {
    fc.assert(
      fc.property(fc.oneof(hostileHistory, agentHistory, damagedHistory), (history) => {
        const { messages, repairs } = repairHistory(history)
        expect(repairs.length > 0).toBe(JSON.stringify(messages) !== JSON.stringify(history))
        if (validateHistory(history).length > 0) expect(repairs).not.toEqual([])
      }),
      { numRuns: 1000 },
    )
  })

  test('keeps its beginning while the history grows by whole exchanges', () => {
    fc.assert(
      fc.property(hostileHistory, hostileHistory, (first, second) => {
        const now = repairHistory(first).messages
        // A later result of an earlier call is the one thing that may change the past.
        const open = new Set(
          first
            .flatMap((message) => (message.role === 'assistant' ? (message.toolCalls ?? []) : []))
            .map(({ id }) => id),
        )
        const later = second.filter((message) => message.role !== 'tool' || !open.has(message.callId))
        expect(repairHistory([...first, ...later]).messages.slice(0, now.length)).toEqual(now)
      }),
      { numRuns: 1000 },
    )
  })

  test('is soon made of thirty thousand calls whose ids collide', () => {
    const history = Array.from({ length: 30_000 }, (_, index) => calls(index % 2 ? 'a' : `a_${index}`))
    const { messages, repairs } = repairHistory(history)
    expect(messages).toHaveLength(60_000)
    expect(repairs).toHaveLength(30_000 + 14_999)
  })
})

describe('validation', () => {
  test("accepts an agent's own histories", () => {
    fc.assert(
      fc.property(agentHistory, (history) => {
        expect(validateHistory(history)).toEqual([])
      }),
    )
  })

  test.each<[Message[], ReturnType<typeof validateHistory>]>([
    [[result('a')], [{ kind: 'result_without_call', index: 0, callId: 'a' }]],
    [
      [user('u'), calls('a', 'b'), result('b')],
      [
        { kind: 'misplaced_result', index: 2, callId: 'b' },
        { kind: 'call_without_result', index: 1, callId: 'a' },
      ],
    ],
    [[calls('a', 'b'), result('a')], [{ kind: 'call_without_result', index: 0, callId: 'b' }]],
    [[calls('a', 'b'), result('b'), result('a')], [{ kind: 'misplaced_result', index: 1, callId: 'b' }]],
    [
      [calls('a'), user('u'), result('a')],
      [
        { kind: 'call_without_result', index: 0, callId: 'a' },
        { kind: 'misplaced_result', index: 2, callId: 'a' },
      ],
    ],
    [[calls('a'), result('a'), result('a')], [{ kind: 'duplicate_result', index: 2, callId: 'a' }]],
    [[calls('a', 'a'), result('a')], [{ kind: 'duplicate_call', index: 0, callId: 'a' }]],
    [[calls(''), result('')], [{ kind: 'missing_call_id', index: 0, callId: '' }]],
    [
      [user(''), assistant(''), system(' ')],
      [
        { kind: 'empty_message', index: 0 },
        { kind: 'empty_message', index: 1 },
        { kind: 'empty_message', index: 2 },
      ],
    ],
    [[user('u'), { ...assistant('a'), toolCalls: [] }], [{ kind: 'empty_calls', index: 1 }]],
  ])('finds what is wrong in history %#', (history, issues) => {
    expect(validateHistory(history)).toEqual(issues)
  })
})

/** Whether a repaired message was made of `original`. */
function isFrom(message: Message, original: Message | undefined): boolean {
  if (message === original) return true
  if (message.role === 'user') return original?.role === 'user' && message.content === '(empty)'
  return (
    message.role === 'assistant' &&
    original?.role === 'assistant' &&
    message.content === original.content &&
    original.toolCalls !== undefined
  )
}

function openAIBody(messages: readonly Message[]) {
  return {
    model: 'gpt-5',
    messages: messages.map((message) => {
      if (message.role === 'tool')
        return { role: 'tool', tool_call_id: message.callId, content: message.content }
      if (message.role === 'assistant' && message.toolCalls) {
        const tool_calls = message.toolCalls.map(({ id, toolName, parameters }) => ({
          id,
          type: 'function',
          function: { name: toolName, arguments: JSON.stringify(parameters) },
        }))
        return { role: 'assistant', content: message.content, tool_calls }
      }
      if (message.role !== 'user' || typeof message.content === 'string') {
        return { role: message.role, content: message.content as string } // not a user's, so it is text
      }
      const content = message.content.map((part) =>
        part.type === 'text' ? { ...part } : { type: 'text', text: '[image]' },
      )
      return { role: 'user', content }
    }),
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(deepFreeze)
  return value
}
