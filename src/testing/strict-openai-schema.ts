import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import { firstOf, isList, refuse, words } from './refusal.ts'
import type { Check, Refusal } from './strict-contract.ts'

/** Where a schema stands, for the words of its refusal. */
export interface SchemaPlace {
  readonly rule: string
  readonly subject: string
  readonly param: string
  readonly code?: string
  readonly strict: boolean
}

export function checkSchema(schema: JsonValue, place: SchemaPlace, context: readonly string[] = []): Check {
  const refused = (message: string): Refusal =>
    refuse(place.rule, `Invalid schema for ${place.subject}: ${message}`, place)
  if (typeof schema === 'boolean' && context.length > 0) return undefined
  if (!isJsonObject(schema)) return refused(`${JSON.stringify(schema)} is not of type 'object', 'boolean'.`)
  const { type, required, items } = schema
  if (context.length === 0) {
    if (type !== 'object') {
      return refused(`schema must be a JSON Schema of 'type: "object"', got 'type: "${type ?? 'None'}"'.`)
    }
    if (notAtTop.some((keyword) => Object.hasOwn(schema, keyword))) {
      const keywords = notAtTop.map((keyword) => `'${keyword}'`).join('/')
      return refused(`schema must have type 'object' and not have ${keywords} at the top level.`)
    }
  }
  const where = `In context=${pythonTuple(context)}, `
  if (hasType(type, 'array') && items === undefined) return refused(`${where}array schema missing items.`)
  if (required !== undefined && !(isList(required) && required.every((name) => typeof name === 'string'))) {
    return refused(`${where}'required' must be an array of strings.`)
  }
  const loose = place.strict ? notStrict(schema) : undefined
  if (loose !== undefined) return refused(where + loose)
  return firstOf(subschemas(schema), ([keys, inner]) => checkSchema(inner, place, [...context, ...keys]))
}

const notAtTop = ['oneOf', 'anyOf', 'allOf', 'enum', 'not']
// OpenAI guide "Structured outputs", keywords that strict schemas may not use.
const notInStrict = words('oneOf allOf not if then else dependentRequired dependentSchemas patternProperties')

function notStrict(schema: JsonObject): string | undefined {
  const forbidden = Object.keys(schema).find((keyword) => notInStrict.has(keyword))
  if (forbidden !== undefined) return `'${forbidden}' is not permitted.`
  const { type, properties, required } = schema
  if (!['type', 'anyOf', '$ref', 'enum', 'const'].some((keyword) => Object.hasOwn(schema, keyword))) {
    return "schema must have a 'type' key."
  }
  if (!hasType(type, 'object')) return undefined
  if (schema['additionalProperties'] !== false) {
    return "'additionalProperties' is required to be supplied and to be false."
  }
  const declared = new Set(isJsonObject(properties) ? Object.keys(properties) : [])
  const demanded = new Set<JsonValue>(isList(required) ? required : [])
  const complete =
    "'required' is required to be supplied and to be an array including every key in properties."
  for (const name of declared) if (!demanded.has(name)) return `${complete} Missing '${name}'.`
  for (const name of demanded) {
    if (!declared.has(String(name))) return `${complete} Extra required key '${name}' supplied.`
  }
  return undefined
}

function subschemas(schema: JsonObject): [keys: string[], inner: JsonValue][] {
  const found: [string[], JsonValue][] = []
  for (const keyword of ['properties', '$defs', 'definitions']) {
    const named = schema[keyword]
    if (isJsonObject(named)) {
      for (const [name, inner] of Object.entries(named)) found.push([[keyword, name], inner])
    }
  }
  if (isJsonObject(schema['items'])) found.push([['items'], schema['items']])
  for (const keyword of ['anyOf', 'oneOf', 'allOf']) {
    const branches = schema[keyword]
    if (isList(branches))
      branches.forEach((inner, index) => void found.push([[keyword, String(index)], inner]))
  }
  return found
}

function hasType(type: JsonValue | undefined, name: string): boolean {
  return type === name || (isList(type) && type.includes(name))
}

/** The API shows the path into a schema as Python prints a tuple, with a comma after a single item. */
function pythonTuple(items: readonly string[]): string {
  const quoted = items.map((item) => `'${item}'`)
  return quoted.length === 1 ? `(${quoted[0]},)` : `(${quoted.join(', ')})`
}
