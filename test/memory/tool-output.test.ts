import { describe, expect, test } from 'vitest'
import { type DropOldToolOutputOptions, dropOldToolOutput } from '../../src/memory/tool-output.ts'
import { assistant, type Message, textOf, toolMessage, user } from '../../src/messages.ts'
import { context, exchange } from './strategies.ts'

const managed = (history: readonly Message[], options: DropOldToolOutputOptions) =>
  dropOldToolOutput(options).manageHistory(history, context) as readonly Message[] // not asynchronous

const resultsOf = (messages: readonly Message[]) =>
  messages.filter(({ role }) => role === 'tool').map(({ content }) => textOf(content))

/** A question, and exchanges with results of 100 tokens. */
const long = (count: number): Message[] => [
  user('Look'),
  ...Array.from({ length: count }, (_, index) => exchange(`call_${index}`, 'r'.repeat(400))).flat(),
]

describe('old tool output', () => {
  test('is replaced, but for the newest exchanges; calls and all else stay', () => {
    const history = long(4)
    const messages = managed(history, { keepLast: 2, minFreedTokens: 1, replaceWith: '[old]' })
    expect(resultsOf(messages)).toEqual(['[old]', '[old]', 'r'.repeat(400), 'r'.repeat(400)])
    expect(messages.filter(({ role }) => role !== 'tool')).toEqual(
      history.filter(({ role }) => role !== 'tool'),
    )
  })

  test('is replaced as one with all results of the reply that asked for it', () => {
    const calls = ['a', 'b'].map((id) => ({ id, toolName: 'look', parameters: {} }))
    const parallel = [assistant('', calls), ...calls.map((call) => toolMessage(call, 'r'.repeat(400)))]
    const options = { keepLast: 1, minFreedTokens: 1, replaceWith: '[old]' }
    expect(managed(parallel, options)).toBe(parallel)
    expect(resultsOf(managed([...parallel, ...exchange('c', 'new')], options))).toEqual([
      '[old]',
      '[old]',
      'new',
    ])
  })

  test('keeps its ends if it is told to, cut between characters', () => {
    const history = [...exchange('a', `ab${'👍'.repeat(200)}yz`), ...exchange('b', 'new')]
    const options = { keepLast: 1, minFreedTokens: 1, keepEnds: 3, replaceWith: ' … ' }
    expect(resultsOf(managed(history, options))).toEqual(['ab👍 … 👍yz', 'new'])
  })

  test('stays where the replacement would not be shorter', () => {
    const history = [...exchange('a', 'Sunny.'), ...exchange('b', 'new')]
    expect(managed(history, { keepLast: 1, minFreedTokens: 1 })).toBe(history)
  })

  test('stays where it is pinned, itself or the reply that asked for it', () => {
    const history = [...long(4), user('Well?')]
    for (const pinned of [history[2], history[1]]) {
      const options = {
        keepLast: 1,
        minFreedTokens: 1,
        replaceWith: '',
        pinned: (each: Message) => each === pinned,
      }
      expect(resultsOf(managed(history, options)).map(({ length }) => length)).toEqual([400, 0, 0, 400])
    }
  })

  test('waits until a step frees enough, and stays replaced from then on', () => {
    const history = long(12)
    const memory = dropOldToolOutput({ keepLast: 2, minFreedTokens: 300, replaceWith: '' })
    const replaced = Array.from({ length: 12 }, (_, index) => {
      const messages = memory.manageHistory(history.slice(0, 1 + 2 * (index + 1)), context)
      return resultsOf(messages as readonly Message[]).filter((result) => result === '').length
    })
    expect(replaced).toEqual([0, 0, 0, 0, 3, 3, 3, 6, 6, 6, 9, 9])
  })
})
