import type { LLMClient } from '../client/client.ts'
import { checkMembers, checkOptions } from '../options.ts'
import { type Candidate, candidatesCheck, clientOf } from './candidate.ts'
import { type FailoverOptions, failoverChecks, inOrder } from './failover.ts'

export interface DegradeOptions extends FailoverOptions {
  /** After which failures a smaller model is asked. Default: `context_length` and `overloaded`. */
  readonly when?: NonNullable<FailoverOptions['when']>
}

/**
 * A client of several models of one provider, the best first: when one fails, the next is asked instead, as by `failover`, with a `failover` event.
 * It looks like the first of them.
 *
 * ```ts
 * degrade([{ client: large }, { client: small, params: { maxOutputTokens: 500 } }])
 * ```
 *
 * @throws ConfigurationError
 */
export function degrade(models: readonly (LLMClient | Candidate)[], options: DegradeOptions = {}): LLMClient {
  checkMembers('degrade', { models }, { models: candidatesCheck })
  checkOptions('degrade', options, failoverChecks)
  const { when = ['context_length', 'overloaded'] } = options
  const [first, ...others] = models.map(clientOf) as [LLMClient, ...LLMClient[]] // at least one, as was checked
  return inOrder([first, ...others], when)
}
