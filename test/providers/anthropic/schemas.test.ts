import { describe, expect, test } from 'vitest'
import { inputSchema, outputSchema } from '../../../src/providers/anthropic-messages/schemas.ts'

const a = { type: 'object', properties: { a: { type: 'string' } }, required: ['a'] }
const b = { type: 'object', properties: { b: { type: 'number' } } }

describe('the schema of a tool', () => {
  test('that is an object stays as it is', () => {
    expect(inputSchema(a)).toBe(a)
    expect(inputSchema({})).toEqual({ type: 'object' })
  })

  test('with alternatives at the top shows all of their properties, and says what they are', () => {
    expect(inputSchema({ description: 'Either.', anyOf: [a, b] })).toEqual({
      type: 'object',
      description: `Either.\nIt has one of these shapes: ${JSON.stringify([a, b])}`,
      properties: { a: { type: 'string' }, b: { type: 'number' } },
    })
  })

  test('made of parts has all of them', () => {
    expect(inputSchema({ allOf: [a, b] })).toEqual({
      type: 'object',
      properties: { a: { type: 'string' }, b: { type: 'number' } },
      required: ['a'],
    })
  })
})

describe('the schema of an answer', () => {
  test('is closed everywhere, and what cannot be enforced is said', () => {
    const schema = {
      $schema: 'http://json-schema.org/draft-07/schema#',
      type: 'object',
      title: 'Answer',
      properties: {
        day: { type: 'string', format: 'date' },
        name: { type: 'string', format: 'idn-email', minLength: 1, description: 'Who.' },
        list: { type: 'array', items: b, minItems: 1, maxItems: 3 },
        choice: { oneOf: [b, { type: 'null' }] },
        kind: { enum: ['x', 'y'] },
        one: { const: 1 },
        other: { $ref: '#/$defs/other' },
        maybe: { type: ['object', 'null'], properties: {}, additionalProperties: true },
      },
      required: ['day'],
      $defs: { other: a },
    }
    const closed = { ...b, additionalProperties: false }
    expect(outputSchema(schema)).toEqual({
      type: 'object',
      title: 'Answer',
      properties: {
        day: { type: 'string', format: 'date' },
        name: { type: 'string', description: 'Who. (format: "idn-email", minLength: 1)' },
        list: { type: 'array', items: closed, minItems: 1, description: '(maxItems: 3)' },
        choice: { anyOf: [closed, { type: 'null' }] },
        kind: { enum: ['x', 'y'] },
        one: { const: 1 },
        other: { $ref: '#/$defs/other' },
        maybe: { type: ['object', 'null'], properties: {}, additionalProperties: false },
      },
      required: ['day'],
      additionalProperties: false,
      $defs: { other: { ...a, additionalProperties: false } },
    })
  })

  const tree = { type: 'object', properties: { left: { $ref: '#/$defs/tree' } } }
  const within = (schema: object) => ({ type: 'object', properties: { x: schema } })
  let deep: object = { type: 'string' }
  for (let level = 0; level < 20_000; level += 1) deep = within(deep)

  test.each([
    ['an object of any names', within({ type: 'object', additionalProperties: { type: 'number' } })],
    ['an object of anything', within({ type: 'object' })],
    ['names by a pattern', { ...a, patternProperties: { '^x': { type: 'string' } } }],
    ['anything', within({})],
    ['a boolean schema', within({ type: 'array', items: true } as object)],
    ['a list of different items', within({ type: 'array', items: [{ type: 'string' }] })],
    ['a schema within itself', { ...tree, $defs: { tree } }],
    ['a schema within itself, by its root', within({ $ref: '#' })],
    ['a schema from elsewhere', within({ $ref: 'https://example.test/a.json' })],
    ['a schema deeper than the stack', deep],
  ])('%s cannot be enforced', (_, schema) => {
    // Written as JSON, all of them.
    expect(outputSchema(schema as Parameters<typeof outputSchema>[0])).toBe(undefined)
  })
})
