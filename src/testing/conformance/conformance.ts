import { ConfigurationError, shown } from '../../errors.ts'

export interface ConformanceOptions<Name extends string> {
  /** What this subject does otherwise, each with the reason. Such a case does nothing when it is run. */
  readonly exceptions?: Readonly<Partial<Record<Name, string>>>
}

export interface ConformanceCase<Name extends string = string> {
  readonly name: Name
  /** Why this subject is excused from it. */
  readonly exception?: string
  /** Rejects with what is wrong. */
  run(): Promise<void>
}

/** `cases`, by their names, for the subject that `make` makes. */
export function conformanceCases<Name extends string, Make>(
  cases: Readonly<Record<Name, (make: Make) => Promise<void>>>,
  make: Make,
  options: ConformanceOptions<Name> = {},
): readonly ConformanceCase<Name>[] {
  const exceptions: Readonly<Partial<Record<string, string>>> = options.exceptions ?? {}
  for (const [name, reason] of Object.entries(exceptions)) {
    const path = `exceptions[${JSON.stringify(name)}]`
    if (!Object.hasOwn(cases, name)) {
      throw new ConfigurationError(path, `There is no case ${shown(name)} to make an exception from.`)
    }
    if (typeof reason !== 'string' || reason.trim() === '') {
      throw new ConfigurationError(path, `${path} is ${shown(reason)}; it must be the reason, as text.`)
    }
  }
  return (Object.keys(cases) as Name[]).map((name) => {
    const exception = exceptions[name]
    return exception === undefined
      ? { name, run: () => cases[name](make) }
      : { name, exception, run: () => Promise.resolve() }
  })
}
