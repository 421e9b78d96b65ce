import type { JsonObject, JsonValue } from '../json.ts'
import type { Check, Refusal } from './strict-contract.ts'

interface RefusalDetails {
  readonly param?: string
  readonly code?: string
  readonly status?: number
}

export function refuse(
  rule: string,
  message: string,
  { param, code, status = 400 }: RefusalDetails = {},
): Refusal {
  const error = { message, type: 'invalid_request_error', param: param ?? null, code: code ?? null }
  return { status, rule, body: { error } }
}

export function missing(rule: string, path: string): Refusal {
  return refuse(rule, `Missing required parameter: '${path}'.`, {
    param: path,
    code: 'missing_required_parameter',
  })
}

export function wrongType(rule: string, path: string, expected: string, value: JsonValue): Refusal {
  return refuse(rule, `Invalid type for '${path}': expected ${expected}, but got ${kindOf(value)} instead.`, {
    param: path,
    code: 'invalid_type',
  })
}

function kindOf(value: JsonValue): string {
  if (value === null) return 'null'
  if (isList(value)) return 'an array'
  if (typeof value === 'number') return Number.isInteger(value) ? 'an integer' : 'a decimal'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

export function unsupported(
  rule: string,
  path: string,
  value: JsonValue,
  supported: readonly JsonValue[],
): Refusal {
  const quoted = supported.map((item) => `'${item}'`)
  const last = quoted.pop()
  const listed = quoted.length > 1 ? `${quoted.join(', ')}, and ${last}` : [...quoted, last].join(' and ')
  const shown = typeof value === 'string' ? value : JSON.stringify(value)
  return refuse(rule, `Invalid value: '${shown}'. Supported values are: ${listed}.`, {
    param: path,
    code: 'invalid_value',
  })
}

export function unknownKey(rule: string, path: string, value: JsonObject, known: ReadonlySet<string>): Check {
  const unknown = Object.keys(value).find((key) => !known.has(key))
  if (unknown === undefined) return undefined
  const param = `${path}.${unknown}`
  return refuse(rule, `Unknown parameter: '${param}'.`, { param, code: 'unknown_parameter' })
}

export function emptyArray(rule: string, path: string): Refusal {
  return refuse(
    rule,
    `Invalid '${path}': empty array. Expected an array with minimum length 1, but got an empty array instead.`,
    { param: path, code: 'empty_array' },
  )
}

export function tooMany(rule: string, path: string, most: number, count: number): Refusal {
  return refuse(
    rule,
    `Invalid '${path}': array too long. Expected an array with maximum length ${most}, ` +
      `but got an array with length ${count} instead.`,
    { param: path, code: 'array_above_max_length' },
  )
}

export function tooLong(rule: string, path: string, longest: number, text: string): Check {
  // Code points are at most as many as code units, so most texts need no counting.
  const length = text.length <= longest ? 0 : [...text].length
  if (length <= longest) return undefined
  return refuse(
    rule,
    `Invalid '${path}': string too long. Expected a string with maximum length ${longest}, ` +
      `but got a string with length ${length} instead.`,
    { param: path, code: 'string_above_max_length' },
  )
}

export function mismatch(rule: string, path: string, pattern: string): Refusal {
  return refuse(
    rule,
    `Invalid '${path}': string does not match pattern. Expected a string that matches the pattern '${pattern}'.`,
    { param: path, code: 'invalid_value' },
  )
}

export function checkFunctionName(rule: string, path: string, name: JsonValue | undefined): Check {
  const malformed = typeof name === 'string' && name !== '' && !/^[a-zA-Z0-9_-]+$/.test(name)
  return malformed ? mismatch(rule, path, '^[a-zA-Z0-9_-]+$') : checkShortText(rule, path, name, 64)
}

/** A string that must be there, with at least one and at most `longest` characters. */
export function checkShortText(
  rule: string,
  path: string,
  text: JsonValue | undefined,
  longest: number,
): Check {
  if (text === undefined) return missing(rule, path)
  if (typeof text !== 'string') return wrongType(rule, path, 'a string', text)
  if (text !== '') return tooLong(rule, path, longest, text)
  return refuse(
    rule,
    `Invalid '${path}': empty string. Expected a string with minimum length 1, but got an empty string instead.`,
    { param: path, code: 'empty_string' },
  )
}

export function firstOf<Item>(items: readonly Item[], check: (item: Item, index: number) => Check): Check {
  for (const [index, item] of items.entries()) {
    const refusal = check(item, index)
    if (refusal !== undefined) return refusal
  }
  return undefined
}

/** `null` means the same as leaving an optional parameter out. */
export function isGiven(value: JsonValue | undefined): value is Exclude<JsonValue, null> {
  return value !== undefined && value !== null
}

export function isList(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value)
}

export function words(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/))
}
