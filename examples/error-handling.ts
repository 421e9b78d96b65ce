// A run that fails says with what, and how far it came. Codes are for programs, messages for people.
import assert from 'node:assert/strict'
import { Agent, isTercetError, resultOf, type TercetError, tool } from 'tercet'
import { calls, fails, ScriptedClient, virtualClock } from 'tercet/testing'

const note = tool({
  name: 'note',
  description: 'Writes something down',
  parameters: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] },
  execute: ({ text }) => `Noted: ${text}`,
})

const client = new ScriptedClient([
  fails('overloaded', { status: 503 }), // is tried again, after a wait
  calls(['note', { text: 'milk' }]),
  fails('auth', { status: 401, message: 'The API key is not valid.' }), // is not
])
// A virtual clock: the wait before the second attempt takes no time here.
const agent = new Agent({ client, tools: [note], runtime: virtualClock().runtime })
agent.on('retry', ({ attempt, error }) => console.log(`attempt ${attempt} failed: ${error.message}`))

function explain(error: TercetError): string {
  if (error.code === 'llm') return `The model cannot be reached: ${error.message}`
  if (error.code === 'max_iterations') return 'That took too many steps.'
  return `Something went wrong (${error.code}).`
}

let told = ''
try {
  await agent.run('Remember the milk')
} catch (error) {
  if (!isTercetError(error)) throw error
  told = explain(error)
  console.log(told)
  // What was done until then is kept.
  assert.equal(resultOf(error)?.steps[0]?.results[0]?.output, 'Noted: milk')
}

assert.equal(told, 'The model cannot be reached: The API key is not valid.')

// `runStream().result` never rejects: the error is a part of the result.
const { status, error } = await agent.runStream('And now?').result
assert.deepEqual([status, error?.code], ['failed', 'script_exhausted'])
