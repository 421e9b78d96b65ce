import type { Capabilities, LLMChunk, LLMClient, LLMRequest, LLMResponse } from '../../client/client.ts'
import { collect } from '../../client/collect.ts'
import { type ErrorCode, LLMError } from '../../errors.ts'
import type { ReplyEntry } from '../../transcript/entry.ts'
import { RemadeError } from '../cassette/recorded-error.ts'
import { brokenOff, responseOf } from './reply.ts'
import { isBrokenOff, type RecordedRun } from './runs.ts'

/** A model that says what it said in a run: its replies in order, and after them what the run failed with. */
export class ReplayClient implements LLMClient {
  #run: RecordedRun | undefined
  #calls = 0
  #speaksJson: boolean

  /** `protocol`: in which it was spoken to, until a reply tells. */
  constructor(protocol: 'native' | 'json') {
    this.#speaksJson = protocol === 'json'
  }

  begin(run: RecordedRun): void {
    this.#run = run
    this.#calls = 0
  }

  /** Of the reply that was said last: a conversation may change its model. */
  get provider(): string {
    return this.#last?.provider ?? 'replay'
  }

  get model(): string {
    return this.#last?.model ?? 'replay'
  }

  /** For the reply that comes next: whether its model was spoken to in JSON. */
  get capabilities(): Capabilities {
    const next = this.#run?.replies[this.#calls]
    if (next && !isBrokenOff(next)) this.#speaksJson = next.raw !== undefined
    return { tools: !this.#speaksJson, streaming: true, structuredOutput: true, images: true }
  }

  call(request: LLMRequest): Promise<LLMResponse> {
    return collect(this, this.stream(request))
  }

  async *stream(_: LLMRequest): AsyncGenerator<LLMChunk, void, undefined> {
    const reply = this.#run?.replies[this.#calls]
    if (!reply) throw this.#failure()
    this.#calls += 1
    if (isBrokenOff(reply)) {
      yield { type: 'text', text: brokenOff(reply.text, this.#speaksJson ? 'json' : 'native') }
      throw this.#failure()
    }
    const response = responseOf(reply)
    if (response.text !== '') yield { type: 'text', text: response.text }
    yield { type: 'end', response }
  }

  get #last(): ReplyEntry | undefined {
    return this.#run?.replies[Math.max(0, this.#calls - 1)]
  }

  #failure(): Error {
    const { status, error } = this.#run?.ended ?? {}
    if (!error)
      return new RemadeError('script_exhausted', 'The transcript holds no further reply of this run.')
    if (error.code !== 'llm') return new RemadeError(error.code as ErrorCode, error.message) // as it was written down
    const { provider, model } = this
    return new LLMError(error.message, {
      kind: status === 'aborted' ? 'aborted' : 'unknown',
      provider,
      model,
    })
  }
}
