import type { LLMChunk, LLMRequest } from '../client/client.ts'
import type { JsonObject } from '../json.ts'
import type { ErrorSource } from './errors.ts'
import type { ExchangeSettings } from './exchange-options.ts'
import type { SseEvent } from './sse.ts'

/** `'call'`: the answer is asked for in one body; `'stream'`: as events. Servers may do otherwise. */
export type CallMode = 'call' | 'stream'

/** On which a body is made. */
export interface Occasion {
  /** Is told what had to be left out. */
  readonly warn: (message: string) => void
  /** The conversation that will go on after this request, where there is one. */
  readonly conversationId?: string
}

/** What is particular about speaking to one provider. `Exchange` does the rest. */
export interface Wire extends ExchangeSettings {
  /** Who it is that fails, and what no error may show. */
  readonly source: ErrorSource
  /**
   * The body of a request. Pure, but for what it keeps of messages it has written before.
   *
   * @throws LLMError of kind `invalid_request` for what this provider cannot be sent at all.
   */
  encode(request: LLMRequest, mode: CallMode, occasion: Occasion): JsonObject
  /**
   * Sends it and resolves with the bare answer as soon as its headers are there. The only part that does I/O; it neither
   * retries nor times out. Ends with `signal`, which is made for this call alone.
   *
   * @throws HttpFailure for a status that is none of success, also as the cause of what an SDK throws; MissingPackageError.
   */
  send(body: JsonObject, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Response>
  /** Made anew for each answer. */
  reader(requestId: string | undefined): AnswerReader
}

/** Reads one answer into chunks; no I/O. It is given events if the body is an event stream, and else the whole body. */
export interface AnswerReader {
  /** The end of the answer was announced (`[DONE]`, `message_stop`): what follows is not read. */
  readonly isDone: boolean
  /**
   * The `text`, `reasoning` and `tool_call` chunks of one event, none for what says nothing.
   *
   * @throws LLMError: what the provider says went wrong, or `malformed`.
   */
  readEvent(event: SseEvent): readonly LLMChunk[]
  /**
   * The same of a whole body; `isDone` afterwards.
   *
   * @throws LLMError
   */
  readBody(text: string): readonly LLMChunk[]
  /**
   * The `end` chunk. Also asked for when the body ended, or fell silent, without an announced end.
   *
   * @throws LLMError of kind `malformed` if the answer is not whole.
   */
  end(): Extract<LLMChunk, { type: 'end' }>
}
