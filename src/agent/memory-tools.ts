import type { JsonObject } from '../json.ts'
import type { MemoryBlock } from '../memory/block-state.ts'
import type { MemoryBlocks } from '../memory/blocks.ts'
import { didYouMean } from '../options.ts'
import { tool } from '../tools/define.ts'
import { toolError } from '../tools/tool.ts'
import { ToolSet } from '../tools/toolset.ts'

/**
 * The tools by which a model works with memory blocks: `memory_list`, `memory_read`, `memory_write` and `memory_search`.
 * What it writes obeys the permissions of the blocks; what it reads is what the store has by then, so that they also serve an
 * agent without the option `blocks`, and a run that is resumed in another process.
 */
export function memoryTools(blocks: MemoryBlocks): ToolSet {
  return new ToolSet({
    name: 'memory',
    description: 'Your memory across conversations: blocks of text, each with a label.',
    tools: [listTool(blocks), readTool(blocks), writeTool(blocks), searchTool(blocks)],
  })
}

const listTool = (blocks: MemoryBlocks) =>
  tool({
    name: 'memory_list',
    description:
      'Lists the blocks of your memory: label, tier, what you may do with it, and what belongs in it.',
    parameters: parameters({
      tier: { enum: ['core', 'working', 'archival'], description: 'Only blocks of this tier. Default: all.' },
    }),
    effect: 'read',
    execute: async ({ tier }) => {
      await blocks.load()
      const listed = allOf(blocks).filter((block) => tier === undefined || block.tier === tier)
      return listed.map(line).join('\n') || 'There are no blocks.'
    },
  })

const readTool = (blocks: MemoryBlocks) =>
  tool({
    name: 'memory_read',
    description: 'Reads a block of your memory.',
    parameters: parameters({ label: labelSchema }, ['label']),
    effect: 'read',
    execute: async (input) => {
      const { label } = input as Parsed<'label'>
      await blocks.load()
      const block = blocks.get(label)
      return block ? block.content || '(empty)' : toolError(noBlock(label, blocks))
    },
  })

const writeTool = (blocks: MemoryBlocks) =>
  tool({
    name: 'memory_write',
    description:
      'Writes to a block of your memory: replaces its content, adds to it if it is append-only, or proposes a change ' +
      'if it needs approval. A new label makes a new block. Keep what will matter in later conversations.',
    parameters: parameters(
      {
        label: labelSchema,
        content: {
          type: 'string',
          description: 'The whole new content, or what is added to an append-only block.',
        },
        tier: {
          enum: ['working', 'archival'],
          description:
            'For a new block: "working" (default) is always in sight, "archival" is found by memory_search.',
        },
      },
      ['label', 'content'],
    ),
    effect: 'idempotent',
    // Two writes of one reply are made in their order.
    serial: true,
    execute: async (input, { idempotencyKey }) => {
      const { label, content, tier } = input as Parsed<'label' | 'content'> & {
        tier?: 'working' | 'archival'
      }
      const write = await blocks.write(label, content, { key: idempotencyKey, ...(tier && { tier }) })
      switch (write.outcome) {
        case 'written':
          return `Wrote "${label}".`
        case 'appended':
          return `Added to "${label}".`
        case 'unchanged':
          return `"${label}" says so already.`
        case 'proposed':
          return `Proposed, not written: somebody has to approve it first. Until then "${label}" stays as it is.`
        case 'refused':
          return toolError(write.reason)
      }
    },
  })

const searchTool = (blocks: MemoryBlocks) =>
  tool({
    name: 'memory_search',
    description: 'Finds archival blocks of your memory, best first.',
    parameters: parameters(
      {
        query: { type: 'string', minLength: 1, description: 'A few telling words.' },
        limit: { type: 'integer', minimum: 1, maximum: 20, default: 5, description: 'Blocks at most.' },
      },
      ['query'],
    ),
    effect: 'read',
    execute: async (input) => {
      const { query, limit } = input as Parsed<'query'> & { limit: number }
      await blocks.load()
      const hits = await blocks.search(query, { limit })
      return (
        hits.map(({ block }) => `## ${block.label}\n${block.content}`).join('\n\n') ||
        'Nothing found. Try other words.'
      )
    },
  })

// What the schema of the tool has made sure of.
type Parsed<Names extends string> = JsonObject & Readonly<Record<Names, string>>

const labelSchema = { type: 'string', minLength: 1, description: 'The label of the block.' }

const parameters = (properties: JsonObject, required: readonly string[] = []): JsonObject => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
})

const allOf = ({ core, working, archival }: MemoryBlocks) => [...core, ...working, ...archival]

function line({ label, tier, permission, description }: MemoryBlock): string {
  return `- ${label} (${tier}, ${permission})${description ? `: ${description}` : ''}`
}

function noBlock(label: string, blocks: MemoryBlocks): string {
  const labels = allOf(blocks).map((block) => block.label)
  const meant = didYouMean(label, labels)
  const cure = meant === undefined ? 'See memory_list for those there are.' : `Did you mean "${meant}"?`
  return `There is no block "${label}". ${cure}`
}
