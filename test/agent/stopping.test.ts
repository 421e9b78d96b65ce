import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { AgentEvent } from '../../src/events.ts'
import { Agent, tool } from '../../src/index.ts'
import { calls, hangs, ScriptedClient, virtualClock } from '../../src/testing/index.ts'

/** How many turns of the event loop pass before `promise` settles: no timer is among them. */
async function turnsUntil(promise: Promise<unknown>): Promise<number> {
  let settled = false
  promise.then(() => {
    settled = true
  })
  for (let turns = 0; turns < 100; turns++) {
    if (settled) return turns
    await turn()
  }
  return Number.POSITIVE_INFINITY
}

/** Never takes notice of anything. */
const stubborn = tool({
  name: 'stubborn',
  description: 'Never ends',
  parameters: { type: 'object', properties: {} },
  execute: () => new Promise(() => {}),
})

/** Stops when it is told to. */
const polite = tool({
  name: 'polite',
  description: 'Ends when it is stopped',
  parameters: { type: 'object', properties: {} },
  execute: (_, { signal }) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true })),
})

async function until(events: AsyncIterator<AgentEvent, undefined>, type: AgentEvent['type']): Promise<void> {
  for (;;) {
    const { value } = await events.next()
    if (value === undefined || value.type === type) return
  }
}

test('an abort in the middle of an answer ends the run in the same turn of the event loop', async () => {
  const agent = new Agent({ client: new ScriptedClient([hangs(['Once upon'])]) })
  const run = agent.runStream('Tell me a story')
  const { result } = run
  await until(run[Symbol.asyncIterator](), 'token')
  run.abort('enough')
  expect(await turnsUntil(result)).toBeLessThanOrEqual(1)
  expect(await result).toMatchObject({ status: 'aborted', partial: 'Once upon', usage: { estimated: true } })
})

test('an abort while a tool works that heeds its signal ends the run in the same turn', async () => {
  const agent = new Agent({ client: new ScriptedClient([calls(['polite', {}])]), tools: [polite] })
  const run = agent.runStream('Go')
  const { result } = run
  const events = run[Symbol.asyncIterator]()
  await until(events, 'tool_execution')
  const pending = events.next()
  await turn()
  run.abort()
  expect(await turnsUntil(result)).toBeLessThanOrEqual(2)
  expect((await result).history.at(-1)).toMatchObject({ role: 'tool', ok: false })
  await pending
})

test('a tool that ignores its signal is left behind after graceMs, and not a moment later', async () => {
  const clock = virtualClock({ auto: false })
  const agent = new Agent({
    client: new ScriptedClient([calls(['stubborn', {}])]),
    tools: [stubborn],
    graceMs: 30,
    runtime: clock.runtime,
  })
  const run = agent.runStream('Go')
  const { result } = run
  for (let turns = 0; turns < 20; turns++) await turn()
  run.abort()
  await clock.advance(29)
  let settled = false
  result.then(() => {
    settled = true
  })
  await turn()
  expect(settled).toBe(false)
  await clock.advance(1)
  expect(await turnsUntil(result)).toBeLessThanOrEqual(2)
  expect(await result).toMatchObject({ status: 'aborted' })
  expect(clock.pending).toBe(0)
})

test('leaving the loop waits until the run has stopped, within the same turn', async () => {
  const agent = new Agent({ client: new ScriptedClient([hangs(['One', ' two'])]) })
  const run = agent.runStream('Count')
  const left = (async () => {
    for await (const event of run) if (event.type === 'token') break
  })()
  expect(await turnsUntil(left)).toBeLessThanOrEqual(3)
  expect((await run.result).status).toBe('aborted')
})
