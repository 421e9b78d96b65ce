import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import type { LLMChunk, LLMRequest } from '../../src/client/client.ts'
import { ConfigurationError } from '../../src/errors.ts'
import { addUsage, noUsage, type Usage, user } from '../../src/messages.ts'
import type { ModelPrice } from '../../src/resilience/prices.ts'
import { costOf, type PricingOptions, pricing } from '../../src/resilience/pricing.ts'
import { says } from '../../src/testing/script.ts'
import { ScriptedClient } from '../../src/testing/scripted-client.ts'

const request: LLMRequest = { messages: [user('hi')] }
const usage: Usage = { inputTokens: 1000, outputTokens: 500 }
const price: ModelPrice = { inputPerM: 2, outputPerM: 8 }
// In force when these tests were written.
const runtime = { now: () => Date.UTC(2026, 9, 2) }

async function costOfCall(
  name: { provider: string; model: string },
  options: PricingOptions,
  reported = usage,
) {
  const client = pricing({ runtime, ...options })(
    new ScriptedClient([says('Hi.', { usage: reported })], name),
  )
  return (await client.call(request)).usage?.costUsd
}

describe('costOf', () => {
  test('charges cached, cache-write and reasoning tokens as what they are, each once', () => {
    const parts: Usage = {
      inputTokens: 1_000_000,
      cachedInputTokens: 600_000,
      cacheWriteTokens: 300_000,
      outputTokens: 500_000,
      reasoningTokens: 400_000,
    }
    const tiered = { inputPerM: 3, cachedPerM: 0.3, cacheWritePerM: 3.75, outputPerM: 15, reasoningPerM: 10 }
    expect(costOf(parts, tiered)).toBe(0.3 + 0.18 + 1.125 + 1.5 + 4)
    expect(costOf(parts, price)).toBe(6)
  })

  test('knows no cost of a usage that cannot be believed', () => {
    for (const odd of [Number.NaN, -1, Number.POSITIVE_INFINITY, 1e300, 1e8 + 1]) {
      expect(costOf({ ...usage, inputTokens: odd }, price)).toBeUndefined()
      expect(costOf({ ...usage, outputTokens: odd }, price)).toBeUndefined()
      expect(costOf({ ...usage, cachedInputTokens: odd, reasoningTokens: odd }, price)).toBe(0.006)
    }
    expect(costOf({ ...usage, cachedInputTokens: 5000 }, { ...price, cachedPerM: 1 })).toBe(0.005)
  })

  test('is never negative or more than all tokens at the dearest price, and exact in sums', () => {
    const perM = fc.double({ min: 0, max: 10_000, noNaN: true })
    const count = fc.oneof(fc.nat(1e8), fc.constantFrom(Number.NaN, -5, 1e300))
    const usages = fc.record({
      inputTokens: fc.nat(1e8),
      outputTokens: fc.nat(1e8),
      cachedInputTokens: count,
      cacheWriteTokens: count,
      reasoningTokens: count,
    })
    const prices = fc.record({
      inputPerM: perM,
      outputPerM: perM,
      cachedPerM: perM,
      cacheWritePerM: perM,
      reasoningPerM: perM,
    })
    fc.assert(
      fc.property(usages, prices, (used, each) => {
        const cost = costOf(used, each) ?? Number.NaN
        const { inputPerM, cachedPerM, cacheWritePerM, outputPerM, reasoningPerM } = each
        const dearest = {
          inputPerM: Math.max(inputPerM, cachedPerM, cacheWritePerM),
          outputPerM: Math.max(outputPerM, reasoningPerM),
        }
        const { inputTokens, outputTokens } = used
        expect(cost).toBeGreaterThanOrEqual(0)
        expect(cost).toBeLessThanOrEqual(costOf({ inputTokens, outputTokens }, dearest) ?? 0)
        expect(Number.isSafeInteger(Math.round(cost * 1e9))).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('sums of costs', () => {
  test('are the same in whatever order, to the last digit', () => {
    const costs = fc.array(fc.nat(1e12), { minLength: 1, maxLength: 50 })
    fc.assert(
      fc.property(costs, (nanoDollars) => {
        const usages = nanoDollars.map((nano): Usage => ({ ...usage, costUsd: nano / 1e9 }))
        const total = nanoDollars.reduce((sum, nano) => sum + nano, 0) / 1e9
        expect(usages.reduce(addUsage, noUsage).costUsd).toBe(total)
        expect(usages.reduceRight(addUsage, noUsage).costUsd).toBe(total)
      }),
      { numRuns: 2000 },
    )
    const tenCents = Array.from({ length: 3 }, (): Usage => ({ ...usage, costUsd: 0.1 }))
    expect(tenCents.reduce(addUsage, noUsage).costUsd).toBe(0.3)
  })

  test('are not known when one of them is not, unless it used nothing', () => {
    const priced = { ...usage, costUsd: 0.5 }
    expect(addUsage(priced, usage).costUsd).toBeUndefined()
    expect(addUsage(addUsage(usage, priced), priced).costUsd).toBeUndefined()
    expect(addUsage(noUsage, priced).costUsd).toBe(0.5)
    expect(addUsage(priced, noUsage).costUsd).toBe(0.5)
    expect('costUsd' in addUsage(noUsage, noUsage)).toBe(false)
  })
})

describe('pricing', () => {
  test('says what a call cost, called or streamed, and leaves the rest as it came', async () => {
    const inner = new ScriptedClient(() => says('Hi.', { usage }))
    const client = pricing({ prices: { 'scripted-1': price } })(inner)
    const response = await client.call(request)
    expect(response).toEqual({
      text: 'Hi.',
      toolCalls: [],
      stopReason: 'stop',
      usage: { ...usage, costUsd: 0.006 },
    })
    const chunks: LLMChunk[] = []
    for await (const chunk of client.stream?.(request) ?? []) chunks.push(chunk)
    expect(chunks).toEqual([
      { type: 'text', text: 'Hi.' },
      { type: 'end', response },
    ])
  })

  test('leaves what the provider billed, and a usage that was not reported', async () => {
    const prices = { 'scripted-1': price }
    const name = { provider: 'scripted', model: 'scripted-1' }
    expect(await costOfCall(name, { prices }, { ...usage, costUsd: 0.5 })).toBe(0.5)
    const silent = pricing({ prices })(new ScriptedClient([says('Hi.', { usage: 'absent' })]))
    expect('usage' in (await silent.call(request))).toBe(false)
  })

  test('charges the model that answered, not the one that was asked', async () => {
    const inner = new ScriptedClient([], { provider: 'a', model: 'dear' })
    const answering = {
      provider: inner.provider,
      model: inner.model,
      capabilities: inner.capabilities,
      call: async () => ({
        text: '',
        toolCalls: [],
        stopReason: 'stop' as const,
        usage,
        answeredBy: { provider: 'b', model: 'cheap' },
      }),
    }
    const prices = { dear: { inputPerM: 100, outputPerM: 100 }, 'b/cheap': price }
    expect((await pricing({ prices })(answering).call(request)).usage?.costUsd).toBe(0.006)
  })

  test('takes its own prices first, those of the provider before those of any', async () => {
    const gpt = { provider: 'openai', model: 'gpt-4o' }
    expect(await costOfCall(gpt, {})).toBe(0.0075)
    expect(await costOfCall(gpt, { prices: { 'gpt-4o': price } })).toBe(0.006)
    const both = { 'gpt-4o': price, 'openai/gpt-4o': { inputPerM: 1, outputPerM: 0 } }
    expect(await costOfCall(gpt, { prices: both })).toBe(0.001)
    for (const model of ['__proto__', 'constructor', 'toString'])
      expect(await costOfCall({ provider: 'openai', model }, {})).toBeUndefined()
  })

  test.each([
    ['openai', 'gpt-4o', 'openai/gpt-4o'],
    ['openai', 'gpt-4o-2024-08-06', 'openai/gpt-4o'],
    ['anthropic', 'claude-opus-5-5', 'anthropic/claude-opus-5-5'],
    ['anthropic', 'claude-sonnet-5', 'anthropic/claude-sonnet-5'],
    ['anthropic', 'claude-sonnet-4-20250514', 'anthropic/claude-sonnet-4-0'],
    ['anthropic', 'claude-sonnet-4-5-20250929', 'anthropic/claude-sonnet-4-5'],
    ['groq', 'llama-3.3-70b-versatile', 'groq/llama-3.3-70b-versatile'],
    ['openrouter', 'openai/gpt-5', 'openrouter/openai/gpt-5'],
    ['xai', 'grok-3', 'x-ai/grok-3'],
  ])('finds %s %s in the package', async (provider, model, found) => {
    const quote = await pricing({ runtime }).priceOf({ provider, model })
    expect(quote?.source).toBe(`@pydantic/genai-prices: ${found}`)
    expect(quote?.price.outputPerM).toBeGreaterThan(0)
  })

  test.each([
    ['anthropic', 'claude-sonnet-5-5', 'which only begins like one that it knows'],
    ['openai', 'gpt-6', 'which it does not know'],
    ['ollama', 'gpt-4o', 'which somebody else serves'],
    ['my-openai-proxy', 'gpt-4o', 'whose provider is only called like one'],
  ])('finds no price of %s %s, %s', async (provider, model) => {
    expect(await pricing({ runtime }).priceOf({ provider, model })).toBeUndefined()
    expect(await costOfCall({ provider, model }, {})).toBeUndefined()
  })

  test('charges more for long prompts where the provider does', async () => {
    const { priceOf } = pricing({ runtime })
    const gpt = { provider: 'openai', model: 'gpt-5.5' }
    expect((await priceOf(gpt, 271_999))?.price).toMatchObject({
      inputPerM: 5,
      cachedPerM: 0.5,
      outputPerM: 30,
    })
    expect((await priceOf(gpt, 272_000))?.price).toMatchObject({
      inputPerM: 10,
      cachedPerM: 1,
      outputPerM: 45,
    })
  })

  test('tells where a price is from, and when it was read', async () => {
    const dated = { ...price, asOf: '2026-10-02' }
    const quote = await pricing({ prices: { mine: dated } }).priceOf({ provider: 'p', model: 'mine' })
    expect(quote).toEqual({ price: dated, source: 'prices' })
  })

  test('goes by its own prices alone where the package is not installed', async () => {
    vi.resetModules()
    vi.doMock('@pydantic/genai-prices', () => {
      throw Object.assign(new Error("Cannot find package '@pydantic/genai-prices'"), {
        code: 'ERR_MODULE_NOT_FOUND',
      })
    })
    const { pricing } = await import('../../src/resilience/pricing.ts')
    const { priceOf } = pricing({ prices: { 'gpt-4o': price } })
    expect(await priceOf({ provider: 'openai', model: 'gpt-4o' })).toEqual({ price, source: 'prices' })
    expect(await priceOf({ provider: 'openai', model: 'gpt-5' })).toBeUndefined()
    vi.doUnmock('@pydantic/genai-prices')
    vi.resetModules()
  })

  test.each([
    ['prices', null],
    ['prices["m"]', { m: 5 }],
    ['prices["m"].inputPerM', { m: { outputPerM: 1 } }],
    ['prices["m"].inputPerM', { m: { inputPerM: -1, outputPerM: 1 } }],
    ['prices["m"].outputPerM', { m: { inputPerM: 1, outputPerM: Number.NaN } }],
    ['prices["m"].inputPerm', { m: { inputPerm: 1, outputPerM: 1 } }],
  ])('refuses %s', (path, prices) => {
    expect(() => pricing({ prices } as unknown as PricingOptions)).toThrow(
      expect.objectContaining({ code: 'configuration', path }),
    )
    expect(() => pricing({ price } as PricingOptions)).toThrow(ConfigurationError)
  })
})
