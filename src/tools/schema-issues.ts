import type { JsonSchema, JsonValue } from '../json.ts'
import { pathText } from './issue-text.ts'
import { pointerSegments, resolveRef, step } from './schema-pointer.ts'

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
  return [...new Set(issues)]
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

/** The value at a keyword's location such as `#/properties/a/$ref/enum`, references followed on the way. */
function keywordAt(root: JsonSchema, location: string): JsonValue | undefined {
  let value: JsonValue | undefined = root
  for (const segment of pointerSegments(location)) {
    value = step(value, segment)
    if (segment === '$ref' && typeof value === 'string') value = resolveRef(root, value)
  }
  return value
}

// The validator tells the name in its message only; its version is pinned.
function missing(error: string): string {
  const marker = error.includes('required property "') ? 'required property "' : 'does not have "'
  return error.slice(error.indexOf(marker) + marker.length, error.lastIndexOf('"'))
}

function wish(keyword: string, wanted: JsonValue | undefined): string | undefined {
  if (keyword === 'type')
    return `must be ${(Array.isArray(wanted) ? wanted : [wanted]).map(typeName).join(' or ')}`
  if (keyword === 'enum' && Array.isArray(wanted)) {
    return `must be one of ${wanted.map((value) => JSON.stringify(value)).join(', ')}`
  }
  if (keyword === 'const') return `must be ${JSON.stringify(wanted)}`
  return wishes.get(keyword)?.replace('…', () => String(wanted))
}

/** What the keywords want whose value can be said as it is. */
const wishes: ReadonlyMap<string, string> = new Map([
  ['minimum', 'must be at least …'],
  ['maximum', 'must be at most …'],
  ['exclusiveMinimum', 'must be more than …'],
  ['exclusiveMaximum', 'must be less than …'],
  ['multipleOf', 'must be a multiple of …'],
  ['minLength', 'must have at least … characters'],
  ['maxLength', 'must have at most … characters'],
  ['minItems', 'must have at least … items'],
  ['maxItems', 'must have at most … items'],
  ['minProperties', 'must have at least … properties'],
  ['maxProperties', 'must have at most … properties'],
  ['uniqueItems', 'must have no item twice'],
  ['pattern', 'must match the pattern …'],
  ['format', 'must be a valid …'],
  ['false', 'is not allowed'],
])

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
  let end = index + 1
  while (complaints[end]?.keywordLocation.startsWith(prefix)) end += 1
  return complaints.slice(index + 1, end)
}

/** A union in words: what each of its branches would have wanted. */
function describeUnion(union: Complaint, parts: readonly Complaint[], schema: JsonSchema): string {
  const path = pathText(pointerSegments(union.instanceLocation)) || 'parameters'
  const branches = new Map<string, Complaint[]>()
  for (const part of parts) {
    const branch = part.keywordLocation.slice(union.keywordLocation.length + 1).split('/', 1)[0] ?? ''
    branches.set(branch, [...(branches.get(branch) ?? []), part])
  }
  const forms = [...branches.values()].map((branch) => {
    const issues = schemaIssues(branch, schema)
    const own = `${path}: must `
    const [only = ''] = issues
    return issues.length === 1 && only.startsWith(own) ? only.slice(own.length) : `fit (${issues.join('; ')})`
  })
  if (forms.length === 0) return `${path}: must fit exactly one of the allowed forms`
  return `${path}: must ${[...new Set(forms)].slice(0, 5).join(', or ')}`
}
