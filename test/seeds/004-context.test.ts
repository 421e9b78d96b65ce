import { describe, expect, it } from 'vitest'
import { Agent } from '../../src/index.ts'
import { TokenCounts } from '../../src/memory/tokens.ts'
import { calls, ScriptedClient } from '../../src/testing/index.ts'
import { look } from './look.ts'

describe('seed 004, the context window', () => {
  it('004-51 takes no request for more than nine tenths of the window', async () => {
    const contextWindow = 2_000
    let made = 0
    const client = new ScriptedClient(() => (++made < 40 ? calls(['look', { made }]) : 'done'))
    const agent = new Agent({ client, tools: [look], contextWindow, maxOutputTokens: 1, maxIterations: 50 })
    await agent.run('Look around.')
    const counts = new TokenCounts()
    const estimates = client.requests.map((request) => counts.request(request))
    expect(estimates.length).toBeGreaterThan(30)
    expect(Math.max(...estimates)).toBeLessThanOrEqual(0.9 * contextWindow)
    expect(Math.max(...estimates)).toBeGreaterThan(0.7 * contextWindow)
  })
})
