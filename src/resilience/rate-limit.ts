import type {
  CallOptions,
  ClientMiddleware,
  LLMClient,
  LLMRequest,
  LLMResponse,
  ModelName,
} from '../client/client.ts'
import { clientError, isLLMError, unreadKinds } from '../client/thrown.ts'
import type { TercetError } from '../errors.ts'
import type { TokenCounter } from '../memory/memory.ts'
import { TokenCounts } from '../memory/tokens.ts'
import { assistant } from '../messages.ts'
import { type Check, checkOptions, fn, integer, number, optional } from '../options.ts'
import { type Runtime, runtimeCheck, systemRuntime } from '../runtime.ts'
import { type Meter, metered } from './metered.ts'
import { type Amounts, type Gate, KeyGate, type Passage, ProviderGate } from './rate-buckets.ts'
import { RateQueue } from './rate-queue.ts'

export interface RateLimitOptions {
  /** Default: no limit of its own. */
  readonly requestsPerMinute?: number
  /** Default: no limit of its own. */
  readonly inputTokensPerMinute?: number
  /** Default: no limit of its own. */
  readonly outputTokensPerMinute?: number
  /**
   * Output tokens that are reserved for a request at least. Reserved are its `maxOutputTokens`, if it has them and they are
   * more, but never more than the whole limit. Default: 500.
   */
  readonly minOutputReserve?: number
  /** By what limits are kept: each key has its own. Default: by provider and model. By principal: `(_, { scope }) => scope?.principal ?? ''`. */
  readonly key?: (request: LLMRequest, options: CallOptions, client: ModelName) => string
  /**
   * Which requests go first of those that wait: higher ones. A step is worth a minute, so nobody waits for ever: a request of
   * priority 1 overtakes those of priority 0 that came up to a minute before it. Default: all the same, first come, first served.
   */
  readonly priority?: (request: LLMRequest, options: CallOptions) => number
  /** Requests that may wait; one more is refused. Default: 10 000. */
  readonly queueMax?: number
  /**
   * For how long what a provider says of its limits holds requests back at most, in milliseconds. Where it asks for longer,
   * they are sent, to fail by themselves. Default: 60 000.
   */
  readonly maxRetryAfterMs?: number
  /** Counts the tokens of a text, to estimate a request. Default: a quarter of its code points, rounded up. */
  readonly countTokens?: TokenCounter
  /** Default: the real clock. */
  readonly runtime?: Pick<Runtime, 'now' | 'sleep'>
}

/** What a rate limit knows of one key. */
export interface RateLimitStatus {
  /** What is left now of the limits that were set; below 0 after calls that took more than was reserved for them. */
  readonly remaining: {
    readonly requests?: number
    readonly inputTokens?: number
    readonly outputTokens?: number
  }
  /** Requests that wait. */
  readonly waiting: number
}

export interface RateLimit extends ClientMiddleware {
  /** By key. One that was not used for long, so that all is left of it, may be missing. */
  status(): Readonly<Record<string, RateLimitStatus>>
}

/**
 * Sends no more than these limits allow: what is too much waits, until its signal aborts, and is never dropped. Limits are
 * buckets that refill continuously and hold a minute's worth: in any window of `w` minutes, no more than `limit · (1 + w)` is
 * let through. A request reserves what it is estimated to take, which is corrected by what its response reports. One value
 * may be given to any number of clients and agents: they share it.
 *
 * What a provider says of its own limits is believed as well: a `rate_limit` error with a `retryAfterMs` holds back all
 * requests to that model, and `LLMResponse.rateLimit` those that it would refuse. So `rateLimit()` without any limit of its
 * own makes sense, too.
 *
 * A request that finds the queue full fails with a `QueueFullError`, and is not sent.
 *
 * @throws ConfigurationError
 */
export function rateLimit(options: RateLimitOptions = {}): RateLimit {
  checkOptions('rateLimit', options, checks)
  const limiter = new RateLimiter(options)
  const status: RateLimit['status'] = () => limiter.status()
  return Object.assign(
    (next: LLMClient) => metered(next, (request, callOptions) => limiter.open(next, request, callOptions)),
    { status },
  )
}

/* @__NO_SIDE_EFFECTS__ */
function limit(): Check {
  return optional(integer(1, 1_000_000_000))
}

const checks: Record<keyof RateLimitOptions, Check> = {
  requestsPerMinute: limit(),
  inputTokensPerMinute: limit(),
  outputTokensPerMinute: limit(),
  minOutputReserve: optional(integer(0)),
  key: optional(fn()),
  priority: optional(fn()),
  queueMax: optional(integer(0)),
  maxRetryAfterMs: optional(number(0)),
  countTokens: optional(fn()),
  runtime: optional(runtimeCheck),
}

class RateLimiter {
  readonly #options: RateLimitOptions
  readonly #runtime: Pick<Runtime, 'now' | 'sleep'>
  readonly #counts: TokenCounts
  readonly #queue: RateQueue
  readonly #keys: Gates<KeyGate>
  readonly #providers: Gates<ProviderGate>

  constructor(options: RateLimitOptions) {
    const { runtime = systemRuntime, queueMax = 10_000, maxRetryAfterMs = 60_000 } = options
    const { requestsPerMinute, inputTokensPerMinute, outputTokensPerMinute } = options
    const perMinute = {
      requests: requestsPerMinute,
      inputTokens: inputTokensPerMinute,
      outputTokens: outputTokensPerMinute,
    }
    this.#options = options
    this.#runtime = runtime
    this.#counts = new TokenCounts(options.countTokens)
    this.#queue = new RateQueue(runtime, queueMax)
    this.#keys = new Gates((now) => new KeyGate(perMinute, now))
    this.#providers = new Gates(() => new ProviderGate(maxRetryAfterMs))
  }

  async open(client: LLMClient, request: LLMRequest, options: CallOptions = {}): Promise<Meter> {
    const { signal } = options
    if (signal?.aborted) throw clientError(signal.reason, client, signal)
    const model = `${client.provider}/${client.model}`
    const name = this.#options.key?.(request, options, client) ?? model
    const priority = finite(this.#options.priority?.(request, options))
    const reserved = this.#estimate(request)

    const now = this.#runtime.now()
    const key = this.#keys.use(name, now)
    const provider = this.#providers.use(model, now)
    const leave = () => {
      this.#keys.release(name)
      this.#providers.release(model)
    }
    const line = JSON.stringify([name, model])
    let passage: Passage
    try {
      passage = await this.#queue.enter({ key, provider, line, amounts: reserved, priority }, signal)
    } catch (reason) {
      leave()
      throw signal?.aborted ? clientError(reason, client, signal) : reason
    }

    const settle = (taken: Amounts) => {
      key.take(difference(taken, reserved), this.#runtime.now())
      leave()
      this.#queue.pump()
    }
    return {
      end: (response) => {
        provider.learn(response?.rateLimit ?? {}, passage)
        settle(this.#takenBy(response, reserved))
        return response
      },
      fail: (failure) => {
        const error = failure === undefined ? undefined : clientError(failure, client)
        const holdMs = isLLMError(error) && error.kind === 'rate_limit' ? finite(error.retryAfterMs) : 0
        provider.hold(this.#runtime.now() + holdMs)
        settle(takenByFailure(error, reserved))
      },
    }
  }

  status(): Record<string, RateLimitStatus> {
    const now = this.#runtime.now()
    const known = this.#keys.entries().map(([name, gate]): [string, RateLimitStatus] => {
      return [name, { remaining: gate.remaining(now), waiting: this.#queue.waitingFor(gate) }]
    })
    return Object.fromEntries(known)
  }

  #estimate(request: LLMRequest): Amounts {
    const { responseFormat, params } = request
    const { minOutputReserve = 500, outputTokensPerMinute = mostTokens } = this.#options
    const counts = this.#counts
    const schema = responseFormat ? counts.text(JSON.stringify(responseFormat.schema)) : 0
    const inputTokens = counts.request(request) + schema
    const outputTokens = Math.max(minOutputReserve, finite(params?.maxOutputTokens))
    return amountsOf(inputTokens, Math.min(outputTokens, outputTokensPerMinute))
  }

  /** As reported, where that can be believed; otherwise by what was sent and said. */
  #takenBy(response: LLMResponse, reserved: Amounts): Amounts {
    try {
      const { usage, text, toolCalls } = response
      if (usage && isCount(usage.inputTokens) && isCount(usage.outputTokens))
        return amountsOf(usage.inputTokens, usage.outputTokens)
      return amountsOf(reserved.inputTokens, this.#counts.message(assistant(text, toolCalls)))
    } catch {
      // A response that is none: whoever asked for it will say so.
      return reserved
    }
  }
}

// Beyond a billion nothing a provider says of one call is believed.
const mostTokens = 1_000_000_000

const isCount = (tokens: unknown): boolean =>
  typeof tokens === 'number' && tokens >= 0 && tokens <= mostTokens

const finite = (value: number | undefined): number => (Number.isFinite(value) ? Number(value) : 0)

function amountsOf(inputTokens: number, outputTokens: number): Amounts {
  return { requests: 1, inputTokens, outputTokens, tokens: inputTokens + outputTokens }
}

function difference(a: Amounts, b: Amounts): Amounts {
  return {
    requests: a.requests - b.requests,
    inputTokens: a.inputTokens - b.inputTokens,
    outputTokens: a.outputTokens - b.outputTokens,
    tokens: a.tokens - b.tokens,
  }
}

/** What a call took that has no response; what was reserved, where nobody knows. */
function takenByFailure(error: TercetError | undefined, reserved: Amounts): Amounts {
  if (error === undefined) return reserved
  // Such as a missing package, or a budget: nothing was sent.
  if (!isLLMError(error)) return { ...amountsOf(0, 0), requests: 0 }
  return unreadKinds.has(error.kind) ? amountsOf(0, 0) : reserved
}

/** Gates by name. Those that are as good as new, and that nobody is before or behind, are forgotten when there are many. */
class Gates<Kind extends Gate> {
  readonly #make: (now: number) => Kind
  readonly #known = new Map<string, { readonly gate: Kind; users: number }>()
  #most = 1000

  constructor(make: (now: number) => Kind) {
    this.#make = make
  }

  use(name: string, now: number): Kind {
    let known = this.#known.get(name)
    if (!known) {
      if (this.#known.size >= this.#most) this.#forget(now)
      known = { gate: this.#make(now), users: 0 }
      this.#known.set(name, known)
    }
    known.users += 1
    return known.gate
  }

  release(name: string): void {
    const known = this.#known.get(name)
    if (known) known.users -= 1
  }

  entries(): [string, Kind][] {
    return [...this.#known].map(([name, { gate }]) => [name, gate])
  }

  #forget(now: number): void {
    for (const [name, { gate, users }] of this.#known) {
      if (users === 0 && gate.isFull(now)) this.#known.delete(name)
    }
    this.#most = Math.max(1000, this.#known.size * 2)
  }
}
