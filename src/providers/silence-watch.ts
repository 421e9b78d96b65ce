import type { Runtime } from '../runtime.ts'
import type { Silence } from './errors.ts'

export interface SilenceLimits {
  /** Until the first content. */
  readonly firstContentMs: number
  /** From one content to the next. */
  readonly idleMs: number
  readonly runtime: Runtime
}

/** Ends a call whose provider has been silent for too long; while the call is paused, time does not count. */
export class SilenceWatch {
  readonly #limits: SilenceLimits
  readonly #controller: AbortController
  #hasBegun = false
  /** Milliseconds without content before `#since`. */
  #silentMs = 0
  #since: number | undefined
  #stalledIn: Silence | undefined
  /** Ends the wait of a watch that woke while the call was paused. */
  #resumed: (() => void) | undefined

  constructor(limits: SilenceLimits, controller: AbortController) {
    this.#limits = limits
    this.#controller = controller
  }

  /** Which silence it was that ended the call, if one did. */
  get stalledIn(): Silence | undefined {
    return this.#stalledIn
  }

  start(): void {
    this.#since = this.#limits.runtime.now()
    this.#watch().catch(() => {
      // The call ended, and its signal took the sleep with it.
    })
  }

  heard(): void {
    this.#hasBegun = true
    this.#silentMs = 0
    this.#since = this.#limits.runtime.now()
  }

  pause(): void {
    this.#silentMs = this.#silence()
    this.#since = undefined
  }

  resume(wasContent: boolean): void {
    if (wasContent) this.heard()
    else this.#since = this.#limits.runtime.now()
    this.#resumed?.()
  }

  // One timer for a whole call, not one for each of its thousands of pieces: it looks at the clock when it rings.
  async #watch(): Promise<void> {
    const { firstContentMs, idleMs, runtime } = this.#limits
    for (;;) {
      if (this.#since === undefined) await this.#resumption()
      const limitMs = this.#hasBegun ? idleMs : firstContentMs
      const leftMs = limitMs - this.#silence()
      if (leftMs <= 0) {
        this.#stalledIn = { phase: this.#hasBegun ? 'idle' : 'first', ms: limitMs }
        return this.#controller.abort(new Error('The provider was silent for too long.'))
      }
      // Not longer than the shorter limit: an answer may begin while this sleeps.
      const sleepMs = Math.min(leftMs, idleMs)
      const before = runtime.now()
      await runtime.sleep(sleepMs, this.#controller.signal)
      // A clock that stands still, while its sleeps end, must not keep this awake for ever.
      if (runtime.now() <= before) this.#silentMs += sleepMs
    }
  }

  #resumption(): Promise<void> {
    return new Promise((resolve) => {
      this.#resumed = resolve
    })
  }

  #silence(): number {
    return this.#silentMs + (this.#since === undefined ? 0 : this.#limits.runtime.now() - this.#since)
  }
}
