import { isDeeperThan, isJsonObject, type JsonObject, parseJson } from '../json.ts'
import type { ToolCall } from '../messages.ts'

/** Parameters as JSON text: text, or a part of it, stays as it is; an object is then all of them. */
export function parametersTextOf(parameters: unknown): string {
  if (typeof parameters === 'string') return parameters
  if (parameters === undefined || parameters === null) return ''
  try {
    return JSON.stringify(parameters) ?? ''
  } catch {
    // Circular, or nested deeper than the stack: text that reads as what it is, parameters nobody can use.
    return 'unreadable'
  }
}

/** Deeper parameters are refused: validators and stores that walk them recursively must not fall over. */
const deepestParameters = 200

/** What the text of a call's parameters says; none at all are `{}`. */
export function readParameters(text: string): Pick<ToolCall, 'parameters' | 'invalid'> {
  if (text.trim() === '') return { parameters: {} }
  const value = parseJson(text)
  if (value === undefined) return unreadable('are not valid JSON', text)
  if (!isJsonObject(value)) return unreadable('must be a JSON object', text)
  if (isDeeperThan(value, deepestParameters)) {
    return unreadable(`are nested more than ${deepestParameters} levels deep`, text)
  }
  return { parameters: value }
}

function unreadable(fault: string, text: string): { parameters: JsonObject; invalid: string } {
  // Cut by code points, and only after a cut that is cheap.
  const shown = [...text.slice(0, 400)].slice(0, 200).join('')
  return {
    parameters: {},
    invalid: `The parameters ${fault}. Received: ${shown}${shown === text ? '' : '…'}`,
  }
}
