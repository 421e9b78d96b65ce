import type { Scrubber } from '../../scrubber.ts'
import { isModelRecording, type RecordedChunk, type Recording } from './recording.ts'

/** The recording without secrets, also where one was cut by the chunks of a stream. */
export function scrubbedRecording(recording: Recording, scrubber: Scrubber): Recording {
  if (!isModelRecording(recording)) return scrubber.value(recording)
  const { asked, reply } = recording
  return scrubber.value({ asked, reply: { ...reply, chunks: scrubbedChunks(reply.chunks, scrubber) } })
}

/** Chunks keep their boundaries, but for a text in which there was a secret. */
function scrubbedChunks(chunks: readonly RecordedChunk[], scrubber: Scrubber): readonly RecordedChunk[] {
  const scrubbed = new Map<RecordedChunk, RecordedChunk>()
  for (const pieces of textsOf(chunks)) {
    const whole = pieces.map(textIn).join('')
    if (scrubber.text(whole) === whole) continue
    const stream = scrubber.stream()
    for (const piece of pieces) {
      const text = stream.push(textIn(piece))
      scrubbed.set(piece, withText(piece, piece === pieces.at(-1) ? text + stream.end() : text))
    }
  }
  return chunks.map((chunk) => scrubbed.get(chunk) ?? chunk)
}

/** The texts that are told in a stream, each as the chunks that it comes in. */
function textsOf(chunks: readonly RecordedChunk[]): Iterable<RecordedChunk[]> {
  const texts = new Map<string, RecordedChunk[]>()
  for (const chunk of chunks) {
    const name = chunk.type === 'tool_call' ? `${chunk.type} ${chunk.index}` : chunk.type
    const pieces = texts.get(name)
    if (pieces) pieces.push(chunk)
    else texts.set(name, [chunk])
  }
  return texts.values()
}

function textIn(chunk: RecordedChunk): string {
  if (chunk.type === 'text' || chunk.type === 'reasoning') return chunk.text
  return chunk.type === 'tool_call' ? (chunk.parametersText ?? '') : ''
}

function withText(chunk: RecordedChunk, text: string): RecordedChunk {
  if (chunk.type === 'text' || chunk.type === 'reasoning') return { ...chunk, text }
  return chunk.type === 'tool_call' ? { ...chunk, parametersText: text } : chunk
}
