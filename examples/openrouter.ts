// OpenRouter, which tells what a call cost. Here a server on this machine that refuses what the real API refuses; for
// OpenRouter itself leave baseURL out and set OPENROUTER_API_KEY.
import assert from 'node:assert/strict'
import { Agent, tool } from 'tercet'
import { OpenRouterClient } from 'tercet/openrouter'
import { strictProvider } from 'tercet/testing'
import { z } from 'zod'

await using provider = await strictProvider({
  script: [
    { reasoning: 'I need the time.', toolCalls: [{ toolName: 'get_time', parameters: { city: 'Oslo' } }] },
    { text: 'It is noon in Oslo.' },
  ],
})

const getTime = tool({
  name: 'get_time',
  description: 'The time in a city',
  parameters: z.object({ city: z.string() }),
  effect: 'read',
  execute: ({ city }) => `12:00 in ${city}`,
})

const client = new OpenRouterClient({
  model: 'anthropic/claude-sonnet-4.5',
  baseURL: provider.openRouterURL,
  apiKey: 'test-key',
})
const agent = new Agent({ client, tools: [getTime] })

const result = await agent.runStream('What time is it in Oslo?').result
console.log(result.answer, result.usage)

assert.equal(result.answer, 'It is noon in Oslo.')
assert.deepEqual(provider.refusals, [])
assert.equal(result.usage.costUsd, 2 * 0.000669) // of both calls, as billed
