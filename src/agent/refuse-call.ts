import type { ToolCall, ToolResult } from '../messages.ts'

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
