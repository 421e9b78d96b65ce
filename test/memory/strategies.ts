import type { MemoryContext } from '../../src/memory/memory.ts'
import { estimateTokens, TokenCounts } from '../../src/memory/tokens.ts'
import { assistant, type Message, toolMessage, user } from '../../src/messages.ts'

export const context: MemoryContext = {
  countTokens: estimateTokens,
  conversationId: 'c',
  signal: new AbortController().signal,
}

export const tokensOf = (messages: readonly Message[]) => new TokenCounts().messages(messages)

/** A reply that calls a tool, and its result; 2 tokens more than the result. */
export const exchange = (id: string, result: string): Message[] => {
  const call = { id, toolName: 'look', parameters: {} }
  return [assistant('', [call]), toolMessage(call, result)]
}

/** Turns of a question and an answer, each of 10 tokens and with the number of its turn. */
export const turns = (count: number): Message[] =>
  Array.from({ length: count }, (_, index) => [
    user(`Question ${index}`.padEnd(40, '.')),
    assistant(`Answer ${index}`.padEnd(40, '.')),
  ]).flat()
