import { describe, expect, it } from 'vitest'
import {
  Agent,
  budget,
  costOf,
  type LLMRequest,
  pricing,
  UsageTracker,
  user,
  wrapClient,
} from '../../src/index.ts'
import { ScriptedClient, says, virtualClock } from '../../src/testing/index.ts'
import { eventsOf } from './events-of.ts'

/** A prompt of 10 tokens that may be answered with 10. */
const request: LLMRequest = { messages: [user('x'.repeat(40))], params: { maxOutputTokens: 10 } }
const ninety = says('Hi.', { usage: { inputTokens: 60, outputTokens: 30 } })

describe('seed 001, budgets', () => {
  it('001-19 refuses a call that does not fit, before its request is sent', async () => {
    const inner = new ScriptedClient([ninety])
    const client = wrapClient(inner, budget({ tokens: 100 }))
    await client.call(request)
    await expect(client.call(request)).rejects.toMatchObject({
      name: 'BudgetExceededError',
      code: 'budget_exceeded',
      limit: 'tokens',
      asked: 20,
      remaining: 10,
    })
    expect(inner.calls).toBe(1)
  })

  it('001-22 reports usage by provider and by model, which add up to the total and to the events', async () => {
    const reply = () => says('Hi.', { usage: { inputTokens: 7, outputTokens: 3 } })
    const tracker = new UsageTracker()
    const clients = [
      new ScriptedClient(reply, { provider: 'one', model: 'a' }),
      new ScriptedClient(reply, { provider: 'two', model: 'b' }),
    ]
    const [one, two] = clients.map((client) => new Agent({ client })) as [Agent, Agent] // as many as clients
    for (const agent of [one, two]) tracker.watch(agent)
    let told = 0
    for (const agent of [one, two, one]) {
      for (const event of await eventsOf(agent.runStream('Hi'))) {
        if (event.type === 'usage') told += event.usage.inputTokens + event.usage.outputTokens
      }
    }
    const { total, byModel, byProvider, calls } = tracker.report()
    const sum = (parts: object) =>
      Object.values(parts).reduce(
        (tokens, { inputTokens, outputTokens }) => tokens + inputTokens + outputTokens,
        0,
      )
    expect(Object.keys(byModel)).toEqual(['one/a', 'two/b'])
    expect([calls, sum({ total }), sum(byModel), sum(byProvider), told]).toEqual([3, 30, 30, 30, 30])
  })

  it('001-78 says what remains, and refills when a window is over', async () => {
    const clock = virtualClock()
    const inner = new ScriptedClient(() => ninety)
    const spending = budget({ tokens: 100, windowMs: 60_000, runtime: clock.runtime })
    const client = wrapClient(inner, spending)
    await client.call(request)
    expect(spending.remaining()).toEqual({ tokens: 10 })
    await clock.advance(60_000)
    expect(spending.remaining()).toEqual({ tokens: 100 })
    await client.call(request)
    expect(inner.calls).toBe(2)
  })

  it('001-79 charges by the prices of a model, and knows no cost without them', async () => {
    const usage = { inputTokens: 1_000_000, outputTokens: 500_000 }
    const price = { inputPerM: 2, outputPerM: 8 }
    expect(costOf(usage, price)).toBe(6)
    const script = () => says('Hi.', { usage })
    const priced = new ScriptedClient(script, { model: 'priced' })
    const unpriced = new ScriptedClient(script, { model: 'unpriced' })
    const middleware = pricing({ prices: { priced: price } })
    expect((await middleware(priced).call(request)).usage?.costUsd).toBe(6)
    expect((await middleware(unpriced).call(request)).usage).toEqual(usage)
    const spending = budget({ usd: 5, prices: { priced: price } })
    await spending(priced).call(request)
    expect(spending.spent()).toEqual({ usd: 6 })
    await expect(spending(priced).call(request)).rejects.toMatchObject({ limit: 'usd', remaining: 0 })
  })
})
