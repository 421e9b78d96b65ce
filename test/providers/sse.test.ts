import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readBody, readStart, type SseEvent, TooLargeError } from '../../src/providers/sse.ts'

const open = new AbortController().signal

function bodyOf(...chunks: readonly (string | Uint8Array)[]): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks)
        controller.enqueue(typeof chunk === 'string' ? encoder.encode(chunk) : chunk)
      controller.close()
    },
  })
}

async function read(...chunks: readonly (string | Uint8Array)[]): Promise<(SseEvent | string)[]> {
  const items: (SseEvent | string)[] = []
  for await (const part of readBody(bodyOf(...chunks), open))
    items.push(...(typeof part === 'string' ? [part] : part))
  return items
}

describe('a body', () => {
  test('that is an event stream is read as events, comments and unknown fields left out', async () => {
    const text =
      ': ping\n\nid: 1\nevent: e\ndata: a\ndata: b\n\nretry: 5\nfoo: bar\ndata:{"c":1}\r\n\r\ndata\n\n'
    expect(await read(text)).toEqual([{ data: 'a\nb', type: 'e' }, { data: '{"c":1}' }, { data: '' }])
  })

  test('gives the same events wherever its bytes are cut, with any line ends and a byte order mark', async () => {
    const bytes = new TextEncoder().encode(
      '\uFEFFdata: größer 👋\r\n\r\ndata: 2\r\rdata: 3\n\nevent: error\ndata: {"x":1}\n\ndata: [DONE]',
    )
    const expected = [
      { data: 'größer 👋' },
      { data: '2' },
      { data: '3' },
      { data: '{"x":1}', type: 'error' },
      { data: '[DONE]' },
    ]
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: bytes.length })), async (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), bytes.length]
        const chunks = at.slice(1).map((end, index) => bytes.subarray(at[index], end))
        expect(await read(...chunks)).toEqual(expected)
      }),
      { numRuns: 100 },
    )
    expect(await read(...Array.from(bytes, (_, index) => bytes.subarray(index, index + 1)))).toEqual(expected)
  })

  test.each(['{"choices":[]}', '<html>data: x</html>', 'null', '', 'upstream error', 'dat'])(
    'that is no event stream is one text: %j',
    async (text) => {
      expect(await read(...text)).toEqual([text])
    },
  )

  test('tells of text as soon as it can be no event stream, and of blanks never', async () => {
    const told = async (...chunks: readonly string[]) => {
      let heard = 0
      for await (const _ of readBody(bodyOf(...chunks), open, () => heard++));
      return heard
    }
    expect(await told(' ', 'd', 'a', 't', 'a', ': 1', '\n\n')).toBe(0)
    expect(await told(' '.repeat(2_000), ' event', ': x\n', 'data: 1\n\n')).toBe(0)
    expect(await told(' ', '{', '"a"', ' ', ':1}', '\n')).toBe(3)
    expect(await told('d', 'a', 'y', '.')).toBe(2)
  })

  test('that is missing is an empty text', async () => {
    const reading = readBody(null, open)
    expect([await reading.next(), await reading.next()]).toEqual([
      { done: false, value: '' },
      { done: true, value: undefined },
    ])
  })

  test.each(['data: ', '{"a":"'])('without end is refused at 16 million characters: %j…', async (start) => {
    const megabyte = 'x'.repeat(2 ** 20)
    await expect(read(start, ...Array.from({ length: 17 }, () => megabyte))).rejects.toThrow(TooLargeError)
  })

  test('is cancelled when its reader leaves', async () => {
    let cancelled = false
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode('data: a\n\n')),
      cancel: () => {
        cancelled = true
      },
    })
    for await (const part of readBody(body, open)) {
      expect(part).toEqual([{ data: 'a' }])
      break
    }
    expect(cancelled).toBe(true)
  })

  test('that never says anything is left at once when the signal aborts', async () => {
    const stop = new AbortController()
    const reason = new Error('enough')
    let cancelled = false
    const body = new ReadableStream<Uint8Array>({
      cancel: () => {
        cancelled = true
      },
    })
    const reading = readBody(body, stop.signal).next()
    stop.abort(reason)
    await expect(reading).rejects.toBe(reason)
    expect(cancelled).toBe(true)
  })
})

test('the start of an endless body is enough of it', async () => {
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(1000).fill(65)),
  })
  expect((await readStart(body, open)).length).toBe(66_000)
})
