import { describe, expect, it } from 'vitest'
import { Agent } from '../../src/index.ts'
import { calls, ScriptedClient } from '../../src/testing/index.ts'
import { look } from './look.ts'

describe('seed 003, the context window', () => {
  it('003-32 counts tokens locally: no count is a client call', async () => {
    let counted = 0
    const client = new ScriptedClient([calls(['look', {}]), 'done'])
    const agent = new Agent({
      client,
      tools: [look],
      contextWindow: 4_000,
      countTokens: (text) => {
        counted++
        return text.length
      },
    })
    await agent.run('Look around.')
    expect(counted).toBeGreaterThan(0)
    expect(client.calls).toBe(2)
  })
})
