import type { JsonObject } from '../json.ts'
import { chatBody, chatEvents, chatImprovisation, openAIWire } from './openai-wire.ts'
import type { Dialect, Failure, FailureKind } from './strict-contract.ts'
import { authorizeOpenAI, validateOpenAI } from './strict-openai.ts'

export const openAIDialect: Dialect = {
  path: '/v1/chat/completions',
  requestIdHeader: 'x-request-id',
  authorize: authorizeOpenAI,
  validate: validateOpenAI,
  improvise: chatImprovisation,
  body: (reply, context) => chatBody(reply, context, openAIWire),
  events: (reply, context) => chatEvents(reply, context, openAIWire),
  failure: openAIFailure,
  errorEvent: (body) => `data: ${JSON.stringify(body)}\n\n`,
  ping: ': keep-alive\n\n',
  errorBody: (message, code) => openAIError(message, 'server_error', code),
}

export function openAIError(
  message: string,
  type: string,
  code: string | null = null,
  param: string | null = null,
): JsonObject {
  return { error: { message, type, param, code } }
}

/** OpenAI guide "Error codes", 2026-11, and what the API was seen to say. */
export function openAIFailure(kind: FailureKind, request: JsonObject): Failure {
  const model = String(request['model'])
  const failed = (status: number, message: string, type: string, code?: string, param?: string): Failure => ({
    status,
    body: openAIError(message, type, code, param),
  })
  switch (kind) {
    case 'auth':
      return failed(
        401,
        'Incorrect API key provided: sk-stric********0000. You can find your API key at ' +
          'https://platform.openai.com/account/api-keys.',
        'invalid_request_error',
        'invalid_api_key',
      )
    case 'quota':
      return failed(
        429,
        'You exceeded your current quota, please check your plan and billing details. For more information on this ' +
          'error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.',
        'insufficient_quota',
        'insufficient_quota',
      )
    case 'forbidden':
      return failed(
        403,
        'Country, region, or territory not supported',
        'request_forbidden',
        'unsupported_country_region_territory',
      )
    case 'not_found':
      return failed(
        404,
        `The model \`${model}\` does not exist or you do not have access to it.`,
        'invalid_request_error',
        'model_not_found',
      )
    case 'too_large':
      return failed(413, 'Request too large', 'invalid_request_error', 'request_too_large')
    case 'rate_limit':
      return failed(
        429,
        `Rate limit reached for ${model} in organization org-strict on requests per min (RPM): Limit 3, Used 3, ` +
          'Requested 1. Please try again in 20s. Visit https://platform.openai.com/account/rate-limits to learn more.',
        'requests',
        'rate_limit_exceeded',
      )
    case 'server_error':
      return failed(
        500,
        'The server had an error while processing your request. Sorry about that!',
        'server_error',
      )
    case 'unavailable':
      return failed(503, 'The engine is currently overloaded, please try again later', 'server_error')
    case 'overloaded':
      return failed(529, 'Overloaded', 'overloaded')
    case 'context_length':
      return failed(
        400,
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 128001 tokens. " +
          'Please reduce the length of the messages.',
        'invalid_request_error',
        'context_length_exceeded',
        'messages',
      )
    case 'invalid_request':
      return failed(400, 'Invalid request.', 'invalid_request_error')
  }
}
