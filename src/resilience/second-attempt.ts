import pRetry from 'p-retry'
import type { CallOptions, LLMClient } from '../client/client.ts'
import { clientError, isLLMError } from '../client/thrown.ts'
import type { LLMError } from '../errors.ts'
import type { Failed, Policy } from './retry-policy.ts'
import { failureOf, tell } from './wrapped.ts'

/** Goes on after an attempt that failed, as often and as late as the policy says. */
export function tryAgain<T>(
  tried: (attempt: number) => Promise<T>,
  client: LLMClient,
  policy: Policy,
  options: CallOptions | undefined,
  failed: Failed,
): Promise<T> {
  const { error: failure, attempt: first } = failed
  const before = first - 1
  const nextAttempt = async (number: number) => {
    if (number === 1) throw failure
    try {
      return await tried(before + number)
    } catch (thrown) {
      throw clientError(thrown, client, options?.signal)
    }
  }
  return pRetry(nextAttempt, {
    retries: policy.attempts - 1 - before,
    minTimeout: 0,
    // Asked last and only while attempts are left, so the wait happens here: one of our own, for the provider has a say.
    shouldRetry: async ({ error, attemptNumber }) => {
      if (!isLLMError(error) || error.kind === 'aborted' || !policy.retryOn(error)) return false
      const attempt = before + attemptNumber
      const delayMs = delayBefore(error, attempt, policy)
      if (delayMs === undefined) return false
      tell(options, { type: 'retry', attempt, delayMs, error: failureOf(error) })
      try {
        await policy.runtime.sleep(delayMs, options?.signal)
      } catch (reason) {
        throw clientError(reason, client, options?.signal)
      }
      return true
    },
  })
}

/** How long to wait after `attempt` failed; `undefined` when the provider asks for longer than anyone would wait. */
function delayBefore(error: LLMError, attempt: number, policy: Policy): number | undefined {
  const { runtime, jitter } = policy
  const asked = error.retryAfterMs
  if (typeof asked === 'number' && Number.isFinite(asked) && asked > 0) {
    if (asked > policy.maxRetryAfterMs) return undefined
    return Math.ceil(jitter === 'none' ? asked : asked * (1 + runtime.random() / 10))
  }
  // Without the comparison a wait of 0 would grow to 0 · ∞.
  const grown = policy.minDelayMs === 0 ? 0 : policy.minDelayMs * policy.factor ** (attempt - 1)
  const whole = Math.min(grown, policy.maxDelayMs)
  switch (jitter) {
    case 'none':
      return whole
    case 'equal':
      return Math.ceil((whole * (1 + runtime.random())) / 2)
    case 'full':
      return Math.ceil(Math.max(runtime.random() * whole, Math.min(whole, 100)))
  }
}
