import { isJsonObject, isPlainObject, type JsonObject, type JsonSchema, type JsonValue } from '../json.ts'
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

/** The names an object of this schema, a part of `root`, may have at its top: those of all branches of its unions. */
export function knownKeys(schema: JsonValue | undefined, root: JsonSchema): KnownKeys {
  const names = new Set<string>()
  const seen = new Set<JsonSchema>()
  let listsNames = false
  let isOpen = false
  const visit = (part: JsonValue | undefined): void => {
    if (!isJsonObject(part)) return
    const node = resolved(part, root)
    if (seen.has(node)) return
    seen.add(node)
    const { properties, additionalProperties: others, unevaluatedProperties: unevaluated } = node
    if (isJsonObject(properties)) for (const name of Object.keys(properties)) names.add(name)
    if (isJsonObject(properties) || others === false) listsNames = true
    if ([others, unevaluated].some((rest) => rest === true || isJsonObject(rest))) isOpen = true
    if (isJsonObject(node['patternProperties'])) isOpen = true
    for (const keyword of ['allOf', 'anyOf', 'oneOf']) listAt(node, keyword).forEach(visit)
    for (const keyword of ['if', 'then', 'else']) visit(node[keyword])
  }
  visit(schema)
  return { names, isOpen: isOpen || !listsNames }
}

/** A copy of plain data without hostile keys at any depth. */
export function withoutHostileKeys(value: JsonObject): JsonObject {
  const clean = (part: JsonValue): JsonValue => {
    if (Array.isArray(part)) return part.map(clean)
    return isJsonObject(part) && isPlainObject(part) ? withoutHostileKeys(part) : part
  }
  const cleaned: [string, JsonValue][] = []
  for (const [key, member] of Object.entries(value)) {
    if (!hostileKeys.has(key) && member !== undefined) cleaned.push([key, clean(member)])
  }
  return Object.fromEntries(cleaned)
}

/** Deeper than any honest parameters, and than every recursion over them may go. */
export function isTooDeep(value: unknown, depth = 0): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (depth > 200) return true
  // Anything else came from a config and is the tool's own business.
  if (!Array.isArray(value) && !isPlainObject(value)) return false
  return Object.values(value).some((member) => isTooDeep(member, depth + 1))
}

/** The schema a `$ref` points to, or the schema itself. */
export function resolved(schema: JsonSchema, root: JsonSchema): JsonSchema {
  let node = schema
  // References may go in a circle.
  for (let hop = 0; hop < 16; hop += 1) {
    const ref = node['$ref']
    const target = typeof ref === 'string' ? resolveRef(root, ref) : undefined
    if (!isJsonObject(target)) return node
    node = target
  }
  return node
}

export function listAt(schema: JsonSchema, keyword: string): readonly JsonValue[] {
  const value = schema[keyword]
  return Array.isArray(value) ? value : []
}
