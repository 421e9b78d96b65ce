import { isClient, type LLMClient, type ModelParams, modelParamsCheck } from '../client/client.ts'
import type { ProviderRegistry } from '../client/provider-registry.ts'
import { policyCheck, type ToolPolicy } from '../guard/policy.ts'
import type { JsonObject } from '../json.ts'
import type { AgentBlocks, AgentMemory, Compactor, TokenCounter } from '../memory/memory.ts'
import {
  type Check,
  type Checks,
  either,
  filledText,
  flag,
  fn,
  integer,
  joined,
  list,
  number,
  object,
  oneOf,
  optional,
  positiveMs,
  text,
  that,
} from '../options.ts'
import type { Budget } from '../resilience/budget-options.ts'
import { type RetryOptions, retryChecks } from '../resilience/retry-options.ts'
import { type Runtime, runtimeCheck } from '../runtime.ts'
import { isSchema } from '../tools/schema.ts'
import type { Schema, Tool, ToolOutput } from '../tools/tool.ts'
import type { ToolSet } from '../tools/toolset.ts'
import type { ConversationStore } from '../transcript/store.ts'
import { type Decisions, decisionsCheck } from './decisions.ts'
import type { Hooks } from './hooks.ts'
import type { Logger } from './logger.ts'

/** What an agent is. Only `client` is required. */
export interface AgentOptions<Answer = string> extends RunLimits {
  /** The model: a client, or `'provider/model'` to be found in `providers`. */
  client: LLMClient | string
  /** Where a `client` that is text is looked up. */
  providers?: ProviderRegistry
  /** Whether `close()` closes the client, too. Say `false` for one that others go on using. Default true. */
  ownsClient?: boolean
  /** Default `'agent'`. */
  name?: string
  description?: string
  /** The system prompt: text, or a function of the run that gives it. A prompt that changes costs the provider's cache. */
  instructions?: string | ((context: InstructionsContext) => string | Promise<string>)
  tools?: readonly (Tool | ToolSet)[]
  /** The schema of the answer. `run` then gives the validated value instead of text. */
  output?: Schema<Answer>
  /** What of the conversation is sent. Default: `SimpleAgentMemory`, to the context window or 8,000 tokens; `null`: all. */
  memory?: AgentMemory | null
  /**
   * Summarises older messages before a model call that would cross `contextBudget`, such as `compactor({ client })`. Default:
   * none; the memory leaves out what is too much.
   */
  compactor?: Compactor
  /** The part of the context window from which on messages are compacted: more than 0, at most 1. Default 0.8. */
  contextBudget?: number
  /**
   * `MemoryBlocks` that every request carries: `core` ones in the system prompt, `working` ones before the messages. The
   * model changes them through `memoryTools(blocks)`. Default: none.
   */
  blocks?: AgentBlocks
  /** Keeps conversations. Default: in memory, gone with the agent. */
  store?: ConversationStore
  /**
   * When entries become durable. `step`: each before the effect that follows it and before the event that tells it, so that
   * a run survives the process. `run`: all at the end of the run, or when it waits; a crash loses the run. Default `'step'`.
   */
  durability?: 'step' | 'run'
  /** The id of the agent's own conversation, such as one that is in the store. Default: a new one. */
  conversationId?: string
  /** Which tool calls are executed, refused, or wait for somebody's approval. Default: all are executed. */
  policy?: ToolPolicy
  /**
   * Settles a call of a `once` tool that was begun when its process died. Default: the model is told that its outcome is
   * unknown.
   */
  onUnknownOutcome?: UnknownOutcomeHandler
  /** How tools are spoken of. Default `'auto'`: the provider's tool calling where the client has it, JSON otherwise. */
  protocol?: 'auto' | 'native' | 'json'
  /** Whether the model may, must (in its first reply) or cannot declare a plan. Default `'auto'`: it may. */
  planning?: 'auto' | 'required' | 'off'
  /** How often a failed model call is tried again; `false` for never. Default: 3 attempts. Tools are never retried by this. */
  retry?: RetryOptions | false
  /**
   * What may be spent, such as `budget({ usd: 1, per: 'run' })`. At a limit the run ends with the status `limit`; with
   * `onLimit: 'land'` it lands before. Shared by all agents and clients that are given the same value. Default: no limit.
   */
  budget?: Budget
  /** Told to the model for each set of tools. Default true. */
  describeToolsets?: boolean
  /** Tools of one reply that run at once. Default 4. */
  toolConcurrency?: number
  /** Code points of a tool's output that the model is shown. Default 50,000. */
  maxToolOutput?: number
  /** Steps in a row in which every tool fails in the same way, before the run fails. Default 3. */
  maxConsecutiveToolErrors?: number
  /** How often in a row a reply that cannot be read is sent back to be repaired. Default 1. */
  repairAttempts?: number
  /** The same for an answer that does not fit `output`. Default 2. */
  outputRepairAttempts?: number
  /** Milliseconds that a stopped run waits for a tool to stop, or for its store, before it leaves them behind. Default 50. */
  graceMs?: number
  /** Tools get `context.registry` and may register others. Default false. */
  allowDynamicTools?: boolean
  /** Tokens of a request and its answer. Default: what the client says. */
  contextWindow?: number
  /** Tokens of one answer. Default: the provider's. */
  maxOutputTokens?: number
  /** Default: one token for every four code points. */
  countTokens?: TokenCounter
  /** Sampling settings of every model call. */
  params?: ModelParams
  /** Whether text is told as it arrives; where the client cannot stream, in one piece. Default true. */
  stream?: boolean
  /** What happens to a run on a conversation that is running. Default `'queue'`: it waits its turn. */
  concurrency?: 'queue' | 'reject'
  hooks?: Hooks | readonly Hooks[]
  logger?: Logger
  /** Clock, randomness, ids and network. Default: the real ones. */
  runtime?: Partial<Runtime>
}

export interface RunLimits {
  /** Model calls of one run. Default 10. */
  maxIterations?: number
  /** Rounds of tool calls of one run. Default: as many as iterations. */
  maxToolRounds?: number
  /** Milliseconds of one run. Default 300,000. */
  timeoutMs?: number
  /**
   * At a limit: `throw` an error; `land` with one last model call, without tools, that answers with what there is; or
   * `stop` and give what was said last. Default `'throw'`. With `land`, the last fifth of the time is kept for landing;
   * a run that takes longer than `timeoutMs` all the same is stopped.
   */
  onLimit?: 'throw' | 'land' | 'stop'
}

/** What a run, or a part of one, may have of its own. Limits and `params` stand in for the agent's. */
export interface PartOptions extends RunLimits {
  /** Stops the run when it aborts; its reason is kept. */
  signal?: AbortSignal
  /** Given to tools, hooks, config functions and instructions as it is; never sent or stored. */
  context?: unknown
  /** On whose behalf the run is made, such as a customer's id: what limits and budgets per principal are kept by. */
  principal?: string
  params?: ModelParams
  stream?: boolean
}

export interface RunOptions extends PartOptions {
  /** Goes on with this conversation instead of the agent's own. */
  conversation?: string
  /** Runs on these messages alone, and keeps nothing. */
  history?: readonly unknown[]
}

export interface ResumeOptions extends PartOptions {
  /** What was decided about calls that wait, by their ids: `approve()`, `deny(reason)` or `edit(parameters)`. Those left out go on waiting. */
  decisions?: Decisions
}

export interface InstructionsContext {
  readonly runId: string
  readonly conversationId: string
  readonly context: unknown
}

/** A call that was begun before the process died, whose tool must not simply run again. */
export interface UnknownOutcome {
  readonly callId: string
  readonly toolName: string
  readonly parameters: JsonObject
  /** What the tool was given, and may have passed on to a service that now knows more. */
  readonly idempotencyKey: string
  readonly runId: string
  readonly conversationId: string
  /** The `context` of the run's options. */
  readonly context: unknown
  readonly signal: AbortSignal
}

/**
 * Settles what nobody knows: a `toolResult` or `toolError` becomes the call's result, `'execute'` runs the tool again with
 * the same key, and nothing leaves it unknown, which the model is then told.
 */
export type UnknownOutcomeHandler = (
  outcome: UnknownOutcome,
) => ToolOutput | 'execute' | undefined | void | Promise<ToolOutput | 'execute' | undefined | void>

/** For work that takes many steps: 50 model calls within five minutes. `new Agent({ ...autonomous, client })`. */
export const autonomous = { maxIterations: 50, timeoutMs: 300_000 } as const satisfies RunLimits

/* @__NO_SIDE_EFFECTS__ */
function withMethods(wanted: string, ...names: readonly string[]): Check {
  return that(wanted, (value) => {
    if (typeof value !== 'object' || value === null) return false
    return names.every((name) => typeof Reflect.get(value, name) === 'function')
  })
}

/** `check`, or this one value; what `check` finds wrong is told as it is. */
/* @__NO_SIDE_EFFECTS__ */
function orElse(value: unknown, check: Check): Check {
  return {
    wanted: `${String(value)}, or ${check.wanted}`,
    find: (given, path) => (given === value ? undefined : check.find(given, path)),
  }
}

const client = that(
  'an LLMClient with provider, model, capabilities and call(), or "provider/model"',
  (value) => (typeof value === 'string' ? value.includes('/') : isClient(value)),
)

const budget = that(
  "a budget(), such as budget({ usd: 1, per: 'run' })",
  (value) => typeof value === 'function' && 'takeToolCall' in value && 'timeUp' in value,
)

const schema = that('a Standard Schema (such as zod) or a JSON Schema object', isSchema)

const toolOrSet = that('a Tool or a ToolSet', (value) => {
  if (typeof value !== 'object' || value === null) return false
  return 'execute' in value || 'tools' in value
})

const hooks = object({
  strict: optional(flag()),
  beforeModel: optional(fn()),
  afterModel: optional(fn()),
  beforeTool: optional(fn()),
  afterTool: optional(fn()),
  onMessage: optional(fn()),
})

const limitChecks: Checks = {
  maxIterations: optional(integer(1, 1000)),
  maxToolRounds: optional(integer(0, 1000)),
  timeoutMs: optional(positiveMs()),
  onLimit: optional(oneOf('throw', 'land', 'stop')),
}

export const agentChecks: Checks = joined(limitChecks, {
  client,
  providers: optional(withMethods('a ProviderRegistry', 'resolve')),
  ownsClient: optional(flag()),
  name: optional(filledText()),
  description: optional(text()),
  instructions: optional(either(text(), fn())),
  tools: optional(list(toolOrSet)),
  output: optional(schema),
  memory: optional(either(oneOf(null), withMethods('an object with manageHistory()', 'manageHistory'))),
  compactor: optional(withMethods('a Compactor, such as compactor({ client })', 'compact')),
  contextBudget: optional(
    that('a number above 0 and up to 1', (value) => typeof value === 'number' && value > 0 && value <= 1),
  ),
  blocks: optional(withMethods('MemoryBlocks', 'load', 'buildSystemPrompt', 'buildMessages')),
  store: optional(withMethods('a ConversationStore', 'init', 'append', 'read', 'list', 'delete', 'close')),
  durability: optional(oneOf('step', 'run')),
  conversationId: optional(filledText()),
  policy: optional(policyCheck),
  onUnknownOutcome: optional(fn()),
  protocol: optional(oneOf('auto', 'native', 'json')),
  planning: optional(oneOf('auto', 'required', 'off')),
  retry: optional(orElse(false, object(retryChecks))),
  budget: optional(budget),
  describeToolsets: optional(flag()),
  toolConcurrency: optional(integer(1, 1000)),
  maxToolOutput: optional(integer(1)),
  maxConsecutiveToolErrors: optional(integer(1, 1000)),
  repairAttempts: optional(integer(0, 100)),
  outputRepairAttempts: optional(integer(0, 100)),
  graceMs: optional(number(0, 60_000)),
  allowDynamicTools: optional(flag()),
  contextWindow: optional(integer(1)),
  maxOutputTokens: optional(integer(1)),
  countTokens: optional(fn()),
  params: optional(modelParamsCheck()),
  stream: optional(flag()),
  concurrency: optional(oneOf('queue', 'reject')),
  hooks: optional(either(hooks, list(hooks))),
  logger: optional(
    withMethods('a Logger with debug, info, warn and error', 'debug', 'info', 'warn', 'error'),
  ),
  runtime: optional(runtimeCheck),
})

export const partChecks: Checks = joined(limitChecks, {
  signal: optional(withMethods('an AbortSignal', 'addEventListener', 'removeEventListener')),
  context: optional(that('anything', () => true)),
  principal: optional(filledText()),
  params: optional(modelParamsCheck()),
  stream: optional(flag()),
})

export const runChecks: Checks = joined(partChecks, {
  conversation: optional(filledText()),
  history: optional(that('an array of messages', Array.isArray)),
})

export const resumeChecks: Checks = joined(partChecks, { decisions: optional(decisionsCheck) })

export const recoverChecks: Checks = joined(partChecks, {
  concurrency: optional(integer(1, 1000)),
  idleMs: optional(number(0)),
})
