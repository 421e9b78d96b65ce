import type { Content, Message, Usage } from '../messages.ts'
import type { Entry } from '../transcript/entry.ts'
import type { RunOptions } from './options.ts'
import type { RunStream } from './run-stream.ts'

/** One of an agent's conversations, by its id. */
export interface Conversation<Answer = string> {
  readonly id: string
  /** The conversation as messages, as far as this process knows it. */
  readonly history: readonly Message[]
  /** Tokens of all its runs. */
  readonly usage: Usage
  run(input: Content, options?: ConversationRunOptions): Promise<Answer>
  runStream(input: Content, options?: ConversationRunOptions): RunStream<Answer>
  /** Everything that happened, in order. */
  entries(): Promise<readonly Entry[]>
  /** A new conversation that begins with the first `at` entries of this one. Default: all. */
  fork(at?: number): Promise<Conversation<Answer>>
  /** Forgets it, here and in the store. */
  delete(): Promise<void>
}

export type ConversationRunOptions = Omit<RunOptions, 'conversation' | 'history'>
