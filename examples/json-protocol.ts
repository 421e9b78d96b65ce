// Tools for a model without tool calling: they stand in the prompt, and its replies are JSON. What the application
// sees is the same as with a provider's own tool calling.
import assert from 'node:assert/strict'
import { Agent, tool } from 'tercet'
import { json, ScriptedClient } from 'tercet/testing'
import { z } from 'zod'

const add = tool({
  name: 'add',
  description: 'Adds two numbers',
  parameters: z.object({ a: z.number(), b: z.number() }),
  effect: 'read',
  execute: ({ a, b }) => a + b,
})

const client = new ScriptedClient(
  [
    json({
      tool_thought: 'Adding.',
      tool_calls: [{ id: 'call_1', tool_name: 'add', parameters: { a: 20, b: 22 } }],
    }),
    json({ final_answer: 'It is 42.' }),
  ],
  { capabilities: { tools: false }, chunkSize: 7 },
)
const agent = new Agent({ client, tools: [add] })

let answer = ''
for await (const event of agent.runStream('What is 20 + 22?')) {
  // The answer itself, as it arrives, without its envelope.
  if (event.type === 'token' && event.channel === 'answer') answer += event.text
  if (event.type === 'step') console.log(event.thought, event.toolCalls[0]?.parameters)
}
console.log(answer)

assert.equal(answer, 'It is 42.')
assert.match(client.requests[0]?.system ?? '', /- add: Adds two numbers/)
assert.equal(client.requests[0]?.tools, undefined)
