import { type ArrivingGenerator, passing } from '../client/arrived.ts'
import type {
  CallOptions,
  ClientNotice,
  LLMChunk,
  LLMClient,
  LLMRequest,
  LLMResponse,
  ModelName,
} from '../client/client.ts'
import { clientAround } from '../client/client-around.ts'
import { collect, endedEarly } from '../client/collect.ts'
import { clientError } from '../client/thrown.ts'
import type { LLMError } from '../errors.ts'

/** `call`: the reply is its `end` alone. `stream`: it is told as it arrives. */
export type Way = 'call' | 'stream'

export type Ask = (request: LLMRequest, options: CallOptions | undefined, way: Way) => AsyncIterable<LLMChunk>

/** A client around `next` that asks by `ask`: the same for a call and a stream. */
export function wrapped(next: LLMClient, ask: Ask): LLMClient {
  return clientAround(next, {
    call: (request, options) => collect(next, ask(request, options, 'call')),
    stream: (_, request, options) => ask(request, options, 'stream'),
  })
}

/**
 * What `client` replies. Ends with exactly one `end`, or throws an error of this library. A stream is always told, also by
 * a client that has none: in one piece.
 */
export function replyOf(client: LLMClient, ...asked: Parameters<Ask>): ArrivingGenerator {
  let stream: AsyncIterator<LLMChunk> | undefined
  return passing(
    whole(client, asked, (streamed) => {
      stream = streamed
    }),
    () => stream,
  )
}

async function* whole(
  client: LLMClient,
  [request, options, way]: Parameters<Ask>,
  handOutFrom: (stream: AsyncIterator<LLMChunk>) => void,
): AsyncGenerator<LLMChunk, void, undefined> {
  try {
    if (way === 'call' || !client.stream || !client.capabilities.streaming) {
      yield* told(await client.call(request, options), way)
      return
    }
    const stream = client.stream(request, options)[Symbol.asyncIterator]()
    handOutFrom(stream)
    for await (const chunk of { [Symbol.asyncIterator]: () => stream }) {
      yield chunk
      if (chunk.type === 'end') return
    }
  } catch (thrown) {
    throw clientError(thrown, client, options?.signal)
  }
  throw endedEarly(client)
}

/** A whole response as a reply. Its calls come before its text, which is then known for the thought beside them. */
export async function* told(response: LLMResponse, way: Way): AsyncGenerator<LLMChunk, void, undefined> {
  if (way === 'stream') {
    for (const { text } of response.reasoning ?? []) if (text) yield { type: 'reasoning', text }
    for (const [index, { id, toolName, parameters }] of response.toolCalls.entries())
      yield { type: 'tool_call', index, id, toolName, parametersText: JSON.stringify(parameters) }
    if (response.text !== '') yield { type: 'text', text: response.text }
  }
  yield { type: 'end', response }
}

export function tell(options: CallOptions | undefined, notice: ClientNotice): void {
  try {
    options?.notify?.(notice)
  } catch {
    // A listener that throws cannot harm a call.
  }
}

/** What a notice says of a failure. */
export const failureOf = ({ code, message, kind }: LLMError) => ({ code, message, kind })

export const nameOf = ({ provider, model }: ModelName): ModelName => ({ provider, model })

/** The reply with the name of who gave it. */
export async function* signed(
  reply: AsyncIterable<LLMChunk>,
  client: LLMClient,
): AsyncGenerator<LLMChunk, void, undefined> {
  for await (const chunk of reply) {
    if (chunk.type !== 'end') yield chunk
    else yield { type: 'end', response: { answeredBy: nameOf(client), ...chunk.response } }
  }
}

/** Closes each of them once, also when some fail; then throws what the first of those threw. */
export async function closeAll(clients: Iterable<LLMClient>): Promise<void> {
  const closing = [...new Set(clients)].map(async (client) => client.close?.())
  const failed = (await Promise.allSettled(closing)).find(({ status }) => status === 'rejected')
  if (failed?.status === 'rejected') throw failed.reason
}
