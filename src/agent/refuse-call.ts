import type { ToolCall, ToolResult } from '../messages.ts'
import { type PlannedCall, repeatLevels } from '../transcript/next.ts'

/** Why a call is not executed, in words for the model. */
export interface Refusal {
  readonly code: string
  readonly message: string
}

export function notExecuted(call: ToolCall, { code, message }: Refusal): ToolResult {
  return {
    callId: call.id,
    toolName: call.toolName,
    ok: false,
    output: message,
    error: { code, message },
    durationMs: 0,
  }
}

/** Why a planned call is not executed, whatever anyone decided. */
export function refusalOf(
  { call, verdict }: PlannedCall,
  exclusive: ToolCall | undefined,
): Refusal | undefined {
  if (verdict === 'skip') {
    return { code: 'not_executed', message: 'Not executed: the run has used all its tool rounds.' }
  }
  if (verdict === 'block') {
    const message =
      `Not executed: "${call.toolName}" was called with these parameters ${repeatLevels.nudge} times and gave the same ` +
      'result each time. Use what you have, or try something else.'
    return { code: 'no_progress', message }
  }
  if (exclusive && exclusive.id !== call.id) {
    return {
      code: 'not_executed',
      message: `Not executed: "${exclusive.toolName}" runs alone. Call it again if you still need it.`,
    }
  }
  return undefined
}
