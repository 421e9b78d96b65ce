import type { Message } from '../messages.ts'

/**
 * Decides what of a conversation is sent. Called once before each model call with the whole history, oldest first; gives
 * back the messages to send. It changes the view only: the transcript keeps everything. A memory sees calls and results
 * as they are; whatever it tears apart is repaired afterwards.
 */
export interface AgentMemory {
  manageHistory(
    history: readonly Message[],
    context: MemoryContext,
  ): readonly Message[] | Promise<readonly Message[]>
}

export interface MemoryContext {
  /** Tokens that are left for messages, when the context window is known: without system, tools, output and margin. */
  readonly budgetTokens?: number
  readonly countTokens: TokenCounter
  readonly conversationId: string
  readonly signal: AbortSignal
}

/** Tokens of a text: local, synchronous and cheap. */
export type TokenCounter = (text: string) => number
