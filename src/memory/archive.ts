import type { Message } from '../messages.ts'
import { checkMembers, fn } from '../options.ts'
import { composeMemory } from './compose.ts'
import type { AgentMemory, MemoryContext } from './memory.ts'
import { withOpening } from './opening.ts'
import { CountsByCounter } from './tokens.ts'

/** Takes messages that a memory no longer sends as they were said, in their order. */
export type ArchiveSink = (pruned: readonly Message[], context: MemoryContext) => void | Promise<void>

/**
 * `memory`, with everything it gives up handed to `archive` before it is gone from a request: messages that are dropped,
 * and the originals of those it sends shortened. Each is handed over once in a conversation, as it was said; another
 * process begins anew. What the context window makes leave, after the memory, is not among them.
 *
 * If `archive` fails, so does the memory: a `diagnostic` says so, nothing leaves, and it is tried again with the next
 * request.
 *
 * @throws ConfigurationError
 */
export function archivePruned(memory: AgentMemory, archive: ArchiveSink): AgentMemory {
  checkMembers('archivePruned()', memory, { manageHistory: fn() }, 'memory')
  checkMembers('archivePruned()', { archive }, { archive: fn() })
  const whole = composeMemory(memory)
  const countsOf = new CountsByCounter()
  /** The conversations in which a message was handed over. */
  const handed = new WeakMap<Message, Set<string>>()
  return {
    async manageHistory(history, context) {
      const { conversationId } = context
      const managed = await whole.manageHistory(history, context)
      const messages =
        managed === history ? history : withOpening(managed, history, countsOf.of(context.countTokens))
      const kept = new Set(messages)
      const pruned = history.filter(
        (message) => !kept.has(message) && !handed.get(message)?.has(conversationId),
      )
      if (pruned.length === 0) return messages
      await archive(pruned, context)
      for (const message of pruned) {
        const conversations = handed.get(message) ?? new Set()
        handed.set(message, conversations.add(conversationId))
      }
      return messages
    },
  }
}
