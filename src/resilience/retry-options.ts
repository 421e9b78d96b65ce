import { llmErrorKinds } from '../errors.ts'
import {
  type Check,
  either,
  fn,
  integer,
  joined,
  list,
  number,
  object,
  oneOf,
  optional,
  record,
} from '../options.ts'
import { type Runtime, runtimeCheck } from '../runtime.ts'
import type { RetryPolicy } from './retry-policy.ts'

export interface RetryOptions extends RetryPolicy {
  /** What is different for the clients of a provider, by its name: `{ anthropic: { attempts: 5 } }`. */
  readonly policies?: Readonly<Record<string, RetryPolicy>>
  /** Default: the real clock. */
  readonly runtime?: Pick<Runtime, 'sleep' | 'random'>
}

/** What an option has to be that takes kinds of failures. */
/* @__NO_SIDE_EFFECTS__ */
export function errorKinds(): Check {
  return list(oneOf(...llmErrorKinds))
}

const policyChecks: Record<keyof RetryPolicy, Check> = {
  attempts: optional(integer(1)),
  minDelayMs: optional(number(0)),
  factor: optional(number(1)),
  maxDelayMs: optional(number(0)),
  jitter: optional(oneOf('full', 'equal', 'none')),
  retryOn: optional(either(fn(), errorKinds())),
  maxRetryAfterMs: optional(number(0)),
}

export const retryChecks: Record<keyof RetryOptions, Check> = joined(policyChecks, {
  policies: optional(record(object(policyChecks))),
  runtime: optional(runtimeCheck),
})
