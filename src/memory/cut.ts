import { type ContentPart, type Message, user } from '../messages.ts'
import type { TokenCounter } from './memory.ts'
import { codePointsOf, firstCodePoints, lastCodePoints, type TokenCounts } from './tokens.ts'

export interface CutOptions {
  /** Tokens to get down to, of all messages together. */
  readonly limit: number
  /** Which part of a text stays; `...` or a note takes the place of the other. */
  readonly keep: 'start' | 'end'
  readonly mayCut: (message: Message, index: number) => boolean
}

/**
 * Cuts the longest texts down to one length at which the messages fit; the array that was given, if they already do.
 * Texts are never emptied, and calls, images and files stay as they are: it may therefore end above the limit.
 */
export function cutLongest(
  messages: readonly Message[],
  counts: TokenCounts,
  { limit, keep, mayCut }: CutOptions,
): readonly Message[] {
  const total = counts.messages(messages)
  if (total <= limit) return messages
  const sizes = messages.filter(mayCut).flatMap((message) => textsOf(message).map(counts.text))
  const room = limit - total + sizes.reduce((sum, size) => sum + size, 0)
  const cap = fairShare(sizes, room)
  const shorten = (text: string) => shortened(text, cap, counts.text, keep)
  return messages.map((message, index) => (mayCut(message, index) ? withTexts(message, shorten) : message))
}

/** The size that the larger ones must come down to, so that all together take up no more than `room`; at least 1. */
function fairShare(sizes: readonly number[], room: number): number {
  let left = room
  const ascending = sizes.toSorted((a, b) => a - b)
  for (const [index, size] of ascending.entries()) {
    const share = Math.floor(left / (ascending.length - index))
    if (size > share) return Math.max(1, share)
    left -= size
  }
  return Number.POSITIVE_INFINITY
}

const cutMark = '...'
const cutNote = '\n... [cut to fit the context window]'

function shortened(text: string, cap: number, countTokens: TokenCounter, keep: 'start' | 'end'): string {
  const tokens = countTokens(text)
  if (tokens <= cap) return text
  const mark = keep === 'start' && countTokens(cutNote) * 4 <= cap ? cutNote : cutMark
  // What a token covers differs from text to text, so the first guess may be too long.
  let kept = Math.floor((codePointsOf(text) * cap) / tokens) - mark.length
  for (; kept > 0; kept = Math.floor(kept * 0.75)) {
    const cut = keep === 'start' ? firstCodePoints(text, kept) + mark : mark + lastCodePoints(text, kept)
    if (countTokens(cut) <= cap) return cut
  }
  return countTokens(cutMark) < tokens ? cutMark : text
}

function textsOf(message: Message): readonly string[] {
  if (message.role === 'assistant') return [message.content, message.plan ?? '']
  if (typeof message.content === 'string') return [message.content]
  return message.content.flatMap((part) => (part.type === 'text' ? [part.text] : []))
}

/** The message itself, if `change` changes none of its texts. */
function withTexts(message: Message, change: (text: string) => string): Message {
  if (message.role === 'assistant') {
    const content = change(message.content)
    const plan = message.plan === undefined ? undefined : change(message.plan)
    if (content === message.content && plan === message.plan) return message
    return { ...message, content, ...(plan !== undefined && { plan }) }
  }
  if (typeof message.content === 'string') {
    const content = change(message.content)
    return content === message.content ? message : { ...message, content }
  }
  const parts = message.content.map((part): ContentPart => {
    const text = part.type === 'text' ? change(part.text) : undefined
    return part.type === 'text' && text !== undefined && text !== part.text ? { ...part, text } : part
  })
  return parts.every((part, index) => part === message.content[index]) ? message : user(parts)
}
