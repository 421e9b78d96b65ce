import type { Message } from '../messages.ts'
import type { TokenCounts } from './tokens.ts'

/** What is kept or dropped whole: an exchange (a reply with calls and its results), or any other message by itself. */
export interface Unit {
  readonly messages: readonly Message[]
  readonly tokens: number
}

export interface PruneOptions {
  /** Tokens to get down to. */
  readonly limit: number
  /** Messages at the end that stay whatever they cost; an exchange counts with all its messages. */
  readonly keepNewest: number
}

/**
 * Drops units from the oldest on until the rest fits; the array that was given, if it already does. What always stays:
 * system messages, the last user message, the exchange after it that is last, and the newest messages. It may therefore
 * end above the limit.
 *
 * Drops in steps of a quarter of the limit: a history that grows message by message then keeps its beginning, and the
 * provider's prompt cache its use, for many requests in a row.
 */
export function dropOldest(
  messages: readonly Message[],
  counts: TokenCounts,
  { limit, keepNewest }: PruneOptions,
): readonly Message[] {
  const excess = counts.messages(messages) - limit
  if (excess <= 0) return messages
  const step = Math.max(1, Math.floor(limit / 4))
  const wanted = Math.ceil(excess / step) * step
  const units = unitsOf(messages, counts)
  const pinned = pinnedUnits(units, keepNewest)
  let dropped = 0
  const kept = units.filter((unit, index) => {
    if (dropped >= wanted || pinned.has(index)) return true
    dropped += unit.tokens
    return false
  })
  return kept.length === units.length ? messages : kept.flatMap((unit) => unit.messages)
}

/** The exchange the model is in the middle of: the last one, if no user message follows it. */
export function currentExchange(messages: readonly Message[]): readonly Message[] {
  const start = messages.findLastIndex((message) => message.role === 'user' || hasCalls(message))
  return hasCalls(messages[start]) ? messages.slice(start, endOfUnit(messages, start)) : []
}

function unitsOf(messages: readonly Message[], counts: TokenCounts): readonly Unit[] {
  const units: Unit[] = []
  for (let start = 0; start < messages.length; ) {
    const end = endOfUnit(messages, start)
    const unit = messages.slice(start, end)
    units.push({ messages: unit, tokens: counts.messages(unit) })
    start = end
  }
  return units
}

/** Where the unit that begins at `start` ends. */
function endOfUnit(messages: readonly Message[], start: number): number {
  let end = start + 1
  if (hasCalls(messages[start])) while (messages[end]?.role === 'tool') end++
  return end
}

function pinnedUnits(units: readonly Unit[], keepNewest: number): ReadonlySet<number> {
  const first = units.map(({ messages }) => messages[0])
  const question = first.findLastIndex((message) => message?.role === 'user')
  const exchange = first.findLastIndex(hasCalls)
  const pinned = new Set([question, ...(exchange > question ? [exchange] : [])])
  let newest = 0
  for (let index = units.length - 1; index >= 0; index--) {
    if (newest < keepNewest || first[index]?.role === 'system') pinned.add(index)
    newest += units[index]?.messages.length ?? 0
  }
  return pinned
}

const hasCalls = (message: Message | undefined) =>
  message?.role === 'assistant' && message.toolCalls !== undefined
