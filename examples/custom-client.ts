// Any function from messages to text is a model: here one that only counts. `textClient` makes a client of it.
import assert from 'node:assert/strict'
import { Agent, textClient, textOf } from 'tercet'

const counter = textClient(async (messages, { signal }) => {
  signal.throwIfAborted()
  const words = textOf(messages.at(-1)?.content ?? '').split(/\s+/)
  return `That was ${words.length} words.`
})

const agent = new Agent({ client: counter })
const answer = await agent.run('How many words are these?')
console.log(answer)

assert.equal(answer, 'That was 5 words.')
