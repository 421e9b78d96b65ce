import { shown } from '../errors.ts'
import type { Message } from '../messages.ts'
import { checkMembers, fn } from '../options.ts'
import { withEssentials } from './essentials.ts'
import type { AgentMemory } from './memory.ts'
import { CountsByCounter, type TokenCounts } from './tokens.ts'

/**
 * One memory after the other, from left to right: each is given what the one before gave. In between torn exchanges are
 * dropped, and the last user message and the exchange the model is in are put back. All see the same context, with the same budget. Where one fails, all of it fails.
 *
 * What summarizes belongs before what shortens, and what holds a limit at the end. What is pinned is pinned in all of them.
 *
 * @throws ConfigurationError for what is no memory.
 */
export function composeMemory(...memories: readonly AgentMemory[]): AgentMemory {
  memories.forEach((memory, index) => {
    checkMembers('composeMemory()', memory, { manageHistory: fn() }, `memories[${index}]`)
  })
  const countsOf = new CountsByCounter()
  return {
    async manageHistory(history, context) {
      const counts = countsOf.of(context.countTokens)
      let messages = history
      for (const memory of memories) {
        context.signal.throwIfAborted()
        // A copy of its own: a memory that shifts and splices harms nobody.
        messages = whole(await memory.manageHistory([...messages], context), messages, counts)
      }
      return messages
    },
  }
}

/** The messages that were given, if the memory gave all of them back. */
function whole(managed: unknown, given: readonly Message[], counts: TokenCounts): readonly Message[] {
  if (!Array.isArray(managed)) {
    throw new TypeError(`manageHistory must return messages, got ${shown(managed)}.`)
  }
  const isAll = managed.length === given.length && given.every((message, at) => message === managed[at])
  return isAll ? given : withEssentials(managed, given, counts).messages
}
