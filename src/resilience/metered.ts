import type { CallOptions, LLMChunk, LLMClient, LLMRequest, LLMResponse } from '../client/client.ts'

/** Watches one call. */
export interface Meter {
  /** Sees the response, and gives it as it is handed on. */
  end(response: LLMResponse): Promise<LLMResponse>
  /** There is none: the call failed, or its stream was left. `begun`: a piece of it had come. */
  fail(failure: unknown, begun: boolean): void
}

/** A client of which every call is watched: `open` is asked before its request, and may refuse it by throwing. */
export function metered(
  next: LLMClient,
  open: (request: LLMRequest, options: CallOptions | undefined) => Promise<Meter>,
): LLMClient {
  const { stream, close } = next
  return {
    provider: next.provider,
    model: next.model,
    capabilities: next.capabilities,
    call: async (request, options) => {
      const meter = await open(request, options)
      let response: LLMResponse
      try {
        response = await next.call(request, options)
      } catch (error) {
        meter.fail(error, false)
        throw error
      }
      return meter.end(response)
    },
    ...(stream && {
      stream: (request: LLMRequest, options?: CallOptions) =>
        streamed(
          () => stream.call(next, request, options),
          () => open(request, options),
        ),
    }),
    ...(close && { close: () => close.call(next) }),
  }
}

async function* streamed(
  begin: () => AsyncIterable<LLMChunk>,
  open: () => Promise<Meter>,
): AsyncGenerator<LLMChunk, void, undefined> {
  const meter = await open()
  let begun = false
  let failure: unknown
  let isOver = false
  try {
    for await (const chunk of begin()) {
      if (chunk.type === 'end') {
        isOver = true
        yield { ...chunk, response: await meter.end(chunk.response) }
      } else {
        begun = true
        yield chunk
      }
    }
  } catch (error) {
    failure = error
    throw error
  } finally {
    if (!isOver) meter.fail(failure, begun)
  }
}
