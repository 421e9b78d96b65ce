import { leave } from '../abort.ts'

/** An iterator that nobody waits for once `signal` has aborted, not even if it goes on regardless. */
export class Pulls<T> {
  readonly #iterator: AsyncIterator<T>
  readonly #signal: AbortSignal | undefined
  #stop: ((reason: unknown) => void) | undefined
  #isOver = false

  constructor(source: AsyncIterable<T>, signal: AbortSignal | undefined) {
    this.#iterator = source[Symbol.asyncIterator]()
    this.#signal = signal
    // One for a whole stream, not one for each of its thousands of pieces.
    signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  /** @throws The signal's reason, or what the iterator throws. */
  next(): Promise<IteratorResult<T>> {
    return new Promise((resolve, reject) => {
      if (this.#signal?.aborted) return reject(this.#signal.reason)
      this.#stop = reject
      this.#iterator.next().then(
        (step) => {
          this.#stop = undefined
          this.#isOver = step.done === true
          resolve(step)
        },
        (error) => {
          this.#stop = undefined
          this.#isOver = true
          reject(error)
        },
      )
    })
  }

  /** Lets go of the iterator, and of the signal; waits for it only if it is not at work. */
  async end(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#onAbort)
    if (this.#isOver) return
    this.#isOver = true
    if (this.#stop) leave(this.#iterator)
    else await this.#iterator.return?.()
  }

  readonly #onAbort = () => this.#stop?.(this.#signal?.reason)
}
