import { QueueFullError } from '../errors.ts'
import type { Runtime } from '../runtime.ts'
import { inLine } from './in-line.ts'
import type { Amounts, Gate, KeyGate, Passage, ProviderGate } from './rate-buckets.ts'

/** A request that wants to pass. */
export interface Entrant {
  readonly key: KeyGate
  readonly provider: ProviderGate
  /** The same for those, and only those, who have both gates in common. */
  readonly line: string
  readonly amounts: Amounts
  /** Higher goes first. */
  readonly priority: number
}

interface Waiter extends Entrant {
  /** When it came; with a priority, as if that had been earlier. The order of all. */
  readonly since: number
  readonly number: number
  readonly admit: (passage: Passage) => void
}

// How much earlier each step of priority makes it. As it is worth no more than that, nobody waits for ever: those who come
// later than that do not overtake.
const priorityMs = 60_000

/**
 * Requests before two gates each, that of their key and that of their provider. They pass in their order, and whoever waits
 * for a gate is not overtaken there, also not by those who need less; nobody waits for those who wait elsewhere.
 */
export class RateQueue {
  readonly #runtime: Pick<Runtime, 'now' | 'sleep'>
  readonly #max: number
  readonly #lines = new Map<string, Waiter[]>()
  #waiting = 0
  #entered = 0
  #alarm: { readonly at: number; readonly off: AbortController } | undefined

  constructor(runtime: Pick<Runtime, 'now' | 'sleep'>, max: number) {
    this.#runtime = runtime
    this.#max = max
  }

  /**
   * Resolves when the request has passed, at once if it can.
   *
   * @throws QueueFullError; the signal's reason.
   */
  enter(entrant: Entrant, signal: AbortSignal | undefined): Promise<Passage> {
    return inLine(signal, (admit) => {
      const since = this.#runtime.now() - entrant.priority * priorityMs
      const waiter: Waiter = { ...entrant, since, number: this.#entered++, admit }
      if (this.#join(waiter)) this.pump()
      if (this.#waiting > this.#max) {
        this.#leave(waiter)
        this.pump()
        throw new QueueFullError(this.#max)
      }
      return () => {
        this.#leave(waiter)
        this.pump()
      }
    })
  }

  waitingFor(key: KeyGate): number {
    const lines = [...this.#lines.values()].filter(([first]) => first?.key === key)
    return lines.reduce((sum, line) => sum + line.length, 0)
  }

  /** Lets pass who can, and wakes up when the next one can. To be called when a gate may have opened or closed. */
  pump(): void {
    const now = this.#runtime.now()
    const closed = new Set<Gate>()
    let waitMs = Number.POSITIVE_INFINITY
    for (let first = this.#first(closed); first; first = this.#first(closed)) {
      const { key, provider, amounts } = first
      const waits = [key, provider].map((gate) => [gate, gate.waitMs(amounts, now)] as const)
      const longestMs = Math.max(...waits.map(([, ms]) => ms))
      if (longestMs > 0) {
        waitMs = Math.min(waitMs, longestMs)
        // Only where it waits longest: what is there at the other gate before, others may have.
        for (const [gate, ms] of waits) if (ms === longestMs) closed.add(gate)
        continue
      }
      this.#leave(first)
      for (const [gate] of waits) gate.take(amounts, now)
      first.admit(provider.passage(now))
    }
    this.#wakeAt(now, waitMs)
  }

  /** True if it is now the first of its line. */
  #join(waiter: Waiter): boolean {
    const line = this.#lines.get(waiter.line) ?? []
    this.#lines.set(waiter.line, line)
    const before = line.findLastIndex((other) => isBefore(other, waiter))
    line.splice(before + 1, 0, waiter)
    this.#waiting += 1
    return before === -1
  }

  #leave(waiter: Waiter): void {
    const line = this.#lines.get(waiter.line) ?? []
    line.splice(line.indexOf(waiter), 1)
    if (line.length === 0) this.#lines.delete(waiter.line)
    this.#waiting -= 1
  }

  /** Who is first of those before open gates. */
  #first(closed: ReadonlySet<Gate>): Waiter | undefined {
    let first: Waiter | undefined
    for (const [waiter] of this.#lines.values()) {
      if (!waiter || closed.has(waiter.key) || closed.has(waiter.provider)) continue
      if (!first || isBefore(waiter, first)) first = waiter
    }
    return first
  }

  #wakeAt(now: number, waitMs: number): void {
    const at = now + waitMs
    if (this.#alarm?.at === at) return
    this.#alarm?.off.abort()
    this.#alarm = undefined
    if (at === Number.POSITIVE_INFINITY) return
    const alarm = { at, off: new AbortController() }
    this.#alarm = alarm
    this.#runtime.sleep(waitMs, alarm.off.signal).then(
      () => {
        this.#alarm = undefined
        this.pump()
      },
      () => {},
    )
  }
}

function isBefore(a: Waiter, b: Waiter): boolean {
  return a.since === b.since ? a.number < b.number : a.since < b.since
}
