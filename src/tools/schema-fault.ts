import { isJsonObject, type JsonObject, type JsonSchema, type JsonValue } from '../json.ts'
import { isPlainObject } from '../secret.ts'
import { pathText } from './issue-text.ts'
import { hostileKeys, knownKeys, listAt } from './json-schema.ts'
import { resolveRef } from './schema-pointer.ts'

/**
 * What is wrong with the JSON Schema of a tool's parameters, in words, or nothing. Finds what providers refuse and what
 * no call could ever satisfy, not everything that the JSON Schema standard forbids.
 */
export function parametersFault(schema: unknown): string | undefined {
  if (!isJsonObject(schema)) return 'must be a JSON Schema object'
  if (schema['type'] !== 'object') {
    return 'must describe an object: { type: "object", properties: { … } }; wrap other types and unions in a property'
  }
  return schemaFault(schema)
}

/** The same for any JSON Schema, which need not describe an object. */
export function schemaFault(schema: unknown): string | undefined {
  if (!isJsonObject(schema)) return 'must be a JSON Schema object'
  return jsonFault(schema, [], new Set()) ?? nodeFault(schema, [], schema)
}

const deepest = 64

/** JSON all the way down: what is sent to a provider is what was written here. */
function jsonFault(value: unknown, path: readonly string[], above: Set<object>): string | undefined {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return undefined
  if (typeof value === 'number' && Number.isFinite(value)) return undefined
  if (typeof value !== 'object' || !(Array.isArray(value) || isPlainObject(value))) {
    return `${at(path)} is no JSON value`
  }
  if (above.has(value)) return `${at(path)} contains itself; use $ref`
  if (path.length > deepest) return `${at(path.slice(0, 3))} is nested too deeply`
  above.add(value)
  for (const [key, member] of Object.entries(value)) {
    const fault = jsonFault(member, [...path, key], above)
    if (fault !== undefined) return fault
  }
  above.delete(value)
  return undefined
}

function nodeFault(node: unknown, path: readonly string[], root: JsonSchema): string | undefined {
  if (typeof node === 'boolean') return undefined
  if (!isJsonObject(node)) return `${at(path)} must be a schema object such as { type: "string" }`
  for (const [keyword, value] of Object.entries(node)) {
    const wanted = wantedOf(keyword, value, root)
    if (wanted !== undefined) return `${at([...path, keyword])} must ${wanted}`
  }
  const whole = wholeFault(node, root)
  if (whole !== undefined) return `${at(path)} ${whole}`
  for (const [place, child] of childrenOf(node)) {
    const fault = nodeFault(child, [...path, ...place], root)
    if (fault !== undefined) return fault
  }
  return undefined
}

/** What a keyword's value must be, if it is not. */
function wantedOf(keyword: string, value: JsonValue, root: JsonSchema): string | undefined {
  switch (keyword) {
    case 'type': {
      const named: readonly JsonValue[] = Array.isArray(value) ? value : [value]
      return named.length > 0 && named.every((type) => types.includes(type))
        ? undefined
        : `be one of ${types.join(', ')}`
    }
    case 'required':
      return Array.isArray(value) && value.every((name) => typeof name === 'string')
        ? undefined
        : 'be an array of property names'
    case 'enum':
      return Array.isArray(value) && value.length > 0 ? undefined : 'be an array with at least one value'
    case 'pattern':
      return isPattern(value) ? undefined : 'be a regular expression'
    case '$ref':
      return typeof value === 'string' && resolveRef(root, value) !== undefined
        ? undefined
        : 'point into this schema, such as "#/$defs/name"'
    default:
      if (maps.includes(keyword) && !isJsonObject(value)) return 'be an object'
      if (lists.includes(keyword) && !(Array.isArray(value) && value.length > 0))
        return 'be an array of schemas'
      return undefined
  }
}

/** What is wrong although each keyword by itself is right. */
function wholeFault(node: JsonSchema, root: JsonSchema): string | undefined {
  const { type, items, prefixItems, properties } = node
  const hostile = Object.keys(properties ?? {}).find((name) => hostileKeys.has(name))
  if (hostile !== undefined) return `must not have the name ${hostile} among its properties`
  if (type === 'array' && items === undefined && prefixItems === undefined) {
    return 'is an array and must say what its items are: items: { type: … }'
  }
  const { names, isOpen } = knownKeys(node, root)
  const missing = listAt(node, 'required').find((name) => !names.has(String(name)))
  if (properties === undefined || isOpen || missing === undefined) return undefined
  return `in required names ${JSON.stringify(missing)}, which is not among the properties`
}

const types: readonly unknown[] = ['string', 'number', 'integer', 'boolean', 'array', 'object', 'null']
const maps: readonly string[] = ['properties', 'patternProperties', 'definitions', '$defs']
const lists: readonly string[] = ['allOf', 'anyOf', 'oneOf', 'prefixItems']
const singles: readonly string[] = [
  'items',
  'additionalProperties',
  'additionalItems',
  'contains',
  'not',
  'if',
  'then',
  'else',
]

/** The schemas within a schema, and where in it they stand. */
function childrenOf(node: JsonSchema): [place: string[], child: JsonValue][] {
  return Object.entries(node).flatMap(([keyword, value]): [string[], JsonValue][] => {
    const isMany =
      maps.includes(keyword) || lists.includes(keyword) || (keyword === 'items' && Array.isArray(value))
    if (isMany) return Object.entries(value as JsonObject).map(([name, child]) => [[keyword, name], child]) // found out before
    return singles.includes(keyword) ? [[[keyword], value]] : []
  })
}

function isPattern(pattern: unknown): boolean {
  try {
    return typeof pattern === 'string' && new RegExp(pattern, 'u') instanceof RegExp
  } catch {
    return false
  }
}

const at = (path: readonly string[]): string => (path.length === 0 ? 'the schema' : pathText(path))
