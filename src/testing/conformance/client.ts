import { ConfigurationError, shown } from '../../errors.ts'
import { endingCases } from './client-endings.ts'
import { failureCases } from './client-failures.ts'
import { replyCases } from './client-replies.ts'
import type { MakeClient } from './client-stage.ts'

const cases = { ...replyCases, ...endingCases, ...failureCases }

/** A sentence about what every client does. */
export type ClientCaseName = keyof typeof cases

export interface ClientConformanceOptions {
  /** What this client does otherwise, each with the reason. Such a case does nothing when it is run. */
  readonly exceptions?: Readonly<Partial<Record<ClientCaseName, string>>>
}

export interface ConformanceCase {
  readonly name: ClientCaseName
  /** Why this client is excused from it. */
  readonly exception?: string
  /** Rejects with what is wrong. */
  run(): Promise<void>
}

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
  { exceptions = {} }: ClientConformanceOptions = {},
): readonly ConformanceCase[] {
  for (const [name, reason] of Object.entries(exceptions)) {
    const path = `exceptions[${JSON.stringify(name)}]`
    if (!Object.hasOwn(cases, name)) {
      throw new ConfigurationError(path, `There is no case ${shown(name)} to make an exception from.`)
    }
    if (typeof reason !== 'string' || reason.trim() === '') {
      throw new ConfigurationError(path, `${path} is ${shown(reason)}; it must be the reason, as text.`)
    }
  }
  return Object.entries(cases).map(([key, run]) => {
    const name = key as ClientCaseName // a key of the cases
    const exception = exceptions[name]
    return exception === undefined
      ? { name, run: () => run(make) }
      : { name, exception, run: () => Promise.resolve() }
  })
}
