import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import { refuseMessage } from './anthropic-refusal.ts'
import { firstOf, isList } from './refusal.ts'
import type { Check } from './strict-contract.ts'

/** Each call has its one result at the head of the next message of the user, and no result is without its call. */
export function checkPairing(messages: JsonValue | undefined): Check {
  const taken = new Set<JsonValue>()
  const turns = turnsOf(messages)
  return firstOf(turns, ({ role, index, blocks }, at) => {
    if (role === 'user') return checkResults(blocks, index, callsOf(turns[at - 1]))
    return checkUnique(blocks, index, taken) ?? checkAnswered(callsOf(turns[at]), index, turns[at + 1])
  })
}

interface Turn {
  readonly role: JsonValue | undefined
  /** Of its message, for the words of a refusal. */
  readonly index: number
  readonly blocks: readonly JsonObject[]
}

/** The messages of user and assistant: a system message between a call and its result parts them not. */
function turnsOf(messages: JsonValue | undefined): readonly Turn[] {
  return (isList(messages) ? messages : []).flatMap((message, index) => {
    if (!isJsonObject(message) || message['role'] === 'system') return []
    const { role, content } = message
    return [{ role, index, blocks: isList(content) ? content.filter(isJsonObject) : [] }]
  })
}

function callsOf(turn: Turn | undefined): readonly JsonValue[] {
  if (turn?.role !== 'assistant') return []
  return turn.blocks.flatMap(({ type, id }) => (type === 'tool_use' && id !== undefined ? [id] : []))
}

function checkUnique(blocks: readonly JsonObject[], index: number, taken: Set<JsonValue>): Check {
  return firstOf(blocks, ({ type, id }, at) => {
    if (type !== 'tool_use' || id === undefined) return undefined
    if (taken.has(id)) {
      return refuseMessage(
        'duplicate_tool_use',
        `messages.${index}.content.${at}: \`tool_use\` ids must be unique`,
      )
    }
    taken.add(id)
    return undefined
  })
}

function checkAnswered(calls: readonly JsonValue[], index: number, next: Turn | undefined): Check {
  const blocks = next?.role === 'user' ? next.blocks : []
  const end = blocks.findIndex(({ type }) => type !== 'tool_result')
  const results = end < 0 ? blocks : blocks.slice(0, end)
  const answered = new Set(results.map((block) => block['tool_use_id']))
  const open = calls.filter((id) => !answered.has(id))
  if (open.length === 0) return undefined
  return refuseMessage(
    'unanswered_call',
    `messages.${index}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ` +
      `${open.join(', ')}. Each \`tool_use\` block must have a corresponding \`tool_result\` block in the next message.`,
  )
}

function checkResults(blocks: readonly JsonObject[], index: number, calls: readonly JsonValue[]): Check {
  const answered = new Set<JsonValue>()
  return firstOf(blocks, ({ type, tool_use_id: id = null }, at) => {
    if (type !== 'tool_result') return undefined
    const path = `messages.${index}.content.${at}`
    if (!calls.includes(id)) {
      return refuseMessage(
        'orphan_result',
        `${path}: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${id}. Each \`tool_result\` block must ` +
          'have a corresponding `tool_use` block in the previous message.',
      )
    }
    if (answered.has(id)) {
      return refuseMessage(
        'duplicate_result',
        `${path}: each tool_use must have a single result. Found multiple \`tool_result\` blocks with id: ${id}`,
      )
    }
    answered.add(id)
    return undefined
  })
}
