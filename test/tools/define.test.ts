import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { z as z3 } from 'zod/v3'
import { ConfigurationError, InvalidToolSchemaError } from '../../src/errors.ts'
import type { JsonSchema } from '../../src/json.ts'
import { checkTool, tool } from '../../src/tools/define.ts'
import { Tool } from '../../src/tools/tool.ts'

const good = { name: 'greet', description: 'Greets', parameters: z.object({}), execute: () => 'hi' }

// What a caller without types may pass.
const define = tool as unknown as (options: unknown) => Tool

describe('tool()', () => {
  test('gives a frozen Tool with what it was given and nothing else', () => {
    const execute = () => 'hi'
    const made = tool({ ...good, execute, effect: 'read', tags: ['social'], retry: { attempts: 2 } })
    expect(made).toBeInstanceOf(Tool)
    expect({ ...made }).toEqual({
      name: 'greet',
      description: 'Greets',
      parameters: good.parameters,
      effect: 'read',
      tags: ['social'],
      retry: { attempts: 2 },
      execute,
    })
    for (const part of [made, made.tags, made.retry]) expect(Object.isFrozen(part)).toBe(true)
  })

  test('calls execute as a method of the tool', () => {
    const made = tool({
      ...good,
      execute() {
        return this.name
      },
    })
    expect(made.execute({}, undefined as never)).toBe('greet')
  })

  test.each([
    ['name', 'my tool'],
    ['name', ''],
    ['name', 'x'.repeat(65)],
    ['name', 5],
    ['name', 'x\n'],
    ['description', undefined],
    ['parameters', undefined],
    ['parameters', 'object'],
    ['parameters', []],
    ['parameters', new Map()],
    ['config', 5],
    ['effect', 'write'],
    ['timeoutMs', -1],
    ['serial', 1],
    ['exclusive', 'yes'],
    ['repeatable', null],
    ['retry', true],
    ['maxOutput', 0],
    ['tags', 'math'],
    ['formatOutput', 'json'],
    ['execute', undefined],
    ['execute', 'run'],
  ])('refuses %s: %j', (path, value) => {
    const wrong = { ...good, [path]: value }
    expect(() => define(wrong)).toThrow(expect.objectContaining({ code: 'configuration', path }))
    expect(() => checkTool(wrong, `tools[1]`)).toThrow(
      expect.objectContaining({ code: 'configuration', path: `tools[1].${path}` }),
    )
  })

  test.each([[null], [undefined], ['greet'], [() => 'hi'], [[]]])(
    'refuses %j instead of options',
    (options) => {
      expect(() => define(options)).toThrow(ConfigurationError)
      expect(() => checkTool(options)).toThrow(ConfigurationError)
    },
  )

  test('refuses an option it does not know, and names the one that was meant', () => {
    expect(() => define({ ...good, timeout: 5 })).toThrow(
      'tool() has no option "timeout". Did you mean "timeoutMs"?',
    )
  })

  test('refuses retry on a tool that must not run twice', () => {
    expect(() => define({ ...good, retry: {} })).toThrow(
      expect.objectContaining({
        path: 'retry',
        message: expect.stringContaining("effect: 'read' or 'idempotent'"),
      }),
    )
  })

  test.each<[string, unknown, string]>([
    ['no schema at all', { param: 'string' }, 'must describe an object'],
    ['no object', { type: 'string' }, 'must describe an object'],
    ['properties that are no object', { type: 'object', properties: ['a'] }, 'properties must be an object'],
    [
      'a property that is no schema',
      { type: 'object', properties: { a: 'string' } },
      'properties.a must be a schema object',
    ],
    [
      'an unknown type',
      { type: 'object', properties: { a: { type: 'str' } } },
      'properties.a.type must be one of',
    ],
    [
      'required that is no array',
      { type: 'object', properties: { a: {} }, required: 'a' },
      'required must be an array of property names',
    ],
    [
      'required that are no names',
      { type: 'object', properties: { a: {} }, required: [1] },
      'required must be an array of property names',
    ],
    [
      'a required name that is no property',
      { type: 'object', properties: {}, required: ['a'] },
      'required names "a"',
    ],
    [
      'an array without items',
      { type: 'object', properties: { a: { type: 'array' } } },
      'properties.a is an array',
    ],
    [
      'an enum without values',
      { type: 'object', properties: { a: { enum: [] } } },
      'properties.a.enum must be',
    ],
    [
      'a pattern that is none',
      { type: 'object', properties: { a: { pattern: '(' } } },
      'properties.a.pattern must be',
    ],
    [
      'a reference to nowhere',
      { type: 'object', properties: { a: { $ref: '#/$defs/x' } } },
      'properties.a.$ref must point',
    ],
    [
      'a fault in a branch',
      { type: 'object', properties: { a: { anyOf: [{ type: 'array' }] } } },
      'properties.a.anyOf[0] is an array',
    ],
    [
      'a function',
      { type: 'object', properties: { a: { type: String } } },
      'properties.a.type is no JSON value',
    ],
    [
      'a hostile name',
      JSON.parse('{"type":"object","properties":{"__proto__":{"type":"string"}}}'),
      'must not have the name __proto__',
    ],
  ])('refuses parameters with %s, at once', (_, parameters, says) => {
    expect(() => define({ ...good, parameters })).toThrow(InvalidToolSchemaError)
    expect(() => define({ ...good, parameters })).toThrow(says)
    expect(() => checkTool({ ...good, parameters })).toThrow(says)
  })

  test('refuses a schema that contains itself', () => {
    const parameters: Record<string, unknown> = { type: 'object' }
    parameters['properties'] = { self: parameters }
    expect(() => define({ ...good, parameters })).toThrow('properties.self contains itself; use $ref')
  })

  test.each([
    ['text', z.string()],
    [
      'a union',
      z.discriminatedUnion('k', [z.object({ k: z.literal('a') }), z.object({ k: z.literal('b') })]),
    ],
  ])('refuses %s as zod parameters, at once', (_, parameters) => {
    expect(() => define({ ...good, parameters })).toThrow(InvalidToolSchemaError)
  })

  test('accepts what is unusual and right', () => {
    const parameters: JsonSchema = {
      type: 'object',
      properties: {
        tree: { $ref: '#/$defs/node' },
        pair: { type: 'array', items: [{ type: 'string' }, { type: 'number' }] },
        any: true,
        maybe: { type: ['string', 'null'] },
      },
      patternProperties: { '^x-': {} },
      required: ['tree', 'x-more'],
      $defs: { node: { type: 'object', properties: { next: { $ref: '#/$defs/node' } } } },
    }
    expect(() => define({ ...good, parameters })).not.toThrow()
    const inherited: JsonSchema = {
      type: 'object',
      properties: {
        base: { type: 'object', properties: { id: { type: 'string' } } },
        more: {
          type: 'object',
          properties: { n: {} },
          allOf: [{ $ref: '#/properties/base' }],
          required: ['id'],
        },
      },
    }
    expect(() => define({ ...good, parameters: inherited })).not.toThrow()
    expect(() => define({ ...good, parameters: { type: 'object' } })).not.toThrow()
    expect(() => define({ ...good, parameters: z3.object({ a: z3.date() }) })).not.toThrow()
  })
})
