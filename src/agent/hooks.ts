import type { LLMRequest, LLMResponse } from '../client/client.ts'
import { messageOf, UnexpectedError } from '../errors.ts'
import type { Message, ToolCall, ToolResult } from '../messages.ts'

/**
 * Functions around the stages of an iteration, called in the order given, each with what the one before it made. What a
 * hook gives back replaces what it was given; `undefined` leaves it as it is. A hook that throws is reported as a
 * `diagnostic` and passed over, unless it is `strict`: then the run fails.
 */
export interface Hooks {
  /** An error in one of these hooks ends the run. Default false. */
  readonly strict?: boolean
  beforeModel?(request: LLMRequest, info: HookInfo): Awaitable<LLMRequest | undefined | void>
  afterModel?(response: LLMResponse, info: HookInfo): Awaitable<LLMResponse | undefined | void>
  /** May change the parameters; they are validated afterwards. */
  beforeTool?(call: ToolCall, info: HookInfo): Awaitable<ToolCall | undefined | void>
  afterTool?(result: ToolResult, info: HookInfo): Awaitable<ToolResult | undefined | void>
  /** Each message that joins the history: what the user said, replies, results. */
  onMessage?(message: Message, info: HookInfo): Awaitable<void>
}

export interface HookInfo {
  readonly runId: string
  readonly conversationId: string
  readonly context: unknown
  readonly signal: AbortSignal
}

type Awaitable<T> = T | Promise<T>

type Stage = 'beforeModel' | 'afterModel' | 'beforeTool' | 'afterTool' | 'onMessage'

/**
 * Passes `value` through the `stage` of all hooks.
 *
 * @throws UnexpectedError when a strict hook throws.
 */
export async function applyHooks<T>(
  hooks: readonly Hooks[],
  stage: Stage,
  value: T,
  info: HookInfo,
  report: (message: string) => void,
): Promise<T> {
  let current = value
  for (const hook of hooks) {
    // Nobody waits any more for what a stopped run's hooks make.
    if (!hook[stage] || info.signal.aborted) continue
    try {
      // The stage decides the type of the value; what comes back is of the same kind or nothing.
      const apply = hook[stage] as (this: Hooks, value: T, info: HookInfo) => Awaitable<T | undefined>
      const changed = await apply.call(hook, current, info)
      if (changed !== undefined && changed !== null) current = changed
    } catch (error) {
      const message = `The hook ${stage} threw: ${messageOf(error)}`
      if (hook.strict) throw new UnexpectedError(message, { cause: error })
      report(message)
    }
  }
  return current
}
