import { type Message, user } from '../messages.ts'
import type { MemoryBlock } from './block-state.ts'

/** `instructions`, and below them the core blocks in their order. Without blocks, the instructions as they are. */
export function buildSystemPrompt(parts: {
  readonly instructions: string
  readonly blocks: readonly MemoryBlock[]
}): string {
  const { instructions, blocks } = parts
  if (blocks.length === 0) return instructions
  const memory = `[Core Memory]\n${sections(blocks)}`
  return instructions === '' ? memory : `${instructions}\n\n${memory}`
}

/**
 * `history` with the working blocks, in their order, as one message of the user before it. Only the system messages that
 * a history begins with stand before that: some providers know them nowhere else.
 */
export function buildMessages(
  history: readonly Message[],
  { workingBlocks }: { readonly workingBlocks: readonly MemoryBlock[] },
): readonly Message[] {
  if (workingBlocks.length === 0) return history
  const start = history.findIndex(({ role }) => role !== 'system')
  const at = start < 0 ? history.length : start
  return history.toSpliced(at, 0, user(`[Working Memory Context]\n${sections(workingBlocks)}`))
}

function sections(blocks: readonly MemoryBlock[]): string {
  return blocks.map(({ label, content }) => `## ${label}\n${content || '(empty)'}`).join('\n\n')
}
