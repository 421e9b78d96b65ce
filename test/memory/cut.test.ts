import { describe, expect, test } from 'vitest'
import { type CutOptions, cutLongest } from '../../src/memory/cut.ts'
import { TokenCounts } from '../../src/memory/tokens.ts'
import { assistant, type Message, user } from '../../src/messages.ts'

const everything: Pick<CutOptions, 'keep' | 'mayCut'> = { keep: 'start', mayCut: () => true }

describe('cutting the longest texts', () => {
  test('takes from the longest only, and leaves other messages the objects they were', () => {
    const messages: Message[] = [
      user([
        { type: 'text', text: 'short' },
        { type: 'image', url: 'https://a.test/i' },
      ]),
      { ...assistant('a'.repeat(100)), plan: 'p'.repeat(60) },
      assistant('b'.repeat(20)),
    ]
    const cut = cutLongest(messages, new TokenCounts(), { ...everything, limit: 1_002 + 10 + 10 + 5 })
    expect(cut).toEqual([
      messages[0],
      { ...assistant(`${'a'.repeat(37)}...`), plan: `${'p'.repeat(37)}...` },
      messages[2],
    ])
    expect(cut[0]).toBe(messages[0])
    expect(cut[2]).toBe(messages[2])
  })

  test('keeps as much as a counter allows for which texts differ', () => {
    // A tokenizer that is good at a and bad at b.
    const counts = new TokenCounts((text) => text.replaceAll('a', '').length + 1)
    const cut = (text: string) => cutLongest([user(text)], counts, { ...everything, limit: 11 })
    expect(cut('a'.repeat(500) + 'b'.repeat(100))).toEqual([user(`${'a'.repeat(62)}...`)])
    expect(cut('b'.repeat(100) + 'a'.repeat(500))).toEqual([user(`${'b'.repeat(6)}...`)])
  })

  test('makes nothing longer', () => {
    const counts = new TokenCounts((text) => text.length)
    expect(cutLongest([user('ab')], counts, { ...everything, limit: 1 })).toEqual([user('ab')])
  })
})
