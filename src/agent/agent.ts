import { follow } from '../abort.ts'
import type { LLMClient, LLMRequest } from '../client/client.ts'
import { AgentClosedError, ConfigurationError } from '../errors.ts'
import type { AgentEvent, CompactionReport, RunResult } from '../events.ts'
import { jsonCopy } from '../json.ts'
import {
  addUsage,
  type Content,
  type Message,
  noUsage,
  parseContent,
  parseMessage,
  parseMessages,
  type Usage,
} from '../messages.ts'
import { checkOptions } from '../options.ts'
import { createRuntime, type Runtime } from '../runtime.ts'
import { scrubbedError } from '../scrubbed-error.ts'
import type { Scrubber } from '../scrubber.ts'
import { KnownSecrets } from '../tools/known-secrets.ts'
import { ToolRegistry } from '../tools/registry.ts'
import type { Tool } from '../tools/tool.ts'
import { isToolSet, type ToolSet } from '../tools/toolset.ts'
import type { Entry } from '../transcript/entry.ts'
import { clientOf } from './client-of.ts'
import { type Conversation, ConversationHandle, type Surroundings } from './conversation.ts'
import { ConversationState, type Turn } from './conversation-state.ts'
import { Conversations } from './conversations.ts'
import { LateEngine } from './late-engine.ts'
import { Listeners } from './listeners.ts'
import {
  type AgentOptions,
  agentChecks,
  type InstructionsContext,
  type PartOptions,
  type ResumeOptions,
  type RunOptions,
  recoverChecks,
  resumeChecks,
  runChecks,
} from './options.ts'
import type { RecoverOptions } from './recover.ts'
import { type OnLimit, unwrap } from './result.ts'
import type { RunOrder } from './run.ts'
import type { RunSnapshot } from './run-snapshot.ts'
import { RunStream } from './run-stream.ts'
import { ScrubberCache } from './scrubber-cache.ts'

/**
 * A model with tools, instructions and limits. It is configuration, so one agent serves any number of conversations at
 * once; it has one of its own, which `run` goes on with unless told otherwise.
 */
export class Agent<Answer = string> implements AsyncDisposable {
  readonly name: string
  readonly description: string
  readonly #options: AgentOptions<Answer>
  readonly #client: LLMClient
  readonly #runtime: Runtime
  readonly #registry = new ToolRegistry()
  readonly #engine: LateEngine
  readonly #conversations: Conversations
  readonly #surroundings: Surroundings<Answer>
  readonly #listeners: Listeners
  readonly #scrubbers = new ScrubberCache()
  readonly #running = new Set<Promise<unknown>>()
  readonly #closing = new AbortController()
  #closed: Promise<void> | undefined
  #usage: Usage = noUsage
  #lastRequest: LLMRequest | undefined

  /** @throws ConfigurationError naming the option that is wrong. */
  constructor(options: AgentOptions<Answer>) {
    checkOptions('Agent', options, agentChecks)
    this.#options = { ...options }
    this.name = options.name ?? 'agent'
    this.description = options.description ?? ''
    this.#client = clientOf(options)
    const runtime = createRuntime(options.runtime)
    this.#runtime = runtime
    this.#engine = new LateEngine(this.#options, {
      agentName: this.name,
      client: this.#client,
      registry: this.#registry,
      runtime,
      instructions: (context) => this.buildInstructions(context),
      onRequest: (request) => {
        this.#lastRequest = request
      },
    })
    this.#conversations = new Conversations(() => runtime.id(), options.store, options.conversationId)
    this.#surroundings = {
      all: this.#conversations,
      runner: this,
      compact: (state, signal) => this.#compact(state, signal),
      scrubbed: (promise, signal) => this.#scrubbed(promise, signal),
    }
    this.#listeners = new Listeners(options.logger, () => this.#scrubber)
    for (const item of options.tools ?? []) {
      if (isToolSet(item)) this.#registry.registerToolset(item)
      else this.#registry.register(item)
    }
  }

  /**
   * The answer to `input`, in the agent's own conversation or another one.
   *
   * @throws ConfigurationError for wrong arguments. Whatever ends the run without an answer, such as `LLMError`,
   * `MaxIterationsError` or `RunAbortedError`; what was done until then is `resultOf(error)`.
   */
  async run(input: Content, options: RunOptions = {}): Promise<Answer> {
    const result = await this.runStream(input, options).result
    return unwrap(result, this.#onLimit(options))
  }

  /**
   * The same run, to be watched: iterate it for the events, read its `result`.
   *
   * @throws ConfigurationError for wrong arguments, AgentClosedError after `close()`.
   */
  runStream(input: Content, options: RunOptions = {}): RunStream<Answer> {
    checkOptions('run()', options, runChecks)
    if (options.history !== undefined && options.conversation !== undefined) {
      throw new ConfigurationError(
        'history',
        'run() option history is for runs without a conversation: give either history or conversation.',
      )
    }
    const message = { role: 'user' as const, content: parseContent(input, 'input') }
    return this.#stream({ input: message }, this.#conversationFor(options), options)
  }

  /**
   * Goes on with the last run of a conversation from wherever it stopped: after a crash, when it waits for decisions, or when
   * it ended without an answer. Tools that have finished are not run again. A run that is done gives its answer again.
   *
   * @throws What `run` throws, and ApprovalError for a decision that cannot be taken, NothingToResumeError, and ConflictError
   * when another process goes on with it.
   */
  async resume(conversationId: string, options: ResumeOptions = {}): Promise<Answer> {
    const result = await this.resumeStream(conversationId, options).result
    return unwrap(result, this.#onLimit(options))
  }

  /**
   * The same, to be watched. Its result is that of the whole run, also of what was done before.
   *
   * @throws ConfigurationError for wrong arguments, AgentClosedError after `close()`.
   */
  resumeStream(conversationId: string, options: ResumeOptions = {}): RunStream<Answer> {
    checkOptions('resume()', options, resumeChecks)
    // As they are now: what was approved is not changed by who still holds it.
    const decisions = jsonCopy(options.decisions ?? {})
    return this.#stream({ decisions }, this.#conversations.get(conversationId), options)
  }

  /**
   * Resumes every run that a crash left in the store, some at once; not those that this agent is doing. Gives what each came
   * to; none of them rejects.
   *
   * @throws ConfigurationError without a `store`; StoreError when it cannot be asked.
   */
  async recover(options: RecoverOptions = {}): Promise<RunResult<Answer>[]> {
    checkOptions('recover()', options, recoverChecks)
    const { store } = this.#options
    if (!store)
      throw new ConfigurationError(
        'store',
        'recover() needs the option store: without one, nothing outlives a crash.',
      )
    const { recoverRuns } = await import('./recover.ts')
    const recovered = recoverRuns(store, options, this.#runtime.now(), {
      isRunning: (id) => this.#conversations.get(id).isRunning,
      resume: (id, rest) => this.resumeStream(id, rest).result,
    })
    return this.#scrubbed(recovered)
  }

  /**
   * The run as a series of immutable states for a user interface. Ends with the last one; it then throws what `run` would.
   */
  runState(input: Content, options: RunOptions = {}): AsyncIterable<RunSnapshot> {
    return snapshotsOf(this.runStream(input, options), this.#onLimit(options))
  }

  /** The messages of the agent's own conversation. Changing the array changes nothing. */
  get history(): readonly Message[] {
    return this.#conversations.own.transcript.history()
  }

  /** The id of the agent's own conversation. */
  get conversationId(): string {
    return this.#conversations.own.id
  }

  /** Tokens of all runs, and their cost where it is known, since the agent was made or its usage was reset. */
  get usage(): Usage {
    return this.#usage
  }

  get status(): 'idle' | 'running' | 'closed' {
    if (this.#closing.signal.aborted) return 'closed'
    return this.#running.size > 0 ? 'running' : 'idle'
  }

  /**
   * Adds a message to the agent's own conversation, such as one said elsewhere.
   *
   * @throws ConfigurationError for a role or content that is none, and for a tool message without its call.
   */
  addMessage(message: Message): void
  addMessage(role: Message['role'], content: string): void
  addMessage(message: Message | Message['role'], content?: string): void {
    const parsed = parseMessage(typeof message === 'string' ? { role: message, content } : message, 'message')
    this.#conversations.own.add(this.#said([parsed]))
  }

  /** Begins a new conversation of the agent's own. Tools stay; usage is counted on unless it is reset too. */
  reset(options: { usage?: boolean } = {}): void {
    this.#conversations.forget(this.conversationId)
    if (options.usage) this.#usage = noUsage
  }

  /**
   * The conversation of that id, which begins with its first run if there is none.
   *
   * @throws ConfigurationError for an id that is none.
   */
  conversation(id: string): Conversation<Answer> {
    return new ConversationHandle(this.#conversations.get(id).id, this.#surroundings)
  }

  /** @throws ConfigurationError, InvalidToolSchemaError, DuplicateToolError */
  registerTool(tool: Tool, options?: { replace?: boolean }): void {
    this.#registry.register(tool, options)
  }

  /** @throws ToolNotFoundError */
  unregisterTool(name: string): void {
    this.#registry.unregister(name)
  }

  /** @throws ConfigurationError, DuplicateToolError */
  registerToolset(toolset: ToolSet): void {
    this.#registry.registerToolset(toolset)
  }

  unregisterToolset(name: string): void {
    this.#registry.unregisterToolset(name)
  }

  /** The names of all tools, in the order in which they were registered. */
  listTools(): string[] {
    return this.#registry.names()
  }

  listToolsets(): string[] {
    return this.#registry.listToolsets()
  }

  /** The agent's tools. Changes count from the next iteration on. */
  get tools(): ToolRegistry {
    return this.#registry
  }

  /** Calls `listener` for every event of that type, of all runs. A listener that throws harms nothing. Gives back how to stop. */
  on<Type extends AgentEvent['type']>(
    type: Type,
    listener: (event: Extract<AgentEvent, { type: Type }>) => void,
  ): () => void {
    return this.#listeners.on(type, listener)
  }

  /** What the agent is and has, for debugging: no secrets, no config. */
  inspect(): AgentSnapshot {
    const { provider, model, capabilities } = this.#client
    return this.#scrubber.value<AgentSnapshot>({
      name: this.name,
      provider,
      model,
      capabilities,
      tools: this.listTools(),
      toolsets: this.listToolsets(),
      status: this.status,
      conversationId: this.conversationId,
      historyLength: this.#conversations.own.transcript.history().length,
      usage: this.#usage,
      ...(this.#lastRequest && { lastRequest: this.#lastRequest }),
    })
  }

  /** Stops all runs, waits for them, and closes the client if it is the agent's own. Afterwards nothing can be run. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /**
   * The system prompt of a run. Override it to compose prompts in a subclass; default: the `instructions` option.
   */
  protected buildInstructions(context: InstructionsContext): string | Promise<string> {
    const { instructions = '' } = this.#options
    return typeof instructions === 'function' ? instructions(context) : instructions
  }

  #stream(work: RunOrder['work'], conversation: ConversationState, options: PartOptions): RunStream<Answer> {
    if (this.#closing.signal.aborted) throw new AgentClosedError()
    // As they are now, whenever the run begins.
    const asked = { ...options, ...(options.params && { params: { ...options.params } }) }
    return new RunStream<Answer>((queue, controller, inbox) => {
      // What may throw comes before the turn is taken.
      const runId = this.#runtime.id()
      const startedAt = this.#runtime.now()
      const entries = this.#registry.secrets()
      const secrets = new KnownSecrets(entries, this.#scrubbers.for(entries))
      const tell = (event: AgentEvent) => {
        queue.push(event)
        if ('usage' in event && event.type !== 'run_end') this.#count(event.usage)
        this.#listeners.tell(event)
      }
      return this.#inTurn(conversation, controller, asked.signal, (turn) => {
        const { context, principal } = asked
        const order: RunOrder = {
          runId,
          startedAt,
          work,
          conversation,
          turn,
          context,
          principal,
          secrets,
          controller,
          queue,
          inbox,
          tell,
        }
        // The answer is text, or what passed the schema that Answer was inferred from.
        return this.#engine.run(order, asked) as Promise<RunResult<Answer>>
      })
    })
  }

  /** Does something to a conversation in its turn, until `controller`, `signal` or `close()` stops it. */
  #inTurn<T>(
    conversation: ConversationState,
    controller: AbortController,
    signal: AbortSignal | undefined,
    work: (turn: Turn) => Promise<T>,
  ): Promise<T> {
    const unlink = follow(controller, signal, this.#closing.signal)
    const turn = conversation.enter(this.#options.concurrency ?? 'queue')
    const done = work(turn)
    this.#running.add(done)
    return done.finally(() => {
      unlink()
      this.#running.delete(done)
    })
  }

  async #compact(
    conversation: ConversationState,
    signal: AbortSignal | undefined,
  ): Promise<CompactionReport> {
    if (this.#closing.signal.aborted) throw new AgentClosedError()
    const { compactor } = this.#options
    if (!compactor) {
      throw new ConfigurationError('compactor', 'compact() needs the option compactor of the agent.')
    }
    // After the runs that were asked for before, which begin one turn later, too.
    await null
    const controller = new AbortController()
    return this.#inTurn(conversation, controller, signal, async (turn) => {
      try {
        const engine = await this.#engine.loaded(controller.signal)
        return await engine.compact(compactor, {
          conversation,
          turn,
          signal: controller.signal,
          scrubbed: (entry) => this.#scrubber.value(entry),
          onUsage: (usage) => this.#count(usage),
        })
      } finally {
        turn.leave()
      }
    })
  }

  #count(usage: Usage = noUsage): void {
    this.#usage = addUsage(this.#usage, usage)
  }

  async #close(): Promise<void> {
    this.#closing.abort(new AgentClosedError())
    // A run that was just being begun, by whoever calls this while it tells its first event, is known one turn later.
    await null
    await Promise.allSettled(this.#running)
    this.#listeners.clear()
    if (this.#options.ownsClient !== false) await this.#client.close?.()
  }

  #onLimit(run: PartOptions): OnLimit {
    return run.onLimit ?? this.#options.onLimit ?? 'throw'
  }

  #conversationFor({ history, conversation }: RunOptions): ConversationState {
    if (conversation !== undefined) return this.#conversations.get(conversation)
    if (history === undefined) return this.#conversations.own
    const state = new ConversationState(this.#runtime.id())
    state.add(this.#said(parseMessages(history)))
    return state
  }

  /** Messages that no run produced, free of secrets. */
  #said(messages: readonly Message[]): Entry[] {
    return this.#scrubber.value(messages.map((message) => ({ type: 'message', message })))
  }

  /** What a store throws may hold secrets; what a run fails with is scrubbed there. */
  async #scrubbed<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
    try {
      return await promise
    } catch (error) {
      throw signal?.aborted && error === signal.reason ? error : scrubbedError(error, this.#scrubber)
    }
  }

  get #scrubber(): Scrubber {
    return this.#scrubbers.for(this.#registry.secrets())
  }
}

async function* snapshotsOf(stream: RunStream<unknown>, onLimit: OnLimit): AsyncGenerator<RunSnapshot, void> {
  const { snapshots } = await import('./run-snapshot.ts')
  yield* snapshots(stream, onLimit)
}

export interface AgentSnapshot {
  readonly name: string
  readonly provider: string
  readonly model: string
  readonly capabilities: LLMClient['capabilities']
  readonly tools: readonly string[]
  readonly toolsets: readonly string[]
  readonly status: Agent['status']
  readonly conversationId: string
  readonly historyLength: number
  readonly usage: Usage
  readonly lastRequest?: LLMRequest
}
