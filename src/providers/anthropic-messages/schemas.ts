import { isJsonObject, type JsonObject, type JsonSchema, type JsonValue } from '../../json.ts'

/** The schema of a tool's input as this API takes it: an object at the top, with no alternatives to it. */
export function inputSchema(schema: JsonSchema): JsonSchema {
  const { anyOf, oneOf, allOf, ...rest } = schema
  const alternatives = [anyOf, oneOf].flatMap((list) =>
    Array.isArray(list) ? list.filter(isJsonObject) : [],
  )
  const parts = Array.isArray(allOf) ? allOf.filter(isJsonObject) : []
  if (alternatives.length === 0 && parts.length === 0) {
    return schema['type'] === 'object' ? schema : { ...schema, type: 'object' }
  }
  // All of their properties are shown; which of them belong together is left to be said, and to whoever checks the input.
  const all = [rest, ...parts, ...alternatives]
  const properties = Object.fromEntries(
    all.flatMap((each) => Object.entries(objectIn(each, 'properties'))).reverse(),
  )
  const required = new Set([rest, ...parts].flatMap(requiredBy))
  const shapes =
    alternatives.length === 0 ? undefined : `It has one of these shapes: ${JSON.stringify(alternatives)}`
  const description = [rest['description'], shapes].filter((text) => typeof text === 'string').join('\n')
  return {
    ...rest,
    type: 'object',
    properties,
    ...(required.size > 0 && { required: [...required] }),
    ...(description !== '' && { description }),
  }
}

/**
 * The schema of an answer as this API can enforce it: every object is closed, and what else it cannot promise is said in
 * words. `undefined` where that would mean something else: an object of any names, a schema within itself.
 */
export function outputSchema(schema: JsonSchema): JsonSchema | undefined {
  try {
    if (isRecursive(schema)) return undefined
    return lowered(schema)
  } catch (thrown) {
    // Also a schema that is nested deeper than the stack.
    if (thrown instanceof Unenforceable || thrown instanceof RangeError) return undefined
    throw thrown
  }
}

class Unenforceable extends Error {}

// Anthropic docs "Structured outputs", JSON Schema limitations, 2026-11.
const formats: readonly JsonValue[] = 'date-time time date duration email hostname uri ipv4 ipv6 uuid'.split(
  ' ',
)

const structural = new Set(
  'type properties required additionalProperties items anyOf oneOf allOf $ref $defs definitions enum const title description'.split(
    ' ',
  ),
)

// Nothing but these would still let through what they shut out, or shut out what they let through.
const unenforceable = ['patternProperties', 'prefixItems', 'unevaluatedProperties']

function lowered(schema: JsonValue): JsonObject {
  if (!isJsonObject(schema)) throw new Unenforceable()
  const {
    $schema: _,
    $ref,
    $defs,
    definitions,
    type,
    enum: values,
    const: value,
    title,
    description,
    ...rest
  } = schema
  const { anyOf, oneOf, allOf, items, properties, required, additionalProperties } = rest
  if (unenforceable.some((name) => schema[name] !== undefined)) throw new Unenforceable()
  const named = {
    ...($defs !== undefined && { $defs: each($defs) }),
    ...(definitions !== undefined && { definitions: each(definitions) }),
  }
  if ($ref !== undefined) return { ...named, $ref }
  const types = Array.isArray(type) ? type : [type]
  const alternatives = [anyOf, oneOf].find(Array.isArray)
  const isAnything = [type, values, value, alternatives, allOf].every((item) => item === undefined)
  if (isAnything || Array.isArray(items)) throw new Unenforceable()
  if (types.includes('object')) {
    const isOpen = additionalProperties !== false && additionalProperties !== undefined
    const isDictionary = properties === undefined && additionalProperties !== false
    if (isDictionary || (isOpen && isJsonObject(additionalProperties))) throw new Unenforceable()
  }
  const said = Object.entries(rest).filter(([name, item]) => !structural.has(name) && !isEnforced(name, item))
  const words = said.map(([name, item]) => `${name}: ${JSON.stringify(item)}`).join(', ')
  const whole = [description, words === '' ? '' : `(${words})`].filter(Boolean).join(' ')
  return {
    ...named,
    ...(type !== undefined && { type }),
    ...(values !== undefined && { enum: values }),
    ...(value !== undefined && { const: value }),
    ...(title !== undefined && { title }),
    ...(whole !== '' && { description: whole }),
    ...(alternatives && { anyOf: alternatives.map(lowered) }),
    ...(Array.isArray(allOf) && { allOf: allOf.map(lowered) }),
    ...(types.includes('array') && items !== undefined && { items: lowered(items) }),
    ...(types.includes('object') && {
      properties: each(properties ?? {}),
      ...(required !== undefined && { required }),
      additionalProperties: false,
    }),
    ...Object.fromEntries(Object.entries(rest).filter(([name, item]) => isEnforced(name, item))),
  }
}

function each(schemas: JsonValue): JsonObject {
  if (!isJsonObject(schemas)) throw new Unenforceable()
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, lowered(schema)]))
}

function isEnforced(name: string, value: JsonValue): boolean {
  return name === 'format' ? formats.includes(value) : name === 'minItems' && (value === 0 || value === 1)
}

/** A `$ref` leads back to a schema that it is in. */
function isRecursive(schema: JsonSchema): boolean {
  const named = { ...objectIn(schema, 'definitions'), ...objectIn(schema, '$defs') }
  const open = new Set<string>()
  const done = new Set<string>()
  const returns = (value: JsonValue): boolean =>
    refsIn(value).some((ref) => {
      const name = /^#\/(?:\$defs|definitions)\/([^/]+)$/.exec(ref)?.[1]
      // Any other leads to where we cannot tell.
      if (name === undefined || open.has(name)) return true
      if (done.has(name)) return false
      open.add(name)
      const isBack = returns(named[name] ?? null)
      open.delete(name)
      done.add(name)
      return isBack
    })
  const { $defs: _, definitions: __, ...root } = schema
  return (
    returns(root) ||
    Object.keys(named).some((name) => !done.has(name) && returns({ $ref: `#/$defs/${name}` }))
  )
}

function refsIn(value: JsonValue): readonly string[] {
  const refs: string[] = []
  const pending: JsonValue[] = [value]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (typeof next !== 'object' || next === null) continue
    if (isJsonObject(next) && typeof next['$ref'] === 'string') refs.push(next['$ref'])
    pending.push(...Object.values(next))
  }
  return refs
}

function objectIn(schema: JsonObject, name: string): JsonObject {
  const value = schema[name]
  return isJsonObject(value) ? value : {}
}

function requiredBy({ required }: JsonObject): readonly JsonValue[] {
  return Array.isArray(required) ? required : []
}
