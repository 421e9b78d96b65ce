import { longestText, readText } from './sse.ts'

/**
 * The lines of a body as they arrive, without blank ones; `onText` hears of each piece. A line that is longer than anything
 * a model says is left out. Leaving the iterator, and `signal`, cancel the body.
 *
 * @throws the signal's reason; whatever the transport throws.
 */
export async function* readLines(
  body: ReadableStream<Uint8Array> | null,
  signal: AbortSignal,
  onText: () => void,
): AsyncGenerator<string, void, undefined> {
  // Joined when the line is whole: a text that grows by pieces would be copied again and again.
  let pieces: string[] = []
  let length = 0
  const line = () => {
    const whole = length > longestText ? '' : pieces.join('').trim()
    pieces = []
    length = 0
    return whole
  }
  for await (const text of readText(body, signal)) {
    onText()
    for (const [index, piece] of text.split('\n').entries()) {
      if (index > 0) {
        const whole = line()
        if (whole !== '') yield whole
      }
      length += piece.length
      if (length <= longestText) pieces.push(piece)
    }
  }
  const last = line()
  if (last !== '') yield last
}
