import { createParser } from 'eventsource-parser'

/** One server-sent event. */
export interface SseEvent {
  readonly data: string
  /** Its `event:` field. */
  readonly type?: string
}

/** A body, or a line of it, is larger than anything a model says. */
export class TooLargeError extends Error {}

/** Characters in one line, and in a body that is no event stream. */
export const longestText = 16 * 2 ** 20
/** Characters in a whole event stream; its framing is several hundred for each token. */
const longestStream = 512 * 2 ** 20

/**
 * Reads a response body: the events of each piece that arrives, if it is an event stream, and otherwise, whatever its
 * content type says, its whole text as the only item; `onText` hears of each piece of that which is more than blanks. An
 * event that the end of the body cuts off is given as it is. Leaving the iterator, and `signal`, cancel the body.
 *
 * @throws TooLargeError; the signal's reason; whatever the transport throws.
 */
export async function* readBody(
  body: ReadableStream<Uint8Array> | null,
  signal: AbortSignal,
  onText: () => void = () => {},
): AsyncGenerator<readonly SseEvent[] | string, void, undefined> {
  let start = ''
  let shape: Shape | undefined
  let events: EventReader | undefined
  for await (const text of readText(body, signal)) {
    if (events !== undefined) {
      const read = events.read(text)
      if (read.length > 0) yield read
      continue
    }
    start += text
    if (start.length > longestText) throw new TooLargeError('a text of more than 16 million characters')
    if (shape === undefined) {
      start = start.trimStart()
      // Asked for no longer than it takes to tell: to look at the start of a text that grows is to copy all of it.
      shape = shapeOf(start)
    }
    if (shape === 'events') {
      events = new EventReader()
      yield events.read(start)
    } else if (shape === 'text' && text.trim() !== '') {
      onText()
    }
  }
  // A last event without its blank line still counts.
  if (events !== undefined) yield events.read('\n\n')
  else yield start
}

/** The first 64 thousand characters of a body: as much as an error can have to say. */
export async function readStart(
  body: ReadableStream<Uint8Array> | null,
  signal: AbortSignal,
): Promise<string> {
  let start = ''
  for await (const text of readText(body, signal)) {
    start += text
    if (start.length >= 65_536) break
  }
  return start
}

class EventReader {
  readonly #parser
  #read: SseEvent[] = []
  #size = 0
  #isTooLarge = false

  constructor() {
    this.#parser = createParser({
      maxBufferSize: longestText,
      onEvent: ({ data, event }) => this.#read.push({ data, ...(event !== undefined && { type: event }) }),
      onError: ({ type }) => {
        this.#isTooLarge ||= type === 'max-buffer-size-exceeded'
      },
    })
  }

  read(text: string): readonly SseEvent[] {
    this.#size += text.length
    this.#parser.feed(text)
    if (this.#isTooLarge) throw new TooLargeError('a line of more than 16 million characters')
    if (this.#size > longestStream) throw new TooLargeError('a stream of more than 512 million characters')
    const read = this.#read
    this.#read = []
    return read
  }
}

// A body that starts with anything else is no event stream.
const fields = ['data:', 'event:', 'id:', 'retry:', ':']

type Shape = 'events' | 'text'

/** What a body is that starts so, blanks left out; `undefined` while it may be either. */
function shapeOf(start: string): Shape | undefined {
  if (fields.some((field) => start.startsWith(field))) return 'events'
  return fields.some((field) => field.startsWith(start)) ? undefined : 'text'
}

/** The body as text, in pieces as they arrive, each at least one character. */
export async function* readText(
  body: ReadableStream<Uint8Array> | null,
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  if (body === null) return
  const decoder = new TextDecoder()
  const reader = body.getReader()
  // Ends the connection if there is still one, and whatever read is waiting, at once; nobody minds if it fails.
  const cancel = () => void reader.cancel().catch(() => {})
  signal.addEventListener('abort', cancel, { once: true })
  let isOver = false
  try {
    for (;;) {
      signal.throwIfAborted()
      const { done, value } = await reader.read()
      isOver = done
      signal.throwIfAborted()
      const text = done ? decoder.decode() : decoder.decode(value, { stream: true })
      if (text !== '') yield text
      if (done) return
    }
  } finally {
    signal.removeEventListener('abort', cancel)
    if (!isOver) cancel()
  }
}
