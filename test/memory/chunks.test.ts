import fc from 'fast-check'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { type Chunk, type ChunkOptions, chunkSemantically, estimateTokens } from '../../src/index.ts'
import { thrownBy } from '../support/outcome.ts'

const whole = (chunks: readonly Chunk[]) =>
  chunks.map(({ text, overlap }) => text.slice(overlap.length)).join('')

const texts = (text: string, options: Partial<ChunkOptions> = {}) =>
  chunkSemantically(text, { maxTokens: 10, ...options }).map((chunk) => chunk.text)

describe('a text in chunks', () => {
  test('is one chunk if it fits, and none if it is empty', () => {
    expect(chunkSemantically('One.\n\nTwo.', { maxTokens: 10 })).toEqual([
      { text: 'One.\n\nTwo.', overlap: '', start: 0 },
    ])
    expect(texts('')).toEqual([])
    expect(texts(' \r\n ')).toEqual([' \r\n '])
  })

  test('is split between paragraphs, which share a chunk as long as they fit', () => {
    const [a, b, c] = ['First paragraph.\n\n', 'Second one.\r\n \r\n', 'The third paragraph of them.']
    expect(texts(`${a}${b}${c}`)).toEqual([a + b, c])
  })

  test('keeps sections whole, with their headings, and what looks like one in code is none', () => {
    const text = '# One\n\nText of one.\n\n## Two\nText.\n\n```sh\n# no heading\n\nls\n```\n\nMore.\n'
    expect(texts(text, { boundary: 'heading', maxTokens: 16 })).toEqual([text.slice(0, 21), text.slice(21)])
    expect(texts(text, { maxTokens: 11 })).toEqual([text.slice(0, 35), text.slice(35)])
  })

  test('splits what is too long at sentences, then lines, words and code points', () => {
    const [a, b] = ['It is a sentence of words. "Is it?" ', 'She asked him so.']
    expect(texts(a + b)).toEqual([a, b])
    expect(texts('一二三四五六七八九。一二三四五六七八九。', { maxTokens: 3 })).toEqual([
      '一二三四五六七八九。',
      '一二三四五六七八九。',
    ])
    expect(texts('- a list item\n- one\n- one more item', { maxTokens: 5 })).toEqual([
      '- a list item\n- one\n',
      '- one more item',
    ])
    expect(texts('several words without any stop', { maxTokens: 4 })).toEqual([
      'several words ',
      'without any stop',
    ])
    expect(texts('👍👍👍👍👍👍👍👍👍', { maxTokens: 1 })).toEqual(['👍👍👍👍', '👍👍👍👍', '👍'])
  })

  test('repeats the end of the chunk before, from a word on', () => {
    const chunks = chunkSemantically('one two three four five six seven eight nine ten', {
      maxTokens: 6,
      overlapTokens: 2,
    })
    expect(chunks.map(({ text, overlap }) => [text, overlap])).toEqual([
      ['one two three four five ', ''],
      ['five six seven eight ', 'five '],
      ['eight nine ten', 'eight '],
    ])
    expect(chunks.map(({ start }) => start)).toEqual([0, 19, 34])
  })

  test('repeats less where the next paragraph needs the room', () => {
    const chunks = chunkSemantically(`${'a b '.repeat(8)}\n\n${'c d '.repeat(9)}`, {
      maxTokens: 10,
      overlapTokens: 4,
    })
    expect(chunks.map(({ overlap }) => overlap)).toEqual(['', 'b \n\n'])
  })

  test('never splits a single code point', () => {
    expect(texts('👍a', { maxTokens: 1, countTokens: (text) => text.length })).toEqual(['👍', 'a'])
  })
})

describe('the topics of a text', () => {
  const cats = 'The cat sleeps. The cat eats. '
  const tax = 'The tax is due. The tax is paid.'
  const similarity = (a: string, b: string) => (/cat/.test(a) === /cat/.test(b) ? 1 : 0)

  test('are never in one chunk, and nothing is repeated from one to the next', () => {
    expect(
      texts(cats + tax, { boundary: 'sentence', maxTokens: 100, overlapTokens: 20, similarity }),
    ).toEqual([cats, tax])
  })

  test('are told by a threshold, and each two neighbours are compared once, without blanks', () => {
    const asked: string[] = []
    const compare = (a: string, b: string) => {
      asked.push(`${a}|${b}`)
      return 0.4
    }
    expect(texts(cats, { boundary: 'sentence', similarity: compare, threshold: 0.4 })).toEqual([cats])
    expect(texts(cats, { boundary: 'sentence', similarity: compare })).toEqual([
      'The cat sleeps. ',
      'The cat eats. ',
    ])
    expect(asked[0]).toBe('The cat sleeps.|The cat eats.')
    expect(asked.length).toBe(2)
  })

  test('are found by an embedding model, each unit embedded once', async () => {
    const asked: (readonly string[])[] = []
    const embed = async (units: readonly string[]) => {
      asked.push(units)
      return units.map((unit) => (/cat/.test(unit) ? [1, 0] : [0, 1]))
    }
    const chunks = chunkSemantically(cats + tax, { boundary: 'sentence', maxTokens: 100, embed })
    expectTypeOf(chunks).toEqualTypeOf<Promise<Chunk[]>>()
    expect((await chunks).map(({ text }) => text)).toEqual([cats, tax])
    expect(asked).toEqual([['The cat sleeps.', 'The cat eats.', 'The tax is due.', 'The tax is paid.']])
    expect(await chunkSemantically('One.', { maxTokens: 9, embed })).toHaveLength(1)
    expect(asked.length).toBe(1)
    const none = chunkSemantically(cats, { boundary: 'sentence', maxTokens: 9, embed: () => [] })
    expect(await thrownBy(none)).toMatchObject({ path: 'embed' })
  })

  test('need numbers', () => {
    const wrong = () => texts(cats, { boundary: 'sentence', similarity: () => Number.NaN })
    expect(wrong).toThrow('chunkSemantically() option similarity must give a number, got NaN.')
  })
})

test('options that are wrong are refused', () => {
  expect(() => texts('x', { maxTokens: 0 })).toThrow(
    'chunkSemantically() option maxTokens must be an integer of at least 1, got 0.',
  )
  expect(() => texts('x', { overlapTokens: 10 })).toThrow(
    'option overlapTokens must be less than maxTokens (10), got 10.',
  )
  expect(() => chunkSemantically(1 as never, { maxTokens: 1 })).toThrow('text must be a string, got 1.')
  const both = { maxTokens: 1, similarity: () => 1, embed: () => [] }
  expect(() => chunkSemantically('x', both)).toThrow('option embed must be absent beside similarity')
})

describe('any text', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      '\r\n',
      '\n',
      '\r',
      '\n\n',
      ' ',
      '\t',
      '. ',
      '! ',
      '。',
      '# ',
      '\n## A\n',
      '\n```\n',
      '\u2028',
      '👍🏽',
      'é',
      '\ud83d',
      '\udc4d',
    ),
    fc.string({ unit: 'binary', maxLength: 10 }),
    fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 30 }),
  )
  const text = fc.array(piece, { maxLength: 60 }).map((pieces) => pieces.join(''))
  const counters = {
    estimate: estimateTokens,
    words: (counted: string) => counted.split(/\s+/).filter(Boolean).length,
    // More for the whole than for its parts, and not the more the longer it is.
    odd: (counted: string) => estimateTokens(counted) + (counted.length % 3),
  }
  const options = fc.record({
    maxTokens: fc.integer({ min: 3, max: 40 }),
    overlapTokens: fc.nat(2),
    boundary: fc.constantFrom('heading' as const, 'paragraph' as const, 'sentence' as const),
    counter: fc.constantFrom(...(Object.keys(counters) as (keyof typeof counters)[])),
    alike: fc.option(fc.func(fc.double({ min: 0, max: 1, noNaN: true })), { nil: undefined }),
  })

  test('comes back to the byte, no chunk is too long, and no pair is torn', () => {
    fc.assert(
      fc.property(text, options, (given, { counter, alike, ...rest }) => {
        const countTokens = counters[counter]
        const chunks = chunkSemantically(given, { ...rest, countTokens, ...(alike && { similarity: alike }) })
        expect(whole(chunks)).toBe(given)
        let end = 0
        for (const chunk of chunks) {
          expect(countTokens(chunk.text)).toBeLessThanOrEqual(rest.maxTokens)
          expect(countTokens(chunk.overlap)).toBeLessThanOrEqual(
            chunk.overlap === '' ? 99 : rest.overlapTokens,
          )
          expect(given.slice(chunk.start, chunk.start + chunk.text.length)).toBe(chunk.text)
          expect(chunk.text.length).toBeGreaterThan(chunk.overlap.length)
          for (const at of [chunk.start, end])
            expect(/^[\ud800-\udbff][\udc00-\udfff]$/.test(given.slice(at - 1, at + 1))).toBe(false)
          end = chunk.start + chunk.text.length
        }
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('ten million characters', () => {
  const counted = (text: string, options: Partial<ChunkOptions> = {}) => {
    let read = 0
    const countTokens = (part: string) => {
      read += part.length
      return Math.ceil(part.length / 4)
    }
    const chunks = chunkSemantically(text, { maxTokens: 500, overlapTokens: 50, countTokens, ...options })
    expect(whole(chunks) === text).toBe(true)
    return read / text.length
  }
  const size = 10_000_000
  const fill = (part: string) => part.repeat(Math.ceil(size / part.length))

  test.each([
    ['prose', fill(`${'A sentence of some words. '.repeat(9)}\n\n# Heading\n\n`)],
    ['one line of words', fill('word ')],
    ['one word', fill('x')],
    ['nothing but blanks', fill(' ')],
    ['nothing but full stops', fill('.')],
    ['nothing but line breaks', fill('\r\n')],
    ['short and long in turn', fill(`a\n\n${'b'.repeat(5_000)}\n\n`)],
  ])('take linear time: %s', (_, text) => {
    // Not measured by a clock: how often the text is counted does not grow with it.
    expect(counted(text)).toBeLessThan(40)
  })
})
