import { isJsonObject, isPlainObject, type JsonObject, type JsonSchema, type JsonValue } from '../json.ts'
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
    const rule = rules.get(keyword)
    if (rule && !rule.fits(value, root)) return `${at([...path, keyword])} must ${rule.wanted}`
  }
  const fault = wholeFault(node, path, root)
  if (fault !== undefined) return fault
  for (const [place, child] of childrenOf(node)) {
    const fault = nodeFault(child, [...path, ...place], root)
    if (fault !== undefined) return fault
  }
  return undefined
}

/** What is wrong although each keyword by itself is right. */
function wholeFault(node: JsonSchema, path: readonly string[], root: JsonSchema): string | undefined {
  const { type, items, prefixItems, properties } = node
  if (type === 'array' && items === undefined && prefixItems === undefined) {
    return `${at(path)} is an array and must say what its items are: items: { type: … }`
  }
  if (!isJsonObject(properties)) return undefined
  const hostile = Object.keys(properties).find((name) => hostileKeys.has(name))
  if (hostile !== undefined) return `${at([...path, 'properties'])} must not have the name ${hostile}`
  const { names, isOpen } = knownKeys(node, root)
  const missing = listAt(node, 'required').find((name) => !names.has(String(name)))
  if (isOpen || missing === undefined) return undefined
  return `${at([...path, 'required'])} names ${JSON.stringify(missing)}, which is not among the properties`
}

const types: readonly unknown[] = ['string', 'number', 'integer', 'boolean', 'array', 'object', 'null']

interface Rule {
  fits(value: JsonValue, root: JsonSchema): boolean
  /** Completes "must …". */
  readonly wanted: string
}

const isMap: Rule = { fits: isJsonObject, wanted: 'be an object' }
const isList: Rule = { fits: isFilled, wanted: 'be an array of schemas' }

/** What the value of a keyword has to be. */
const rules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  [
    'type',
    {
      fits: (value) => (isFilled(value) ? value : [value]).every((type) => types.includes(type)),
      // Asked for: a bundler keeps what is called when a module is loaded, also for those who never use it.
      get wanted() {
        return `be one of ${types.join(', ')}`
      },
    },
  ],
  [
    'required',
    {
      fits: (value) => Array.isArray(value) && value.every((name) => typeof name === 'string'),
      wanted: 'be an array of property names',
    },
  ],
  ['enum', { fits: isFilled, wanted: 'be an array with at least one value' }],
  ['pattern', { fits: isPattern, wanted: 'be a regular expression' }],
  [
    '$ref',
    {
      fits: (value, root) => typeof value === 'string' && resolveRef(root, value) !== undefined,
      wanted: 'point into this schema, such as "#/$defs/name"',
    },
  ],
  ['properties', isMap],
  ['patternProperties', isMap],
  ['definitions', isMap],
  ['$defs', isMap],
  ['allOf', isList],
  ['anyOf', isList],
  ['oneOf', isList],
  ['prefixItems', isList],
])

// Where one schema stands. `items` may also be a list of them.
const places: readonly string[] = [
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
    const rule = rules.get(keyword)
    const isMany = rule === isMap || rule === isList || (keyword === 'items' && Array.isArray(value))
    if (!isMany) return places.includes(keyword) ? [[[keyword], value]] : []
    return Object.entries<JsonValue>(value as JsonObject).map(([name, child]) => [[keyword, name], child]) // or an array
  })
}

function isFilled(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value) && value.length > 0
}

function isPattern(pattern: JsonValue): boolean {
  try {
    return typeof pattern === 'string' && new RegExp(pattern, 'u') instanceof RegExp
  } catch {
    return false
  }
}

const at = (path: readonly string[]): string => (path.length === 0 ? 'the schema' : pathText(path))
