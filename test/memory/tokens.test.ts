import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  codePointsOf,
  estimateTokens,
  firstCodePoints,
  lastCodePoints,
  messageTokens,
  TokenCounts,
} from '../../src/memory/tokens.ts'
import { assistant, system, toolMessage, user } from '../../src/messages.ts'

const anyText = fc.string({ unit: 'binary', maxLength: 60 })

describe('an estimate of tokens', () => {
  test.each([
    ['test', 1],
    ['hello world', 3],
    ['', 0],
    ['é'.repeat(8), 2],
    ['👍'.repeat(4), 1],
    ['\ud83d', 1],
    ['\udc4d\ud83d\ud83d\udc4d\udc4d', 1],
  ])('of %j is %i', (text, tokens) => {
    expect(estimateTokens(text)).toBe(tokens)
  })

  test('is a quarter of the code points, rounded up, for any text', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(estimateTokens(text)).toBe(Math.ceil([...text].length / 4))
      }),
    )
  })
})

describe('cutting a text', () => {
  test('splits between code points, from either end', () => {
    fc.assert(
      fc.property(anyText, fc.nat(70), (text, count) => {
        const points = [...text]
        expect(codePointsOf(text)).toBe(points.length)
        expect(firstCodePoints(text, count)).toBe(points.slice(0, count).join(''))
        expect(lastCodePoints(text, count)).toBe(points.slice(Math.max(0, points.length - count)).join(''))
      }),
    )
  })
})

describe('the tokens of a message', () => {
  test.each([
    ['a system message', system('x'.repeat(5)), 2],
    ['a user message', user('x'.repeat(40)), 10],
    [
      'a call, by its name and its parameters',
      assistant('', [{ id: '1', toolName: 'abcd', parameters: {} }]),
      2,
    ],
    [
      'a thought, its plan and its calls',
      {
        ...assistant('abcd', [{ id: '1', toolName: 'add', parameters: { a: 1 } }]),
        plan: 'abcde',
      },
      1 + 2 + 1 + 2,
    ],
    ['a result', toolMessage({ id: '1', toolName: 'a_tool_with_a_long_name' }, 'abcdefgh'), 2],
    [
      'an image',
      user([
        { type: 'text', text: 'see' },
        { type: 'image', url: 'https://a.test/' },
      ]),
      1001,
    ],
    ['a file, whatever its size', user([{ type: 'file', data: 'A'.repeat(99_999), mediaType: 'a/b' }]), 1000],
    [
      'reasoning that is sent back',
      {
        ...assistant('abcd'),
        reasoning: [
          { provider: 'p', model: 'm', text: 'abcdefgh', opaque: 'signature' },
          { provider: 'p', model: 'm', opaque: { a: 1 } },
          { provider: 'p', model: 'm', text: 'text alone stays here' },
        ],
      },
      1 + 2 + 2,
    ],
  ] as const)('count %s', (_, message, tokens) => {
    expect(messageTokens(message, estimateTokens)).toBe(tokens)
  })

  test('do not fail for parameters that are no JSON', () => {
    const parameters: Record<string, unknown> = {}
    parameters['self'] = parameters
    const broken = assistant('', [{ id: '1', toolName: 'abcd', parameters: parameters as never }]) // wrong on purpose
    expect(messageTokens(broken, estimateTokens)).toBe(1001)
  })
})

describe('token counts', () => {
  test('ask a counter once for each piece of a message or a tool, and never for an empty text', () => {
    const asked: string[] = []
    const counts = new TokenCounts((text) => asked.push(text))
    const history = [user('a'), assistant('', [{ id: '1', toolName: 'b', parameters: {} }])]
    const tools = [{ name: 'n', description: 'd', parameters: { type: 'object' } }]
    expect([counts.messages(history), counts.tools(tools)]).toEqual([1 + 2 + 3, 4 + 5 + 6])
    expect([counts.messages(history), counts.tools(tools)]).toEqual([1 + 2 + 3, 4 + 5 + 6])
    expect(asked).toEqual(['a', 'b', '{}', 'n', 'd', '{"type":"object"}'])
  })

  test.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('no')
      },
    ],
    ['gives NaN', () => Number.NaN],
    ['gives less than nothing', () => -1],
    ['gives infinity', () => Number.POSITIVE_INFINITY],
    ['gives a promise', () => Promise.resolve(1)],
    ['gives a bigint', () => 1n],
  ])('fall back on the estimate where a counter %s', (_, counter) => {
    const counts = new TokenCounts(counter as () => number) // wrong on purpose
    expect(counts.message(user('hello world'))).toBe(3)
  })

  test('round fractions up, so that a sum does not depend on its order', () => {
    const counts = new TokenCounts((text) => text.length / 3)
    expect(['a', 'abc', 'abcd'].map(counts.text)).toEqual([1, 1, 2])
  })

  test('can be passed on as a function', () => {
    const { text } = new TokenCounts()
    expect(text('hello world')).toBe(3)
  })
})
