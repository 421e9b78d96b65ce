import { EventEmitter } from 'eventemitter3'
import { type LLMClient, type LLMRequest, wrapClient } from '../client/client.ts'
import { AgentClosedError, ConfigurationError, messageOf } from '../errors.ts'
import type { AgentEvent, RunResult } from '../events.ts'
import { SimpleAgentMemory } from '../memory/simple.ts'
import { TokenCounts } from '../memory/tokens.ts'
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
import { retry } from '../resilience/retry.ts'
import { createRuntime, type Runtime } from '../runtime.ts'
import { ToolRegistry } from '../tools/registry.ts'
import { CompiledSchema, isStandardSchema } from '../tools/schema.ts'
import type { Tool } from '../tools/tool.ts'
import { isToolSet, type ToolSet } from '../tools/toolset.ts'
import type { Entry } from '../transcript/entry.ts'
import type { Conversation } from './conversation.ts'
import { ConversationState } from './conversation-state.ts'
import { logEvent } from './logger.ts'
import {
  type AgentOptions,
  agentChecks,
  type InstructionsContext,
  type RunOptions,
  runChecks,
} from './options.ts'
import { performRun } from './perform-run.ts'
import { prepare } from './prepare.ts'
import { unwrap } from './result.ts'
import { type RunSnapshot, snapshots } from './run-snapshot.ts'
import { RunStream } from './run-stream.ts'
import { RunSecrets, ScrubberCache } from './secrets.ts'
import type { RunSettings } from './settings.ts'

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
  readonly #counts: TokenCounts
  readonly #output: CompiledSchema | undefined
  readonly #emitter = new EventEmitter<Record<AgentEvent['type'], [AgentEvent]>>()
  readonly #conversations = new Map<string, ConversationState>()
  readonly #closing = new AbortController()
  readonly #running = new Set<Promise<unknown>>()
  readonly #scrubbers = new ScrubberCache()
  #own: ConversationState
  #usage: Usage = noUsage
  #lastRequest: LLMRequest | undefined

  /** @throws ConfigurationError naming the option that is wrong. */
  constructor(options: AgentOptions<Answer>) {
    checkOptions('Agent', options, agentChecks)
    this.#options = { ...options }
    this.name = options.name ?? 'agent'
    this.description = options.description ?? ''
    this.#runtime = createRuntime(options.runtime)
    const client = clientOf(options)
    this.#client =
      options.retry === false
        ? client
        : wrapClient(client, retry({ runtime: this.#runtime, ...options.retry }))
    this.#counts = new TokenCounts(options.countTokens)
    this.#output = options.output && new CompiledSchema(options.output)
    for (const item of options.tools ?? []) {
      if (isToolSet(item)) this.#registry.registerToolset(item)
      else this.#registry.register(item)
    }
    this.#own = this.#newConversation()
  }

  /**
   * The answer to `input`, in the agent's own conversation or another one.
   *
   * @throws ConfigurationError for wrong arguments. Whatever ends the run without an answer, such as `LLMError`,
   * `MaxIterationsError` or `RunAbortedError`; what was done until then is `resultOf(error)`.
   */
  async run(input: Content, options: RunOptions = {}): Promise<Answer> {
    const result = await this.runStream(input, options).result
    return unwrap(result, options.onLimit ?? this.#options.onLimit ?? 'throw')
  }

  /**
   * The same run, to be watched: iterate it for the events, read its `result`.
   *
   * @throws ConfigurationError for wrong arguments, AgentClosedError after `close()`.
   */
  runStream(input: Content, options: RunOptions = {}): RunStream<Answer> {
    checkOptions('run()', options, runChecks)
    if (this.#closing.signal.aborted) throw new AgentClosedError()
    if (options.history !== undefined && options.conversation !== undefined) {
      throw new ConfigurationError(
        'history',
        'run() option history is for runs without a conversation: give either history or conversation.',
      )
    }
    const message = { role: 'user' as const, content: parseContent(input, 'input') }
    const conversation = this.#conversationFor(options)
    const settings = this.#settings(options)
    return new RunStream<Answer>((queue, signal) => {
      const entries = this.#registry.secrets()
      const secrets = new RunSecrets(this.#scrubbers.for(entries), entries)
      const run = performRun({
        runId: this.#runtime.id(),
        input: message,
        conversation,
        concurrency: this.#options.concurrency ?? 'queue',
        settings,
        context: options.context,
        secrets,
        signals: [signal, options.signal, this.#closing.signal],
        queue,
        listen: (event) => this.#listen(event),
      })
      this.#running.add(run)
      return run.then((result) => {
        this.#running.delete(run)
        this.#usage = addUsage(this.#usage, result.usage)
        // The answer is text, or what passed the schema that Answer was inferred from.
        return result as RunResult<unknown> as RunResult<Answer>
      })
    })
  }

  /**
   * The run as a series of immutable states for a user interface. Ends with the last one; after a failure it then throws
   * the error.
   */
  runState(input: Content, options: RunOptions = {}): AsyncIterable<RunSnapshot> {
    return snapshots(this.runStream(input, options))
  }

  /** The messages of the agent's own conversation. Changing the array changes nothing. */
  get history(): readonly Message[] {
    return this.#own.transcript.history()
  }

  /** The id of the agent's own conversation. */
  get conversationId(): string {
    return this.#own.id
  }

  /** Tokens of all runs since the agent was made or its usage was reset. */
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
    this.#own.add(
      this.#scrubbers.for(this.#registry.secrets()).value<Entry>({ type: 'message', message: parsed }),
    )
  }

  /** Begins a new conversation of the agent's own. Tools stay; usage is counted on unless it is reset too. */
  reset(options: { usage?: boolean } = {}): void {
    this.#conversations.delete(this.#own.id)
    this.#own = this.#newConversation()
    if (options.usage) this.#usage = noUsage
  }

  /** The conversation of that id, which begins with its first run if there is none. */
  conversation(id: string): Conversation<Answer> {
    return this.#handle(this.#state(id))
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
    const guarded = (event: AgentEvent): void => {
      try {
        // Emitted under its own type only.
        const returned: unknown = listener(event as Extract<AgentEvent, { type: Type }>)
        if (returned instanceof Promise) returned.catch((error) => this.#report(event, error))
      } catch (error) {
        this.#report(event, error)
      }
    }
    this.#emitter.on(type, guarded)
    return () => this.#emitter.off(type, guarded)
  }

  /** What the agent is and has, for debugging: no secrets, no config. */
  inspect(): AgentSnapshot {
    const { provider, model, capabilities } = this.#client
    return this.#scrubbers.for(this.#registry.secrets()).value<AgentSnapshot>({
      name: this.name,
      provider,
      model,
      capabilities,
      tools: this.listTools(),
      toolsets: this.listToolsets(),
      status: this.status,
      conversationId: this.#own.id,
      historyLength: this.#own.transcript.history().length,
      usage: this.#usage,
      ...(this.#lastRequest && { lastRequest: this.#lastRequest }),
    })
  }

  /** Stops all runs, waits for them, and closes the client. Afterwards nothing can be run. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort(new AgentClosedError())
    // A run that was just being begun, by whoever calls this while it tells its first event, is known one turn later.
    await null
    await Promise.all(this.#running)
    this.#emitter.removeAllListeners()
    await this.#client.close?.()
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

  #settings(run: RunOptions): RunSettings {
    const options = this.#options
    const maxToolRounds = run.maxToolRounds ?? options.maxToolRounds
    const params = {
      ...(options.maxOutputTokens !== undefined && { maxOutputTokens: options.maxOutputTokens }),
      ...options.params,
      ...run.params,
    }
    return {
      client: this.#client,
      registry: this.#registry,
      runtime: this.#runtime,
      instructions: (context) => this.buildInstructions(context),
      memory: options.memory === undefined ? new SimpleAgentMemory() : options.memory,
      counts: this.#counts,
      protocol: options.protocol ?? 'auto',
      planning: options.planning ?? 'auto',
      stream: run.stream ?? options.stream ?? true,
      describeToolsets: options.describeToolsets ?? true,
      ...(this.#output && { output: this.#output }),
      ...(Object.keys(params).length > 0 && { params }),
      ...(options.contextWindow !== undefined && { contextWindow: options.contextWindow }),
      ...(options.maxOutputTokens !== undefined && { maxOutputTokens: options.maxOutputTokens }),
      policy: {
        maxIterations: run.maxIterations ?? options.maxIterations ?? 10,
        ...(maxToolRounds !== undefined && { maxToolRounds }),
        maxConsecutiveToolErrors: options.maxConsecutiveToolErrors ?? 3,
        repairAttempts: options.repairAttempts ?? 1,
        outputRepairAttempts: options.outputRepairAttempts ?? 2,
        onLimit: run.onLimit ?? options.onLimit ?? 'throw',
      },
      timeoutMs: run.timeoutMs ?? options.timeoutMs ?? 300_000,
      toolConcurrency: options.toolConcurrency ?? 4,
      maxToolOutput: options.maxToolOutput ?? 50_000,
      graceMs: options.graceMs ?? 50,
      allowDynamicTools: options.allowDynamicTools ?? false,
      hooks: [options.hooks ?? []].flat(),
      prepare: () =>
        prepare({
          client: this.#client,
          protocol: options.protocol ?? 'auto',
          output: this.#output,
          hasJsonSchemas: [
            this.#output?.source,
            ...this.#registry.list().map(({ parameters }) => parameters),
          ].some((schema) => schema !== undefined && !isStandardSchema(schema)),
        }),
      onRequest: (request) => {
        this.#lastRequest = request
      },
    }
  }

  #conversationFor({ history, conversation }: RunOptions): ConversationState {
    if (history === undefined) return conversation === undefined ? this.#own : this.#state(conversation)
    const state = new ConversationState(this.#runtime.id())
    for (const message of parseMessages(history)) state.add({ type: 'message', message })
    return state
  }

  #newConversation(): ConversationState {
    return this.#state(this.#runtime.id())
  }

  #state(id: string): ConversationState {
    if (typeof id !== 'string' || id.trim() === '') {
      throw new ConfigurationError('conversation', 'A conversation id must be a string that is not empty.', {
        value: id,
      })
    }
    const known = this.#conversations.get(id)
    if (known) return known
    const state = new ConversationState(id, this.#options.store)
    this.#conversations.set(id, state)
    return state
  }

  #handle(state: ConversationState): Conversation<Answer> {
    const { id } = state
    return {
      id,
      get history() {
        return state.transcript.history()
      },
      get usage() {
        return state.transcript.usage
      },
      run: (input, options) => this.run(input, { ...options, conversation: id }),
      runStream: (input, options) => this.runStream(input, { ...options, conversation: id }),
      entries: async () => {
        await state.load()
        return state.transcript.entries.slice()
      },
      fork: async (at) => {
        await state.load()
        const fork = this.#newConversation()
        fork.add(...state.transcript.entries.slice(0, at))
        await fork.save()
        return this.#handle(fork)
      },
      delete: async () => {
        this.#conversations.delete(id)
        if (state === this.#own) this.#own = this.#newConversation()
        await this.#options.store?.init()
        await this.#options.store?.delete(id)
      },
    }
  }

  #listen(event: AgentEvent): void {
    const { logger } = this.#options
    if (logger) guard(() => logEvent(logger, event))
    if (this.#emitter.listenerCount(event.type) > 0) this.#emitter.emit(event.type, event)
  }

  /** A listener's failure is told to the other listeners and the log; it is no event of the run. */
  #report({ runId, type }: AgentEvent, error: unknown): void {
    if (type === 'diagnostic') return
    const message = `A listener of ${type} threw: ${messageOf(error)}`
    this.#listen({ type: 'diagnostic', runId, code: 'listener_failed', message })
  }
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

function clientOf({ client, providers }: Pick<AgentOptions, 'client' | 'providers'>): LLMClient {
  if (typeof client !== 'string') return client
  if (providers) return providers.resolve(client)
  throw new ConfigurationError(
    'providers',
    `Agent option client is "${client}", but there are no providers to look it up in. ` +
      'Pass providers: a ProviderRegistry, or a client object.',
    { value: client },
  )
}

/** What watches must not harm what is watched. */
function guard(action: () => void): void {
  try {
    action()
  } catch {
    // Nobody is left to be told.
  }
}
