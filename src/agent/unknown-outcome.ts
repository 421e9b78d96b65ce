import { messageOf } from '../errors.ts'
import type { ToolCall, ToolResult } from '../messages.ts'
import { settledResult } from '../tools/execute.ts'
import { isToolOutput } from '../tools/tool.ts'
import { notExecuted } from './refuse-call.ts'
import type { Run } from './run.ts'

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
