import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { wellFormed } from '../../src/json.ts'
import { cutText, outputJson, outputText } from '../../src/tools/output.ts'

const circular: Record<string, unknown> = { name: 'loop' }
circular['self'] = circular

class Account {
  owner = 'Ann'
  get balance(): number {
    throw new Error('locked')
  }
  toJSON(): unknown {
    throw new Error('no')
  }
}

class Handle {
  readonly #secret = 1
  use() {
    return this.#secret
  }
}

const revoked = () => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

describe('outputText', () => {
  test.each([
    ['text', 'text'],
    ['', '(no output)'],
    [' \n', '(no output)'],
    [undefined, '(no output)'],
    [null, '(no output)'],
    [0, '0'],
    [false, 'false'],
    [10n, '10'],
    [Number.NaN, 'NaN'],
    [{ a: 1 }, '{"a":1}'],
    [[], '[]'],
    [{ a: undefined, b: null }, '{"b":null}'],
    [[undefined, 1n], '[null,"1"]'],
    [{ ok: false, error: 'mine' }, '{"ok":false,"error":"mine"}'],
    [circular, '{"name":"loop","self":"[circular]"}'],
    [new Date(0), '1970-01-01T00:00:00.000Z'],
    [new Date(Number.NaN), 'Invalid Date'],
    [new Map([['a', 1]]), '{"a":1}'],
    [new Map([[1, 'a']]), '[[1,"a"]]'],
    [new Set([1, 2]), '[1,2]'],
    [new TypeError('bad'), '{"name":"TypeError","message":"bad"}'],
    [/x+/g, '/x+/g'],
    [new URL('https://example.com/a'), 'https://example.com/a'],
    [Buffer.from('hello'), '[Buffer of 5 bytes]'],
    [new Float64Array(2), '[Float64Array of 16 bytes]'],
    [new ArrayBuffer(3), '[ArrayBuffer of 3 bytes]'],
    [() => 1, '[function]'],
    [{ run: () => 1 }, '{"run":"[function]"}'],
    [Symbol('x'), '[Symbol(x)]'],
    [Object('boxed'), 'boxed'],
    [new Account(), '{"owner":"Ann"}'],
    [new Handle(), '[Handle]'],
    [Promise.resolve(1), '[Promise]'],
    [
      {
        get a() {
          throw new Error('x')
        },
        b: 1,
      },
      '{"a":"[unreadable]","b":1}',
    ],
    ['half \uD83D pair', 'half \uFFFD pair'],
    [{ '\uDE00': '\uD83D' }, '{"\uFFFD":"\uFFFD"}'],
    ['\u{1F600}', '\u{1F600}'],
  ])('of case %# is what a model can read', (value, text) => {
    expect(outputText(value)).toBe(text)
  })

  test('survives a value that cannot be touched', () => {
    expect(outputText(revoked())).toBe('[unreadable]')
    expect(outputText({ inner: revoked() })).toBe('{"inner":"[unreadable]"}')
  })

  test('shows the same object twice where it stands twice', () => {
    const shared = { a: 1 }
    expect(outputText([shared, shared])).toBe('[{"a":1},{"a":1}]')
  })

  test('is bounded in depth and size', () => {
    let deep: unknown = 1
    for (let level = 0; level < 100_000; level += 1) deep = [deep]
    expect(outputText(deep)).toBe(`${'['.repeat(64)}"[…]"${']'.repeat(64)}`)
    expect(outputText(new Array(1e9)).length).toBeLessThan(1e6)
    expect(outputText(Array.from({ length: 300 }, () => new Array(1000).fill(1))).length).toBeLessThan(1e6)
  })
})

describe('outputJson', () => {
  test('is JSON whatever it was made of, and JSON stays as it was', () => {
    fc.assert(
      fc.property(
        fc.anything({
          withBigInt: true,
          withDate: true,
          withMap: true,
          withSet: true,
          withTypedArray: true,
          withNullPrototype: true,
          withBoxedValues: true,
          withSparseArray: true,
        }),
        (value) => {
          const json = outputJson(value)
          expect(JSON.parse(JSON.stringify(json))).toEqual(json)
        },
      ),
    )
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'grapheme' }), (value) => {
        const json = JSON.parse(JSON.stringify(value))
        expect(outputJson(json)).toEqual(json)
      }),
    )
  })

  test('has no -0, which JSON does not have', () => {
    expect(outputJson([-0])).toEqual([0])
  })

  test('keeps a key __proto__ a key', () => {
    const json = outputJson(JSON.parse('{"__proto__":{"polluted":true}}'))
    expect(JSON.stringify(json)).toBe('{"__proto__":{"polluted":true}}')
    expect(Object.getPrototypeOf(json)).toBe(Object.prototype)
  })
})

describe('cutText', () => {
  test('counts code points and never cuts one', () => {
    expect(cutText('é'.repeat(60_000), 50_000)).toEqual({
      text: `${'é'.repeat(50_000)}\n… (truncated: 60000 code points, the first 50000 are shown)`,
      isCut: true,
    })
    expect(cutText('\u{1F600}'.repeat(3), 2).text).toBe(
      '\u{1F600}\u{1F600}\n… (truncated: 3 code points, the first 2 are shown)',
    )
    expect(cutText('\u{1F600}'.repeat(3), 3)).toEqual({ text: '\u{1F600}'.repeat(3), isCut: false })
  })

  test('leaves no lone surrogate in any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.nat(20), (text, max) => {
        const { text: cut } = cutText(wellFormed(text), max)
        expect(cut).toBe(wellFormed(cut))
      }),
    )
  })
})
