import { StoreError } from '../errors.ts'

/** What a store opens in `init` and gives back in `close`: opened once, however often and at once it is asked for. */
export class Resource<T extends object> {
  readonly #open: () => Promise<T>
  readonly #release: (opened: T) => Promise<void>
  #opening: Promise<T> | undefined
  #opened: T | undefined
  #isClosed = false

  constructor(open: () => Promise<T>, release: (opened: T) => Promise<void>) {
    this.#open = open
    this.#release = release
  }

  /** @throws StoreError once it is closed, and whatever opening it throws; it can then be tried again. */
  async open(): Promise<void> {
    if (this.#isClosed) throw closed()
    this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = undefined
      throw error
    })
    this.#opened = await this.#opening
  }

  /** @throws StoreError while it is not open. */
  get(): T {
    if (this.#isClosed) throw closed()
    if (!this.#opened) throw new StoreError('The store is not initialised: call init() before anything else.')
    return this.#opened
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    const opened = await this.#opening?.catch(() => undefined)
    if (opened) await this.#release(opened)
  }
}

export function closed(): StoreError {
  return new StoreError('The store is closed: make a new one.')
}
