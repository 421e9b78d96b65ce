import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { Agent, autonomous, TurnPruningMemory } from '../../src/index.ts'
import { SqliteStore } from '../../src/stores/sqlite.ts'
import { ScriptedClient } from '../../src/testing/index.ts'
import { runNode } from '../support/child.ts'
import { root } from '../support/repository.ts'

it('004-18 has a preset for work that takes many steps', () => {
  expect(autonomous).toEqual({ maxIterations: 50, timeoutMs: 300_000 })
})

it('004-53 has the history of three runs after the process that ran them is gone, also what was pruned', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tercet-restart-'))
  try {
    const path = join(folder, 'c.db')
    const program = `
      import { Agent } from './src/index.ts'
      import { SqliteStore } from './src/stores/sqlite.ts'
      import { ScriptedClient } from './src/testing/index.ts'
      const store = new SqliteStore({ path: ${JSON.stringify(path)} })
      const agent = new Agent({ client: new ScriptedClient(['One.', 'Two.', 'Three.']), store, conversationId: 'c' })
      for (const input of ['first', 'second', 'third']) await agent.run(input + ' '.repeat(400))
      process.kill(process.pid, 'SIGKILL')`
    const { code } = await runNode(['--input-type=module-typescript', '-e', program], { cwd: root })
    expect(code).toBeNull()

    const store = new SqliteStore({ path })
    const client = new ScriptedClient(['Four.'])
    const memory = new TurnPruningMemory({ maxTokens: 150, minRetainTurns: 1 })
    const agent = new Agent({ client, store, conversationId: 'c', memory })
    await agent.run('fourth')
    expect(JSON.stringify(client.requests[0]?.messages)).not.toContain('Two.')
    const said = agent.history.map(({ content }) => String(content).trim())
    expect(said).toEqual(['first', 'One.', 'second', 'Two.', 'third', 'Three.', 'fourth', 'Four.'])
    await store.close()
  } finally {
    rmSync(folder, { recursive: true })
  }
})
