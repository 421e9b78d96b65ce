import { isJsonObject, isPlainObject, type JsonObject, type JsonValue, wellFormed } from '../json.ts'
import { isOfTag } from '../secret.ts'

/** What a model is shown when a tool gave nothing: providers refuse empty content. */
export const noOutput = '(no output)'

/** The text of anything a tool returned: text as it is, nothing as `(no output)`, all else as JSON. Never throws. */
export function outputText(value: unknown): string {
  const json = typeof value === 'string' ? value : outputJson(value)
  const text = typeof json === 'string' ? json : json === null ? '' : jsonText(json)
  return text.trim() === '' ? noOutput : wellFormed(text)
}

/**
 * A JSON copy of anything, which keeps as much as can be kept: dates, errors, Maps and BigInts become their obvious
 * text or object; cycles, functions, binary data and what cannot be read become a note in brackets. Never throws; 64
 * levels and 100 000 values at most.
 */
export function outputJson(value: unknown): JsonValue {
  return jsonOf(value, { above: new Set(), left: mostValues })
}

/** As `outputJson`, if that makes an object. */
export function outputObject(value: unknown): JsonObject | undefined {
  const json = outputJson(value)
  return isJsonObject(json) ? json : undefined
}

/** The first `max` code points, and a note of how many there were; text that is no longer than that as it is. */
export function cutText(text: string, max: number): { text: string; isCut: boolean } {
  if (text.length <= max) return { text, isCut: false }
  let count = 0
  let end = 0
  for (const character of text) {
    count += 1
    if (count <= max) end += character.length
  }
  if (count <= max) return { text, isCut: false }
  return {
    text: `${text.slice(0, end)}\n… (truncated: ${count} code points, the first ${max} are shown)`,
    isCut: true,
  }
}

interface Progress {
  /** The objects that `value` is inside of. */
  readonly above: Set<object>
  /** How many more values may be copied. */
  left: number
}

const mostValues = 100_000
const deepest = 64
const unreadable = '[unreadable]'

function jsonOf(value: unknown, progress: Progress): JsonValue {
  progress.left -= 1
  switch (typeof value) {
    case 'string':
      return wellFormed(value)
    case 'boolean':
      return value
    case 'number':
      // JSON has no -0.
      return Number.isFinite(value) ? value + 0 : String(value)
    case 'bigint':
      return String(value)
    case 'undefined':
      return null
    case 'symbol':
      return `[${String(value)}]`
    case 'function':
      return '[function]'
    case 'object':
      return value === null ? null : objectJson(value, progress)
  }
}

function objectJson(value: object, progress: Progress): JsonValue {
  if (progress.above.has(value)) return '[circular]'
  if (progress.above.size >= deepest || progress.left <= 0) return '[…]'
  progress.above.add(value)
  try {
    return Array.isArray(value) ? arrayJson(value, progress) : containerJson(value, progress)
  } catch {
    // A revoked proxy, an iterator that throws.
    return unreadable
  } finally {
    progress.above.delete(value)
  }
}

function arrayJson(value: Iterable<unknown>, progress: Progress): JsonValue {
  const items: JsonValue[] = []
  for (const item of value) {
    if (progress.left <= 0) {
      items.push('[…]')
      break
    }
    items.push(jsonOf(item, progress))
  }
  return items
}

function containerJson(value: object, progress: Progress): JsonValue {
  const special = specialJson(value, progress)
  if (special !== undefined) return special
  const toJson: unknown = read(value, 'toJSON')
  if (typeof toJson === 'function') {
    try {
      return jsonOf(toJson.call(value, ''), progress)
    } catch {
      // Its own fields say more than nothing.
    }
  }
  if (isOfTag(value, 'Error')) return errorJson(value)
  const keys = Object.keys(value)
  if (keys.length === 0 && !isPlainObject(value)) return `[${className(value)}]`
  return fieldsJson(
    keys.map((key) => [key, () => Reflect.get(value, key)]),
    progress,
  )
}

// Their own `toJSON`, if any, says less, or all the bytes.
function specialJson(value: object, progress: Progress): JsonValue | undefined {
  const bytes: unknown = read(value, 'byteLength')
  if (typeof bytes === 'number' && !isPlainObject(value)) return `[${className(value)} of ${bytes} bytes]`
  if (isOfTag(value, 'Date') && Number.isNaN(Number(value))) return String(value)
  if (isOfTag(value, 'RegExp')) return String(value)
  // As the tag says; if it lies, reading it throws.
  if (isOfTag(value, 'Map')) return mapJson(value as Map<unknown, unknown>, progress)
  if (isOfTag(value, 'Set')) return arrayJson(value as Set<unknown>, progress)
  const isBoxed = ['String', 'Number', 'Boolean', 'BigInt'].some((tag) => isOfTag(value, tag))
  const primitive: unknown = isBoxed ? value.valueOf() : value
  return typeof primitive === 'object' ? undefined : jsonOf(primitive, progress)
}

function errorJson(error: object): JsonValue {
  return {
    name: wellFormed(String(read(error, 'name'))),
    message: wellFormed(String(read(error, 'message'))),
  }
}

function mapJson(map: Map<unknown, unknown>, progress: Progress): JsonValue {
  const entries = [...map]
  const isObject = entries.every(([key]) => typeof key === 'string')
  if (!isObject) return arrayJson(entries, progress)
  return fieldsJson(
    entries.map(([key, member]) => [String(key), () => member]),
    progress,
  )
}

function fieldsJson(fields: readonly (readonly [string, () => unknown])[], progress: Progress): JsonObject {
  const copied: [string, JsonValue][] = []
  for (const [key, member] of fields) {
    if (progress.left <= 0) {
      copied.push(['…', '[…]'])
      break
    }
    let value: JsonValue | undefined
    try {
      const found = member()
      value = found === undefined ? undefined : jsonOf(found, progress)
    } catch {
      value = unreadable
    }
    if (value !== undefined) copied.push([wellFormed(key), value])
  }
  // `fromEntries` defines: a key `__proto__` stays a key.
  return Object.fromEntries(copied)
}

function read(value: object, key: string): unknown {
  try {
    return Reflect.get(value, key)
  } catch {
    return undefined
  }
}

function className(value: object): string {
  const maker = read(value, 'constructor')
  const name = typeof maker === 'function' ? maker.name : undefined
  return typeof name === 'string' && name !== '' ? wellFormed(name.slice(0, 60)) : 'object'
}

function jsonText(json: JsonValue): string {
  try {
    return JSON.stringify(json)
  } catch {
    // Longer than any string can be.
    return '[too large to show]'
  }
}
