import { type Message, type SystemMessage, system } from '../messages.ts'
import type { Compaction } from './entry.ts'

/** A conversation as requests hold it: the summary in place of the messages for which it stands. */
export function compacted(messages: readonly Message[], compaction: Compaction): readonly Message[] {
  const { from, to, kept = [] } = compaction
  return [
    ...messages.slice(0, from),
    summaryOf(compaction),
    ...kept.flatMap((index) => messages[index] ?? []),
    ...messages.slice(to),
  ]
}

// The same message each time: what is derived from a message is remembered with it.
const summaries = new WeakMap<Compaction, SystemMessage>()

/** What requests hold in place of the messages. */
export function summaryOf(compaction: Compaction): SystemMessage {
  const known = summaries.get(compaction)
  if (known) return known
  const message = Object.freeze(system(`Summary of earlier conversation:\n\n${compaction.summary}`))
  summaries.set(compaction, message)
  return message
}
