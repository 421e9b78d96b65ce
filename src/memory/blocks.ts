import { ApprovalError, ConfigurationError } from '../errors.ts'
import type { Message } from '../messages.ts'
import {
  type Check,
  type Checks,
  checkOptions,
  filledText,
  fn,
  hidden,
  integer,
  oneOf,
  optional,
  text,
  that,
} from '../options.ts'
import type { BlockPermission, BlockTier } from '../transcript/entry.ts'
import { type ConversationStore, MemoryStore } from '../transcript/store.ts'
import { buildMessages, buildSystemPrompt } from './block-prompt.ts'
import type { BlockHit, BlockSearch } from './block-search.ts'
import type { BlockProposal, MemoryBlock } from './block-state.ts'
import { BlockTranscript } from './block-transcript.ts'
import { type BlockWrite, labelCheck, writeByPermission } from './block-write.ts'
import type { Embed } from './meaning-search.ts'
import type { AgentBlocks } from './memory.ts'
import { codePointsOf } from './tokens.ts'

export interface MemoryBlocksOptions {
  /** Keeps the blocks: each change is an entry of the conversation `id`. Default: in memory, gone with this object. */
  readonly store?: ConversationStore
  /** The id of these blocks in the store, such as `'blocks:user-42'`: no conversation may have it. Required with `store`. */
  readonly id?: string
  /** Code points of the content of one block, at most. Default 10,000. */
  readonly maxBlockLength?: number
  /** Lets `search` go by meaning. Default: by words. */
  readonly embed?: Embed
}

/** What is absent stays as it is. */
export interface BlockOptions {
  /** Default for a new block: `'working'`. */
  readonly tier?: BlockTier
  /** What the model may do with it. Default for a new block: `'readwrite'`. */
  readonly permission?: BlockPermission
  /** Tells the model what belongs in the block. */
  readonly description?: string
}

export interface BlockWriteOptions {
  /** Where a new block goes; one that is there stays where it is. Default `'working'`. */
  readonly tier?: Exclude<BlockTier, 'core'>
  /** The call's idempotency key: what was written with it once is not written again. */
  readonly key?: string
}

export interface BlockSearchOptions {
  /** Blocks at most. Default 5. */
  readonly limit?: number
  /** Default: that of the blocks. */
  readonly embed?: Embed
}

/**
 * Memory in labelled blocks that outlives conversations: `core` blocks stand in every system prompt, `working` ones before
 * the messages, `archival` ones are searched. Every change is kept: the blocks are what the changes come to, in order.
 *
 * What is read (`core`, `search`, …) is as of the last `load` or change; each change is made to what the store has by then,
 * so that any number of these objects, in any number of processes, can share one id.
 */
export class MemoryBlocks implements AgentBlocks {
  readonly #transcript: BlockTranscript
  readonly #maxBlockLength: number
  readonly #embed: Embed | undefined
  /** Once something was searched for. */
  #search: BlockSearch | undefined

  /** @throws ConfigurationError */
  constructor(options: MemoryBlocksOptions = {}) {
    checkOptions('MemoryBlocks', options, {
      store: optional(storeCheck()),
      id: optional(filledText()),
      maxBlockLength: optional(integer(1)),
      embed: optional(fn()),
    })
    const { store, id, maxBlockLength = 10_000, embed } = options
    if (store && id === undefined) {
      throw new ConfigurationError(
        'id',
        'MemoryBlocks option id is required with a store: name whose blocks these are, such as "blocks:user-42".',
      )
    }
    this.#transcript = new BlockTranscript(store ?? new MemoryStore(), id ?? 'blocks')
    this.#maxBlockLength = maxBlockLength
    this.#embed = embed
  }

  get core(): readonly MemoryBlock[] {
    return this.#ofTier('core')
  }

  get working(): readonly MemoryBlock[] {
    return this.#ofTier('working')
  }

  get archival(): readonly MemoryBlock[] {
    return this.#ofTier('archival')
  }

  /** What the model proposed and nobody has decided yet, oldest first. */
  get pending(): readonly BlockProposal[] {
    return this.#transcript.state.proposals
  }

  get(label: string): MemoryBlock | undefined {
    return this.#transcript.state.block(label)
  }

  /**
   * Brings in what other objects and processes changed. An agent does so at the beginning of each run.
   *
   * @throws ConfigurationError if a conversation has the id; CorruptEntryError, StoreError.
   */
  load(): Promise<void> {
    return this.#transcript.load()
  }

  /**
   * Makes a block, or changes one, whatever its permission: for the application. Writes nothing if all is so already.
   *
   * @throws ConfigurationError for a wrong argument or content that is too long, ConflictError if others keep writing, and
   * what `load` throws.
   */
  async set(label: string, content: string, options: BlockOptions = {}): Promise<void> {
    checkOptions('blocks.set()', { ...options, label, content }, setChecks(this.#maxBlockLength))
    await this.#transcript.change((state) => {
      const known = state.block(label)
      const description = options.description ?? known?.description
      const block: MemoryBlock = {
        label,
        tier: options.tier ?? known?.tier ?? 'working',
        permission: options.permission ?? known?.permission ?? 'readwrite',
        content,
        ...(description !== undefined && { description }),
      }
      return known && isSame(known, block) ? [undefined] : [undefined, { do: 'write', ...block }]
    })
  }

  /** Takes a block out, with its proposals. Does nothing if there is none. */
  async delete(label: string): Promise<void> {
    await this.#transcript.change((state) =>
      state.block(label) ? [undefined, { do: 'delete', label }] : [undefined],
    )
  }

  /**
   * Writes as the model may. By the permission of the block: `readwrite` replaces its content, `append` adds to it,
   * `approval` makes a proposal, `readonly` refuses. A label that is new makes a `readwrite` block.
   *
   * @throws ConflictError if others keep writing, and what `load` throws. What the model did wrong is `refused`.
   */
  write(label: string, content: string, options: BlockWriteOptions = {}): Promise<BlockWrite> {
    const { tier = 'working', key } = options
    const written = { label, content, tier, ...(key !== undefined && { key }) }
    return this.#transcript.change((state) => writeByPermission(state, written, this.#maxBlockLength))
  }

  /**
   * Makes a proposal the content of its block.
   *
   * @throws ApprovalError if it is not pending, and what `set` throws.
   */
  approve(proposalId: string): Promise<void> {
    return this.#settle(proposalId, true)
  }

  /** Drops a proposal. @throws As `approve` does. */
  reject(proposalId: string): Promise<void> {
    return this.#settle(proposalId, false)
  }

  /**
   * The archival blocks that fit `query` best, best first. By words, only blocks that have one of them; by meaning, with
   * `embed`, the nearest, however far.
   *
   * @throws ConfigurationError, and what `embed` throws.
   */
  async search(query: string, options: BlockSearchOptions = {}): Promise<readonly BlockHit[]> {
    checkOptions('blocks.search()', options, { limit: optional(integer(1)), embed: optional(fn()) })
    const { limit = 5, embed = this.#embed } = options
    const { archival } = this
    if (archival.length === 0) return []
    const { BlockSearch } = await import('./block-search.ts')
    this.#search ??= new BlockSearch()
    const hits = await this.#search.rank(query, archival, embed)
    return hits.slice(0, limit)
  }

  buildSystemPrompt(instructions: string): string {
    return buildSystemPrompt({ instructions, blocks: this.core })
  }

  buildMessages(messages: readonly Message[]): readonly Message[] {
    return buildMessages(messages, { workingBlocks: this.working })
  }

  #ofTier(tier: BlockTier): readonly MemoryBlock[] {
    return this.#transcript.state.blocks.filter((block) => block.tier === tier)
  }

  async #settle(proposalId: string, approved: boolean): Promise<void> {
    await this.#transcript.change((state) => {
      const proposal = state.proposal(proposalId)
      if (proposal) return [undefined, { do: 'settle', label: proposal.label, proposalId, approved }]
      const pending = state.proposals.map((each) => each.proposalId).join(', ') || 'none'
      throw new ApprovalError(
        proposalId,
        'not_pending',
        `There is no pending proposal "${proposalId}": it was decided already, or its block is gone. Pending: ${pending}.`,
      )
    })
  }
}

const storeCheck = () =>
  that('a ConversationStore', (value) => {
    if (typeof value !== 'object' || value === null) return false
    return ['init', 'append', 'read'].every((name) => typeof Reflect.get(value, name) === 'function')
  })

const setChecks = (maxBlockLength: number): Checks => ({
  label: labelCheck(),
  content: contentCheck(maxBlockLength),
  tier: optional(oneOf('core', 'working', 'archival')),
  permission: optional(oneOf('readonly', 'append', 'readwrite', 'approval')),
  description: optional(text()),
})

// What a block says is not told in an error.
const contentCheck = (maxLength: number): Check =>
  hidden(
    that(
      `text of at most ${maxLength} code points (maxBlockLength)`,
      (content) => typeof content === 'string' && codePointsOf(content) <= maxLength,
    ),
  )

const isSame = (a: MemoryBlock, b: MemoryBlock) =>
  a.tier === b.tier &&
  a.permission === b.permission &&
  a.content === b.content &&
  a.description === b.description
