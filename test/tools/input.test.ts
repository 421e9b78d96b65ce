import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { z as z3 } from 'zod/v3'
import type { JsonObject } from '../../src/json.ts'
import { secret } from '../../src/secret.ts'
import { tool } from '../../src/tools/define.ts'
import { executeToolCall } from '../../src/tools/execute.ts'
import { ToolRegistry } from '../../src/tools/registry.ts'
import { type Schema, Tool } from '../../src/tools/tool.ts'
import { ToolSet, type ToolSetOptions } from '../../src/tools/toolset.ts'
import { call, scope } from './scope.ts'

interface Heard {
  input?: unknown
  readonly diagnostics: readonly [string, string][]
  readonly ok: boolean
  readonly message: string | undefined
}

/** Runs one call of a tool with these parameters and config, and says what the tool received. */
async function receive(
  parameters: Schema,
  sent: JsonObject,
  set: Partial<ToolSetOptions> = {},
  config?: Schema,
  make: (execute: (input: unknown) => unknown) => Tool = (execute) => ({
    name: 'work',
    description: '',
    parameters,
    execute,
    ...(config && { config }),
  }),
): Promise<Heard> {
  const received: { input?: unknown } = {}
  const one = make((input) => {
    received.input = input
  })
  const registry = new ToolRegistry()
  registry.registerToolset(new ToolSet({ name: 's', description: '', tools: [one], ...set }))
  const within = scope()
  const { result } = await executeToolCall(call('work', sent), registry, within)
  return { ...received, diagnostics: within.heard.diagnostics, ok: result.ok, message: result.error?.message }
}

const openObject: Schema = {
  type: 'object',
  properties: { city: { type: 'string' } },
  additionalProperties: true,
}

const kinds: [string, Schema][] = [
  ['zod', z.object({ city: z.string(), timeout: z.number().default(5) })],
  ['zod 3', z3.object({ city: z3.string(), timeout: z3.number().default(5) })],
  [
    'JSON Schema',
    {
      type: 'object',
      properties: { city: { type: 'string' }, timeout: { type: 'number', default: 5 } },
      required: ['city'],
    },
  ],
]

describe.each(kinds)('what a tool receives, by %s', (_, parameters) => {
  test('is what the model sent, and the hidden config', async () => {
    const heard = await receive(parameters, { city: 'Oslo' }, { config: { apiKey: secret('0123456789') } })
    expect(heard).toEqual({
      input: { city: 'Oslo', timeout: 5, apiKey: '0123456789' },
      diagnostics: [],
      ok: true,
      message: undefined,
    })
  })

  test('has a config key as the model wants it only where the parameters show it', async () => {
    const config = { timeout: 30, api_key: 'real' }
    const shown = await receive(parameters, { city: 'Oslo', timeout: 60, api_key: 'EVIL' }, { config })
    expect(shown).toEqual({
      input: { city: 'Oslo', timeout: 60, api_key: 'real' },
      diagnostics: [
        [
          'hidden_parameter_rejected',
          'The model sent "api_key" to tool "work"; dropped, because hidden config is not for the model to set.',
        ],
      ],
      ok: true,
      message: undefined,
    })
    expect((await receive(parameters, { city: 'Oslo' }, { config })).input).toEqual({
      city: 'Oslo',
      timeout: 30,
      api_key: 'real',
    })
  })

  test('has no key that the parameters do not have', async () => {
    const sent = JSON.parse('{"city":"Oslo","user":1,"__proto__":{"admin":true},"constructor":1}')
    expect(await receive(parameters, sent)).toEqual({
      input: { city: 'Oslo', timeout: 5 },
      diagnostics: [
        [
          'unknown_parameter_dropped',
          'The model sent "__proto__", "constructor", "user" to tool "work"; dropped, because its parameters do not have that.',
        ],
      ],
      ok: true,
      message: undefined,
    })
  })
})

describe('what a tool receives', () => {
  test('is the same for a literal, a class and tool()', async () => {
    const parameters = z.object({ city: z.string() })
    class Weather extends Tool<unknown> {
      readonly name = 'work'
      readonly description = ''
      readonly parameters = parameters
      readonly #execute: (input: unknown) => unknown
      constructor(execute: (input: unknown) => unknown) {
        super()
        this.#execute = execute
      }
      execute(input: unknown) {
        return this.#execute(input)
      }
    }
    const sent = { city: 'Oslo', key: 'EVIL', more: 1 }
    const set = { config: { key: 'real' } }
    const literal = await receive(parameters, sent, set)
    expect(literal.input).toEqual({ city: 'Oslo', key: 'real' })
    expect(await receive(parameters, sent, set, undefined, (execute) => new Weather(execute))).toEqual(
      literal,
    )
    const made = (execute: (input: unknown) => unknown) =>
      tool({ name: 'work', description: '', parameters, execute: (input) => execute(input) })
    expect(await receive(parameters, sent, set, undefined, made)).toEqual(literal)
  })

  test('has other names where the parameters are open, but never those of the config', async () => {
    const heard = await receive(
      openObject,
      { city: 'Oslo', more: 1, key: 'EVIL' },
      { config: { key: 'real' } },
    )
    expect(heard.input).toEqual({ city: 'Oslo', more: 1, key: 'real' })
  })

  test('has no name from the model that a config schema declares and the config leaves out', async () => {
    const sent = { city: 'Oslo', userId: 'EVIL', tenant: 'EVIL' }
    const heard = await receive(
      openObject,
      sent,
      { config: {}, configSchema: z.object({ tenant: z.string().optional() }) },
      z.object({ userId: z.string().optional() }),
    )
    expect(heard.input).toEqual({ city: 'Oslo' })
    expect(heard.diagnostics).toEqual([
      [
        'hidden_parameter_rejected',
        'The model sent "userId", "tenant" to tool "work"; dropped, because hidden config is not for the model to set.',
      ],
    ])
  })

  test('is what a transform made of it; the config is then beside it', async () => {
    const parameters = z.object({ at: z.string().transform((text) => new Date(text)) })
    const heard = await receive(parameters, { at: '1970-01-01' }, { config: { key: 'real' } })
    expect(heard.input).toEqual({ at: new Date(0), key: 'real' })
    const forging = z.object({ city: z.string() }).transform(({ city }) => ({ city, key: city }))
    expect((await receive(forging, { city: 'EVIL' }, { config: { key: 'real' } })).input).toEqual({
      city: 'EVIL',
      key: 'real',
    })
    const whole = z.object({ city: z.string() }).transform(({ city }) => city.length)
    expect((await receive(whole, { city: 'Oslo' }, { config: { key: 'real' } })).input).toBe(4)
  })

  test('is nothing when parameters are nested past all reason', async () => {
    let deep: JsonObject = {}
    for (let level = 0; level < 100_000; level += 1) deep = { deep }
    const heard = await receive(openObject, deep)
    expect(heard).toMatchObject({ ok: false, message: expect.stringContaining('nested too deeply') })
    expect('input' in heard).toBe(false)
  })

  test('names no more of what was dropped than a line holds', async () => {
    const sent = Object.fromEntries(
      Array.from({ length: 500 }, (_, index) => [`${'x'.repeat(1000)}${index}`, 1]),
    )
    const { diagnostics } = await receive({ type: 'object', properties: {} }, sent)
    expect(diagnostics).toEqual([['unknown_parameter_dropped', expect.stringContaining('and 490 more')]])
    expect(diagnostics[0]?.[1].length).toBeLessThan(1000)
  })
})

describe('whatever a model sends', () => {
  const hiddenNames = ['apiKey', 'userId', '__proto__', 'toString']
  const names = fc.constantFrom(
    'city',
    'timeout',
    ...hiddenNames,
    'constructor',
    'prototype',
    'hasOwnProperty',
    'x',
  )
  const evil = fc.oneof(fc.constant('EVIL'), fc.constant({ EVIL: 'EVIL' }), fc.jsonValue())
  const parameters = fc
    .array(fc.tuple(names, evil), { maxLength: 8 })
    // As JSON.parse makes it: `__proto__` is then an own key.
    .map((entries) =>
      JSON.parse(`{${entries.map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join(',')}}`),
    )
  const schemas: Schema[] = [
    z.object({ city: z.any().optional(), timeout: z.any().optional() }),
    z.looseObject({ city: z.any().optional() }),
    { type: 'object', properties: { city: {}, timeout: {} } },
    { type: 'object', properties: { city: {} }, additionalProperties: true },
    { type: 'object' },
    { type: 'object', anyOf: [{ properties: { city: {} } }, { properties: { timeout: {} } }] },
  ]
  const config = {
    ...JSON.parse('{"__proto__":"mine"}'),
    apiKey: 'mine',
    userId: 'mine',
    toString: 'mine',
    timeout: 30,
  }

  test('no hidden key is ever the model’s, none is undeclared, and no prototype changes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...schemas), parameters, async (schema, sent) => {
        const { input, ok } = await receive(schema, sent, { config })
        expect(Object.getOwnPropertyNames({})).toEqual([])
        expect(({} as Record<string, unknown>)['EVIL']).toBe(undefined)
        expect(ok).toBe(true)
        const received = input as Record<string, unknown>
        expect(Object.getPrototypeOf(received)).toBe(Object.prototype)
        for (const name of hiddenNames)
          expect(Object.getOwnPropertyDescriptor(received, name)?.value).toBe('mine')
        if ([1, 3, 4].includes(schemas.indexOf(schema))) return
        const known = ['city', 'timeout', ...hiddenNames]
        for (const name of Object.keys(received)) expect(known).toContain(name)
      }),
      { numRuns: 300 },
    )
  })
})
