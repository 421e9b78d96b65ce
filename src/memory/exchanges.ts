import type { Message } from '../messages.ts'
import { withBeginning } from './opening.ts'
import type { TokenCounts } from './tokens.ts'
import { endOfUnit } from './units.ts'

export interface PruneOptions {
  /** Tokens to get down to. */
  readonly limit: number
  /** Messages at the end that stay whatever they cost; an exchange counts with all its messages. */
  readonly keepNewest: number
  /** Tokens that the history lost at its beginning already: the steps are counted from there. Default 0. */
  readonly droppedTokens?: number
}

/**
 * Drops units from the oldest on until the rest fits; the array that was given, if it already does. What always stays:
 * system messages, the last user message, the exchange after it that is last, and the newest messages. It may therefore
 * end above the limit.
 *
 * Drops in steps of a power of two, an eighth to a quarter of the limit: a history that grows message by message then keeps
 * its beginning, and the provider's prompt cache its use, for many requests in a row, and a limit that changes a little
 * hardly ever moves the cut.
 */
export function dropOldest(
  messages: readonly Message[],
  counts: TokenCounts,
  { limit, keepNewest, droppedTokens = 0 }: PruneOptions,
): readonly Message[] {
  const total = counts.messages(messages)
  const excess = total - limit
  if (excess <= 0) return messages
  const { sums, systems, question, exchange } = counts.measure(messages)
  const step = 2 ** Math.floor(Math.log2(Math.max(4, limit) / 4))
  const firstOfNewest = messages.length - keepNewest
  const pinned: Message[] = []
  let pinnedTokens = 0
  let start = 0
  // Cuts are made at multiples of the step in the history as it was: what is pinned, too, must not move them.
  let position = droppedTokens
  let cut = nextMultiple(position, step)
  for (let system = 0; start < messages.length; ) {
    if (position >= cut) {
      if ((sums[start] ?? 0) - pinnedTokens >= excess) break
      cut = nextMultiple(position, step)
    }
    const end = endOfUnit(messages, start)
    const tokens = (sums[end] ?? 0) - (sums[start] ?? 0)
    const isSystem = systems[system] === start
    if (isSystem) system++
    if (isSystem || start === question || start === exchange || end > firstOfNewest) {
      pinned.push(...messages.slice(start, end))
      pinnedTokens += tokens
    }
    start = end
    position += tokens
  }
  if (pinned.length === start) return messages
  const kept = withBeginning(pinned, messages, start)
  counts.remember(kept, total - (sums[start] ?? 0) + pinnedTokens)
  return kept
}

const nextMultiple = (position: number, step: number) => (Math.floor(position / step) + 1) * step
