import {
  type CallOptions,
  type Capabilities,
  capabilitiesCheck,
  type LLMChunk,
  type LLMClient,
  type LLMRequest,
  type LLMResponse,
} from '../client/client.ts'
import { MissingCredentialError } from '../errors.ts'
import { checkOptions, filledText, given, optional } from '../options.ts'
import { chatCompletions } from './chat-completions/wire.ts'
import {
  type ConnectionOptions,
  connectionChecks,
  fromEnvironment,
  loadedOnce,
  refusing,
  secretsOf,
  stoppedBy,
  transportOnly,
} from './connection.ts'
import { errorSourceOf } from './errors.ts'
import { Exchange } from './exchange.ts'
import { type ExchangeOptions, exchangeChecks, exchangeSettings } from './exchange-options.ts'
import { openAIQuirks, type Quirks, quirksCheck } from './quirks.ts'
import type { Wire } from './wire.ts'

export type { ConnectionOptions } from './connection.ts'
export type { ExchangeOptions } from './exchange-options.ts'

export interface GroqClientOptions extends ConnectionOptions, ExchangeOptions {
  /** Default: the environment's `GROQ_API_KEY`. */
  readonly apiKey?: string
  /** Where the API is, with or without its `/openai/v1`. Default: the environment's `GROQ_BASE_URL`, or Groq itself. */
  readonly baseURL?: string
  /** Such as `'openai/gpt-oss-120b'`. */
  readonly model: string
  /**
   * What the model can do, where it differs from tools, streaming and images. Structured output is not on by itself: few
   * models have it, and none of them beside tools.
   */
  readonly capabilities?: Partial<Capabilities>
  readonly quirks?: Partial<Quirks>
}

/**
 * Groq's Chat Completions, over its SDK (`npm install groq-sdk`), which is loaded at the first call, and neither retries
 * nor times out. A tool call that the model got wrong, which Groq refuses by itself (`tool_use_failed`), is an `LLMError` of
 * kind `malformed`: it may be asked again.
 */
export class GroqClient implements LLMClient {
  readonly provider: string = 'groq'
  readonly model: string
  readonly capabilities: Capabilities
  readonly #exchange: Exchange

  /**
   * @throws MissingCredentialError without a key.
   * @throws ConfigurationError
   */
  constructor(options: GroqClientOptions) {
    checkOptions('GroqClient', options, checks)
    const { model, capabilities, quirks } = options
    const connection = connectionOf(options)
    const settings = exchangeSettings(options)
    this.model = model
    this.capabilities = {
      tools: true,
      streaming: true,
      structuredOutput: false,
      images: true,
      ...given(capabilities),
    }
    this.#exchange = new Exchange(
      chatCompletions({
        ...settings,
        source: errorSourceOf(this, secretsOf(connection), settings.runtime),
        quirks: { ...groqQuirks, ...given(quirks) },
        send: senderOf(connection, options.fetch ?? settings.runtime.fetch),
      }),
    )
  }

  call(request: LLMRequest, options?: CallOptions): Promise<LLMResponse> {
    return this.#exchange.call(request, options)
  }

  stream(request: LLMRequest, options?: CallOptions): AsyncIterableIterator<LLMChunk> {
    return this.#exchange.stream(request, options)
  }
}

const checks = {
  ...connectionChecks,
  ...exchangeChecks,
  model: filledText(),
  capabilities: optional(capabilitiesCheck),
  quirks: optional(quirksCheck),
}

const groqQuirks: Quirks = { ...openAIQuirks, cacheKey: false, files: false }

interface GroqConnection {
  readonly apiKey: string
  readonly baseURL: string
  readonly defaultHeaders: Readonly<Record<string, string>>
}

function connectionOf({ defaultHeaders = {}, ...options }: GroqClientOptions): GroqConnection {
  const apiKey = options.apiKey ?? fromEnvironment('GROQ_API_KEY')
  const baseURL = options.baseURL ?? fromEnvironment('GROQ_BASE_URL') ?? 'https://api.groq.com'
  if (apiKey === undefined) {
    throw new MissingCredentialError(
      'GROQ_API_KEY',
      'There is no API key for Groq. Set GROQ_API_KEY, or pass apiKey.',
    )
  }
  // They can come from the environment, which no check has seen.
  const { apiKey: key, baseURL: url } = connectionChecks
  checkOptions('GroqClient', { apiKey, baseURL }, { apiKey: key, baseURL: url })
  // The SDK puts this path behind every base URL, and everybody else's documentation has it in front of the base URL's end.
  return { apiKey: apiKey.trim(), baseURL: baseURL.replace(/\/openai\/v1\/?$/, ''), defaultHeaders }
}

function senderOf(connection: GroqConnection, fetch: typeof globalThis.fetch): Wire['send'] {
  const sdk = loadedOnce('groq-sdk', async () => {
    const { Groq } = await import('groq-sdk')
    return new Groq({ ...connection, fetch: refusing(fetch), ...transportOnly })
  })
  return async (body, headers, signal) => {
    const { chat } = await sdk()
    // Our own types know what this API takes; the SDK's know also what nobody sends.
    const params = body as unknown as Parameters<typeof chat.completions.create>[0]
    return chat.completions.create(params, { headers, ...stoppedBy(signal) }).asResponse()
  }
}
