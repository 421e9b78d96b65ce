import { expect, test } from 'vitest'
import { z } from 'zod'
import { Agent, pricing, tool, UsageTracker, wrapClient } from '../../src/index.ts'
import { calls, fails, hangs, ScriptedClient, says, virtualClock } from '../../src/testing/index.ts'
import { thrownBy } from '../support/outcome.ts'

const usage = { inputTokens: 1000, outputTokens: 500 }
const prices = { cheap: { inputPerM: 1, outputPerM: 1 }, dear: { inputPerM: 10, outputPerM: 10 } }

test('adds up what several agents use, by provider, by model and by tool', async () => {
  const clock = virtualClock()
  const look = tool({
    name: 'look',
    description: 'Looks',
    parameters: z.object({ at: z.string() }),
    execute: async ({ at }) => {
      await clock.runtime.sleep(30)
      if (at === 'nothing') throw new Error('There is nothing.')
      return at
    },
  })
  const agentOf = (model: string, script: ConstructorParameters<typeof ScriptedClient>[0]) =>
    new Agent({
      client: wrapClient(new ScriptedClient(script, { provider: 'acme', model }), pricing({ prices })),
      tools: [look],
      runtime: clock.runtime,
    })
  const tracker = new UsageTracker()
  const cheap = agentOf('cheap', [
    { ...calls(['look', { at: 'here' }], ['look', { at: 'nothing' }]), usage },
    says('Done.', { usage }),
    says('Unheard.', { usage }),
  ])
  const dear = agentOf('dear', [says('Done.', { usage })])
  const stop = tracker.watch(cheap)
  tracker.watch(dear)
  await cheap.run('Look')
  await dear.run('Think')
  stop()
  await cheap.run('Again')

  const twice = { inputTokens: 2000, outputTokens: 1000, costUsd: 0.003 }
  const once = { ...usage, costUsd: 0.015 }
  const total = { inputTokens: 3000, outputTokens: 1500, costUsd: 0.018 }
  expect(tracker.report()).toEqual({
    calls: 3,
    total,
    byProvider: { acme: total },
    byModel: { 'acme/cheap': twice, 'acme/dear': once },
    byTool: { look: { calls: 2, failed: 1, durationMs: 60 } },
    costUsd: 0.018,
  })
})

test('has no cost when that of one call is not known, but those that are', async () => {
  const tracker = new UsageTracker()
  const known = new ScriptedClient([says('Hi.', { usage })], { model: 'cheap' })
  const unknown = new ScriptedClient([says('Hi.', { usage })], { model: 'other' })
  for (const client of [known, unknown]) {
    const agent = new Agent({ client: wrapClient(client, pricing({ prices })) })
    for await (const event of agent.runStream('Hi')) tracker.add(event)
  }
  const report = tracker.report()
  expect('costUsd' in report || 'costUsd' in report.total).toBe(false)
  expect(report.byModel).toEqual({ 'scripted/cheap': { ...usage, costUsd: 0.0015 }, 'scripted/other': usage })
})

test('counts replies that were cut off, and marks what is an estimate', async () => {
  const tracker = new UsageTracker()
  const client = new ScriptedClient([
    says('Long', { usage, stopReason: 'length' }),
    fails('invalid_request', { after: ['12345678'] }),
    hangs(['12345678']),
  ])
  const agent = new Agent({ client, timeoutMs: 20 })
  tracker.watch(agent)
  for (let run = 0; run < 3; run++) await thrownBy(agent.run('Hi'))
  expect(tracker.report().calls).toBe(3)
  expect(tracker.report().total).toEqual(agent.usage)
  expect(tracker.report().total).toMatchObject({ outputTokens: 504, estimated: true })
})

test('takes any name that a model makes up', () => {
  const tracker = new UsageTracker()
  const result = { callId: 'c', toolName: '__proto__', ok: false, output: '', durationMs: 1 }
  const execution = {
    type: 'tool_execution',
    runId: 'r',
    stepId: 's',
    callId: 'c',
    toolName: '__proto__',
  } as const
  tracker.add({ ...execution, status: 'started' })
  tracker.add({ ...execution, status: 'failed', result })
  expect(Object.entries(tracker.report().byTool)).toEqual([
    ['__proto__', { calls: 1, failed: 1, durationMs: 1 }],
  ])
})
