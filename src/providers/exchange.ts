import { follow, untilAborted } from '../abort.ts'
import type { ArrivingChunks } from '../client/arrived.ts'
import type {
  CallOptions,
  ClientNotice,
  LLMChunk,
  LLMRequest,
  LLMResponse,
  ProviderLimits,
} from '../client/client.ts'
import { isContent, SilenceWatch } from '../client/silence-watch.ts'
import { LLMError, MissingPackageError } from '../errors.ts'
import { ringAfter } from '../runtime.ts'
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
import type { AnswerReader, CallMode, Wire } from './wire.ts'

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

  async call(request: LLMRequest, options: CallOptions = {}): Promise<LLMResponse> {
    const open = new OpenCall(this.#wire, options)
    try {
      open.begun(await open.begin(request, 'call'))
      while (await open.read()) open.pass()
      return open.finish()
    } catch (thrown) {
      return open.finishAfter(thrown)
    } finally {
      open.close()
    }
  }

  stream(request: LLMRequest, options: CallOptions = {}): ArrivingChunks {
    const open = new OpenCall(this.#wire, options)
    const chunks = streamed(open, request)
    return {
      [Symbol.asyncIterator]() {
        return this
      },
      next: () => chunks.next(),
      takeArrived: () => open.takeArrived(),
      // A generator alone would first wait for the chunk that is under way.
      return: async () => {
        open.leave()
        await chunks.return()
        return { done: true, value: undefined }
      },
    }
  }
}

async function* streamed(open: OpenCall, request: LLMRequest): AsyncGenerator<LLMChunk, void, undefined> {
  let response: LLMResponse
  try {
    open.begun(await open.begin(request, 'stream'))
    while (await open.read()) {
      open.pause()
      for (let chunk = open.take(); chunk; chunk = open.take()) yield chunk
      open.resume()
    }
    response = open.finish()
  } catch (thrown) {
    response = open.finishAfter(thrown)
  } finally {
    open.close()
  }
  // Only now, when nothing is held any more: nobody has to ask again after the end.
  yield { type: 'end', response }
}

/** One call, from its request to the end of its answer. */
class OpenCall {
  readonly #wire: Wire
  readonly #options: CallOptions
  // The SDK hangs listeners on the signal it is given, so it gets one that ends with this call.
  readonly #controller = new AbortController()
  readonly #watch: SilenceWatch
  /** What was read and not handed out. */
  readonly #arrived: LLMChunk[] = []
  #unlink: (() => void) | undefined
  /** Why its reader left. */
  #left: Error | undefined
  #parts: ReturnType<typeof readBody> | undefined
  #reader: AnswerReader | undefined
  #requestId: string | undefined
  #rateLimit: ProviderLimits | undefined
  /** What the part that was read last ended in: what was said before it is handed out before it. */
  #failure: { readonly error: unknown } | undefined
  /** A whole body has ended before it is read. */
  #isWholeBody = false
  #isRead = false
  #isHeard = false

  constructor(wire: Wire, options: CallOptions) {
    this.#wire = wire
    this.#options = options
    this.#watch = new SilenceWatch(wire, () =>
      this.#controller.abort(new Error('The provider was silent for too long.')),
    )
  }

  /** Sends the request. Gives the beginning of an answer. */
  begin(request: LLMRequest, mode: CallMode): Promise<Response> {
    const wire = this.#wire
    const options = this.#options
    const { signal } = this.#controller
    this.#unlink = follow(this.#controller, options.signal)
    signal.throwIfAborted()
    const body = wire.encode(request, mode, {
      warn: (message) => tell(options, { type: 'warning', message }),
      ...(options.scope && { conversationId: options.scope.conversationId }),
    })
    this.#watch.start()
    return untilAborted(wire.send(body, headersOf(options), signal), signal)
  }

  /** An answer has begun. */
  begun({ headers, body }: Response): void {
    const wire = this.#wire
    this.#requestId = requestIdOf(headers, wire.source)
    this.#rateLimit = readProviderLimits(headers, wire.runtime.now())
    this.#reader = wire.reader(this.#requestId)
    this.#parts = readBody(body, this.#controller.signal, () => this.#watch.heard())
  }

  /** Reads what comes next of the body; false at the end of the answer. */
  async read(): Promise<boolean> {
    if (this.#failure) throw this.#failure.error
    const [parts, reader] = [this.#parts, this.#reader]
    if (!parts || !reader) return false
    if (reader.isDone) {
      if (!this.#isWholeBody) await this.#readOut(parts)
      return false
    }
    const step = await parts.next()
    this.#controller.signal.throwIfAborted()
    if (step.done) return false
    this.#isWholeBody = typeof step.value === 'string'
    this.#failure = readPart(step.value, reader, this.#arrived)
    return true
  }

  /** Leaves out what was read: the end says it all. */
  pass(): void {
    if (this.#arrived.some(isContent)) this.#watch.heard()
    this.#arrived.length = 0
  }

  /** What was read is about to be taken, which is the time of who takes it. */
  pause(): void {
    this.#isHeard = this.#arrived.some(isContent)
    this.#watch.pause()
  }

  resume(): void {
    this.#watch.resume(this.#isHeard)
  }

  /** What arrived before an abort is not handed out after it. */
  take(): LLMChunk | undefined {
    this.#controller.signal.throwIfAborted()
    return this.#arrived.shift()
  }

  /** The same, for who asks beside the generator; the generator throws. */
  takeArrived(): LLMChunk | undefined {
    return this.#controller.signal.aborted ? undefined : this.#arrived.shift()
  }

  /** The reader wants no more. */
  leave(): void {
    this.#left ??= new Error('The stream was left.')
    this.#controller.abort(this.#left)
  }

  /** The answer, which was read. */
  finish(): LLMResponse {
    this.#options.signal?.throwIfAborted()
    const response = this.#whole()
    this.#isRead = true
    return response
  }

  /** Some servers say why they stopped, and then neither announce the end nor hang up: what they said counts. */
  finishAfter(thrown: unknown): LLMResponse {
    const { source } = this.#wire
    const { signal } = this.#options
    if (signal?.aborted) throw abortedError(signal.reason, source)
    if (this.#left) throw abortedError(this.#left, source)
    const { silence } = this.#watch
    if (silence === undefined) throw errorOf(thrown, source)
    try {
      return this.#whole()
    } catch {
      throw stalledError(silence, source, this.#requestId)
    }
  }

  /** Holds nothing any more. */
  close(): void {
    this.#arrived.length = 0
    // An abort is dear: whatever hangs on the signal is told. A body that was read to its end needs none.
    if (!this.#isRead) this.#controller.abort()
    this.#watch.end()
    this.#unlink?.()
  }

  /** @throws LLMError of kind `malformed` */
  #whole(): LLMResponse {
    const { response } = this.#reader?.end() ?? {}
    if (!response) throw new Error('The answer has not begun.')
    return this.#rateLimit ? { ...response, rateLimit: this.#rateLimit } : response
  }

  /**
   * Reads what comes after the announced end, usually the end itself, so that the connection can be used again. Not for
   * long: some servers keep it open.
   */
  async #readOut(parts: AsyncIterator<unknown>): Promise<void> {
    const unset = ringAfter(50, this.#wire.runtime, () => this.#controller.abort())
    try {
      while (!(await parts.next()).done);
    } catch {
      // The answer was whole before.
    } finally {
      unset()
    }
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
