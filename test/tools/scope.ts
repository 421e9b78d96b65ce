import type { JsonValue } from '../../src/json.ts'
import type { ToolCall } from '../../src/messages.ts'
import { type VirtualClock, virtualClock } from '../../src/testing/clock.ts'
import type { ExecutionScope } from '../../src/tools/execute.ts'
import { KnownSecrets } from '../../src/tools/known-secrets.ts'

/** A scope that writes down what it hears. */
export interface HeardScope extends ExecutionScope {
  readonly clock: VirtualClock
  readonly heard: { progress: JsonValue[]; diagnostics: [code: string, message: string][] }
  readonly controller: AbortController
  readonly secrets: KnownSecrets
}

export function scope(parts: Partial<ExecutionScope> = {}): HeardScope {
  const clock = virtualClock()
  const controller = new AbortController()
  const heard: HeardScope['heard'] = { progress: [], diagnostics: [] }
  return {
    clock,
    controller,
    heard,
    runtime: clock.runtime,
    signal: controller.signal,
    runId: 'run-1',
    conversationId: 'conversation-1',
    context: undefined,
    idempotencyKey: 'run-1:call-1',
    maxOutput: 50_000,
    graceMs: 50,
    allowDynamicTools: false,
    onProgress: (update) => heard.progress.push(update),
    onDiagnostic: (code, message) => heard.diagnostics.push([code, message]),
    ...parts,
    secrets: new KnownSecrets(),
  }
}

export const call = (toolName: string, parameters: ToolCall['parameters'] = {}): ToolCall => ({
  id: 'call-1',
  toolName,
  parameters,
})
