import { untilAborted } from '../abort.ts'
import type { CallOptions, LLMChunk, LLMClient, LLMRequest, LLMResponse } from '../client/client.ts'
import { clientAround } from '../client/client-around.ts'
import { clientError } from '../client/thrown.ts'
import { Pulls } from './pulls.ts'

/** Watches one call. Of its two ends it is told one, once. */
export interface Meter {
  /** Sees the response, and gives it as it is handed on. */
  end(response: LLMResponse): LLMResponse | Promise<LLMResponse>
  /** There is none: the call failed, was aborted, or its stream was left. `begun`: a piece of it had come. */
  fail(failure: unknown, begun: boolean): void
}

/**
 * A client of which every call is watched: `open` is awaited before its request, and may refuse it by throwing. A caller
 * whose signal aborts is not held by a client that goes on regardless.
 */
export function metered(
  next: LLMClient,
  open: (request: LLMRequest, options: CallOptions | undefined) => Promise<Meter>,
): LLMClient {
  return clientAround(next, {
    call: async (request, options) => {
      const meter = await open(request, options)
      const signal = options?.signal
      let response: LLMResponse
      try {
        const answer = next.call(request, options)
        response = await (signal ? untilAborted(answer, signal) : answer)
      } catch (thrown) {
        const error = signal?.aborted ? clientError(thrown, next, signal) : thrown
        meter.fail(error, false)
        throw error
      }
      return meter.end(response)
    },
    stream: (stream, request, options) =>
      streamed(
        next,
        () => stream(request, options),
        () => open(request, options),
        options?.signal,
      ),
  })
}

async function* streamed(
  client: LLMClient,
  begin: () => AsyncIterable<LLMChunk>,
  open: () => Promise<Meter>,
  signal: AbortSignal | undefined,
): AsyncGenerator<LLMChunk, void, undefined> {
  const meter = await open()
  let pulls: Pulls<LLMChunk> | undefined
  let begun = false
  let failure: unknown
  let isOver = false
  try {
    pulls = new Pulls(begin(), signal)
    for (let step = await pulls.next(); !step.done; step = await pulls.next()) {
      const chunk = step.value
      if (chunk.type === 'end') {
        // Nothing follows it: what the client holds is free before anybody is let in.
        await pulls.end()
        isOver = true
        yield { ...chunk, response: await meter.end(chunk.response) }
        return
      } else {
        begun = true
        yield chunk
      }
    }
  } catch (thrown) {
    failure = signal?.aborted ? clientError(thrown, client, signal) : thrown
    throw failure
  } finally {
    if (!isOver) meter.fail(failure, begun)
    await pulls?.end()
  }
}
