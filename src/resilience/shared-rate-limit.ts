import { untilAborted } from '../abort.ts'
import type { CallOptions, ClientMiddleware, LLMClient, LLMRequest, ModelName } from '../client/client.ts'
import { clientError } from '../client/thrown.ts'
import { ConfigurationError, StoreError } from '../errors.ts'
import { type Check, checkMembers, checkOptions, fn, object, optional } from '../options.ts'
import { type Runtime, runtimeCheck, systemRuntime } from '../runtime.ts'
import { metered } from './metered.ts'

/** A limiter of the package rate-limiter-flexible, such as its `RateLimiterPostgres` or `RateLimiterRedis`. */
export interface SharedLimiter {
  /** How many points there are in a window. */
  readonly points?: number
  /** Takes points of a key. Rejects with an object that has `msBeforeNext` if they are not there. */
  consume(key: string, points?: number): Promise<unknown>
}

export interface SharedRateLimitOptions {
  /** Made by you, with its `points`, its `duration` in seconds, and its store. */
  readonly limiter: SharedLimiter
  /** By what limits are kept: each key has its own. Default: by provider and model. */
  readonly key?: (request: LLMRequest, options: CallOptions, client: ModelName) => string
  /** What a request takes of the limiter's points: whole numbers. Default: 1. */
  readonly points?: (request: LLMRequest, options: CallOptions) => number
  /** Default: the real clock. */
  readonly runtime?: Pick<Runtime, 'sleep'>
}

/**
 * A rate limit that many processes share: the counts are kept in the store of a limiter of the package
 * rate-limiter-flexible. A request for which there are no points left waits as long as the limiter says, and tries again,
 * until its signal aborts. Unlike with `rateLimit`, windows are as the limiter has them, points are not corrected afterwards,
 * and those who wait keep no order.
 *
 * When the limiter's store fails, the request is not sent, and fails with a `StoreError`; the limiter's own
 * `insuranceLimiter` does otherwise.
 *
 * @throws ConfigurationError
 */
export function sharedRateLimit(options: SharedRateLimitOptions): ClientMiddleware {
  checkOptions('sharedRateLimit', options, checks)
  checkMembers('sharedRateLimit', options.limiter, { consume: fn() }, 'limiter')
  return (next) =>
    metered(next, async (request, callOptions) => {
      await consume(next, request, options, callOptions)
      return { end: (response) => response, fail: () => {} }
    })
}

const checks: Record<keyof SharedRateLimitOptions, Check> = {
  limiter: object(),
  key: optional(fn()),
  points: optional(fn()),
  runtime: optional(runtimeCheck),
}

/** Resolves when the request may be sent. */
async function consume(
  client: LLMClient,
  request: LLMRequest,
  { limiter, key, points, runtime = systemRuntime }: SharedRateLimitOptions,
  options: CallOptions = {},
): Promise<void> {
  const { signal } = options
  const name = key?.(request, options, client) ?? `${client.provider}/${client.model}`
  // More than there ever are would be waited for in vain.
  const wanted = Math.min(points?.(request, options) ?? 1, limiter.points ?? Number.POSITIVE_INFINITY)
  try {
    for (;;) {
      signal?.throwIfAborted()
      const asked = refusal(limiter, name, wanted)
      const waitMs = await (signal ? untilAborted(asked, signal) : asked)
      if (waitMs === undefined) return
      await runtime.sleep(waitMs, signal)
    }
  } catch (thrown) {
    throw signal?.aborted ? clientError(signal.reason, client, signal) : thrown
  }
}

/** How long the limiter says to wait, or `undefined` if it gave the points. */
async function refusal(limiter: SharedLimiter, key: string, points: number): Promise<number | undefined> {
  try {
    await limiter.consume(key, points)
    return undefined
  } catch (thrown) {
    const { msBeforeNext } = Object(thrown) as { msBeforeNext?: unknown } // only read, and checked
    if (thrown instanceof Error || typeof msBeforeNext !== 'number') {
      throw new StoreError('The store of the shared rate limit failed. The model call was not sent.', {
        cause: thrown,
      })
    }
    if (msBeforeNext < 0) {
      throw new ConfigurationError(
        'limiter',
        'The limiter of sharedRateLimit has no points left, and without a duration it never will. Give it a duration.',
      )
    }
    // 0 is the rest of a millisecond.
    return Math.max(1, msBeforeNext)
  }
}
