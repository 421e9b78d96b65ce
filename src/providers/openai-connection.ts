import type OpenAI from 'openai'
import { MissingCredentialError, MissingPackageError, messageOf } from '../errors.ts'
import { isJsonObject } from '../json.ts'
import { checkOptions, filledText, fn, hidden, optional, that } from '../options.ts'
import { systemRuntime } from '../runtime.ts'
import type { SecretEntry } from '../secret.ts'
import { HttpFailure } from './chat-completions/errors.ts'
import { readStart } from './sse.ts'

/** Where a server of OpenAI's API is, and as whom to speak to it. */
export interface ConnectionOptions {
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
}

export interface Connection {
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

const isTexts = (value: unknown): boolean =>
  isJsonObject(value) && Object.values(value).every((item) => typeof item === 'string')

export const connectionChecks = {
  apiKey: optional(hidden(that('a text of visible ASCII characters', isKey))),
  baseURL: optional(hidden(that('an address such as http://localhost:11434/v1', isHttpUrl))),
  organization: optional(filledText()),
  project: optional(filledText()),
  defaultHeaders: optional(hidden(that('an object of texts', isTexts))),
  fetch: optional(fn()),
}

/**
 * What the options leave open is read from the environment.
 *
 * @throws MissingCredentialError without a key for OpenAI itself.
 * @throws ConfigurationError for what the environment has and no server can be given.
 */
export function connectionOf(options: ConnectionOptions): Connection {
  const baseURL = options.baseURL ?? fromEnvironment('OPENAI_BASE_URL')
  // It can come from the environment, which no check has seen.
  checkOptions('OpenAIClient', { baseURL }, { baseURL: connectionChecks.baseURL })
  const isOpenAI = baseURL === undefined || /^(.+\.)?api\.openai\.com$/.test(new URL(baseURL).hostname)
  const apiKey = options.apiKey ?? fromEnvironment('OPENAI_API_KEY') ?? (isOpenAI ? undefined : keyNotNeeded)
  if (apiKey === undefined) {
    throw new MissingCredentialError(
      'OPENAI_API_KEY',
      'There is no API key for OpenAI. Set OPENAI_API_KEY, pass apiKey, or pass the baseURL of a server that needs none.',
    )
  }
  checkOptions('OpenAIClient', { apiKey }, { apiKey: connectionChecks.apiKey })
  return {
    apiKey: apiKey.trim(),
    baseURL,
    // Whose account it is at OpenAI is nobody else's business.
    organization: options.organization ?? ((isOpenAI && fromEnvironment('OPENAI_ORG_ID')) || null),
    project: options.project ?? ((isOpenAI && fromEnvironment('OPENAI_PROJECT_ID')) || null),
    defaultHeaders: options.defaultHeaders ?? {},
    fetch: options.fetch ?? systemRuntime.fetch,
    isOpenAI,
  }
}

const keyNotNeeded = 'not-needed'

/** An environment variable that has something in it, where there is an environment. */
function fromEnvironment(name: string): string | undefined {
  return (typeof process === 'undefined' ? undefined : process.env[name]?.trim()) || undefined
}

/** What a server could echo and no error may show. */
export function secretsOf({ apiKey, baseURL, defaultHeaders }: Connection): SecretEntry[] {
  const key = apiKey === keyNotNeeded ? [] : [{ name: 'apiKey', value: apiKey }]
  const password = baseURL === undefined ? '' : new URL(baseURL).password
  const headers = Object.entries(defaultHeaders)
    .filter(([name]) => /auth|key|token|secret|cookie/i.test(name))
    .map(([name, value]) => ({ name, value: String(value).replace(/^(bearer|basic) /i, '') }))
  return [...key, { name: 'baseURL', value: password }, ...headers]
}

/**
 * Loads the SDK and gives it the connection. It is to send and nothing else.
 *
 * @throws MissingPackageError
 */
export async function connect({ isOpenAI: _, fetch, baseURL, ...connection }: Connection): Promise<OpenAI> {
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
