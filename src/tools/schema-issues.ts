import type { JsonSchema, JsonValue } from '../json.ts'
import { limited, pathText } from './issue-text.ts'
import { keywordAt, pointerSegments } from './schema-pointer.ts'

/** One complaint of the validator. A complaint about a whole is followed by those about its parts. */
interface Complaint {
  readonly keyword: string
  readonly keywordLocation: string
  readonly instanceLocation: string
  readonly error: string
}

/** What a model has to change, one line a field: `city: required`, `unit: must be one of "c", "f"`. */
export function schemaIssues(complaints: readonly Complaint[], schema: JsonSchema): string[] {
  const issues: string[] = []
  for (let index = 0; index < complaints.length; index += 1) {
    const complaint = complaints[index] as Complaint // within bounds
    if (wholes.has(complaint.keyword)) continue
    if (complaint.keyword !== 'anyOf' && complaint.keyword !== 'oneOf') {
      issues.push(describe(complaint, schema))
      continue
    }
    const parts = partsOf(complaints, index)
    index += parts.length
    issues.push(describeUnion(complaint, parts, schema))
  }
  return limited([...new Set(issues)])
}

// Say only that something within them is wrong; that follows.
const wholes: ReadonlySet<string> = new Set([
  'properties',
  'patternProperties',
  'additionalProperties',
  'unevaluatedProperties',
  'items',
  'prefixItems',
  'additionalItems',
  'unevaluatedItems',
  '$ref',
  '$recursiveRef',
  'allOf',
  'if',
  'dependentSchemas',
  'propertyNames',
])

function describe(complaint: Complaint, schema: JsonSchema): string {
  const { keyword, instanceLocation, error } = complaint
  const wanted = keywordAt(schema, complaint.keywordLocation)
  const segments = pointerSegments(instanceLocation)
  if (/ not have (required property )?"/.test(error))
    return `${pathText([...segments, missing(error)])}: required`
  const path = pathText(segments) || 'parameters'
  return `${path}: ${wish(keyword, wanted) ?? error}`
}

// The validator tells the name in its message only; its version is pinned.
function missing(error: string): string {
  const marker = error.includes('required property "') ? 'required property "' : 'does not have "'
  return error.slice(error.indexOf(marker) + marker.length, error.lastIndexOf('"'))
}

function wish(keyword: string, wanted: JsonValue | undefined): string | undefined {
  switch (keyword) {
    case 'type':
      return `must be ${(Array.isArray(wanted) ? wanted : [wanted]).map(typeName).join(' or ')}`
    case 'enum':
      return Array.isArray(wanted)
        ? `must be one of ${wanted.map((value) => JSON.stringify(value)).join(', ')}`
        : undefined
    case 'const':
      return `must be ${JSON.stringify(wanted)}`
    case 'minimum':
      return `must be at least ${String(wanted)}`
    case 'maximum':
      return `must be at most ${String(wanted)}`
    case 'exclusiveMinimum':
      return `must be more than ${String(wanted)}`
    case 'exclusiveMaximum':
      return `must be less than ${String(wanted)}`
    case 'multipleOf':
      return `must be a multiple of ${String(wanted)}`
    case 'minLength':
      return `must have at least ${String(wanted)} characters`
    case 'maxLength':
      return `must have at most ${String(wanted)} characters`
    case 'minItems':
      return `must have at least ${String(wanted)} items`
    case 'maxItems':
      return `must have at most ${String(wanted)} items`
    case 'minProperties':
      return `must have at least ${String(wanted)} properties`
    case 'maxProperties':
      return `must have at most ${String(wanted)} properties`
    case 'uniqueItems':
      return 'must have no item twice'
    case 'pattern':
      return `must match the pattern ${String(wanted)}`
    case 'format':
      return `must be a valid ${String(wanted)}`
    case 'false':
      return 'is not allowed'
    default:
      return undefined
  }
}

const typeNames: ReadonlyMap<unknown, string> = new Map([
  ['string', 'a string'],
  ['number', 'a number'],
  ['integer', 'an integer'],
  ['boolean', 'true or false'],
  ['array', 'an array'],
  ['object', 'an object'],
  ['null', 'null'],
])

const typeName = (type: unknown): string => typeNames.get(type) ?? String(type)

function partsOf(complaints: readonly Complaint[], index: number): Complaint[] {
  const prefix = `${complaints[index]?.keywordLocation}/`
  const rest = complaints.slice(index + 1)
  const end = rest.findIndex(({ keywordLocation }) => !keywordLocation.startsWith(prefix))
  return end < 0 ? rest : rest.slice(0, end)
}

/** A union in words: what each of its branches would have wanted. */
function describeUnion(union: Complaint, parts: readonly Complaint[], schema: JsonSchema): string {
  const path = pathText(pointerSegments(union.instanceLocation)) || 'parameters'
  const branches = new Map<string, Complaint[]>()
  for (const part of parts) {
    const branch = part.keywordLocation.slice(union.keywordLocation.length + 1).split('/', 1)[0] ?? ''
    branches.set(branch, [...(branches.get(branch) ?? []), part])
  }
  const wishes = [...branches.values()].map((branch) => {
    const issues = schemaIssues(branch, schema)
    const own = `${path}: must `
    const [only = ''] = issues
    return issues.length === 1 && only.startsWith(own) ? only.slice(own.length) : `fit (${issues.join('; ')})`
  })
  if (wishes.length === 0) return `${path}: must fit exactly one of the allowed forms`
  return `${path}: must ${[...new Set(wishes)].slice(0, 5).join(', or ')}`
}
