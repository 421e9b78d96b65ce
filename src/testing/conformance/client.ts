import { endingCases } from './client-endings.ts'
import { failureCases } from './client-failures.ts'
import { replyCases } from './client-replies.ts'
import type { MakeClient } from './client-stage.ts'
import { type ConformanceCase, type ConformanceOptions, conformanceCases } from './conformance.ts'

const cases = { ...replyCases, ...endingCases, ...failureCases }

/** A sentence about what every client does. */
export type ClientCaseName = keyof typeof cases

/**
 * What every `LLMClient` does, as cases for any test runner: a case makes its own client with `make`, and closes it. A
 * client that cannot stream is only called. Cases that wait for what never comes end with the limit of the runner.
 *
 * ```ts
 * for (const { name, run } of clientConformance(make)) test(name, run)
 * ```
 *
 * @throws ConfigurationError for an exception from a case that does not exist, or one without a reason.
 */
export function clientConformance(
  make: MakeClient,
  options?: ConformanceOptions<ClientCaseName>,
): readonly ConformanceCase<ClientCaseName>[] {
  return conformanceCases(cases, make, options)
}
