// Says something to a run while it goes on: the model sees it with its next call.
import assert from 'node:assert/strict'
import { Agent, tool } from 'tercet'
import { calls, ScriptedClient } from 'tercet/testing'
import { z } from 'zod'

const search = tool({
  name: 'search',
  description: 'Searches the web',
  parameters: z.object({ query: z.string() }),
  effect: 'read',
  execute: ({ query }) => `Nothing about ${query}.`,
})

// What a model would do, so that this runs with no key.
const client = new ScriptedClient([
  calls(['search', { query: 'tercet the bird' }]),
  calls(['search', { query: 'tercet the stanza' }]),
  'A tercet is a stanza of three lines.',
])
const agent = new Agent({ client, tools: [search] })

const stream = agent.runStream('What is a tercet?')
let delivered: Promise<boolean> | undefined
for await (const event of stream) {
  if (event.type === 'step') console.log('searches', event.toolCalls[0]?.parameters['query'])
  // The user sees the first search and puts it right.
  if (event.type === 'step') delivered ??= stream.steer('I mean the stanza, not a bird.')
  if (event.type === 'steering') console.log('heard:', event.message.content)
  if (event.type === 'final_response') console.log(event.answer)
}

assert.equal(await delivered, true)
assert.deepEqual(client.requests[1]?.messages.at(-1), {
  role: 'user',
  content: 'I mean the stanza, not a bird.',
})
// The answer was on its way: what is said now would be a new run.
assert.equal(await stream.steer('Thank you.'), false)
