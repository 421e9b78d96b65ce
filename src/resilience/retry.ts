import pRetry from 'p-retry'
import type {
  CallOptions,
  ClientMiddleware,
  ClientNotice,
  LLMChunk,
  LLMClient,
  LLMRequest,
} from '../client/client.ts'
import { clientError, isLLMError } from '../client/thrown.ts'
import type { LLMError } from '../errors.ts'
import { type Check, checkOptions, fn, integer, number, oneOf, optional } from '../options.ts'
import { type Runtime, runtimeCheck, systemRuntime } from '../runtime.ts'

export interface RetryOptions {
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
  /** Which failures are worth another attempt. Default: those that are `retryable`. An abort never is. */
  readonly retryOn?: (error: LLMError) => boolean
  /** A provider that asks for a longer wait than this, in milliseconds, is not waited for. Default: 60 000. */
  readonly maxRetryAfterMs?: number
  /** Default: the real clock. */
  readonly runtime?: Pick<Runtime, 'sleep' | 'random'>
}

/**
 * Tries a failed model call again: `min(minDelayMs · factorⁿ⁻¹, maxDelayMs)` after the `n`th attempt, or as long as the
 * provider asked. A stream is tried again only until its first text was handed out: what was shown is never shown
 * twice. Each retry is told to `notify` before its wait. The last failure is thrown as it was; one that is no error of
 * this library becomes an `LLMError`, its kind read from a numeric `status`.
 *
 * @throws ConfigurationError
 */
export function retry(options: RetryOptions = {}): ClientMiddleware {
  const policy = policyOf(options)
  return (next) => {
    const { stream, close } = next
    return {
      provider: next.provider,
      model: next.model,
      capabilities: next.capabilities,
      call: (request, callOptions) =>
        attempts(() => next.call(request, callOptions), next, policy, callOptions),
      ...(stream && {
        stream: (request: LLMRequest, callOptions?: CallOptions) =>
          streamed(() => stream.call(next, request, callOptions), next, policy, callOptions),
      }),
      ...(close && { close: () => close.call(next) }),
    }
  }
}

type Policy = Required<RetryOptions>

/** Runs `attempt` until it succeeds, or its failure is final. */
function attempts<T>(
  attempt: () => Promise<T>,
  client: LLMClient,
  policy: Policy,
  { signal, notify }: CallOptions = {},
): Promise<T> {
  const tried = async () => {
    try {
      return await attempt()
    } catch (error) {
      throw clientError(error, client, signal)
    }
  }
  return pRetry(tried, {
    retries: policy.attempts - 1,
    minTimeout: 0,
    // Asked last and only while attempts are left, so the wait happens here: one of our own, for the provider has a say.
    shouldRetry: async ({ error, attemptNumber }) => {
      if (!isLLMError(error) || error.kind === 'aborted' || !policy.retryOn(error)) return false
      const delayMs = delayBefore(error, attemptNumber, policy)
      if (delayMs === undefined) return false
      tell(notify, {
        type: 'retry',
        attempt: attemptNumber,
        delayMs,
        error: { code: error.code, message: error.message, kind: error.kind },
      })
      try {
        await policy.runtime.sleep(delayMs, signal)
      } catch (reason) {
        throw clientError(reason, client, signal)
      }
      return true
    },
  })
}

async function* streamed(
  open: () => AsyncIterable<LLMChunk>,
  client: LLMClient,
  policy: Policy,
  options: CallOptions | undefined,
): AsyncGenerator<LLMChunk, void, undefined> {
  // Pieces of calls are held back until something is there that a reader would see, or all of it.
  const start = async () => {
    const chunks = open()[Symbol.asyncIterator]()
    const begun: LLMChunk[] = []
    for (let step = await chunks.next(); !step.done; step = await chunks.next()) {
      begun.push(step.value)
      if (step.value.type !== 'tool_call') break
    }
    return { chunks, begun }
  }
  const { chunks, begun } = await attempts(start, client, policy, options)
  let done = false
  try {
    yield* begun
    for (let step = await chunks.next(); !step.done; step = await chunks.next()) yield step.value
    done = true
  } catch (error) {
    done = true
    throw clientError(error, client, options?.signal)
  } finally {
    if (!done) await chunks.return?.()
  }
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

function tell(notify: CallOptions['notify'], notice: ClientNotice): void {
  try {
    notify?.(notice)
  } catch {
    // A listener that throws cannot harm a call.
  }
}

function policyOf(options: RetryOptions): Policy {
  checkOptions('retry', options, retryChecks)
  const {
    attempts = 3,
    minDelayMs = 1000,
    factor = 2,
    maxDelayMs = 30_000,
    jitter = 'full',
    retryOn = (error) => error.retryable,
    maxRetryAfterMs = 60_000,
    runtime = systemRuntime,
  } = options
  return { attempts, minDelayMs, factor, maxDelayMs, jitter, retryOn, maxRetryAfterMs, runtime }
}

export const retryChecks: Record<keyof RetryOptions, Check> = {
  attempts: optional(integer(1)),
  minDelayMs: optional(number(0)),
  factor: optional(number(1)),
  maxDelayMs: optional(number(0)),
  jitter: optional(oneOf('full', 'equal', 'none')),
  retryOn: optional(fn()),
  maxRetryAfterMs: optional(number(0)),
  runtime: optional(runtimeCheck),
}
