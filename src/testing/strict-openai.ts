import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import { isGiven, isList, refuse, words, wrongType } from './refusal.ts'
import type { AccountRules, Check, Headers, Refusal } from './strict-contract.ts'
import { checkMessages, type MessageRules } from './strict-openai-messages.ts'
import { checkParameters } from './strict-openai-parameters.ts'
import { checkTools, checkToolUse } from './strict-openai-tools.ts'
import { estimateTokens } from './strict-usage.ts'

/** The rules of Chat Completions in which servers differ. */
export interface ChatRules extends MessageRules {
  readonly parameterNames: ReadonlySet<string>
  readonly refuseParameters: (names: readonly string[]) => Refusal
  /** What only this server refuses. */
  readonly checkMore: (body: JsonObject) => Check
  /** `max_tokens` is refused beside `max_completion_tokens`, and by reasoning models, which take no temperature either. */
  readonly hasReasoningRules: boolean
}

// OpenAI Chat Completions, request body, as the openai SDK 7.55 types it.
export const openAIParameters = words(`
  audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens
  messages metadata modalities model moderation n parallel_tool_calls prediction presence_penalty
  prompt_cache_key prompt_cache_options prompt_cache_retention reasoning_effort response_format
  safety_identifier seed service_tier stop store stream stream_options temperature tool_choice tools
  top_logprobs top_p user verbosity web_search_options`)

export const openAIRules: ChatRules = {
  parameterNames: openAIParameters,
  refuseParameters: (names) =>
    refuse(
      'unknown_parameter',
      `Unrecognized request ${names.length === 1 ? 'argument' : 'arguments'} supplied: ${names.join(', ')}`,
    ),
  checkMore: () => undefined,
  hasReasoningRules: true,
  longestCallId: 40,
  assistantKeys: new Set(),
}

/**
 * The first rule of OpenAI Chat Completions that a parsed request body breaks, `undefined` when the API would serve it.
 * `undefined` as a body stands for text that was no JSON.
 */
export function validateOpenAI(body: unknown, account: AccountRules = {}): Check {
  return validateChat(body, account, openAIRules)
}

/** The same for a server with rules of its own. */
export function validateChat(body: unknown, account: AccountRules, rules: ChatRules): Check {
  if (!isJsonObject(body)) {
    return refuse(
      'json',
      "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library " +
        'correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON. If you have trouble ' +
        'figuring out how to fix this, please contact us through our help center at help.openai.com.)',
    )
  }
  return (
    checkWellFormed(body) ??
    checkModel(body['model'], account.models) ??
    checkParameterNames(body, rules) ??
    rules.checkMore(body) ??
    checkMessages(body['messages'], rules) ??
    checkTools(body['tools']) ??
    checkToolUse(body) ??
    checkParameters(body, rules.hasReasoningRules) ??
    checkContext(body, account.contextWindow)
  )
}

/** The refusal of a request without a usable `Authorization` header. Without `keys`, any bearer token is good. */
export function authorizeOpenAI(headers: Headers, keys?: readonly string[]): Check {
  const key = bearerOf(headers)
  if (key === undefined) {
    return refuse(
      'authorization',
      "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth " +
        "(i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing " +
        'the API from your browser and are prompted for a username and password. You can obtain an API key from ' +
        'https://platform.openai.com/account/api-keys.',
      { status: 401 },
    )
  }
  if (keys === undefined || keys.includes(key)) return undefined
  const masked = key.slice(0, 8) + '*'.repeat(Math.max(0, key.length - 12)) + key.slice(8).slice(-4)
  return refuse(
    'api_key',
    `Incorrect API key provided: ${masked}. You can find your API key at https://platform.openai.com/account/api-keys.`,
    { status: 401, code: 'invalid_api_key' },
  )
}

/** The refusal of a path or method that the API does not have. */
export function refuseUrl(method: string, path: string): Refusal {
  return refuse('url', `Invalid URL (${method} ${path})`, { status: 404 })
}

export function bearerOf(headers: Headers): string | undefined {
  return /^Bearer (\S.*)$/i.exec(headers['authorization'] ?? '')?.[1]
}

function checkWellFormed(body: JsonObject): Check {
  if (!hasLoneSurrogate(body)) return undefined
  return refuse(
    'lone_surrogate',
    'Invalid body: failed to parse JSON value. Please check the value to ensure it is valid JSON. (Common errors ' +
      'include trailing commas, missing closing brackets, missing quotation marks, etc.)',
  )
}

export function hasLoneSurrogate(body: JsonObject): boolean {
  // A worklist, not recursion: JSON.parse reads nesting that is deeper than the stack.
  const pending: JsonValue[] = [body]
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (typeof value === 'string' && /\p{Surrogate}/u.test(value)) return true
    if (isList(value)) for (const item of value) pending.push(item)
    else if (isJsonObject(value)) for (const [key, item] of Object.entries(value)) pending.push(key, item)
  }
  return false
}

function checkModel(model: JsonValue | undefined, models: readonly string[] | undefined): Check {
  if (!isGiven(model) || model === '') return refuse('model', 'you must provide a model parameter')
  if (typeof model !== 'string') return wrongType('model', 'model', 'a string', model)
  if (models === undefined || models.includes(model)) return undefined
  return refuse('unknown_model', `The model \`${model}\` does not exist or you do not have access to it.`, {
    status: 404,
    code: 'model_not_found',
  })
}

function checkParameterNames(body: JsonObject, { parameterNames, refuseParameters }: ChatRules): Check {
  const unknown = Object.keys(body).filter((name) => !parameterNames.has(name))
  return unknown.length === 0 ? undefined : refuseParameters(unknown)
}

function checkContext(body: JsonObject, contextWindow: number | undefined): Check {
  if (contextWindow === undefined) return undefined
  const tokens = estimateTokens(body)
  if (tokens <= contextWindow) return undefined
  return refuse(
    'context_length',
    `This model's maximum context length is ${contextWindow} tokens. However, your messages resulted in ` +
      `${tokens} tokens. Please reduce the length of the messages.`,
    { param: 'messages', code: 'context_length_exceeded' },
  )
}
