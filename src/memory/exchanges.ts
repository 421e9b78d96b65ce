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
  const total = counts.messages(messages)
  const excess = total - limit
  if (excess <= 0) return messages
  const { sums, units, systems, question, exchange } = counts.measure(messages)
  const step = Math.max(1, Math.floor(limit / 4))
  const wanted = Math.ceil(excess / step) * step
  const firstOfNewest = messages.length - keepNewest
  const pinned: Message[] = []
  let dropped = 0
  let start = 0
  for (let unit = 0, system = 0; unit < units.length && dropped < wanted; unit++) {
    const end = units[unit + 1] ?? messages.length
    const isSystem = systems[system] === start
    if (isSystem) system++
    if (isSystem || start === question || start === exchange || end > firstOfNewest)
      pinned.push(...messages.slice(start, end))
    else dropped += (sums[end] ?? 0) - (sums[start] ?? 0)
    start = end
  }
  if (pinned.length === start) return messages
  const kept = withBeginning(pinned, messages, start)
  counts.remember(kept, total - dropped)
  return kept
}

/** `beginning`, and what of `messages` comes from `start` on; it must not be longer than what it replaces. */
export function withBeginning(
  beginning: readonly Message[],
  messages: readonly Message[],
  start: number,
): readonly Message[] {
  // Copied once: these may be very many.
  const whole = messages.slice(start - beginning.length)
  for (const [at, message] of beginning.entries()) whole[at] = message
  return whole
}
