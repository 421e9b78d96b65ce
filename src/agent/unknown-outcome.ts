import { messageOf } from '../errors.ts'
import type { JsonObject } from '../json.ts'
import type { ToolCall, ToolResult } from '../messages.ts'
import { settledResult } from '../tools/execute.ts'
import { isToolOutput, type ToolOutput } from '../tools/tool.ts'
import { notExecuted } from './refuse-call.ts'
import type { Run } from './run.ts'

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

/** What a call came to that was begun in another process; `undefined` if its tool may run again. */
export async function settleUnknown(
  run: Run,
  call: ToolCall,
  idempotencyKey: string,
): Promise<ToolResult | undefined> {
  const { registry, onUnknownOutcome, maxToolOutput } = run.settings
  const tool = registry.get(call.toolName)
  if (tool?.effect === 'read' || tool?.effect === 'idempotent') return undefined
  const { id: callId, toolName, parameters } = call
  const { runId, context, signal } = run
  const conversationId = run.conversation.id
  const outcome = { callId, toolName, parameters, idempotencyKey, runId, conversationId, context, signal }
  try {
    const settled: unknown = await run.wait(onUnknownOutcome?.(outcome))
    if (settled === 'execute') return undefined
    if (isToolOutput(settled)) {
      return settledResult(call, tool, settled, {
        secrets: run.secrets,
        maxOutput: maxToolOutput,
        onDiagnostic: (code, message) => run.diagnose(code, message),
      })
    }
  } catch (error) {
    run.signal.throwIfAborted()
    run.diagnose('hook_failed', `onUnknownOutcome threw: ${messageOf(error)}`)
  }
  return notExecuted(call, {
    code: 'outcome_unknown',
    message: 'Outcome unknown: the call was started and interrupted. Find out before you repeat it.',
  })
}
