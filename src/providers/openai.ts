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
import { checkOptions, filledText, given, optional } from '../options.ts'
import { chatCompletions } from './chat-completions/wire.ts'
import { secretsOf } from './connection.ts'
import { errorSourceOf } from './errors.ts'
import { Exchange } from './exchange.ts'
import { type ExchangeOptions, exchangeChecks, exchangeSettings } from './exchange-options.ts'
import {
  type OpenAIConnectionOptions,
  openAIConnection,
  openAIConnectionChecks,
  openAISdk,
  openAISender,
} from './openai-connection.ts'
import { type Preset, presets } from './presets.ts'
import { compatibleQuirks, openAIQuirks, type Quirks, quirksCheck } from './quirks.ts'

export type { ConnectionOptions } from './connection.ts'
export type { ExchangeOptions } from './exchange-options.ts'
export { type Preset, type PresetName, presets } from './presets.ts'
export type { Quirks } from './quirks.ts'

export interface OpenAIClientOptions extends OpenAIConnectionOptions, ExchangeOptions {
  /** Default: `'gpt-4o'`; with a preset there is none. */
  readonly model?: string
  /** What the model can do, where it differs from tools, streaming, structured output and images. */
  readonly capabilities?: Partial<Capabilities>
  /** How the server's Chat Completions differ from OpenAI's. Default: they do not, or by `baseURL`. */
  readonly quirks?: Partial<Quirks>
}

/**
 * OpenAI Chat Completions, over the official SDK (`npm install openai`), and whatever else speaks them, by `preset` or
 * `baseURL`. The SDK is loaded at the first call, and neither retries nor times out.
 */
export class OpenAIClient implements LLMClient, BatchClient {
  /** `'openai'`, or the preset's name. */
  readonly provider: string
  readonly model: string
  readonly capabilities: Capabilities
  readonly #exchange: Exchange
  readonly #batches: () => Promise<BatchClient>

  /**
   * @throws MissingCredentialError without a key for OpenAI itself.
   * @throws ConfigurationError
   */
  constructor(options: OpenAIClientOptions = {}) {
    checkOptions('OpenAIClient', options, checks)
    const { model = 'gpt-4o', preset, capabilities, quirks } = options
    if (preset !== undefined) checkOptions('OpenAIClient', { model: options.model }, { model: filledText() })
    const known: Partial<Preset> = preset === undefined ? {} : presets[preset]
    const connection = openAIConnection(options)
    const settings = exchangeSettings(options)
    const contextWindow = connection.isOpenAI ? contextWindowOf(model) : undefined
    this.provider = preset ?? 'openai'
    this.model = model
    this.capabilities = {
      tools: true,
      streaming: true,
      structuredOutput: true,
      images: true,
      ...(contextWindow !== undefined && { contextWindow }),
      ...known.capabilities,
      ...given(capabilities),
    }
    const sdk = openAISdk(connection, options.fetch ?? settings.runtime.fetch)
    const wire = chatCompletions({
      ...settings,
      source: errorSourceOf(this, secretsOf(connection), settings.runtime),
      quirks: {
        ...(connection.isOpenAI ? openAIQuirks : compatibleQuirks),
        ...known.quirks,
        ...given(quirks),
      },
      send: openAISender(sdk),
    })
    this.#exchange = new Exchange(wire)
    // Loaded at the first batch: most have none.
    this.#batches = async () => (await import('./openai-batches.ts')).openAIBatches(wire, sdk)
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
  ...openAIConnectionChecks,
  ...exchangeChecks,
  model: optional(filledText()),
  capabilities: optional(capabilitiesCheck),
  quirks: optional(quirksCheck),
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
