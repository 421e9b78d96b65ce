import { linkedController, untilAborted } from '../abort.ts'
import type { ArrivingChunks } from '../client/arrived.ts'
import type {
  CallOptions,
  ClientNotice,
  LLMChunk,
  LLMRequest,
  LLMResponse,
  ProviderLimits,
} from '../client/client.ts'
import { collect } from '../client/collect.ts'
import { isContent, SilenceWatch } from '../client/silence-watch.ts'
import { LLMError, MissingPackageError } from '../errors.ts'
import type { JsonObject } from '../json.ts'
import { optional, positiveMs } from '../options.ts'
import { createRuntime, type Runtime, runtimeCheck } from '../runtime.ts'
import {
  abortedError,
  type ErrorSource,
  HttpFailure,
  requestIdOf,
  stalledError,
  statusError,
  transportError,
} from './errors.ts'
import { readProviderLimits } from './rate-limit-headers.ts'
import { readBody, type SseEvent } from './sse.ts'

/** Options of every client: how long its provider may be silent, and whose clock tells. */
export interface ExchangeOptions {
  /**
   * How long an answer may take to begin, in milliseconds, also one that is sent whole; headers and pings do not begin
   * it. Raise it for models that think long before they say anything. Default: 300 000.
   */
  readonly firstContentMs?: number
  /**
   * How long an answer that has begun may say nothing more, in milliseconds. Only text, reasoning and tool calls count:
   * pings, comments and empty deltas do not, and the time its reader takes is not counted. Default: 60 000.
   */
  readonly idleMs?: number
  /** Where the time comes from, and ids and the network. Default: the real ones. */
  readonly runtime?: Partial<Runtime>
}

export const exchangeChecks = {
  firstContentMs: optional(positiveMs()),
  idleMs: optional(positiveMs()),
  runtime: optional(runtimeCheck),
}

export interface ExchangeSettings extends Required<Pick<ExchangeOptions, 'firstContentMs' | 'idleMs'>> {
  readonly runtime: Runtime
}

export function exchangeSettings(options: ExchangeOptions): ExchangeSettings {
  const { firstContentMs = 300_000, idleMs = 60_000, runtime } = options
  return { firstContentMs, idleMs, runtime: createRuntime(runtime) }
}

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
  end(): LLMChunk
}

/**
 * One provider's calls, made of its `Wire`: a client's `call` and `stream` are these. Each call has an AbortController of
 * its own, which is all that the SDK and the body hang on, and leaves no listener on the caller's signal and no timer.
 * A silent provider is given up (`stalled`) and its request cancelled; an abort is never taken for an end. Whatever is
 * thrown is an `LLMError`, or says which package is missing.
 */
export class Exchange {
  readonly #wire: Wire

  constructor(wire: Wire) {
    this.#wire = wire
  }

  call(request: LLMRequest, options: CallOptions = {}): Promise<LLMResponse> {
    return collect(this.#wire.source, this.#chunks(request, options, 'call', []))
  }

  stream(request: LLMRequest, options: CallOptions = {}): ArrivingChunks {
    const leaving = new AbortController()
    const arrived: LLMChunk[] = []
    const chunks = this.#chunks(request, options, 'stream', arrived, leaving.signal)
    return {
      [Symbol.asyncIterator]() {
        return this
      },
      next: () => chunks.next(),
      takeArrived: () => (options.signal?.aborted || leaving.signal.aborted ? undefined : arrived.shift()),
      // A generator alone would first wait for the chunk that is under way.
      return: async () => {
        leaving.abort(new Error('The stream was left.'))
        await chunks.return()
        return { done: true, value: undefined }
      },
    }
  }

  /** Each piece of the body is read at once into `arrived`, and handed out from there. */
  async *#chunks(
    request: LLMRequest,
    options: CallOptions,
    mode: CallMode,
    arrived: LLMChunk[],
    left?: AbortSignal,
  ): AsyncGenerator<LLMChunk, void, undefined> {
    const wire = this.#wire
    // The SDK hangs listeners on the signal it is given, so it gets one that ends with this call.
    const { controller, unlink } = linkedController(options.signal, left)
    const { signal } = controller
    const watching = linkedController(signal)
    const watch = new SilenceWatch(wire, watching.controller.signal, () =>
      controller.abort(new Error('The provider was silent for too long.')),
    )
    let requestId: string | undefined
    let rateLimit: ProviderLimits | undefined
    let reader: AnswerReader | undefined
    let end: LLMChunk | undefined
    let isRead = false
    try {
      signal.throwIfAborted()
      const body = wire.encode(request, mode, {
        warn: (message) => tell(options, { type: 'warning', message }),
        ...(options.scope && { conversationId: options.scope.conversationId }),
      })
      watch.start()
      const response = await untilAborted(wire.send(body, headersOf(options), signal), signal)
      requestId = requestIdOf(response.headers, wire.source)
      rateLimit = readProviderLimits(response.headers, wire.runtime.now())
      reader = wire.reader(requestId)
      const parts = readBody(response.body, signal, () => watch.heard())
      for await (const part of parts) {
        signal.throwIfAborted()
        const failure = readPart(part, reader, arrived)
        if (arrived.length > 0) {
          const isHeard = arrived.some(isContent)
          watch.pause()
          for (let chunk = arrived.shift(); chunk; chunk = arrived.shift()) {
            yield chunk
            // What arrived before an abort is not handed out after it.
            signal.throwIfAborted()
          }
          watch.resume(isHeard)
        }
        if (failure) throw failure.error
        if (!reader.isDone) continue
        end = reader.end()
        // A whole body has ended before it is read.
        if (typeof part !== 'string') await readOut(parts, controller, wire.runtime)
        break
      }
      options.signal?.throwIfAborted()
      end ??= reader.end()
      isRead = true
    } catch (thrown) {
      const stopper = [options.signal, left].find((each) => each?.aborted)
      if (stopper) throw abortedError(stopper.reason, wire.source)
      if (watch.silence === undefined) throw errorOf(thrown, wire.source)
      // Some servers say why they stopped, and then neither announce the end nor hang up.
      end = wholeEnd(reader)
      if (end === undefined) throw stalledError(watch.silence, wire.source, requestId)
    } finally {
      arrived.length = 0
      // An abort is dear: whatever hangs on the signal is told. A body that was read to its end needs none.
      if (!isRead) controller.abort()
      watching.controller.abort('over')
      watching.unlink()
      unlink()
    }
    // Only now, when nothing is held any more: nobody has to ask again after the end.
    yield end.type === 'end' && rateLimit ? { ...end, response: { ...end.response, rateLimit } } : end
  }
}

/** Reads what arrived into chunks, up to a failure: what was said before it is handed out before it. */
function readPart(
  part: readonly SseEvent[] | string,
  reader: AnswerReader,
  arrived: LLMChunk[],
): { readonly error: unknown } | undefined {
  try {
    if (typeof part === 'string') arrived.push(...reader.readBody(part))
    else for (const event of part) for (const chunk of reader.readEvent(event)) arrived.push(chunk)
    return undefined
  } catch (error) {
    return { error }
  }
}

function wholeEnd(reader: AnswerReader | undefined): LLMChunk | undefined {
  try {
    return reader?.end()
  } catch {
    return undefined
  }
}

function headersOf({ headers, idempotencyKey }: CallOptions): Readonly<Record<string, string>> {
  return { ...(idempotencyKey !== undefined && { 'Idempotency-Key': idempotencyKey }), ...headers }
}

export function tell({ notify }: Pick<CallOptions, 'notify'>, notice: ClientNotice): void {
  try {
    notify?.(notice)
  } catch {
    // A listener that throws cannot harm a call.
  }
}

/** What is thrown to a caller for whatever a request threw. */
export function errorOf(thrown: unknown, source: ErrorSource): unknown {
  if (thrown instanceof LLMError || thrown instanceof MissingPackageError) return thrown
  const { cause } = Object(thrown) as { cause?: unknown } // only compared
  const failure = [thrown, cause].find((each) => each instanceof HttpFailure)
  return failure ? statusError(failure, source) : transportError(thrown, source)
}

/**
 * Reads what comes after the announced end, usually the end itself, so that the connection can be used again. Not for
 * long: some servers keep it open.
 */
async function readOut(
  parts: AsyncIterator<unknown>,
  controller: AbortController,
  runtime: Runtime,
): Promise<void> {
  const timer = new AbortController()
  const late = runtime.sleep(50, timer.signal).then(
    () => controller.abort(),
    () => {},
  )
  try {
    while (!(await parts.next()).done);
  } catch {
    // The answer was whole before.
  } finally {
    timer.abort('over')
    await late
  }
}
