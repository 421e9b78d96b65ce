import type OpenAI from 'openai'
import { MissingCredentialError } from '../errors.ts'
import { checkOptions, filledText, oneOf, optional } from '../options.ts'
import {
  type ConnectionOptions,
  connectionChecks,
  fromEnvironment,
  loadedOnce,
  refusing,
  stoppedBy,
  transportOnly,
} from './connection.ts'
import { type Preset, type PresetName, presets } from './presets.ts'
import type { Wire } from './wire.ts'

/** Where a server of OpenAI's API is, and as whom to speak to it. */
export interface OpenAIConnectionOptions extends ConnectionOptions {
  /** Default: the environment's `OPENAI_API_KEY`. A server of your own, given by `baseURL`, may need none. */
  readonly apiKey?: string
  /** Where the API is, up to and with its `/v1`. Default: the environment's `OPENAI_BASE_URL`, or OpenAI itself. */
  readonly baseURL?: string
  /** A server other than OpenAI's, by name: its address, its key's variable and its quirks. */
  readonly preset?: PresetName
  /** Default: the environment's `OPENAI_ORG_ID`. */
  readonly organization?: string
  /** Default: the environment's `OPENAI_PROJECT_ID`. */
  readonly project?: string
}

export interface OpenAIConnection {
  /** Absent for a server that needs none. */
  readonly apiKey?: string
  readonly baseURL: string | undefined
  readonly organization: string | null
  readonly project: string | null
  readonly defaultHeaders: Readonly<Record<string, string>>
  /** It is OpenAI's own API that is spoken to. */
  readonly isOpenAI: boolean
}

export const openAIConnectionChecks = {
  ...connectionChecks,
  preset: optional(oneOf(...Object.keys(presets))),
  organization: optional(filledText()),
  project: optional(filledText()),
}

/**
 * What the options leave open is read from the environment.
 *
 * @throws MissingCredentialError without a key for OpenAI itself.
 * @throws ConfigurationError for what the environment has and no server can be given.
 */
export function openAIConnection(options: OpenAIConnectionOptions): OpenAIConnection {
  if (options.preset !== undefined) return presetConnection(options, presets[options.preset])
  const baseURL = options.baseURL ?? fromEnvironment('OPENAI_BASE_URL')
  // It can come from the environment, which no check has seen.
  checkOptions('OpenAIClient', { baseURL }, { baseURL: connectionChecks.baseURL })
  const isOpenAI = baseURL === undefined || /^(.+\.)?api\.openai\.com$/.test(new URL(baseURL).hostname)
  const apiKey = options.apiKey ?? fromEnvironment('OPENAI_API_KEY')
  if (apiKey === undefined && isOpenAI) {
    throw new MissingCredentialError(
      'OPENAI_API_KEY',
      'There is no API key for OpenAI. Set OPENAI_API_KEY, pass apiKey, or pass the baseURL of a server that needs none.',
    )
  }
  checkOptions('OpenAIClient', { apiKey }, { apiKey: connectionChecks.apiKey })
  return {
    ...(apiKey !== undefined && { apiKey: apiKey.trim() }),
    baseURL,
    // Whose account it is at OpenAI is nobody else's business.
    organization: options.organization ?? ((isOpenAI && fromEnvironment('OPENAI_ORG_ID')) || null),
    project: options.project ?? ((isOpenAI && fromEnvironment('OPENAI_PROJECT_ID')) || null),
    defaultHeaders: options.defaultHeaders ?? {},
    isOpenAI,
  }
}

// Nothing of the environment's that is OpenAI's own goes there, least of all its key.
function presetConnection(options: OpenAIConnectionOptions, preset: Preset): OpenAIConnection {
  const { baseURL = preset.baseURL, organization = null, project = null, defaultHeaders = {} } = options
  const { keyVariable } = preset
  const apiKey = options.apiKey ?? (keyVariable === undefined ? undefined : fromEnvironment(keyVariable))
  if (apiKey === undefined && keyVariable !== undefined) {
    throw new MissingCredentialError(
      keyVariable,
      `There is no API key for ${options.preset}. Set ${keyVariable}, or pass apiKey.`,
    )
  }
  checkOptions('OpenAIClient', { apiKey }, { apiKey: connectionChecks.apiKey })
  const key = apiKey === undefined ? {} : { apiKey: apiKey.trim() }
  return { ...key, baseURL, organization, project, defaultHeaders, isOpenAI: false }
}

/** OpenAI's SDK, loaded at the first use. */
export function openAISdk(
  { isOpenAI: _, apiKey = 'not-needed', baseURL, ...connection }: OpenAIConnection,
  fetch: typeof globalThis.fetch,
): () => Promise<OpenAI> {
  return loadedOnce('openai', async () => {
    const { OpenAI } = await import('openai')
    return new OpenAI({
      ...connection,
      apiKey,
      ...(baseURL !== undefined && { baseURL }),
      fetch: refusing(fetch),
      ...transportOnly,
    })
  })
}

/** Sends Chat Completions over it. */
export function openAISender(sdk: () => Promise<OpenAI>): Wire['send'] {
  return async (body, headers, signal) => {
    const client = await sdk()
    // Not its `chat.completions.create`, which looks at each member of the body while it writes it: twice the time.
    return client
      .post('/chat/completions', { body, headers, stream: body['stream'] === true, ...stoppedBy(signal) })
      .asResponse()
  }
}
