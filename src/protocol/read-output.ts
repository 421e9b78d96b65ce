import { jsonrepair } from 'jsonrepair'
import { type JsonValue, parseJson } from '../json.ts'

/**
 * The JSON value of a structured answer. A code fence around it and slips of small models (a trailing comma, single
 * quotes) are forgiven, because the value is validated afterwards; an answer that was cut off is not. `undefined` if
 * there is none.
 */
export function readOutput(text: string): JsonValue | undefined {
  const bare = withoutFence(text.trim())
  const parsed = parseJson(bare)
  if (parsed !== undefined) return parsed
  if (!/[}\]]$/.test(bare)) return undefined
  try {
    return parseJson(jsonrepair(bare))
  } catch {
    return undefined
  }
}

function withoutFence(text: string): string {
  if (!text.startsWith('```') || !text.endsWith('```')) return text
  const end = text.indexOf('\n')
  return end < 0 ? text : text.slice(end + 1, -3).trim()
}
