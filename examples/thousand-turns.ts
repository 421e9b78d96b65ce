// A conversation of a thousand turns with a model that reads 8,000 tokens at once. Requests hold the newest turns only; the
// transcript keeps all of them, and the model looks back with `recall`.
import assert from 'node:assert/strict'
import { Agent, estimateTokens, recallTool } from 'tercet'
import { calls, ScriptedClient } from 'tercet/testing'

const contextWindow = 8_000

// What a model would do, so that this runs with no key: it looks back, and says what it sees.
const client = new ScriptedClient(
  ({ messages }) => {
    const last = messages.at(-1)
    const text = String(last?.content)
    if (text.startsWith('What did I eat')) return calls(['recall', { query: 'turn 3 dinner' }])
    if (last?.role === 'tool') return /Turn 3: for dinner I had ([a-z ]+)/.exec(text)?.[1] ?? 'I do not know.'
    return 'Noted.'
  },
  { capabilities: { contextWindow } },
)

const agent = new Agent({ client, tools: [recallTool()], instructions: 'You keep a diary.' })
for (let turn = 1; turn <= 1_000; turn++) {
  const dinner = turn === 3 ? 'apricot dumplings' : `soup, as always, in bowl ${turn}`
  await agent.run(`Turn ${turn}: for dinner I had ${dinner}. ${'Nothing else happened. '.repeat(10)}`)
}
const answer = await agent.run('What did I eat in turn 3?')
console.log(answer)

assert.equal(answer, 'apricot dumplings')
assert.equal(agent.history.length, 2_004) // nothing is lost

// No request was longer than the window, and the last ones did not hold what was asked for.
const sizes = client.requests.map((request) => estimateTokens(JSON.stringify(request)))
console.log(`${sizes.length} requests, the longest of about ${Math.max(...sizes)} tokens`)
assert.ok(Math.max(...sizes) <= contextWindow)
assert.ok(!JSON.stringify(client.requests.at(-2)).includes('dumplings'))
