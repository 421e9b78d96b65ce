import type { LimitLeft, ProviderLimits } from '../client/client.ts'

/** What limits are of; `tokens` are those of input and output together. */
export type Resource = keyof ProviderLimits

export type Amounts = Readonly<Record<Resource, number>>

interface BucketOptions {
  readonly capacity: number
  /** How much comes back in `periodMs`. */
  readonly refill: number
  readonly periodMs: number
  /** Default: full. */
  readonly level?: number
  /** When that was its level. */
  readonly at: number
}

/**
 * A bucket that refills continuously up to its capacity. It may be taken from beyond its bottom. Levels are kept times
 * `periodMs`: whole numbers stay whole, and times exact.
 */
export class Bucket {
  readonly #refill: number
  readonly #periodMs: number
  readonly #full: number
  #level: number
  #at: number

  constructor({ capacity, refill, periodMs, level = capacity, at }: BucketOptions) {
    this.#refill = refill
    this.#periodMs = periodMs
    this.#full = capacity * periodMs
    this.#level = level * periodMs
    this.#at = at
  }

  /** Milliseconds until `amount` is there; of more than it can hold, until it is full. */
  waitMs(amount: number, now: number): number {
    const missing = Math.min(amount * this.#periodMs, this.#full) - this.#levelAt(now)
    return Math.max(0, Math.ceil(missing / this.#refill))
  }

  /** Takes `amount`, or gives it back if it is negative. */
  take(amount: number, now: number): void {
    this.#level = Math.min(this.#full, this.#levelAt(now) - amount * this.#periodMs)
  }

  remaining(now: number): number {
    return Math.floor(this.#levelAt(now) / this.#periodMs)
  }

  isFull(now: number): boolean {
    return this.#levelAt(now) >= this.#full
  }

  #levelAt(now: number): number {
    // A clock that was set back takes nothing away, and is followed.
    const elapsed = Math.max(0, now - this.#at)
    this.#at = now
    this.#level = Math.min(this.#full, this.#level + elapsed * this.#refill)
    return this.#level
  }
}

/** What a request has to pass. */
export interface Gate {
  /** Milliseconds until a request of these amounts may pass, if no other does before. */
  waitMs(amounts: Amounts, now: number): number
  /** A request of these amounts passes. */
  take(amounts: Amounts, now: number): void
  /** Everything is there, so that a new gate would be as good. */
  isFull(now: number): boolean
}

/** The limits that were set, for one key. */
export class KeyGate implements Gate {
  readonly #buckets: readonly (readonly [Resource, Bucket])[]

  constructor(perMinute: { readonly [R in Resource]?: number | undefined }, now: number) {
    this.#buckets = entriesOf(perMinute).map(([resource, limit]) => [
      resource,
      new Bucket({ capacity: limit, refill: limit, periodMs: 60_000, at: now }),
    ])
  }

  waitMs(amounts: Amounts, now: number): number {
    return longest(this.#buckets.map(([resource, bucket]) => bucket.waitMs(amounts[resource], now)))
  }

  take(amounts: Amounts, now: number): void {
    for (const [resource, bucket] of this.#buckets) bucket.take(amounts[resource], now)
  }

  isFull(now: number): boolean {
    return this.#buckets.every(([, bucket]) => bucket.isFull(now))
  }

  remaining(now: number): Partial<Amounts> {
    return Object.fromEntries(this.#buckets.map(([resource, bucket]) => [resource, bucket.remaining(now)]))
  }
}

/** When a request was let through, and what had been by then. */
export interface Passage {
  readonly at: number
  readonly sent: Amounts
}

/** The limits of a provider for one model, as it tells of them. */
export class ProviderGate implements Gate {
  readonly #maxWaitMs: number
  readonly #buckets = new Map<Resource, Bucket>()
  #sent: Amounts = { requests: 0, tokens: 0, inputTokens: 0, outputTokens: 0 }
  #heldUntil = Number.NEGATIVE_INFINITY

  /** Nobody is held back for longer than `maxWaitMs`: whoever would be is let through, to fail by itself. */
  constructor(maxWaitMs: number) {
    this.#maxWaitMs = maxWaitMs
  }

  waitMs(amounts: Amounts, now: number): number {
    const waits = [...this.#buckets].map(([resource, bucket]) => bucket.waitMs(amounts[resource], now))
    return longest([this.#heldUntil - now, ...waits].filter((waitMs) => waitMs <= this.#maxWaitMs))
  }

  take(amounts: Amounts, now: number): void {
    for (const [resource, bucket] of this.#buckets) bucket.take(amounts[resource], now)
    const { requests, tokens, inputTokens, outputTokens } = this.#sent
    this.#sent = {
      requests: requests + amounts.requests,
      tokens: tokens + amounts.tokens,
      inputTokens: inputTokens + amounts.inputTokens,
      outputTokens: outputTokens + amounts.outputTokens,
    }
  }

  isFull(now: number): boolean {
    return this.#heldUntil <= now && [...this.#buckets.values()].every((bucket) => bucket.isFull(now))
  }

  passage(now: number): Passage {
    return { at: now, sent: this.#sent }
  }

  hold(until: number): void {
    this.#heldUntil = Math.max(this.#heldUntil, until)
  }

  /** Believes what an answer says of the time when its request was let through. */
  learn(limits: ProviderLimits, { at, sent }: Passage): void {
    for (const [resource, left] of entriesOf(limits)) {
      if (!isReadable(left)) continue
      const { limit, remaining, resetMs } = left
      if (limit === undefined) {
        if (remaining <= 0) this.hold(at + resetMs)
        continue
      }
      const used = limit - remaining
      if (used <= 0 || resetMs <= 0) {
        // All of it is there. How fast it comes back will be said when some of it is gone.
        this.#buckets.delete(resource)
        continue
      }
      // What was sent since, the provider did not know of yet.
      const level = remaining - (this.#sent[resource] - sent[resource])
      this.#buckets.set(resource, new Bucket({ capacity: limit, refill: used, periodMs: resetMs, level, at }))
    }
  }
}

const longest = (waits: readonly number[]): number => Math.max(0, ...waits)

const resources: readonly Resource[] = ['requests', 'tokens', 'inputTokens', 'outputTokens']

function entriesOf<Value>(
  record: {
    readonly [R in Resource]?: Value | undefined
  },
): readonly (readonly [Resource, Value])[] {
  return resources.flatMap((resource) => {
    const value = record[resource]
    return value === undefined ? [] : [[resource, value] as const]
  })
}

/** It may come from anybody's client. */
function isReadable(left: LimitLeft): boolean {
  const { limit = 0, remaining, resetMs } = Object(left) as LimitLeft // only read, and checked
  return [limit, remaining, resetMs].every(Number.isFinite)
}
