import { ConfigurationError, UnexpectedError } from '../errors.ts'
import { type Check, checkOptions, fn, integer, number, object, optional, positiveMs } from '../options.ts'
import { type Runtime, runtimeCheck, systemRuntime } from '../runtime.ts'

export interface BatcherOptions<Item, Result> {
  /** Items of one batch. With `adaptive`, of the first. */
  readonly maxBatchSize: number
  /** How long the first item of a batch waits for others, in milliseconds. A full batch does not wait. */
  readonly maxWaitMs: number
  /**
   * Gives a result for each item, in their order; an `Error` among them is thrown to its own item alone. What it throws is
   * thrown to all. `signal` aborts when nobody waits for any of them any more.
   */
  execute(
    items: readonly Item[],
    options: { readonly signal: AbortSignal },
  ): Promise<readonly (Result | Error)[]>
  /** Finds the size by how long batches take. Default: it stays `maxBatchSize`. */
  readonly adaptive?: AdaptiveBatching
  /** Default: the real clock. */
  readonly runtime?: Pick<Runtime, 'now' | 'sleep'>
}

export interface AdaptiveBatching {
  readonly min: number
  readonly max: number
  /**
   * In milliseconds. A batch that takes no longer makes the next one larger by one item; three in a row that take longer
   * halve it. Batches that fail do not count.
   */
  readonly targetLatencyMs: number
}

/** Single requests, gathered into batches. */
export interface Batcher<Item, Result> extends AsyncDisposable {
  /** Items of the next batch. */
  readonly batchSize: number
  /**
   * The result of `item`, once its batch was executed. When `signal` aborts it rejects at once; an item whose batch has not
   * begun is taken out of it.
   *
   * @throws ConfigurationError when the batcher is drained, the signal's reason, or what `execute` throws.
   */
  enqueue(item: Item, options?: { readonly signal?: AbortSignal }): Promise<Result>
  /** Executes what waits now, without waiting for more. */
  flush(): void
  /** Executes what waits, refuses what comes later, and resolves when all is done. Do not wait for it within `execute`. */
  drain(): Promise<void>
}

/**
 * Gathers what is asked for one by one: a batch is executed when it is full, or `maxWaitMs` after its first item.
 *
 * @throws ConfigurationError
 */
export function batcher<Item, Result>(options: BatcherOptions<Item, Result>): Batcher<Item, Result> {
  checkOptions('batcher', options, checks())
  const { adaptive, maxBatchSize } = options
  if (adaptive) {
    const { min, max } = adaptive
    checkOptions('batcher', { adaptive: { max } }, { adaptive: object({ max: integer(min) }) })
    checkOptions('batcher', { maxBatchSize }, { maxBatchSize: integer(min, max) })
  }
  return new GatheringBatcher(options)
}

// A function: a bundler keeps what is called when a module is loaded, also for those who never use it.
const checks = (): Record<keyof BatcherOptions<unknown, unknown>, Check> => ({
  maxBatchSize: integer(1),
  maxWaitMs: number(0),
  execute: fn(),
  adaptive: optional(object({ min: integer(1), max: integer(1), targetLatencyMs: positiveMs() })),
  runtime: optional(runtimeCheck),
})

interface Waiting<Item, Result> {
  readonly item: Item
  readonly resolve: (result: Result) => void
  readonly reject: (reason: unknown) => void
  /** Its caller waits no longer. */
  readonly leave: () => void
}

/** What is executed together. */
interface Batch<Item, Result> {
  readonly items: Set<Waiting<Item, Result>>
  /** Ends the wait for more. */
  readonly timer: AbortController
  /** Ends its execution. */
  readonly work: AbortController
}

const slowInARow = 3

class GatheringBatcher<Item, Result> implements Batcher<Item, Result> {
  readonly #options: BatcherOptions<Item, Result>
  readonly #runtime: Pick<Runtime, 'now' | 'sleep'>
  readonly #working = new Set<Promise<void>>()
  #gathering: Batch<Item, Result> | undefined
  #batchSize: number
  #slow = 0
  #isDrained = false

  constructor(options: BatcherOptions<Item, Result>) {
    this.#options = { ...options }
    this.#runtime = options.runtime ?? systemRuntime
    this.#batchSize = options.maxBatchSize
  }

  get batchSize(): number {
    return this.#batchSize
  }

  async enqueue(item: Item, { signal }: { readonly signal?: AbortSignal } = {}): Promise<Result> {
    if (this.#isDrained) {
      throw new ConfigurationError(
        'batcher',
        'This batcher is drained. Enqueue before drain(), or make another one.',
      )
    }
    signal?.throwIfAborted()
    this.#gathering ??= this.#begin()
    const batch = this.#gathering
    return new Promise((resolve, reject) => {
      const stop = () => {
        waiting.leave()
        reject(signal?.reason)
        if (batch.items.size === 0) this.#abandon(batch, signal?.reason)
      }
      const waiting: Waiting<Item, Result> = {
        item,
        resolve,
        reject,
        leave: () => {
          batch.items.delete(waiting)
          signal?.removeEventListener('abort', stop)
        },
      }
      signal?.addEventListener('abort', stop, { once: true })
      batch.items.add(waiting)
      if (batch.items.size >= this.#batchSize) this.flush()
    })
  }

  flush(): void {
    const batch = this.#gathering
    if (!batch) return
    this.#gathering = undefined
    batch.timer.abort('full')
    const working = this.#execute(batch)
    this.#working.add(working)
    void working.then(() => this.#working.delete(working))
  }

  async drain(): Promise<void> {
    this.#isDrained = true
    this.flush()
    await Promise.all(this.#working)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.drain()
  }

  #begin(): Batch<Item, Result> {
    const batch = {
      items: new Set<Waiting<Item, Result>>(),
      timer: new AbortController(),
      work: new AbortController(),
    }
    this.#runtime.sleep(this.#options.maxWaitMs, batch.timer.signal).then(
      () => this.flush(),
      () => {},
    )
    return batch
  }

  #abandon(batch: Batch<Item, Result>, reason: unknown): void {
    if (this.#gathering === batch) this.#gathering = undefined
    batch.timer.abort('empty')
    batch.work.abort(reason)
  }

  /** Never rejects: what goes wrong is told to the items. */
  async #execute({ items, work }: Batch<Item, Result>): Promise<void> {
    // Those that leave meanwhile are not in `items` any more.
    const batch = [...items]
    const startedAt = this.#runtime.now()
    try {
      const results: unknown = await this.#options.execute(
        batch.map(({ item }) => item),
        { signal: work.signal },
      )
      const given = Array.isArray(results) ? results.length : 'none'
      if (given !== batch.length) {
        throw new UnexpectedError(
          `execute() of the batcher gave ${given} results for ${batch.length} items. Give one for each, in their order.`,
        )
      }
      this.#adapt(this.#runtime.now() - startedAt)
      batch.forEach(({ resolve, reject, leave }, index) => {
        const result = (results as readonly (Result | Error)[])[index] // as many as items, as was just seen
        leave()
        if (result instanceof Error) reject(result)
        else resolve(result as Result) // the array has no end before `index`
      })
    } catch (error) {
      for (const { reject, leave } of batch) {
        leave()
        reject(error)
      }
    }
  }

  /** Additive increase, multiplicative decrease. */
  #adapt(tookMs: number): void {
    const { adaptive } = this.#options
    if (!adaptive) return
    const { min, max, targetLatencyMs } = adaptive
    if (tookMs <= targetLatencyMs) {
      this.#slow = 0
      this.#batchSize = Math.min(max, this.#batchSize + 1)
      return
    }
    this.#slow += 1
    if (this.#slow < slowInARow) return
    this.#slow = 0
    this.#batchSize = Math.max(min, Math.floor(this.#batchSize / 2))
  }
}
