import type { CallScope } from '../client/client.ts'
import type { Message } from '../messages.ts'
import type { Compaction } from '../transcript/entry.ts'

/**
 * Decides what of a conversation is sent. Called once before each model call with the whole history, oldest first; gives
 * back the messages to send. It changes the view only: the transcript keeps everything. A memory sees calls and results
 * as they are; whatever it tears apart is repaired afterwards.
 */
export interface AgentMemory {
  /** It changes neither the array that it is given nor one that it gave back, so that nothing has to be copied for it. */
  readonly isReader?: true
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
  /** Tells what went wrong and was made up for, as a diagnostic `memory_failed`. */
  readonly warn?: (problem: string) => void
  readonly signal: AbortSignal
}

/**
 * What every request of an agent carries beside the conversation; `MemoryBlocks` is one. The builders are asked before
 * each model call and change nothing: as long as nothing was written, they give the same.
 */
export interface AgentBlocks {
  /** Brings in what was written elsewhere. Called once in a run, before its first model call. */
  load(): Promise<void>
  /** The system prompt: `instructions`, and what must always be in sight. */
  buildSystemPrompt(instructions: string): string
  /** The messages of a request: those given, in their order, and more that become no part of the conversation. */
  buildMessages(messages: readonly Message[]): readonly Message[]
}

/**
 * Summarises what a conversation has become too long for; `compactor({ client })` makes one. What it gives is written down,
 * and changes what requests hold from then on; the conversation itself keeps everything.
 */
export interface Compactor {
  /**
   * Summaries, each of which stands for more of the conversation than the one before and holds by itself: what was written
   * down stays when a later one fails. None, if there is nothing that is worth it.
   *
   * @throws Whatever keeps it from going on. It is told as a `diagnostic`, and the run goes on without.
   */
  compact(task: CompactionTask): AsyncIterable<Compaction>
}

export interface CompactionTask {
  /** The whole conversation, oldest first, also what a summary stands for already. */
  readonly history: readonly Message[]
  readonly earlier?: Compaction
  /** Tokens of the newest messages that may stay as they are. 0: no more than have to. */
  readonly keepTokens: number
  readonly countTokens: TokenCounter
  readonly scope: CallScope
  readonly signal: AbortSignal
}

/** Tokens of a text: local, synchronous and cheap. */
export type TokenCounter = (text: string) => number
