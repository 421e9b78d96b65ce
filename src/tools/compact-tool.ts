import type { Compactor } from '../memory/memory.ts'
import { tool } from './define.ts'
import { type Tool, toolError } from './tool.ts'

/**
 * `compact_context`: lets the model say when the older part of its conversation is to be summarised by `compactor`. Its result
 * is a `CompactionReport`; later requests hold the summary.
 */
export function compactTool(compactor: Compactor): Tool {
  return tool({
    name: 'compact_context',
    description:
      'Summarizes the older part of this conversation to make room. Use it when a piece of work is done and its details are ' +
      'no longer needed.',
    parameters: { type: 'object', properties: {}, additionalProperties: false },
    // A second summary of the same messages is no harm.
    effect: 'idempotent',
    serial: true,
    repeatable: true,
    execute: async (_, { conversation }) =>
      conversation
        ? { ...(await conversation.compact(compactor)) }
        : toolError('Compaction not configured: this call belongs to no conversation.'),
  })
}
