import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { ConfigurationError, messageOf, shown } from '../errors.ts'
import { isJsonObject, type JsonObject } from '../json.ts'
import { anthropicDialect } from './anthropic-dialect.ts'
import { groqDialect } from './groq-dialect.ts'
import { openAIDialect } from './openai-dialect.ts'
import { openRouterDialect } from './openrouter-dialect.ts'
import { bodyOf, isJson, parsed, plainHeaders } from './received-request.ts'
import { AnthropicBatches } from './strict-anthropic-batches.ts'
import type { BatchAnswer, BatchHost } from './strict-batches.ts'
import { type Chunking, unlessGone } from './strict-bytes.ts'
import type { AccountRules, Dialect, Pieces, Refusal, StrictTurn, WireContext } from './strict-contract.ts'
import { type Delivery, deliver, sendAnswer, sendError } from './strict-delivery.ts'
import { strike } from './strict-faults.ts'
import { refuseUrl } from './strict-openai.ts'
import { OpenAIBatches } from './strict-openai-batches.ts'

/** Answers to valid requests in the order they arrive, or a function called once for each. */
export type StrictScript = readonly StrictTurn[] | ((request: StrictRequest) => StrictTurn)

export interface StrictProviderOptions extends AccountRules {
  /** Default: a call of the first tool, once after each user message, if there are tools; else the text `ok`. */
  readonly script?: StrictScript
  /** Default: `'event'`. The last three cut JSON replies too. */
  readonly chunking?: Chunking
  /** API keys that are accepted. Default: any. */
  readonly keys?: readonly string[]
  /** Awaited before each reply, after its place in the script is taken; not longer than the client stays connected. */
  readonly hold?: (request: StrictRequest) => Promise<void>
  /** How text is split into deltas. Default: `'word'`. */
  readonly pieces?: Pieces
  /** How often a batch is looked at before it has ended. With each look more of it is done. Default: 1. */
  readonly batchPolls?: number
}

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
  /** Ends in `/v1`: the `baseURL` of a client of OpenAI. */
  readonly url: string
  /** The `baseURL` of a client of Groq, whose SDK adds `/openai/v1`. */
  readonly groqURL: string
  /** The `baseURL` of a client of OpenRouter; ends in `/api/v1`. */
  readonly openRouterURL: string
  /** The `baseURL` of a client of Anthropic, whose SDK adds `/v1`. */
  readonly anthropicURL: string
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
 * Starts a provider on a free port of 127.0.0.1 that speaks OpenAI Chat Completions, as OpenAI, Groq and OpenRouter do,
 * and Anthropic Messages, JSON and SSE. It refuses requests where the real APIs refuse them, with their error bodies, and
 * fails as they do when its script says so. Ids in replies are counted, so that runs can be compared. Batches, as OpenAI and
 * Anthropic have them, take a turn of the script for each of their requests when they begin.
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

const dialects: readonly Dialect[] = [openAIDialect, groqDialect, openRouterDialect, anthropicDialect]

/** A request while it is served, with the end of its connection as a signal. */
interface Exchange {
  readonly request: { -readonly [Key in keyof StrictRequest]: StrictRequest[Key] }
  readonly dialect: Dialect
  readonly number: number
  /** Sent with every answer. */
  readonly headers: Readonly<Record<string, string>>
  readonly response: ServerResponse
  readonly gone: AbortSignal
}

class LoopbackProvider implements StrictProvider {
  readonly requests: StrictRequest[] = []
  readonly refusals: Refusal[] = []
  #origin = ''
  liveRequests = 0
  readonly #options: StrictProviderOptions
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #script: StrictScript | undefined
  #scriptPosition = 0
  #replies = 0
  #calls = 0
  #closed: Promise<void> | undefined
  readonly #openAIBatches: OpenAIBatches
  readonly #anthropicBatches: AnthropicBatches

  constructor(options: StrictProviderOptions) {
    this.#options = options
    this.#script = options.script
    this.#openAIBatches = new OpenAIBatches(this.#batchHost(openAIDialect))
    this.#anthropicBatches = new AnthropicBatches(this.#batchHost(anthropicDialect))
    this.#server = createServer((incoming, response) => void this.#receive(incoming, response))
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
  }

  get url(): string {
    return `${this.#origin}/v1`
  }

  get groqURL(): string {
    return this.#origin
  }

  get openRouterURL(): string {
    return `${this.#origin}/api/v1`
  }

  get anthropicURL(): string {
    return this.#origin
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
    this.#origin = `http://127.0.0.1:${port}`
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
    const { method = '', url = '' } = incoming
    const path = url.split('?', 1)[0] ?? ''
    const request = { method, path, headers: plainHeaders(incoming.headers), body: {}, clientAborted: false }
    const gone = new AbortController()
    this.requests.push(request)
    this.liveRequests += 1
    response.once('close', () => {
      this.liveRequests -= 1
      const cutHere = this.#closed !== undefined || response.errored !== null
      if (!response.writableFinished && !cutHere) request.clientAborted = true
      gone.abort()
    })
    const dialect =
      dialects.find((each) => each.path === path) ??
      (path.startsWith(`${anthropicDialect.path}/`) ? anthropicDialect : openAIDialect)
    const number = this.requests.length
    const headers = { [dialect.requestIdHeader]: `req_${number}` }
    const exchange: Exchange = { request, dialect, number, headers, response, gone: gone.signal }
    const body = await bodyOf(incoming).catch(() => undefined)
    if (gone.signal.aborted || incoming.errored !== null) return
    try {
      await this.#serve(exchange, body)
    } catch (thrown) {
      // What throws here is the caller's script, hold or chunking: it must be seen in the test.
      this.#refuse(
        exchange,
        mistake(
          exchange.dialect,
          'script_failed',
          `The script of the strict provider threw: ${messageOf(thrown)}`,
        ),
      )
    }
  }

  async #serve(exchange: Exchange, text: string | undefined): Promise<void> {
    const { request, dialect } = exchange
    const { method, path, headers } = request
    if (method !== 'POST' || path !== dialect.path) {
      const received = { method, path, headers, text }
      const answer = this.#anthropicBatches.answer(received) ?? (await this.#openAIBatches.answer(received))
      if (answer !== undefined) return this.#answerBatch(exchange, answer)
      return this.#refuse(exchange, refuseUrl(method, path))
    }
    const body = isJson(request.headers) ? parsed(text) : undefined
    if (isJsonObject(body)) request.body = body
    const { keys, hold } = this.#options
    const refusal =
      dialect.authorize(request.headers, keys) ?? dialect.validate(body, this.#options, request.headers)
    if (refusal !== undefined) return this.#refuse(exchange, refusal)
    const turn = this.#nextTurn(request, dialect)
    if (turn === undefined) return this.#refuse(exchange, this.#exhausted(exchange))
    if (hold !== undefined) await unlessGone(hold(request), exchange.gone)
    if (exchange.gone.aborted) return
    if ('status' in turn) return sendError(exchange, turn)
    if ('fault' in turn && turn.fault === 'expired') throw new Error('Only what is in a batch can expire.')
    const delivery = this.#delivery(exchange)
    return 'fault' in turn ? strike(turn, delivery) : deliver(turn, delivery)
  }

  #nextTurn(request: StrictRequest, dialect: Dialect): StrictTurn | undefined {
    const script = this.#script
    if (script === undefined) return dialect.improvise(request.body)
    if (typeof script === 'function') return script(request)
    const turn = script[this.#scriptPosition]
    this.#scriptPosition += 1
    return turn
  }

  #batchHost(dialect: Dialect): BatchHost {
    const { keys, batchPolls: polls = 1 } = this.#options
    return {
      rules: this.#options,
      keys,
      polls,
      turn: (body, headers) => {
        const request = { method: 'POST', path: dialect.path, headers, body, clientAborted: false }
        const turn = this.#nextTurn(request, dialect)
        if (turn !== undefined) return turn
        throw new Error('it is exhausted, and there are more requests in a batch. Add a reply for each.')
      },
      body: (reply, request) => dialect.body(reply, this.#context(request)),
      refused: (refusal) => this.refusals.push(refusal),
    }
  }

  #answerBatch(exchange: Exchange, answer: BatchAnswer): void {
    if ('rule' in answer) {
      this.#refuse(exchange, answer)
      return
    }
    const isObject = 'object' in answer
    const text = isObject
      ? JSON.stringify(answer.object)
      : answer.lines.map((line) => `${JSON.stringify(line)}\n`).join('')
    const type = isObject ? 'application/json' : 'application/octet-stream'
    sendAnswer(exchange, 200, text, { 'content-type': type })
  }

  #exhausted({ dialect, number }: Exchange): Refusal {
    const replies = this.#script?.length ?? 0
    return mistake(
      dialect,
      'script_exhausted',
      `The script of the strict provider is exhausted: it has ${replies} ${replies === 1 ? 'reply' : 'replies'}, and ` +
        `request ${number} asks for another one. Add a reply to the script, or find out why the client asks again.`,
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

  #delivery({ request, dialect, headers, response, gone }: Exchange): Delivery {
    const { chunking = 'event' } = this.#options
    const context = () => this.#context(request.body)
    return {
      dialect,
      request: request.body,
      streams: request.body['stream'] === true,
      headers,
      body: (reply) => JSON.stringify(dialect.body(reply, context())),
      events: (reply) => dialect.events(reply, context()),
      chunking,
      response,
      gone,
    }
  }

  #context(request: JsonObject): WireContext {
    this.#replies += 1
    return {
      request,
      replyNumber: this.#replies,
      nextCallNumber: () => {
        this.#calls += 1
        return this.#calls
      },
      pieces: this.#options.pieces ?? 'word',
    }
  }
}

function mistake(dialect: Dialect, rule: string, message: string): Refusal {
  return { status: 500, rule, body: dialect.errorBody(message, rule) }
}
