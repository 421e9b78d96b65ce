import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { ConfigurationError, messageOf, shown } from '../errors.ts'
import { isJsonObject, type JsonObject } from '../json.ts'
import {
  openAIBody,
  openAIEvents,
  openAIImprovisation,
  type Pieces,
  type StrictReply,
  type WireContext,
} from './openai-wire.ts'
import type { Refusal } from './refusal.ts'
import { type AccountRules, authorizeOpenAI, refuseUrl, validateOpenAI } from './strict-openai.ts'

/** An error the provider answers with although the request was valid. */
export interface StrictError {
  readonly status: number
  /** Default: an error object that names the status. A string is sent as `text/plain`. */
  readonly body?: JsonObject | string
  readonly headers?: Readonly<Record<string, string>>
}

/** Answers to valid requests in the order they arrive, or a function called once for each. */
export type StrictScript =
  | readonly (StrictReply | StrictError)[]
  | ((request: StrictRequest) => StrictReply | StrictError)

export interface StrictProviderOptions {
  /** Default: a call of the first tool, once after each user message, if there are tools; else the text `ok`. */
  readonly script?: StrictScript
  /**
   * Where the bytes of a streamed reply are cut: one write per event (the default), one for all, one per byte, or inside
   * every character of more than one byte; or a function from all bytes to the writes. The last three cut JSON replies too.
   */
  readonly chunking?: Chunking
  /** API keys that are accepted. Default: any. */
  readonly keys?: readonly string[]
  /** Models that exist. Default: any. */
  readonly models?: readonly string[]
  /** Tokens a request may have, estimated as a quarter of the UTF-8 bytes of its messages and tools. Default: no limit. */
  readonly contextWindow?: number
  /** Awaited before each reply, after its place in the script is taken; not longer than the client stays connected. */
  readonly hold?: (request: StrictRequest) => Promise<void>
  /** How text is split into deltas. Default: `'word'`. */
  readonly pieces?: Pieces
}

export type Chunking = 'event' | 'whole' | 'bytes' | 'utf8' | ((bytes: Uint8Array) => readonly Uint8Array[])

/** A request as it arrived. */
export interface StrictRequest {
  readonly method: string
  readonly path: string
  /** Names in lower case. Holds the credentials that were sent. */
  readonly headers: Readonly<Record<string, string>>
  /** `{}` when what was sent is no JSON object. */
  readonly body: JsonObject
  /** Why it was not served. */
  readonly refusal?: Refusal
  /** The client went away before it had the whole answer. */
  readonly clientAborted: boolean
}

export interface StrictProvider extends AsyncDisposable {
  /** Ends in `/v1`: a client's `baseURL`. */
  readonly url: string
  /** All requests, refused ones too, in the order they arrived. */
  readonly requests: readonly StrictRequest[]
  /** Why requests were refused, in order; a client that behaves leaves it empty. */
  readonly refusals: readonly Refusal[]
  readonly openSockets: number
  /** Requests that arrived and whose answer is not finished. */
  readonly liveRequests: number
  /** Replaces the script, from its beginning. */
  script(next: StrictScript): void
  /** Stops listening and cuts every connection. */
  close(): Promise<void>
}

/**
 * Starts a provider on a free port of 127.0.0.1 that speaks OpenAI Chat Completions, JSON and SSE, and refuses requests
 * where the real API refuses them, with its error bodies. Ids in replies are counted, so that runs can be compared.
 *
 * @throws ConfigurationError if `pieces` is no positive integer.
 */
export async function strictProvider(options: StrictProviderOptions = {}): Promise<StrictProvider> {
  const { pieces } = options
  if (typeof pieces === 'number' && !(Number.isInteger(pieces) && pieces > 0)) {
    throw new ConfigurationError('pieces', `pieces is ${shown(pieces)}; it must be a positive integer.`, {
      value: pieces,
    })
  }
  const provider = new LoopbackProvider(options)
  await provider.listen()
  return provider
}

/** How one API speaks: what it checks, and how a reply looks on its wire. */
interface Dialect {
  readonly path: string
  readonly authorize: (
    headers: Readonly<Record<string, string>>,
    keys?: readonly string[],
  ) => Refusal | undefined
  readonly validate: (body: unknown, rules: AccountRules) => Refusal | undefined
  readonly improvise: (request: JsonObject) => StrictReply
  readonly body: (reply: StrictReply, context: WireContext) => JsonObject
  readonly events: (reply: StrictReply, context: WireContext) => Iterable<string>
}

const dialects: readonly Dialect[] = [
  {
    path: '/v1/chat/completions',
    authorize: authorizeOpenAI,
    validate: validateOpenAI,
    improvise: openAIImprovisation,
    body: openAIBody,
    events: openAIEvents,
  },
]

/** A request while it is served, with the end of its connection as a signal. */
interface Exchange {
  readonly request: { -readonly [Key in keyof StrictRequest]: StrictRequest[Key] }
  readonly number: number
  readonly response: ServerResponse
  readonly gone: AbortSignal
}

class LoopbackProvider implements StrictProvider {
  readonly requests: StrictRequest[] = []
  readonly refusals: Refusal[] = []
  url = ''
  liveRequests = 0
  readonly #options: StrictProviderOptions
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #script: StrictScript | undefined
  #scriptPosition = 0
  #replies = 0
  #calls = 0
  #closed: Promise<void> | undefined

  constructor(options: StrictProviderOptions) {
    this.#options = options
    this.#script = options.script
    this.#server = createServer((incoming, response) => void this.#receive(incoming, response))
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
  }

  get openSockets(): number {
    return this.#sockets.size
  }

  script(next: StrictScript): void {
    this.#script = next
    this.#scriptPosition = 0
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(0, '127.0.0.1', resolve)
    })
    const { port } = this.#server.address() as AddressInfo // a server that listens on a port has such an address
    this.url = `http://127.0.0.1:${port}/v1`
  }

  close(): Promise<void> {
    this.#closed ??= this.#cut()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #cut(): Promise<void> {
    const stopped = new Promise((resolve) => this.#server.close(resolve))
    const cut = [...this.#sockets].map(
      (socket) =>
        new Promise((resolve) => {
          socket.once('close', resolve)
          socket.destroy()
        }),
    )
    await Promise.all([stopped, ...cut])
  }

  async #receive(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = incoming
    const path = url.split('?', 1)[0] ?? ''
    const request = { method, path, headers: plainHeaders(headers), body: {}, clientAborted: false }
    const gone = new AbortController()
    this.requests.push(request)
    this.liveRequests += 1
    response.once('close', () => {
      this.liveRequests -= 1
      const cutHere = this.#closed !== undefined || response.errored !== null
      if (!response.writableFinished && !cutHere) request.clientAborted = true
      gone.abort()
    })
    const exchange: Exchange = { request, number: this.requests.length, response, gone: gone.signal }
    const body = await bodyOf(incoming).catch(() => undefined)
    if (gone.signal.aborted || incoming.errored !== null) return
    try {
      await this.#serve(exchange, body)
    } catch (thrown) {
      // What throws here is the caller's script, hold or chunking: it must be seen in the test.
      this.#refuse(
        exchange,
        mistake('script_failed', `The script of the strict provider threw: ${messageOf(thrown)}`),
      )
    }
  }

  async #serve(exchange: Exchange, text: string | undefined): Promise<void> {
    const { request } = exchange
    const dialect = dialects.find(({ path }) => path === request.path)
    if (dialect === undefined || request.method !== 'POST') {
      return this.#refuse(exchange, refuseUrl(request.method, request.path))
    }
    const body = isJson(request.headers) ? parsed(text) : undefined
    if (isJsonObject(body)) request.body = body
    const { keys, hold } = this.#options
    const refusal = dialect.authorize(request.headers, keys) ?? dialect.validate(body, this.#options)
    if (refusal !== undefined) return this.#refuse(exchange, refusal)
    const reply = this.#nextReply(request, dialect)
    if (reply === undefined) return this.#refuse(exchange, this.#exhausted(exchange.number))
    if (hold !== undefined) await unlessAborted(hold(request), exchange.gone)
    if (exchange.gone.aborted) return
    if ('status' in reply) return sendError(exchange, reply)
    await this.#reply(exchange, reply, dialect)
  }

  #nextReply(request: StrictRequest, dialect: Dialect): StrictReply | StrictError | undefined {
    const script = this.#script
    if (script === undefined) return dialect.improvise(request.body)
    if (typeof script === 'function') return script(request)
    const reply = script[this.#scriptPosition]
    this.#scriptPosition += 1
    return reply
  }

  #exhausted(requestNumber: number): Refusal {
    const replies = this.#script?.length ?? 0
    return mistake(
      'script_exhausted',
      `The script of the strict provider is exhausted: it has ${replies} ${replies === 1 ? 'reply' : 'replies'}, and ` +
        `request ${requestNumber} asks for another one. Add a reply to the script, or find out why the client asks again.`,
    )
  }

  #refuse(exchange: Exchange, refusal: Refusal): void {
    exchange.request.refusal = refusal
    this.refusals.push(refusal)
    if (exchange.response.headersSent) {
      exchange.response.destroy(new Error(refusal.rule))
      return
    }
    // The SDKs retry a 500; asking again would not cure a mistake of the test.
    sendError(exchange, { ...refusal, headers: { 'x-should-retry': 'false' } })
  }

  async #reply(
    { request, number, response, gone }: Exchange,
    reply: StrictReply,
    dialect: Dialect,
  ): Promise<void> {
    const { chunking = 'event', pieces = 'word' } = this.#options
    this.#replies += 1
    const context: WireContext = {
      request: request.body,
      replyNumber: this.#replies,
      nextCallNumber: () => {
        this.#calls += 1
        return this.#calls
      },
      pieces,
    }
    const common = { 'x-request-id': `req_${number}` }
    if (request.body['stream'] === true) {
      response.writeHead(200, { ...common, 'content-type': 'text/event-stream; charset=utf-8' })
      return write(response, cut(dialect.events(reply, context), chunking), gone)
    }
    const text = JSON.stringify(dialect.body(reply, context))
    const whole = chunking === 'event' || chunking === 'whole'
    response.writeHead(200, {
      ...common,
      'content-type': 'application/json',
      // Without a length the writes are chunks of the transfer encoding, which reach the client as they were cut.
      ...(whole && { 'content-length': Buffer.byteLength(text) }),
    })
    return write(response, cut([text], chunking), gone)
  }
}

function sendError({ response, number }: Exchange, error: StrictError): void {
  const body = error.body ?? errorBody(`Scripted error ${error.status}.`)
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const headers = new Map<string, string | number>([
    ['content-type', typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/json'],
    ['content-length', Buffer.byteLength(text)],
    ['x-request-id', `req_${number}`],
  ])
  for (const [name, value] of Object.entries(error.headers ?? {})) headers.set(name.toLowerCase(), value)
  response.writeHead(error.status, Object.fromEntries(headers))
  response.end(text)
}

function errorBody(message: string, code: string | null = null): JsonObject {
  return { error: { message, type: 'server_error', param: null, code } }
}

function mistake(rule: string, message: string): Refusal {
  return { status: 500, rule, body: errorBody(message, rule) }
}

function plainHeaders(headers: IncomingMessage['headers']): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value].flat().join(', ')]))
}

function isJson(headers: Readonly<Record<string, string>>): boolean {
  return headers['content-type']?.startsWith('application/json') ?? false
}

/** The body as text, `undefined` if it is no UTF-8. */
async function bodyOf(incoming: IncomingMessage): Promise<string | undefined> {
  const chunks: Uint8Array[] = []
  for await (const chunk of incoming) chunks.push(chunk)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))
  } catch {
    return undefined
  }
}

function parsed(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}

function unlessAborted(wait: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    wait.then(resolve, reject)
    signal.addEventListener('abort', () => resolve(), { once: true })
    if (signal.aborted) resolve()
  })
}

function* cut(texts: Iterable<string>, chunking: Chunking): Generator<Uint8Array, void, undefined> {
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

async function write(
  response: ServerResponse,
  chunks: Iterable<Uint8Array>,
  gone: AbortSignal,
): Promise<void> {
  let last: Uint8Array | undefined
  for (const chunk of chunks) {
    if (last !== undefined && !response.write(last)) await drained(response, gone)
    if (gone.aborted) return
    last = chunk
  }
  // The last bytes travel with the end of the response: a client that stops at `[DONE]` has then read all of it.
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
