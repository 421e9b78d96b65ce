import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { Agent, addUsage, tool, UsageTracker } from '../../src/index.ts'
import { calls, ScriptedClient, says } from '../../src/testing/index.ts'
import { eventsOf } from './events-of.ts'

const look = tool({ name: 'look', description: 'Looks', parameters: z.object({}), execute: () => 'Nothing.' })
const usage = (inputTokens: number, outputTokens: number) => ({ usage: { inputTokens, outputTokens } })

describe('seed 000, usage', () => {
  it('000-18 reports what was used by model, agent and tool, also when a reply was truncated', async () => {
    const client = new ScriptedClient([
      { ...calls(['look']), ...usage(100, 20) },
      says('This goes on for', { stopReason: 'length', ...usage(150, 50) }),
    ])
    const agent = new Agent({ client, tools: [look] })
    const tracker = new UsageTracker()
    tracker.watch(agent)
    const stream = agent.runStream('Look')
    const told = (await eventsOf(stream)).flatMap((event) => (event.type === 'usage' ? event.usage : []))
    const result = await stream.result
    const total = { inputTokens: 250, outputTokens: 70 }
    expect([told.reduce(addUsage), result.usage, agent.usage]).toEqual([total, total, total])
    expect(tracker.report()).toMatchObject({
      calls: 2,
      total,
      byModel: { 'scripted/scripted-1': total },
      byTool: { look: { calls: 1, failed: 0 } },
    })
  })
})
