import { linkedController, untilAborted } from '../abort.ts'
import type {
  BatchCallOptions,
  BatchClient,
  BatchOptions,
  BatchResult,
  BatchWaitOptions,
} from '../client/batch-client.ts'
import type { LLMRequest, LLMResponse } from '../client/client.ts'
import { SilenceWatch } from '../client/silence-watch.ts'
import { ConfigurationError, LLMError } from '../errors.ts'
import { isJsonObject, type JsonObject, parseJson } from '../json.ts'
import { checkMembers, checkOptions, filledText, fn, optional, positiveMs, that } from '../options.ts'
import { abortedError, malformedError, notJson, stalledError, unfinishedError } from './errors.ts'
import { errorOf, tell } from './exchange.ts'
import { readLines } from './lines.ts'
import { readBody } from './sse.ts'
import type { Wire } from './wire.ts'

/** What is particular about the batches of one provider. `Batches` does the rest. */
export interface BatchWire {
  /** The wire of single calls: a batch says the same, and is answered the same. */
  readonly wire: Wire
  /** What one batch may have at most. */
  readonly limits: { readonly requests: number; readonly bytes: number }
  /** One request as it stands in a batch. */
  item(customId: string, body: JsonObject): JsonObject
  /** Gives the batch of these items, each the text of one. */
  submit(items: readonly string[], ask: (send: Send) => Promise<JsonObject>): Promise<JsonObject>
  retrieve(id: string, signal: AbortSignal): Promise<Response>
  cancel(id: string, signal: AbortSignal): Promise<Response>
  /** How a batch stands. */
  stateOf(batch: JsonObject): BatchState
  /** A file of results, with one on each line. */
  results(file: string, signal: AbortSignal): Promise<Response>
  /** What one line of results says; `undefined` if that cannot be read. */
  outcomeOf(line: JsonObject): BatchOutcome | undefined
}

/** Sends one request over the SDK, and resolves with the bare answer. */
export type Send = (signal: AbortSignal) => Promise<Response>

export interface BatchState {
  readonly hasEnded: boolean
  /** It was refused as a whole: why nothing of it was done, or will be. */
  readonly failure?: LLMError
  /** The files that its results are in, when it has ended. */
  readonly files: readonly string[]
  /** Requests in it, as far as it says. */
  readonly total?: number
  /** Why there may be no result for some of them. */
  readonly unfinished?: 'expired' | 'canceled'
}

/** An answer as it would have come to a single call, or why there is none. */
export type BatchOutcome = { readonly customId: string } & (
  | { readonly body: JsonObject; readonly requestId?: string | undefined }
  | { readonly error: LLMError }
)

/** The batches of one provider, made of its `BatchWire`. */
export class Batches implements BatchClient {
  readonly #wire: BatchWire

  constructor(wire: BatchWire) {
    this.#wire = wire
  }

  async batch(requests: readonly LLMRequest[], given: BatchOptions = {}): Promise<readonly BatchResult[]> {
    const owner = 'batch()'
    checkOptions(owner, given, { ...waitChecks(), onSubmitted: optional(fn()) })
    const { onSubmitted, ...options } = given
    const items = this.#items(owner, requests, options)
    const sent = items.filter((item) => typeof item === 'string')
    const results = sent.length === 0 ? [] : await this.#submitAndWait(sent, options, onSubmitted)
    return items.map((item, index) =>
      typeof item === 'string' ? (results[index] ?? this.#unreadable()) : item,
    )
  }

  async submitBatch(requests: readonly LLMRequest[], options: BatchCallOptions = {}): Promise<string> {
    const owner = 'submitBatch()'
    checkOptions(owner, options, callChecks())
    const items = this.#items(owner, requests, options).map((item) => {
      if (typeof item === 'string') return item
      throw item
    })
    return this.#submit(owner, items, options)
  }

  async batchResults(id: string, options: BatchWaitOptions = {}): Promise<readonly BatchResult[]> {
    const owner = 'batchResults()'
    checkMembers(owner, { id }, { id: filledText() })
    checkOptions(owner, options, waitChecks())
    const { pollMs = 60_000, signal } = options
    const { runtime } = this.#wire.wire
    let failures = 0
    let answeredAt = runtime.now()
    for (;;) {
      let waitMs = pollMs
      let state: BatchState | undefined
      try {
        state = this.#wire.stateOf(await this.#json((own) => this.#wire.retrieve(id, own), signal))
        if (state.hasEnded && !state.failure) return await this.#results(state, signal)
        answeredAt = runtime.now()
        failures = 0
      } catch (error) {
        // The batch goes on whether it is looked at or not.
        if (!(error instanceof LLMError && error.retryable) || runtime.now() - answeredAt >= longestSilenceMs)
          throw error
        failures += 1
        waitMs = Math.max(pollMs, error.retryAfterMs ?? 0)
        const { code, message, kind } = error
        tell(options, { type: 'retry', attempt: failures, delayMs: waitMs, error: { code, message, kind } })
      }
      // Not one of those that may pass, whatever its requests could have later.
      if (state?.failure) throw state.failure
      await this.#sleep(() => runtime.sleep(waitMs, signal), signal)
    }
  }

  async cancelBatch(id: string, options: Pick<BatchCallOptions, 'signal'> = {}): Promise<void> {
    const owner = 'cancelBatch()'
    checkMembers(owner, { id }, { id: filledText() })
    checkOptions(owner, options, { signal: callChecks().signal })
    await this.#json((own) => this.#wire.cancel(id, own), options.signal)
  }

  /** Each request as its item, or why it cannot be sent. */
  #items(
    owner: string,
    requests: readonly LLMRequest[],
    options: BatchCallOptions,
  ): readonly (string | LLMError)[] {
    const { wire, limits, item } = this.#wire
    const wanted = `an array of 1 to ${limits.requests} requests`
    const isCountRight = (value: unknown) =>
      Array.isArray(value) && value.length > 0 && value.length <= limits.requests
    checkMembers(owner, { requests }, { requests: that(wanted, isCountRight) })
    return requests.map((request, index) => {
      checkMembers(
        owner,
        request,
        { messages: that('an array of messages', Array.isArray) },
        `requests[${index}]`,
      )
      if (request.params?.extra?.['stream'] !== undefined) {
        throw new ConfigurationError(
          `requests[${index}].params.extra.stream`,
          `${owner} gives whole responses: leave stream out of requests[${index}].params.extra.`,
        )
      }
      try {
        const body = wire.encode(request, 'call', {
          warn: (message) => tell(options, { type: 'warning', message }),
        })
        return JSON.stringify(item(customIdOf(index, requests.length), body))
      } catch (error) {
        if (error instanceof LLMError) return error
        throw error
      }
    })
  }

  async #submitAndWait(
    items: readonly string[],
    options: BatchWaitOptions,
    onSubmitted: BatchOptions['onSubmitted'],
  ): Promise<readonly BatchResult[]> {
    const id = await this.#submit('batch()', items, options)
    try {
      onSubmitted?.(id)
    } catch {
      // A listener that throws cannot harm a batch.
    }
    return this.batchResults(id, options)
  }

  async #submit(owner: string, items: readonly string[], { signal }: BatchCallOptions): Promise<string> {
    const { limits, wire } = this.#wire
    const bytes = bytesOf(items)
    if (bytes > limits.bytes) {
      throw new ConfigurationError(
        'requests',
        `${owner} was given requests of ${bytes} bytes; one batch may have ${limits.bytes}. Give fewer at once.`,
      )
    }
    const { id } = await this.#wire.submit(items, (send) => this.#json(send, signal))
    if (typeof id === 'string' && id !== '') return id
    throw malformedError('a batch that has no id', wire.source)
  }

  async #results(
    { files, total, unfinished }: BatchState,
    signal: AbortSignal | undefined,
  ): Promise<BatchResult[]> {
    const found = new Map<number, BatchResult>()
    let count: number | undefined
    for (const file of files) {
      await this.#ask(
        (own) => this.#wire.results(file, own),
        async (body, own, heard) => {
          for await (const text of readLines(body, own, heard)) {
            const line = parseJson(text)
            const outcome = isJsonObject(line) ? this.#wire.outcomeOf(line) : undefined
            const place = outcome && placeOf(outcome.customId)
            if (!outcome || !place) continue
            count ??= place.total
            // Of two results for one request, an answer is worth more than a failure, and the first more than the second.
            const known = found.get(place.index)
            if (!known || known instanceof LLMError) {
              const result = this.#resultOf(outcome)
              if (!known || !(result instanceof LLMError)) found.set(place.index, result)
            }
          }
        },
        signal,
      )
    }
    const missing = () =>
      unfinished ? unfinishedError(unfinished, this.#wire.wire.source) : this.#unreadable()
    return Array.from({ length: count ?? total ?? 0 }, (_, index) => found.get(index) ?? missing())
  }

  #resultOf(outcome: BatchOutcome): BatchResult {
    if ('error' in outcome) return outcome.error
    try {
      return this.#responseOf(outcome)
    } catch (error) {
      if (error instanceof LLMError) return error
      throw error
    }
  }

  /** By the reader of single calls. */
  #responseOf({
    body,
    requestId,
  }: {
    readonly body: JsonObject
    readonly requestId?: string | undefined
  }): LLMResponse {
    const reader = this.#wire.wire.reader(requestId)
    reader.readBody(JSON.stringify(body))
    const end = reader.end()
    if (end.type === 'end') return end.response
    throw this.#unreadable()
  }

  #unreadable(): LLMError {
    return malformedError('a batch without a result for this request', this.#wire.wire.source)
  }

  async #sleep(sleep: () => Promise<void>, signal: AbortSignal | undefined): Promise<void> {
    try {
      await sleep()
    } catch (thrown) {
      throw signal?.aborted ? abortedError(signal.reason, this.#wire.wire.source) : thrown
    }
  }

  #json(send: Send, signal: AbortSignal | undefined): Promise<JsonObject> {
    const { source } = this.#wire.wire
    return this.#ask(
      send,
      async (body, own, heard) => {
        let text = ''
        for await (const part of readBody(body, own, heard)) if (typeof part === 'string') text = part
        const value = parseJson(text)
        if (isJsonObject(value)) return value
        throw malformedError(value === undefined ? notJson(text, source) : 'JSON that is no object', source)
      },
      signal,
    )
  }

  /** One request and its answer; a provider that falls silent meanwhile is given up. */
  async #ask<Read>(
    send: Send,
    read: (body: Response['body'], signal: AbortSignal, heard: () => void) => Promise<Read>,
    signal: AbortSignal | undefined,
  ): Promise<Read> {
    const { wire } = this.#wire
    const { controller, unlink } = linkedController(signal)
    const own = controller.signal
    const watch = new SilenceWatch(wire, () =>
      controller.abort(new Error('The provider was silent for too long.')),
    )
    try {
      own.throwIfAborted()
      watch.start()
      const response = await untilAborted(send(own), own)
      return await read(response.body, own, () => watch.heard())
    } catch (thrown) {
      if (signal?.aborted) throw abortedError(signal.reason, wire.source)
      if (watch.silence) throw stalledError(watch.silence, wire.source)
      throw errorOf(thrown, wire.source)
    } finally {
      watch.end()
      controller.abort()
      unlink()
    }
  }
}

/** As long as a batch takes at most: a provider that says nothing for longer has nothing to say. */
const longestSilenceMs = 24 * 60 * 60_000

const isSignal = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'aborted' in value && 'addEventListener' in value

const callChecks = () => ({
  signal: optional(that('an AbortSignal', isSignal)),
  notify: optional(fn()),
})

const waitChecks = () => ({ ...callChecks(), pollMs: optional(positiveMs()) })

// It says all that it takes to put results in order, so that an id is enough to go on in another process. Letters, digits,
// `_` and `-`, at most 64: Anthropic's Message Batches, "custom_id", 2026-11.
const customIdOf = (index: number, total: number): string => `request-${index}-of-${total}`

function placeOf(customId: string): { readonly index: number; readonly total: number } | undefined {
  const [, index, total] = /^request-(\d{1,9})-of-(\d{1,9})$/.exec(customId) ?? []
  return index === undefined || Number(index) >= Number(total)
    ? undefined
    : { index: Number(index), total: Number(total) }
}

/** Each item with what separates it from the next. */
function bytesOf(items: readonly string[]): number {
  const encoder = new TextEncoder()
  return items.reduce((sum, item) => sum + encoder.encode(item).length + 1, 0)
}
