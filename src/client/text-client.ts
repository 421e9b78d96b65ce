import { leave, linkedController, untilAborted } from '../abort.ts'
import { LLMError, shown } from '../errors.ts'
import { type Message, system } from '../messages.ts'
import { type Check, checkMembers, checkOptions, filledText, fn, optional } from '../options.ts'
import {
  type CallOptions,
  type Capabilities,
  capabilitiesCheck,
  type LLMChunk,
  type LLMClient,
  type LLMRequest,
  type LLMResponse,
  type ModelParams,
} from './client.ts'
import { clientError } from './thrown.ts'

/**
 * Turns messages into text, whole or in pieces. The system text is the first of `messages`, and once more in
 * `options.system`. `options.signal` aborts when the call is cancelled or its stream is left.
 */
export type Generate = (
  messages: readonly Message[],
  options: { readonly signal: AbortSignal; readonly params: ModelParams; readonly system?: string },
) => Promise<string> | string | AsyncIterable<string>

export interface TextClientOptions {
  /** Default: `'custom'`. */
  readonly provider?: string
  /** Default: `'text'`. */
  readonly model?: string
  /** Default: no tools, no structured output, no images; `streaming`, where a plain string is one piece. */
  readonly capabilities?: Partial<Capabilities>
}

/**
 * The smallest client there is: a function from messages to text. Tools, plans and answers are spoken in the JSON
 * protocol. What it throws becomes an `LLMError`; an abort does not wait for it.
 *
 * @throws ConfigurationError
 */
export function textClient(generate: Generate, options: TextClientOptions = {}): LLMClient {
  checkMembers('textClient', { generate }, { generate: fn() })
  checkOptions('textClient', options, checks)
  const { provider = 'custom', model = 'text' } = options
  const source = { provider, model }
  return {
    provider,
    model,
    capabilities: {
      tools: false,
      streaming: true,
      structuredOutput: false,
      images: false,
      ...options.capabilities,
    },
    async call(request, callOptions) {
      let text = ''
      for await (const piece of piecesOf(generate, request, callOptions, source)) text += piece
      return responseOf(text)
    },
    async *stream(request, callOptions): AsyncGenerator<LLMChunk, void, undefined> {
      let text = ''
      for await (const piece of piecesOf(generate, request, callOptions, source)) {
        text += piece
        yield { type: 'text', text: piece }
      }
      yield { type: 'end', response: responseOf(text) }
    },
  }
}

const checks: Record<keyof TextClientOptions, Check> = {
  provider: optional(filledText()),
  model: optional(filledText()),
  capabilities: optional(capabilitiesCheck),
}

const responseOf = (text: string): LLMResponse => ({ text, toolCalls: [], stopReason: 'stop' })

/** What `generate` says, piece by piece without the empty ones. */
async function* piecesOf(
  generate: Generate,
  request: LLMRequest,
  options: CallOptions | undefined,
  source: Pick<LLMClient, 'provider' | 'model'>,
): AsyncGenerator<string, void, undefined> {
  const { controller, unlink } = linkedController(options?.signal)
  const { signal } = controller
  let ended = false
  try {
    signal.throwIfAborted()
    const said = generate(
      request.system === undefined ? request.messages : [system(request.system), ...request.messages],
      {
        signal,
        params: request.params ?? {},
        ...(request.system !== undefined && { system: request.system }),
      },
    )
    const pieces = isAsyncIterable(said)
      ? eachUntilAborted(said, signal)
      : [untilAborted(settled(said), signal)]
    for await (const piece of pieces) {
      const text: unknown = piece // what a caller's function gives is known only by looking
      if (typeof text !== 'string') {
        throw new LLMError(
          `The function of textClient must give text, got ${shown(text)}. Return a string, a promise of one, or an async iterable of strings.`,
          { ...source, kind: 'malformed', retryable: false },
        )
      }
      if (text !== '') yield text
    }
    ended = true
  } catch (error) {
    ended = true
    throw clientError(error, source, signal)
  } finally {
    unlink()
    if (!ended) controller.abort(new DOMException('The stream was left before its end.', 'AbortError'))
  }
}

async function settled<T>(value: PromiseLike<T> | T): Promise<T> {
  return value
}

/** Every item of `items` until the signal aborts: then the wait ends, whatever `items` does. */
async function* eachUntilAborted<T>(
  items: AsyncIterable<T>,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  const iterator = items[Symbol.asyncIterator]()
  let open = true
  try {
    for (;;) {
      const step = await untilAborted(settled(iterator.next()), signal)
      if (step.done) {
        open = false
        return
      }
      yield step.value
    }
  } catch (error) {
    // What threw is over; what was aborted while it worked may never come back, so nobody waits for it.
    open = false
    if (signal.aborted) leave(iterator)
    throw error
  } finally {
    if (open) await iterator.return?.()
  }
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}
