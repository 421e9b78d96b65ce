import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  ConfigurationError,
  type JsonObject,
  ToolNotFoundError,
  ToolRegistry,
  ToolSet,
  type ToolSetOptions,
  tool,
} from '../../src/index.ts'
import { calls, json, ScriptedClient } from '../../src/testing/index.ts'

const city = z.object({ city: z.string() })

const getWeather = tool({
  name: 'get_weather',
  description: 'Current weather for a city',
  parameters: city,
  execute: (input) => `sunny in ${input.city}`,
})

const getForecast = tool({
  name: 'get_forecast',
  description: 'Forecast for a city',
  parameters: city,
  execute: (input) => `rain in ${input.city}`,
})

const weatherTools = (more: Partial<ToolSetOptions> = {}) =>
  new ToolSet({
    name: 'weather_tools',
    description: 'Weather data of the world',
    tools: [getWeather, getForecast],
    ...more,
  })

const agentWith = (client: ScriptedClient) => new Agent({ client, planning: 'off' })

/** A set whose tool keeps what it was given, and a way to call it. */
function recordingSet(
  parameters: z.ZodObject,
  config: ToolSetOptions['config'],
  more: Partial<ToolSetOptions> = {},
) {
  const inputs: unknown[] = []
  const told: string[] = []
  const request = tool({
    name: 'request',
    description: 'Asks the API',
    parameters,
    execute: (input) => void inputs.push(input),
  })
  const set = new ToolSet({
    name: 'api',
    description: 'An API',
    tools: [request],
    ...(config && { config }),
    ...more,
  })
  const call = async (parameters: JsonObject) => {
    const client = new ScriptedClient([calls(['request', parameters]), 'Done.'])
    const agent = new Agent({ client, tools: [set] })
    agent.on('diagnostic', ({ code, message }) => told.push(`${code}: ${message}`))
    await agent.run('Go.')
  }
  return { set, inputs, told, call }
}

describe('seed 002, tool sets', () => {
  it('002-21 bundles tools under a name and a description', () => {
    const registry = new ToolRegistry()
    registry.registerToolset(weatherTools())
    expect(registry.listToolsets()).toEqual(['weather_tools'])
    expect(registry.names()).toEqual(['get_weather', 'get_forecast'])
  })

  it('002-22 makes all tools of a registered set callable', async () => {
    const client = new ScriptedClient([
      calls(['get_weather', { city: 'Oslo' }], ['get_forecast', { city: 'Oslo' }]),
      'Sunny, then rain.',
    ])
    const agent = agentWith(client)
    agent.registerToolset(weatherTools())
    await agent.run('Oslo?')

    const outputs = agent.history.flatMap((message) => (message.role === 'tool' ? [message.content] : []))
    expect(outputs).toEqual(['sunny in Oslo', 'rain in Oslo'])
  })

  it('002-23 tells the model what a set is for, in both protocols', async () => {
    const native = new ScriptedClient(['Done.'])
    await new Agent({ client: native, tools: [weatherTools()] }).run('Go.')
    expect(native.requests[0]?.system).toBe(
      'Your tools come in sets:\n- weather_tools: Weather data of the world (get_weather, get_forecast)',
    )

    const inJson = new ScriptedClient([json({ final_answer: 'Done.' })])
    await new Agent({ client: inJson, protocol: 'json', tools: [weatherTools()] }).run('Go.')
    expect(inJson.requests[0]?.system).toMatch(
      /weather_tools: Weather data of the world\n- get_weather: .*\n.*\n- get_forecast: /,
    )
  })

  it('002-23 says nothing of sets with describeToolsets: false', async () => {
    const client = new ScriptedClient(['Done.'])
    await new Agent({ client, tools: [weatherTools()], describeToolsets: false }).run('Go.')
    expect(client.requests[0]?.system).toBeUndefined()
  })

  it('002-24 removes the tools of a set with it, but not one that took the name of such a tool since', () => {
    const registry = new ToolRegistry()
    registry.registerToolset(weatherTools())
    registry.register({ ...getWeather, execute: () => 'my own' }, { replace: true })
    registry.unregisterToolset('weather_tools')
    expect([registry.listToolsets(), registry.names()]).toEqual([[], ['get_weather']])

    registry.unregister('get_weather')
    registry.registerToolset(weatherTools())
    registry.unregisterToolset('weather_tools')
    expect(registry.has('get_weather')).toBe(false)
  })

  it('002-25 lists sets and tools, and can be asked, counted and iterated', () => {
    const agent = agentWith(new ScriptedClient([]))
    agent.registerToolset(weatherTools())
    const registry = agent.tools

    expect([agent.listToolsets(), agent.listTools()]).toEqual([
      ['weather_tools'],
      ['get_weather', 'get_forecast'],
    ])
    expect([registry.has('get_weather'), registry.has('get_time')]).toEqual([true, false])
    expect([...registry].map(({ name }) => name)).toEqual(registry.names())
    expect([...registry].length).toBe(registry.size)
  })

  it('002-26 stops advertising a tool that was unregistered, also as part of its set', async () => {
    const client = new ScriptedClient(['Done.'])
    const agent = agentWith(client)
    agent.registerToolset(weatherTools())
    agent.unregisterTool('get_forecast')
    await agent.run('Go.')

    expect(client.requests[0]?.tools?.map(({ name }) => name)).toEqual(['get_weather'])
    expect(JSON.stringify(client.requests)).not.toContain('get_forecast')
  })

  it('002-26 refuses to unregister a tool it does not have', () => {
    const agent = agentWith(new ScriptedClient([]))
    agent.registerTool(getWeather)
    expect(() => agent.unregisterTool('get_time')).toThrow(ToolNotFoundError)
    expect(() => agent.unregisterTool('get_time')).toThrow(
      'There is no tool "get_time". Available: get_weather.',
    )
  })

  it('002-27 gives each tool its parameters together with the hidden config', async () => {
    // Both at once: what execute receives is merged, and context.config holds the config alone.
    const seen: unknown[] = []
    const record = (name: string) =>
      tool({
        name,
        description: 'Records',
        parameters: city,
        config: z.object({ apiKey: z.string() }),
        execute: (input, { config }) => void seen.push([name, input, config]),
      })
    const set = new ToolSet({
      name: 'api',
      description: 'An API',
      tools: [record('now'), record('later')],
      config: { apiKey: 'k-12345678' },
    })
    const client = new ScriptedClient([
      calls(['now', { city: 'Oslo' }], ['later', { city: 'Rome' }]),
      'Done.',
    ])
    await new Agent({ client, tools: [set] }).run('Go.')

    const apiKey = 'k-12345678'
    expect(seen).toEqual([
      ['now', { city: 'Oslo', apiKey }, { apiKey }],
      ['later', { city: 'Rome', apiKey }, { apiKey }],
    ])
  })

  it('002-29 asks a config function for each run, so that two at once see their own', async () => {
    const seen: string[] = []
    const whoami = tool({
      name: 'whoami',
      description: 'Who asks',
      parameters: z.object({}),
      config: z.object({ userId: z.string() }),
      execute: ({ userId }, { conversationId }) => void seen.push(`${conversationId} is ${userId}`),
    })
    const set = new ToolSet({
      name: 'me',
      description: 'About the user',
      tools: [whoami],
      config: async ({ context }) => ({ userId: String(context) }),
    })
    const reply = calls(['whoami'])
    const client = new ScriptedClient(({ messages }) => (messages.at(-1)?.role === 'tool' ? 'Done.' : reply))
    const agent = new Agent({ client, tools: [set] })
    await Promise.all([
      agent.run('Who am I?', { conversation: 'a', context: 'Ada' }),
      agent.run('Who am I?', { conversation: 'b', context: 'Bob' }),
    ])
    expect(seen.toSorted()).toEqual(['a is Ada', 'b is Bob'])
  })

  it('002-30 lets the model set a config key only where its parameters declare it', async () => {
    const { inputs, told, call } = recordingSet(
      z.object({ path: z.string(), timeout: z.number().optional() }),
      {
        api_key: 'the-real-key',
        timeout: 30,
      },
    )
    await call({ path: '/a' })
    await call({ path: '/b', timeout: 60, api_key: 'EVIL' })

    expect(inputs).toEqual([
      { path: '/a', timeout: 30, api_key: 'the-real-key' },
      { path: '/b', timeout: 60, api_key: 'the-real-key' },
    ])
    expect(told).toEqual([
      'hidden_parameter_rejected: The model sent "api_key" to tool "request"; dropped, because hidden config is not for the model to set.',
    ])
  })

  it('002-31 refuses a config that does not fit its schema, and keeps the one before', async () => {
    const configSchema = z.object({ apiKey: z.string().min(8) })
    const { set, inputs, call } = recordingSet(z.object({}), { apiKey: 'first-key' }, { configSchema })

    await call({})
    expect(() => set.updateConfig({ apiKey: 'short' })).toThrow(ConfigurationError)
    await call({})
    set.updateConfig({ apiKey: 'second-key' })
    await call({})

    expect(inputs).toEqual([{ apiKey: 'first-key' }, { apiKey: 'first-key' }, { apiKey: 'second-key' }])
    expect(() => weatherTools({ config: { apiKey: 'short' }, configSchema })).toThrow(ConfigurationError)
  })
})
