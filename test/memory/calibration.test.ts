import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Agent, type LLMRequest, MemoryStore, tool } from '../../src/index.ts'
import { Calibration } from '../../src/memory/calibration.ts'
import { TokenCounts } from '../../src/memory/tokens.ts'
import { calls, type Reply, ScriptedClient } from '../../src/testing/index.ts'

const model = { provider: 'p', model: 'm' }
const learned = (...ratios: readonly number[]) => {
  const calibration = new Calibration()
  for (const ratio of ratios) {
    const usage = { inputTokens: ratio * 1_000, outputTokens: 1 }
    calibration.learn({ ...model, usage, estimatedInputTokens: 1_000 })
  }
  return calibration.factorOf(model)
}

describe('the factor of a model', () => {
  test('is 1 as long as nothing is known, and also of every other model', () => {
    const calibration = new Calibration()
    expect(calibration.factorOf(model)).toBe(1)
    const usage = { inputTokens: 2_000, outputTokens: 1 }
    calibration.learn({ ...model, usage, estimatedInputTokens: 1_000 })
    expect(calibration.factorOf({ ...model, model: 'other' })).toBe(1)
    calibration.learn({ ...model, usage: { ...usage, estimated: true }, estimatedInputTokens: 250 })
    calibration.learn({ ...model, usage: { inputTokens: 500, outputTokens: 1 } })
    expect(calibration.factorOf(model)).toBeCloseTo(1.1 ** 8)
  })

  test('covers what was reported, in steps of a tenth, from a half to about four', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.55, max: 3.7, noNaN: true }), (ratio) => {
        const factor = learned(ratio)
        expect(Math.log(factor) / Math.log(1.1)).toBeCloseTo(Math.round(Math.log(factor) / Math.log(1.1)))
        // One step too high stays as it is.
        expect(factor).toBeGreaterThan(ratio * 0.999)
        expect(factor).toBeLessThan(ratio * 1.22)
      }),
    )
    expect(learned(7)).toBeCloseTo(1.1 ** 14)
    expect(learned(0.2)).toBeCloseTo(1.1 ** -7)
  })

  test('rises at once and falls only when it is clearly too high', () => {
    expect(learned(1.7)).toBeCloseTo(1.1 ** 6)
    expect(learned(1.7, 1.62)).toBeCloseTo(1.1 ** 6)
    expect(learned(1.7, 1.5)).toBeCloseTo(1.1 ** 6)
    expect(learned(1.7, 1.4)).toBeCloseTo(1.1 ** 4)
    expect(learned(1.2, 1.3)).toBeCloseTo(1.1 ** 3)
  })

  test('stays where it is while reports vary by less than a tenth', () => {
    fc.assert(
      fc.property(
        // From above: a factor that was never raised waits until it is clearly too high.
        fc.double({ min: 1, max: 3.5, noNaN: true }),
        fc.array(fc.double({ min: 0.955, max: 1, noNaN: true }), { maxLength: 20 }),
        (ratio, changes) => {
          expect(learned(ratio, ...changes.map((change) => ratio * change))).toBe(learned(ratio))
        },
      ),
    )
  })

  test.each([0, Number.NaN, 1e9, -5, Number.POSITIVE_INFINITY, 1])(
    'learns nothing from %d tokens',
    (inputTokens) => {
      const calibration = new Calibration()
      calibration.learn({ ...model, usage: { inputTokens, outputTokens: 1 }, estimatedInputTokens: 1_000 })
      expect(calibration.factorOf(model)).toBe(1)
    },
  )
})

const look = tool({
  name: 'look',
  description: 'Looks',
  parameters: { type: 'object', properties: {} },
  effect: 'read',
  repeatable: true,
  execute: () => 'found '.repeat(200),
})
const contextWindow = 10_000

/** A model that counts in its own way, and a long run with it. */
async function rounds(
  count: number,
  reported: (estimate: number, request: LLMRequest) => number,
  store = new MemoryStore(),
) {
  const counts = new TokenCounts()
  let made = 0
  const client = new ScriptedClient((request): Reply | string => {
    const usage = { inputTokens: reported(counts.request(request), request), outputTokens: 10 }
    return ++made % count === 0 ? { text: 'Done.', usage } : { ...calls(['look', { made }]), usage }
  })
  const agent = new Agent({
    client,
    tools: [look],
    store,
    contextWindow,
    maxOutputTokens: 500,
    maxIterations: 100,
  })
  const result = await agent.runStream('Look around.', { conversation: 'c' }).result
  return { client, agent, result, estimates: client.requests.map((request) => counts.request(request)) }
}

describe('a conversation with a model that counts otherwise', () => {
  test('is held to the real window from the second request on, and estimated within a tenth', async () => {
    const { estimates, result } = await rounds(60, (estimate) => Math.round(estimate * 1.7))
    expect(result.status).toBe('done')
    for (const estimate of estimates.slice(1)) expect(estimate * 1.7).toBeLessThanOrEqual(contextWindow - 500)
    // The window is used, too.
    expect(Math.max(...estimates) * 1.7).toBeGreaterThan(contextWindow * 0.75)
    expect(1.1 ** 6 / 1.7).toBeLessThan(1.1)
  })

  test('goes on with what it has learned in another process', async () => {
    const store = new MemoryStore()
    await rounds(60, (estimate) => Math.round(estimate * 1.7), store)
    const { estimates } = await rounds(2, (estimate) => Math.round(estimate * 1.7), store)
    expect((estimates[0] ?? 0) * 1.7).toBeLessThanOrEqual(contextWindow - 500)
    const replies = (await store.read('c')).flatMap((entry) => (entry.type === 'reply' ? [entry] : []))
    expect(replies.at(-1)?.estimatedInputTokens).toBe(estimates.at(-1))
  })

  test.each([0, Number.NaN, 1e9, -1])(
    'sends the same to a model that reports %d tokens',
    async (nonsense) => {
      const { client } = await rounds(40, () => nonsense)
      const usual = await rounds(40, (estimate) => estimate)
      expect(client.requests).toEqual(usual.client.requests)
    },
  )

  test('moves its cut in few of its requests although the model counts a little differently each time', async () => {
    let state = 1
    const noise = () => {
      state = (state * 16_807) % 2_147_483_647
      return 0.95 + (state / 2_147_483_647) * 0.05
    }
    const steady = await rounds(80, (estimate) => Math.round(estimate * 1.7))
    const noisy = await rounds(80, (estimate) => Math.round(estimate * 1.7 * noise()))
    const starts = ({ client }: { client: ScriptedClient }) =>
      new Set(client.requests.map(({ messages }) => JSON.stringify(messages[1]))).size
    expect(starts(noisy)).toBeLessThanOrEqual(starts(steady) + 2)
  })
})
