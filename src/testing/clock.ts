import { setImmediate } from 'node:timers'
import { type Check, checkOptions, flag, number, optional } from '../options.ts'
import type { Runtime } from '../runtime.ts'
import { loadLateModules } from './late-modules.ts'

export interface VirtualClockOptions {
  /** What `now()` says at first, in milliseconds. Default: 0. */
  readonly start?: number
  /**
   * Whether time moves by itself: to the next sleeper, as soon as nothing but sleepers is left. Work that waits for the
   * real world (a socket, a real timer) is not seen: where there is such work, say `false` and `advance`. Default: true.
   */
  readonly auto?: boolean
  /** Where `random()` begins; the same seed gives the same numbers. Default: 1. */
  readonly seed?: number
}

export interface VirtualClock {
  /** Virtual time, repeatable randomness, ids `id-1`, `id-2`, …, and a `fetch` that always rejects. */
  readonly runtime: Runtime
  /** The milliseconds of every sleep asked for, in order, also of those that were cut short. */
  readonly sleeps: readonly number[]
  /** How many are asleep now. */
  readonly pending: number
  /** Moves time by `ms`. Wakes who is due one after the other, at their own time, and lets each finish what it does. */
  advance(ms: number): Promise<void>
}

/**
 * A runtime whose time passes only in this process's imagination: hours of backoff and timeouts take no time.
 *
 * @throws ConfigurationError
 */
export function virtualClock(options: VirtualClockOptions = {}): VirtualClock {
  checkOptions('virtualClock', options, checks)
  const { start = 0, auto = true, seed = 1 } = options
  const sleepers = new Set<Sleeper>()
  const sleeps: number[] = []
  let now = start
  let ids = 0
  let changes = 0
  let watching = false
  let loading: Promise<void> | undefined

  async function settle(): Promise<void> {
    loading ??= loadLateModules()
    await loading
    let seen: number
    do {
      seen = changes
      for (let turn = 0; turn < quietTurns; turn++) await macrotask()
    } while (seen !== changes)
  }

  function wakeNext(latest: number): boolean {
    const next = earliest(sleepers)
    if (!next || next.due > latest) return false
    now = Math.max(now, next.due)
    next.wake()
    return true
  }

  async function watch(): Promise<void> {
    if (watching) return
    watching = true
    do await settle()
    while (wakeNext(Number.MAX_VALUE))
    watching = false
  }

  function sleep(ms: number, signal?: AbortSignal): Promise<void> {
    sleeps.push(ms)
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const sleeper: Sleeper = {
        due: now + (ms > 0 ? ms : 0),
        wake: () => {
          leave()
          resolve()
        },
      }
      const stop = () => {
        leave()
        reject(signal?.reason)
      }
      const leave = () => {
        changes++
        sleepers.delete(sleeper)
        signal?.removeEventListener('abort', stop)
      }
      changes++
      sleepers.add(sleeper)
      signal?.addEventListener('abort', stop, { once: true })
      if (auto) void watch()
    })
  }

  return {
    runtime: {
      now: () => now,
      sleep,
      random: randomFrom(seed),
      id: () => `id-${++ids}`,
      fetch: async () => {
        throw new Error('There is no network here: a virtual clock was asked to fetch.')
      },
    },
    sleeps,
    get pending() {
      return sleepers.size
    },
    async advance(ms) {
      const target = now + ms
      do await settle()
      while (wakeNext(target))
      now = Math.max(now, target)
      await settle()
    },
  }
}

const checks: Record<keyof VirtualClockOptions, Check> = {
  start: optional(number()),
  auto: optional(flag()),
  seed: optional(number()),
}

interface Sleeper {
  readonly due: number
  readonly wake: () => void
}

// Promises settle within one turn; streams and queues of the platform may need a few.
const quietTurns = 4

const macrotask = () => new Promise<void>((resolve) => setImmediate(resolve))

/** The first to wake; of those due at the same time, the first that fell asleep. */
function earliest(sleepers: ReadonlySet<Sleeper>): Sleeper | undefined {
  let first: Sleeper | undefined
  for (const sleeper of sleepers) if (!first || sleeper.due < first.due) first = sleeper
  return first
}

/** Numbers in [0, 1): a counter in golden-ratio steps, its bits stirred by multiplication (as murmur3 ends). */
function randomFrom(seed: number): () => number {
  let counter = seed | 0
  return () => {
    counter = (counter + 0x9e3779b9) | 0
    let bits = counter
    bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
    return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32
  }
}
