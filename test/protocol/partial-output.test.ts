import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PartialOutput } from '../../src/protocol/partial-output.ts'

const values = (pieces: readonly string[]) => {
  const output = new PartialOutput()
  return pieces.map((piece) => output.push(piece))
}
const lastValue = (pieces: readonly string[]) => values(pieces).findLast((value) => value !== undefined)

describe('a structured answer', () => {
  it('shows what has arrived, unfinished parts included', () => {
    expect(values(['{"city": "Seattle', '", "temperatures": [1', '2, 14], "rain": tr', 'ue}'])).toEqual([
      { city: 'Seattle' },
      { city: 'Seattle', temperatures: [1] },
      { city: 'Seattle', temperatures: [12, 14], rain: true },
      { city: 'Seattle', temperatures: [12, 14], rain: true },
    ])
  })

  it('is shown again only when it has grown by 16 code units and a tenth, or is whole', () => {
    const shown = values([...'["', ...'x'.repeat(400), ...'"]'])
    const sizes = shown.flatMap((value, index) => (value === undefined ? [] : [index + 1]))
    const gaps = sizes.map((size, index) => size - (sizes[index - 1] ?? 0))
    expect(sizes.at(0)).toBe(16)
    expect(sizes.at(-1)).toBe(404)
    expect(gaps.slice(0, -1).every((gap, index) => gap >= 16 && gap * 10 >= (sizes[index - 1] ?? 0))).toBe(
      true,
    )
    expect(sizes.length).toBeLessThan(22)
    expect(shown.at(-1)).toEqual(['x'.repeat(400)])
  })

  it.each<[name: string, text: string, expected: unknown]>([
    ['space', ' \n\t{"a": 1}', { a: 1 }],
    ['a fence', '```json\n{"a": 1}\n```\nDone.', { a: 1 }],
    ['a fence on one line', '```JSON {"a": 1}```', { a: 1 }],
    ['a fence without a label', '\n```\n["a"]\n```', ['a']],
  ])('may stand in %s', (_name, text, expected) => {
    expect(lastValue([text])).toEqual(expected)
    expect(lastValue([...text])).toEqual(expected)
  })

  it.each<[name: string, text: string]>([
    ['prose', 'The weather in Seattle is fine.'],
    ['an object without quotes', '{city: "Seattle", rain: true}'],
    ['a Python constant', '{"city": None, "rain": true}'],
    ['no finite number', '[Infinity, -Infinity, NaN, 1]'],
    ['a stray bracket', '[1, 2, 3}, 4, 5, 6, 7, 8, 9, 10]'],
    ['too deep', '['.repeat(100_000)],
    ['space', ' '.repeat(100)],
    ['a fence', '```json'.repeat(10)],
  ])('that is %s shows nothing', (_name, text) => {
    expect(values([text]).every((value) => value === undefined)).toBe(true)
  })

  it('shows nothing more once it is broken', () => {
    expect(values(['{"city": "Seattle"', ', "rain": True', ', "wind": 12, "sun": 3}'])).toEqual([
      { city: 'Seattle' },
      undefined,
      undefined,
    ])
  })

  it('keeps __proto__ from becoming a prototype', () => {
    const [value] = values(['{"__proto__": {"admin": true}, "a": 1'])
    expect(value).toEqual({ a: 1 })
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
  })

  it('ends in its whole value however it is split', () => {
    const text = fc.jsonValue({ maxDepth: 3 }).filter((value) => typeof value === 'object' && value !== null)
    fc.assert(
      fc.property(text, fc.array(fc.nat(), { maxLength: 8 }), (value, cuts) => {
        const json = JSON.stringify(value)
        fc.pre(!json.includes('__proto__'))
        const places = [...new Set(cuts.map((cut) => cut % (json.length + 1)))].sort((a, b) => a - b)
        const pieces = [0, ...places].map((place, index) => json.slice(place, places[index] ?? json.length))
        expect(lastValue(pieces)).toEqual(JSON.parse(json))
      }),
      { numRuns: 1_000 },
    )
  })

  it('of a million code units is read in linear time', () => {
    const json = JSON.stringify(
      Array.from({ length: 20_000 }, (_, id) => ({ id, name: 'a "name" that is long enough' })),
    )
    const start = performance.now()
    expect(lastValue(json.split(''))).toEqual(JSON.parse(json))
    // A parse at every push would take days.
    expect(performance.now() - start).toBeLessThan(10_000)
  })
})
