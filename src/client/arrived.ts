import type { LLMChunk } from './client.ts'

/**
 * A stream that also gives what has arrived, without a promise: pieces come many at a time, and to wait for each of them
 * costs more than to read it. Where a stream cannot, or does more than pass on, each piece is waited for.
 */
export interface ArrivingChunks extends AsyncIterableIterator<LLMChunk, void, undefined> {
  /**
   * The next text, reasoning or piece of a call, if it is there already; `undefined` when `next()` has to be asked, also
   * for the end, a retraction and a failure. Never throws. Not to be asked while a `next()` is waited for.
   */
  takeArrived(): LLMChunk | undefined
}

/** What `iterator` can give without waiting. */
export function takeArrived(iterator: AsyncIterator<LLMChunk> | undefined): LLMChunk | undefined {
  const arriving = iterator as Partial<ArrivingChunks> | undefined // asked by the name of its method
  return typeof arriving?.takeArrived === 'function' ? arriving.takeArrived() : undefined
}

/** `chunks`, which passes on what `source` gives: the one it is handing out from, or `undefined` while it does anything else. */
export function passing(
  chunks: AsyncGenerator<LLMChunk, void, undefined>,
  source: () => AsyncIterator<LLMChunk> | undefined,
): ArrivingGenerator {
  return new Passing(chunks, source)
}

export type ArrivingGenerator = AsyncGenerator<LLMChunk, void, undefined> &
  Pick<ArrivingChunks, 'takeArrived'>

// A class: one is made for each call and each middleware, and closures cost more than methods.
class Passing implements ArrivingGenerator {
  readonly #chunks: AsyncGenerator<LLMChunk, void, undefined>
  readonly #source: () => AsyncIterator<LLMChunk> | undefined

  constructor(
    chunks: AsyncGenerator<LLMChunk, void, undefined>,
    source: () => AsyncIterator<LLMChunk> | undefined,
  ) {
    this.#chunks = chunks
    this.#source = source
  }

  next(): Promise<IteratorResult<LLMChunk, void>> {
    return this.#chunks.next()
  }

  return(value?: void | PromiseLike<void>): Promise<IteratorResult<LLMChunk, void>> {
    return this.#chunks.return(value)
  }

  throw(error: unknown): Promise<IteratorResult<LLMChunk, void>> {
    return this.#chunks.throw(error)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#chunks.return()
  }

  takeArrived(): LLMChunk | undefined {
    return takeArrived(this.#source())
  }
}
