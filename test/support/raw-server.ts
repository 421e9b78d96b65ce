import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

/** What a raw server saw of one request. */
export interface RawRequest {
  readonly headers: IncomingMessage['headers']
  readonly url: string
  readonly body: string
  /** Resolves when the connection is gone or the answer is finished. */
  readonly closed: Promise<void>
}

export interface RawServer extends AsyncDisposable {
  /** Ends in `/v1`. */
  readonly url: string
  readonly requests: readonly RawRequest[]
  /** Connections made so far. */
  readonly connections: number
}

/** A server of 127.0.0.1 that answers with whatever bytes a test writes, for wires that no honest provider has. */
export async function rawServer(
  answer: (response: ServerResponse, request: RawRequest, number: number) => void,
): Promise<RawServer> {
  const requests: RawRequest[] = []
  const sockets = new Set<Socket>()
  let connections = 0
  const server = createServer(async (incoming, response) => {
    let body = ''
    for await (const chunk of incoming.setEncoding('utf8')) body += chunk
    const closed = new Promise<void>((resolve) => response.once('close', resolve))
    const request = { headers: incoming.headers, url: incoming.url ?? '', body, closed }
    requests.push(request)
    answer(response, request, requests.length)
  })
  server.on('connection', (socket) => {
    connections += 1
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo // a server that listens on a port has an address with a port
  return {
    url: `http://127.0.0.1:${port}/v1`,
    requests,
    get connections() {
      return connections
    },
    [Symbol.asyncDispose]: () => close(server, sockets),
  }
}

/** Answers with a stream of these events, and ends it. */
export function sendEvents(response: ServerResponse, ...data: readonly (string | object)[]): void {
  startEvents(response, ...data).end()
}

/** Answers with a stream of these events, and leaves it open. */
export function startEvents(response: ServerResponse, ...data: readonly (string | object)[]): ServerResponse {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  for (const item of data)
    response.write(`data: ${typeof item === 'string' ? item : JSON.stringify(item)}\n\n`)
  response.flushHeaders()
  return response
}

/** A chunk of a Chat Completions stream. */
export function delta(delta: object, finish_reason: string | null = null): object {
  return { id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason }] }
}

async function close(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve))
  for (const socket of sockets) socket.destroy()
  await closed
}
