import type OpenAI from 'openai'
import { linkedController, untilAborted } from '../abort.ts'
import type {
  CallOptions,
  Capabilities,
  LLMChunk,
  LLMClient,
  LLMRequest,
  LLMResponse,
} from '../client/client.ts'
import { collect } from '../client/collect.ts'
import { LLMError, MissingCredentialError, MissingPackageError, messageOf } from '../errors.ts'
import type { JsonObject } from '../json.ts'
import type { Message } from '../messages.ts'
import {
  checkOptions,
  filledText,
  flag,
  fn,
  hidden,
  integer,
  object,
  oneOf,
  optional,
  that,
} from '../options.ts'
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
import { compatibleQuirks, openAIQuirks, type Quirks } from './quirks.ts'
import { readBody, readStart } from './sse.ts'

export type { Quirks } from './quirks.ts'

export interface OpenAIClientOptions {
  /** Default: `'gpt-4o'`. */
  readonly model?: string
  /** Default: the environment's `OPENAI_API_KEY`. A server of your own, given by `baseURL`, may need none. */
  readonly apiKey?: string
  /** Where the API is, up to and with its `/v1`. Default: the environment's `OPENAI_BASE_URL`, or OpenAI itself. */
  readonly baseURL?: string
  /** Default: the environment's `OPENAI_ORG_ID`. */
  readonly organization?: string
  /** Default: the environment's `OPENAI_PROJECT_ID`. */
  readonly project?: string
  /** Sent with every request. */
  readonly defaultHeaders?: Readonly<Record<string, string>>
  /** Default: the platform's. Redirects are not followed, whatever it does by itself. */
  readonly fetch?: typeof globalThis.fetch
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
   * @throws MissingCredentialError without a key, unless there is a base URL.
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
      ...capabilities,
    }
    this.#connection = connection
    this.#target = {
      provider: this.provider,
      model,
      quirks: { ...(connection.isOpenAI ? openAIQuirks : compatibleQuirks), ...quirks },
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
        else for (const event of part) for (const chunk of reader.readEvent(event)) yield chunk
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

interface Connection {
  readonly apiKey: string
  readonly baseURL: string | undefined
  readonly organization: string | null
  readonly project: string | null
  readonly defaultHeaders: Readonly<Record<string, string>>
  readonly fetch: typeof globalThis.fetch
  /** It is OpenAI's own API that is spoken to. */
  readonly isOpenAI: boolean
}

const isHttpUrl = (value: unknown): boolean =>
  typeof value === 'string' && /^https?:$/.test(URL.parse(value)?.protocol ?? '')

// What else is in a key no header can hold, and the error of one that tries shows the key.
const isKey = (value: unknown): boolean => typeof value === 'string' && /^[\x21-\x7e]+$/.test(value.trim())

const checks = {
  model: optional(filledText()),
  apiKey: optional(hidden(that('a text of visible ASCII characters', isKey))),
  baseURL: optional(hidden(that('an address such as http://localhost:11434/v1', isHttpUrl))),
  organization: optional(filledText()),
  project: optional(filledText()),
  defaultHeaders: optional(hidden(object())),
  fetch: optional(fn()),
  capabilities: optional(
    object({
      tools: optional(flag()),
      streaming: optional(flag()),
      structuredOutput: optional(flag()),
      images: optional(flag()),
      contextWindow: optional(integer(1)),
      maxOutputTokens: optional(integer(1)),
    }),
  ),
  quirks: optional(
    object({
      maxTokensField: optional(oneOf('max_completion_tokens', 'max_tokens')),
      streamUsage: optional(flag()),
      maxToolCallIdLength: optional(integer(9)),
    }),
  ),
}

function connectionOf(options: OpenAIClientOptions): Connection {
  const { OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_ORG_ID, OPENAI_PROJECT_ID } = environment()
  const baseURL = options.baseURL ?? OPENAI_BASE_URL
  const apiKey = options.apiKey ?? OPENAI_API_KEY ?? (baseURL === undefined ? undefined : keyNotNeeded)
  if (apiKey === undefined) {
    throw new MissingCredentialError(
      'OPENAI_API_KEY',
      'There is no API key for OpenAI. Set OPENAI_API_KEY, pass apiKey, or pass the baseURL of a server that needs none.',
    )
  }
  // Both can come from the environment, which no check has seen.
  checkOptions('OpenAIClient', { apiKey, baseURL }, { apiKey: checks.apiKey, baseURL: checks.baseURL })
  const isOpenAI = baseURL === undefined || /^(.+\.)?api\.openai\.com$/.test(new URL(baseURL).hostname)
  return {
    apiKey: apiKey.trim(),
    baseURL,
    // Whose account it is at OpenAI is nobody else's business.
    organization: options.organization ?? (isOpenAI ? (OPENAI_ORG_ID ?? null) : null),
    project: options.project ?? (isOpenAI ? (OPENAI_PROJECT_ID ?? null) : null),
    defaultHeaders: options.defaultHeaders ?? {},
    fetch: options.fetch ?? systemRuntime.fetch,
    isOpenAI,
  }
}

const keyNotNeeded = 'not-needed'

/** The environment variables that have something in them; none where there is no environment. */
function environment(): Readonly<Record<string, string | undefined>> {
  if (typeof process === 'undefined') return {}
  return Object.fromEntries(Object.entries(process.env).filter(([, value]) => value?.trim()))
}

/** What a server could echo and no error may show. */
function secretsOf({ apiKey, baseURL, defaultHeaders }: Connection): { name: string; value: string }[] {
  const key = apiKey === keyNotNeeded ? [] : [{ name: 'apiKey', value: apiKey }]
  const password = baseURL === undefined ? '' : new URL(baseURL).password
  const headers = Object.entries(defaultHeaders)
    .filter(([name]) => /auth|key|token|secret|cookie/i.test(name))
    .map(([name, value]) => ({ name, value: String(value).replace(/^(bearer|basic) /i, '') }))
  return [...key, { name: 'baseURL', value: password }, ...headers]
}

async function connect({ isOpenAI: _, fetch, baseURL, ...connection }: Connection): Promise<OpenAI> {
  const { OpenAI } = await import('openai').catch((error: unknown) => {
    throw isMissing(error) ? new MissingPackageError('openai', { cause: error }) : error
  })
  return new OpenAI({
    ...connection,
    ...(baseURL !== undefined && { baseURL }),
    fetch: refusing(fetch),
    maxRetries: 0,
    // As long as a timer can be: a run has its own time limit, which also watches the answer as it arrives.
    timeout: 2 ** 31 - 1,
    logLevel: 'off',
  })
}

function isMissing(error: unknown): boolean {
  const { code } = Object(error) as { code?: unknown } // only compared
  return (
    (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') && messageOf(error).includes('openai')
  )
}

/** A `fetch` that reads what an error status says by itself: the SDK knows only OpenAI's way to say it. */
function refusing(fetch: typeof globalThis.fetch): typeof globalThis.fetch {
  return async (input, init) => {
    // Not followed: a redirect would take the conversation, and headers of ours, to a host that nobody named.
    const response = await fetch(input, { ...init, redirect: 'manual' })
    if (response.ok) return response
    const text = await readStart(response.body, init?.signal ?? new AbortController().signal).catch(() => '')
    throw new HttpFailure(response.status, response.headers, text)
  }
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
