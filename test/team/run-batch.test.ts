import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  type AgentOptions,
  approve,
  MemoryStore,
  type RunResult,
  StoreError,
  secret,
  ToolSet,
  tool,
  user,
} from '../../src/index.ts'
import { type BatchProgress, runBatch } from '../../src/team/run-batch.ts'
import { virtualClock } from '../../src/testing/clock.ts'
import { calls, fails, type Made } from '../../src/testing/script.ts'
import { ScriptedClient } from '../../src/testing/scripted-client.ts'
import { thrownBy, until } from '../support/outcome.ts'

/** An agent that answers `input!`, or as `answers` says, and the inputs its model was asked. */
function echoing(
  answers: Record<string, Made | (() => Made | Promise<Made>)> = {},
  options: Partial<AgentOptions> = {},
) {
  const asked: string[] = []
  const client = new ScriptedClient(async ({ messages }) => {
    const input = String(messages.findLast(({ role }) => role === 'user')?.content)
    asked.push(input)
    const answer = answers[input]
    return (typeof answer === 'function' ? await answer() : answer) ?? `${input}!`
  })
  const { runtime } = virtualClock()
  return { asked, client, agent: new Agent({ client, retry: false, runtime, ...options }) }
}

const outcomes = (results: readonly RunResult[]) =>
  results.map(({ status, answer, error }) => answer ?? `${status} ${error?.code}`)

describe('runBatch', () => {
  test('gives what each input came to, in their order, and runs so many at once', async () => {
    const releases: (() => void)[] = []
    let most = 0
    let now = 0
    const held = async () => {
      now += 1
      most = Math.max(most, now)
      await new Promise<void>((resolve) => releases.unshift(resolve))
      now -= 1
      return 'held'
    }
    const inputs = ['a', 'b', 'c', 'd', 'e']
    const { agent, asked } = echoing(Object.fromEntries(inputs.map((input) => [input, held])))
    const progress: number[][] = []
    const running = runBatch(agent, inputs, {
      concurrency: 2,
      onProgress: ({ index, ended, total }) => progress.push([index, ended, total]),
    })
    for (let done = 0; done < 5; done += 1) {
      await until(() => releases.length === Math.min(2, 5 - done))
      releases.shift()?.()
      await until(() => progress.length === done + 1)
    }
    expect((await running).map(({ answer }) => answer)).toEqual(inputs.map(() => 'held'))
    expect([most, asked]).toEqual([2, inputs])
    // The one that began last was let go first.
    expect(progress).toEqual([
      [1, 1, 5],
      [2, 2, 5],
      [3, 3, 5],
      [4, 4, 5],
      [0, 5, 5],
    ])
  })

  test('loses nothing of the others when one fails, and keeps nothing without an id', async () => {
    const store = new MemoryStore()
    const { agent } = echoing({ b: fails('auth') }, { store })
    const told: BatchProgress[] = []
    const results = await runBatch(agent, ['a', 'b', 'c'], {
      onProgress: (progress) => {
        told.push(progress)
        throw new Error('listener')
      },
    })
    expect(outcomes(results)).toEqual(['a!', 'failed llm', 'c!'])
    expect(told.at(-1)).toMatchObject({ ended: 3, unanswered: 1, total: 3 })
    expect(results.map(({ history }) => history[0])).toEqual(['a', 'b', 'c'].map((input) => user(input)))
    expect(await store.list()).toEqual([])
    expect(agent.history).toEqual([])
  })

  test('goes on where it was: what is done is not asked again', async () => {
    const store = new MemoryStore()
    const first = echoing({ b: fails('auth') }, { store })
    const once = await runBatch(first.agent, ['a', 'b', 'c'], { batchId: 'night' })
    expect(once.map(({ conversationId }) => conversationId)).toEqual(['night/0', 'night/1', 'night/2'])
    // Another process.
    const second = echoing({}, { store })
    const results = await runBatch(second.agent, ['a', 'b', 'c', 'd'], { batchId: 'night', concurrency: 1 })
    expect(outcomes(results)).toEqual(['a!', 'b!', 'c!', 'd!'])
    expect(second.asked).toEqual(['b', 'd'])
    expect(results[0]).toMatchObject({ runId: once[0]?.runId, usage: once[0]?.usage })
    expect(await runBatch(second.agent, ['a'], { batchId: 'night' })).toMatchObject([{ answer: 'a!' }])
    expect(second.asked).toEqual(['b', 'd'])
  })

  test('refuses an id that other inputs were run under, and stops what it had begun', async () => {
    const store = new MemoryStore()
    await runBatch(echoing({}, { store }).agent, ['a', 'b'], { batchId: 'x' })
    const { agent, asked } = echoing({ new: { hangs: true } }, { store })
    const error = await thrownBy(runBatch(agent, ['a', 'other', 'new'], { batchId: 'x' }))
    expect(error).toMatchObject({ code: 'configuration', path: 'inputs[1]' })
    expect([agent.status, asked.filter((input) => input === 'other')]).toEqual(['idle', []])
  })

  test('knows its inputs again where a secret was taken out of them', async () => {
    const store = new MemoryStore()
    const config = { key: secret('sk-0123456789') }
    const run = async () => {
      const { agent, asked } = echoing(
        {},
        { store, tools: [new ToolSet({ name: 's', description: 'S', config, tools: [] })] },
      )
      return [outcomes(await runBatch(agent, ['is it sk-0123456789?'], { batchId: 'x' })), asked.length]
    }
    const answers = ['is it [secret:key]?!']
    expect([await run(), await run()]).toEqual([
      [answers, 1],
      [answers, 0],
    ])
  })

  test('leaves those that wait for approval waiting, and gives their answer once they were decided', async () => {
    let paid = 0
    const pay = tool({
      name: 'pay',
      description: 'Pays',
      parameters: z.object({}),
      execute: () => `${++paid}`,
    })
    const client = new ScriptedClient(({ messages }) =>
      messages.at(-1)?.role === 'tool' ? 'Paid.' : calls(['pay', {}, 'p']),
    )
    const agent = new Agent({ client, tools: [pay], policy: { confirm: ['pay'] }, store: new MemoryStore() })
    const batch = () => runBatch(agent, ['one', 'two'], { batchId: 'pay' })
    for (const results of [await batch(), await batch()]) {
      expect(results.map(({ status }) => status)).toEqual(['suspended', 'suspended'])
    }
    await agent.resume('pay/1', { decisions: { p: approve() } })
    expect((await batch()).map(({ status }) => status)).toEqual(['suspended', 'done'])
    expect([paid, client.calls]).toEqual([1, 3])
  })

  test('stops at once when its signal aborts, and sends nothing for those that had not begun', async () => {
    for (const batchId of [undefined, 'x']) {
      const controller = new AbortController()
      const { agent, asked } = echoing({ b: { hangs: true } }, { store: new MemoryStore() })
      const running = runBatch(agent, ['a', 'b', 'c'], {
        concurrency: 1,
        signal: controller.signal,
        ...(batchId && { batchId }),
      })
      await until(() => asked.length === 2)
      controller.abort('enough')
      const results = await running
      expect(outcomes(results)).toEqual(['a!', 'aborted aborted', 'aborted aborted'])
      expect(results[2]?.error).toMatchObject({ reason: 'enough' })
      expect(asked).toEqual(['a', 'b'])
    }
  })

  test('makes one of the results of a store that fails', async () => {
    class Failing extends MemoryStore {
      override async read(id: string): Promise<never[]> {
        if (id === 'x/1') throw new StoreError('down')
        return []
      }
    }
    const { agent } = echoing({}, { store: new Failing() })
    const results = await runBatch(agent, ['a', 'b', 'c'], { batchId: 'x' })
    expect(outcomes(results)).toEqual(['a!', 'failed store', 'c!'])
  })

  test('gives every run its options, and refuses wrong ones before anything is run', async () => {
    const { agent, asked, client } = echoing()
    await runBatch(agent, ['a'], { params: { temperature: 0 }, principal: 'acme' })
    expect(client.requests[0]?.params).toEqual({ temperature: 0 })
    expect(client.callOptions[0]?.scope?.principal).toBe('acme')
    for (const [inputs, options, path] of [
      [['b', 7], {}, 'inputs[1]'],
      ['b', {}, 'inputs'],
      [['b'], { concurrency: 0 }, 'concurrency'],
      [['b'], { batch: 'x' }, 'batch'],
      [['b'], { maxIterations: 0 }, 'maxIterations'],
    ] as const) {
      const error = await thrownBy(runBatch(agent, inputs as never, options as never))
      expect(error).toMatchObject({ code: 'configuration', path })
    }
    expect(asked).toEqual(['a'])
  })
})
