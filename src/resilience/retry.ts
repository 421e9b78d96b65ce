import pRetry from 'p-retry'
import { type ArrivingGenerator, passing } from '../client/arrived.ts'
import type { CallOptions, ClientMiddleware, LLMChunk, LLMClient, LLMResponse } from '../client/client.ts'
import { clientAround } from '../client/client-around.ts'
import { clientError, isLLMError } from '../client/thrown.ts'
import { type LLMError, type LLMErrorKind, llmErrorKinds } from '../errors.ts'
import {
  type Check,
  checkOptions,
  either,
  fn,
  given,
  integer,
  list,
  number,
  object,
  oneOf,
  optional,
  record,
} from '../options.ts'
import { type Runtime, runtimeCheck, systemRuntime } from '../runtime.ts'
import { failureOf, replyOf, tell } from './wrapped.ts'

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

export interface RetryOptions extends RetryPolicy {
  /** What is different for the clients of a provider, by its name: `{ anthropic: { attempts: 5 } }`. */
  readonly policies?: Readonly<Record<string, RetryPolicy>>
  /** Default: the real clock. */
  readonly runtime?: Pick<Runtime, 'sleep' | 'random'>
}

/**
 * Tries a failed model call again: `min(minDelayMs · factorⁿ⁻¹, maxDelayMs)` after the `n`th attempt, or as long as the
 * provider asked. A stream of which text was handed out is tried again only for a caller that can retract: what was shown
 * is never shown twice. Each retry is told to `notify` before its wait. The last failure is thrown as it was; one that is no error of
 * this library becomes an `LLMError`, its kind read from a numeric `status`.
 *
 * @throws ConfigurationError
 */
export function retry(options: RetryOptions = {}): ClientMiddleware {
  const policyFor = policiesOf(options)
  return (next) =>
    clientAround(next, {
      call: (request, callOptions) =>
        whole(() => next.call(request, callOptions), next, policyFor(next.provider), callOptions),
      stream: (_, request, callOptions) =>
        retried(
          () => replyOf(next, request, callOptions, 'stream'),
          next,
          policyFor(next.provider),
          callOptions,
        ),
    })
}

interface Policy extends Required<RetryPolicy> {
  readonly retryOn: (error: LLMError) => boolean
  readonly runtime: Pick<Runtime, 'sleep' | 'random'>
}

function whole(
  call: () => Promise<LLMResponse>,
  client: LLMClient,
  policy: Policy,
  options: CallOptions | undefined,
): Promise<LLMResponse> {
  const tried = async () => {
    try {
      return await call()
    } catch (thrown) {
      throw clientError(thrown, client, options?.signal)
    }
  }
  return attempted(tried, client, policy, options, undefined)
}

function retried(
  open: () => ArrivingGenerator,
  client: LLMClient,
  policy: Policy,
  options: CallOptions | undefined,
): AsyncGenerator<LLMChunk, void, undefined> {
  let reply: ArrivingGenerator | undefined
  return passing(
    attempts(open, client, policy, options, (chunks) => {
      reply = chunks
    }),
    () => reply,
  )
}

async function* attempts(
  open: () => ArrivingGenerator,
  client: LLMClient,
  policy: Policy,
  options: CallOptions | undefined,
  handOutFrom: (reply: ArrivingGenerator | undefined) => void,
): AsyncGenerator<LLMChunk, void, undefined> {
  let isShown = false
  let broken: Broken | undefined
  for (;;) {
    const { chunks, begun, attempt } = await begin(open, client, policy, options, broken)
    let isOver = false
    try {
      if (isShown) yield { type: 'retracted' }
      isShown = true
      yield* begun
      handOutFrom(chunks)
      for (let step = await chunks.next(); !step.done; step = await chunks.next()) yield step.value
      isOver = true
      return
    } catch (error) {
      isOver = true
      if (!options?.canRetract) throw error
      broken = { error, attempt }
    } finally {
      handOutFrom(undefined)
      if (!isOver) await chunks.return()
    }
  }
}

/** An attempt that failed after some of it was handed out. */
interface Broken {
  readonly error: unknown
  readonly attempt: number
}

/** Tries until a reply has begun: something is there that a reader would see, or all of it. Goes on after `broken`. */
function begin(
  open: () => ArrivingGenerator,
  client: LLMClient,
  policy: Policy,
  options: CallOptions | undefined,
  broken: Broken | undefined,
) {
  const tried = async (attempt: number) => {
    const chunks = open()
    const begun: LLMChunk[] = []
    for (let step = await chunks.next(); !step.done; step = await chunks.next()) {
      begun.push(step.value)
      // Pieces of calls are held back: nobody reads them, so they need no retraction.
      if (step.value.type !== 'tool_call') break
    }
    return { chunks, begun, attempt }
  }
  return attempted(tried, client, policy, options, broken)
}

/** Tries as often and as late as the policy says. Goes on after `broken`. */
async function attempted<T>(
  tried: (attempt: number) => Promise<T>,
  client: LLMClient,
  policy: Policy,
  options: CallOptions | undefined,
  broken: Broken | undefined,
): Promise<T> {
  let failed = broken
  if (!failed) {
    // Most calls need no second attempt, and nothing that counts them.
    try {
      return await tried(1)
    } catch (error) {
      failed = { error, attempt: 1 }
    }
  }
  const { error: failure, attempt: first } = failed
  const before = first - 1
  const nextAttempt = async (number: number) => {
    if (number === 1) throw failure
    return tried(before + number)
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

function policiesOf(options: RetryOptions): (provider: string) => Policy {
  checkOptions('retry', options, retryChecks)
  const { policies = {}, runtime = systemRuntime, ...rest } = options
  const usual = policyOf(rest, runtime)
  const own = new Map(
    Object.entries(policies).map(([provider, policy]) => [
      provider,
      policyOf({ ...rest, ...given(policy) }, runtime),
    ]),
  )
  return (provider) => own.get(provider) ?? usual
}

function policyOf(options: RetryPolicy, runtime: Policy['runtime']): Policy {
  const {
    attempts = 3,
    minDelayMs = 1000,
    factor = 2,
    maxDelayMs = 30_000,
    jitter = 'full',
    retryOn = (error) => error.retryable,
    maxRetryAfterMs = 60_000,
  } = options
  return {
    attempts,
    minDelayMs,
    factor,
    maxDelayMs,
    jitter,
    retryOn: typeof retryOn === 'function' ? retryOn : ({ kind }) => retryOn.includes(kind),
    maxRetryAfterMs,
    runtime,
  }
}

const policyChecks: Record<keyof RetryPolicy, Check> = {
  attempts: optional(integer(1)),
  minDelayMs: optional(number(0)),
  factor: optional(number(1)),
  maxDelayMs: optional(number(0)),
  jitter: optional(oneOf('full', 'equal', 'none')),
  retryOn: optional(either(fn(), list(oneOf(...llmErrorKinds)))),
  maxRetryAfterMs: optional(number(0)),
}

export const retryChecks: Record<keyof RetryOptions, Check> = {
  ...policyChecks,
  policies: optional(record(object(policyChecks))),
  runtime: optional(runtimeCheck),
}
