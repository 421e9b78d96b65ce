import { isJsonObject, type JsonObject, type JsonSchema, type JsonValue } from '../json.ts'
import { isPlainObject } from '../secret.ts'
import { resolveRef } from './schema-pointer.ts'

/** Never parameters: as keys of an ordinary object they reach its prototype. */
export const hostileKeys: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

export type Validation =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly issues: readonly string[] }

/** What an object may have at its top. `isOpen`: other names than these, too. */
export interface KnownKeys {
  readonly names: ReadonlySet<string>
  readonly isOpen: boolean
}

/**
 * A copy of `value` as `schema` would have it: `default`s filled in, nested ones too, and without properties that a
 * closed schema does not list. Whether it is then valid is another question. `tooDeep` for what is nested too deeply.
 */
export function fitted(value: unknown, schema: JsonSchema): unknown {
  return fitTo(value, schema, schema, 0)
}

/** The names an object of this schema may have at its top, in all branches of its unions together. */
export function knownKeys(schema: JsonSchema): KnownKeys {
  return keysOf(schema, schema)
}

/** A copy of plain data without `__proto__`, `constructor` and `prototype` keys; `undefined` if it is nested too deeply. */
export function withoutHostileKeys(value: JsonObject): JsonObject | undefined {
  const copy = fitTo(value, undefined, {}, 0)
  return copy === tooDeep ? undefined : (copy as JsonObject) // the same shape, less some keys
}

// Deeper than any honest parameters, shallow enough for every recursion that follows.
const deepest = 200
export const tooDeep: unique symbol = Symbol('too deep')

function fitTo(value: unknown, schema: JsonValue | undefined, root: JsonSchema, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (depth > deepest) return tooDeep
  if (Array.isArray(value)) return fitArray(value, partsFor(schema, value, root), root, depth)
  // Anything else came from a config and is the tool's own business.
  return isPlainObject(value) ? fitObject(value, schema, root, depth) : value
}

function fitArray(
  value: readonly unknown[],
  parts: readonly JsonSchema[],
  root: JsonSchema,
  depth: number,
): unknown {
  const copy: unknown[] = []
  for (const [index, item] of value.entries()) {
    const fitted = fitTo(item, itemSchema(parts, index), root, depth + 1)
    if (fitted === tooDeep) return tooDeep
    copy.push(fitted)
  }
  return copy
}

function itemSchema(parts: readonly JsonSchema[], index: number): JsonValue | undefined {
  for (const { items, prefixItems, additionalItems } of parts) {
    if (Array.isArray(prefixItems) && index < prefixItems.length) return prefixItems[index]
    if (Array.isArray(items)) return index < items.length ? items[index] : additionalItems
    if (items !== undefined) return items
  }
  return undefined
}

function fitObject(value: object, schema: JsonValue | undefined, root: JsonSchema, depth: number): unknown {
  const parts = partsFor(schema, value, root)
  const { names, isOpen } = keysOf(schema, root)
  const fields = new Map<string, unknown>()
  for (const [key, member] of Object.entries(value)) {
    if (hostileKeys.has(key) || member === undefined || !(isOpen || names.has(key))) continue
    const fitted = fitTo(member, propertySchema(parts, key), root, depth + 1)
    if (fitted === tooDeep) return tooDeep
    fields.set(key, fitted)
  }
  for (const part of parts) {
    for (const [key, property] of Object.entries(objectAt(part, 'properties'))) {
      if (fields.has(key) || hostileKeys.has(key)) continue
      const preset = defaultOf(property, root)
      if (preset !== undefined) fields.set(key, structuredClone(preset))
    }
  }
  return Object.fromEntries(fields)
}

function propertySchema(parts: readonly JsonSchema[], key: string): JsonValue | undefined {
  for (const part of parts) {
    const properties = objectAt(part, 'properties')
    if (Object.hasOwn(properties, key)) return properties[key]
  }
  return parts.find((part) => isJsonObject(part['additionalProperties']))?.['additionalProperties']
}

function defaultOf(property: JsonValue, root: JsonSchema): JsonValue | undefined {
  return isJsonObject(property) ? (property['default'] ?? resolved(property, root)['default']) : undefined
}

/** The schemas that speak about `value` at this place: this one, all of `allOf`, and a union's branch if only one can fit. */
function partsFor(schema: JsonValue | undefined, value: object, root: JsonSchema, depth = 0): JsonSchema[] {
  if (!isJsonObject(schema) || depth > deepestNesting) return []
  const node = resolved(schema, root)
  const unions = [listAt(node, 'anyOf'), listAt(node, 'oneOf')].flatMap((branches) => {
    const possible = branches.filter((branch) => couldFit(branch, value, root))
    return possible.length === 1 ? possible : []
  })
  return [
    node,
    ...[...listAt(node, 'allOf'), ...unions].flatMap((part) => partsFor(part, value, root, depth + 1)),
  ]
}

/** False if type or a constant property (the tag of a tagged union) already says no. */
function couldFit(branch: JsonValue, value: object, root: JsonSchema): boolean {
  if (!isJsonObject(branch)) return branch === true
  const node = resolved(branch, root)
  const type = Array.isArray(value) ? 'array' : 'object'
  const types = node['type']
  if (types !== undefined && types !== type && !(Array.isArray(types) && types.includes(type))) return false
  return Object.entries(objectAt(node, 'properties')).every(([key, property]) => {
    const tag = isJsonObject(property) ? property['const'] : undefined
    return tag === undefined || typeof tag === 'object' || Reflect.get(value, key) === tag
  })
}

function keysOf(schema: JsonValue | undefined, root: JsonSchema): KnownKeys {
  const names = new Set<string>()
  let listsNames = false
  let isOpen = false
  const visit = (part: JsonValue | undefined, depth: number): void => {
    if (!isJsonObject(part) || depth > deepestNesting) return
    const node = resolved(part, root)
    const { properties, additionalProperties: others, unevaluatedProperties: unevaluated } = node
    if (isJsonObject(properties)) for (const name of Object.keys(properties)) names.add(name)
    if (isJsonObject(properties) || others === false) listsNames = true
    if (others === true || isJsonObject(others) || isJsonObject(node['patternProperties'])) isOpen = true
    if (unevaluated === true || isJsonObject(unevaluated)) isOpen = true
    for (const keyword of ['allOf', 'anyOf', 'oneOf']) {
      for (const branch of listAt(node, keyword)) visit(branch, depth + 1)
    }
    for (const keyword of ['if', 'then', 'else']) visit(node[keyword], depth + 1)
  }
  visit(schema, 0)
  return { names, isOpen: isOpen || !listsNames }
}

// Schemas within schemas at one place: unions of unions, references to references. Also ends circles of them.
const deepestNesting = 16

/** The schema a `$ref` points to, or the schema itself. */
function resolved(schema: JsonSchema, root: JsonSchema): JsonSchema {
  let node = schema
  for (let hop = 0; hop < deepestNesting; hop += 1) {
    const ref = node['$ref']
    if (typeof ref !== 'string') return node
    const target = resolveRef(root, ref)
    if (!isJsonObject(target)) return node
    node = target
  }
  return node
}

function objectAt(schema: JsonSchema, keyword: string): JsonObject {
  const value = schema[keyword]
  return isJsonObject(value) ? value : {}
}

function listAt(schema: JsonSchema, keyword: string): readonly JsonValue[] {
  const value = schema[keyword]
  return Array.isArray(value) ? value : []
}
