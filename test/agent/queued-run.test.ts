import { expect, test } from 'vitest'
import { z } from 'zod'
import { Agent } from '../../src/agent/agent.ts'
import { virtualClock } from '../../src/testing/clock.ts'
import { calls } from '../../src/testing/script.ts'
import { ScriptedClient } from '../../src/testing/scripted-client.ts'
import { tool } from '../../src/tools/define.ts'

const ping = tool({
  name: 'ping',
  description: 'Pings',
  parameters: z.object({}),
  execute: () => 'pong',
})

test('does not count the time that a run waits for its turn against its timeout', async () => {
  const { runtime } = virtualClock()
  const client = new ScriptedClient([{ text: 'slow', delayMs: 900 }, calls(['ping']), 'done'], { runtime })
  const agent = new Agent({ client, tools: [ping], runtime, timeoutMs: 1000, onLimit: 'land' })

  const [, second] = await Promise.all([agent.runStream('one').result, agent.runStream('two').result])

  // Landing, for which the last fifth of the time is kept, would have taken the tools away.
  expect([second.status, second.landed, second.steps.length]).toEqual(['done', undefined, 1])
})
