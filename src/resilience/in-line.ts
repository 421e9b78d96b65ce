/**
 * Waits to be admitted. `join` puts the one who waits in line and gives what takes it out again; when `signal` aborts, it
 * is taken out, and the wait ends at once with the signal's reason. It may be admitted while it joins, or refused by a throw.
 */
export function inLine<T>(
  signal: AbortSignal | undefined,
  join: (admit: (value: T) => void) => () => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    let isIn = false
    const leave = join((value) => {
      isIn = true
      signal?.removeEventListener('abort', stop)
      resolve(value)
    })
    if (!isIn) signal?.addEventListener('abort', stop, { once: true })
    function stop(): void {
      leave()
      reject(signal?.reason)
    }
  })
}
