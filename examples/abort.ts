// Three ways to stop a run: a signal, abort(), and leaving its events. Nothing that was done is lost.
import assert from 'node:assert/strict'
import { Agent } from 'tercet'
import { hangs, ScriptedClient } from 'tercet/testing'

// A model that says two words and then nothing more, three times over.
const client = new ScriptedClient([hangs(['Once ', 'upon ']), hangs(['Once ', 'upon ']), hangs(['Once '])])
const agent = new Agent({ client })

// 1. A signal, such as that of an HTTP request.
const controller = new AbortController()
const stop = agent.on('token', ({ text }) => {
  if (text === 'upon ') controller.abort('the reader is gone')
})
const first = await agent.runStream('Tell a story', { signal: controller.signal }).result
stop()
assert.equal(first.status, 'aborted')
assert.equal(first.error?.cause, 'the reader is gone')
assert.equal(first.partial, 'Once upon ')

// 2. abort(), for whoever holds the stream.
const stream = agent.runStream('Another one')
agent.on('token', ({ text }) => {
  if (text === 'upon ') stream.abort()
})
assert.equal((await stream.result).partial, 'Once upon ')

// 3. Leaving the loop: the model request is cancelled at once.
const third = agent.runStream('And a third')
for await (const event of third) if (event.type === 'token') break
const { status, partial } = await third.result
console.log(status, JSON.stringify(partial))

assert.deepEqual([status, partial], ['aborted', 'Once '])
// The conversation goes on from here: what was said is in it.
assert.deepEqual(
  agent.history.map(({ content }) => content),
  ['Tell a story', 'Once upon ', 'Another one', 'Once upon ', 'And a third', 'Once '],
)
