import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import {
  abortedError,
  HttpFailure,
  readRetryAfter,
  statusError,
  transportError,
} from '../../src/providers/errors.ts'
import { Scrubber } from '../../src/scrubber.ts'

const key = 'sk-secret-0123456789'
const source = {
  provider: 'openai',
  model: 'gpt-4o',
  scrubber: new Scrubber([{ name: 'apiKey', value: key }]),
  now: () => Date.parse('2026-11-21T12:00:00Z'),
}

const refused = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  statusError(
    new HttpFailure(status, new Headers(headers), typeof body === 'string' ? body : JSON.stringify(body)),
    source,
  )

const says = (message: string, type?: string, code?: string | number) => ({ error: { message, type, code } })

describe('a refusal', () => {
  test.each([
    [400, says('Bad', 'invalid_request_error'), 'invalid_request', false],
    [400, says('Long', 'invalid_request_error', 'context_length_exceeded'), 'context_length', false],
    [
      400,
      { object: 'error', message: "This model's maximum context length is 4096 tokens.", code: 400 },
      'context_length',
      false,
    ],
    [
      400,
      says('the request exceeds the available context size', 'exceed_context_size_error', 400),
      'context_length',
      false,
    ],
    [400, says('Filtered', undefined, 'content_filter'), 'content_filter', false],
    [400, says('Bad call', 'invalid_request_error', 'tool_use_failed'), 'malformed', true],
    [401, says('Wrong key', 'invalid_request_error', 'invalid_api_key'), 'auth', false],
    [402, 'Payment required', 'quota', false],
    [403, says('Country'), 'auth', false],
    [404, says('No such model', 'invalid_request_error', 'model_not_found'), 'not_found', false],
    [404, '404 page not found', 'not_found', false],
    [408, says('Slow'), 'timeout', true],
    [409, says('Locked'), 'overloaded', true],
    [422, { detail: [{ msg: 'field required' }] }, 'invalid_request', false],
    [429, says('Fast', 'requests', 'rate_limit_exceeded'), 'rate_limit', true],
    [429, says('The context length of this minute is used up'), 'rate_limit', true],
    [429, says('Broke', 'insufficient_quota', 'insufficient_quota'), 'quota', false],
    [500, says('Oops', 'server_error'), 'overloaded', true],
    [501, says('Never'), 'overloaded', false],
    [502, '<html><h1>Bad Gateway</h1></html>', 'overloaded', true],
    [503, '', 'overloaded', true],
    [504, 'upstream request timeout', 'overloaded', true],
    [529, says('Overloaded', 'overloaded'), 'overloaded', true],
    [307, '', 'invalid_request', false],
  ])('with %d %j is %s, retryable: %s', (status, body, kind, retryable) => {
    const { provider, model, ...rest } = refused(status, body)
    expect({ provider, model, ...rest }).toMatchObject({
      provider: 'openai',
      model: 'gpt-4o',
      status,
      kind,
      retryable,
    })
  })

  test.each([
    [
      refused(400, says('Bad value.', 'invalid_request_error', 'invalid_value')),
      'openai (gpt-4o) answered 400 invalid_value: Bad value. Change the request: the same one will be refused again.',
    ],
    [refused(502, '<html><h1>Bad Gateway</h1></html>'), 'openai (gpt-4o) answered 502. Call again later.'],
    [
      refused(422, { detail: [{ msg: 'field required' }] }),
      'openai (gpt-4o) answered 422: [{"msg":"field required"}]. Change the request: the same one will be refused again.',
    ],
    [
      refused(401, says(`Incorrect API key: ${key}\nSee\tthe docs!`)),
      'openai (gpt-4o) answered 401: Incorrect API key: [secret:apiKey] See the docs! Check the API key and what it may use.',
    ],
    [
      refused(308, ''),
      'openai (gpt-4o) answered 308. Set baseURL to the address it redirects to: redirects are not followed.',
    ],
  ])('says what the provider said and what to do next: %s', (error, message) => {
    expect(error.message).toBe(message)
  })

  test('is told in at most 300 characters, whatever the provider sent', () => {
    const error = refused(400, says('💥 '.repeat(100_000), 't'.repeat(500), 'c'.repeat(500)))
    expect([...error.message].length).toBeLessThanOrEqual(300)
    expect(error.message).toMatch(/… Change the request/)
  })

  test('obeys the provider on whether to try again, and keeps its request id', () => {
    expect(refused(500, '', { 'x-should-retry': 'false', 'x-request-id': 'req_9' })).toMatchObject({
      retryable: false,
      requestId: 'req_9',
    })
    expect(refused(400, '', { 'x-should-retry': 'true' }).retryable).toBe(true)
  })
})

describe('the wait a provider asks for', () => {
  test.each<[Record<string, string>, number | undefined]>([
    [{ 'retry-after': '2' }, 2000],
    [{ 'retry-after': '0.5' }, 500],
    [{ 'retry-after': 'Sat, 21 Nov 2026 12:00:30 GMT' }, 30_000],
    [{ 'retry-after': '86400' }, 86_400_000],
    [{ 'retry-after': '9', 'retry-after-ms': '150' }, 150],
    [{ 'retry-after': '9', 'retry-after-ms': 'soon' }, 9000],
    [{}, undefined],
    [{ 'retry-after': '' }, undefined],
    [{ 'retry-after': '0' }, undefined],
    [{ 'retry-after': '-5' }, undefined],
    [{ 'retry-after': 'Infinity' }, undefined],
    [{ 'retry-after': 'NaN' }, undefined],
    [{ 'retry-after': 'soon' }, undefined],
    [{ 'retry-after': 'Sat, 21 Nov 2020 12:00:30 GMT' }, undefined],
    [{ 'retry-after-ms': '-1' }, undefined],
  ])('is, in %j, %s', (headers, expected) => {
    expect(readRetryAfter(new Headers(headers), source.now())).toBe(expected)
  })
})

describe('a failure of the transport', () => {
  const caused = (message: string, cause: unknown) => Object.assign(new TypeError(message), { cause })
  const coded = (code: string, message = code) => Object.assign(new Error(message), { code })

  test.each([
    [caused('fetch failed', coded('ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:1')), 'network', true],
    [caused('terminated', coded('UND_ERR_SOCKET', 'other side closed')), 'network', true],
    [caused('terminated', coded('UND_ERR_BODY_TIMEOUT', 'Body Timeout Error')), 'stalled', true],
    [caused('fetch failed', coded('UND_ERR_HEADERS_TIMEOUT', 'Headers Timeout Error')), 'timeout', true],
    [caused('terminated', coded('Z_DATA_ERROR', 'incorrect header check')), 'network', true],
    [new SyntaxError('Unexpected token'), 'malformed', true],
    [new Error('something else'), 'unknown', false],
    ['a string', 'unknown', false],
    [null, 'unknown', false],
  ])('%s is %s', (thrown, kind, retryable) => {
    expect(transportError(thrown, source)).toMatchObject({ kind, retryable })
  })

  test('says what lies deepest, and keeps the causes without the key', () => {
    const error = transportError(
      caused(`fetch failed for ${key}`, coded('ECONNRESET', `reset by ${key}`)),
      source,
    )
    expect(error.message).toBe(
      'openai (gpt-4o): reset by [secret:apiKey]. Check the base URL and the connection, then call again.',
    )
    expect(error.cause).toMatchObject({
      name: 'TypeError',
      message: 'fetch failed for [secret:apiKey]',
      cause: { name: 'Error', message: 'reset by [secret:apiKey]', code: 'ECONNRESET' },
    })
    expect(inspect(error, { depth: 9 })).not.toContain(key)
  })
})

test('an abort keeps the reason of who aborted', () => {
  const reason = { why: 'the user left' }
  const error = abortedError(reason, source)
  expect(error).toMatchObject({ kind: 'aborted', retryable: false })
  expect(error.cause).toBe(reason)
})
