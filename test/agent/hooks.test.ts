import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { Agent, secret, ToolSet, tool } from '../../src/index.ts'
import { calls, checkEvents, ScriptedClient } from '../../src/testing/index.ts'
import { eventsOf } from '../seeds/events-of.ts'
import { until } from '../support/outcome.ts'
import { watchRejections } from './aftermath.ts'

watchRejections()
const parameters = { type: 'object', properties: { n: { type: 'number' } } }
const one = tool({ name: 'one', description: 'one', parameters, execute: () => 'fine' })
const KEY = 'sk-very-secret-key-123'
const set = () => new ToolSet({ name: 's', description: 's', config: { apiKey: secret(KEY) }, tools: [one] })

it('an answer that was told stands, also when the run is stopped while a hook hears of it', async () => {
  const agent = new Agent({
    client: new ScriptedClient(['Hi.']),
    hooks: { onMessage: ({ role }) => (role === 'assistant' ? new Promise(() => {}) : undefined) },
  })
  const stream = agent.runStream('x')
  agent.on('final_response', () => {
    globalThis.setImmediate(() => stream.abort())
  })
  const r = await stream.result
  expect([r.status, r.answer]).toEqual(['done', 'Hi.'])
})

it('hooks of a stopped run are not gone on with, and what they throw is not told', async () => {
  let go = (_: unknown) => {}
  let asked = false
  let second = 0
  const agent = new Agent({
    client: new ScriptedClient(['Hi.']),
    hooks: [
      {
        beforeModel: () =>
          new Promise((_, reject) => {
            go = reject
            asked = true
          }),
      },
      {
        beforeModel: () => {
          second++
        },
      },
    ],
  })
  const heard: string[] = []
  for (const t of ['diagnostic', 'run_end'] as const) agent.on(t, (e) => heard.push(e.type))
  const s = agent.runStream('x')
  void s.result
  await until(() => asked)
  s.abort()
  await s.result
  go(new Error('late'))
  await setImmediate()
  expect([heard, second]).toEqual([['run_end'], 0])
})

it('a secret that a hook puts into the request in place is not sent', async () => {
  const client = new ScriptedClient(['Hi.'])
  await new Agent({
    client,
    tools: [set()],
    hooks: {
      beforeModel: (request) => {
        Object.assign(request, { system: `key ${KEY}` })
      },
    },
  }).run('x')
  expect(JSON.stringify(client.requests)).not.toContain(KEY)
})

it('a hook may give back a part of a result', async () => {
  const client = new ScriptedClient([calls(['one', { n: 1 }]), 'Hi.'])
  const events = await eventsOf(
    new Agent({ client, tools: [one], hooks: { afterTool: () => ({ output: 'short' }) as never } }).runStream(
      'x',
    ),
  )
  expect(checkEvents(events)).toBe(undefined)
  expect(events.find((e) => e.type === 'tool_results')).toMatchObject({
    results: [{ toolName: 'one', ok: true, output: 'short' }],
  })
})

it('a hook cannot spoil a result', async () => {
  const client = new ScriptedClient([calls(['one', { n: 1 }]), 'Hi.'])
  const agent = new Agent({
    client,
    tools: [one],
    hooks: { afterTool: () => ({ callId: 'x', output: { a: 1 } }) as never },
  })
  const events = await eventsOf(agent.runStream('x'))
  expect(checkEvents(events)).toBe(undefined)
  expect(events.at(-1)).toMatchObject({ status: 'done' })
  expect(agent.history.map((m) => m.content)).toEqual(['x', '', 'fine', 'Hi.'])
})

it('a hook cannot spoil a request', async () => {
  const agent = new Agent({
    client: new ScriptedClient(['Hi.']),
    hooks: { beforeModel: () => ({}) as never },
  })
  const r = await agent.runStream('x').result
  expect(r).toMatchObject({ status: 'done' })
})

it('a step is kept whole when the run is stopped before one of its calls began', async () => {
  const client = new ScriptedClient([calls(['one', { n: 1 }, 'a'], ['one', { n: 2 }, 'b'])])
  const reached = new Set<string>()
  const agent = new Agent({
    client,
    tools: [one],
    hooks: {
      beforeTool: ({ id }) => {
        if (id !== 'b') return undefined
        reached.add(id)
        return new Promise(() => {})
      },
    },
  })
  agent.on('tool_execution', ({ callId, status }) => {
    if (status === 'completed') reached.add(callId)
  })
  const s = agent.runStream('x')
  void s.result
  await until(() => reached.size === 2)
  s.abort()
  expect((await s.result).steps.map((x) => x.results.map((r) => r.ok))).toEqual([[true, false]])
})
