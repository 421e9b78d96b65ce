// Somebody looks at a payment before it is made, in another process than the one that asked for it.
import assert from 'node:assert/strict'
import { Agent, approve, deny, MemoryStore, type ToolPolicy, tool } from 'tercet'
import { calls, ScriptedClient } from 'tercet/testing'
import { z } from 'zod'

const paid: string[] = []
const pay = tool({
  name: 'pay',
  description: 'Pays somebody, in euros',
  parameters: z.object({ to: z.string(), amount: z.number() }),
  execute: ({ to, amount }) => {
    paid.push(`${amount} to ${to}`)
    return 'Paid.'
  },
})
const payment = (to: string, amount: number) => ['pay', { to, amount }] as const

// What a model would do, so that this runs with no key.
const client = new ScriptedClient([
  calls(payment('Ada', 20), payment('Bob', 200), payment('Eve', 2000)),
  'Ada and Bob are paid, Eve is not.',
])
const store = new MemoryStore() // in earnest, one that outlives the process
const policy = { confirm: ({ parameters }) => Number(parameters['amount']) > 100 } satisfies ToolPolicy
const agent = () => new Agent({ client, store, tools: [pay], policy })

const { status, pending = [] } = await agent().runStream('Pay everyone', { conversation: 'bills' }).result
assert.equal(status, 'suspended')
assert.deepEqual(paid, ['20 to Ada']) // what needs no approval is done

const decisions = Object.fromEntries(
  pending.map(({ callId, parameters }) => {
    console.log('May I pay', parameters['amount'], 'to', parameters['to'], '?')
    return [callId, parameters['to'] === 'Bob' ? approve(parameters) : deny('That is too much.')]
  }),
)
const answer = await agent().resume('bills', { decisions })
console.log(answer)

assert.deepEqual(paid, ['20 to Ada', '200 to Bob'])
assert.equal(answer, 'Ada and Bob are paid, Eve is not.')
