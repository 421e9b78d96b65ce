import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import type { StrictReply } from './strict-contract.ts'

export interface OfferedTool {
  readonly name: string
  readonly schema: JsonValue | undefined
}

/**
 * What a model without a script says: one call of the first tool (or of the one that is `wanted`) when tools are offered
 * and none was answered since the last message of the user, else `ok`.
 */
export function improvise(tools: readonly OfferedTool[], isAnswered: boolean, wanted?: string): StrictReply {
  const tool = wanted === undefined ? tools[0] : tools.find(({ name }) => name === wanted)
  if (isAnswered || tool === undefined) return { text: 'ok' }
  const parameters = sample(tool.schema)
  return { toolCalls: [{ toolName: tool.name, parameters: isJsonObject(parameters) ? parameters : {} }] }
}

/** A small value that fits the schema, as far as type, enum, bounds and common formats say what fits. */
function sample(schema: JsonValue | undefined, depth = 0): JsonValue {
  // Beyond this depth a schema is taken to contain itself.
  if (!isJsonObject(schema) || depth > 8) return null
  const { const: only, enum: values, anyOf, oneOf, type, properties, items } = schema
  const fixed = only ?? itemsOf(values)[0]
  if (fixed !== undefined) return fixed
  const branch = itemsOf(anyOf)[0] ?? itemsOf(oneOf)[0]
  if (branch !== undefined) return sample(branch, depth + 1)
  switch (itemsOf(type)[0] ?? type ?? 'object') {
    case 'string':
      return formats.get(String(schema['format'])) ?? 'x'.repeat(numberOr(schema['minLength'], 1))
    case 'integer':
    case 'number':
      return sampleNumber(schema)
    case 'boolean':
      return true
    case 'array':
      return Array.from({ length: numberOr(schema['minItems'], 1) }, () => sample(items, depth + 1))
    case 'object': {
      const named = Object.entries(isJsonObject(properties) ? properties : {})
      return Object.fromEntries(named.map(([name, inner]) => [name, sample(inner, depth + 1)]))
    }
    default:
      return null
  }
}

const formats: ReadonlyMap<string, string> = new Map([
  ['date', '2026-01-01'],
  ['date-time', '2026-01-01T00:00:00Z'],
  ['email', 'a@example.com'],
  ['uri', 'https://example.com'],
  ['uuid', '00000000-0000-4000-8000-000000000000'],
])

function sampleNumber({ minimum, exclusiveMinimum, maximum, exclusiveMaximum }: JsonObject): number {
  const least = Math.max(numberOr(minimum, -Infinity), numberOr(exclusiveMinimum, -Infinity) + 1)
  const most = Math.min(numberOr(maximum, Infinity), numberOr(exclusiveMaximum, Infinity) - 1)
  return Math.min(Math.max(1, least), most)
}

function numberOr(value: JsonValue | undefined, fallback: number): number {
  return typeof value === 'number' ? value : fallback
}

export function itemsOf(list: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(list) ? list : []
}
