import { linkedController, untilAborted } from '../abort.ts'
import type { CompactionReport } from '../events.ts'
import type { Compactor } from '../memory/memory.ts'
import type { TokenCounts } from '../memory/tokens.ts'
import type { Usage } from '../messages.ts'
import type { CompactionEntry } from '../transcript/entry.ts'
import { compact } from './compact.ts'
import type { ConversationState } from './conversation-state.ts'

export interface CompactionOrder {
  readonly conversation: ConversationState
  readonly counts: TokenCounts
  readonly agentName: string
  /** Each of them stops it. */
  readonly signals: readonly (AbortSignal | undefined)[]
  readonly concurrency: 'queue' | 'reject'
  readonly scrubbed: (entry: CompactionEntry) => CompactionEntry
  readonly onUsage: (usage: Usage | undefined) => void
}

/** Compacts a conversation in which no run is going on; it takes its turn among them. */
export async function compactConversation(
  compactor: Compactor,
  { conversation, counts, agentName, signals, concurrency, scrubbed, onUsage }: CompactionOrder,
): Promise<CompactionReport> {
  const { controller, unlink } = linkedController(...signals)
  const { signal } = controller
  const turn = conversation.enter(concurrency)
  try {
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
  } finally {
    unlink()
    turn.leave()
  }
}
