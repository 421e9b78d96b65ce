import type { CallScope, LLMClient } from '../client/client.ts'
import type { BudgetExceededError, RunTimeoutError } from '../errors.ts'
import type { AgentEvent, ContextReport, DiagnosticCode } from '../events.ts'
import type { JsonValue } from '../json.ts'
import type { UserMessage } from '../messages.ts'
import type { KnownSecrets } from '../tools/known-secrets.ts'
import type { Entry } from '../transcript/entry.ts'
import type { Policy } from '../transcript/next.ts'
import type { RunFold, Transcript } from '../transcript/transcript.ts'
import type { ConversationState, Turn } from './conversation-state.ts'
import type { Decisions } from './decisions.ts'
import type { EventQueue } from './event-queue.ts'
import { applyHooks, type HookInfo, type Hooks } from './hooks.ts'
import type { RunBudget } from './run-budget.ts'
import type { RunSettings } from './settings.ts'
import type { Inbox } from './steering.ts'

/** What is asked of a run. */
export interface RunOrder {
  /** Of a new run. One that is resumed has its own. */
  readonly runId: string
  readonly startedAt: number
  /** What is to be done: something the user said, or what is left of the last run. */
  readonly work: { readonly input: UserMessage } | { readonly decisions: Decisions }
  readonly conversation: ConversationState
  /** Its turn in the conversation, which it leaves. */
  readonly turn: Turn
  readonly context: unknown
  /** On whose behalf. */
  readonly principal: string | undefined
  readonly secrets: KnownSecrets
  /** Stops the run. */
  readonly controller: AbortController
  readonly queue: EventQueue
  readonly inbox: Inbox
  /** Tells an event to the one who iterates, and to all who listen. */
  readonly tell: (event: AgentEvent) => void
}

/** One run under way: what the stages of an iteration share. */
export class Run {
  /** Of a run that is resumed, known once its conversation is loaded. */
  runId: string
  readonly conversation: ConversationState
  readonly settings: RunSettings
  readonly context: unknown
  readonly principal: string | undefined
  readonly signal: AbortSignal
  readonly secrets: KnownSecrets
  readonly inbox: Inbox
  readonly startedAt: number
  /** When its turn in the conversation came: `timeoutMs` counts from then. */
  turnAt: number
  stepId: string
  /** The validated value of a structured answer. */
  answer: JsonValue | undefined
  /** Set when its time is up. */
  timeout: RunTimeoutError | BudgetExceededError | undefined
  /** What it may spend, from when its turn has come. */
  budget: RunBudget | undefined
  /** What its requests were made of, by step. */
  readonly contexts = new Map<string, ContextReport>()
  /** Its `run_start` was told. */
  isStarted = false
  modelMs = 0
  toolMs = 0
  firstTokenMs: number | undefined

  #tell: (event: AgentEvent) => void
  readonly #queue: EventQueue
  readonly #stops = new Set<(reason: unknown) => void>()
  readonly #stop = () => {
    // A run that is ending does not wait for its reader.
    this.#queue.unpace()
    for (const stop of this.#stops) stop(this.signal.reason)
    this.#stops.clear()
  }

  constructor(order: RunOrder, settings: RunSettings) {
    this.runId = order.runId
    this.conversation = order.conversation
    this.settings = settings
    this.context = order.context
    this.principal = order.principal
    this.signal = order.controller.signal
    this.secrets = order.secrets
    this.inbox = order.inbox
    this.#tell = order.tell
    this.#queue = order.queue
    this.stepId = order.runId
    this.startedAt = order.startedAt
    this.turnAt = this.startedAt
    if (this.signal.aborted) this.#queue.unpace()
    this.signal.addEventListener('abort', this.#stop, { once: true })
  }

  get transcript(): Transcript {
    return this.conversation.transcript
  }

  get fold(): RunFold | undefined {
    const { run } = this.transcript
    return run?.runId === this.runId ? run : undefined
  }

  /** The one that is asked: within the run's budget, if it has one. */
  get client(): LLMClient {
    return this.budget?.client ?? this.settings.client
  }

  /** What limits and budgets of clients are kept by. */
  get scope(): CallScope {
    const { runId, principal } = this
    const { agentName: agent } = this.settings
    return {
      runId,
      conversationId: this.conversation.id,
      agent,
      ...(principal !== undefined && { principal }),
    }
  }

  get elapsedMs(): number {
    return this.settings.runtime.now() - this.startedAt
  }

  get turnMs(): number {
    return this.settings.runtime.now() - this.turnAt
  }

  /** The validated value of a structured answer, which may be `null`, or else `text`. */
  answerOr(text: string): JsonValue {
    return this.answer === undefined ? text : this.answer
  }

  policy(): Policy {
    const { policy, timeoutMs, registry } = this.settings
    return {
      ...policy,
      // A fifth of the time is kept for the last answer.
      late: this.turnMs >= timeoutMs * 0.8,
      low: this.budget?.low(),
      repeatable: (toolName) => registry.get(toolName)?.repeatable === true,
    }
  }

  /** Waits until the reader of the events wants more; `undefined` when nobody has to be waited for. */
  paced(): Promise<void> | undefined {
    return this.#queue.paced()
  }

  emit(event: AgentEvent): void {
    this.#tell(event)
  }

  diagnose(code: DiagnosticCode, message: string): void {
    this.emit({
      type: 'diagnostic',
      runId: this.runId,
      stepId: this.stepId,
      code,
      message: this.secrets.scrubber.text(message),
    })
  }

  /**
   * Writes down what happened, free of secrets, and waits until it is durable, unless the whole run is written at its end;
   * once the run is stopped, no longer than `graceMs`.
   */
  append(...entries: readonly Entry[]): Promise<void> | undefined {
    this.conversation.add(entries.map((entry) => this.secrets.scrubber.value(entry)))
    return this.settings.durability === 'step' ? this.save() : undefined
  }

  /** Makes durable what was written down. */
  save(): Promise<void> | undefined {
    const saved = this.conversation.save()
    return saved && this.#withGrace(saved)
  }

  async #withGrace(saved: Promise<void>): Promise<void> {
    try {
      return await this.wait(saved)
    } catch (error) {
      if (!this.signal.aborted) throw error
    }
    const { runtime, graceMs } = this.settings
    const timer = new AbortController()
    const over = runtime.sleep(graceMs, timer.signal).then(() => {
      throw this.signal.reason
    })
    over.catch(() => {})
    await Promise.race([saved, over]).finally(() => timer.abort('saved'))
  }

  /** Settles as `promise` does, or rejects with the reason as soon as the run is stopped. */
  wait<T>(promise: T | PromiseLike<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.signal.aborted) reject(this.signal.reason)
      this.#stops.add(reject)
      // Not every function that should give a promise does.
      Promise.resolve(promise).then(
        (value) => {
          this.#stops.delete(reject)
          resolve(value)
        },
        (error) => {
          this.#stops.delete(reject)
          reject(error)
        },
      )
    })
  }

  /** There are hooks, which have to be waited for. */
  get isHooked(): boolean {
    return this.settings.hooks.length > 0
  }

  /** Passes `value` through the hooks of a stage. */
  hook<T>(stage: Exclude<keyof Hooks, 'strict'>, value: T): Promise<T> {
    const passed = applyHooks(this.settings.hooks, stage, value, this.#hookInfo, (message) =>
      this.diagnose('hook_failed', message),
    )
    return this.wait(passed)
  }

  /** Takes its listener off the signal. What is told from now on, by a client that was left behind, say, is not heard. */
  release(): void {
    this.#tell = () => {}
    this.signal.removeEventListener('abort', this.#stop)
    this.#stops.clear()
  }

  get #hookInfo(): HookInfo {
    return {
      runId: this.runId,
      conversationId: this.conversation.id,
      context: this.context,
      signal: this.signal,
    }
  }
}
