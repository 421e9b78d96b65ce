import { type Check, that } from '../options.ts'
import type { BlockTier } from '../transcript/entry.ts'
import { appended, type BlockState } from './block-state.ts'
import type { Decided } from './block-transcript.ts'
import { codePointsOf } from './tokens.ts'

/** What became of something the model wrote. `unchanged`: it stood there already, or was written with the same key. */
export type BlockWrite =
  | { readonly outcome: 'written' | 'appended' | 'unchanged' }
  | { readonly outcome: 'proposed'; readonly proposalId: string }
  /** `reason` tells the model what to do instead. */
  | { readonly outcome: 'refused'; readonly reason: string }

/** What the model wants to write, and where a new block goes. */
export interface WrittenBlock {
  readonly label: string
  readonly content: string
  readonly tier: BlockTier
  /** The call's idempotency key. */
  readonly key?: string
}

/** What comes of something the model writes, by the permission of the block. */
export function writeByPermission(
  state: BlockState,
  written: WrittenBlock,
  maxBlockLength: number,
): Decided<BlockWrite> {
  const { label, content, tier, key } = written
  if (key !== undefined && state.hasKey(key)) return [{ outcome: 'unchanged' }]
  const block = state.block(label)
  const fault = block ? undefined : labelCheck().find(label, 'The label')
  if (fault) return refused(`${fault.path} ${fault.says}.`)
  const permission = block?.permission ?? 'readwrite'
  if (permission === 'readonly') {
    return refused(`"${label}" is read-only: you cannot change it. Write to another block.`)
  }
  const length = codePointsOf(block && permission === 'append' ? appended(block.content, content) : content)
  if (length > maxBlockLength) {
    return refused(
      `"${label}" would be ${length} characters long, and ${maxBlockLength} are the most. ` +
        'Write less, or put a part of it in another block.',
    )
  }
  const keyed = key !== undefined && { key }
  switch (permission) {
    case 'append':
      return [{ outcome: 'appended' }, { do: 'append', label, content, ...keyed }]
    case 'approval': {
      const proposalId = `proposal_${state.version + 1}`
      return [
        { outcome: 'proposed', proposalId },
        { do: 'propose', label, proposalId, content, ...keyed },
      ]
    }
    case 'readwrite':
      if (block?.content === content) return [{ outcome: 'unchanged' }]
      return [
        { outcome: 'written' },
        { do: 'write', ...(block ?? { label, tier, permission }), content, ...keyed },
      ]
  }
}

const refused = (reason: string): Decided<BlockWrite> => [{ outcome: 'refused', reason }]

// Labels are headings in prompts.
export const labelCheck = (): Check =>
  that(
    '1 to 100 characters on one line, without blanks around them',
    (label) => typeof label === 'string' && /^\S(.{0,98}\S)?$/u.test(label),
  )
