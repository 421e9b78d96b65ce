import { type ConformanceCase, type ConformanceOptions, conformanceCases } from './conformance.ts'
import { appendCases } from './store-appends.ts'
import { lifetimeCases } from './store-lifetime.ts'
import { listCases } from './store-lists.ts'
import { readCases } from './store-reads.ts'
import type { MakeStore } from './store-stage.ts'

const cases = { ...appendCases, ...readCases, ...listCases, ...lifetimeCases }

/** A sentence about what every store does. */
export type StoreCaseName = keyof typeof cases

/**
 * What every `ConversationStore` does, as cases for any test runner: a case makes its own store with `make`, without
 * conversations, and closes it.
 *
 * ```ts
 * for (const { name, run } of storeConformance(make)) test(name, run)
 * ```
 *
 * @throws ConfigurationError for an exception from a case that does not exist, or one without a reason.
 */
export function storeConformance(
  make: MakeStore,
  options?: ConformanceOptions<StoreCaseName>,
): readonly ConformanceCase<StoreCaseName>[] {
  return conformanceCases(cases, make, options)
}
