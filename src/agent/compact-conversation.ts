import { untilAborted } from '../abort.ts'
import type { CompactionReport } from '../events.ts'
import type { Compactor } from '../memory/memory.ts'
import type { TokenCounts } from '../memory/tokens.ts'
import type { Usage } from '../messages.ts'
import type { CompactionEntry } from '../transcript/entry.ts'
import { compact } from './compact.ts'
import type { ConversationState, Turn } from './conversation-state.ts'

export interface CompactionOrder {
  readonly agentName: string
  readonly counts: TokenCounts
  readonly conversation: ConversationState
  /** Its turn among the runs. */
  readonly turn: Turn
  readonly signal: AbortSignal
  readonly scrubbed: (entry: CompactionEntry) => CompactionEntry
  readonly onUsage: (usage: Usage | undefined) => void
}

/** Compacts a conversation when no run is going on in it. */
export async function compactConversation(
  compactor: Compactor,
  { agentName, counts, conversation, turn, signal, scrubbed, onUsage }: CompactionOrder,
): Promise<CompactionReport> {
  signal.throwIfAborted()
  if (turn.comes) await untilAborted(turn.comes, signal)
  const loading = conversation.load()
  if (loading) await untilAborted(loading, signal)
  const { report, usage, error } = await compact(compactor, 0, {
    transcript: conversation.transcript,
    counts,
    // Of no run: what is limited per run is limited for it alone.
    scope: { runId: conversation.id, conversationId: conversation.id, agent: agentName },
    signal,
    append: (entry) => {
      conversation.add([scrubbed(entry)])
      return conversation.save()
    },
    wait: (promise) => untilAborted(promise, signal),
  })
  onUsage(usage)
  signal.throwIfAborted()
  if (error) throw error
  return report
}
