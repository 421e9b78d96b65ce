import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CallOptions, LLMClient } from '../../src/client/client.ts'
import { user } from '../../src/messages.ts'
import { rateLimit } from '../../src/resilience/rate-limit.ts'
import { virtualClock } from '../../src/testing/clock.ts'
import { response } from '../support/paced-client.ts'
import { trials } from './support/law.ts'

/** A call, as it is made and as it turns out. */
interface Plan {
  readonly atMs: number
  readonly key: string
  readonly priority: number
  readonly estimate: number
  readonly used: number
  readonly latencyMs: number
  /** After so long its signal aborts. */
  readonly abortMs?: number
}

interface Limits {
  readonly requests: number
  readonly tokens: number
}

type Seen = readonly [what: 'comes' | 'starts' | 'ends' | 'goes', at: number, index: number]

/** Plays the calls, and tells in which order what happened. */
async function play(plans: readonly Plan[], { requests, tokens }: Limits): Promise<readonly Seen[]> {
  const { runtime } = virtualClock()
  const seen: Seen[] = []
  const plan = (options?: CallOptions): [number, Plan] => {
    const index = Number(options?.headers?.['index'])
    return [index, plans[index] as Plan] // every call has one
  }
  const inner: LLMClient = {
    provider: 'p',
    model: 'm',
    capabilities: { tools: true, streaming: false, structuredOutput: true, images: true },
    async call(_, options) {
      const [index, { latencyMs, used }] = plan(options)
      seen.push(['starts', runtime.now(), index])
      await runtime.sleep(latencyMs)
      seen.push(['ends', runtime.now(), index])
      return response('', { usage: { inputTokens: used, outputTokens: 0 } })
    },
  }
  const client = rateLimit({
    requestsPerMinute: requests,
    inputTokensPerMinute: tokens,
    key: (_, options) => plan(options)[1].key,
    priority: (_, options) => plan(options)[1].priority,
    runtime,
  })(inner)
  const one = async ({ atMs, estimate, abortMs }: Plan, index: number) => {
    await runtime.sleep(atMs)
    const controller = new AbortController()
    seen.push(['comes', runtime.now(), index])
    const over = new AbortController()
    if (abortMs !== undefined) {
      runtime.sleep(abortMs, over.signal).then(
        () => {
          if (!seen.some(([what, , started]) => what === 'starts' && started === index)) {
            seen.push(['goes', runtime.now(), index])
            controller.abort()
          }
        },
        () => {},
      )
    }
    const options = { headers: { index: String(index) }, signal: controller.signal }
    await client.call({ messages: [user('x'.repeat(estimate * 4))] }, options).catch(() => {})
    over.abort()
  }
  await Promise.all(plans.map(one))
  return seen
}

/**
 * An independent account of what was seen: fractions of tokens as they come back, one queue for each key. Every start has to be
 * that of the first in order, when there was enough for it, and not a millisecond later.
 */
function check(plans: readonly Plan[], limits: Limits, seen: readonly Seen[]): void {
  interface Account {
    at: number
    requests: number
    tokens: number
    queue: { index: number; rank: number }[]
  }
  const accounts = new Map<string, Account>()
  const accountOf = (key: string): Account => {
    const known = accounts.get(key) ?? { at: 0, ...limits, queue: [] }
    accounts.set(key, known)
    return known
  }
  const bring = (account: Account, at: number) => {
    const minutes = (at - account.at) / 60_000
    account.at = at
    account.requests = Math.min(limits.requests, account.requests + minutes * limits.requests)
    account.tokens = Math.min(limits.tokens, account.tokens + minutes * limits.tokens)
  }
  // Fractions are not exact, milliseconds are.
  const tiny = 1e-6
  const isEnough = ({ requests, tokens }: Account, index: number): boolean =>
    requests >= 1 - tiny && tokens >= Math.min(plans[index]?.estimate ?? 0, limits.tokens) - tiny
  const mostWaited = (at: number) => {
    for (const account of accounts.values()) {
      const [first] = account.queue
      if (!first) continue
      const before = { ...account }
      bring(before, at - 1)
      if (before.at >= account.at && isEnough(before, first.index))
        throw new Error(`call ${first.index} waits at ${at}`)
    }
  }
  for (const [what, at, index] of seen) {
    mostWaited(at)
    const { key, priority, estimate, used } = plans[index] as Plan // seen of it
    const account = accountOf(key)
    bring(account, at)
    if (what === 'comes') {
      account.queue.push({ index, rank: at - priority * 60_000 })
      account.queue.sort((a, b) => a.rank - b.rank)
    } else if (what === 'goes') {
      account.queue = account.queue.filter((each) => each.index !== index)
    } else if (what === 'starts') {
      expect(account.queue.shift()?.index).toBe(index)
      expect(isEnough(account, index)).toBe(true)
      account.requests -= 1
      account.tokens -= estimate
    } else account.tokens = Math.min(limits.tokens, account.tokens + estimate - used)
  }
  expect([...accounts.values()].flatMap(({ queue }) => queue)).toEqual([])
}

const startsOf = (seen: readonly Seen[]) =>
  seen.flatMap(([what, at, index]) => (what === 'starts' ? [[index, at] as const] : []))

/** In no window of whatever length may more start than were there at first and came back in it. */
function checkWindows(times: readonly number[], perMinute: number): void {
  for (const [first, from] of times.entries()) {
    for (let last = first; last < times.length; last++) {
      const most = perMinute + (((times[last] ?? 0) - from) * perMinute) / 60_000
      if (last - first + 1 > most + 1e-9)
        throw new Error(`${last - first + 1} from ${from} to ${times[last]}`)
    }
  }
}

describe('a rate limit keeps its law', () => {
  test('for 1,000 calls at once: exact times, first come first served, no window above the limit', async () => {
    const plans = Array.from({ length: 1000 }, (_, index): Plan => {
      return { atMs: 0, key: '', priority: 0, estimate: 1, used: 1, latencyMs: (index * 7919) % 5000 }
    })
    const starts = startsOf(await play(plans, { requests: 60, tokens: 1_000_000 }))
    expect(starts).toEqual(plans.map((_, index) => [index, Math.max(0, index - 59) * 1000]))
    checkWindows(
      starts.map(([, at]) => at),
      60,
    )
  })

  test('for 1,000 calls at once of three priorities: the higher first, and in their order within each', async () => {
    const plans = Array.from({ length: 1000 }, (_, index): Plan => {
      return { atMs: 0, key: '', priority: (index * 31) % 3, estimate: 10, used: 10, latencyMs: 5 }
    })
    const starts = startsOf(await play(plans, { requests: 10_000, tokens: 600 }))
    // Whoever comes first finds the bucket full.
    const atOnce = plans.flatMap((_, index) => (index < 60 ? [index] : []))
    const later = plans
      .map(({ priority }, index) => ({ priority, index }))
      .slice(60)
      .sort((a, b) => b.priority - a.priority)
      .map(({ index }) => index)
    expect(starts.map(([index]) => index)).toEqual([...atOnce, ...later])
    expect(starts.map(([, at]) => at)).toEqual(plans.map((_, index) => Math.max(0, index - 59) * 1000))
  })

  test('for any calls, whatever they take: as an account of it says that was made independently', async () => {
    const plan: fc.Arbitrary<Plan> = fc
      .record({
        atMs: fc.integer({ min: 0, max: 30_000 }),
        key: fc.constantFrom('a', 'b', 'c'),
        priority: fc.integer({ min: 0, max: 2 }),
        estimate: fc.integer({ min: 0, max: 150 }),
        used: fc.integer({ min: 0, max: 300 }),
        latencyMs: fc.integer({ min: 0, max: 20_000 }),
        abortMs: fc.option(fc.integer({ min: 0, max: 40_000 }), { nil: undefined }),
      })
      .map(({ abortMs, ...rest }) => ({ ...rest, ...(abortMs !== undefined && { abortMs }) }))
    const limits = fc.record({
      requests: fc.integer({ min: 1, max: 90 }),
      tokens: fc.integer({ min: 50, max: 3000 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(plan, { maxLength: 40 }), limits, async (plans, most) => {
        const seen = await play(plans, most)
        check(plans, most, seen)
        for (const key of ['a', 'b', 'c']) {
          const times = startsOf(seen).flatMap(([index, at]) => (plans[index]?.key === key ? [at] : []))
          checkWindows(times, most.requests)
        }
      }),
      trials(500),
    )
  })
})
