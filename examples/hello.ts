// The smallest agent: a client and a question. The scripted client stands in for a model, so this runs with no key;
// with one, write `client: new OpenAIClient({ model: 'gpt-4o' })` from 'tercet/openai'.
import assert from 'node:assert/strict'
import { Agent } from 'tercet'
import { ScriptedClient } from 'tercet/testing'

const client = new ScriptedClient(['Hello, Ada.', 'Your name is Ada.'])
const agent = new Agent({ client, instructions: 'Be brief.' })

console.log(await agent.run('Hi, I am Ada.'))

// The agent remembers: the second request holds the whole conversation.
const answer = await agent.run('What is my name?')
console.log(answer)

assert.equal(answer, 'Your name is Ada.')
assert.deepEqual(
  client.requests[1]?.messages.map(({ role, content }) => `${role}: ${content}`),
  ['user: Hi, I am Ada.', 'assistant: Hello, Ada.', 'user: What is my name?'],
)
