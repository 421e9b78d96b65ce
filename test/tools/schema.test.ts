import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { z as z3 } from 'zod/v3'
import { ConfigurationError } from '../../src/errors.ts'
import type { JsonSchema } from '../../src/json.ts'
import { CompiledSchema, jsonSchemaOf, validate, visibleKeys } from '../../src/tools/schema.ts'
import type { StandardSchema } from '../../src/tools/tool.ts'

afterEach(() => {
  vi.doUnmock('zod-to-json-schema')
  vi.resetModules()
})

const search = {
  type: 'object',
  properties: {
    query: { type: 'string' },
    limit: { type: 'integer', default: 10 },
  },
  required: ['query'],
} satisfies JsonSchema

const standard = (check: StandardSchema['~standard']['validate'], extra = {}): StandardSchema =>
  ({ '~standard': { version: 1, vendor: 'test', validate: check, ...extra } }) as StandardSchema

describe('jsonSchemaOf', () => {
  test('gives plain JSON Schema as it is, frozen, without $schema', () => {
    const schema = jsonSchemaOf({ $schema: 'http://json-schema.org/draft-07/schema#', ...search })
    expect(schema).toEqual(search)
    expect(Object.isFrozen((schema as typeof search).properties.query)).toBe(true)
    expect(Object.isFrozen(search.properties)).toBe(false)
  })

  test('gives the same for zod 4, zod 3 and JSON Schema', async () => {
    const four = z.object({ query: z.string(), mode: z.enum(['a', 'b']).default('a') })
    const three = z3.object({ query: z3.string(), mode: z3.enum(['a', 'b']).default('a') })
    const wire = {
      type: 'object',
      properties: { query: { type: 'string' }, mode: { type: 'string', enum: ['a', 'b'], default: 'a' } },
      required: ['query'],
    }
    expect(jsonSchemaOf(four)).toEqual(wire)
    expect(await jsonSchemaOf(three)).toEqual({ ...wire, additionalProperties: false })
  })

  test('shows a model what it has to send: the input of transforms, anything for dates', () => {
    const schema = z.object({
      at: z.date(),
      size: z.string().transform(Number),
      n: z.coerce.number().optional(),
    })
    expect(jsonSchemaOf(schema)).toMatchObject({
      properties: { at: {}, size: { type: 'string' } },
    })
  })

  test('converts a zod 4 that has no converter of its own', async () => {
    const schema = z.object({ query: z.string() })
    const older = {
      _zod: schema._zod,
      def: schema.def,
      '~standard': { version: 1 as const, vendor: 'zod', validate: schema['~standard'].validate },
    }
    expect(await jsonSchemaOf(older as StandardSchema)).toEqual(jsonSchemaOf(schema))
  })

  test('asks any library that can for its JSON Schema', () => {
    const asked: unknown[] = []
    const input = (options: unknown) => {
      asked.push(options)
      return search
    }
    expect(jsonSchemaOf(standard((value) => ({ value }), { jsonSchema: { input } }))).toEqual(search)
    expect(asked).toEqual([{ target: 'draft-07' }])
  })

  test('says what to do with a library that cannot', () => {
    expect(() => jsonSchemaOf(standard((value) => ({ value })))).toThrow(ConfigurationError)
    expect(() => jsonSchemaOf(standard((value) => ({ value })))).toThrow('plain JSON Schema instead')
  })

  test('names the package that a zod 3 schema needs when it is missing', async () => {
    vi.doMock('zod-to-json-schema', () => {
      throw new Error('Cannot find package')
    })
    vi.resetModules()
    const fresh = await import('../../src/tools/schema.ts')
    await expect(fresh.jsonSchemaOf(z3.object({}))).rejects.toMatchObject({
      code: 'missing_package',
      packageName: 'zod-to-json-schema',
    })
  })
})

describe('CompiledSchema', () => {
  test('converts once', async () => {
    let conversions = 0
    const input = () => {
      conversions += 1
      return search
    }
    const compiled = new CompiledSchema(standard((value) => ({ value }), { jsonSchema: { input } }))
    expect(compiled.jsonSchema()).toBe(compiled.jsonSchema())
    expect(compiled.keys()).toBe(compiled.keys())
    expect(conversions).toBe(1)
  })

  test('knows at once what it once had to wait for', async () => {
    const compiled = new CompiledSchema(z3.object({ a: z3.string() }))
    const first = compiled.jsonSchema()
    expect(first).toBeInstanceOf(Promise)
    const known = await first
    expect(compiled.jsonSchema()).toBe(known)
  })
})

describe('visibleKeys', () => {
  test('are the names at the top, those of every branch included', () => {
    expect(visibleKeys(search)).toEqual(['query', 'limit'])
    expect(visibleKeys({ type: 'object' })).toEqual([])
    expect(
      visibleKeys({
        type: 'object',
        properties: { a: {} },
        allOf: [{ properties: { b: {} } }],
        anyOf: [{ $ref: '#/$defs/c' }, { $ref: '#' }],
        $defs: { c: { properties: { c: {} } } },
      }),
    ).toEqual(['a', 'b', 'c'])
  })
})

describe('validate, with JSON Schema', () => {
  test('fills in defaults, nested ones too, each time anew', async () => {
    const schema: JsonSchema = {
      type: 'object',
      properties: {
        limit: { type: 'integer', default: 10 },
        tags: { type: 'array', items: { type: 'string' }, default: [] },
        filter: { type: 'object', properties: { open: { type: 'boolean', default: true } } },
        rows: {
          type: 'array',
          items: { type: 'object', properties: { n: { type: 'integer', default: 1 } } },
        },
        maybe: { anyOf: [{ type: 'object', properties: { x: { default: 2 } } }, { type: 'null' }] },
      },
    }
    const given = { filter: {}, rows: [{}, { n: 5 }], maybe: {} }
    const first = await validate(schema, given)
    expect(first).toEqual({
      ok: true,
      value: { filter: { open: true }, rows: [{ n: 1 }, { n: 5 }], maybe: { x: 2 }, limit: 10, tags: [] },
    })
    expect(given).toEqual({ filter: {}, rows: [{}, { n: 5 }], maybe: {} })
    const tags = (result: unknown) => (result as { value: { tags: unknown[] } }).value.tags
    tags(first).push('x')
    expect(tags(await validate(schema, {}))).toEqual([])
  })

  test('gives the tool the same as zod would', async () => {
    const zod = z.object({ query: z.string(), limit: z.int().default(10) })
    for (const value of [{ query: 'x' }, { query: 'x', limit: 3, more: 1 }]) {
      expect(await validate(search, value)).toEqual(await validate(zod, value))
    }
  })

  test('drops what a closed schema does not list, at every depth, and keeps what an open one allows', async () => {
    const schema: JsonSchema = {
      type: 'object',
      properties: {
        closed: { type: 'object', properties: { a: {} }, additionalProperties: false },
        open: { type: 'object', properties: { a: {} }, additionalProperties: true },
        free: { type: 'object' },
        tagged: {
          oneOf: [
            { type: 'object', properties: { kind: { const: 'a' }, a: { default: 1 } } },
            { type: 'object', properties: { kind: { const: 'b' }, b: { default: 2 } } },
          ],
        },
      },
    }
    const extra = { a: 1, z: 1 }
    expect(
      await validate(schema, { closed: extra, open: extra, free: extra, tagged: { kind: 'b', z: 1 }, z: 1 }),
    ).toEqual({
      ok: true,
      value: { closed: { a: 1 }, open: extra, free: extra, tagged: { kind: 'b', b: 2 } },
    })
  })

  test.each<[string, JsonSchema, unknown, string[]]>([
    ['a missing field', search, {}, ['query: required']],
    ['a wrong type', search, { query: 5 }, ['query: must be a string']],
    ['two faults', search, { limit: 'x' }, ['query: required', 'limit: must be an integer']],
    ['no object', search, 'x', ['parameters: must be an object']],
    [
      'an enum',
      { type: 'object', properties: { unit: { enum: ['c', 'f'] } } },
      { unit: 'k' },
      ['unit: must be one of "c", "f"'],
    ],
    ['a constant', { type: 'object', properties: { v: { const: 2 } } }, { v: 3 }, ['v: must be 2']],
    [
      'a range',
      { type: 'object', properties: { n: { minimum: 1, maximum: 5 } } },
      { n: 9 },
      ['n: must be at most 5'],
    ],
    [
      'a pattern',
      { type: 'object', properties: { id: { pattern: '^[a-z]+$' } } },
      { id: '1' },
      ['id: must match the pattern ^[a-z]+$'],
    ],
    [
      'a format',
      { type: 'object', properties: { at: { format: 'date' } } },
      { at: 'x' },
      ['at: must be a valid date'],
    ],
    [
      'a place deep inside',
      {
        type: 'object',
        properties: { rows: { type: 'array', items: { $ref: '#/$defs/row' } } },
        $defs: { row: search },
      },
      { rows: [{ query: 'x' }, {}, { query: 'x', limit: 'y' }] },
      ['rows[1].query: required', 'rows[2].limit: must be an integer'],
    ],
    [
      'a union',
      { type: 'object', properties: { unit: { anyOf: [{ enum: ['c', 'f'] }, { type: 'null' }] } } },
      { unit: 'k' },
      ['unit: must be one of "c", "f", or be null'],
    ],
    [
      'a union of objects',
      {
        type: 'object',
        properties: { to: { oneOf: [search, { type: 'object', properties: { id: {} }, required: ['id'] }] } },
      },
      { to: {} },
      ['to: must fit (to.query: required), or fit (to.id: required)'],
    ],
    [
      'names that need escapes',
      { type: 'object', properties: { 'a/b~"ü': { type: 'object', properties: { '%': { enum: [1] } } } } },
      { 'a/b~"ü': { '%': 2 } },
      ['a/b~"ü.%: must be one of 1'],
    ],
  ])('says of %s which field, and what it should be', async (_, schema, value, issues) => {
    expect(await validate(schema, value)).toEqual({ ok: false, issues })
  })

  test('names ten issues at most, however many there are', async () => {
    const schema: JsonSchema = {
      type: 'object',
      properties: { rows: { type: 'array', items: { type: 'string' } } },
    }
    const result = await validate(schema, { rows: Array.from({ length: 1000 }, () => 1) })
    expect(result).toMatchObject({ ok: false, issues: { length: 11, 10: 'and 990 more' } })
  })

  test('validates against the schema that is shown, also when its source was changed since', async () => {
    const source = { type: 'object', properties: { a: { type: 'string' } } }
    const compiled = new CompiledSchema(source)
    compiled.jsonSchema()
    source.properties.a.type = 'number'
    expect(await compiled.validate({ a: 'x' })).toEqual({ ok: true, value: { a: 'x' } })
  })

  test('is linear in the number of faults, those of unions too', async () => {
    const item = { anyOf: [{ type: 'string' }, { type: 'null' }] }
    const schema: JsonSchema = { type: 'object', properties: { rows: { type: 'array', items: item } } }
    const took = async (count: number) => {
      const rows = new Array(count).fill(1)
      const start = performance.now()
      expect(await validate(schema, { rows })).toMatchObject({ issues: { 10: `and ${count - 10} more` } })
      return performance.now() - start
    }
    await took(2000)
    const [small, large] = [await took(4000), await took(16_000)]
    expect(large / small).toBeLessThan(10)
  })

  test('reads unions that lead back to themselves once', async () => {
    const self = { $ref: '#/$defs/a' }
    const all = { properties: { q: { default: 1 } }, allOf: [self, self, self, self] }
    const schema: JsonSchema = {
      type: 'object',
      anyOf: [self, self, self, self],
      allOf: [{ $ref: '#/$defs/all' }],
      $defs: { a: { anyOf: [self, self, self, self], properties: { b: {} } }, all, self: all },
    }
    expect(visibleKeys(schema)).toEqual(['q', 'b'])
    const loop = JSON.parse(JSON.stringify(schema).replaceAll('#/$defs/a"', '#/$defs/all"'))
    // The validator itself gives up on such a schema; what matters is that it does so at once.
    expect(await validate(loop, {})).toMatchObject({ ok: false })
  })

  test('neither throws nor hangs on any JSON, and never gives hostile keys', async () => {
    const schema: JsonSchema = {
      type: 'object',
      properties: { a: { type: 'string' }, node: { $ref: '#' }, any: {} },
      additionalProperties: true,
    }
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), fc.jsonValue(), async (value, any) => {
        for (const given of [
          value,
          { any, node: { any: value } },
          JSON.parse('{"any":{"__proto__":{"x":1}}}'),
        ]) {
          const result = await validate(schema, given)
          if (result.ok)
            expect(JSON.stringify(result.value)).not.toMatch(/"(__proto__|constructor|prototype)":/)
        }
      }),
    )
    let deep: unknown = {}
    for (let level = 0; level < 100_000; level += 1) deep = { node: deep }
    expect(await validate(schema, deep)).toEqual({ ok: false, issues: ['parameters: nested too deeply'] })
  })
})

describe('validate, with any library', () => {
  test('says which field is missing, and what the library said', async () => {
    const schema = z.object({
      city: z.string(),
      unit: z.enum(['c', 'f']),
      rows: z.array(z.object({ n: z.number() })),
    })
    expect(await validate(schema, { unit: 'k', rows: [{ n: 'x' }] })).toEqual({
      ok: false,
      issues: [
        'city: required (Invalid input: expected string, received undefined)',
        'unit: Invalid option: expected one of "c"|"f"',
        'rows[0].n: Invalid input: expected number, received string',
      ],
    })
  })

  test('gives what the value becomes, also when the library takes its time', async () => {
    expect(await validate(z.object({ n: z.string().transform(Number) }), { n: '5' })).toEqual({
      ok: true,
      value: { n: 5 },
    })
    expect(
      await validate(
        standard(async (value) => ({ value })),
        1,
      ),
    ).toEqual({ ok: true, value: 1 })
  })

  test('takes a validator that fails for an issue', async () => {
    const failed = { ok: false, issues: ['parameters: the validator failed: boom'] }
    const boom = () => {
      throw new Error('boom')
    }
    expect(await validate(standard(boom), 1)).toEqual(failed)
    expect(
      await validate(
        standard(async () => boom()),
        1,
      ),
    ).toEqual(failed)
    expect(
      await validate(
        standard(() => undefined as never),
        1,
      ),
    ).toMatchObject({ ok: false })
    expect(
      await validate(
        standard(() => ({ issues: [] })),
        1,
      ),
    ).toEqual({ ok: false, issues: ['parameters: not accepted'] })
  })
})
