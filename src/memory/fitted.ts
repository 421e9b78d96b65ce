import type { Message } from '../messages.ts'
import { type CutOptions, cutLongest } from './cut.ts'
import { dropOldest, type PruneOptions } from './exchanges.ts'
import { withOpening } from './opening.ts'
import type { TokenCounts } from './tokens.ts'

/** What a memory gave, within the limit: without its oldest, and with its longest texts cut. */
export function fitted(
  managed: readonly Message[],
  history: readonly Message[],
  counts: TokenCounts,
  options: PruneOptions,
): readonly Message[] {
  const { limit } = options
  const messages = withOpening(dropOldest(managed, counts, options), history, counts)
  const question = messages.findLastIndex(({ role }) => role === 'user')
  const cut = (uncut: readonly Message[], mayCut: CutOptions['mayCut']) =>
    cutLongest(uncut, counts, { limit, keep: 'start', mayCut })
  const results = cut(messages, ({ role }) => role === 'tool')
  const others = cut(results, ({ role }, index) => role !== 'tool' && index !== question)
  const all = cut(others, (_, index) => index === question)
  // A question is not spoiled in vain: what cannot fit without it cannot fit.
  return counts.messages(all) <= limit ? all : others
}
