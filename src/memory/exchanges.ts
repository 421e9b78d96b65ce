import type { Message } from '../messages.ts'
import type { TokenCounts } from './tokens.ts'

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
  const units = unitsOf(messages)
  const pinned = pinnedUnits(messages, units, keepNewest)
  const kept: Message[] = []
  let dropped = 0
  for (const unit of units) {
    const isKept = dropped >= wanted || pinned.has(unit)
    for (let at = unit.start; at < unit.end; at++) {
      const message = messages[at]
      if (message === undefined) continue
      if (isKept) kept.push(message)
      else dropped += counts.message(message)
    }
  }
  return kept.length === messages.length ? messages : kept
}

/** The exchange the model is in the middle of: the last one, if no user message follows it. */
export function currentExchange(messages: readonly Message[]): readonly Message[] {
  const start = messages.findLastIndex((message) => message.role === 'user' || hasCalls(message))
  return hasCalls(messages[start]) ? messages.slice(start, endOfUnit(messages, start)) : []
}

/** What is kept or dropped whole: an exchange (a reply with calls and its results), or any other message by itself. */
export interface Unit {
  readonly start: number
  readonly end: number
}

export function unitsOf(messages: readonly Message[]): readonly Unit[] {
  const units: Unit[] = []
  for (let start = 0; start < messages.length; ) {
    const end = endOfUnit(messages, start)
    units.push({ start, end })
    start = end
  }
  return units
}

function endOfUnit(messages: readonly Message[], start: number): number {
  let end = start + 1
  if (hasCalls(messages[start])) while (messages[end]?.role === 'tool') end++
  return end
}

export function pinnedUnits(
  messages: readonly Message[],
  units: readonly Unit[],
  keepNewest: number,
): ReadonlySet<Unit> {
  const question = messages.findLastIndex(({ role }) => role === 'user')
  const exchange = messages.findLastIndex(hasCalls)
  const firstOfNewest = messages.length - keepNewest
  return new Set(
    units.filter(
      ({ start, end }) =>
        messages[start]?.role === 'system' ||
        start === question ||
        (start === exchange && exchange > question) ||
        end > firstOfNewest,
    ),
  )
}

export const hasCalls = (message: Message | undefined) =>
  message?.role === 'assistant' && message.toolCalls !== undefined
