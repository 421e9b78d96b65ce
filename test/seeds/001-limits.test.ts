import { describe, expect, it } from 'vitest'
import {
  type CallOptions,
  concurrency,
  type LLMClient,
  LLMError,
  type LLMRequest,
  QueueFullError,
  rateLimit,
  timeout,
  user,
} from '../../src/index.ts'
import { hangs, type Made, ScriptedClient, says, virtualClock } from '../../src/testing/index.ts'
import { thrownBy } from '../support/outcome.ts'

/** A request of so many tokens, as they are estimated. */
const tokens = (count: number): LLMRequest => ({ messages: [user('x'.repeat(count * 4))] })

/** A client on a virtual clock, and when it was called. */
function clocked(reply: (request: LLMRequest, options?: CallOptions) => Made = () => 'ok') {
  const { runtime } = virtualClock()
  const starts: number[] = []
  const client = (model = 'm'): LLMClient =>
    new ScriptedClient(
      (...given) => {
        starts.push(runtime.now())
        return reply(...given)
      },
      { model, runtime },
    )
  return { runtime, starts, client }
}

describe('seed 001, limits', () => {
  it('001-20 lets the third of two requests a minute start at exactly 30 s, and drops none', async () => {
    const { runtime, starts, client } = clocked()
    const limits = rateLimit({ requestsPerMinute: 2, runtime })
    const limited = limits(client())
    await Promise.all([1, 2, 3].map(() => limited.call(tokens(1))))
    expect(starts).toEqual([0, 0, 30_000])
  })

  it('001-20 keeps buckets of two clients apart', async () => {
    const { runtime, starts, client } = clocked()
    const limits = rateLimit({ requestsPerMinute: 1, runtime })
    await Promise.all([limits(client('a')).call(tokens(1)), limits(client('b')).call(tokens(1))])
    expect(starts).toEqual([0, 0])
  })

  it('001-20 takes limits of requests, of input and of output, and reserves output', async () => {
    const { runtime, starts, client } = clocked(() =>
      says('ok', { usage: { inputTokens: 10, outputTokens: 60 } }),
    )
    const limits = rateLimit({
      requestsPerMinute: 60,
      inputTokensPerMinute: 1000,
      outputTokensPerMinute: 100,
      minOutputReserve: 50,
      runtime,
    })
    const limited = limits(client('m'))
    await limited.call(tokens(10))
    expect(limits.status()['scripted/m']?.remaining).toEqual({
      requests: 59,
      inputTokens: 990,
      outputTokens: 40,
    })
    await limited.call(tokens(10))
    expect(starts).toEqual([0, 6000])
  })

  it('001-21 waits 18 s for 10 tokens after a response took 70 more than estimated', async () => {
    const { runtime, starts, client } = clocked(() =>
      says('ok', { usage: { inputTokens: 120, outputTokens: 1 } }),
    )
    const limits = rateLimit({ inputTokensPerMinute: 100, runtime })
    const limited = limits(client('m'))
    await limited.call(tokens(50))
    expect(limits.status()['scripted/m']?.remaining).toEqual({ inputTokens: -20 })
    await limited.call(tokens(10))
    expect(starts).toEqual([0, 18_000])
  })

  it('001-61 lets two requests through at once, and refuses those beyond the queue', async () => {
    const { starts, client } = clocked(() => says('ok', { delayMs: 10 }))
    const limited = concurrency({ max: 2, queueMax: 1 })(client())
    const calls = [1, 2, 3].map(() => limited.call(tokens(1)))
    expect(await thrownBy(limited.call(tokens(1)))).toBeInstanceOf(QueueFullError)
    await Promise.all(calls)
    expect(starts).toEqual([0, 0, 10])
  })

  it('001-63 gives up a client that hangs, which sees its signal aborted', async () => {
    const { runtime } = virtualClock()
    const inner = new ScriptedClient([hangs()])
    const error = await thrownBy(timeout({ requestMs: 50, runtime })(inner).call(tokens(1)))
    expect(error).toBeInstanceOf(LLMError)
    expect(error).toMatchObject({ kind: 'timeout' })
    expect([runtime.now(), inner.callOptions[0]?.signal?.aborted]).toEqual([50, true])
  })

  it('001-77 throttles each user by itself', async () => {
    const order: [string | undefined, number][] = []
    const { runtime, client } = clocked((_, options) => {
      order.push([options?.scope?.principal, runtime.now()])
      return 'ok'
    })
    const limits = rateLimit({ requestsPerMinute: 2, key: (_, { scope }) => scope?.principal ?? '', runtime })
    const limited = limits(client())
    const by = (principal: string) =>
      limited.call(tokens(1), { scope: { runId: 'r', conversationId: 'c', agent: 'a', principal } })
    await Promise.all([by('A'), by('A'), by('A'), by('B')])
    expect(order).toEqual([
      ['A', 0],
      ['A', 0],
      ['B', 0],
      ['A', 30_000],
    ])
  })
})
