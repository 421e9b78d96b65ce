import type { BlockChange, BlockPermission, BlockTier } from '../transcript/entry.ts'

/** A piece of text that outlives conversations. */
export interface MemoryBlock {
  /** What the block is known by; one line. */
  readonly label: string
  readonly tier: BlockTier
  readonly permission: BlockPermission
  readonly content: string
  /** Tells the model what belongs in it. */
  readonly description?: string
}

/** What the model wants a block to say, which somebody has to approve. */
export interface BlockProposal {
  readonly proposalId: string
  readonly label: string
  readonly content: string
}

/** The blocks that changes come to, in the order in which they were made. Blocks and proposals are immutable. */
export class BlockState {
  #version = 0
  #last: BlockChange | undefined
  readonly #blocks = new Map<string, MemoryBlock>()
  readonly #proposals = new Map<string, BlockProposal>()
  readonly #keys = new Set<string>()

  /** The number of changes. */
  get version(): number {
    return this.#version
  }

  /** The last change. */
  get last(): BlockChange | undefined {
    return this.#last
  }

  get blocks(): readonly MemoryBlock[] {
    return [...this.#blocks.values()]
  }

  get proposals(): readonly BlockProposal[] {
    return [...this.#proposals.values()]
  }

  block(label: string): MemoryBlock | undefined {
    return this.#blocks.get(label)
  }

  proposal(proposalId: string): BlockProposal | undefined {
    return this.#proposals.get(proposalId)
  }

  /** Whether the call of that idempotency key has made its change. */
  hasKey(key: string): boolean {
    return this.#keys.has(key)
  }

  apply(change: BlockChange): void {
    this.#version++
    this.#last = change
    if ('key' in change && change.key !== undefined) this.#keys.add(change.key)
    const { label } = change
    switch (change.do) {
      case 'write': {
        const { tier, permission, content, description } = change
        this.#put({ label, tier, permission, content, ...(description !== undefined && { description }) })
        return
      }
      case 'append':
        this.#update(label, (content) => appended(content, change.content))
        return
      case 'delete':
        this.#blocks.delete(label)
        for (const [id, proposal] of this.#proposals) if (proposal.label === label) this.#proposals.delete(id)
        return
      case 'propose': {
        const { proposalId, content } = change
        this.#proposals.set(proposalId, Object.freeze({ proposalId, label, content }))
        return
      }
      case 'settle': {
        const proposal = this.#proposals.get(change.proposalId)
        this.#proposals.delete(change.proposalId)
        if (proposal && change.approved) this.#update(label, () => proposal.content)
      }
    }
  }

  #update(label: string, contentAfter: (content: string) => string): void {
    const block = this.#blocks.get(label)
    if (block) this.#put({ ...block, content: contentAfter(block.content) })
  }

  #put(block: MemoryBlock): void {
    this.#blocks.set(block.label, Object.freeze(block))
  }
}

/** The content of a block after something was appended to it. */
export function appended(content: string, more: string): string {
  return content === '' ? more : `${content}\n${more}`
}
