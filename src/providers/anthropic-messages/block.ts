import { type JsonObject, type JsonValue, parseJson } from '../../json.ts'
import type { KeptBlock } from './kept.ts'

/** A block of a reply while it arrives. */
export interface Block {
  readonly position: number
  /** As it was announced. */
  start: JsonObject
  readonly textBefore: number
  readonly callsBefore: number
  thinking: string
  signature: JsonValue | undefined
  /** What a tool of the server is given, as JSON text. */
  inputText: string
  hasInput: boolean
  isOpen: boolean
}

/** What of a block may have to go back; text and calls of ours do so by themselves. */
export function keptOf({
  start,
  textBefore,
  callsBefore,
  thinking,
  signature,
  inputText,
}: Block): readonly KeptBlock[] {
  const { type } = start
  if (type === 'text' || type === 'tool_use') return []
  if (type === 'thinking') {
    const block = { type, thinking, ...(signature !== undefined && { signature }) }
    return [{ block, textBefore, callsBefore }]
  }
  if (inputText === '') return [{ block: start, textBefore, callsBefore }]
  const input = parseJson(inputText)
  return input === undefined ? [] : [{ block: { ...start, input }, textBefore, callsBefore }]
}

/** The block that a piece is of. */
export const blockTypes: ReadonlyMap<string, string> = new Map([
  ['text_delta', 'text'],
  ['thinking_delta', 'thinking'],
  ['input_json_delta', 'tool_use'],
])
