import type { JsonObject } from '../json.ts'
import type { Check, Refusal } from './strict-contract.ts'

/** An error as the Messages API words it. */
export function refuseMessage(
  rule: string,
  message: string,
  { type = 'invalid_request_error', status = 400 } = {},
): Refusal {
  return { status, rule, body: { type: 'error', error: { type, message } } }
}

export function required(rule: string, path: string): Refusal {
  return refuseMessage(rule, `${path}: Field required`)
}

/** `expected` is such as `a valid string`. */
export function wrongInput(rule: string, path: string, expected: string): Refusal {
  return refuseMessage(rule, `${path}: Input should be ${expected}`)
}

export function extraKey(rule: string, path: string, value: JsonObject, known: ReadonlySet<string>): Check {
  const extra = Object.keys(value).find((key) => !known.has(key))
  if (extra === undefined) return undefined
  return refuseMessage(rule, `${path === '' ? '' : `${path}.`}${extra}: Extra inputs are not permitted`)
}

export function unknownTag(rule: string, path: string, tag: unknown, known: readonly string[]): Refusal {
  const listed = known.map((name) => `'${name}'`).join(', ')
  return refuseMessage(
    rule,
    `${path}: Input tag '${tag}' found using 'type' does not match any of the expected tags: ${listed}`,
  )
}
