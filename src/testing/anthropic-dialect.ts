import type { JsonObject } from '../json.ts'
import { anthropicBody, anthropicEvent, anthropicEvents, anthropicImprovisation } from './anthropic-wire.ts'
import { authorizeAnthropic, validateAnthropic } from './strict-anthropic.ts'
import type { Dialect, Failure, FailureKind } from './strict-contract.ts'

export const anthropicDialect: Dialect = {
  path: '/v1/messages',
  requestIdHeader: 'request-id',
  authorize: authorizeAnthropic,
  validate: validateAnthropic,
  improvise: anthropicImprovisation,
  body: anthropicBody,
  events: anthropicEvents,
  failure,
  errorEvent: (body) => anthropicEvent({ ...body, type: 'error' }),
  ping: anthropicEvent({ type: 'ping' }),
  errorBody: (message, code) => errorBody('api_error', message, code),
}

function errorBody(type: string, message: string, code?: string): JsonObject {
  return { type: 'error', error: { type, message, ...(code && { details: { error_code: code } }) } }
}

/** Anthropic docs "Errors", 2026-11, and what the API was seen to say. */
function failure(kind: FailureKind, request: JsonObject): Failure {
  const failed = (status: number, type: string, message: string): Failure => ({
    status,
    body: errorBody(type, message),
  })
  switch (kind) {
    case 'auth':
      return failed(401, 'authentication_error', 'invalid x-api-key')
    case 'quota':
      return failed(
        402,
        'billing_error',
        'Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or ' +
          'purchase credits.',
      )
    case 'forbidden':
      return failed(
        403,
        'permission_error',
        'Your API key does not have permission to use the specified resource.',
      )
    case 'not_found':
      return failed(404, 'not_found_error', `model: ${request['model']}`)
    case 'too_large':
      return failed(413, 'request_too_large', 'Request exceeds the maximum size')
    case 'rate_limit':
      return failed(
        429,
        'rate_limit_error',
        'This request would exceed your organization’s rate limit of 50 requests per minute.',
      )
    case 'server_error':
      return failed(500, 'api_error', 'Internal server error')
    case 'unavailable':
      return failed(503, 'overloaded_error', 'Overloaded')
    case 'overloaded':
      return failed(529, 'overloaded_error', 'Overloaded')
    case 'context_length':
      return failed(400, 'invalid_request_error', 'prompt is too long: 200001 tokens > 200000 maximum')
    case 'invalid_request':
      return failed(400, 'invalid_request_error', 'messages: invalid')
  }
}
