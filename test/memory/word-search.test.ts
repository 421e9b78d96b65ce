import { describe, expect, test } from 'vitest'
import { bestPlace, WordIndex } from '../../src/memory/word-search.ts'

const found = (query: string, ...texts: string[]) => {
  const index = new WordIndex(({ text }: { text: string }) => text)
  const items = texts.map((text) => ({ text }))
  return index.rank(query, items).map(({ item }) => item.text)
}

describe('the search by words', () => {
  test('puts first what says more of what was asked, and what is rare', () => {
    const texts = ['The cat sleeps.', 'The cat and the dog sleep.', 'The bird sings.']
    expect(found('the dog', ...texts)[0]).toBe(texts[1])
    expect(found('cat dog', ...texts)).toEqual([texts[1], texts[0]])
  })

  test('knows words by their beginning, in any case and script', () => {
    expect(found('invoice', 'Two INVOICES.', 'In voice.')).toEqual(['Two INVOICES.'])
    expect(found('invoices', 'An invoice.', 'Invo.')).toEqual(['An invoice.'])
    expect(found('ärger', 'Viel A\u0308rger.')).toEqual(['Viel A\u0308rger.'])
    expect(found('東京', '昨日は東京に行った。', '雨。')).toEqual(['昨日は東京に行った。'])
    expect(found('?!', 'What?!')).toEqual([])
  })

  test('counts a word as often as it stands there, also when it is short', () => {
    expect(found('up', 'up and down', 'up up up', 'upper')).toEqual(['up up up', 'up and down'])
  })

  test('leaves equals in their order', () => {
    expect(found('cat', 'one cat', 'two cat', 'six cat')).toEqual(['one cat', 'two cat', 'six cat'])
  })

  test('reads a text once, however often it is searched', () => {
    let read = 0
    const index = new WordIndex(({ text }: { text: string }) => {
      read++
      return text
    })
    const items = Array.from({ length: 5_000 }, (_, number) => ({ text: `message number ${number}` }))
    for (let time = 0; time < 20; time++) index.rank('4711', items)
    expect(index.rank('4711', [...items, { text: 'new' }])[0]?.item.text).toBe('message number 4711')
    expect(read).toBe(5_001)
  })
})

describe('the best place of a text', () => {
  const text = `${'The dog barks. '.repeat(3)}${'Nothing. '.repeat(30)}A dog bites a man.${' Nothing.'.repeat(30)}`

  test('is where most of the words stand together', () => {
    expect(text.slice(bestPlace('man bites dog', text, 50)).slice(0, 18)).toBe('dog bites a man. N')
    expect(bestPlace('dog', text, 50)).toBe(4)
    expect(bestPlace('men', text, 50)).toBe(0)
  })

  test('is found by words that are written in another way', () => {
    expect(bestPlace('ärger', 'Viel A\u0308rger.', 10)).toBe(5)
  })
})
