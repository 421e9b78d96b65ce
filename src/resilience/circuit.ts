import { inLine } from './in-line.ts'

/** `closed`: calls pass. `open`: none does. `half_open`: a few do, to find out whether it can be closed. */
export type CircuitState = 'closed' | 'half_open' | 'open'

export interface CircuitSettings {
  readonly failureRate: number
  readonly minSamples: number
  readonly windowMs: number
  readonly openMs: number
  readonly halfOpen: {
    readonly initial: number
    readonly step: 'double' | number
    readonly max: number
  }
}

/** A circuit as JSON. `openUntil` is absent while it is closed. */
export interface CircuitSnapshot {
  /** Milliseconds since the epoch. */
  readonly openUntil?: number
  /** The outcomes within the window, oldest first. */
  readonly samples: readonly { readonly at: number; readonly failed: boolean }[]
}

/** A call that was let through. */
export interface Passage {
  /** The answer has begun: whatever is asked is alive. */
  begun(): void
  /** `neither` is an outcome that says nothing of who was asked. Counted once, and not if the state changed meanwhile. */
  settle(outcome: 'success' | 'failure' | 'neither'): void
}

/**
 * One circuit, without any I/O. Closed, it opens when of at least `minSamples` outcomes within the window `failureRate` or
 * more are failures. After `openMs` it lets through `initial` calls at once; when as many have succeeded, more of them, and
 * after `max` it is closed. Any failure on the way opens it again.
 */
export class Circuit {
  readonly #settings: CircuitSettings
  readonly #now: () => number
  readonly #onChange: (from: CircuitState, to: CircuitState) => void
  readonly #waiting = new Set<() => void>()
  #state: CircuitState
  #era: Era
  #openUntil: number
  #samples: Sample[]
  #failures: number

  constructor({ settings, now, onChange, initial }: CircuitParts) {
    this.#settings = settings
    this.#now = now
    this.#onChange = onChange
    this.#state = initial?.openUntil === undefined ? 'closed' : 'open'
    this.#era = this.#newEra()
    this.#openUntil = initial?.openUntil ?? 0
    this.#samples = [...(initial?.samples ?? [])]
    this.#failures = this.#samples.filter(({ failed }) => failed).length
  }

  get state(): CircuitState {
    if (this.#state === 'open' && this.#now() >= this.#openUntil) this.#become('half_open')
    return this.#state
  }

  /** When it may be half-open. */
  get openUntil(): number | undefined {
    return this.state === 'open' ? this.#openUntil : undefined
  }

  get retryAfterMs(): number | undefined {
    const { openUntil } = this
    return openUntil === undefined ? undefined : openUntil - this.#now()
  }

  /** The outcomes within the window, oldest first. Those before it was last half-open are forgotten. */
  get samples(): readonly Sample[] {
    const since = this.#now() - this.#settings.windowMs
    const kept = this.#samples.findIndex(({ at }) => at > since)
    const old = this.#samples.splice(0, kept === -1 ? this.#samples.length : kept)
    for (const { failed } of old) if (failed) this.#failures -= 1
    return this.#samples
  }

  get failures(): number {
    return this.samples.length === 0 ? 0 : this.#failures
  }

  /** Lets a call through, or does not; `wait`: not before something has changed. */
  enter(): Passage | 'wait' | 'refused' {
    const { state } = this
    const era = this.#era
    if (state === 'open' || era.underWay >= era.limit) return 'refused'
    if (state === 'closed' && this.#isUntried()) return 'wait'
    era.underWay += 1
    let stage: 'asked' | 'begun' | 'settled' = 'asked'
    return {
      begun: () => {
        if (stage !== 'asked') return
        stage = 'begun'
        era.begun += 1
        this.#wake()
      },
      settle: (outcome) => {
        if (stage === 'settled') return
        if (stage === 'begun') era.begun -= 1
        stage = 'settled'
        era.underWay -= 1
        if (era === this.#era && outcome !== 'neither') this.#count(outcome === 'failure')
        this.#wake()
      },
    }
  }

  /** Resolves when `enter` may say something else than `wait`; rejects with the signal's reason. */
  changed(signal: AbortSignal | undefined): Promise<void> {
    return inLine<void>(signal, (admit) => {
      this.#waiting.add(admit)
      return () => void this.#waiting.delete(admit)
    })
  }

  toJSON(): CircuitSnapshot {
    const { state, samples } = this
    return { ...(state !== 'closed' && { openUntil: this.#openUntil }), samples: [...samples] }
  }

  /** Nothing within the window says that anybody answers: then no more are asked at once than it takes to know better. */
  #isUntried(): boolean {
    const { samples, failures } = this
    const { underWay, begun } = this.#era
    const isAlive = begun > 0 || samples.length > failures
    return !isAlive && underWay > 0 && underWay + failures >= this.#settings.minSamples
  }

  #count(failed: boolean): void {
    this.#samples.push({ at: this.#now(), failed })
    if (failed) this.#failures += 1
    if (this.#state === 'closed') {
      const { samples, failures } = this
      const { minSamples, failureRate } = this.#settings
      if (samples.length >= minSamples && failures / samples.length >= failureRate) this.#become('open')
    } else if (failed) {
      this.#become('open')
    } else {
      this.#recover()
    }
  }

  #recover(): void {
    const { step, max } = this.#settings.halfOpen
    const era = this.#era
    era.successes += 1
    if (era.successes < era.limit) return
    if (era.limit >= max) {
      this.#become('closed')
      return
    }
    era.limit = Math.min(max, step === 'double' ? era.limit * 2 : era.limit + step)
    era.successes = 0
  }

  #become(state: CircuitState): void {
    const from = this.#state
    this.#state = state
    this.#era = this.#newEra()
    if (state === 'open') this.#openUntil = this.#now() + this.#settings.openMs
    if (state === 'half_open') {
      this.#samples = []
      this.#failures = 0
    }
    this.#wake()
    this.#onChange(from, state)
  }

  #newEra(): Era {
    const limit = this.#state === 'half_open' ? this.#settings.halfOpen.initial : Number.POSITIVE_INFINITY
    return { underWay: 0, begun: 0, successes: 0, limit }
  }

  #wake(): void {
    for (const admit of this.#waiting) admit()
    this.#waiting.clear()
  }
}

export interface CircuitParts {
  readonly settings: CircuitSettings
  readonly now: () => number
  readonly onChange: (from: CircuitState, to: CircuitState) => void
  readonly initial?: CircuitSnapshot | undefined
}

type Sample = CircuitSnapshot['samples'][number]

/** A stay in one state: outcomes of calls that began in an earlier one do not count. */
interface Era {
  /** Calls let through and not settled, and those of them that have begun to answer. */
  underWay: number
  begun: number
  /** How many may be under way, and as many must succeed for the next limit. */
  limit: number
  successes: number
}
