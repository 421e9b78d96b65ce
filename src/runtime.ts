import { fn, object, optional } from './options.ts'

/**
 * The only door to the world: time, randomness, identity and the network. Everything else in the library is a
 * function of what it is given, so an injected runtime makes whole runs repeatable.
 */
export interface Runtime {
  /** Milliseconds since the epoch. */
  now(): number
  /** Resolves after `ms` milliseconds; rejects with the signal's reason, at once, when it aborts. Leaves no timer behind. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** A number in [0, 1). */
  random(): number
  /** A new unique id. */
  id(): string
  fetch: typeof globalThis.fetch
}

/** The real clock, `crypto`'s randomness and the platform's `fetch`, looked up when they are used. */
export const systemRuntime: Runtime = {
  now: () => Date.now(),
  sleep,
  random: () => Math.random(),
  // Lower case it is; but Node makes it of a dozen pieces, which take ten times as much until somebody asks for one text.
  id: () => globalThis.crypto.randomUUID().toLowerCase(),
  fetch: (input, init) => globalThis.fetch(input, init),
}

/** A runtime that is real wherever `parts` does not say otherwise. */
export function createRuntime(parts: Partial<Runtime> = {}): Runtime {
  return { ...systemRuntime, ...parts }
}

/** What an option has to be that takes a runtime, or parts of one. */
export const runtimeCheck = object({
  now: optional(fn()),
  sleep: optional(fn()),
  random: optional(fn()),
  id: optional(fn()),
  fetch: optional(fn()),
})

/** Calls `ring` after `ms` milliseconds, unless what this gives back is called before. */
export function ringAfter(
  ms: number,
  { sleep: slept }: Pick<Runtime, 'sleep'>,
  ring: () => void,
): () => void {
  // Most timers never ring: one for each run and each call, which a promise and a signal would make dear.
  if (slept === sleep) {
    const timer = setTimeout(ring, timerMs(ms))
    return () => clearTimeout(timer)
  }
  const stop = new AbortController()
  slept(ms, stop.signal).then(ring, () => {})
  return () => stop.abort('over')
}

// A timer holds 31 bits; a longer one would fire at once.
const longestTimerMs = 2 ** 31 - 1
const timerMs = (ms: number): number => Math.min(Math.max(ms, 0), longestTimerMs)

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const timer = setTimeout(done, timerMs(ms))
    signal?.addEventListener('abort', stop, { once: true })
    function done(): void {
      signal?.removeEventListener('abort', stop)
      resolve()
    }
    function stop(): void {
      clearTimeout(timer)
      reject(signal?.reason)
    }
  })
}
