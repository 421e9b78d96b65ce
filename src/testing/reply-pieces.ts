import type { Pieces } from './strict-contract.ts'

/** A text as it is streamed. No piece ends inside a surrogate pair: the real APIs stream whole characters too. */
export function* split(text: string | undefined, pieces: Pieces): Generator<string, void, undefined> {
  if (text === undefined || text === '') return
  if (pieces === 'word') {
    for (const [word] of text.matchAll(/[\p{L}\p{M}\p{N}]+|[^\p{L}\p{M}\p{N}]+/gu)) yield word
    return
  }
  const length = pieces === 'codepoint' ? 1 : pieces
  let start = 0
  let end = 0
  let count = 0
  for (const character of text) {
    end += character.length
    count += 1
    if (count < length) continue
    yield text.slice(start, end)
    start = end
    count = 0
  }
  if (start < end) yield text.slice(start)
}
