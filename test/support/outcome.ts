/** What `promise` rejects with; a promise that does not is an error. */
export async function thrownBy(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => {
      throw new Error('nothing was thrown')
    },
    (error: unknown) => error,
  )
}

/** Lets everything happen that needs no more than one turn of the event loop. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Lets the event loop turn until it is so; the test's own time limit is the only one. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await turn()
}

/** Counts the listeners that are on `signal` now. */
export function countListeners(signal: AbortSignal): { readonly now: number } {
  let now = 0
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  signal.addEventListener = (...all: Parameters<typeof add>) => {
    now++
    add(...all)
  }
  signal.removeEventListener = (...all: Parameters<typeof remove>) => {
    now--
    remove(...all)
  }
  return {
    get now() {
      return now
    },
  }
}
