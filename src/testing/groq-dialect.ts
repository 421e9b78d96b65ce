import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import { openAIError, openAIFailure } from './openai-dialect.ts'
import { type ChatWire, chatBody, chatEvents, chatImprovisation } from './openai-wire.ts'
import { firstOf, isGiven, isList, refuse, words } from './refusal.ts'
import type { Check, Dialect, Failure, FailureKind, Headers } from './strict-contract.ts'
import { bearerOf, type ChatRules, openAIParameters, validateChat } from './strict-openai.ts'

export const groqDialect: Dialect = {
  path: '/openai/v1/chat/completions',
  requestIdHeader: 'x-request-id',
  authorize,
  validate: (body, account) => validateChat(body, account, rules),
  improvise: chatImprovisation,
  body: (reply, context) => chatBody(reply, context, wire),
  events: (reply, context) => chatEvents(reply, context, wire),
  failure,
  errorEvent: (body) => `event: error\ndata: ${JSON.stringify(body)}\n\n`,
  ping: ': keep-alive\n\n',
  errorBody: (message, code) => openAIError(message, 'internal_server_error', code),
}

const wire: ChatWire = {
  reasoningField: 'reasoning',
  extra: ({ replyNumber }) => ({
    system_fingerprint: 'fp_strict',
    service_tier: 'on_demand',
    x_groq: { id: `req_${replyNumber}` },
  }),
  // Usage comes unasked, and twice.
  lastExtra: (usage, { replyNumber }) => ({
    x_groq: { id: `req_${replyNumber}`, ...(usage && { usage }) },
    ...(usage && { usage }),
  }),
  usageExtra: {
    queue_time: 0.03,
    prompt_time: 0.01,
    completion_time: 0.05,
    total_time: 0.06,
  },
  usageHasOwnChunk: false,
  opening: '',
}

// Groq API reference, chat completions, as groq-sdk 1.6 types it.
const parameterNames = new Set([
  ...openAIParameters,
  ...words(`
    citation_options compound_custom disable_tool_validation documents exclude_domains include_domains
    include_reasoning reasoning_format search_settings`),
])

const rules: ChatRules = {
  parameterNames,
  refuseParameters: ([name]) => refuse('unknown_parameter', `property '${name}' is unsupported`),
  checkMore: (body) => checkMessages(body['messages']) ?? checkChoices(body['n']) ?? checkJsonMode(body),
  hasReasoningRules: false,
  longestCallId: Number.POSITIVE_INFINITY,
  assistantKeys: new Set(['reasoning']),
}

const messageKeys: ReadonlyMap<JsonValue, ReadonlySet<string>> = new Map<JsonValue, ReadonlySet<string>>([
  ['system', words('role content')],
  ['developer', words('role content')],
  ['user', words('role content')],
  ['assistant', words('role content refusal reasoning tool_calls function_call annotations audio')],
  ['tool', words('role content tool_call_id')],
  ['function', words('role content name')],
])

/** A name is taken of functions only, and a list of parts of users only. */
function checkMessages(messages: JsonValue | undefined): Check {
  if (!isList(messages)) return undefined
  return firstOf(messages, (message, index) => {
    const keys = isJsonObject(message) ? messageKeys.get(message['role'] ?? null) : undefined
    if (!isJsonObject(message) || keys === undefined) return undefined
    const where = `'messages.${index}' : for 'role:${message['role']}' the following must be satisfied`
    const unknown = Object.keys(message).find((key) => !keys.has(key))
    if (unknown !== undefined) {
      const rule = unknown === 'name' ? 'message_name' : 'message_key'
      return refuse(rule, `${where}[('messages.${index}' : property '${unknown}' is unsupported)]`)
    }
    if (!isList(message['content']) || message['role'] === 'user') return undefined
    return refuse('content', `${where}[('messages.${index}.content' : value must be a string)]`)
  })
}

function checkChoices(count: JsonValue | undefined): Check {
  if (!isGiven(count) || count === 1) return undefined
  return refuse('n', "'n' : number must be at most 1")
}

function checkJsonMode({ response_format: format, tools }: JsonObject): Check {
  if (!isList(tools) || !isJsonObject(format) || format['type'] !== 'json_object') return undefined
  return refuse('json_mode', 'json mode cannot be combined with tool/function calling')
}

function authorize(headers: Headers, keys?: readonly string[]): Check {
  const key = bearerOf(headers)
  if (key !== undefined && (keys === undefined || keys.includes(key))) return undefined
  return { ...failure('auth', {}), rule: key === undefined ? 'authorization' : 'api_key' }
}

/** What Groq was seen to say; for the rest it has OpenAI's words. */
function failure(kind: FailureKind, request: JsonObject): Failure {
  const model = String(request['model'])
  const limit = `for model \`${model}\` in organization \`org_strict\` service tier \`on_demand\` on tokens per minute (TPM)`
  switch (kind) {
    case 'auth':
      return { status: 401, body: openAIError('Invalid API Key', 'invalid_request_error', 'invalid_api_key') }
    case 'too_large': {
      const message = `Request too large ${limit}: Limit 6000, Requested 7000, please reduce your message size and try again.`
      return { status: 413, body: openAIError(message, 'tokens', 'rate_limit_exceeded') }
    }
    case 'rate_limit': {
      const message = `Rate limit reached ${limit}: Limit 6000, Used 5900, Requested 900. Please try again in 8s.`
      return { status: 429, body: openAIError(message, 'tokens', 'rate_limit_exceeded') }
    }
    case 'server_error':
      return { status: 500, body: openAIError('Internal Server Error', 'internal_server_error') }
    case 'unavailable':
      return { status: 503, body: openAIError('Service Unavailable', 'internal_server_error') }
    case 'context_length': {
      const message = 'Please reduce the length of the messages or completion.'
      return {
        status: 400,
        body: openAIError(message, 'invalid_request_error', 'context_length_exceeded', 'messages'),
      }
    }
    default:
      return openAIFailure(kind, request)
  }
}
