import type { JsonObject } from '../../json.ts'
import type { Message } from '../../messages.ts'
import { textBlock } from './content.ts'

/** A message as this API has it. */
export interface WireTurn {
  readonly role: 'user' | 'assistant' | 'system'
  readonly content: readonly JsonObject[]
}

/**
 * The turns of a conversation: user and assistant alternate, the user's is the first and the last, and results stand
 * before everything else in the one turn after their calls, in the order of the calls. Leading system messages are given
 * apart; later ones stay where they are if `systemMessages` are taken there, and else are the user's words about them.
 */
export function turnsOf(
  messages: readonly Message[],
  { systemMessages, blocksOf }: TurnOptions,
): { readonly system: readonly JsonObject[]; readonly turns: readonly WireTurn[] } {
  const start = messages.findIndex(({ role }) => role !== 'system')
  const leading = start < 0 ? messages : messages.slice(0, start)
  const said = merged(messages.slice(leading.length).map((message) => turnOf(message, blocksOf(message))))
  // This API wants a system message right after the user and before the assistant or at the end.
  const placed = said.map((turn, index): WireTurn => {
    if (turn.role !== 'system') return turn
    const isPlaced = said[index - 1]?.role === 'user' && said[index + 1]?.role !== 'user'
    return systemMessages && isPlaced ? turn : { role: 'user', content: turn.content.map(asUser) }
  })
  const turns = merged(placed)
  if (turns[0]?.role !== 'user') turns.unshift(goOn)
  // What ends in the assistant's own words would be taken as the beginning of the answer, or refused.
  if (turns.at(-1)?.role === 'assistant') turns.push(goOn)
  return {
    system: leading.flatMap(blocksOf),
    turns: turns.map((turn, index) => sorted(turn, turns[index - 1])),
  }
}

export interface TurnOptions {
  readonly systemMessages: boolean
  readonly blocksOf: (message: Message) => readonly JsonObject[]
}

const goOn: WireTurn = { role: 'user', content: [textBlock('(continue)')] }

function turnOf({ role }: Message, content: readonly JsonObject[]): WireTurn {
  return { role: role === 'tool' ? 'user' : role, content }
}

function asUser({ text }: JsonObject): JsonObject {
  return textBlock(`<system>${text}</system>`)
}

/** Neighbours of one role as one turn, and no turn without content. */
function merged(turns: readonly WireTurn[]): WireTurn[] {
  const groups: { role: WireTurn['role']; content: JsonObject[] }[] = []
  for (const { role, content } of turns) {
    const last = groups.at(-1)
    if (content.length === 0) continue
    if (last?.role === role) last.content.push(...content)
    else groups.push({ role, content: [...content] })
  }
  return groups
}

function sorted(turn: WireTurn, before: WireTurn | undefined): WireTurn {
  const isResult = ({ type }: JsonObject) => type === 'tool_result'
  if (turn.role !== 'user' || !turn.content.some(isResult)) return turn
  const asked = (before?.content ?? []).filter(({ type }) => type === 'tool_use')
  const order = new Map(asked.map(({ id }, index) => [id, index]))
  const place = ({ tool_use_id: id }: JsonObject) => order.get(id ?? null) ?? order.size
  const results = turn.content.filter(isResult).sort((a, b) => place(a) - place(b))
  return { ...turn, content: [...results, ...turn.content.filter((block) => !isResult(block))] }
}
