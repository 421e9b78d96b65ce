/**
 * A controller that aborts when any of `parents` does, and can be aborted by itself. `unlink` takes its listeners
 * off again: a signal that outlives many runs must not remember each of them.
 */
export function linkedController(...parents: readonly (AbortSignal | undefined)[]): {
  controller: AbortController
  unlink: () => void
} {
  const controller = new AbortController()
  return { controller, unlink: follow(controller, ...parents) }
}

/**
 * Aborts `controller` when any of `parents` does, or at once if one has; the reason is that of the first in their order.
 * Gives back how to stop that.
 */
export function follow(
  controller: AbortController,
  ...parents: readonly (AbortSignal | undefined)[]
): () => void {
  const aborted = () => parents.find((parent) => parent?.aborted)
  const abort = () => controller.abort(aborted()?.reason)
  for (const parent of parents) parent?.addEventListener('abort', abort, { once: true })
  if (aborted()) abort()
  return () => {
    for (const parent of parents) parent?.removeEventListener('abort', abort)
  }
}

/**
 * Settles as `promise` does, or rejects with the signal's reason as soon as it aborts, whichever is first.
 * What `promise` does afterwards is nobody's concern: a late rejection is swallowed.
 */
export function untilAborted<T>(promise: PromiseLike<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = () => reject(signal.reason)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
    promise.then(
      (value) => {
        signal.removeEventListener('abort', stop)
        resolve(value)
      },
      (error) => {
        signal.removeEventListener('abort', stop)
        reject(error)
      },
    )
  })
}

/** Most of what may take time takes none, and to wait for it would cost more than it does. */
export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

/** Lets go of an iterator without waiting for it: one that does not want to stop must not hold anybody up. */
export function leave(iterator: AsyncIterator<unknown>): void {
  const leaving = async () => iterator.return?.()
  leaving().catch(() => {})
}
