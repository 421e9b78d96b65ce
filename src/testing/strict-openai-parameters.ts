import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import {
  checkFunctionName,
  firstOf,
  isGiven,
  isList,
  missing,
  refuse,
  tooLong,
  tooMany,
  unknownKey,
  unsupported,
  words,
  wrongType,
} from './refusal.ts'
import type { Check } from './strict-contract.ts'
import { checkSchema } from './strict-openai-schema.ts'

/** Everything but the model, the messages and the tools. */
export function checkParameters(body: JsonObject, hasReasoningRules: boolean): Check {
  return (
    checkSampling(body, hasReasoningRules) ??
    (hasReasoningRules ? checkOutputLimit(body) : undefined) ??
    checkStreaming(body) ??
    checkResponseFormat(body) ??
    checkCacheKey(body['prompt_cache_key'])
  )
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

function checkSampling(body: JsonObject, hasReasoningRules: boolean): Check {
  const { stop, temperature, model } = body
  const outside = firstOf(ranges, (range) => checkRange(body[range[0]], range))
  if (outside !== undefined) return outside
  if (isList(stop) && stop.length > 4) return tooMany('stop', 'stop', 4, stop.length)
  if (!hasReasoningRules || !isReasoning(model) || !isGiven(temperature) || temperature === 1)
    return undefined
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

function checkCacheKey(key: JsonValue | undefined): Check {
  if (!isGiven(key)) return undefined
  if (typeof key !== 'string') return wrongType('prompt_cache_key', 'prompt_cache_key', 'a string', key)
  return tooLong('prompt_cache_key', 'prompt_cache_key', 64, key)
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
