import type { Message } from '../messages.ts'
import { rangesOf } from './ranges.ts'
import type { TokenCounts } from './tokens.ts'

/**
 * Without the replies at the beginning whose question was dropped: providers want to hear the user first. A reply that
 * opened the conversation itself stays, and so does what a memory says in its own words.
 */
export function withOpening(
  messages: readonly Message[],
  history: readonly Message[],
  counts: TokenCounts,
): readonly Message[] {
  const isSpoken = ({ role }: Message) => role !== 'system'
  const opening = messages.find(isSpoken)
  const firstUser = messages.findIndex(({ role }) => role === 'user')
  if (firstUser < 0 || opening?.role === 'user' || opening === history.find(isSpoken)) return messages
  const before = messages.slice(0, firstUser)
  const isOwnWords = wordsNotIn(history, before)
  const kept = before.filter((message) => message.role === 'system' || isOwnWords(message))
  const rest = withBeginning(kept, messages, firstUser)
  counts.remember(rest, counts.messages(messages) - counts.messages(before) + counts.messages(kept))
  return rest
}

function wordsNotIn(history: readonly Message[], some: readonly Message[]): (message: Message) => boolean {
  const words = some.filter((message) => message.role === 'assistant' && message.toolCalls === undefined)
  if (rangesOf(words, history)) return () => false
  const known = new Set(history)
  return (message) => words.includes(message) && !known.has(message)
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
