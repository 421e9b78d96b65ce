import { MissingPackageError, messageOf } from '../errors.ts'
import { isJsonObject } from '../json.ts'
import { fn, hidden, optional, that } from '../options.ts'
import type { SecretEntry } from '../secret.ts'
import { HttpFailure } from './errors.ts'
import { readStart } from './sse.ts'

/** What every client of a provider can be told about where it is, and as whom to speak to it. */
export interface ConnectionOptions {
  readonly apiKey?: string
  readonly baseURL?: string
  /** Sent with every request. */
  readonly defaultHeaders?: Readonly<Record<string, string>>
  /** Default: the platform's. Redirects are not followed, whatever it does by itself. */
  readonly fetch?: typeof globalThis.fetch
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
  defaultHeaders: optional(hidden(that('an object of texts', isTexts))),
  fetch: optional(fn()),
}

/** An environment variable that has something in it, where there is an environment. */
export function fromEnvironment(name: string): string | undefined {
  return (typeof process === 'undefined' ? undefined : process.env[name]?.trim()) || undefined
}

/** What a server could echo and no error may show. */
export function secretsOf({
  apiKey = '',
  baseURL,
  defaultHeaders = {},
}: {
  apiKey?: string
  baseURL?: string | undefined
  defaultHeaders?: ConnectionOptions['defaultHeaders']
}): SecretEntry[] {
  const password = baseURL === undefined ? '' : new URL(baseURL).password
  const headers = Object.entries(defaultHeaders)
    .filter(([name]) => /auth|key|token|secret|cookie/i.test(name))
    .map(([name, value]) => ({ name, value: String(value).replace(/^(bearer|basic) /i, '') }))
  return [{ name: 'apiKey', value: apiKey }, { name: 'baseURL', value: password }, ...headers]
}

/**
 * What `load` makes of a package that may not be installed: at the first use, and then the same for good. A failure is
 * not kept, for a package can be installed while the program runs.
 *
 * @throws MissingPackageError from the returned function, naming the package.
 */
export function loadedOnce<Sdk>(packageName: string, load: () => Promise<Sdk>): () => Promise<Sdk> {
  let loaded: Promise<Sdk> | undefined
  return () => {
    loaded ??= load().catch((error: unknown) => {
      loaded = undefined
      throw isMissing(packageName, error) ? new MissingPackageError(packageName, { cause: error }) : error
    })
    return loaded
  }
}

function isMissing(packageName: string, error: unknown): boolean {
  const { code } = Object(error) as { code?: unknown } // only compared
  return (
    (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') && messageOf(error).includes(packageName)
  )
}

/** What every SDK is told: it is to send and nothing else. A run has its own time limit, and calls their patience. */
export const transportOnly = {
  maxRetries: 0,
  // As long as a timer can be.
  timeout: 2 ** 31 - 1,
  logLevel: 'off',
} as const

/** A `fetch` that reads what an error status says by itself: an SDK knows only its own provider's way to say it. */
export function refusing(fetch: typeof globalThis.fetch): typeof globalThis.fetch {
  return (input, init: CallInit = {}) => {
    const { callSignal, ...rest } = init
    rest.signal = callSignal ?? rest.signal ?? null
    // Not followed: a redirect would take the conversation, and headers of ours, to a host that nobody named.
    rest.redirect = 'manual'
    // Not every function that should give a promise does.
    const responding = Promise.resolve(fetch(input, rest))
    return responding.then((response) => (response.ok ? response : refuse(response, rest.signal)))
  }
}

async function refuse(response: Response, signal: AbortSignal | null | undefined): Promise<never> {
  const text = await readStart(response.body, signal ?? new AbortController().signal).catch(() => '')
  throw new HttpFailure(response.status, response.headers, text)
}

interface CallInit extends RequestInit {
  readonly callSignal?: AbortSignal
}

/**
 * Options of one request, by which an SDK passes `signal` on to `refusing` as it is. Given as the SDK's own option it would
 * be combined with others, at the cost of a tenth of a request.
 */
export const stoppedBy = (signal: AbortSignal) => ({
  fetchOptions: { redirect: 'manual', callSignal: signal } as const satisfies CallInit,
})
