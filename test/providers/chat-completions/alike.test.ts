import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { JsonObject } from '../../../src/json.ts'
import { AlikeEvents } from '../../../src/providers/chat-completions/alike.ts'

/** An event as OpenAI has it; `rest` is put before its text. */
const event = (content: string, padding?: string, rest: object = {}): JsonObject => ({
  id: 'chatcmpl-1',
  ...rest,
  choices: [{ index: 0, delta: { content }, logprobs: null, finish_reason: null }],
  usage: null,
  ...(padding !== undefined && { obfuscation: padding }),
})

/** Events that were taught often enough to be known. */
function taught(...first: readonly JsonObject[]): AlikeEvents {
  const alike = new AlikeEvents()
  for (const each of first) {
    for (let time = 0; time < 5; time++) alike.learn(JSON.stringify(each), each, contentOf(each))
  }
  return alike
}

const contentOf = (each: JsonObject) =>
  (each as unknown as { choices: [{ delta: { content: string } }] }).choices[0].delta.content // made above

describe('events that differ in their text only', () => {
  test.each([
    ['without padding', undefined, undefined],
    ['with padding of other lengths', 'x7', 'x7KqPz'],
  ])('are read without parsing, %s', (_, first, second) => {
    const alike = taught(event('Hel', first))
    expect(alike.textOf(JSON.stringify(event('lo, ünï', second)))).toBe('lo, ünï')
  })

  test('are read without parsing where each has an id of its own', () => {
    const alike = new AlikeEvents()
    const made = (number: number, content: string) => event(content, 'x7', { id: `chatcmpl-${number}` })
    for (let number = 0; number < 5; number++)
      alike.learn(JSON.stringify(made(number, 'Hel')), made(number, 'Hel'), 'Hel')
    expect(alike.textOf(JSON.stringify(made(10, 'lo')))).toBe('lo')
    expect(alike.textOf(JSON.stringify(event('lo', 'x7', { id: 7 })))).toBeUndefined()
  })

  test('are learned only once an answer is long enough to be worth it', () => {
    const alike = new AlikeEvents()
    const first = event('Hel')
    alike.learn(JSON.stringify(first), first, 'Hel')
    expect(alike.textOf(JSON.stringify(event('lo')))).toBeUndefined()
  })

  test.each([
    ['a text that is escaped', JSON.stringify(event('a "word"'))],
    ['a text that is empty', JSON.stringify(event(''))],
    ['a control character, which no JSON has', JSON.stringify(event('ab')).replace('ab', 'a\u0001b')],
    [
      'another finish reason',
      JSON.stringify(event('ab')).replace('"finish_reason":null', '"finish_reason":"stop"'),
    ],
    ['another id', JSON.stringify(event('ab')).replace('chatcmpl-1', 'chatcmpl-2')],
    ['something after it', `${JSON.stringify(event('ab'))} `],
    ['something cut off', JSON.stringify(event('ab')).slice(0, -1)],
    ['another member', JSON.stringify({ ...event('ab'), x: 1 })],
  ])('are parsed with %s', (_, data) => {
    expect(taught(event('Hel')).textOf(data)).toBeUndefined()
  })

  test('are not mistaken where the same text stands elsewhere', () => {
    const alike = taught(event('Hi', undefined, { note: '"content":"Hi"', content: 'Hi' }))
    expect(
      alike.textOf(JSON.stringify(event('Ho', undefined, { note: '"content":"Hi"', content: 'Hi' }))),
    ).toBeUndefined()
    const other = event('Hi', undefined, { note: '"content":"Hi"', content: 'Ho' })
    expect(alike.textOf(JSON.stringify(other))).toBeUndefined()
  })

  test('say what parsing says, whatever they are', () => {
    const padding = fc.option(fc.string({ maxLength: 6 }), { nil: undefined })
    const rest = fc.constantFrom(
      {},
      { note: 'a "b"' },
      { content: 'x' },
      { obfuscation: 'y' },
      { id: 'chatcmpl-2' },
    )
    const events = fc.array(fc.tuple(fc.string({ maxLength: 5, unit: 'binary' }), padding, rest), {
      minLength: 8,
      maxLength: 30,
    })
    fc.assert(
      fc.property(events, (made) => {
        const alike = new AlikeEvents()
        for (const [content, pad, more] of made) {
          const each = event(content, pad, more)
          const data = JSON.stringify(each)
          expect([undefined, content]).toContain(alike.textOf(data))
          if (content !== '') alike.learn(data, each, content)
        }
      }),
    )
  })
})
