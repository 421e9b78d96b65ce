import { jsonCopy } from '../json.ts'
import type { ToolCall } from '../messages.ts'
import type { ApprovalRequestedEntry } from '../transcript/entry.ts'
import type { Run } from './run.ts'

/** Writes down that a call waits for somebody's decision, and tells so. */
export async function askApproval(run: Run, { id: callId, toolName, parameters }: ToolCall): Promise<void> {
  const { toolPolicy, runtime } = run.settings
  const timeoutMs = toolPolicy?.approvalTimeoutMs
  const entry: ApprovalRequestedEntry = {
    type: 'approval_requested',
    runId: run.runId,
    callId,
    toolName,
    // Some hook made them, and may still hold them.
    parameters: jsonCopy(parameters),
    ...(timeoutMs !== undefined && { expiresAt: runtime.now() + timeoutMs }),
  }
  await run.append(entry)
  tellRequest(run, callId)
}

/** Tells that the call waits, as it was written down: scrubbed. */
export function tellRequest(run: Run, callId: string): void {
  const request = run.fold?.requested?.get(callId)
  if (!request) return
  const { toolName, parameters, expiresAt } = request
  run.emit({
    type: 'approval_required',
    runId: run.runId,
    stepId: run.stepId,
    callId,
    toolName,
    parameters,
    ...(expiresAt !== undefined && { expiresAt }),
  })
}
