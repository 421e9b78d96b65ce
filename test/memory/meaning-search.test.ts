import { describe, expect, test } from 'vitest'
import { type Embed, MeaningIndex } from '../../src/memory/meaning-search.ts'
import { thrownBy } from '../support/outcome.ts'

const items = Array.from({ length: 250 }, (_, number) => ({ text: `${number}` }))
const indexOf = () => new MeaningIndex(({ text }: { text: string }) => text)

/** The nearer two numbers are, the more alike are their vectors. */
const byNumber = (asked: string[][]): Embed => {
  return (texts) => {
    asked.push([...texts])
    return texts.map((text) => [Math.cos(Number(text) / 200), Math.sin(Number(text) / 200)])
  }
}

describe('the search by meaning', () => {
  test('ranks by likeness, and embeds each item once, at most 100 at a time', async () => {
    const asked: string[][] = []
    const index = indexOf()
    const embed = byNumber(asked)
    expect((await index.rank('117', items, embed)).slice(0, 1)).toMatchObject([{ item: { text: '117' } }])
    expect(asked.map(({ length }) => length)).toEqual([101, 100, 50])

    await index.rank('3', [...items, { text: '250' }], embed)
    expect(asked.slice(3)).toEqual([['3', '250']])
  })

  test('keeps what was embedded before it failed', async () => {
    const asked: string[][] = []
    const index = indexOf()
    const works = byNumber(asked)
    const failure = new Error('quota')
    let called = 0
    const embed: Embed = (texts) => {
      called++
      if (called === 2) throw failure
      return works(texts)
    }
    expect(await thrownBy(index.rank('1', items, embed))).toBe(failure)
    await index.rank('1', items, embed)
    expect(asked.map(({ length }) => length)).toEqual([101, 101, 50])
  })

  test('refuses vectors that are too few', async () => {
    expect(await thrownBy(indexOf().rank('z', items.slice(0, 2), () => []))).toMatchObject({
      path: 'embed',
      message: 'embed must give 3 vectors for 3 texts, got an array of 0.',
    })
  })

  test('ends at once with the reason of the signal', async () => {
    const controller = new AbortController()
    const ranked = indexOf().rank('1', items, () => new Promise(() => {}), controller.signal)
    controller.abort('enough')
    expect(await thrownBy(ranked)).toBe('enough')
  })
})
