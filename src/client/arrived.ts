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
  const { takeArrived } = (iterator ?? {}) as Partial<ArrivingChunks> // asked by its name
  return typeof takeArrived === 'function' ? takeArrived() : undefined
}

/** `chunks`, which passes on what `source` gives: the one it is handing out from, or `undefined` while it does anything else. */
export function passing(
  chunks: AsyncGenerator<LLMChunk, void, undefined>,
  source: () => AsyncIterator<LLMChunk> | undefined,
): ArrivingGenerator {
  return {
    next: () => chunks.next(),
    return: (value) => chunks.return(value),
    throw: (error) => chunks.throw(error),
    [Symbol.asyncIterator]() {
      return this
    },
    [Symbol.asyncDispose]: async () => {
      await chunks.return()
    },
    takeArrived: () => takeArrived(source()),
  }
}

export type ArrivingGenerator = AsyncGenerator<LLMChunk, void, undefined> &
  Pick<ArrivingChunks, 'takeArrived'>
