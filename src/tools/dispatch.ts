import { isJsonObject } from '../json.ts'
import type { ToolCall, ToolResult } from '../messages.ts'
import { systemRuntime } from '../runtime.ts'
import type { SecretEntry } from '../secret.ts'
import { type ExecutionScope, executeToolCall, type ToolSource } from './execute.ts'
import { KnownSecrets } from './known-secrets.ts'

/** A call as it is made by hand. */
export interface MadeCall {
  /** Default: a new one. */
  readonly id?: string
  readonly toolName: string
  readonly parameters: unknown
}

/** Runs one call outside of any agent, in a scope of which everything may be left out. */
export async function dispatchCall(
  call: MadeCall,
  source: ToolSource,
  secrets: readonly SecretEntry[],
  scope: Partial<ExecutionScope>,
): Promise<ToolResult> {
  const runtime = scope.runtime ?? systemRuntime
  const id = call.id ?? runtime.id()
  const runId = scope.runId ?? runtime.id()
  const { result } = await executeToolCall(wholeCall(id, call), source, {
    runtime,
    runId,
    conversationId: runId,
    context: undefined,
    signal: new AbortController().signal,
    idempotencyKey: `${runId}:${id}`,
    maxOutput: 50_000,
    graceMs: 50,
    allowDynamicTools: false,
    secrets: new KnownSecrets(secrets),
    onProgress: () => {},
    onDiagnostic: () => {},
    ...scope,
  })
  return result
}

function wholeCall(id: string, { toolName, parameters }: MadeCall): ToolCall {
  if (isJsonObject(parameters)) return { id, toolName, parameters }
  return { id, toolName, parameters: {}, invalid: 'the parameters are no object' }
}
