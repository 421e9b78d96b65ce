import { describe, expect, it } from 'vitest'
import { chunkSemantically, estimateTokens } from '../../src/index.ts'

const garden = 'Roses need water. They also need light. Prune them in spring. '
const engine = 'The engine needs oil. Check it every month. Change it every year.'

describe('seed 001, chunks', () => {
  // Of texts only: a message is `textOf(message.content)`. `embed` is a `similarity` that asks an embedding model.
  it('001-34 splits a text of two topics exactly where the topic changes', () => {
    const topicOf = (sentence: string) => garden.includes(sentence)
    const similarity = (a: string, b: string) => (topicOf(a) === topicOf(b) ? 0.9 : 0.1)
    const chunks = chunkSemantically(garden + engine, {
      maxTokens: 100,
      boundary: 'sentence',
      similarity,
      threshold: 0.5,
    })
    expect(chunks.map(({ text }) => text)).toEqual([garden, engine])
  })

  it.each(['paragraph', 'sentence', 'heading'] as const)(
    '001-34 loses nothing and keeps to the limit, by %s',
    (boundary) => {
      const text = `# Garden\r\n\r\n${garden}\r\n\r\n# Engine\r\n\r\n${engine}`.repeat(20)
      const chunks = chunkSemantically(text, { maxTokens: 30, overlapTokens: 8, boundary })
      expect(chunks.map((chunk) => chunk.text.slice(chunk.overlap.length)).join('')).toBe(text)
      expect(Math.max(...chunks.map((chunk) => estimateTokens(chunk.text)))).toBeLessThanOrEqual(30)
      expect(chunks.some(({ overlap }) => overlap !== '')).toBe(true)
    },
  )
})
