import type { LLMError, LLMErrorKind } from '../errors.ts'
import type { Runtime } from '../runtime.ts'

export interface RetryPolicy {
  /** Calls in all, the first included. Default: 3; 1 never retries. */
  readonly attempts?: number
  /** Wait before the second attempt, in milliseconds, before jitter. Default: 1000. */
  readonly minDelayMs?: number
  /** How much longer each wait is than the one before. Default: 2. */
  readonly factor?: number
  /** The longest wait of our own, in milliseconds. Default: 30 000. */
  readonly maxDelayMs?: number
  /**
   * How a wait is spread, so that clients that failed together do not come back together. `full` (the default): between
   * 0 and the whole wait, but no less than 100 ms of it. `equal`: between half and the whole wait. `none`: the wait as
   * it is. A wait the provider asked for becomes up to a tenth longer, never shorter.
   */
  readonly jitter?: 'full' | 'equal' | 'none'
  /**
   * Which failures are worth another attempt: their kinds, or a function that says so. Default: those that are `retryable`.
   * An abort never is.
   */
  readonly retryOn?: readonly LLMErrorKind[] | ((error: LLMError) => boolean)
  /** A provider that asks for a longer wait than this, in milliseconds, is not waited for. Default: 60 000. */
  readonly maxRetryAfterMs?: number
}

/** With every default filled in. */
export interface Policy extends Required<RetryPolicy> {
  readonly retryOn: (error: LLMError) => boolean
  readonly runtime: Pick<Runtime, 'sleep' | 'random'>
}

/** An attempt that failed, perhaps after some of it was handed out. */
export interface Failed {
  readonly error: unknown
  readonly attempt: number
}
