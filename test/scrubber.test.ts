import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Scrubber } from '../src/scrubber.ts'
import { secret } from '../src/secret.ts'

const canary = 'S3/CR3T+"ü🎉" <&~>\\n(x)!\n key'
const scrubber = new Scrubber([{ name: 'key', value: canary }])

const base64 = (text: string) => Buffer.from(text).toString('base64')
const upperHexEscapes = (text: string) =>
  text.replace(/\\u[0-9a-f]{4}/g, (found) => `\\u${found.slice(2).toUpperCase()}`)
const asciiJson = (text: string) =>
  JSON.stringify(text)
    .slice(1, -1)
    .replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
const jsonOf = (text: string) => JSON.stringify(text).slice(1, -1)
const lowerPercents = (text: string) => text.replace(/%../g, (found) => found.toLowerCase())
const form = (text: string) => new URLSearchParams({ q: text }).toString().slice(2)
const strict = (text: string) =>
  encodeURIComponent(text).replace(
    /[!'()*]/g,
    (found) => `%${found.charCodeAt(0).toString(16).toUpperCase()}`,
  )

/** Encoders that leave nothing of the secret beside the label. */
const exactEncodings: Record<string, (text: string) => string> = {
  plain: (text) => text,
  'JSON once': jsonOf,
  'JSON twice': (text) => jsonOf(jsonOf(text)),
  'JSON with escaped slashes': (text) => jsonOf(text).replaceAll('/', '\\/'),
  'JSON with escaped brackets': (text) =>
    jsonOf(text).replaceAll('<', '\\u003c').replaceAll('>', '\\u003e').replaceAll('&', '\\u0026'),
  'ASCII JSON': asciiJson,
  'ASCII JSON in upper case': (text) => upperHexEscapes(asciiJson(text)),
  'ASCII JSON twice': (text) => jsonOf(asciiJson(text)),
  encodeURIComponent,
  'encodeURIComponent in lower case': (text) => lowerPercents(encodeURIComponent(text)),
  'encodeURIComponent twice': (text) => encodeURIComponent(encodeURIComponent(text)),
  encodeURI,
  'RFC 3986': strict,
  'URL with slashes': (text) => strict(text).replaceAll('%2F', '/'),
  form,
  'form in lower case': (text) => lowerPercents(form(text)),
  hex: (text) => Buffer.from(text).toString('hex'),
  HEX: (text) => Buffer.from(text).toString('hex').toUpperCase(),
}

const base64Encodings: Record<string, (text: string) => string> = {
  base64,
  base64url: (text) => Buffer.from(text).toString('base64url'),
  'base64 without padding': (text) => base64(text).replaceAll('=', ''),
  'base64 in a URL': (text) => encodeURIComponent(base64(text)),
  'base64 in a URL in lower case': (text) => lowerPercents(encodeURIComponent(base64(text))),
  'base64 in JSON with escaped slashes': (text) => base64(text).replaceAll('/', '\\/'),
}

describe('Scrubber.text', () => {
  for (const [encoding, encode] of Object.entries(exactEncodings)) {
    it(`replaces a secret in ${encoding}`, () => {
      const text = `x=${encode(canary)}; ${encode(canary)}${encode(canary)}.`
      expect(scrubber.text(text)).toBe('x=[secret:key]; [secret:key][secret:key].')
    })

    it(`replaces a secret in ${encoding} of a longer text`, () => {
      for (const before of ['', 'a', 'ab', 'abc', '€uro ']) {
        const result = scrubber.text(encode(`${before}${canary}${before}`))
        expect(result).toBe(`${encode(before)}[secret:key]${encode(before)}`)
      }
    })
  }

  for (const [encoding, encode] of Object.entries(base64Encodings)) {
    it(`replaces a secret in ${encoding} at every alignment`, () => {
      const size = Buffer.from(canary).length
      for (let before = 0; before < 7; before += 1) {
        for (let after = 0; after < 7; after += 1) {
          const encoded = encode(`${'p'.repeat(before)}${canary}${'s'.repeat(after)}`)
          const padding = /(=|%3D)*$/i.exec(encoded)?.[0].length ?? 0
          // Only characters that also hold bits of a neighbour are left.
          const head = Math.ceil((before * 8) / 6)
          const tail =
            Math.ceil(((before + size + after) * 8) / 6) - Math.floor(((before + size) * 8) / 6) + padding
          const expected = `<${encoded.slice(0, head)}[secret:key]${after === 0 ? '' : encoded.slice(-tail)}>`
          expect(scrubber.text(`<${encoded}>`)).toBe(expected)
        }
      }
    })
  }

  it('replaces a secret at the end of basic authentication', () => {
    const scrubber = new Scrubber([{ name: 'password', value: 'correct-horse' }])
    for (const user of ['u', 'us', 'use', 'user']) {
      const result = scrubber.text(`Authorization: Basic ${base64(`${user}:correct-horse`)}`)
      expect(result).toMatch(/^Authorization: Basic [\w+/]{2,7}\[secret:password\]$/)
    }
  })

  it('does not take the blanks around a secret for a part of it', () => {
    const scrubber = new Scrubber([{ name: 'pem', value: '\nBEGIN 1234 END\r\n' }])
    expect(scrubber.text('<BEGIN 1234 END>\n')).toBe('<[secret:pem]>\n')
  })

  it('takes the longest of secrets that begin alike', () => {
    const scrubber = new Scrubber(entries({ a: 'token', b: 'token-long', c: 'token-longer-still' }))
    expect(scrubber.text('token token-lon token-long token-longer token-longer-still')).toBe(
      '[secret:a] [secret:a]-lon [secret:b] [secret:b]er [secret:c]',
    )
  })

  it('takes the outer of secrets that contain each other, and the inner where it stands alone', () => {
    const scrubber = new Scrubber(entries({ url: 'xx-inner-yy', word: 'inner' }))
    expect(scrubber.text('xx-inner-yy xx-inner-y inner')).toBe(
      '[secret:url] xx-[secret:word]-y [secret:word]',
    )
  })

  it('leaves no part of secrets that overlap', () => {
    const scrubber = new Scrubber(entries({ a: 'abcdef', b: 'defghi', c: 'aaaa' }))
    expect(
      ['abcdefghi', 'abcdefabcdef', 'aaaaa', 'aaaaaaaa', 'abcdefgh'].map((text) => scrubber.text(text)),
    ).toEqual([
      '[secret:a][secret:b]',
      '[secret:a][secret:a]',
      '[secret:c][secret:c]',
      '[secret:c][secret:c]',
      '[secret:a]gh',
    ])
  })

  it('leaves text without secrets alone, also near misses', () => {
    for (const text of [
      '',
      'hello',
      canary.slice(0, -1),
      canary.slice(1),
      base64(canary.slice(0, 9)),
      '[secret',
      '[secret:k',
    ]) {
      expect(scrubber.text(text)).toBe(text)
    }
  })

  it('scrubs twice as it scrubs once, even a secret that is a part of its label', () => {
    const scrubber = new Scrubber(entries({ 'db.password': 'password', word: 'secret', token: 'sec:' }))
    const once = scrubber.text('password, secret')
    expect([once, scrubber.text(once)]).toEqual(['[secret], [secret]', '[secret], [secret]'])
  })

  it('ignores what is too short to be removed, and does without entries', () => {
    const empty = new Scrubber(entries({ a: '', b: 'abc', c: '  ab  ' }))
    expect([empty.isEmpty, empty.text('abc'), Scrubber.none.isEmpty, Scrubber.none.text(canary)]).toEqual([
      true,
      'abc',
      true,
      canary,
    ])
    expect(scrubber.isEmpty).toBe(false)
  })

  it('takes names that are keys of every object', () => {
    const scrubber = new Scrubber(entries({ ['__proto__']: 'value-one', constructor: 'value-two' }))
    expect(scrubber.text('value-one value-two __proto__')).toBe(
      '[secret:__proto__] [secret:constructor] __proto__',
    )
  })
})

describe('Scrubber.stream', () => {
  const allEncodings = { ...exactEncodings, ...base64Encodings }

  for (const [encoding, encode] of Object.entries(allEncodings)) {
    it(`gives the same in two pieces, cut anywhere, for a secret in ${encoding}`, () => {
      const text = `ü ${encode(`a${canary}b`)} ${encode(canary)} 🎉`
      const whole = scrubber.text(text)
      for (let cut = 0; cut <= text.length; cut += 1) {
        expect(inPieces(scrubber, [text.slice(0, cut), text.slice(cut)])).toBe(whole)
      }
    })
  }

  const letter = fc.constantFrom('a', 'b', 'é', '[', ']')
  const secretsAndPieces = fc
    .array(fc.string({ unit: letter, minLength: 4, maxLength: 8 }), { minLength: 1, maxLength: 4 })
    .chain((values) =>
      fc.record({
        values: fc.constant(values),
        pieces: fc.array(fc.oneof(fc.constantFrom(...values), fc.string({ unit: letter, maxLength: 6 })), {
          maxLength: 12,
        }),
      }),
    )
  const numbered = (values: readonly string[]) =>
    new Scrubber(values.map((value, index) => ({ name: `n${index}`, value })))

  it('gives the same however the text is cut', () => {
    fc.assert(
      fc.property(secretsAndPieces, ({ values, pieces }) => {
        const scrubber = numbered(values)
        const text = pieces.join('')
        const whole = scrubber.text(text)
        expect([inPieces(scrubber, pieces), inPieces(scrubber, text.split(''))]).toEqual([whole, whole])
      }),
      { numRuns: 1000 },
    )
  })

  it('removes every occurrence of every secret and nothing else', () => {
    fc.assert(
      fc.property(secretsAndPieces, ({ values, pieces }) => {
        const text = pieces.join('')
        const hidden = new Set<number>()
        for (const value of values) {
          for (let at = text.indexOf(value); at !== -1; at = text.indexOf(value, at + 1)) {
            for (let offset = 0; offset < value.length; offset += 1) hidden.add(at + offset)
          }
        }
        const left = text.split('').filter((_, index) => !hidden.has(index))
        expect(inPieces(numbered(values), pieces).replace(/\[secret:n\d\]/g, '')).toBe(left.join(''))
      }),
      { numRuns: 1000 },
    )
  })

  it('scrubs twice as it scrubs once, whatever the secrets are, if they have no brackets', () => {
    fc.assert(
      fc.property(secretsAndPieces, ({ values, pieces }) => {
        const scrubber = numbered(values.map((value) => value.replace(/[[\]]/g, 'n0')))
        const once = scrubber.text(pieces.join('').replace(/[[\]]/g, 'n0'))
        expect(scrubber.text(once)).toBe(once)
      }),
      { numRuns: 1000 },
    )
  })

  it('holds back only what could still become a secret', () => {
    const stream = new Scrubber(entries({ key: 'sk-12345' })).stream()
    expect(
      ['hello', ' s', 'k-1', '2x', ' sk-', '12345', '!', 's'].map((piece) => stream.push(piece)),
    ).toEqual(['hello', ' ', '', 'sk-12x', ' ', '', '[secret:key]!', ''])
    expect([
      stream.end(),
      stream.end(),
      stream.push('k-12345'),
      stream.push('sk-12345'),
      stream.end(),
    ]).toEqual(['s', '', 'k-12345', '', '[secret:key]'])
  })

  it('keeps streams of one scrubber apart', () => {
    const scrubber = new Scrubber(entries({ key: 'sk-12345' }))
    const [one, two] = [scrubber.stream(), scrubber.stream()]
    expect([one.push('sk-12'), two.push('345'), one.push('345'), one.end(), two.end()]).toEqual([
      '',
      '345',
      '',
      '[secret:key]',
      '',
    ])
  })

  it('finds a secret whose surrogate pairs arrive in halves', () => {
    const scrubber = new Scrubber(entries({ key: '🎉🎊🎉🎊' }))
    expect(inPieces(scrubber, 'x🎉🎉🎊🎉🎊🎊'.split(''))).toBe('x🎉[secret:key]🎊')
  })

  it('passes everything through if there is nothing to hide', () => {
    const stream = Scrubber.none.stream()
    expect([stream.push(canary), stream.end()]).toEqual([canary, ''])
  })
})

describe('Scrubber.value', () => {
  it('gives the very same value if there is nothing to replace', () => {
    const clean = {
      text: 'clean',
      list: [1, null, Number.NaN, { deep: true }],
      date: new Date(),
      key: secret(canary),
    }
    expect(scrubber.value(clean)).toBe(clean)
    const leaking = { text: canary }
    expect(Scrubber.none.value(leaking)).toBe(leaking)
  })

  it('replaces strings and keys in a deep copy and leaves the original as it was', () => {
    const date = new Date(0)
    const leaking = {
      a: [`<${canary}>`, { [canary]: 1 }],
      b: { c: hexOf(canary) },
      date,
      n: 7,
      none: undefined,
      nil: null,
    }
    const before = structuredClone(leaking)
    expect(scrubber.value(leaking)).toEqual({
      a: ['<[secret:key]>', { '[secret:key]': 1 }],
      b: { c: '[secret:key]' },
      date,
      n: 7,
      none: undefined,
      nil: null,
    })
    expect(leaking).toEqual(before)
    expect(scrubber.value(canary)).toBe('[secret:key]')
  })

  it('replaces a number that is a secret, but none that merely holds one', () => {
    const scrubber = new Scrubber(entries({ account: '4711471147', pin: '1234' }))
    expect(scrubber.value({ account: 4711471147, big: 4711471147n, time: 14711471147, count: 1234 })).toEqual(
      {
        account: '[secret:account]',
        big: '[secret:account]',
        time: 14711471147,
        count: 1234,
      },
    )
  })

  it('keeps cycles and shared parts', () => {
    const shared = { text: canary }
    const cycle: { self?: object; shared: object; again: object } = { shared, again: shared }
    cycle.self = cycle
    const result = scrubber.value(cycle)
    expect(result.shared).toEqual({ text: '[secret:key]' })
    expect([result.self === result, result.again === result.shared, result === cycle]).toEqual([
      true,
      true,
      false,
    ])
    const clean: unknown[] = []
    clean.push(clean)
    expect(scrubber.value(clean)).toBe(clean)
  })

  it('leaves prototypes untouched by keys named after them', () => {
    const hostile = JSON.parse(
      `{"__proto__":{"polluted":${JSON.stringify(canary)}},"constructor":{"prototype":{"polluted":1}}}`,
    )
    const result = scrubber.value(hostile)
    expect(JSON.stringify(result)).toBe(
      '{"__proto__":{"polluted":"[secret:key]"},"constructor":{"prototype":{"polluted":1}}}',
    )
    expect([Reflect.get({}, 'polluted'), Object.getPrototypeOf(result)]).toEqual([
      undefined,
      Object.prototype,
    ])
  })

  it('walks data nested 100 000 deep', () => {
    const nested = JSON.parse(`${'['.repeat(100_000)}${JSON.stringify(canary)}${']'.repeat(100_000)}`)
    let inner = scrubber.value(nested)
    while (Array.isArray(inner)) inner = inner[0]
    expect(inner).toBe('[secret:key]')
  })
})

describe('a key of several lines', () => {
  const lines = [
    '-----BEGIN PRIVATE KEY-----',
    'MIIEvQIBADANBgkqhkiG9w0',
    'BAQEFAASCBKcwggSjAgEAA+/',
    '-----END-----',
  ]
  const forms = { unix: lines.join('\n'), windows: lines.join('\r\n'), variable: lines.join('\\n') }

  it.each(Object.entries(forms))('as in %s is found with any line ends', (_, value) => {
    const scrubber = new Scrubber([{ name: 'pem', value }])
    for (const text of [...Object.values(forms), JSON.stringify(forms.windows), encodeURIComponent(value)]) {
      expect(scrubber.text(`<${text}>`)).toMatch(/^<"?\[secret:pem\]"?>$/)
    }
  })

  it('is hidden line by line where it is indented or quoted', () => {
    const body = ['MIIEvQIBADANBgkqhkiG9w0BAQEFAASC', 'BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj']
    const value = `-----BEGIN PRIVATE KEY-----\n${body.join('\n')}\n-----END PRIVATE KEY-----\n`
    const scrubber = new Scrubber([{ name: 'pem', value }])
    for (const text of [inspect({ value }), value.replaceAll('\n', '\n  '), body[1] ?? '']) {
      const scrubbed = scrubber.text(text)
      expect(body.filter((line) => scrubbed.includes(line))).toEqual([])
      expect(scrubbed).toContain('[secret:pem]')
    }
  })
})

describe('a password of special characters', () => {
  const value = `a&b"<c>'d?e=f+g/h%i\\j.*[k]$^{l}#m`
  const scrubber = new Scrubber([{ name: 'password', value }])
  const html = value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

  it.each([
    ['JSON in JSON', JSON.stringify(JSON.stringify({ value }))],
    ['inspected', inspect({ value })],
    ['a form', String(new URLSearchParams({ value }))],
    ['a parameter', `https://example.com/?q=${encodeURIComponent(value)}`],
    ['the user of an address', new URL(`https://u:${encodeURIComponent(value)}@example.com`).href],
    ['the query of an address', new URL(`https://example.com/?q=${value.replace('#', '%23')}`).href],
    ['XML', `<p>${html}</p>`],
    ['an HTML attribute', `<p a="${html.replaceAll('"', '&quot;').replaceAll("'", '&#39;')}">`],
    ['base64', btoa(`user:${value}`)],
  ])('is found in %s', (_, text) => {
    expect(scrubber.text(text)).toContain('[secret:password]')
  })
})

describe('the cost of scrubbing', () => {
  it('grows linearly with the text, whether whole, in tokens or full of secrets', () => {
    const scrubber = new Scrubber(entries({ a: 'aaaaaaaaaaaaaaaaab', b: 'aaaaa', c: canary }))
    const texts: ((length: number) => string)[] = [
      (length) => 'The quick brown fox. '.repeat(length / 21),
      (length) => 'a'.repeat(length),
      (length) => `${canary.slice(0, -1)} `.repeat(length / canary.length),
    ]
    for (const text of texts) {
      for (const scrub of [wholeAtOnce, inTokens]) {
        scrub(scrubber, text(500_000))
        let small = Number.POSITIVE_INFINITY
        let large = Number.POSITIVE_INFINITY
        // In turns, so that a moment in which the machine is slow does not meet one size only.
        for (let round = 0; round < 7; round += 1) {
          small = Math.min(
            small,
            costOf(() => scrub(scrubber, text(1_000_000))),
          )
          large = Math.min(
            large,
            costOf(() => scrub(scrubber, text(2_000_000))),
          )
        }
        expect(large / small).toBeLessThan(3)
      }
    }
  }, 60_000)
})

function entries(values: Record<string, string>) {
  return Object.entries(values).map(([name, value]) => ({ name, value }))
}

function inPieces(scrubber: Scrubber, pieces: readonly string[]): string {
  const stream = scrubber.stream()
  return pieces.map((piece) => stream.push(piece)).join('') + stream.end()
}

function wholeAtOnce(scrubber: Scrubber, text: string): number {
  return scrubber.text(text).length
}

function inTokens(scrubber: Scrubber, text: string): number {
  const stream = scrubber.stream()
  let length = 0
  for (let at = 0; at < text.length; at += 4) length += stream.push(text.slice(at, at + 4)).length
  return length + stream.end().length
}

/** Processor time in milliseconds: time on the clock tells more about what else the machine does. */
function costOf(action: () => void): number {
  const before = process.cpuUsage()
  action()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

function hexOf(text: string): string {
  return Buffer.from(text).toString('hex')
}
