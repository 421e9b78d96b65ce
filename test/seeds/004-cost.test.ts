import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { Agent, pricing, tool, wrapClient } from '../../src/index.ts'
import { calls, ScriptedClient, says } from '../../src/testing/index.ts'
import { eventsOf } from './events-of.ts'

const look = tool({ name: 'look', description: 'Looks', parameters: z.object({}), execute: () => 'Nothing.' })
const usage = { inputTokens: 1_000_000, outputTokens: 100_000 }

describe('seed 004, cost', () => {
  it('004-55 tells what a run cost, which is the sum over its calls, and nothing where a price is unknown', async () => {
    const prices = { priced: { inputPerM: 0.1, outputPerM: 2 } }
    const runOf = async (model: string) => {
      const client = new ScriptedClient([{ ...calls(['look']), usage }, says('Nothing.', { usage })], {
        model,
      })
      const stream = new Agent({ client: wrapClient(client, pricing({ prices })), tools: [look] }).runStream(
        'Look',
      )
      const costs = (await eventsOf(stream)).flatMap((event) =>
        event.type === 'usage' ? [event.usage.costUsd] : [],
      )
      return { costs, result: await stream.result }
    }
    const priced = await runOf('priced')
    expect(priced.costs).toEqual([0.3, 0.3])
    expect([priced.result.usage.costUsd, priced.result.cost]).toEqual([0.6, { usd: 0.6 }])
    const unpriced = await runOf('unpriced')
    expect(unpriced.costs).toEqual([undefined, undefined])
    expect('cost' in unpriced.result || 'costUsd' in unpriced.result.usage).toBe(false)
  })
})
