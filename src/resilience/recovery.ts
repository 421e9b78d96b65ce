import { untilAborted } from '../abort.ts'
import type { ClientMiddleware, LLMRequest, LLMResponse } from '../client/client.ts'
import { clientError } from '../client/thrown.ts'
import type { LLMError } from '../errors.ts'
import { type Check, checkMembers, checkOptions, integer, list, optional, that } from '../options.ts'
import { untilAnswered } from './until-answered.ts'
import { replyOf, told, wrapped } from './wrapped.ts'

/** What to do about a failed model call. */
export interface RecoveryStrategy {
  recover(error: LLMError, context: RecoveryContext): Promise<Recovery>
}

/**
 * `'retry'`: what was wrong is put right (another client is chosen, a token is renewed), so the same call is made again.
 * `'fail'`: no case for this strategy; the next one is asked, and after the last the error is thrown. A response: the case is
 * handled, and this stands in for the reply.
 */
export type Recovery = 'retry' | 'fail' | LLMResponse

export interface RecoveryContext {
  /** The call that failed; the first is 1. */
  readonly attempt: number
  readonly request: LLMRequest
  /** Aborts when the call is. */
  readonly signal?: AbortSignal
}

export interface RecoveryOptions {
  /** Calls in all, the first included. Default: 3. */
  readonly attempts?: number
}

/**
 * Asks `strategies`, in their order, what to do about a model call that failed, before anybody hears of it. For failures
 * that take an act of the application; waiting is `retry`, and asking somebody else is `failover`.
 *
 * @throws ConfigurationError
 */
export function recovery(
  strategies: readonly RecoveryStrategy[],
  options: RecoveryOptions = {},
): ClientMiddleware {
  checkMembers('recovery', { strategies }, { strategies: list(strategy) })
  checkOptions('recovery', options, checks)
  const { attempts = 3 } = options
  return (next) =>
    wrapped(next, (request, callOptions, way) => {
      const { signal } = callOptions ?? {}
      let attempt = 0
      const ask = () => {
        attempt += 1
        return replyOf(next, request, callOptions, way)
      }
      const recover = async (error: LLMError): Promise<Recovery> => {
        for (const strategy of strategies) {
          const context = { attempt, request, ...(signal && { signal }) }
          const outcome = await strategy.recover(error, context)
          if (outcome !== 'fail') return outcome
        }
        return 'fail'
      }
      return untilAnswered(ask(), callOptions, async (error) => {
        const recovering = recover(error)
        const outcome = await (signal ? untilAborted(recovering, signal) : recovering).catch((thrown) => {
          throw clientError(thrown, next, signal)
        })
        if (outcome === 'fail') return undefined
        if (outcome !== 'retry') return told(outcome, way)
        return attempt < attempts ? ask() : undefined
      })
    })
}

const strategy = that(
  'an object with recover()',
  (value) =>
    typeof value === 'object' && value !== null && typeof Reflect.get(value, 'recover') === 'function',
)

const checks: Record<keyof RecoveryOptions, Check> = { attempts: optional(integer(1)) }
