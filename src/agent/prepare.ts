import { isStandardSchema } from '../tools/schema.ts'
import type { RunSettings } from './settings.ts'

/**
 * Loads the modules that only some agents need, before a run's time begins to count: a run never waits for a file in the
 * middle, and an agent without tools in JSON Schema, say, never loads their validator. Nothing to wait for otherwise.
 */
export function prepare({
  client,
  protocol,
  output,
  registry,
  compactor,
}: RunSettings): Promise<unknown> | undefined {
  const speaksJson = protocol === 'json' || (protocol === 'auto' && !client.capabilities.tools)
  const schemas = registry.list().map(({ parameters }) => parameters)
  if (output) schemas.push(output.source)
  const hasJsonSchemas = schemas.some((schema) => schema !== undefined && !isStandardSchema(schema))
  if (!speaksJson && !output && !hasJsonSchemas && !compactor) return undefined
  return Promise.all([
    speaksJson && import('../protocol/json.ts'),
    output && import('./answer.ts'),
    output && import('../protocol/partial-output.ts'),
    hasJsonSchemas && import('../tools/json-validator.ts'),
    compactor && import('./compact.ts'),
  ])
}
