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
import { checkOptions, filledText, given, optional, that } from '../options.ts'
import { chatCompletions } from './chat-completions/wire.ts'
import { type ConnectionOptions, connectionChecks, fromEnvironment, secretsOf } from './connection.ts'
import { errorSourceOf } from './errors.ts'
import { Exchange } from './exchange.ts'
import { type ExchangeOptions, exchangeChecks, exchangeSettings } from './exchange-options.ts'
import { type OpenAIConnection, openAISdk, openAISender } from './openai-connection.ts'
import { compatibleQuirks, type Quirks, quirksCheck } from './quirks.ts'

export type { ConnectionOptions } from './connection.ts'
export type { ExchangeOptions } from './exchange-options.ts'

export interface OpenRouterClientOptions extends ConnectionOptions, ExchangeOptions {
  /** Default: the environment's `OPENROUTER_API_KEY`. */
  readonly apiKey?: string
  /** Default: `https://openrouter.ai/api/v1`. */
  readonly baseURL?: string
  /** With its maker, such as `'anthropic/claude-opus-4.5'`; `'openrouter/auto'` lets OpenRouter choose. */
  readonly model: string
  /** Your site, for OpenRouter's rankings (`HTTP-Referer`). */
  readonly siteUrl?: string
  /** Your application's name, for OpenRouter's rankings (`X-Title`). */
  readonly appName?: string
  /** What the model can do, where it differs from tools, streaming, structured output and images. */
  readonly capabilities?: Partial<Capabilities>
  readonly quirks?: Partial<Quirks>
}

/**
 * OpenRouter, over OpenAI's SDK (`npm install openai`), which is loaded at the first call, and neither retries nor times
 * out. `usage.costUsd` is what the call cost as billed. What is particular to OpenRouter (`models`, `provider`,
 * `transforms`) is sent by `params.extra`.
 */
export class OpenRouterClient implements LLMClient {
  readonly provider: string = 'openrouter'
  readonly model: string
  readonly capabilities: Capabilities
  readonly #exchange: Exchange

  /**
   * @throws MissingCredentialError without a key.
   * @throws ConfigurationError
   */
  constructor(options: OpenRouterClientOptions) {
    checkOptions('OpenRouterClient', options, checks)
    const { model, capabilities, quirks } = options
    const connection = connectionOf(options)
    const settings = exchangeSettings(options)
    this.model = model
    this.capabilities = {
      tools: true,
      streaming: true,
      structuredOutput: true,
      images: true,
      ...given(capabilities),
    }
    this.#exchange = new Exchange(
      chatCompletions({
        ...settings,
        source: errorSourceOf(this, secretsOf(connection), settings.runtime),
        quirks: { ...openRouterQuirks, ...given(quirks) },
        send: openAISender(openAISdk(connection, options.fetch ?? settings.runtime.fetch)),
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

// What else is in it no header can hold.
const headerText = () =>
  that(
    'a text of visible ASCII characters and blanks',
    (value) => typeof value === 'string' && /^[\x20-\x7e]+$/.test(value),
  )

const checks = {
  ...connectionChecks,
  ...exchangeChecks,
  model: filledText(),
  siteUrl: optional(headerText()),
  appName: optional(headerText()),
  capabilities: optional(capabilitiesCheck),
  quirks: optional(quirksCheck),
}

const openRouterQuirks: Quirks = {
  ...compatibleQuirks,
  usageCost: true,
  reasoningReplay: 'reasoning_details',
}

function connectionOf(options: OpenRouterClientOptions): OpenAIConnection {
  const { baseURL = 'https://openrouter.ai/api/v1', siteUrl, appName } = options
  const apiKey = options.apiKey ?? fromEnvironment('OPENROUTER_API_KEY')
  if (apiKey === undefined) {
    throw new MissingCredentialError(
      'OPENROUTER_API_KEY',
      'There is no API key for OpenRouter. Set OPENROUTER_API_KEY, or pass apiKey.',
    )
  }
  checkOptions('OpenRouterClient', { apiKey }, { apiKey: connectionChecks.apiKey })
  return {
    apiKey: apiKey.trim(),
    baseURL,
    organization: null,
    project: null,
    defaultHeaders: {
      ...(siteUrl !== undefined && { 'HTTP-Referer': siteUrl }),
      ...(appName !== undefined && { 'X-Title': appName }),
      ...options.defaultHeaders,
    },
    isOpenAI: false,
  }
}
