// An agent that is killed in the middle of a run goes on when it is started again, and pays only once.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Agent, tool } from 'tercet'
import { SqliteStore } from 'tercet/sqlite'
import { calls, ScriptedClient } from 'tercet/testing'

const folder = process.argv[2] ?? mkdtempSync(join(tmpdir(), 'killed-'))
const isFirst = process.argv[2] !== undefined
const payments = join(folder, 'payments.txt')

const pay = tool({
  name: 'pay',
  description: 'Pays a bill',
  parameters: { type: 'object', properties: { amount: { type: 'number' } }, required: ['amount'] },
  execute: ({ amount }, { idempotencyKey }) => {
    appendFileSync(payments, `${amount} for ${idempotencyKey}\n`)
    return 'paid'
  },
})
const answer = () => {
  if (isFirst) process.kill(process.pid, 'SIGKILL') // The bill is paid; the model is being asked what to say.
  return 'The rent is paid.'
}
const script = isFirst ? [calls(['pay', { amount: 900 }]), answer] : [answer]
const store = new SqliteStore({ path: join(folder, 'conversations.db') })
const agent = new Agent({ client: new ScriptedClient(script), tools: [pay], store })

if (isFirst) {
  await agent.run('Pay the rent.', { conversation: 'rent' })
} else {
  // The same program, as a process of its own. It does not come back.
  const { signal } = spawnSync(process.execPath, [import.meta.filename, folder])
  assert.equal(signal, 'SIGKILL')

  const [result] = await agent.recover()
  console.log(`${result?.conversationId}: ${result?.answer}`)
  assert.equal(result?.answer, 'The rent is paid.')
  assert.equal(readFileSync(payments, 'utf8').trim().split('\n').length, 1)
  await store.close()
  rmSync(folder, { recursive: true })
}
