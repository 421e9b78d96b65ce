import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { DuplicateToolError } from '../../src/errors.ts'
import { secret } from '../../src/secret.ts'
import { tool } from '../../src/tools/define.ts'
import { ToolRegistry } from '../../src/tools/registry.ts'
import { isToolSet, ToolSet, type ToolSetOptions } from '../../src/tools/toolset.ts'

const key = 'S3CR3T-0123456789'

const weather = tool({
  name: 'get_weather',
  description: 'Current weather',
  parameters: z.object({ city: z.string() }),
  config: z.object({ apiKey: z.string() }),
  execute: ({ city, apiKey }) => ({ city, key: apiKey.length }),
})

const set = (options: Partial<ToolSetOptions> = {}) =>
  new ToolSet({
    name: 'weather',
    description: 'Weather data',
    tools: [weather],
    config: { apiKey: key },
    ...options,
  })

const city = { toolName: 'get_weather', parameters: { city: 'Oslo' } }

function dispatcher(toolset: ToolSet) {
  const registry = new ToolRegistry()
  registry.registerToolset(toolset)
  return registry
}

describe('a ToolSet', () => {
  test('shows its name, description and tools', () => {
    const made = set()
    expect([made.name, made.description, made.tools]).toEqual(['weather', 'Weather data', [weather]])
    expect(JSON.stringify(made)).toBe(
      '{"name":"weather","description":"Weather data","tools":["get_weather"]}',
    )
    expect(isToolSet(made)).toBe(true)
    expect(isToolSet({ ...made })).toBe(false)
    expect(isToolSet(weather)).toBe(false)
  })

  test('never shows its config', () => {
    for (const config of [{ apiKey: key }, { apiKey: secret(key) }]) {
      const made = set({ config })
      for (const text of [
        inspect(made, { showHidden: true, depth: 20 }),
        JSON.stringify(made),
        String(made),
      ]) {
        expect(text).not.toContain(key)
      }
    }
  })

  test.each<[string, unknown, string]>([
    ['name', '', 'name'],
    ['description', 5, 'description'],
    ['tools', {}, 'tools'],
    ['tools', ['get_weather'], 'tools[0]'],
    ['tools', [weather, { ...weather, name: 'x y' }], 'tools[1].name'],
    ['config', 'sk-secret', 'config'],
    ['config', null, 'config'],
    ['config', secret(key), 'config'],
    ['configSchema', 1, 'configSchema'],
    ['toolz', [], 'toolz'],
  ])('refuses %s: %j', (name, value, path) => {
    const options = { [name]: value } as Partial<ToolSetOptions> // wrong on purpose
    expect(() => set(options)).toThrow(expect.objectContaining({ code: 'configuration', path }))
    expect(() => set(options)).not.toThrow(/sk-secret/)
  })

  test('refuses two tools of one name', () => {
    expect(() => set({ tools: [weather, weather] })).toThrow(DuplicateToolError)
  })

  test('refuses a config that does not fit a tool or configSchema, without telling what is in it', () => {
    expect(() => set({ config: {} })).toThrow(
      'The config of tool set "weather" does not fit the config of tool "get_weather": apiKey: required',
    )
    const echo = z.object({
      apiKey: z.string().refine(() => false, { error: ({ input }) => `no such key: ${input}` }),
    })
    for (const apiKey of [key, secret(key)]) {
      const refusal = () => set({ config: { apiKey }, configSchema: echo })
      expect(refusal).toThrow('does not fit its configSchema: apiKey: no such key: [secret:apiKey]')
      expect(refusal).not.toThrow(key)
    }
  })

  test('refuses a secret() that the model would be shown', () => {
    const open = tool({
      name: 'open',
      description: '',
      parameters: z.object({ apiKey: z.string() }),
      execute: () => 1,
    })
    for (const apiKey of [secret(key), { nested: [secret(key)] }]) {
      expect(() => set({ tools: [open], config: { apiKey } })).toThrow(
        expect.objectContaining({ code: 'configuration', path: 'config.apiKey' }),
      )
    }
    expect(() => set({ tools: [open], config: { apiKey: 'plain' } })).not.toThrow()
  })

  test('says that a config cannot be read, without what was in it', () => {
    const config = {
      token: key,
      apiKey: secret(() => {
        throw new Error(`vault sealed, ${key}`)
      }),
    }
    expect(() => set({ config })).toThrow(
      'The config of tool set "weather" cannot be read: vault sealed, [secret:token]',
    )
  })

  test('shows no part of a long key that its schema repeats', async () => {
    const pem = `-----BEGIN PRIVATE KEY-----\n${'MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n'.repeat(20)}-----END PRIVATE KEY-----\n`
    const echo = z.object({
      pem: z.string().refine(() => false, { error: ({ input }) => `no such key: ${input}` }),
    })
    expect(() => set({ config: { pem: secret(pem) }, configSchema: echo })).toThrow(
      /does not fit its configSchema: pem: no such key: \[secret:pem\]\s*\.$/,
    )
    const visible = tool({ name: 'visible', description: '', parameters: echo, execute: () => 1 })
    const made = set({ tools: [visible], config: { pem } })
    const { output } = await dispatcher(made).dispatch({ toolName: 'visible', parameters: {} })
    expect(output).toContain('pem: no such key: [secret:pem]')
    expect(output).not.toContain('MIIE')
  })

  test('hides what its schemas filled in or made of its config', async () => {
    const probe = tool({
      name: 'probe',
      description: '',
      parameters: z.object({}),
      config: z.object({ header: z.string().default('Bearer by-tool') }),
      execute: (input) => input,
    })
    const configSchema = z.object({
      token: z.string().default('token-by-set'),
      user: z.string().transform((name) => `${name}:password`),
    })
    const made = set({ tools: [probe], config: { user: 'ann' }, configSchema })
    const { data } = await dispatcher(made).dispatch({ toolName: 'probe', parameters: {} })
    expect(data).toEqual({ header: '[secret:header]', token: '[secret:token]', user: '[secret:user]' })
  })

  test('takes an object of any class for a config, and hides what is in it', async () => {
    class Settings {
      apiKey = key
      other = secret('another-secret')
    }
    const probe = tool({
      name: 'probe',
      description: '',
      parameters: z.object({}),
      execute: (input) => [input, JSON.stringify(input).includes('another-secret')],
    })
    for (const config of [new Settings() as never, () => new Settings()]) {
      const made = set({ tools: [probe], config })
      const { data } = await dispatcher(made).dispatch({ toolName: 'probe', parameters: {} })
      expect(data).toEqual([{ apiKey: '[secret:apiKey]', other: '[secret:other]' }, true])
    }
  })

  test('fills in the defaults of its schemas', async () => {
    const probe = tool({
      name: 'probe',
      description: '',
      parameters: z.object({}),
      config: z.object({ region: z.string().default('eu') }),
      execute: (input) => input,
    })
    const made = set({ tools: [probe], config: {}, configSchema: z.object({ depth: z.number().default(2) }) })
    const { data } = await dispatcher(made).dispatch({ toolName: 'probe', parameters: {} })
    expect(data).toEqual({ region: 'eu', depth: 2 })
  })
})

describe('updateConfig', () => {
  test('is heard from the next call on', async () => {
    const made = set()
    const registry = dispatcher(made)
    expect(await registry.dispatch(city)).toMatchObject({ data: { key: key.length } })
    made.updateConfig({ apiKey: 'rotated!' })
    expect(await registry.dispatch(city)).toMatchObject({ data: { key: 8 } })
    expect(registry.secrets()).toEqual([{ name: 'apiKey', value: 'rotated!' }])
  })

  test('changes nothing when the new config is wrong', async () => {
    const made = set({ configSchema: z.object({ apiKey: z.string().min(5) }) })
    for (const wrong of [{ apiKey: 'x' }, {}, null, 'x', 5]) {
      expect(() => made.updateConfig(wrong as never)).toThrow(
        expect.objectContaining({ code: 'configuration' }),
      )
    }
    expect(await dispatcher(made).dispatch(city)).toMatchObject({ ok: true, data: { key: key.length } })
  })
})

describe('a config that is a function', () => {
  const whoami = tool({
    name: 'whoami',
    description: '',
    parameters: z.object({}),
    config: z.object({ userId: z.string() }),
    execute: async ({ userId }) => {
      await Promise.resolve()
      return { id: [...userId] }
    },
  })

  test('is asked for each call, so that two runs at once see their own', async () => {
    const made = set({
      tools: [whoami],
      config: async ({ context, runId }) => ({ userId: `${context}/${runId}` }),
    })
    const registry = dispatcher(made)
    const asked = { toolName: 'whoami', parameters: {} }
    const results = await Promise.all([
      registry.dispatch(asked, { context: 'ann', runId: '1' }),
      registry.dispatch(asked, { context: 'bob', runId: '2' }),
    ])
    expect(results.map(({ data }) => data)).toEqual([{ id: [...'ann/1'] }, { id: [...'bob/2'] }])
    expect(registry.secrets()).toEqual([])
  })

  test.each<[string, () => unknown, string]>([
    [
      'throws',
      () => {
        throw new Error('vault down')
      },
      'The config of tool set "weather" is not available: vault down',
    ],
    [
      'gives no object',
      () => 'sk-secret',
      'The config of tool set "weather" must be an object, got a string.',
    ],
    [
      'gives a config that does not fit',
      () => ({}),
      'The config of tool "whoami" does not fit: userId: required',
    ],
  ])('that %s is a failure of the call', async (_, config, message) => {
    const result = await dispatcher(set({ tools: [whoami], config: config as () => object })).dispatch({
      toolName: 'whoami',
      parameters: {},
    })
    expect(result).toMatchObject({
      ok: false,
      error: { code: 'configuration', message: expect.stringContaining(message) },
    })
    expect(JSON.stringify(result)).not.toContain('sk-secret')
  })

  test('may not put a secret() where the model sees it', async () => {
    const open = tool({
      name: 'whoami',
      description: '',
      parameters: z.object({ userId: z.string() }),
      execute: () => 1,
    })
    const made = set({ tools: [open], config: () => ({ userId: secret(key) }) })
    const result = await dispatcher(made).dispatch({ toolName: 'whoami', parameters: { userId: 'x' } })
    expect(result).toMatchObject({ ok: false, error: { code: 'configuration' } })
  })
})
