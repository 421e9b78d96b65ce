import type { Anthropic } from '@anthropic-ai/sdk'
import { MissingCredentialError } from '../errors.ts'
import { checkOptions, oneOf, optional } from '../options.ts'
import type { ApiVersion } from './anthropic-messages/request.ts'
import {
  type ConnectionOptions,
  connectionChecks,
  fromEnvironment,
  loadedOnce,
  refusing,
  stoppedBy,
  transportOnly,
} from './connection.ts'
import type { Wire } from './wire.ts'

/** Where a server of Anthropic's API is, and as whom to speak to it. */
export interface AnthropicConnectionOptions extends ConnectionOptions {
  /** Default: the environment's `ANTHROPIC_API_KEY`. A server of your own, given by `baseURL`, may need none. */
  readonly apiKey?: string
  /** Where the API is, with or without its `/v1`. Default: the environment's `ANTHROPIC_BASE_URL`, or Anthropic itself. */
  readonly baseURL?: string
  /**
   * The version of the API. The newer one takes no sampling settings (`temperature`, `topP`): they are left out, with a
   * warning. Default: `'2026-10-21'`.
   */
  readonly apiVersion?: ApiVersion
  /**
   * The header that the key is sent in. Many servers that are compatible with Anthropic's know only `'x-api-key'`. Default:
   * `'authorization'`, and with `apiVersion: '2023-06-01'` `'x-api-key'`.
   */
  readonly keyHeader?: 'authorization' | 'x-api-key'
}

export interface AnthropicConnection {
  /** Absent for a server that needs none. */
  readonly apiKey?: string
  readonly baseURL: string
  readonly apiVersion: ApiVersion
  readonly keyHeader: 'authorization' | 'x-api-key'
  readonly defaultHeaders: Readonly<Record<string, string>>
  /** It is Anthropic's own API that is spoken to. */
  readonly isAnthropic: boolean
}

export const anthropicConnectionChecks = {
  ...connectionChecks,
  apiVersion: optional(oneOf('2026-10-21', '2023-06-01')),
  keyHeader: optional(oneOf('authorization', 'x-api-key')),
}

/**
 * What the options leave open is read from the environment, and nowhere else: no profile on disk.
 *
 * @throws MissingCredentialError without a key for Anthropic itself.
 * @throws ConfigurationError for what the environment has and no server can be given.
 */
export function anthropicConnection(options: AnthropicConnectionOptions): AnthropicConnection {
  const { apiVersion = '2026-10-21', defaultHeaders = {} } = options
  const { keyHeader = apiVersion === '2023-06-01' ? 'x-api-key' : 'authorization' } = options
  const apiKey = options.apiKey ?? fromEnvironment('ANTHROPIC_API_KEY')
  const baseURL = options.baseURL ?? fromEnvironment('ANTHROPIC_BASE_URL') ?? 'https://api.anthropic.com'
  // They can come from the environment, which no check has seen.
  const { apiKey: key, baseURL: url } = connectionChecks
  checkOptions('AnthropicClient', { apiKey, baseURL }, { apiKey: key, baseURL: url })
  const isAnthropic = /^(.+\.)?api\.anthropic\.com$/.test(new URL(baseURL).hostname)
  if (apiKey === undefined && isAnthropic) {
    throw new MissingCredentialError(
      'ANTHROPIC_API_KEY',
      'There is no API key for Anthropic. Set ANTHROPIC_API_KEY, pass apiKey, or pass the baseURL of a server that needs none.',
    )
  }
  return {
    ...(apiKey !== undefined && { apiKey: apiKey.trim() }),
    // The SDK puts it behind every base URL.
    baseURL: baseURL.replace(/\/v1\/?$/, ''),
    apiVersion,
    keyHeader,
    defaultHeaders,
    isAnthropic,
  }
}

/** Anthropic's SDK, loaded at the first use. */
export function anthropicSdk(
  { apiKey, baseURL, apiVersion, keyHeader, defaultHeaders }: AnthropicConnection,
  fetch: typeof globalThis.fetch,
): () => Promise<Anthropic> {
  return loadedOnce('@anthropic-ai/sdk', async () => {
    const { Anthropic } = await import('@anthropic-ai/sdk')
    return new Anthropic({
      // Without one it would look for profiles on disk.
      apiKey: apiKey ?? 'not-needed',
      webhookKey: null,
      baseURL,
      defaultHeaders: {
        'anthropic-version': apiVersion,
        ...((apiKey === undefined || keyHeader === 'x-api-key') && { authorization: null }),
        ...(apiKey !== undefined && keyHeader === 'x-api-key' && { 'x-api-key': apiKey }),
        ...defaultHeaders,
      },
      fetch: refusing(fetch),
      // It would trace every call by itself, beside the caller's own traces.
      openTelemetry: false,
      ...transportOnly,
    })
  })
}

/** Sends Messages requests over it. */
export function anthropicSender(sdk: () => Promise<Anthropic>): Wire['send'] {
  return async (body, headers, signal) => {
    const client = await sdk()
    // Not its `messages.create`, which writes to the console about some models.
    return client
      .post('/v1/messages', { body, headers, stream: body['stream'] === true, ...stoppedBy(signal) })
      .asResponse()
  }
}
