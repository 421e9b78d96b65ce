import { isJsonObject, type JsonSchema } from '../json.ts'
import { isPlainObject } from '../secret.ts'
import { pathText } from './issue-text.ts'
import { hostileKeys, knownKeys } from './json-schema.ts'
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

const types: ReadonlySet<unknown> = new Set([
  'string',
  'number',
  'integer',
  'boolean',
  'array',
  'object',
  'null',
])
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
  return keywordFault(node, path, root) ?? childFault(node, path, root)
}

function keywordFault(node: JsonSchema, path: readonly string[], root: JsonSchema): string | undefined {
  const { type, required, pattern, $ref, properties } = node
  const isType = Array.isArray(type)
    ? type.length > 0 && type.every((one) => types.has(one))
    : types.has(type)
  if (type !== undefined && !isType) return `${at([...path, 'type'])} must be one of ${[...types].join(', ')}`
  if (properties !== undefined && !isJsonObject(properties))
    return `${at([...path, 'properties'])} must be an object`
  const hostile = Object.keys(properties ?? {}).find((name) => hostileKeys.has(name))
  if (hostile !== undefined) return `${at([...path, 'properties'])} must not have the name ${hostile}`
  if (
    required !== undefined &&
    !(Array.isArray(required) && required.every((name) => typeof name === 'string'))
  ) {
    return `${at([...path, 'required'])} must be an array of property names`
  }
  if (type === 'array' && node['items'] === undefined && node['prefixItems'] === undefined) {
    return `${at(path)} is an array and must say what its items are: items: { type: … }`
  }
  if (node['enum'] !== undefined && !(Array.isArray(node['enum']) && node['enum'].length > 0)) {
    return `${at([...path, 'enum'])} must be an array with at least one value`
  }
  if (pattern !== undefined && !isPattern(pattern))
    return `${at([...path, 'pattern'])} must be a regular expression`
  if ($ref !== undefined && (typeof $ref !== 'string' || resolveRef(root, $ref) === undefined)) {
    return `${at([...path, '$ref'])} must point into this schema, such as "#/$defs/name"`
  }
  const { names, isOpen } = knownKeys({ ...node, ...definitionsOf(root) })
  const impossible =
    Array.isArray(required) && !isOpen ? required.find((name) => !names.has(String(name))) : undefined
  if (impossible !== undefined && node['properties'] !== undefined) {
    return `${at([...path, 'required'])} names ${JSON.stringify(impossible)}, which is not among the properties`
  }
  return undefined
}

function childFault(node: JsonSchema, path: readonly string[], root: JsonSchema): string | undefined {
  for (const keyword of ['properties', 'patternProperties', 'definitions', '$defs']) {
    const map = node[keyword]
    if (map === undefined) continue
    if (!isJsonObject(map)) return `${at([...path, keyword])} must be an object`
    for (const [name, child] of Object.entries(map)) {
      const fault = nodeFault(child, [...path, keyword, name], root)
      if (fault !== undefined) return fault
    }
  }
  for (const keyword of ['allOf', 'anyOf', 'oneOf', 'prefixItems']) {
    const list = node[keyword]
    if (list === undefined) continue
    if (!Array.isArray(list) || list.length === 0)
      return `${at([...path, keyword])} must be an array of schemas`
    const fault = listFault(list, [...path, keyword], root)
    if (fault !== undefined) return fault
  }
  for (const keyword of [
    'items',
    'additionalProperties',
    'additionalItems',
    'contains',
    'not',
    'if',
    'then',
    'else',
  ]) {
    const child = node[keyword]
    if (child === undefined) continue
    const where = [...path, keyword]
    const fault =
      keyword === 'items' && Array.isArray(child)
        ? listFault(child, where, root)
        : nodeFault(child, where, root)
    if (fault !== undefined) return fault
  }
  return undefined
}

function listFault(list: readonly unknown[], path: readonly string[], root: JsonSchema): string | undefined {
  for (const [index, child] of list.entries()) {
    const fault = nodeFault(child, [...path, String(index)], root)
    if (fault !== undefined) return fault
  }
  return undefined
}

/** What references within a part of the schema may need. */
function definitionsOf(root: JsonSchema): JsonSchema {
  const { definitions, $defs } = root
  return { ...(definitions !== undefined && { definitions }), ...($defs !== undefined && { $defs }) }
}

function isPattern(pattern: unknown): boolean {
  try {
    return typeof pattern === 'string' && new RegExp(pattern, 'u') instanceof RegExp
  } catch {
    return false
  }
}

const at = (path: readonly string[]): string => (path.length === 0 ? 'the schema' : pathText(path))
