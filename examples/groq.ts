// Groq. Here a server on this machine that refuses what the real API refuses; for Groq itself leave baseURL out and set
// GROQ_API_KEY.
import assert from 'node:assert/strict'
import { Agent, tool } from 'tercet'
import { GroqClient } from 'tercet/groq'
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

const client = new GroqClient({ model: 'openai/gpt-oss-120b', baseURL: provider.groqURL, apiKey: 'test-key' })
const agent = new Agent({ client, tools: [getTime] })

const result = await agent.runStream('What time is it in Oslo?').result
console.log(result.answer, result.usage)

assert.equal(result.answer, 'It is noon in Oslo.')
assert.deepEqual(provider.refusals, [])
assert.equal(provider.requests.length, 2)
