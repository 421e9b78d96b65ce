import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import {
  checkFunctionName,
  firstOf,
  isGiven,
  isList,
  missing,
  refuse,
  tooMany,
  unknownKey,
  unsupported,
  words,
  wrongType,
} from './refusal.ts'
import type { AccountRules, Check, Refusal } from './strict-contract.ts'
import { checkMessages } from './strict-openai-messages.ts'
import { checkSchema } from './strict-openai-schema.ts'
import { checkTools, checkToolUse } from './strict-openai-tools.ts'

/** What an account may use; absent means anything. */
export interface AccountRules {
  /** The models that exist. */
  readonly models?: readonly string[]
  /** Tokens a request may have, estimated as a quarter of the UTF-8 bytes of its messages and tools. */
  readonly contextWindow?: number
}

/**
 * The first rule of OpenAI Chat Completions that a parsed request body breaks, `undefined` when the API would serve it.
 * `undefined` as a body stands for text that was no JSON.
 */
export function validateOpenAI(body: unknown, rules: AccountRules = {}): Refusal | undefined {
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
    checkModel(body['model'], rules.models) ??
    checkParameterNames(body) ??
    checkMessages(body['messages']) ??
    checkTools(body['tools']) ??
    checkToolUse(body) ??
    checkSampling(body) ??
    checkOutputLimit(body) ??
    checkStreaming(body) ??
    checkResponseFormat(body) ??
    checkContext(body, rules.contextWindow)
  )
}

/** The refusal of a request without a usable `Authorization` header. Without `keys`, any bearer token is good. */
export function authorizeOpenAI(
  headers: Readonly<Record<string, string>>,
  keys?: readonly string[],
): Refusal | undefined {
  const key = /^Bearer (\S.*)$/i.exec(headers['authorization'] ?? '')?.[1]
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

/** A quarter of the UTF-8 bytes of messages and tools: crude, but the same for everyone who counts. */
export function estimateTokens(body: JsonObject): number {
  const sent = [body['messages'], body['tools']].filter(isGiven)
  const bytes = sent.map((part) => new TextEncoder().encode(JSON.stringify(part)).length)
  return Math.ceil(bytes.reduce((sum, count) => sum + count, 0) / 4)
}

function checkWellFormed(body: JsonObject): Check {
  // A worklist, not recursion: JSON.parse reads nesting that is deeper than the stack.
  const pending: JsonValue[] = [body]
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (typeof value === 'string' && /\p{Surrogate}/u.test(value)) {
      return refuse(
        'lone_surrogate',
        'Invalid body: failed to parse JSON value. Please check the value to ensure it is valid JSON. (Common errors ' +
          'include trailing commas, missing closing brackets, missing quotation marks, etc.)',
      )
    }
    if (isList(value)) for (const item of value) pending.push(item)
    else if (isJsonObject(value)) for (const [key, item] of Object.entries(value)) pending.push(key, item)
  }
  return undefined
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

// OpenAI Chat Completions, request body, as the openai SDK 7.55 types it.
const parameterNames = words(`
  audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens
  messages metadata modalities model moderation n parallel_tool_calls prediction presence_penalty
  prompt_cache_key prompt_cache_options prompt_cache_retention reasoning_effort response_format
  safety_identifier seed service_tier stop store stream stream_options temperature tool_choice tools
  top_logprobs top_p user verbosity web_search_options`)

function checkParameterNames(body: JsonObject): Check {
  const unknown = Object.keys(body).filter((name) => !parameterNames.has(name))
  if (unknown.length === 0) return undefined
  const noun = unknown.length === 1 ? 'argument' : 'arguments'
  return refuse('unknown_parameter', `Unrecognized request ${noun} supplied: ${unknown.join(', ')}`)
}

type NumberRange = readonly [name: string, kind: 'integer' | 'decimal', least: number, most: number]

const ranges: readonly NumberRange[] = [
  ['temperature', 'decimal', 0, 2],
  ['top_p', 'decimal', 0, 1],
  ['presence_penalty', 'decimal', -2, 2],
  ['frequency_penalty', 'decimal', -2, 2],
  ['n', 'integer', 1, 128],
  ['top_logprobs', 'integer', 0, 20],
  ['max_tokens', 'integer', 1, Number.POSITIVE_INFINITY],
  ['max_completion_tokens', 'integer', 1, Number.POSITIVE_INFINITY],
]

function checkSampling(body: JsonObject): Check {
  const { stop, temperature, model } = body
  const outside = firstOf(ranges, (range) => checkRange(body[range[0]], range))
  if (outside !== undefined) return outside
  if (isList(stop) && stop.length > 4) return tooMany('stop', 'stop', 4, stop.length)
  if (!isReasoning(model) || !isGiven(temperature) || temperature === 1) return undefined
  return refuse(
    'temperature',
    `Unsupported value: 'temperature' does not support ${temperature} with this model. ` +
      'Only the default (1) value is supported.',
    { param: 'temperature', code: 'unsupported_value' },
  )
}

function checkRange(value: JsonValue | undefined, [name, kind, least, most]: NumberRange): Check {
  if (!isGiven(value)) return undefined
  if (typeof value !== 'number' || (kind === 'integer' && !Number.isInteger(value))) {
    return wrongType(name, name, kind === 'integer' ? 'an integer' : 'a decimal', value)
  }
  if (value >= least && value <= most) return undefined
  const [side, code, sign, bound] =
    value < least ? ['below minimum', 'below_min', '>=', least] : ['above maximum', 'above_max', '<=', most]
  return refuse(
    name,
    `Invalid '${name}': ${kind} ${side} value. Expected a value ${sign} ${bound}, but got ${value} instead.`,
    { param: name, code: `${kind}_${code}_value` },
  )
}

function checkOutputLimit(body: JsonObject): Check {
  if (!isGiven(body['max_tokens'])) return undefined
  if (isGiven(body['max_completion_tokens'])) {
    return refuse(
      'max_tokens',
      "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
      { param: 'max_tokens', code: 'invalid_parameter_combination' },
    )
  }
  if (!isReasoning(body['model'])) return undefined
  return refuse(
    'max_tokens',
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    { param: 'max_tokens', code: 'unsupported_parameter' },
  )
}

function isReasoning(model: JsonValue | undefined): boolean {
  return typeof model === 'string' && /^(o\d|gpt-5(?!-chat))/.test(model)
}

function checkStreaming(body: JsonObject): Check {
  const { stream, stream_options: options } = body
  if (isGiven(stream) && typeof stream !== 'boolean')
    return wrongType('stream', 'stream', 'a boolean', stream)
  if (!isGiven(options)) return undefined
  if (stream !== true) {
    return refuse(
      'stream_options',
      "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
      {
        param: 'stream_options',
      },
    )
  }
  if (!isJsonObject(options)) return wrongType('stream_options', 'stream_options', 'an object', options)
  return unknownKey('stream_options', 'stream_options', options, words('include_usage include_obfuscation'))
}

function checkResponseFormat(body: JsonObject): Check {
  const format = body['response_format']
  if (!isGiven(format)) return undefined
  if (!isJsonObject(format)) return wrongType('response_format', 'response_format', 'an object', format)
  switch (format['type']) {
    case undefined:
      return missing('response_format', 'response_format.type')
    case 'text':
      return undefined
    case 'json_object':
      return checkJsonWord(body)
    case 'json_schema':
      return (
        unknownKey('response_format', 'response_format', format, words('type json_schema')) ??
        checkAnswerSchema(format['json_schema'], 'response_format.json_schema')
      )
    default:
      return unsupported('response_format', 'response_format.type', format['type'], [
        'json_object',
        'json_schema',
        'text',
      ])
  }
}

function checkJsonWord(body: JsonObject): Check {
  if (/json/i.test(JSON.stringify(body['messages']))) return undefined
  return refuse(
    'json_word',
    "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
    { param: 'messages' },
  )
}

function checkAnswerSchema(format: JsonValue | undefined, path: string): Check {
  if (format === undefined) return missing('response_format', path)
  if (!isJsonObject(format)) return wrongType('response_format', path, 'an object', format)
  const { name, schema, strict } = format
  return (
    unknownKey('response_format', path, format, words('name description schema strict')) ??
    checkFunctionName('response_format', `${path}.name`, name) ??
    (schema === undefined
      ? missing('response_format', `${path}.schema`)
      : checkSchema(schema, {
          rule: 'response_schema',
          subject: `response_format '${name}'`,
          param: 'response_format',
          strict: strict === true,
        }))
  )
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
