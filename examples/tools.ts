// Two tools, called side by side in one reply; a failure is told to the model, which then mends its call.
import assert from 'node:assert/strict'
import { Agent, tool } from 'tercet'
import { calls, ScriptedClient } from 'tercet/testing'
import { z } from 'zod'

const degrees = new Map([
  ['Oslo', 4],
  ['Lima', 19],
])

const weather = tool({
  name: 'get_weather',
  description: 'The temperature in a city, in degrees Celsius',
  parameters: z.object({ city: z.string() }),
  effect: 'read',
  execute: ({ city }) => {
    const found = degrees.get(city)
    if (found === undefined) throw new Error(`No city "${city}". Known: ${[...degrees.keys()].join(', ')}.`)
    return { city, degrees: found }
  },
})

// What a model would do, so that this runs with no key.
const client = new ScriptedClient([
  calls('Both cities at once.', ['get_weather', { city: 'Oslo' }], ['get_weather', { city: 'lima' }]),
  calls(['get_weather', { city: 'Lima' }]),
  'Lima is 15 degrees warmer than Oslo.',
])

const agent = new Agent({ client, tools: [weather] })
const result = await agent.runStream('Where is it warmer, Oslo or Lima?').result

for (const { results } of result.steps) for (const { ok, output } of results) console.log(ok, output)
console.log(result.answer)

assert.equal(result.status, 'done')
assert.deepEqual(
  result.steps.map(({ results }) => results.map(({ output }) => output)),
  [
    ['{"city":"Oslo","degrees":4}', 'Error: No city "lima". Known: Oslo, Lima.'],
    ['{"city":"Lima","degrees":19}'],
  ],
)
