import type { ServerResponse } from 'node:http'
import type { JsonObject } from '../json.ts'
import { type Chunking, cut, writeAndEnd } from './strict-bytes.ts'
import type { Dialect, StrictReply, WireEvent } from './strict-contract.ts'

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
