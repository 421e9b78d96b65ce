import { type Runtime, ringAfter } from '../runtime.ts'
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
  readonly #onSilence: (silence: Silence) => void
  #ended: Silence | undefined
  #hasBegun = false
  /** Milliseconds without content before `#since`. */
  #silentMs = 0
  #since: number | undefined
  /** Takes back the timer, if one is set. */
  #unset: (() => void) | undefined

  /** `onSilence` is told at most once. */
  constructor(limits: SilenceLimits, onSilence: (silence: Silence) => void) {
    this.#limits = limits
    this.#onSilence = onSilence
  }

  /** Which silence it was that was too long, if one was. */
  get silence(): Silence | undefined {
    return this.#ended
  }

  start(): void {
    this.#since = this.#limits.runtime.now()
    this.#set()
  }

  /** What comes now is not waited for. */
  end(): void {
    this.#since = undefined
    this.#unset?.()
    this.#unset = undefined
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
    if (!this.#unset) this.#set()
  }

  // One timer for a whole call, not one for each of its thousands of pieces: it looks at the clock when it rings.
  #set(): void {
    const { firstContentMs, idleMs, runtime } = this.#limits
    const limitMs = this.#hasBegun ? idleMs : firstContentMs
    this.#unset = undefined
    if (this.#since === undefined || limitMs === undefined) return
    const leftMs = limitMs - this.#silentFor()
    if (leftMs <= 0) {
      this.#ended = { phase: this.#hasBegun ? 'idle' : 'first', ms: limitMs }
      this.#onSilence(this.#ended)
      return
    }
    // Not longer than the shorter limit: an answer may begin while this waits.
    const waitMs = Math.min(leftMs, idleMs ?? leftMs)
    const before = runtime.now()
    this.#unset = ringAfter(waitMs, runtime, () => {
      // A clock that stands still, while its timers ring, must not keep this awake for ever.
      if (runtime.now() <= before) this.#silentMs += waitMs
      this.#set()
    })
  }

  #silentFor(): number {
    return this.#silentMs + (this.#since === undefined ? 0 : this.#limits.runtime.now() - this.#since)
  }
}
