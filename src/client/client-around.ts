import type { CallOptions, Capabilities, LLMChunk, LLMClient, LLMRequest, LLMResponse } from './client.ts'

/** What a client does otherwise than the one that it is around. */
export interface Around {
  /** Default: those of the client within. */
  readonly capabilities?: () => Capabilities
  readonly call: (request: LLMRequest, options: CallOptions | undefined) => Promise<LLMResponse>
  /** `stream` is the one of the client within; where that has none, nor has the client around it. */
  readonly stream: (
    stream: NonNullable<LLMClient['stream']>,
    request: LLMRequest,
    options: CallOptions | undefined,
  ) => AsyncIterable<LLMChunk>
}

/** A client that is `next` to look at, asked each time: one such as a `SwitchableClient` changes what it is. */
export function clientAround(next: LLMClient, around: Around): LLMClient {
  const { close } = next
  const stream = next.stream?.bind(next)
  return {
    get provider() {
      return next.provider
    },
    get model() {
      return next.model
    },
    get capabilities() {
      return around.capabilities?.() ?? next.capabilities
    },
    call: (request, options) => around.call(request, options),
    ...(stream && { stream: (request, options) => around.stream(stream, request, options) }),
    ...(close && { close: async () => close.call(next) }),
  }
}
