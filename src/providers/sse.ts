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
export function readBody(
  body: ReadableStream<Uint8Array> | null,
  signal: AbortSignal,
  onText: () => void = () => {},
): AsyncIterableIterator<readonly SseEvent[] | string, void, undefined> {
  return new BodyReader(readText(body, signal), onText)
}

// An object, as the one below: a generator would wait three times for each piece.
class BodyReader implements AsyncIterableIterator<readonly SseEvent[] | string, void, undefined> {
  readonly #texts: AsyncIterator<string, void>
  readonly #onText: () => void
  #start = ''
  #shape: Shape | undefined
  #events: EventReader | undefined
  #isOver = false

  constructor(texts: AsyncIterator<string, void>, onText: () => void) {
    this.#texts = texts
    this.#onText = onText
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<readonly SseEvent[] | string, void>> {
    try {
      while (!this.#isOver) {
        const step = await this.#texts.next()
        const value = step.done ? this.#rest() : this.#read(step.value)
        if (value !== undefined) return { done: false, value }
      }
      return { done: true, value: undefined }
    } catch (error) {
      void this.return()
      throw error
    }
  }

  async return(): Promise<IteratorResult<never, void>> {
    this.#isOver = true
    await this.#texts.return?.()
    return { done: true, value: undefined }
  }

  #read(text: string): readonly SseEvent[] | undefined {
    return this.#events ? filled(this.#events.read(text)) : this.#readStart(text)
  }

  #readStart(text: string): readonly SseEvent[] | undefined {
    this.#start += text
    if (this.#start.length > longestText) throw new TooLargeError('a text of more than 16 million characters')
    if (this.#shape === undefined) {
      this.#start = this.#start.trimStart()
      // Asked for no longer than it takes to tell: to look at the start of a text that grows is to copy all of it.
      this.#shape = shapeOf(this.#start)
    }
    if (this.#shape === 'events') {
      this.#events = new EventReader()
      return filled(this.#events.read(this.#start))
    }
    if (this.#shape === 'text' && text.trim() !== '') this.#onText()
    return undefined
  }

  #rest(): readonly SseEvent[] | string {
    this.#isOver = true
    // A last event without its blank line still counts.
    return this.#events ? this.#events.read('\n\n') : this.#start
  }
}

const filled = (events: readonly SseEvent[]): readonly SseEvent[] | undefined =>
  events.length > 0 ? events : undefined

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
export function readText(
  body: ReadableStream<Uint8Array> | null,
  signal: AbortSignal,
): AsyncIterableIterator<string, void, undefined> {
  return new TextReader(body, signal)
}

class TextReader implements AsyncIterableIterator<string, void, undefined> {
  readonly #signal: AbortSignal
  readonly #decoder = new TextDecoder()
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined

  constructor(body: ReadableStream<Uint8Array> | null, signal: AbortSignal) {
    this.#signal = signal
    this.#reader = body?.getReader()
    // Ends whatever read is waiting, at once.
    signal.addEventListener('abort', this.#cancel, { once: true })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<string, void>> {
    try {
      while (this.#reader) {
        this.#signal.throwIfAborted()
        const { done, value } = await this.#reader.read()
        if (done) this.#end()
        this.#signal.throwIfAborted()
        const text = done ? this.#decoder.decode() : this.#decoder.decode(value, { stream: true })
        if (text !== '') return { done: false, value: text }
      }
      return { done: true, value: undefined }
    } catch (error) {
      this.#cancel()
      throw error
    }
  }

  async return(): Promise<IteratorResult<never, void>> {
    this.#cancel()
    return { done: true, value: undefined }
  }

  /** Ends the connection if there is still one; nobody minds if it fails. */
  readonly #cancel = (): void => {
    this.#reader?.cancel().catch(() => {})
    this.#end()
  }

  #end(): void {
    this.#reader = undefined
    this.#signal.removeEventListener('abort', this.#cancel)
  }
}
