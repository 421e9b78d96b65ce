// Another provider answers when the first one is down, and the one that is down is left alone for a while.
import assert from 'node:assert/strict'
import { Agent, circuitBreaker, failover, tool, wrapClient } from 'tercet'
import { calls, fails, json, ScriptedClient } from 'tercet/testing'

let charged = 0
const charge = tool({
  name: 'charge',
  description: 'Charges a card',
  parameters: { type: 'object', properties: { amount: { type: 'number' } }, required: ['amount'] },
  execute: ({ amount }) => `Charge ${++charged}: ${amount}`,
})

// The first model calls the tool, breaks in the middle of its answer, and is down from then on.
const first = new ScriptedClient(
  [
    calls(['charge', { amount: 5 }]),
    fails('network', { after: ['The card was ch'] }),
    fails('overloaded'),
    fails('overloaded'),
  ],
  { provider: 'first' },
)
// The second one has no tool calling: it is spoken to in JSON, in the same conversation.
const second = new ScriptedClient(() => json({ final_answer: 'Your card was charged with 5.' }), {
  provider: 'second',
  capabilities: { tools: false },
})

const breaker = circuitBreaker({
  minSamples: 4,
  onStateChange: ({ provider, to }) => console.log(`${provider}: ${to}`),
})
const agent = new Agent({ client: wrapClient(first, failover([second]), breaker), tools: [charge] })
agent.on('failover', ({ from, to, error }) => console.log(`${from.provider} > ${to.provider}: ${error.kind}`))

let shown = ''
for await (const event of agent.runStream('Charge my card with 5')) {
  if (event.type === 'token' && event.channel === 'answer') shown += event.text
  if (event.type === 'retracted') shown = ''
}
assert.equal(shown, 'Your card was charged with 5.')
assert.equal(charged, 1)

for (let run = 0; run < 5; run++) await agent.run('Thanks. Is it done?')
assert.equal(breaker.state, 'open')
assert.equal(first.calls, 4) // the last three runs never reached it
