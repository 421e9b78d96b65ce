import type { CompactionReport } from '../events.ts'
import type { Content, Message, Usage } from '../messages.ts'
import { checkMembers, integer, optional } from '../options.ts'
import type { Entry } from '../transcript/entry.ts'
import type { ConversationState } from './conversation-state.ts'
import type { Conversations } from './conversations.ts'
import type { ResumeOptions, RunOptions } from './options.ts'
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
  /** Goes on with its last run, as `agent.resume` does. */
  resume(options?: ResumeOptions): Promise<Answer>
  resumeStream(options?: ResumeOptions): RunStream<Answer>
  /**
   * Everything that happened, in order.
   *
   * @throws CorruptEntryError, StoreError
   */
  entries(): Promise<readonly Entry[]>
  /**
   * A new conversation that begins with the first `at` entries of this one. Default: all.
   *
   * @throws ConfigurationError if `at` is no whole number from 0 up.
   */
  fork(at?: number): Promise<Conversation<Answer>>
  /**
   * Lets the agent's `compactor` summarise all messages that do not have to stay, when no run is going on. A conversation in
   * which there is too little to summarise stays as it is.
   *
   * @throws ConfigurationError without a `compactor`; what the compactor throws, the signal's reason, and ConflictError when
   * another process goes on with the conversation.
   */
  compact(options?: { readonly signal?: AbortSignal }): Promise<CompactionReport>
  /** Forgets it, here and in the store. */
  delete(): Promise<void>
}

export type ConversationRunOptions = Omit<RunOptions, 'conversation' | 'history'>

/** What runs are started by: an agent. */
interface Runner<Answer> {
  run(input: Content, options?: RunOptions): Promise<Answer>
  runStream(input: Content, options?: RunOptions): RunStream<Answer>
  resume(conversationId: string, options?: ResumeOptions): Promise<Answer>
  resumeStream(conversationId: string, options?: ResumeOptions): RunStream<Answer>
}

/** What handles go by: the same for all of an agent. */
export interface Surroundings<Answer> {
  readonly all: Conversations
  readonly runner: Runner<Answer>
  readonly compact: (state: ConversationState, signal: AbortSignal | undefined) => Promise<CompactionReport>
  /** Settles as the promise does, its error without secrets, which what a store throws may hold, or the signal's reason. */
  readonly scrubbed: <T>(promise: Promise<T>, signal?: AbortSignal) => Promise<T>
}

/** Applications keep one for each of their users, so it is small: what it does stands once, for all of them. */
export class ConversationHandle<Answer> implements Conversation<Answer> {
  readonly id: string
  readonly #around: Surroundings<Answer>

  constructor(id: string, around: Surroundings<Answer>) {
    this.id = id
    this.#around = around
  }

  get history(): readonly Message[] {
    return this.#state.transcript.history()
  }

  get usage(): Usage {
    return this.#state.transcript.usage
  }

  run(input: Content, options?: ConversationRunOptions): Promise<Answer> {
    return this.#around.runner.run(input, { ...options, conversation: this.id })
  }

  runStream(input: Content, options?: ConversationRunOptions): RunStream<Answer> {
    return this.#around.runner.runStream(input, { ...options, conversation: this.id })
  }

  resume(options?: ResumeOptions): Promise<Answer> {
    return this.#around.runner.resume(this.id, options)
  }

  resumeStream(options?: ResumeOptions): RunStream<Answer> {
    return this.#around.runner.resumeStream(this.id, options)
  }

  entries(): Promise<readonly Entry[]> {
    return this.#around.scrubbed(this.#state.entries())
  }

  async fork(at?: number): Promise<Conversation<Answer>> {
    checkMembers('fork()', { at }, { at: optional(integer(0)) })
    const { all, scrubbed } = this.#around
    const entries = await scrubbed(this.#state.entries(at))
    const fork = all.create()
    fork.add(entries)
    await scrubbed(Promise.resolve(fork.save()))
    return new ConversationHandle(fork.id, this.#around)
  }

  compact({ signal }: { readonly signal?: AbortSignal } = {}): Promise<CompactionReport> {
    return this.#around.scrubbed(this.#around.compact(this.#state, signal), signal)
  }

  delete(): Promise<void> {
    return this.#around.scrubbed(this.#around.all.delete(this.id))
  }

  /** Asked for each time: after `delete` there is another one of the same id. */
  get #state(): ConversationState {
    return this.#around.all.get(this.id)
  }
}
