import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import { extraKey, refuseMessage, required, wrongInput } from './anthropic-refusal.ts'
import { isGiven, isList, words } from './refusal.ts'
import { checkMessages, checkSystem } from './strict-anthropic-messages.ts'
import { checkPairing } from './strict-anthropic-pairing.ts'
import { checkThinking } from './strict-anthropic-thinking.ts'
import { checkTools, checkToolUse } from './strict-anthropic-tools.ts'
import type { AccountRules, Check, Headers } from './strict-contract.ts'
import { hasLoneSurrogate } from './strict-openai.ts'
import { estimateTokens } from './strict-usage.ts'

/**
 * The first rule of the Messages API that a parsed request body breaks, `undefined` when it would be served. Rules that
 * gateways have and the API itself has dropped still hold here (roles alternate, the first message is the user's, results
 * come in one message, tools are declared when the history has calls), so what passes passes everywhere. `undefined` as a
 * body stands for text that was no JSON.
 */
export function validateAnthropic(body: unknown, account: AccountRules = {}, headers: Headers = {}): Check {
  const isNew = (headers['anthropic-version'] ?? '2023-06-01') >= '2026-10-21'
  if (!isJsonObject(body)) {
    return refuseMessage('json', 'The request body is not valid JSON: expected value at line 1 column 1')
  }
  return (
    checkWellFormed(body) ??
    checkModel(body['model'], account.models) ??
    checkMaxTokens(body['max_tokens']) ??
    extraKey('unknown_parameter', '', body, parameterNames) ??
    checkSystem(body['system']) ??
    checkMessages(body['messages'], isNew) ??
    checkPairing(body['messages']) ??
    checkTools(body['tools']) ??
    checkToolUse(body) ??
    checkThinking(body) ??
    (isNew ? checkNoSampling(body) : checkSampling(body)) ??
    checkOutput(body) ??
    checkCacheControl(body) ??
    checkContext(body, account.contextWindow)
  )
}

/** The refusal of a request without a usable key or version. Without `keys`, any key is good. */
export function authorizeAnthropic(headers: Headers, keys?: readonly string[]): Check {
  const bearer = /^Bearer (\S.*)$/i.exec(headers['authorization'] ?? '')?.[1]
  const key = headers['x-api-key'] ?? bearer
  const unauthorized = { type: 'authentication_error', status: 401 }
  if (key === undefined) {
    return refuseMessage('authorization', 'x-api-key header is required', unauthorized)
  }
  if (keys !== undefined && !keys.includes(key)) {
    return refuseMessage('api_key', 'invalid x-api-key', unauthorized)
  }
  if (headers['anthropic-version'] !== undefined) return undefined
  return refuseMessage('version', 'anthropic-version: header is required')
}

// Anthropic Messages API, request body, as @anthropic-ai/sdk 1.11 types it; sampling settings are of its older version.
const parameterNames = words(`
  max_tokens messages model cache_control container context_management diagnostics inference_geo mcp_servers metadata
  output_config service_tier speed stop_sequences stream system temperature thinking tool_choice tools top_k top_p
  user_profile_id workspace_id`)

function checkWellFormed(body: JsonObject): Check {
  if (!hasLoneSurrogate(body)) return undefined
  return refuseMessage(
    'lone_surrogate',
    'The request body is not valid JSON: no low surrogate in string: line 1 column 1 (char 0)',
  )
}

function checkModel(model: JsonValue | undefined, models: readonly string[] | undefined): Check {
  if (model === undefined) return required('model', 'model')
  if (typeof model !== 'string') return wrongInput('model', 'model', 'a valid string')
  if (model === '') return refuseMessage('model', 'model: String should have at least 1 character')
  if (models === undefined || models.includes(model)) return undefined
  return refuseMessage('unknown_model', `model: ${model}`, { type: 'not_found_error', status: 404 })
}

function checkMaxTokens(count: JsonValue | undefined): Check {
  if (count === undefined) return required('max_tokens', 'max_tokens')
  if (!Number.isInteger(count)) return wrongInput('max_tokens', 'max_tokens', 'a valid integer')
  if (Number(count) >= 1) return undefined
  return wrongInput('max_tokens', 'max_tokens', 'greater than or equal to 1')
}

const samplingNames = ['temperature', 'top_p', 'top_k'] as const

/** Since version 2026-10-21 they are refused with any value. */
function checkNoSampling(body: JsonObject): Check {
  const name = samplingNames.find((each) => body[each] !== undefined)
  return name && refuseMessage('sampling', `${name}: Extra inputs are not permitted`)
}

function checkSampling(body: JsonObject): Check {
  for (const name of ['temperature', 'top_p'] as const) {
    const value = body[name]
    if (value === undefined) continue
    if (typeof value !== 'number') return wrongInput(name, name, 'a valid number')
    if (value < 0 || value > 1) return refuseMessage(name, `${name}: range: 0..1`)
  }
  const { top_k: topK } = body
  if (topK === undefined || (Number.isInteger(topK) && Number(topK) >= 0)) return undefined
  return wrongInput('top_k', 'top_k', 'a valid integer')
}

function checkOutput({ stream, stop_sequences: stops, output_config: output }: JsonObject): Check {
  if (stream !== undefined && typeof stream !== 'boolean') {
    return wrongInput('stream', 'stream', 'a valid boolean')
  }
  if (stops !== undefined) {
    if (!isList(stops)) return wrongInput('stop_sequences', 'stop_sequences', 'a valid list')
    if (stops.some((stop) => typeof stop !== 'string' || stop.trim() === '')) {
      return refuseMessage('stop_sequences', 'stop_sequences: each stop sequence must contain non-whitespace')
    }
  }
  if (!isGiven(output)) return undefined
  if (!isJsonObject(output)) return wrongInput('output_config', 'output_config', 'an object')
  return extraKey('output_config', 'output_config', output, words('effort format')) ?? checkFormat(output)
}

const efforts: readonly unknown[] = ['low', 'medium', 'high', 'xhigh', 'max']

function checkFormat({ effort, format }: JsonObject): Check {
  if (isGiven(effort) && !efforts.includes(effort)) {
    return wrongInput('effort', 'output_config.effort', "'low', 'medium', 'high', 'xhigh' or 'max'")
  }
  if (!isGiven(format)) return undefined
  const path = 'output_config.format'
  if (!isJsonObject(format)) return wrongInput('output_format', path, 'an object')
  const { type, schema } = format
  if (type !== 'json_schema') return wrongInput('output_format', `${path}.type`, "'json_schema'")
  if (!isJsonObject(schema)) return required('output_format', `${path}.schema`)
  return (
    extraKey('output_format', path, format, words('type schema')) ?? checkClosed(schema, `${path}.schema`)
  )
}

/** In a schema that is enforced every object has `additionalProperties: false`. */
function checkClosed(schema: JsonObject, path: string): Check {
  const pending: JsonValue[] = [schema]
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (isList(value)) pending.push(...value)
    if (!isJsonObject(value)) continue
    if (value['type'] === 'object' && value['additionalProperties'] !== false) {
      return refuseMessage(
        'output_schema',
        `${path}: For 'object' type, 'additionalProperties' must be explicitly set to false`,
      )
    }
    const { properties, $defs, definitions, items, anyOf, allOf } = value
    for (const named of [properties, $defs, definitions]) {
      if (isJsonObject(named)) pending.push(...Object.values(named))
    }
    pending.push(...[items, anyOf, allOf].filter(isGiven))
  }
  return undefined
}

function checkCacheControl(body: JsonObject): Check {
  const { system, messages, tools } = body
  const blocks = [messages, system, tools].flatMap((list) => (isList(list) ? list : []))
  const inner = blocks.flatMap((item) =>
    isJsonObject(item) && isList(item['content']) ? item['content'] : [],
  )
  const marked = [body, ...blocks, ...inner].filter(
    (item) => isJsonObject(item) && isGiven(item['cache_control']),
  )
  if (marked.length <= 4) return undefined
  return refuseMessage(
    'cache_control',
    `A maximum of 4 blocks with cache_control may be provided. Found ${marked.length}.`,
  )
}

function checkContext(body: JsonObject, contextWindow: number | undefined): Check {
  const tokens = contextWindow === undefined ? 0 : estimateTokens(body)
  if (contextWindow === undefined || tokens <= contextWindow) return undefined
  return refuseMessage('context_length', `prompt is too long: ${tokens} tokens > ${contextWindow} maximum`)
}
