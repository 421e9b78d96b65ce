import { type ArrivingGenerator, passing } from '../client/arrived.ts'
import type { CallOptions, ClientMiddleware, LLMChunk, LLMClient } from '../client/client.ts'
import { clientAround } from '../client/client-around.ts'
import { clientError, isLLMError } from '../client/thrown.ts'
import { checkOptions, given } from '../options.ts'
import { systemRuntime } from '../runtime.ts'
import { type RetryOptions, retryChecks } from './retry-options.ts'
import type { Failed, Policy, RetryPolicy } from './retry-policy.ts'
import { replyOf } from './wrapped.ts'

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
        attempted(
          () => next.call(request, callOptions),
          next,
          policyFor(next.provider),
          callOptions,
          undefined,
        ),
      stream: (_, request, callOptions) =>
        retried(
          () => replyOf(next, request, callOptions, 'stream'),
          next,
          policyFor(next.provider),
          callOptions,
        ),
    })
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
  let broken: Failed | undefined
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

/** Tries until a reply has begun: something is there that a reader would see, or all of it. Goes on after `broken`. */
function begin(
  open: () => ArrivingGenerator,
  client: LLMClient,
  policy: Policy,
  options: CallOptions | undefined,
  broken: Failed | undefined,
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
  broken: Failed | undefined,
): Promise<T> {
  let failed = broken
  if (!failed) {
    // Most calls need no second attempt, and nothing that counts them.
    try {
      return await tried(1)
    } catch (thrown) {
      failed = { error: clientError(thrown, client, options?.signal), attempt: 1 }
    }
  }
  // What is not tried again loads nothing.
  const { error } = failed
  if (failed.attempt >= policy.attempts || (isLLMError(error) && error.kind === 'aborted')) throw error
  const { tryAgain } = await import('./second-attempt.ts')
  return tryAgain(tried, client, policy, options, failed)
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
