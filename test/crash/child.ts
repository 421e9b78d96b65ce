import { PostgresStore } from '../../src/stores/postgres.ts'
import { SqliteStore } from '../../src/stores/sqlite.ts'
import { compactingAgent } from './compacting-run.ts'
import type { ChildOrder } from './crash-kit.ts'
import { scriptedAgent } from './scripted-run.ts'

/** A process that runs, or recovers, until it ends or kills itself at the boundary it was told. */
const order = JSON.parse(process.argv[2] ?? '') as ChildOrder // written by crash-kit.ts

let boundaries = 0
const boundary = () => {
  if (++boundaries === order.dieAt) process.kill(process.pid, 'SIGKILL')
}

const store = 'path' in order.store ? new SqliteStore(order.store) : new PostgresStore(order.store)
const { folder, pretended, slowMs } = order
const world = { store, folder, boundary, pretended, slowMs }
const agent = order.compacts ? compactingAgent(world) : scriptedAgent(world)
process.stdout.write('ready\n')
if (order.conversation !== undefined && (await isNew(order.conversation))) {
  await agent.run(order.conversation, { conversation: order.conversation })
} else if (order.conversation !== undefined) {
  await agent.resume(order.conversation)
} else {
  for (const { conversationId, status, error } of await agent.recover()) {
    if (status !== 'done') throw new Error(`${conversationId} is ${status}: ${error?.message}`)
  }
}
await store.close()
process.stdout.write(`${boundaries}\n`)

async function isNew(id: string): Promise<boolean> {
  await store.init()
  return (await store.read(id)).length === 0
}
