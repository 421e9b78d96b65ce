// Memory that outlives conversations: the model notes what it learns, and a new agent, as after a restart, knows it.
import assert from 'node:assert/strict'
import { Agent, MemoryBlocks, MemoryStore, memoryTools } from 'tercet'
import { calls, ScriptedClient } from 'tercet/testing'

const store = new MemoryStore() // one that outlives the process, in earnest

async function agentFor(userId: string, client: ScriptedClient) {
  const blocks = new MemoryBlocks({ store, id: `blocks:${userId}` })
  await blocks.set('persona', 'I am Tess, who books tables.', { tier: 'core', permission: 'readonly' })
  return { blocks, agent: new Agent({ client, blocks, tools: [memoryTools(blocks)] }) }
}

// What a model would do, so that this runs with no key.
const today = await agentFor(
  'user-42',
  new ScriptedClient([
    calls(['memory_write', { label: 'guest', content: 'Ada, vegetarian' }]),
    'Nice to meet you, Ada. I have noted that.',
  ]),
)
console.log(await today.agent.run('I am Ada, and a vegetarian.'))

// Somebody looks at it, and decides that the model may from now on only propose changes.
await today.blocks.set('guest', 'Ada, vegetarian', { permission: 'approval' })

const client = new ScriptedClient([
  calls(['memory_write', { label: 'guest', content: 'Ada, vegan' }]),
  'I have asked to change that.',
])
const tomorrow = await agentFor('user-42', client)
console.log(await tomorrow.agent.run('I am a vegan now.'))

for (const { proposalId, label, content } of tomorrow.blocks.pending) {
  console.log(`${label}: ${content}?`)
  await tomorrow.blocks.approve(proposalId)
}

const [first] = client.requests
assert.equal(first?.system?.split('\n\n')[0], '[Core Memory]\n## persona\nI am Tess, who books tables.')
assert.equal(first.messages[0]?.content, '[Working Memory Context]\n## guest\nAda, vegetarian')
assert.equal(tomorrow.blocks.get('guest')?.content, 'Ada, vegan')
assert.equal((await store.read('blocks:user-42')).length, 5) // every change is kept
