// An answer that is a value: validated, typed, and repaired by the model when it does not fit.
import assert from 'node:assert/strict'
import { Agent } from 'tercet'
import { ScriptedClient } from 'tercet/testing'
import { z } from 'zod'

const invoice = z.object({ number: z.string(), total: z.number() })

// The first reply has a total that is no number: it is sent back with what is wrong, and kept out of the history.
const client = new ScriptedClient([
  '{"number": "A-17", "total": "12 Euro"}',
  '{"number": "A-17", "total": 12}',
])
const agent = new Agent({ client, output: invoice })

const { number, total } = await agent.run('Read this invoice: A-17, twelve Euro in all.')
console.log(number, total.toFixed(2))

assert.deepEqual([number, total], ['A-17', 12])
assert.equal(client.requests[0]?.responseFormat?.type, 'json')
assert.match(String(client.requests[1]?.messages.at(-1)?.content), /does not fit the schema: total/)
assert.equal(agent.history.length, 2)
