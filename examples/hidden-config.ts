// A key that the tool gets and the model never sees: not in the request, and not in what the tool says.
import assert from 'node:assert/strict'
import { Agent, secret, ToolSet, tool } from 'tercet'
import { calls, ScriptedClient } from 'tercet/testing'
import { z } from 'zod'

const seen: string[] = []

const getWeather = tool({
  name: 'get_weather',
  description: 'Current weather for a city',
  parameters: z.object({ city: z.string() }), // what the model sees
  config: z.object({ apiKey: z.string() }), // what it does not
  effect: 'read',
  execute: ({ city, apiKey }) => {
    seen.push(apiKey)
    // A careless service that repeats the key: it is scrubbed from all that leaves the tool.
    return `Sunny in ${city} (requested with ${apiKey})`
  },
})

const weather = new ToolSet({
  name: 'weather_api',
  description: 'Weather data',
  config: { apiKey: secret('sk-live-4711', 'WEATHER_KEY') },
  tools: [getWeather],
})

// The model tries to bring a key of its own; it is dropped, and a `diagnostic` says so.
const client = new ScriptedClient([calls(['get_weather', { city: 'Oslo', apiKey: 'mine' }]), 'Sunny.'])
const agent = new Agent({ client, tools: [weather] })
agent.on('diagnostic', ({ message }) => console.log(message))

const result = await agent.runStream('Weather in Oslo?').result
console.log(result.steps[0]?.results[0]?.output)

assert.deepEqual(seen, ['sk-live-4711'])
assert.equal(result.steps[0]?.results[0]?.output, 'Sunny in Oslo (requested with [secret:WEATHER_KEY])')
assert.ok(!JSON.stringify([client.requests, result]).includes('sk-live-4711'))
