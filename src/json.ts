/** A value that survives `JSON.stringify` and `JSON.parse` unchanged. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject

export interface JsonObject {
  readonly [key: string]: JsonValue
}

/** A JSON Schema as it is sent to a model: draft-7 vocabulary, an object at the top for tool parameters. */
export type JsonSchema = JsonObject

/** True for `{…}`: not an array, not null, not a class instance that merely looks like one to `typeof`. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** JSON text that is the same for equal values: keys sorted, no spaces. */
export function canonicalJson(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (!isJsonObject(value)) return JSON.stringify(value)
  const keys = Object.keys(value)
  // Asked for each call of a run again and again; most have few keys, in order.
  if (!isSorted(keys)) keys.sort()
  let members = ''
  for (const key of keys) {
    members += `${members === '' ? '' : ','}${JSON.stringify(key)}:${canonicalJson(value[key] ?? null)}`
  }
  return `{${members}}`
}

function isSorted(keys: readonly string[]): boolean {
  for (let at = 1; at < keys.length; at++) if ((keys[at - 1] ?? '') > (keys[at] ?? '')) return false
  return true
}

/** The text with U+FFFD for every half of a surrogate pair. */
export function wellFormed(text: string): string {
  // Most text has no surrogates: to see that costs less than to replace none, and nothing where no character takes two bytes.
  return /[\ud800-\udfff]/.test(text) ? text.replace(/\p{Surrogate}/gu, '\ufffd') : text
}

/** `undefined` if it is no JSON. */
export function parseJson(text: string): JsonValue | undefined {
  try {
    return JSON.parse(text) as JsonValue // JSON.parse gives nothing else
  } catch {
    return undefined
  }
}

/**
 * What JSON makes of a value, sharing nothing with it.
 *
 * @throws TypeError for what JSON cannot hold: a cycle, a bigint.
 */
export function jsonCopy<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T // the same, but for what was no JSON
}

/** The same value, immutable in all its parts. */
export function frozen<T>(value: T): T {
  // A list instead of recursion: what is nested deeper than the stack can be frozen, too.
  const parts: unknown[] = [value]
  for (const part of parts) {
    if (typeof part !== 'object' || part === null || Object.isFrozen(part)) continue
    Object.freeze(part)
    for (const inner of Object.values(part)) parts.push(inner)
  }
  return value
}

/** Objects and lists within `value` are nested more than `levels` deep. */
export function isDeeperThan(value: JsonValue, levels: number): boolean {
  // No deeper than that is looked, so the stack is deep enough.
  if (levels < 0) return true
  if (typeof value !== 'object' || value === null) return false
  return Object.values(value).some((inner) => isDeeperThan(inner, levels - 1))
}

/** True for `{…}` and null-prototype objects of any realm; false for class instances. */
export function isPlainObject(value: object): boolean {
  const prototype: object | null = Object.getPrototypeOf(value)
  if (prototype === null) return true
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf')
}
