import type { Runtime } from '../runtime.ts'
import type { LLMChunk } from './client.ts'

export interface SilenceLimits {
  /** Milliseconds until the first content. Default: no limit. */
  readonly firstContentMs?: number
  /** Milliseconds from one content to the next. Default: no limit. */
  readonly idleMs?: number
  readonly runtime: Pick<Runtime, 'now' | 'sleep'>
}

/** How long nothing was said, before the first word or after others. */
export interface Silence {
  readonly phase: 'first' | 'idle'
  readonly ms: number
}

/** Whether a chunk says anything. An empty shell of a tool call does not: it could be sent for ever. */
export function isContent(chunk: LLMChunk): boolean {
  switch (chunk.type) {
    case 'text':
    case 'reasoning':
      return chunk.text !== ''
    case 'tool_call':
      return Boolean(chunk.id || chunk.toolName || chunk.parametersText)
    default:
      return true
  }
}

/** Notices when a client has been silent for too long; while the watch is paused, time does not count. */
export class SilenceWatch {
  readonly #limits: SilenceLimits
  readonly #signal: AbortSignal
  readonly #onSilence: (silence: Silence) => void
  #ended: Silence | undefined
  #hasBegun = false
  /** Milliseconds without content before `#since`. */
  #silentMs = 0
  #since: number | undefined
  /** Ends the wait of a watch that has nothing to count. */
  #resumed: (() => void) | undefined

  /** `signal` ends the watch; `onSilence` is told at most once. */
  constructor(limits: SilenceLimits, signal: AbortSignal, onSilence: (silence: Silence) => void) {
    this.#limits = limits
    this.#signal = signal
    this.#onSilence = onSilence
  }

  /** Which silence it was that was too long, if one was. */
  get silence(): Silence | undefined {
    return this.#ended
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
    this.#silentMs = this.#silentFor()
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
      const limitMs = this.#hasBegun ? idleMs : firstContentMs
      if (this.#since === undefined || limitMs === undefined) {
        await this.#resumption()
        continue
      }
      const leftMs = limitMs - this.#silentFor()
      if (leftMs <= 0) {
        this.#ended = { phase: this.#hasBegun ? 'idle' : 'first', ms: limitMs }
        return this.#onSilence(this.#ended)
      }
      // Not longer than the shorter limit: an answer may begin while this sleeps.
      const sleepMs = Math.min(leftMs, idleMs ?? leftMs)
      const before = runtime.now()
      await runtime.sleep(sleepMs, this.#signal)
      // A clock that stands still, while its sleeps end, must not keep this awake for ever.
      if (runtime.now() <= before) this.#silentMs += sleepMs
    }
  }

  #resumption(): Promise<void> {
    return new Promise((resolve) => {
      this.#resumed = resolve
    })
  }

  #silentFor(): number {
    return this.#silentMs + (this.#since === undefined ? 0 : this.#limits.runtime.now() - this.#since)
  }
}
