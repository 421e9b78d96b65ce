import type fc from 'fast-check'

const { LAW_RUNS, LAW_SEED, LAW_PATH } = process.env

/**
 * How often a law is tried, and from which seed: a failure prints its seed and path, and `LAW_SEED=… LAW_PATH=…` tries
 * exactly that case again. `LAW_RUNS` tries all of them more often.
 */
export function trials<T>(usual = 1_000): fc.Parameters<T> {
  return {
    numRuns: LAW_RUNS === undefined ? usual : Number(LAW_RUNS),
    ...(LAW_SEED !== undefined && { seed: Number(LAW_SEED) }),
    ...(LAW_PATH !== undefined && { path: LAW_PATH }),
    // Of one case, in real milliseconds: a run that never ends breaks laws, too.
    timeout: 5_000,
    interruptAfterTimeLimit: 50_000,
    markInterruptAsFailure: true,
  }
}

/** Throws what is wrong, if anything is. */
export function uphold(...faults: readonly (string | undefined)[]): void {
  const found = faults.filter((fault) => fault !== undefined)
  if (found.length > 0) throw new Error(found.join('\n'))
}
