/** A request as it would have gone over the network. */
export interface SentRequest {
  readonly url: string
  readonly headers: Headers
  readonly body: unknown
  readonly signal: AbortSignal | undefined
}

/** A `fetch` that answers by itself, and remembers what was asked. */
export interface Answering {
  readonly fetch: typeof globalThis.fetch
  readonly sent: readonly SentRequest[]
}

export function answering(answer: (number: number) => Response | Promise<Response>): Answering {
  const sent: SentRequest[] = []
  return {
    sent,
    fetch: async (input, init) => {
      const body = typeof init?.body === 'string' ? JSON.parse(init.body) : undefined
      const url = input instanceof Request ? input.url : String(input)
      sent.push({ url, headers: new Headers(init?.headers), body, signal: init?.signal ?? undefined })
      return answer(sent.length)
    },
  }
}

/** The answer of a server that speaks JSON. */
export function json(body: unknown, init: ResponseInit = {}): Response {
  return new Response(JSON.stringify(body), { headers: { 'content-type': 'application/json' }, ...init })
}

/** The answer of one that streams: texts are events as they are, objects their data. */
export function events(...data: readonly (string | object)[]): Response {
  const text = data.map(eventText).join('')
  return new Response(text, { headers: { 'content-type': 'text/event-stream' } })
}

export function eventText(data: string | object): string {
  return `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`
}

/** A body that a test writes while it is read. */
export function openBody(contentType = 'text/event-stream'): {
  readonly response: Response
  readonly write: (text: string) => void
  readonly end: () => void
  readonly isCancelled: () => boolean
} {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined
  let cancelled = false
  const body = new ReadableStream<Uint8Array>({
    start: (given) => {
      controller = given
    },
    cancel: () => {
      cancelled = true
    },
  })
  return {
    response: new Response(body, { headers: { 'content-type': contentType } }),
    write: (text) => controller?.enqueue(new TextEncoder().encode(text)),
    end: () => controller?.close(),
    isCancelled: () => cancelled,
  }
}
