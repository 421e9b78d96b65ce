import type { JsonObject } from '../json.ts'
import type { ToolOutput } from '../tools/tool.ts'

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
