import type { MemoryBlock } from './block-state.ts'
import { type Embed, MeaningIndex } from './meaning-search.ts'
import { WordIndex } from './word-search.ts'

export interface BlockHit {
  readonly block: MemoryBlock
  /** Larger is better; comparable within one search only. */
  readonly score: number
}

/** Finds blocks by words or, with `embed`, by meaning. */
export class BlockSearch {
  readonly #words = new WordIndex(textOfBlock)
  readonly #meanings = new MeaningIndex(textOfBlock)

  /** @throws What `embed` throws, and ConfigurationError if it does not give a vector for each text. */
  async rank(query: string, blocks: readonly MemoryBlock[], embed?: Embed): Promise<BlockHit[]> {
    const hits = embed ? await this.#meanings.rank(query, blocks, embed) : this.#words.rank(query, blocks)
    return hits.map(({ item, score }) => ({ block: item, score }))
  }
}

function textOfBlock({ label, description = '', content }: MemoryBlock): string {
  return `${label}\n${description}\n${content}`
}
