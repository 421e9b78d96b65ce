import type { CircuitState } from '../../src/resilience/circuit.ts'

/** A circuit as one would explain it: everything that ever happened is kept, and every question is answered by going through it. */
export class CircuitModel {
  readonly settings: ModelSettings
  /** Outcomes that counted, with the number of the state they belong to. */
  readonly outcomes: { readonly at: number; readonly failed: boolean; readonly stay: number }[] = []
  readonly calls: ModelCall[] = []
  /** Each stay in a state. */
  readonly stays: { readonly state: CircuitState; readonly from: number }[] = [{ state: 'closed', from: 0 }]

  constructor(settings: ModelSettings) {
    this.settings = settings
  }

  state(now: number): CircuitState {
    const stay = this.#stay
    if (stay.state === 'open' && now - stay.from >= this.settings.openMs) this.#go('half_open', now)
    return this.#stay.state
  }

  window(now: number): { total: number; failed: number } {
    // A half-open circuit starts to count anew.
    const since = this.stays.findLastIndex(({ state }) => state === 'half_open')
    const counted = this.outcomes.filter(({ at, stay }) => stay >= since && now - at < this.settings.windowMs)
    return { total: counted.length, failed: counted.filter(({ failed }) => failed).length }
  }

  enter(now: number): number | 'wait' | 'refused' {
    const state = this.state(now)
    const open = this.#open
    if (state === 'open') return 'refused'
    if (state === 'half_open' && open.length >= this.#allowed()) return 'refused'
    if (state === 'closed' && open.length > 0) {
      const { total, failed } = this.window(now)
      const silence = total === failed && open.every(({ begun }) => !begun)
      if (silence && failed + open.length >= this.settings.minSamples) return 'wait'
    }
    return this.calls.push({ stay: this.stays.length - 1, begun: false, isOver: false }) - 1
  }

  begun(index: number): void {
    const call = this.calls[index]
    if (call) call.begun = true
  }

  settle(index: number, outcome: 'success' | 'failure' | 'neither', now: number): void {
    const call = this.calls[index]
    if (!call || call.isOver) return
    call.isOver = true
    if (call.stay !== this.stays.length - 1 || outcome === 'neither') return
    const failed = outcome === 'failure'
    this.outcomes.push({ at: now, failed, stay: call.stay })
    if (this.#stay.state === 'half_open') {
      if (failed) this.#go('open', now)
      else if (Number.isNaN(this.#allowed())) this.#go('closed', now)
      return
    }
    const window = this.window(now)
    const isEnough = window.total >= this.settings.minSamples
    if (isEnough && window.failed >= this.settings.failureRate * window.total) this.#go('open', now)
  }

  get #stay() {
    return this.stays.at(-1) ?? { state: 'closed' as const, from: 0 }
  }

  get #open(): ModelCall[] {
    return this.calls.filter(({ stay, isOver }) => stay === this.stays.length - 1 && !isOver)
  }

  /** How many probes may be under way, from all successes of this stay; `NaN` when these were enough. */
  #allowed(): number {
    const { initial, step, max } = this.settings
    let successes = this.outcomes.filter(({ stay }) => stay === this.stays.length - 1).length
    let allowed = initial
    while (successes >= allowed) {
      successes -= allowed
      if (allowed >= max) return Number.NaN
      allowed = Math.min(max, step === 'double' ? 2 * allowed : allowed + step)
    }
    return allowed
  }

  #go(state: CircuitState, now: number): void {
    this.stays.push({ state, from: now })
  }
}

export interface ModelSettings {
  readonly failureRate: number
  readonly minSamples: number
  readonly windowMs: number
  readonly openMs: number
  readonly initial: number
  readonly step: 'double' | number
  readonly max: number
}

interface ModelCall {
  readonly stay: number
  begun: boolean
  isOver: boolean
}
