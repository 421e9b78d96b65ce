import type { LLMError } from '../errors.ts'
import type { CallOptions, LLMRequest, LLMResponse } from './client.ts'

/**
 * A client that can also ask many requests at once of a provider that takes its time, up to a day, and less money. A batch
 * lives at the provider: its id is all that it takes to go on waiting for it, in any process, by a client made alike.
 */
export interface BatchClient {
  /**
   * Submits `requests` as one batch, and waits until it has ended. Gives for each, in their order, what it came to: one that
   * cannot be sent is not, and fails alone. An abort ends the waiting only; the batch goes on until `cancelBatch`.
   *
   * @throws ConfigurationError before anything is sent, for no requests, or more than one batch may have.
   * @throws LLMError when the batch is refused as a whole, or the waiting ends without it.
   */
  batch(requests: readonly LLMRequest[], options?: BatchOptions): Promise<readonly BatchResult[]>
  /**
   * Submits `requests` as one batch, and gives its id. Not tried again: of one that fails on the way back, there may be a batch.
   *
   * @throws ConfigurationError as `batch`.
   * @throws LLMError also if one of `requests` cannot be sent; none of them is then.
   */
  submitBatch(requests: readonly LLMRequest[], options?: BatchCallOptions): Promise<string>
  /**
   * Waits until the batch has ended. Gives the results of its requests, in their order. Failures that may pass are waited
   * out, up to a day of them in a row.
   *
   * @throws LLMError as `batch`.
   */
  batchResults(id: string, options?: BatchWaitOptions): Promise<readonly BatchResult[]>
  /** Asks the provider to end the batch. What is done by then stays done; its results are still to be had. */
  cancelBatch(id: string, options?: Pick<BatchCallOptions, 'signal'>): Promise<void>
}

/**
 * What one request of a batch came to. A request that the provider did not get to is an `LLMError` of kind `timeout`, one
 * that was canceled of kind `aborted`, one of which nothing can be read of kind `malformed`.
 */
export type BatchResult = LLMResponse | LLMError

/** `notify` hears what had to be left out of a request, and each `retry` of a look at the batch. */
export type BatchCallOptions = Pick<CallOptions, 'signal' | 'notify'>

export interface BatchWaitOptions extends BatchCallOptions {
  /** From one look at the batch to the next, in milliseconds, or longer where the provider says so. Default: 60 000. */
  readonly pollMs?: number
}

export interface BatchOptions extends BatchWaitOptions {
  /** Hears the id of the batch, as soon as it has one. Must not throw. */
  readonly onSubmitted?: (id: string) => void
}
