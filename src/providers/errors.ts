import type { Silence } from '../client/silence-watch.ts'
import { LLMError, type LLMErrorKind, messageOf } from '../errors.ts'
import { isJsonObject, parseJson } from '../json.ts'
import type { Runtime } from '../runtime.ts'
import { Scrubber } from '../scrubber.ts'
import type { SecretEntry } from '../secret.ts'
import { kindOf, type WireError } from './error-kind.ts'
import { TooLargeError } from './sse.ts'

/** Who failed, and what must not show in what is said about it. */
export interface ErrorSource {
  readonly provider: string
  readonly model: string
  readonly scrubber: Scrubber
  /** Milliseconds since the epoch, for a `Retry-After` that is a date. */
  readonly now: () => number
}

/** Who fails when this client does; `secrets` are what its connection holds. */
export function errorSourceOf(
  { provider, model }: Pick<ErrorSource, 'provider' | 'model'>,
  secrets: readonly SecretEntry[],
  { now }: Pick<Runtime, 'now'>,
): ErrorSource {
  return { provider, model, scrubber: new Scrubber(secrets), now }
}

/** An answer with a status that is none of success. Its message is constant: the SDK looks for words in it. */
export class HttpFailure extends Error {
  readonly status: number
  readonly headers: Headers
  readonly text: string

  constructor(status: number, headers: Headers, text: string) {
    super('The provider refused.')
    this.status = status
    this.headers = headers
    this.text = text
  }
}

/** What an HTTP answer with an error status says. */
export function statusError({ status, headers, text }: HttpFailure, source: ErrorSource): LLMError {
  const wire = readWireError(parseJson(text), text)
  const kind = kindOf(wire, status)
  const retryAfterMs = readRetryAfter(headers, source.now())
  const requestId = requestIdOf(headers, source)
  const should = headers.get('x-should-retry')
  const asked = should === 'true' || should === 'false' ? should === 'true' : undefined
  const retryable = asked ?? (status >= 500 || kind !== 'overloaded' ? undefined : status === 409)
  const isForGood = status === 501 || status === 505
  return wireError({ ...wire, kind, status }, source, {
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(requestId !== undefined && { requestId }),
    ...(retryable !== undefined && { retryable }),
    ...(retryable === undefined && isForGood && { retryable: false }),
  })
}

/** An error object that came where an answer should be: in a stream, or in a body with status 200. */
export function bodyError(error: unknown, source: ErrorSource, requestId?: string): LLMError {
  const wire = readWireError(error, '')
  // OpenRouter and others give the status of the failure as its code.
  const code = Number(wire.code)
  const status = Number.isInteger(code) && code >= 400 && code <= 599 ? code : undefined
  return wireError({ ...wire, kind: kindOf(wire, status), status }, source, {
    ...(requestId !== undefined && { requestId }),
  })
}

/** A refusal that came without a status, such as that of a batch: a request that was wrong, where it does not say otherwise. */
export function refusalError(error: unknown, source: ErrorSource): LLMError {
  const wire = readWireError(error, '')
  return wireError({ ...wire, kind: kindOf(wire, 400), status: undefined }, source, {})
}

/** A request of a batch that was not done. */
export function unfinishedError(reason: 'expired' | 'canceled', { provider, model }: ErrorSource): LLMError {
  const [said, cure] =
    reason === 'expired'
      ? ['did not get to this request before its batch expired', 'Submit it again.']
      : ['did not do this request, for its batch was canceled', '']
  return new LLMError(sentence(`${subject(provider, model)} ${said}`, '', cure).trim(), {
    kind: reason === 'expired' ? 'timeout' : 'aborted',
    provider,
    model,
  })
}

/** An answer that is none. `what` completes "answered with …"; it shows nothing that is to be scrubbed. */
export function malformedError(what: string, { provider, model }: ErrorSource, requestId?: string): LLMError {
  const text = sentence(
    `${subject(provider, model)} answered with ${what}`,
    '',
    `${advice.malformed} ${ifItStays}`,
  )
  return new LLMError(text, {
    kind: 'malformed',
    provider,
    model,
    ...(requestId !== undefined && { requestId }),
  })
}

/** What a body is that should be JSON; completes "answered with …". */
export function notJson(text: string, source: ErrorSource): string {
  if (text.trim() === '') return 'an empty body'
  return isMarkup(text) ? 'a web page instead of JSON' : `what is no JSON: ${excerptOf(text, source)}`
}

/** The start of what a provider sent, on one line. */
export function excerptOf(text: string, { scrubber }: ErrorSource): string {
  // Scrubbed before it is cut: a part of a key is not known as one.
  const clean = scrubber.text(text.slice(0, 4096))
  return [...clean.slice(0, 160).replace(/\s+/g, ' ').trim()].slice(0, 80).join('')
}

export function endedEarlyError(source: ErrorSource, requestId?: string): LLMError {
  return malformedError('a stream ended early, before it said why it stopped', source, requestId)
}

export function stalledError(
  { phase, ms }: Silence,
  { provider, model }: ErrorSource,
  requestId?: string,
): LLMError {
  const [said, option] =
    phase === 'first' ? ['said nothing', 'firstContentMs'] : ['said nothing more', 'idleMs']
  return new LLMError(
    sentence(`${subject(provider, model)} ${said} for ${ms} ms`, '', `${advice.stalled} Or raise ${option}.`),
    { kind: 'stalled', provider, model, ...(requestId !== undefined && { requestId }) },
  )
}

export function abortedError(reason: unknown, { provider, model }: ErrorSource): LLMError {
  return new LLMError('The model call was aborted.', { kind: 'aborted', provider, model, cause: reason })
}

/** Whatever else the SDK, its transport or the reading of a body threw. */
export function transportError(thrown: unknown, source: ErrorSource): LLMError {
  if (thrown instanceof TooLargeError) return malformedError(thrown.message, source)
  const { provider, model, scrubber } = source
  const chain = causesOf(thrown)
  const words = chain.map(({ code, name, message }) => `${code} ${name} ${message}`).join(' ')
  const kind: LLMErrorKind = /BODY_TIMEOUT/.test(words)
    ? 'stalled'
    : /timed? ?out|timeout/i.test(words)
      ? 'timeout'
      : isNetworkFailure(chain, words)
        ? 'network'
        : chain.some(({ name }) => name === 'SyntaxError')
          ? 'malformed'
          : 'unknown'
  const deepest = chain.findLast(({ message }) => message !== '')?.message ?? 'no reason given'
  const own = oneLine(scrubber.text(deepest.slice(0, 65_536)))
  return new LLMError(sentence(subject(provider, model), own, advice[kind]), {
    kind,
    provider,
    model,
    cause: withoutSecrets(chain, scrubber),
  })
}

/** The wait a provider asked for. Absent, negative, past or unreadable ones are none. */
export function readRetryAfter(headers: Headers, now: number): number | undefined {
  const positive = (ms: number) => (Number.isFinite(ms) && ms > 0 ? Math.ceil(ms) : undefined)
  const inMs = headers.get('retry-after-ms')
  const exact = inMs === null || inMs.trim() === '' ? undefined : positive(Number(inMs))
  if (exact !== undefined) return exact
  const after = headers.get('retry-after')?.trim() ?? ''
  if (after === '') return undefined
  const seconds = Number(after)
  if (!Number.isNaN(seconds)) return positive(seconds * 1000)
  // An HTTP date has letters and a time of day; Date.parse alone would also read "-5" and "1.5 s".
  return /^[a-z]{3,9}, .*:/i.test(after) ? positive(Date.parse(after) - now) : undefined
}

export function requestIdOf(headers: Headers, { scrubber }: ErrorSource): string | undefined {
  const id = headers.get('x-request-id') ?? headers.get('request-id')
  // A server can echo here, too.
  return id === null ? undefined : scrubber.text(id)
}

function readWireError(body: unknown, text: string): WireError {
  if (!isJsonObject(body)) {
    const said = typeof body === 'string' ? body : isMarkup(text) ? '' : text
    return { message: said, type: '', code: '' }
  }
  const { error } = body
  if (isJsonObject(error)) return readWireError(error, '')
  const { message, detail, type, code, failed_generation: failed } = body
  const said = [message, error, detail].find((value) => value !== undefined && value !== null && value !== '')
  const own = typeof said === 'string' ? said : said === undefined ? '' : safeJson(said)
  return {
    // What Groq's model wrote instead of a tool call that can be read.
    message:
      typeof failed === 'string' && failed !== '' ? `${own.replace(/[.]$/, '')}. It wrote: ${failed}` : own,
    type: typeof type === 'string' ? type : '',
    code: typeof code === 'string' || typeof code === 'number' ? String(code) : '',
  }
}

interface Classified extends WireError {
  readonly kind: LLMErrorKind
  readonly status: number | undefined
}

function wireError(
  wire: Classified,
  { provider, model, scrubber }: ErrorSource,
  extra: { retryAfterMs?: number; requestId?: string; retryable?: boolean },
): LLMError {
  const { kind, status, type, code } = wire
  // Scrubbed before it is cut: a part of a key is not known as one.
  const own = oneLine(scrubber.text(wire.message.slice(0, 65_536)))
  const named = code === '' ? type : code
  const label = [status, named === String(status) ? '' : named].filter(Boolean).join(' ')
  const what = label === '' ? 'failed' : `answered ${cut(oneLine(scrubber.text(label)), 60)}`
  const isRedirect = status !== undefined && status >= 300 && status < 400
  return new LLMError(
    sentence(`${subject(provider, model)} ${what}`, own, isRedirect ? redirected : advice[kind]),
    {
      kind,
      provider,
      model,
      ...(status !== undefined && { status }),
      ...extra,
    },
  )
}

const ifItStays = 'If it stays, check the base URL.'
const redirected = 'Set baseURL to the address it redirects to: redirects are not followed.'

/** What to do next, for people. */
const advice: Readonly<Record<LLMErrorKind, string>> = {
  auth: 'Check the API key and what it may use.',
  quota: 'Check the plan and the billing of the account; waiting does not help.',
  rate_limit: 'Wait, then call again.',
  overloaded: 'Call again later.',
  timeout: 'Call again.',
  stalled: 'Call again.',
  network: 'Check the base URL and the connection, then call again.',
  context_length: 'Send less: fewer or shorter messages, fewer tools.',
  content_filter: 'Change what is asked.',
  invalid_request: 'Change the request: the same one will be refused again.',
  not_found: 'Check the model name and the base URL.',
  malformed: 'Call again.',
  aborted: '',
  unknown: 'See its cause.',
}

interface Cause {
  readonly name: string
  readonly message: string
  readonly code: string
  readonly stack: string | undefined
}

/** What an error and its causes say, outermost first, at most five of them. */
function causesOf(thrown: unknown): Cause[] {
  const chain: Cause[] = []
  let next = thrown
  while (next !== undefined && next !== null && chain.length < 5) {
    // Only read, each field checked: anything can be thrown.
    const { name, code, stack, cause } = Object(next) as Record<'name' | 'code' | 'stack' | 'cause', unknown>
    chain.push({
      name: next instanceof Error ? next.constructor.name : typeof name === 'string' ? name : '',
      message: messageOf(next),
      code: typeof code === 'string' ? code : '',
      stack: typeof stack === 'string' ? stack : undefined,
    })
    next = cause
  }
  return chain
}

function isNetworkFailure(chain: readonly Cause[], words: string): boolean {
  if (chain.some(({ name }) => name === 'APIConnectionError')) return true
  return /terminated|fetch failed|network|socket|ECONN|EPIPE|ENOTFOUND|EAI_AGAIN|Z_(DATA|BUF)_ERROR|premature/i.test(
    words,
  )
}

/** The same errors anew: those of an SDK can hold what the server echoed. */
function withoutSecrets(chain: readonly Cause[], scrubber: Scrubber): Error | undefined {
  return chain.reduceRight<Error | undefined>((inner, { name, message, code, stack }) => {
    const copy = new Error(scrubber.text(message), inner && { cause: inner })
    copy.name = name || 'Error'
    if (code !== '') Object.assign(copy, { code })
    copy.stack = scrubber.text(stack ?? `${copy.name}: ${copy.message}`)
    return copy
  }, undefined)
}

/** Code points a message has at most. */
const longestMessage = 300

/** `subject: own words. What to do.`, where the provider's own words give way. */
function sentence(subject: string, own: string, advice: string): string {
  const room = longestMessage - [...`${subject}: . ${advice}`].length
  const said = own === '' ? subject : `${subject}: ${cut(own, room)}`
  return `${said}${/[.!?\u2026]$/.test(said) ? '' : '.'} ${advice}`
}

function subject(provider: string, model: string): string {
  return `${provider} (${cut(model, 60)})`
}

function cut(text: string, longest: number): string {
  const points = [...text.slice(0, longest * 2 + 1)]
  return points.length <= longest ? text : `${points.slice(0, longest - 1).join('')}…`
}

function oneLine(text: string): string {
  return text.slice(0, 2000).replace(/\s+/g, ' ').trim()
}

function isMarkup(text: string): boolean {
  return text.slice(0, 200).trimStart().startsWith('<')
}

function safeJson(value: unknown): string {
  try {
    return JSON.stringify(value)
  } catch {
    return ''
  }
}
