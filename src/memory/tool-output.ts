import type { Message, ToolMessage } from '../messages.ts'
import { checkOptions, fn, integer, optional, text } from '../options.ts'
import { pinnedPlaces } from './drop.ts'
import type { AgentMemory } from './memory.ts'
import { CountsByCounter, codePointsOf, firstCodePoints, lastCodePoints } from './tokens.ts'
import { hasCalls, unitsOf } from './units.ts'

export interface DropOldToolOutputOptions {
  /** Exchanges at the end whose results stay as they are, at least 1. Default 3. */
  readonly keepLast?: number
  /** What takes the place of an old result, or of its middle. Default: `[An old tool output was removed here.]` */
  readonly replaceWith?: string
  /** Code points at the beginning of an old result that stay, and as many at its end. Default 0. */
  readonly keepEnds?: number
  /** Tokens that have to be won before anything is replaced, at least 1. Default 2,000. */
  readonly minFreedTokens?: number
  /** Results of which it is true stay as they are, and so do those of a reply of which it is. Default: none. */
  readonly pinned?: (message: Message) => boolean
}

/**
 * Replaces what tools said long ago; the calls stay, and so does what would not become shorter. An exchange that is old
 * waits until it and other old ones together free `minFreedTokens`, and what was replaced stays so: most requests begin
 * as the one before, and a step leaves the provider's cache all that stands before it.
 *
 * @throws ConfigurationError
 */
export function dropOldToolOutput(options: DropOldToolOutputOptions = {}): AgentMemory {
  checkOptions('dropOldToolOutput()', options, {
    keepLast: optional(integer(1)),
    replaceWith: optional(text()),
    keepEnds: optional(integer(0)),
    minFreedTokens: optional(integer(1)),
    pinned: optional(fn()),
  })
  const { keepLast = 3, minFreedTokens = 2_000, pinned } = options
  const shorten = shortening(options)
  const countsOf = new CountsByCounter()
  return {
    manageHistory(history, { countTokens }) {
      const counts = countsOf.of(countTokens)
      const places = pinnedPlaces(history, pinned)
      const exchanges = unitsOf(history).filter(({ start }) => hasCalls(history[start]))
      const replaced = new Map<number, ToolMessage>()
      let waiting = new Map<number, ToolMessage>()
      let freed = 0
      for (const { start, end } of exchanges.slice(0, -keepLast)) {
        history.slice(start, end).forEach((message, index) => {
          const shorter = places.has(start + index) ? undefined : shorten(message)
          const gain = shorter ? counts.message(message) - counts.message(shorter) : 0
          if (!shorter || gain <= 0) return
          waiting.set(start + index, shorter)
          freed += gain
        })
        if (freed < minFreedTokens) continue
        for (const [at, message] of waiting) replaced.set(at, message)
        waiting = new Map()
        freed = 0
      }
      return replaced.size === 0 ? history : history.map((message, at) => replaced.get(at) ?? message)
    },
  }
}

/** Gives the same object for the same message, so that it is counted once. */
function shortening({
  replaceWith = '[An old tool output was removed here.]',
  keepEnds = 0,
}: DropOldToolOutputOptions): (message: Message) => ToolMessage | undefined {
  const longest = codePointsOf(replaceWith) + 2 * keepEnds
  const known = new WeakMap<Message, ToolMessage>()
  return (message) => {
    if (message.role !== 'tool') return undefined
    const { content } = message
    const shorter = known.get(message)
    if (shorter) return shorter
    if (codePointsOf(content) <= longest) return undefined
    const ends = [firstCodePoints(content, keepEnds), lastCodePoints(content, keepEnds)]
    const made = { ...message, content: ends.join(replaceWith) }
    known.set(message, made)
    return made
  }
}
