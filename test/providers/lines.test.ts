import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readLines } from '../../src/providers/lines.ts'

async function linesOf(pieces: readonly Uint8Array[]): Promise<string[]> {
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      for (const piece of pieces) controller.enqueue(piece)
      controller.close()
    },
  })
  const lines: string[] = []
  for await (const line of readLines(body, new AbortController().signal, () => {})) lines.push(line)
  return lines
}

const bytesOf = (text: string) => new TextEncoder().encode(text)

test('lines are the same however their bytes are cut', async () => {
  const text = fc
    .array(fc.constantFrom('a', '\n', '\r\n', ' ', '👋', 'ü', '{"b":1}'))
    .map((all) => all.join(''))
  await fc.assert(
    fc.asyncProperty(text, fc.integer({ min: 1, max: 5 }), async (whole, size) => {
      const bytes = bytesOf(whole)
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
        bytes.subarray(index * size, (index + 1) * size),
      )
      const lines = whole
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line !== '')
      expect(await linesOf(pieces)).toEqual(lines)
    }),
  )
})

test('a line that is longer than anything a model says is left out, and the next one read', async () => {
  const long = Array.from({ length: 17 }, () => bytesOf('x'.repeat(2 ** 20)))
  expect(await linesOf([bytesOf('first\n'), ...long, bytesOf('x\nlast')])).toEqual(['first', 'last'])
})
