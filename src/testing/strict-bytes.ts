import type { ServerResponse } from 'node:http'

/**
 * Where the bytes of a reply are cut into writes: one per event, one for all, one per byte, or inside every character of
 * more than one byte; or a function from all bytes to the writes.
 */
export type Chunking = 'event' | 'whole' | 'bytes' | 'utf8' | ((bytes: Uint8Array) => readonly Uint8Array[])

export function* cut(texts: Iterable<string>, chunking: Chunking): Generator<Uint8Array, void, undefined> {
  if (typeof chunking === 'function') {
    yield* chunking(Buffer.from([...texts].join('')))
    return
  }
  if (chunking === 'whole') {
    yield Buffer.from([...texts].join(''))
    return
  }
  for (const text of texts) {
    const bytes = Buffer.from(text)
    if (chunking === 'event') yield bytes
    else yield* cutBytes(bytes, chunking === 'bytes' ? () => true : isInsideCharacter)
  }
}

function* cutBytes(
  bytes: Uint8Array,
  isCutBefore: (byte: number) => boolean,
): Generator<Uint8Array, void, undefined> {
  let start = 0
  for (const [at, byte] of bytes.entries()) {
    if (at === 0 || !isCutBefore(byte)) continue
    yield bytes.subarray(start, at)
    start = at
  }
  yield bytes.subarray(start)
}

/** In UTF-8 every byte of a character but its first is 10xxxxxx. */
function isInsideCharacter(byte: number): boolean {
  return (byte & 0b1100_0000) === 0b1000_0000
}

/** The bytes of `text` up to the middle of its first character of more than one byte, `undefined` if it has none. */
export function untilInsideCharacter(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text)
  const at = bytes.findIndex(isInsideCharacter)
  return at < 0 ? undefined : bytes.subarray(0, at)
}

/** Writes as fast as the client reads, and not after it has gone. */
export async function write(
  response: ServerResponse,
  chunks: Iterable<Uint8Array>,
  gone: AbortSignal,
): Promise<void> {
  for (const chunk of chunks) {
    if (gone.aborted) return
    if (!response.write(chunk)) await drained(response, gone)
  }
}

/** The same, and ends the response with the last bytes: a client that stops at the mark of the end has then read all. */
export async function writeAndEnd(
  response: ServerResponse,
  chunks: Iterable<Uint8Array>,
  gone: AbortSignal,
): Promise<void> {
  let last: Uint8Array | undefined
  for (const chunk of chunks) {
    if (last !== undefined) await write(response, [last], gone)
    if (gone.aborted) return
    last = chunk
  }
  response.end(last)
}

function drained(response: ServerResponse, gone: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done)
      gone.removeEventListener('abort', done)
      resolve()
    }
    response.on('drain', done)
    gone.addEventListener('abort', done)
    if (gone.aborted) done()
  })
}

/** Waits as long as the client is there. */
export function unlessGone(wait: Promise<void>, gone: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    wait.then(resolve, reject)
    gone.addEventListener('abort', () => resolve(), { once: true })
    if (gone.aborted) resolve()
  })
}
