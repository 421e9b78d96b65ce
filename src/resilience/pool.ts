import { untilAborted } from '../abort.ts'
import { ConfigurationError } from '../errors.ts'
import {
  type Check,
  checkMembers,
  checkOptions,
  fn,
  integer,
  object,
  optional,
  positiveMs,
} from '../options.ts'
import { type Runtime, systemRuntime } from '../runtime.ts'

export interface PoolOptions<Item> {
  create(): Item | Promise<Item>
  /** Frees an item that is not needed any more. Its place is given on when it is done; what it throws, only `drain` says. */
  destroy(item: Item): void | Promise<void>
  /** Items that may exist at once. */
  readonly max: number
  /** Milliseconds after which an item that nobody used is destroyed. Default: never. */
  readonly idleMs?: number
  /** Whether an item can be used again, asked before each use but its first. False, or a throw: it is destroyed. */
  validate?(item: Item): boolean | Promise<boolean>
  /** Default: the real clock. */
  readonly runtime?: Pick<Runtime, 'sleep'>
}

/** Things that are dear to make, such as database connections, lent to one user at a time. */
export interface Pool<Item> extends AsyncDisposable {
  /**
   * What `work` gives, done with an item that is nobody else's until then. When `max` are in use it waits its turn, first
   * come, first served; `signal` ends the wait, not the work.
   *
   * @throws ConfigurationError when the pool is drained, the signal's reason, or what `create` or `work` throws.
   */
  use<Result>(
    work: (item: Item) => Result | Promise<Result>,
    options?: { readonly signal?: AbortSignal },
  ): Promise<Result>
  /**
   * Destroys all items, those in use when their work is done, and refuses who waits or comes later. Do not wait for it
   * within `use`.
   *
   * @throws What `destroy` throws, once all are gone.
   */
  drain(): Promise<void>
}

/**
 * Makes items when they are first needed, and lends the last used again, so that those in excess grow old and go.
 *
 * @throws ConfigurationError
 */
export function createPool<Item>(options: PoolOptions<Item>): Pool<Item> {
  checkOptions('createPool()', options, checks())
  return new LendingPool(options)
}

// A function: a bundler keeps what is called when a module is loaded, also for those who never use it.
const checks = (): Record<keyof PoolOptions<unknown>, Check> => ({
  create: fn(),
  destroy: fn(),
  max: integer(1),
  idleMs: optional(positiveMs()),
  validate: optional(fn()),
  runtime: optional(object()),
})

/** An item that was used before; `undefined` where one is to be made. */
type Used<Item> = { readonly item: Item } | undefined

interface Waiter<Item> {
  enter(used: Used<Item>): void
  refuse(reason: unknown): void
}

/** An item that rests, and what ends its timer. */
interface Resting<Item> {
  readonly item: Item
  readonly taken: AbortController
}

/** A place is held by a user, or by an item that is being destroyed; places held and items at rest are never above `max`. */
class LendingPool<Item> implements Pool<Item> {
  readonly #options: PoolOptions<Item>
  readonly #resting: Resting<Item>[] = []
  readonly #waiting = new Set<Waiter<Item>>()
  #places = 0
  /** What `destroy` threw first. */
  #failure: { readonly error: unknown } | undefined
  #drained: Promise<void> | undefined
  #onEmpty = () => {}

  constructor(options: PoolOptions<Item>) {
    this.#options = { ...options }
  }

  async use<Result>(
    work: (item: Item) => Result | Promise<Result>,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<Result> {
    checkMembers('pool.use()', { work }, { work: fn() })
    signal?.throwIfAborted()
    const preparing = this.#prepare(await this.#place(signal))
    let item: Item
    try {
      item = await (signal ? untilAborted(preparing, signal) : preparing)
    } catch (error) {
      // What is made for one who has left serves the next.
      preparing.then(
        (late) => this.#giveBack({ item: late }),
        () => this.#giveBack(undefined),
      )
      throw error
    }
    try {
      return await work(item)
    } finally {
      this.#giveBack({ item })
    }
  }

  drain(): Promise<void> {
    this.#drained ??= this.#drain()
    return this.#drained
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.drain()
  }

  async #drain(): Promise<void> {
    // One turn later, so that what `destroy` calls finds the pool drained.
    await null
    for (const waiter of this.#waiting) waiter.refuse(drained())
    for (const { item, taken } of this.#resting.splice(0)) {
      taken.abort('drained')
      this.#places += 1
      void this.#retire(item)
    }
    if (this.#places > 0) {
      await new Promise<void>((resolve) => {
        this.#onEmpty = resolve
      })
    }
    if (this.#failure) throw this.#failure.error
  }

  /** Waits for a place, with the item that came free with it. */
  async #place(signal: AbortSignal | undefined): Promise<Used<Item>> {
    if (this.#drained) throw drained()
    const rested = this.#resting.pop()
    rested?.taken.abort('taken')
    if (rested || this.#places < this.#options.max) {
      this.#places += 1
      return rested
    }
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.delete(waiter)
        signal?.removeEventListener('abort', stop)
      }
      const waiter: Waiter<Item> = {
        enter: (used) => {
          leave()
          resolve(used)
        },
        refuse: (reason) => {
          leave()
          reject(reason)
        },
      }
      const stop = () => waiter.refuse(signal?.reason)
      signal?.addEventListener('abort', stop, { once: true })
      this.#waiting.add(waiter)
    })
  }

  async #prepare(used: Used<Item>): Promise<Item> {
    if (used) {
      if (await this.#isValid(used.item)) return used.item
      await this.#destroy(used.item)
    }
    return this.#options.create()
  }

  async #isValid(item: Item): Promise<boolean> {
    try {
      return (await this.#options.validate?.(item)) ?? true
    } catch {
      return false
    }
  }

  /** Gives the place to who waits longest, or frees it. */
  #giveBack(used: Used<Item>): void {
    if (used && this.#drained) {
      void this.#retire(used.item)
      return
    }
    const [waiter] = this.#waiting
    if (waiter) {
      waiter.enter(used)
      return
    }
    this.#places -= 1
    if (used) this.#rest(used.item)
    if (this.#places === 0) this.#onEmpty()
  }

  #rest(item: Item): void {
    const resting = { item, taken: new AbortController() }
    this.#resting.push(resting)
    const { idleMs, runtime = systemRuntime } = this.#options
    if (idleMs === undefined) return
    const growOld = async () => {
      await runtime.sleep(idleMs, resting.taken.signal)
      const index = this.#resting.indexOf(resting)
      if (index === -1) return
      this.#resting.splice(index, 1)
      this.#places += 1
      await this.#retire(item)
    }
    growOld().catch(() => {})
  }

  async #retire(item: Item): Promise<void> {
    await this.#destroy(item)
    this.#giveBack(undefined)
  }

  async #destroy(item: Item): Promise<void> {
    try {
      await this.#options.destroy(item)
    } catch (error) {
      this.#failure ??= { error }
    }
  }
}

const drained = () =>
  new ConfigurationError('pool', 'This pool is drained. Use it before drain(), or create another one.')
