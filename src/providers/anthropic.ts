import type {
  BatchCallOptions,
  BatchClient,
  BatchOptions,
  BatchResult,
  BatchWaitOptions,
} from '../client/batch-client.ts'
import {
  type CallOptions,
  type Capabilities,
  capabilitiesCheck,
  type LLMChunk,
  type LLMClient,
  type LLMRequest,
  type LLMResponse,
} from '../client/client.ts'
import { checkOptions, either, filledText, flag, given, object, oneOf, optional } from '../options.ts'
import {
  type AnthropicConnectionOptions,
  anthropicConnection,
  anthropicConnectionChecks,
  anthropicSdk,
  anthropicSender,
} from './anthropic-connection.ts'
import type { CacheTtl } from './anthropic-messages/cache.ts'
import {
  factsOf,
  type MessagesQuirks,
  messagesQuirksCheck,
  unknownServer,
} from './anthropic-messages/models.ts'
import { anthropicMessages } from './anthropic-messages/wire.ts'
import { secretsOf } from './connection.ts'
import { errorSourceOf } from './errors.ts'
import { Exchange } from './exchange.ts'
import { type ExchangeOptions, exchangeChecks, exchangeSettings } from './exchange-options.ts'

export type { MessagesQuirks } from './anthropic-messages/models.ts'
export type { ConnectionOptions } from './connection.ts'
export type { ExchangeOptions } from './exchange-options.ts'

export interface AnthropicClientOptions extends AnthropicConnectionOptions, ExchangeOptions {
  /** Such as `'claude-sonnet-5-5'`. */
  readonly model: string
  /**
   * What the model can do, where it differs from tools, streaming, images and, at Anthropic itself, structured output.
   * `maxOutputTokens` is also what an answer may have where a request does not say; default: by model, at most 32 000, and
   * 4096 for models of others.
   */
  readonly capabilities?: Partial<Capabilities>
  /**
   * Asks the provider to keep what it read of the prompt for so long, and to read the rest only: the tools, the
   * instructions and the conversation so far. What is kept costs a quarter more once, and a tenth from then on. `true` is 5
   * minutes. Default: 5 minutes for what an agent asks at Anthropic itself, since its next request begins in the same way;
   * not at all for single calls and for other servers.
   */
  readonly cache?: boolean | { readonly ttl: CacheTtl }
  readonly quirks?: Partial<MessagesQuirks>
}

/**
 * Anthropic's Messages API, over its SDK (`npm install @anthropic-ai/sdk`), and whatever else speaks it. The SDK is loaded
 * at the first call; it neither retries, times out, traces nor logs.
 */
export class AnthropicClient implements LLMClient, BatchClient {
  readonly provider: string = 'anthropic'
  readonly model: string
  readonly capabilities: Capabilities
  readonly #exchange: Exchange
  readonly #batches: () => Promise<BatchClient>

  /**
   * @throws MissingCredentialError without a key for Anthropic itself.
   * @throws ConfigurationError
   */
  constructor(options: AnthropicClientOptions) {
    checkOptions('AnthropicClient', options, checks)
    const { model, capabilities, cache } = options
    const connection = anthropicConnection(options)
    const settings = exchangeSettings(options)
    const { isAnthropic, apiVersion } = connection
    const { effort, systemMessages, ...known } = isAnthropic ? factsOf(model) : unknownServer
    this.model = model
    this.capabilities = { tools: true, streaming: true, images: true, ...known, ...given(capabilities) }
    const { structuredOutput, maxOutputTokens = 4096 } = this.capabilities
    const isNew = apiVersion !== '2023-06-01'
    const sdk = anthropicSdk(connection, options.fetch ?? settings.runtime.fetch)
    const wire = anthropicMessages({
      ...settings,
      source: errorSourceOf(this, secretsOf(connection), settings.runtime),
      apiVersion,
      quirks: { effort, systemMessages: systemMessages && isNew, ...given(options.quirks) },
      structuredOutput,
      maxOutputTokens,
      cacheTtl: typeof cache === 'object' ? cache.ttl : cache ? '5m' : undefined,
      conversationTtl: cache === undefined && isAnthropic ? '5m' : undefined,
      send: anthropicSender(sdk),
    })
    this.#exchange = new Exchange(wire)
    // Loaded at the first batch: most have none.
    this.#batches = async () => (await import('./anthropic-batches.ts')).anthropicBatches(wire, sdk)
  }

  call(request: LLMRequest, options?: CallOptions): Promise<LLMResponse> {
    return this.#exchange.call(request, options)
  }

  stream(request: LLMRequest, options?: CallOptions): AsyncIterableIterator<LLMChunk> {
    return this.#exchange.stream(request, options)
  }

  async batch(requests: readonly LLMRequest[], options?: BatchOptions): Promise<readonly BatchResult[]> {
    return (await this.#batches()).batch(requests, options)
  }

  async submitBatch(requests: readonly LLMRequest[], options?: BatchCallOptions): Promise<string> {
    return (await this.#batches()).submitBatch(requests, options)
  }

  async batchResults(id: string, options?: BatchWaitOptions): Promise<readonly BatchResult[]> {
    return (await this.#batches()).batchResults(id, options)
  }

  async cancelBatch(id: string, options?: Pick<BatchCallOptions, 'signal'>): Promise<void> {
    return (await this.#batches()).cancelBatch(id, options)
  }
}

const checks = {
  ...anthropicConnectionChecks,
  ...exchangeChecks,
  model: filledText(),
  capabilities: optional(capabilitiesCheck),
  cache: optional(either(flag(), object({ ttl: oneOf('5m', '1h') }))),
  quirks: optional(messagesQuirksCheck),
}
