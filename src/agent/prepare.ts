import type { LLMClient } from '../client/client.ts'
import type { CompiledSchema } from '../tools/schema.ts'

export interface Needs {
  readonly client: LLMClient
  readonly protocol: 'auto' | 'native' | 'json'
  readonly output: CompiledSchema | undefined
  readonly hasJsonSchemas: boolean
}

/**
 * Loads the modules that only some agents need, before a run's time begins to count: a run never waits for a file in the
 * middle, and an agent without tools in JSON Schema, say, never loads their validator.
 */
export async function prepare({ client, protocol, output, hasJsonSchemas }: Needs): Promise<void> {
  const speaksJson = protocol === 'json' || (protocol === 'auto' && !client.capabilities.tools)
  await Promise.all([
    speaksJson && import('../protocol/json.ts'),
    output && import('./answer.ts'),
    output && import('../protocol/partial-output.ts'),
    hasJsonSchemas && import('../tools/json-validator.ts'),
  ])
}
