// Anthropic's Messages API. Here a server on this machine that refuses what the real API refuses; for Anthropic itself
// leave baseURL out and set ANTHROPIC_API_KEY.
import assert from 'node:assert/strict'
import { Agent, tool } from 'tercet'
import { AnthropicClient } from 'tercet/anthropic'
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

const client = new AnthropicClient({
  model: 'claude-sonnet-5-5',
  baseURL: provider.anthropicURL,
  apiKey: 'test-key',
})
const agent = new Agent({ client, tools: [getTime] })

const result = await agent.runStream('What time is it in Oslo?').result
console.log(result.answer, result.usage)

assert.equal(result.answer, 'It is noon in Oslo.')
assert.deepEqual(provider.refusals, [])
assert.match(JSON.stringify(provider.requests[1]?.body), /"signature":/) // its reasoning is sent back to it, as it was
