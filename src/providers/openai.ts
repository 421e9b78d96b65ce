import type OpenAI from 'openai'
import { linkedController, untilAborted } from '../abort.ts'
import {
  type CallOptions,
  type Capabilities,
  capabilitiesCheck,
  type LLMChunk,
  type LLMClient,
  type LLMRequest,
  type LLMResponse,
} from '../client/client.ts'
import { collect } from '../client/collect.ts'
import { LLMError, MissingPackageError } from '../errors.ts'
import type { JsonObject } from '../json.ts'
import type { Message } from '../messages.ts'
import { checkOptions, filledText, flag, integer, object, oneOf, optional } from '../options.ts'
import { systemRuntime } from '../runtime.ts'
import { Scrubber } from '../scrubber.ts'
import {
  abortedError,
  type ErrorSource,
  HttpFailure,
  requestIdOf,
  statusError,
  transportError,
} from './chat-completions/errors.ts'
import { type RequestTarget, wireRequest } from './chat-completions/request.ts'
import { CompletionReader } from './chat-completions/response.ts'
import {
  type Connection,
  type ConnectionOptions,
  connect,
  connectionChecks,
  connectionOf,
  secretsOf,
} from './openai-connection.ts'
import { compatibleQuirks, openAIQuirks, type Quirks } from './quirks.ts'
import { readBody } from './sse.ts'

export type { Quirks } from './quirks.ts'

export interface OpenAIClientOptions extends ConnectionOptions {
  /** Default: `'gpt-4o'`. */
  readonly model?: string
  /** What the model can do, where it differs from tools, streaming, structured output and images. */
  readonly capabilities?: Partial<Capabilities>
  /** How the server's Chat Completions differ from OpenAI's. Default: they do not, or by `baseURL`. */
  readonly quirks?: Partial<Quirks>
}

/**
 * OpenAI Chat Completions, over the official SDK (`npm install openai`), and whatever else speaks them: Ollama, llama.cpp,
 * vLLM, LM Studio. The SDK is loaded at the first call, and neither retries nor times out.
 */
export class OpenAIClient implements LLMClient {
  readonly provider: string = 'openai'
  readonly model: string
  readonly capabilities: Capabilities
  readonly #connection: Connection
  readonly #target: RequestTarget
  readonly #errors: ErrorSource
  #sdk: Promise<OpenAI> | undefined

  /**
   * @throws MissingCredentialError without a key for OpenAI itself.
   * @throws ConfigurationError
   */
  constructor(options: OpenAIClientOptions = {}) {
    checkOptions('OpenAIClient', options, checks)
    const { model = 'gpt-4o', capabilities, quirks } = options
    const connection = connectionOf(options)
    const contextWindow = connection.isOpenAI ? contextWindowOf(model) : undefined
    this.model = model
    this.capabilities = {
      tools: true,
      streaming: true,
      structuredOutput: true,
      images: true,
      ...(contextWindow !== undefined && { contextWindow }),
      ...given(capabilities),
    }
    this.#connection = connection
    this.#target = {
      provider: this.provider,
      model,
      quirks: { ...(connection.isOpenAI ? openAIQuirks : compatibleQuirks), ...given(quirks) },
      written: new WeakMap<Message, JsonObject>(),
    }
    const scrubber = new Scrubber(secretsOf(connection))
    this.#errors = { provider: this.provider, model, scrubber, now: () => systemRuntime.now() }
  }

  call(request: LLMRequest, options: CallOptions = {}): Promise<LLMResponse> {
    return collect(this, this.#chunks(request, options, 'call'))
  }

  stream(request: LLMRequest, options: CallOptions = {}): AsyncIterableIterator<LLMChunk> {
    const leaving = new AbortController()
    const chunks = this.#chunks(request, options, 'stream', leaving.signal)
    return {
      [Symbol.asyncIterator]() {
        return this
      },
      next: () => chunks.next(),
      // A generator alone would first wait for the chunk that is under way.
      return: async () => {
        leaving.abort(new Error('The stream was left.'))
        await chunks.return()
        return { done: true, value: undefined }
      },
    }
  }

  async *#chunks(
    request: LLMRequest,
    options: CallOptions,
    mode: 'call' | 'stream',
    left?: AbortSignal,
  ): AsyncGenerator<LLMChunk, void, undefined> {
    // The SDK hangs listeners on the signal it is given, so it gets one that ends with this call.
    const { controller, unlink } = linkedController(options.signal, left)
    const { signal } = controller
    try {
      signal.throwIfAborted()
      const body = wireRequest(request, this.#target, mode === 'stream')
      const response = await untilAborted(this.#send(body, options, signal), signal)
      const requestId = requestIdOf(response.headers)
      const reader = new CompletionReader({ ...this.#errors, requestId, newCallId })
      const parts = readBody(response.body, signal)
      let end: LLMChunk | undefined
      for await (const part of parts) {
        if (typeof part === 'string') yield* reader.readBody(part)
        else {
          for (const event of part) {
            // What arrived before an abort is not handed out after it.
            signal.throwIfAborted()
            for (const chunk of reader.readEvent(event)) yield chunk
          }
        }
        if (!reader.isDone) continue
        end = reader.end()
        await readOut(parts, controller)
        break
      }
      options.signal?.throwIfAborted()
      yield end ?? reader.end()
    } catch (thrown) {
      const stopper = [options.signal, left].find((each) => each?.aborted)
      throw stopper ? abortedError(stopper.reason, this.#errors) : errorOf(thrown, this.#errors)
    } finally {
      controller.abort()
      unlink()
    }
  }

  async #send(
    body: JsonObject,
    { headers, idempotencyKey }: CallOptions,
    signal: AbortSignal,
  ): Promise<Response> {
    this.#sdk ??= connect(this.#connection)
    const sdk = await this.#sdk.catch((error) => {
      // Not for good: a package can be installed while the program runs.
      this.#sdk = undefined
      throw error
    })
    // Our own types know what this API takes; the SDK's know also what only OpenAI does.
    const params = body as unknown as OpenAI.Chat.ChatCompletionCreateParams
    const sent = { ...(idempotencyKey !== undefined && { 'Idempotency-Key': idempotencyKey }), ...headers }
    return sdk.chat.completions.create(params, { signal, headers: sent }).asResponse()
  }
}

const checks = {
  ...connectionChecks,
  model: optional(filledText()),
  capabilities: optional(capabilitiesCheck),
  quirks: optional(
    object({
      maxTokensField: optional(oneOf('max_completion_tokens', 'max_tokens')),
      streamUsage: optional(flag()),
      maxToolCallIdLength: optional(integer(9)),
    }),
  ),
}

function given<Options extends object>(options: Options | undefined): Options {
  // The same but for what is undefined, which counts as absent.
  return Object.fromEntries(
    Object.entries(options ?? {}).filter(([, value]) => value !== undefined),
  ) as Options
}

function errorOf(thrown: unknown, source: ErrorSource): unknown {
  if (thrown instanceof LLMError || thrown instanceof MissingPackageError) return thrown
  const { cause } = Object(thrown) as { cause?: unknown } // only compared
  const failure = [thrown, cause].find((each) => each instanceof HttpFailure)
  return failure ? statusError(failure, source) : transportError(thrown, source)
}

/**
 * Reads what comes after the announced end, usually the end itself, so that the connection can be used again. Not for
 * long: some servers keep it open.
 */
async function readOut(parts: AsyncIterator<unknown>, controller: AbortController): Promise<void> {
  const timer = new AbortController()
  const late = systemRuntime.sleep(50, timer.signal).then(
    () => controller.abort(),
    () => {},
  )
  try {
    while (!(await parts.next()).done);
  } catch {
    // The answer was whole before.
  } finally {
    timer.abort()
    await late
  }
}

function newCallId(): string {
  return `call_${systemRuntime.id().replaceAll('-', '')}`
}

// Tokens by the start of a model's name, the first that fits: OpenAI's model pages, 2026-11.
const contextWindows: readonly (readonly [start: string, tokens: number])[] = [
  ['gpt-4.1', 1_047_576],
  ['gpt-4o', 128_000],
  ['gpt-4-turbo', 128_000],
  ['gpt-5-chat', 128_000],
  ['gpt-5', 400_000],
  ['gpt-3.5-turbo', 16_385],
  ['o1-mini', 128_000],
  ['o1-preview', 128_000],
  ['o1', 200_000],
  ['o3', 200_000],
  ['o4', 200_000],
]

function contextWindowOf(model: string): number | undefined {
  const name = model.replace(/^ft:/, '')
  return contextWindows.find(([start]) => name.startsWith(start))?.[1]
}
