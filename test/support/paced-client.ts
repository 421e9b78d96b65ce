import type { CallOptions, LLMChunk, LLMClient, LLMRequest, LLMResponse } from '../../src/client/client.ts'
import type { VirtualClock } from '../../src/testing/clock.ts'

/** What a client gives, and how many milliseconds after it was asked for it. */
export type PacedStep = readonly [afterMs: number, chunk: LLMChunk]

export const said = (text: string): LLMChunk => ({ type: 'text', text })

export const response = (text: string, rest: Partial<LLMResponse> = {}): LLMResponse => ({
  text,
  toolCalls: [],
  stopReason: 'stop',
  ...rest,
})

export const ended = (text: string, rest: Partial<LLMResponse> = {}): LLMChunk => ({
  type: 'end',
  response: response(text, rest),
})

/** A client that takes its time on a virtual clock. One that is deaf takes no notice of its signal, and of being left. */
export class PacedClient implements LLMClient {
  readonly provider = 'paced'
  readonly model = 'paced-1'
  readonly capabilities = { tools: true, streaming: true, structuredOutput: true, images: true }
  /** Why its signals have aborted, in the order it was called; `undefined` where one has not. */
  readonly signals: (AbortSignal | undefined)[] = []
  left = 0
  readonly #clock: VirtualClock
  readonly #steps: readonly PacedStep[]
  readonly #isDeaf: boolean

  constructor(clock: VirtualClock, steps: readonly PacedStep[], { deaf = false } = {}) {
    this.#clock = clock
    this.#steps = steps
    this.#isDeaf = deaf
  }

  async call(request: LLMRequest, options?: CallOptions): Promise<LLMResponse> {
    for await (const chunk of this.stream(request, options)) if (chunk.type === 'end') return chunk.response
    throw new Error('The steps have no end.')
  }

  async *stream(_: LLMRequest, { signal }: CallOptions = {}): AsyncGenerator<LLMChunk, void, undefined> {
    this.signals.push(signal)
    let isOver = false
    try {
      for (const [afterMs, chunk] of this.#steps) {
        await this.#clock.runtime.sleep(afterMs, this.#isDeaf ? undefined : signal)
        isOver = chunk.type === 'end'
        yield chunk
      }
    } finally {
      if (!isOver) this.left += 1
    }
  }
}
