import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { Agent, batcher, runBatch, tool } from '../../src/index.ts'
import { calls, fails, ScriptedClient, virtualClock } from '../../src/testing/index.ts'

/** A batcher on a virtual clock: the sizes of its batches, when they began, and how long the next ones take. */
function recorded(options: { maxBatchSize: number; maxWaitMs: number; adaptive?: object }) {
  const clock = virtualClock({ auto: false })
  const sizes: number[] = []
  const times: number[] = []
  const latency = { ms: 0 }
  const batch = batcher<number, number>({
    ...options,
    runtime: clock.runtime,
    execute: async (items) => {
      sizes.push(items.length)
      times.push(clock.runtime.now())
      if (latency.ms > 0) await clock.runtime.sleep(latency.ms)
      return items
    },
  } as Parameters<typeof batcher<number, number>>[0])
  return { clock, sizes, times, latency, batch }
}

describe('seed 001, batches', () => {
  it('001-23 gathers what is asked for in one tick', async () => {
    const { batch, sizes, clock } = recorded({ maxBatchSize: 2, maxWaitMs: 20 })
    const results = Promise.all([1, 2, 3, 4, 5].map((item) => batch.enqueue(item)))
    await clock.advance(20)
    expect(await results).toEqual([1, 2, 3, 4, 5])
    expect(sizes).toEqual([2, 2, 1])
  })

  it('001-24 executes one item after maxWaitMs and not before, and a full batch at once', async () => {
    const { batch, sizes, times, clock } = recorded({ maxBatchSize: 2, maxWaitMs: 20 })
    const one = batch.enqueue(1)
    await clock.advance(19)
    expect(sizes).toEqual([])
    await clock.advance(1)
    await one
    expect(times).toEqual([20])
    await Promise.all([batch.enqueue(2), batch.enqueue(3)])
    expect(times).toEqual([20, 20])
    expect(clock.sleeps).toEqual([20, 20])
  })

  it('001-25 finds the size of its batches by how long they take', async () => {
    const adaptive = { min: 3, max: 9, targetLatencyMs: 100 }
    const { batch, latency, clock } = recorded({ maxBatchSize: 8, maxWaitMs: 0, adaptive })
    const sizeAfter = async (ms: number) => {
      latency.ms = ms
      const done = batch.enqueue(0)
      await clock.advance(0)
      await clock.advance(ms)
      await done
      return batch.batchSize
    }
    const sizes: number[] = []
    for (const ms of [200, 200, 200, 200, 200, 200, 50, 50]) sizes.push(await sizeAfter(ms))
    // Halved after three that were slow, never below the least; then one more each time.
    expect(sizes).toEqual([8, 8, 4, 4, 4, 3, 4, 5])
    for (let count = 0; count < 9; count += 1) await sizeAfter(50)
    expect(batch.batchSize).toBe(9)
  })

  it('001-62 runs ten inputs, three at once, and loses none for one that fails', async () => {
    const clock = virtualClock()
    let now = 0
    let most = 0
    const client = new ScriptedClient(async ({ messages }) => {
      const input = String(messages[0]?.content)
      most = Math.max(most, ++now)
      await clock.runtime.sleep(100 - Number(input))
      now -= 1
      return input === '4' ? fails('auth') : `${input}!`
    })
    const agent = new Agent({ client, runtime: clock.runtime })
    const inputs = Array.from({ length: 10 }, (_, index) => String(index))
    const results = await runBatch(agent, inputs, { concurrency: 3 })
    expect(results.map(({ answer, error }) => answer ?? error?.code)).toEqual(
      inputs.map((input) => (input === '4' ? 'llm' : `${input}!`)),
    )
    expect(most).toBe(3)
  })

  it('001-65 shows the model both results when one of two tools fails', async () => {
    // minSuccess is of fan-out, which is to come; results of a batch are settled ones (001-62).
    const parameters = z.object({})
    const works = tool({ name: 'works', description: 'Works', parameters, execute: () => 'fine' })
    const breaks = tool({
      name: 'breaks',
      description: 'Breaks',
      parameters,
      execute: () => {
        throw new Error('broken pipe')
      },
    })
    const client = new ScriptedClient([calls(['breaks'], ['works']), 'One of two.'])
    expect(await new Agent({ client, tools: [works, breaks] }).run('Try.')).toBe('One of two.')
    const shown = client.requests[1]?.messages.slice(-2).map(({ content }) => content)
    expect(shown).toEqual([expect.stringContaining('broken pipe'), 'fine'])
  })
})
