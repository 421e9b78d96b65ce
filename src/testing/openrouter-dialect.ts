import type { JsonObject } from '../json.ts'
import { openAIFailure } from './openai-dialect.ts'
import { type ChatWire, chatBody, chatEvents, chatImprovisation } from './openai-wire.ts'
import { refuse, words } from './refusal.ts'
import type { Check, Dialect, Failure, FailureKind, Headers } from './strict-contract.ts'
import { bearerOf, type ChatRules, openAIParameters, openAIRules, validateChat } from './strict-openai.ts'

export const openRouterDialect: Dialect = {
  path: '/api/v1/chat/completions',
  requestIdHeader: 'x-request-id',
  authorize,
  validate: (body, account) => validateChat(body, account, rules),
  improvise: chatImprovisation,
  body: (reply, context) => chatBody(reply, context, wire),
  events: (reply, context) => chatEvents(reply, context, wire),
  failure,
  errorEvent: (body) => {
    const choices = [{ index: 0, delta: { content: '' }, finish_reason: 'error' }]
    return `data: ${JSON.stringify({ ...body, object: 'chat.completion.chunk', choices })}\n\n`
  },
  ping: ': OPENROUTER PROCESSING\n\n',
  errorBody: (message, code) => ({
    error: { message, code: 500, ...(code && { metadata: { rule: code } }) },
  }),
}

const wire: ChatWire = {
  reasoningField: 'reasoning',
  extra: () => ({ provider: 'Strict' }),
  lastExtra: (usage) => ({ ...(usage && { usage }) }),
  // OpenRouter guide "Usage accounting": US dollars, as billed.
  usageExtra: { cost: 0.000669, is_byok: false },
  usageHasOwnChunk: false,
  opening: ': OPENROUTER PROCESSING\n\n',
}

const rules: ChatRules = {
  ...openAIRules,
  // OpenRouter API reference, "Parameters" and "Provider routing".
  parameterNames: new Set([
    ...openAIParameters,
    ...words(`
      include_reasoning min_p models plugins provider reasoning repetition_penalty route session_id top_a top_k trace
      transforms usage`),
  ]),
  refuseParameters: ([name]) => {
    const refusal = refuse('unknown_parameter', `Unrecognized key: "${name}"`)
    return { ...refusal, body: errorBody(400, `Unrecognized key: "${name}"`) }
  },
  hasReasoningRules: false,
  longestCallId: Number.POSITIVE_INFINITY,
  assistantKeys: words('reasoning reasoning_content reasoning_details'),
}

function authorize(headers: Headers, keys?: readonly string[]): Check {
  const key = bearerOf(headers)
  if (key === undefined) {
    return { status: 401, rule: 'authorization', body: errorBody(401, 'No auth credentials found') }
  }
  if (keys === undefined || keys.includes(key)) return undefined
  return { ...failure('auth', {}), rule: 'api_key' }
}

function errorBody(code: number, message: string): JsonObject {
  return { error: { message, code } }
}

/** OpenRouter guide "Errors": the code is the status, and there is no type. Providers' words come through. */
function failure(kind: FailureKind, request: JsonObject): Failure {
  switch (kind) {
    case 'auth':
      return { status: 401, body: { ...errorBody(401, 'User not found.'), user_id: 'user_strict' } }
    case 'quota':
      return {
        status: 402,
        body: errorBody(402, 'Insufficient credits. Add more using https://openrouter.ai/settings/credits'),
      }
    case 'overloaded':
      return {
        status: 502,
        body: {
          error: {
            message: 'Provider returned error',
            code: 502,
            metadata: { provider_name: 'Strict', raw: 'Overloaded' },
          },
          user_id: 'user_strict',
        },
      }
    default: {
      const { status, body } = openAIFailure(kind, request)
      const { message } = body['error'] as { message: string } // as openAIFailure makes it
      return { status, body: errorBody(status, message) }
    }
  }
}
