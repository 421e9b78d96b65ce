import type { ServerResponse } from 'node:http'
import type { JsonObject } from '../json.ts'
import { type Chunking, cut, writeAndEnd } from './strict-bytes.ts'
import type { Dialect, StrictError, StrictReply, WireEvent } from './strict-contract.ts'

/** What it takes to answer one request. */
export interface Delivery {
  readonly dialect: Dialect
  readonly request: JsonObject
  /** The client asked for events. */
  readonly streams: boolean
  /** Sent with every answer. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: (reply: StrictReply) => string
  readonly events: (reply: StrictReply) => Iterable<WireEvent>
  readonly chunking: Chunking
  readonly response: ServerResponse
  /** The client, or the whole provider. */
  readonly gone: AbortSignal
}

/** Answers a request with what the model says. */
export function deliver(reply: StrictReply, delivery: Delivery): Promise<void> {
  const { response, chunking, gone, headers } = delivery
  if (delivery.streams) {
    response.writeHead(200, { ...headers, 'content-type': 'text/event-stream; charset=utf-8' })
    return writeAndEnd(response, cut(textsOf(delivery.events(reply)), chunking), gone)
  }
  const text = delivery.body(reply)
  const whole = chunking === 'event' || chunking === 'whole'
  response.writeHead(200, {
    ...headers,
    'content-type': 'application/json',
    // Without a length the writes are chunks of the transfer encoding, which reach the client as they were cut.
    ...(whole && { 'content-length': Buffer.byteLength(text) }),
  })
  return writeAndEnd(response, cut([text], chunking), gone)
}

export function* textsOf(events: Iterable<WireEvent>): Generator<string, void, undefined> {
  for (const { text } of events) yield text
}

/** Answers with an error of any kind. */
export function sendError(
  { dialect, ...delivery }: Pick<Delivery, 'dialect' | 'response' | 'headers'>,
  { status, headers, body = dialect.errorBody(`Scripted error ${status}.`) }: StrictError,
): void {
  const isText = typeof body === 'string'
  sendAnswer(delivery, status, isText ? body : JSON.stringify(body), {
    'content-type': isText ? 'text/plain; charset=utf-8' : 'application/json',
    ...headers,
  })
}

/** Answers with one text. */
export function sendAnswer(
  { response, headers }: Pick<Delivery, 'response' | 'headers'>,
  status: number,
  text: string,
  more: Readonly<Record<string, string>>,
): void {
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(text), ...lowerCased(more) })
  response.end(text)
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}
