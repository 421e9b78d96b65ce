import type { CallOptions, LLMChunk } from '../client/client.ts'
import { isLLMError } from '../client/thrown.ts'
import type { LLMError } from '../errors.ts'

/**
 * What `first` says. If it fails, what `instead` gives for its failure, and so on; with nothing to give, the failure is
 * thrown. What was handed out of a reply that broke is withdrawn when the next one begins; a caller that cannot do that
 * gets the failure. Neither an abort nor an error that is no failed call is anything to recover from.
 */
export async function* untilAnswered(
  first: AsyncIterable<LLMChunk>,
  options: CallOptions | undefined,
  instead: (error: LLMError) => Promise<AsyncIterable<LLMChunk> | undefined>,
): AsyncGenerator<LLMChunk, void, undefined> {
  let isShown = false
  for (let reply: AsyncIterable<LLMChunk> | undefined = first; reply; ) {
    try {
      let isStale = isShown
      for await (const chunk of reply) {
        if (isStale) yield { type: 'retracted' }
        isStale = false
        isShown = chunk.type !== 'retracted'
        yield chunk
      }
      return
    } catch (error) {
      if (!isLLMError(error) || error.kind === 'aborted' || options?.signal?.aborted) throw error
      reply = isShown && !options?.canRetract ? undefined : await instead(error)
      if (!reply) throw error
    }
  }
}
