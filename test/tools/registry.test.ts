import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { z as z3 } from 'zod/v3'
import { secret } from '../../src/secret.ts'
import { tool } from '../../src/tools/define.ts'
import { ToolRegistry } from '../../src/tools/registry.ts'
import { Tool } from '../../src/tools/tool.ts'
import { ToolSet } from '../../src/tools/toolset.ts'

const named = (name: string, more: { tags?: string[]; description?: string } = {}) =>
  tool({ name, description: '', parameters: z.object({ input: z.string() }), execute: () => name, ...more })

const registryOf = (...tools: Tool[]) => {
  const registry = new ToolRegistry()
  for (const one of tools) registry.register(one)
  return registry
}

const setOf = (name: string, tools: Tool[], config: Record<string, unknown> = {}) =>
  new ToolSet({ name, description: `${name} tools`, tools, config })

describe('a ToolRegistry', () => {
  test('keeps tools in the order of their registration', () => {
    const [b, a] = [named('b'), named('a')]
    const registry = registryOf(b, a)
    expect(registry.names()).toEqual(['b', 'a'])
    expect(registry.list()).toEqual([b, a])
    expect([...registry]).toEqual([b, a])
    expect(registry.size).toBe(2)
    expect([registry.has('a'), registry.get('a'), registry.has('c'), registry.get('c')]).toEqual([
      true,
      a,
      false,
      undefined,
    ])
  })

  test('finds tools by set, tag and text', () => {
    const add = named('add', { tags: ['math'], description: 'Adds numbers' })
    const mail = named('mail', { description: 'Sends Mail' })
    const registry = registryOf(add)
    registry.registerToolset(setOf('office', [mail]))
    expect(registry.find({ tag: 'math' })).toEqual([add])
    expect(registry.find({ toolset: 'office' })).toEqual([mail])
    expect(registry.find({ query: 'SENDS' })).toEqual([mail])
    expect(registry.find({ query: 'math' })).toEqual([add])
    expect(registry.find({ query: 'a', toolset: 'office', tag: 'math' })).toEqual([])
    expect(registry.find()).toEqual([add, mail])
  })

  test('refuses a name twice, and changes nothing then', () => {
    const registry = registryOf(named('a'))
    expect(() => registry.register(named('a'))).toThrow(
      expect.objectContaining({ code: 'duplicate_tool', toolName: 'a' }),
    )
    expect(() => registry.registerToolset(setOf('s', [named('b'), named('a')]))).toThrow(
      expect.objectContaining({ code: 'duplicate_tool' }),
    )
    expect([registry.names(), registry.listToolsets()]).toEqual([['a'], []])
  })

  test('replaces a tool in its place when told to', () => {
    const [first, second] = [named('a'), named('a')]
    const registry = registryOf(first, named('b'))
    registry.register(second, { replace: true })
    expect([registry.names(), registry.get('a')]).toEqual([['a', 'b'], second])
  })

  test.each([[null], [{}], ['x'], [{ name: 'x', description: '', parameters: { a: 1 }, execute: () => 1 }]])(
    'refuses %j as a tool',
    (wrong) => {
      const registry = new ToolRegistry()
      expect(() => registry.register(wrong as never)).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/configuration|invalid_tool_schema/) }),
      )
      expect(() => registry.registerToolset(wrong as never)).toThrow(
        expect.objectContaining({ code: 'configuration' }),
      )
      expect(registry.size).toBe(0)
    },
  )

  test('reserves the name of the plan', () => {
    expect(() => registryOf(named('plan'))).toThrow('reserved')
    expect(() => new ToolRegistry().registerToolset(setOf('s', [named('plan')]))).toThrow('reserved')
  })

  test('takes names that mean something to JavaScript for names', () => {
    const registry = registryOf(named('constructor'), named('__proto__'))
    expect(registry.names()).toEqual(['constructor', '__proto__'])
    expect(registry.has('toString')).toBe(false)
  })

  test('refuses a tool that needs a config when it comes alone', () => {
    const needy = tool({
      name: 'needy',
      description: '',
      parameters: z.object({}),
      config: z.object({ apiKey: z.string() }),
      execute: () => 1,
    })
    expect(() => registryOf(needy)).toThrow('new ToolSet(')
    const content = { ...needy, config: z.object({ apiKey: z.string().optional() }), execute: () => 1 }
    expect(() => registryOf(content)).not.toThrow()
  })

  test('unregisters by name', () => {
    const registry = registryOf(named('a'))
    registry.unregister('a')
    expect(registry.has('a')).toBe(false)
    expect(() => registry.unregister('a')).toThrow(
      expect.objectContaining({ code: 'tool_not_found', toolName: 'a' }),
    )
  })
})

describe('sets in a ToolRegistry', () => {
  test('come and go with their tools', () => {
    const registry = registryOf(named('a'))
    registry.registerToolset(setOf('s', [named('b'), named('c')]))
    expect([registry.names(), registry.listToolsets()]).toEqual([['a', 'b', 'c'], ['s']])
    expect(registry.toolsets()).toEqual([{ name: 's', description: 's tools', tools: ['b', 'c'] }])
    registry.unregisterToolset('s')
    expect([registry.names(), registry.listToolsets()]).toEqual([['a'], []])
    expect(() => registry.unregisterToolset('s')).toThrow('There is no tool set "s". Registered: none.')
  })

  test('are not described with tools that are gone or were replaced', () => {
    const registry = new ToolRegistry()
    registry.registerToolset(setOf('s', [named('b'), named('c'), named('d')]))
    registry.unregister('b')
    const own = named('c')
    registry.register(own, { replace: true })
    expect(registry.toolsets()).toEqual([{ name: 's', description: 's tools', tools: ['d'] }])
    registry.unregisterToolset('s')
    expect(registry.list()).toEqual([own])
  })

  test('of one name are refused, or replaced whole', () => {
    const registry = new ToolRegistry()
    registry.registerToolset(setOf('s', [named('a'), named('b')]))
    expect(() => registry.registerToolset(setOf('s', [named('c')]))).toThrow('already')
    registry.registerToolset(setOf('s', [named('b')]), { replace: true })
    expect(registry.names()).toEqual(['b'])
  })

  test('keep their configs apart, in one registry and in two, for one and the same tool', async () => {
    const probe = tool({
      name: 'probe',
      description: '',
      parameters: z.object({}),
      execute: (_, { config }) => config,
    })
    const registries = ['one', 'two'].map((value) => {
      const registry = new ToolRegistry()
      registry.registerToolset(setOf(value, [probe], { n: value }))
      return registry
    })
    const results = await Promise.all(
      registries.map((registry) => registry.dispatch({ toolName: 'probe', parameters: {} })),
    )
    expect(results.map(({ data }) => data)).toEqual([{ n: 'one' }, { n: 'two' }])
  })

  test('tell their secrets as they are now', () => {
    let current = 'first-key'
    const registry = new ToolRegistry()
    registry.registerToolset(setOf('s', [], { apiKey: secret(() => current), url: 'https://internal' }))
    current = 'second-key'
    expect(registry.secrets()).toEqual([
      { name: 'apiKey', value: 'second-key' },
      { name: 'url', value: 'https://internal' },
    ])
  })
})

describe('definitions', () => {
  test('are plain frozen JSON, of every kind of schema and tool', async () => {
    class Mine extends Tool<{ input: string }> {
      readonly name = 'my_tool'
      readonly description = 'Processes input'
      readonly parameters = { type: 'object', properties: { input: { type: 'string' } }, required: ['input'] }
      execute({ input }: { input: string }) {
        return `Processed: ${input}`
      }
    }
    const wire = { type: 'object', properties: { input: { type: 'string' } }, required: ['input'] }
    const registry = registryOf(new Mine(), named('four'), {
      name: 'three',
      description: '',
      parameters: z3.object({ input: z3.string() }).passthrough(),
      execute: () => 1,
    })
    const definitions = await registry.definitions()
    expect(definitions).toEqual([
      { name: 'my_tool', description: 'Processes input', parameters: wire },
      { name: 'four', description: '', parameters: wire },
      { name: 'three', description: '', parameters: { ...wire, additionalProperties: true } },
    ])
    expect(JSON.parse(JSON.stringify(definitions))).toEqual(definitions)
    for (const part of [definitions, definitions[0], definitions[0]?.parameters])
      expect(Object.isFrozen(part)).toBe(true)
    expect(await registry.dispatch({ toolName: 'my_tool', parameters: { input: 'x' } })).toMatchObject({
      output: 'Processed: x',
    })
  })

  test('are the very same array until tools come or go', async () => {
    const registry = registryOf(named('a'))
    const first = await registry.definitions()
    expect(await registry.definitions()).toBe(first)
    registry.register(named('b'))
    const second = await registry.definitions()
    expect(second.map(({ name }) => name)).toEqual(['a', 'b'])
    registry.unregister('b')
    expect(await registry.definitions()).toEqual(first)
  })

  test('refuse late what could not be seen early', async () => {
    const hidden = {
      name: 'late',
      description: '',
      parameters: z3.object({ apiKey: z3.string() }),
      execute: () => 1,
    }
    const registry = new ToolRegistry()
    registry.registerToolset(setOf('s', [hidden], { apiKey: secret('0123456789') }))
    await expect(registry.definitions()).rejects.toMatchObject({
      code: 'configuration',
      path: 'config.apiKey',
    })
    const noObject = registryOf({ name: 'late', description: '', parameters: z3.string(), execute: () => 1 })
    await expect(noObject.definitions()).rejects.toMatchObject({ code: 'invalid_tool_schema' })
    noObject.unregister('late')
    expect(await noObject.definitions()).toEqual([])
  })
})

describe('dispatch', () => {
  test('runs a tool outside of any agent', async () => {
    const registry = registryOf(
      tool({
        name: 'add',
        description: '',
        parameters: z.object({ a: z.number(), b: z.number() }),
        execute: ({ a, b }) => a + b,
      }),
    )
    expect(await registry.dispatch({ id: 'c1', toolName: 'add', parameters: { a: 1, b: 2 } })).toEqual({
      callId: 'c1',
      toolName: 'add',
      ok: true,
      output: '3',
      data: 3,
      durationMs: expect.any(Number),
    })
  })

  test.each([
    [{ toolName: 'nope', parameters: {} }, 'tool_not_found'],
    [{ toolName: 'a', parameters: 'x' }, 'tool_input'],
    [{ toolName: 'a', parameters: null }, 'tool_input'],
    [{ toolName: 'a', parameters: {} }, 'tool_input'],
    [{ toolName: 5, parameters: {} }, 'unexpected'],
    [{}, 'unexpected'],
    [null, 'unexpected'],
  ])('gives a failed result for %j', async (call, code) => {
    const result = await registryOf(named('a')).dispatch(call as never)
    expect(result).toMatchObject({ ok: false, error: { code } })
    expect(result.output).toBe(`Error: ${result.error?.message}`)
  })
})
