import { format, inspect } from 'node:util'
import { runInNewContext } from 'node:vm'
import { describe, expect, it, vi } from 'vitest'
import { ConfigurationError } from '../src/errors.ts'
import { collectSecrets, isSecret, openConfig, reveal, secret, secretLabel } from '../src/secret.ts'

const canary = 'S3CR3T-canary-0123456789'

const revealSecrets = (config: unknown) => openConfig(config).config

describe('secret()', () => {
  it('shows its name or nothing, wherever it is turned into text', () => {
    const named = secret(canary, 'api key')
    expect([String(named), `${named}`, JSON.stringify(named), inspect(named), format('%s', named)]).toEqual([
      '[secret:api_key]',
      '[secret:api_key]',
      '"[secret:api_key]"',
      '[secret:api_key]',
      '[secret:api_key]',
    ])
    expect([String(secret(canary)), JSON.stringify({ key: secret(canary) })]).toEqual([
      '[secret]',
      '{"key":"[secret]"}',
    ])
  })

  it('never tells its value to inspection, JSON, clones, spreads or walks over keys', () => {
    for (const value of [canary, () => canary]) {
      const hidden = secret(value, 'key')
      const holder = { nested: { hidden }, list: [hidden], map: new Map([['k', hidden]]) }
      const seen = [hidden, holder].flatMap((shown) => [
        inspect(shown, { depth: 9, showHidden: true, getters: true }),
        inspect(shown, { depth: 9, showHidden: true, getters: true, customInspect: false }),
        JSON.stringify(shown),
        String(shown),
        format('%s %o %O %j', shown, shown, shown, shown),
        inspect(structuredClone(shown), { depth: 9, showHidden: true }),
        inspect({ ...shown }, { depth: 9, showHidden: true, customInspect: false }),
        inspect(Object.getOwnPropertyDescriptors(shown), { depth: 9, showHidden: true }),
      ])
      expect(seen.filter((text) => text.includes(canary))).toEqual([])
      expect(Reflect.ownKeys(hidden)).toEqual([])
    }
  })

  it('reveals its value to reveal() alone', () => {
    expect(Object.isFrozen(secret(canary))).toBe(true)
    expect([reveal(secret(canary)), reveal(secret(undefined)), reveal(secret(''))]).toEqual([
      canary,
      undefined,
      '',
    ])
  })

  it('calls a function at every use, so that a rotated value is used at once', () => {
    let version = 0
    const rotating = secret(() => `token-${++version}`)
    expect([reveal(rotating), reveal(rotating)]).toEqual(['token-1', 'token-2'])
  })

  it('refuses at construction what it could not hide, without repeating it', () => {
    const wrong: [value: unknown, name?: unknown][] = [
      ['abc'],
      [' ab '],
      ['🎉🎉🎉'],
      [4711],
      [null],
      [{ canary }],
      ['x'.repeat(16_385)],
      [canary, ''],
      [canary, 7],
    ]
    for (const [value, name] of wrong) {
      const make = () => secret(value as string, name as string) // what JavaScript callers can do
      expect(make).toThrow(ConfigurationError)
      const error = caught(make)
      expect(inspect(error, { showHidden: true })).not.toContain(
        typeof value === 'string' ? `"${value}"` : canary,
      )
      expect((error as ConfigurationError).value).toBe(undefined)
    }
    expect(reveal(secret('🎉🎉🎉🎉'))).toBe('🎉🎉🎉🎉')
  })

  it('refuses at use what its function must not return', () => {
    expect(() => reveal(secret(() => 'abc'))).toThrow('fewer than 4 characters')
    expect(() => reveal(secret((() => Promise.resolve(canary)) as unknown as () => string, 'key'))).toThrow(
      'secret key must be a string, undefined, or a function that returns one; got object.',
    )
  })
})

describe('isSecret()', () => {
  it('knows a secret from anything that is none', () => {
    const anything = new Proxy({}, { get: () => () => 'mock' })
    const others = [
      undefined,
      null,
      canary,
      {},
      [],
      () => canary,
      { name: 'key', toJSON: () => '[secret]' },
      anything,
    ]
    expect([secret(canary), ...others].map(isSecret)).toEqual([true, ...others.map(() => false)])
  })

  it('knows and reveals a secret of another copy of the package', async () => {
    vi.resetModules()
    const copy = await import('../src/secret.ts')
    expect(copy.secret).not.toBe(secret)
    const foreign = copy.secret(canary, 'key')
    expect([
      isSecret(foreign),
      reveal(foreign),
      collectSecrets({ foreign }),
      revealSecrets({ foreign }),
    ]).toEqual([true, canary, [{ name: 'key', value: canary }], { foreign: canary }])
  })
})

describe('secretLabel()', () => {
  it('is plain enough to stand in JSON and URLs whatever the name is', () => {
    expect([undefined, '', 'db.password', 'a"b\\c\nd]', 'Schlüssel'].map(secretLabel)).toEqual([
      '[secret]',
      '[secret]',
      '[secret:db.password]',
      '[secret:a_b_c_d_]',
      '[secret:Schlüssel]',
    ])
  })
})

describe('collectSecrets()', () => {
  it('finds every secret and every string of 8 or more characters, named by itself or by its path', () => {
    const config = {
      apiKey: secret(canary, 'WEATHER_KEY'),
      pin: secret('1234'),
      region: 'eu-west',
      db: { password: 'hunter2hunter2', port: 5432, hosts: ['db1.internal', 'db2'] },
      map: new Map<unknown, unknown>([
        ['token', 'map-token-1'],
        [{}, secret('map-token-2')],
      ]),
      set: new Set(['set-token']),
      emoji: '🎉'.repeat(7),
      missing: secret(undefined),
      empty: secret(''),
    }
    expect(collectSecrets(config)).toEqual([
      { name: 'WEATHER_KEY', value: canary },
      { name: 'pin', value: '1234' },
      { name: 'db.password', value: 'hunter2hunter2' },
      { name: 'db.hosts.0', value: 'db1.internal' },
      { name: 'map.token', value: 'map-token-1' },
      { name: 'map.1', value: 'map-token-2' },
      { name: 'set.0', value: 'set-token' },
    ])
  })

  it('takes a config that is itself a secret, a string or nothing', () => {
    expect([secret(canary), canary, undefined, null, 7].map(collectSecrets)).toEqual([
      [{ name: '', value: canary }],
      [{ name: '', value: canary }],
      [],
      [],
      [],
    ])
  })

  it('passes over cycles, endless structures and whatever throws', () => {
    const fail = () => {
      throw new Error('out of reach')
    }
    const cycle: { self?: object } = {}
    cycle.self = cycle
    const endless = (): object => Object.defineProperty({}, 'next', { enumerable: true, get: endless })
    const config = {
      cycle,
      endless: endless(),
      broken: Object.defineProperty({ before: 'before it' }, 'getter', { enumerable: true, get: fail }),
      hostile: new Proxy({}, { ownKeys: fail, getPrototypeOf: fail, get: fail }),
      sealed: secret(fail),
      last: 'after it',
    }
    expect(collectSecrets(config)).toEqual([
      { name: 'broken.before', value: 'before it' },
      { name: 'last', value: 'after it' },
    ])
  })

  it('reads shared parts once and walks 64 levels deep, as far as it reveals', () => {
    const nested = (levels: number): unknown => (levels === 0 ? secret(canary) : [nested(levels - 1)])
    const found = [{ name: Array(64).fill(0).join('.'), value: canary }]
    expect([collectSecrets(nested(64)), collectSecrets(nested(65))]).toEqual([found, []])
    const text = (levels: number) => JSON.stringify(revealSecrets(nested(levels)))
    expect([text(64).includes(canary), text(65).includes(canary)]).toEqual([true, false])

    let shared: unknown = canary
    for (let level = 0; level < 50; level += 1) shared = [shared, shared]
    expect(collectSecrets(shared)).toHaveLength(2)
  })

  it('leaves class instances and documents alone', () => {
    class Client {
      password = canary
    }
    expect(collectSecrets({ client: new Client(), date: new Date(), document: 'x'.repeat(16_385) })).toEqual(
      [],
    )
  })

  it('sees plain objects of another realm', () => {
    const config: unknown = runInNewContext(
      `({ list: [{ key: '${canary}' }], map: new Map([['key', '${canary}']]) })`,
    )
    expect(collectSecrets(config)).toEqual([
      { name: 'list.0.key', value: canary },
      { name: 'map.key', value: canary },
    ])
  })
})

describe('an opened config', () => {
  it('gives a copy of the same shape with values in the place of secrets, and passes everything else on', () => {
    const untouched = {
      date: new Date(0),
      bytes: new Uint8Array(2),
      map: new Map(),
      run: () => 1,
      client: new URL('http://x'),
    }
    const config = {
      key: secret(canary),
      none: secret(undefined),
      deep: { list: [secret('abcd'), 'plain', null] },
      ...untouched,
    }
    const revealed = revealSecrets(config)
    expect(revealed).toEqual({
      key: canary,
      none: undefined,
      deep: { list: ['abcd', 'plain', null] },
      ...untouched,
    })
    expect(Object.keys(revealed as object)).toEqual(Object.keys(config))
    for (const [key, value] of Object.entries(untouched))
      expect(Reflect.get(revealed as object, key)).toBe(value)
    expect(isSecret(config.key)).toBe(true)
    expect([secret(canary), 'text', 7, undefined].map(revealSecrets)).toEqual([canary, 'text', 7, undefined])
  })

  it('keeps cycles, null prototypes, symbol keys and a key named __proto__', () => {
    const tag = Symbol('tag')
    const config = Object.assign(Object.create(null), { [tag]: secret(canary) })
    config.self = config
    const revealed = revealSecrets(config) as typeof config
    expect([revealed.self === revealed, Object.getPrototypeOf(revealed), revealed[tag]]).toEqual([
      true,
      null,
      canary,
    ])

    const hostile = JSON.parse('{"__proto__":{"polluted":"yes it is"}}')
    const copy = revealSecrets(hostile) as object
    expect([Object.keys(copy), Reflect.get(copy, 'polluted'), Reflect.get({}, 'polluted')]).toEqual([
      ['__proto__'],
      undefined,
      undefined,
    ])
  })

  it('tells what getters and function secrets threw, and has the rest', () => {
    const sealed = new Error('vault is sealed')
    const fail = () => {
      throw sealed
    }
    const config = Object.defineProperty({ locked: secret(fail), key: secret(canary) }, 'getter', {
      enumerable: true,
      get: fail,
    })
    expect(openConfig(config)).toEqual({
      config: { key: canary },
      secrets: [{ name: 'key', value: canary }],
      sealedKeys: ['locked', 'key'],
      failures: [sealed, sealed],
    })
  })

  it('tells which keys hold a secret, at any depth', () => {
    const config = { 'a.b': [{ key: secret(canary) }], map: new Map([[1, secret(undefined)]]), plain: canary }
    expect(openConfig(config).sealedKeys).toEqual(['a.b', 'map'])
  })

  it('reads an object of any class, and class instances in it not', () => {
    class Settings {
      key = secret(canary)
      inner: object | undefined = undefined
    }
    const inner = new Settings()
    const opened = openConfig(Object.assign(new Settings(), { inner })).config
    expect(opened).toEqual({ key: canary, inner })
    expect(Reflect.get(opened as object, 'inner')).toBe(inner)
  })
})

describe('openConfig()', () => {
  it('hands out and scrubs the same value, even of a secret that is new at every call', () => {
    let version = 0
    const minted = secret(() => `token-${++version}`, 'minted')
    const config = Object.defineProperty({ minted, again: [minted] }, 'getter', {
      enumerable: true,
      get: () => `from getter ${++version}`,
    })
    expect(openConfig(config)).toEqual({
      config: { minted: 'token-1', again: ['token-1'], getter: 'from getter 2' },
      secrets: [
        { name: 'minted', value: 'token-1' },
        { name: 'minted', value: 'token-1' },
        { name: 'getter', value: 'from getter 2' },
      ],
      sealedKeys: ['minted', 'again'],
      failures: [],
    })
  })
})

function caught(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  return undefined
}
