import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ConfigurationError } from '../src/errors.ts'
import {
  type Checks,
  checkMembers,
  checkOptions,
  didYouMean,
  either,
  filledText,
  flag,
  fn,
  hidden,
  integer,
  list,
  number,
  object,
  oneOf,
  optional,
  positiveMs,
  text,
} from '../src/options.ts'

const checks: Checks = {
  name: filledText(),
  note: optional(text()),
  maxIterations: optional(integer(1, 1000)),
  share: optional(number(0, 1)),
  timeoutMs: optional(positiveMs()),
  stream: optional(flag()),
  onLimit: optional(oneOf('throw', 'land')),
  hook: optional(fn()),
  retry: optional(object({ attempts: optional(integer(1)) })),
  tools: optional(list(object({ name: filledText() }))),
  instructions: optional(either(text(), fn())),
  apiKey: optional(hidden(text())),
}

const failure = (options: unknown): { path: string; message: string } => {
  try {
    checkOptions('Agent', options, checks)
  } catch (error) {
    if (error instanceof ConfigurationError) return { path: error.path, message: error.message }
    throw error
  }
  throw new Error('nothing was wrong')
}

describe('checkOptions', () => {
  test('accepts what fits, and takes undefined for absent where an option may be left out', () => {
    const options = {
      name: 'a',
      note: undefined,
      maxIterations: 1000,
      share: 0.5,
      timeoutMs: 0.5,
      stream: false,
      onLimit: 'land',
      hook: () => {},
      retry: { attempts: 2 },
      tools: [{ name: 'x' }],
      instructions: () => '',
      apiKey: '',
    }
    expect(() => checkOptions('Agent', options, checks)).not.toThrow()
  })

  test.each([
    [
      { maxIterations: 'many' },
      'maxIterations',
      'Agent option maxIterations must be an integer from 1 to 1000, got "many".',
    ],
    [
      { maxIterations: 0 },
      'maxIterations',
      'Agent option maxIterations must be an integer from 1 to 1000, got 0.',
    ],
    [
      { maxIterations: 1.5 },
      'maxIterations',
      'Agent option maxIterations must be an integer from 1 to 1000, got 1.5.',
    ],
    [
      { maxIterations: null },
      'maxIterations',
      'Agent option maxIterations must be an integer from 1 to 1000, got null.',
    ],
    [
      { maxIterations: Number.NaN },
      'maxIterations',
      'Agent option maxIterations must be an integer from 1 to 1000, got NaN.',
    ],
    [{ share: 2 }, 'share', 'Agent option share must be a number from 0 to 1, got 2.'],
    [
      { timeoutMs: 0 },
      'timeoutMs',
      'Agent option timeoutMs must be a number of milliseconds greater than 0, got 0.',
    ],
    [
      { timeoutMs: Number.POSITIVE_INFINITY },
      'timeoutMs',
      'Agent option timeoutMs must be a number of milliseconds greater than 0, got Infinity.',
    ],
    [{ stream: 'yes' }, 'stream', 'Agent option stream must be true or false, got "yes".'],
    [{ onLimit: 'stop' }, 'onLimit', 'Agent option onLimit must be one of "throw", "land", got "stop".'],
    [{ hook: {} }, 'hook', 'Agent option hook must be a function, got an object.'],
    [{ retry: 3 }, 'retry', 'Agent option retry must be an object, got 3.'],
    [
      { retry: { attempts: 0 } },
      'retry.attempts',
      'Agent option retry.attempts must be an integer of at least 1, got 0.',
    ],
    [
      { retry: { attempt: 1 } },
      'retry.attempt',
      'Agent has no option "retry.attempt". Did you mean "attempts"?',
    ],
    [{ tools: {} }, 'tools', 'Agent option tools must be an array, got an object.'],
    [
      { tools: [{ name: 'x' }, { name: '' }] },
      'tools[1].name',
      'Agent option tools[1].name must be a string that is not empty, got "".',
    ],
    [
      { instructions: 5 },
      'instructions',
      'Agent option instructions must be a string, or a function, got 5.',
    ],
    [{ name: undefined }, 'name', 'Agent option name must be a string that is not empty, got undefined.'],
    [
      { max_iteration: 5 },
      'max_iteration',
      'Agent has no option "max_iteration". Did you mean "maxIterations"?',
    ],
    [{ colour: 1 }, 'colour', `Agent has no option "colour". Known: ${Object.keys(checks).join(', ')}.`],
  ])('says of %j what is wrong and what it should be', (options, path, message) => {
    expect(failure({ name: 'a', ...options })).toEqual({ path, message })
  })

  test.each([[null], [undefined], ['x'], [[]], [5]])('refuses %j as options', (options) => {
    expect(failure(options).message).toMatch(/^Agent options must be an object, got /)
    expect(failure(options).path).toBe('options')
  })

  test('never shows a hidden value, nor keeps it', () => {
    const wrong = { name: 'a', apiKey: { key: 'sk-12345' } }
    expect(failure(wrong)).toEqual({ path: 'apiKey', message: 'Agent option apiKey must be a string.' })
    expect(() => checkOptions('Agent', wrong, checks)).toThrow(expect.objectContaining({ value: undefined }))
  })

  test('throws nothing but ConfigurationError, whatever it is given', () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true }), fc.anything(), (options, value) => {
        for (const given of [options, { name: value }, { name: 'a', retry: value, tools: [value] }]) {
          try {
            checkOptions('Agent', given, checks)
          } catch (error) {
            expect(error).toBeInstanceOf(ConfigurationError)
          }
        }
      }),
    )
  })
})

describe('checkMembers', () => {
  test('reads inherited members and lets others be', () => {
    class Named {
      readonly extra = 1
      get name() {
        return 'a'
      }
    }
    expect(() => checkMembers('Tool', new Named(), { name: filledText() })).not.toThrow()
    expect(() => checkMembers('Tool', new Named(), { extra: text() }, 'tools[0]')).toThrow(
      'Tool option tools[0].extra must be a string, got 1.',
    )
  })
})

describe('didYouMean', () => {
  test.each([
    ['wether', 'weather'],
    ['get-weather', 'get_weather'],
    ['getWeather', 'get_weather'],
    ['serach', 'search'],
    ['xyz', undefined],
    ['', undefined],
    ['s'.repeat(100_000), undefined],
  ])('of %s finds %s', (name, found) => {
    expect(didYouMean(name, ['weather', 'get_weather', 'search'])).toBe(found)
  })

  test('finds every candidate by itself', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.stringMatching(/^[a-z]{2,12}$/), { minLength: 1 }), (names) => {
        for (const name of names) expect(didYouMean(name, names)).toBe(name)
      }),
    )
  })
})
