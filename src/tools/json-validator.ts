import { Validator } from '@cfworker/json-schema'
import { isJsonObject, isPlainObject, type JsonObject, type JsonSchema, type JsonValue } from '../json.ts'
import { hostileKeys, isTooDeep, knownKeys, listAt, resolved, type Validation } from './json-schema.ts'
import { schemaIssues } from './schema-issues.ts'

/**
 * A validator that gives back a new value: with the `default`s of the schema filled in, nested ones too, and without
 * properties that a closed schema does not list.
 *
 * @throws Error if the schema contradicts itself, such as by the same `$id` twice.
 */
export function compileJsonSchema(schema: JsonSchema): (value: unknown) => Validation {
  // A copy of our own: the validator writes marks into the schema it is given.
  const root = JSON.parse(JSON.stringify(schema)) as JsonSchema // JSON of JSON
  const validator = new Validator({ ...root }, '7', false)
  return (value) => {
    if (isTooDeep(value)) return { ok: false, issues: ['parameters: nested too deeply'] }
    const copy = fitted(value, root, root)
    const { valid, errors } = validator.validate(copy)
    return valid ? { ok: true, value: copy } : { ok: false, issues: schemaIssues(errors, root) }
  }
}

/**
 * A copy of `value` as `schema`, a part of `root`, would have it: `default`s filled in, nested ones too, and without
 * properties that a closed schema does not list. Whether it is then valid is another question.
 */
function fitted(value: unknown, schema: JsonValue | undefined, root: JsonSchema): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    const parts = partsFor(schema, value, root)
    return value.map((item, index) => fitted(item, itemSchema(parts, index), root))
  }
  // Anything else came from a config and is the tool's own business.
  return isPlainObject(value) ? fittedObject(value, schema, root) : value
}

function itemSchema(parts: readonly JsonSchema[], index: number): JsonValue | undefined {
  for (const { items, prefixItems, additionalItems } of parts) {
    if (Array.isArray(prefixItems) && index < prefixItems.length) return prefixItems[index]
    if (Array.isArray(items)) return index < items.length ? items[index] : additionalItems
    if (items !== undefined) return items
  }
  return undefined
}

function fittedObject(value: object, schema: JsonValue | undefined, root: JsonSchema): object {
  const parts = partsFor(schema, value, root)
  const { names, isOpen } = knownKeys(schema, root)
  const fields = new Map<string, unknown>()
  for (const [key, member] of Object.entries(value)) {
    if (hostileKeys.has(key) || member === undefined || !(isOpen || names.has(key))) continue
    fields.set(key, fitted(member, propertySchema(parts, key), root))
  }
  for (const part of parts) {
    for (const [key, property] of Object.entries(propertiesOf(part))) {
      if (fields.has(key) || hostileKeys.has(key)) continue
      const preset = defaultOf(property, root)
      if (preset !== undefined) fields.set(key, structuredClone(preset))
    }
  }
  return Object.fromEntries(fields)
}

function propertySchema(parts: readonly JsonSchema[], key: string): JsonValue | undefined {
  for (const part of parts) {
    const properties = propertiesOf(part)
    if (Object.hasOwn(properties, key)) return properties[key]
  }
  return parts.find((part) => isJsonObject(part['additionalProperties']))?.['additionalProperties']
}

function propertiesOf({ properties }: JsonSchema): JsonObject {
  return isJsonObject(properties) ? properties : {}
}

function defaultOf(property: JsonValue, root: JsonSchema): JsonValue | undefined {
  return isJsonObject(property) ? (property['default'] ?? resolved(property, root)['default']) : undefined
}

/** The schemas that speak about `value` at this place: this one, all of `allOf`, and a union's branch if only one can fit. */
function partsFor(
  schema: JsonValue | undefined,
  value: object,
  root: JsonSchema,
  seen = new Set<JsonSchema>(),
): JsonSchema[] {
  if (!isJsonObject(schema)) return []
  const node = resolved(schema, root)
  if (seen.has(node)) return []
  seen.add(node)
  const unions = ['anyOf', 'oneOf'].flatMap((keyword) => {
    const possible = listAt(node, keyword).filter((branch) => couldFit(branch, value, root))
    return possible.length === 1 ? possible : []
  })
  const others = [...listAt(node, 'allOf'), ...unions]
  return [node, ...others.flatMap((part) => partsFor(part, value, root, seen))]
}

/** False if type or a constant property (the tag of a tagged union) already says no. */
function couldFit(branch: JsonValue, value: object, root: JsonSchema): boolean {
  if (!isJsonObject(branch)) return branch === true
  const node = resolved(branch, root)
  const type = Array.isArray(value) ? 'array' : 'object'
  const types = node['type']
  if (types !== undefined && types !== type && !(Array.isArray(types) && types.includes(type))) return false
  return Object.entries(propertiesOf(node)).every(([key, property]) => {
    const tag = isJsonObject(property) ? property['const'] : undefined
    return tag === undefined || typeof tag === 'object' || Reflect.get(value, key) === tag
  })
}
