// OpenAI, or any server that speaks its Chat Completions. Here a server on this machine that refuses what the real API
// refuses; for OpenAI itself leave baseURL out and set OPENAI_API_KEY.
import assert from 'node:assert/strict'
import { Agent, tool } from 'tercet'
import { OpenAIClient } from 'tercet/openai'
import { strictProvider } from 'tercet/testing'
import { z } from 'zod'

await using provider = await strictProvider({
  script: [
    { toolCalls: [{ toolName: 'get_time', parameters: { city: 'Oslo' } }] },
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

const client = new OpenAIClient({ model: 'gpt-4o', baseURL: provider.url, apiKey: 'sk-test' })
const agent = new Agent({ client, tools: [getTime] })

let answer = ''
for await (const event of agent.runStream('What time is it in Oslo?')) {
  if (event.type === 'token' && event.channel === 'answer') answer += event.text
}
console.log(answer)

assert.equal(answer, 'It is noon in Oslo.')
assert.deepEqual(provider.refusals, [])
assert.equal(provider.requests.length, 2)
