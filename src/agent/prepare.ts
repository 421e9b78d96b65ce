import { isStandardSchema } from '../tools/schema.ts'
import type { RunSettings } from './settings.ts'

/**
 * Loads the modules that only some agents need, before a run's time begins to count: an agent without tools in JSON Schema,
 * say, never loads their validator. Nothing to wait for otherwise. What no option foretells, such as a second attempt, is
 * loaded in the middle of the first run that needs it.
 */
export function prepare(
  { client, protocol, output, registry, compactor, toolPolicy }: RunSettings,
  isResumed: boolean,
): Promise<unknown> | undefined {
  const speaksJson = protocol === 'json' || (protocol === 'auto' && !client.capabilities.tools)
  const schemas = registry.list().map(({ parameters }) => parameters)
  if (output) schemas.push(output.source)
  const hasJsonSchemas = schemas.some((schema) => schema !== undefined && !isStandardSchema(schema))
  const isAsked = toolPolicy !== undefined || isResumed
  if (!speaksJson && !output && !hasJsonSchemas && !compactor && !isAsked) return undefined
  return Promise.all([
    speaksJson && import('../protocol/json.ts'),
    output && import('./answer.ts'),
    output && import('../protocol/partial-output.ts'),
    hasJsonSchemas && import('../tools/json-validator.ts'),
    compactor && import('./compact.ts'),
    isAsked && import('./admit-call.ts'),
    isResumed && import('./resume-run.ts'),
  ])
}
