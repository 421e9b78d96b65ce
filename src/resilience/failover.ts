import type { ClientMiddleware, LLMChunk, LLMClient } from '../client/client.ts'
import { isLLMError } from '../client/thrown.ts'
import type { LLMError, LLMErrorKind } from '../errors.ts'
import { type Check, checkMembers, checkOptions, either, fn, optional } from '../options.ts'
import { type Candidate, candidatesCheck, clientOf } from './candidate.ts'
import { MadeRequests, misfit } from './request-for.ts'
import { errorKinds } from './retry-options.ts'
import { untilAnswered } from './until-answered.ts'
import { type Ask, closeAll, failureOf, nameOf, replyOf, signed, tell, wrapped } from './wrapped.ts'

export interface FailoverOptions {
  /**
   * After which failures another client is asked: their kinds, or a function that is also given who would be asked; if it
   * says no, the one after is considered. Default: whatever another provider could cure, which is all but
   * `invalid_request` and `content_filter`; for `context_length`, clients whose window is known to be no larger are left
   * out. An abort is never failed over.
   */
  readonly when?: readonly LLMErrorKind[] | ((error: LLMError, next: LLMClient) => boolean)
}

/**
 * Asks `others`, in their order, when the wrapped client fails: each exactly once a call, the first without a wait. Each
 * change is told to `notify`. A stream that breaks in the middle begins anew with the next client, if the caller can
 * retract; otherwise its failure is thrown. The response says who gave it (`answeredBy`). When all have failed, the last
 * failure is thrown, with those before it at the end of its causes. Retries belong around it, or around one of the clients.
 *
 * ```ts
 * wrapClient(primary, failover([secondary]), circuitBreaker())
 * ```
 *
 * @throws ConfigurationError
 */
export function failover(
  others: readonly (LLMClient | Candidate)[],
  options: FailoverOptions = {},
): ClientMiddleware {
  checkMembers('failover', { others }, { others: candidatesCheck })
  checkOptions('failover', options, failoverChecks)
  const { when = isCurable } = options
  const rest = others.map(clientOf)
  return (next) => inOrder([next, ...rest], when)
}

export const failoverChecks: Record<keyof FailoverOptions, Check> = {
  when: optional(either(fn(), errorKinds())),
}

/** One client of several: the first is what it looks like, the others stand behind it in their order. */
export function inOrder(
  clients: readonly [LLMClient, ...LLMClient[]],
  when: readonly LLMErrorKind[] | Order['allows'],
): LLMClient {
  const allows: Order['allows'] = typeof when === 'function' ? when : ({ kind }) => when.includes(kind)
  const order = { clients, allows, requests: new MadeRequests() }
  return Object.assign(
    wrapped(clients[0], (...asked) => askInOrder(order, asked)),
    { close: () => closeAll(clients) },
  )
}

interface Order {
  readonly clients: readonly [LLMClient, ...LLMClient[]]
  readonly allows: (error: LLMError, next: LLMClient, failed: LLMClient) => boolean
  readonly requests: MadeRequests
}

async function* askInOrder(
  { clients, allows, requests }: Order,
  [request, options, way]: Parameters<Ask>,
): AsyncGenerator<LLMChunk, void, undefined> {
  const [first, ...others] = clients
  const before: LLMError[] = []
  let asked: LLMClient = first

  const askNext = async (error: LLMError) => {
    for (let next = others.shift(); next; next = others.shift()) {
      if (!allows(error, next, asked)) continue
      const problem = options?.requestFor ? undefined : misfit(next, request)
      before.push(problem ?? error)
      if (problem) continue
      tell(options, { type: 'failover', from: nameOf(asked), to: nameOf(next), error: failureOf(error) })
      asked = next
      return signed(replyOf(next, await requests.for(next, first, request, options), options, way), next)
    }
    return undefined
  }

  try {
    const made = await requests.for(first, first, request, options)
    yield* untilAnswered(replyOf(first, made, options, way), options, askNext)
  } catch (error) {
    if (!isLLMError(error) || error.kind === 'aborted') throw error
    throw [...before, error].reduce((earlier, later) => behind(later, earlier))
  }
}

/** What another provider could cure. */
function isCurable({ kind }: LLMError, next: LLMClient, failed: LLMClient): boolean {
  if (kind === 'invalid_request' || kind === 'content_filter') return false
  if (kind !== 'context_length') return true
  const larger = next.capabilities.contextWindow ?? Number.POSITIVE_INFINITY
  return larger > (failed.capabilities.contextWindow ?? 0)
}

const deepestCause = 5

/** `error` with `earlier` at the end of its causes: a copy, since an error belongs to who threw it. */
function behind<E extends Error>(error: E, earlier: Error, depth = 0): E {
  const { cause } = error
  const isLast = !(cause instanceof Error) || depth === deepestCause
  const own = (value: unknown) => ({ value, writable: true, configurable: true })
  return Object.create(Object.getPrototypeOf(error), {
    ...Object.getOwnPropertyDescriptors(error),
    stack: own(error.stack),
    cause: own(isLast ? earlier : behind(cause, earlier, depth + 1)),
  }) as E // of the same class, with the same members
}
