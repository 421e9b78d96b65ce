import { untilAborted } from '../abort.ts'
import type {
  CallOptions,
  Capabilities,
  LLMChunk,
  LLMClient,
  LLMRequest,
  LLMResponse,
} from '../client/client.ts'
import { clientError } from '../client/thrown.ts'
import { ConfigurationError, LLMError, messageOf, shown, TercetError } from '../errors.ts'
import { type ToolCall, textOf, type Usage } from '../messages.ts'
import { type Check, checkOptions, filledText, integer, object, optional } from '../options.ts'
import { type Runtime, systemRuntime } from '../runtime.ts'
import type { Failure, Hang, Made, Reply, ReplyMaker, Script } from './script.ts'

/**
 * A model that says what it was told to: one reply of its script for each call, in order. It keeps every request, and
 * fails loudly when it is asked more often than it was scripted. `call` and `stream` give the same response.
 *
 * ```ts
 * const client = new ScriptedClient([calls(['weather', { city: 'Oslo' }]), 'Sunny.'])
 * ```
 */
export class ScriptedClient implements LLMClient {
  readonly provider: string
  readonly model: string
  readonly capabilities: Capabilities
  /** Absent with `capabilities: { streaming: false }`. */
  readonly stream?: (request: LLMRequest, options?: CallOptions) => AsyncGenerator<LLMChunk, void, undefined>

  readonly #script: Script
  readonly #chunkSize: number
  readonly #runtime: Pick<Runtime, 'sleep'>
  readonly #requests: LLMRequest[] = []
  readonly #callOptions: (CallOptions | undefined)[] = []
  #toolCalls = 0
  #left = 0
  #closed = false

  /** @throws ConfigurationError */
  constructor(script: Script, options: ScriptedClientOptions = {}) {
    checkOptions('ScriptedClient', options, checks)
    const { provider = 'scripted', model = 'scripted-1', chunkSize = Number.MAX_SAFE_INTEGER } = options
    this.provider = provider
    this.model = model
    this.capabilities = { ...everything, ...options.capabilities }
    this.#script = script
    this.#chunkSize = chunkSize
    this.#runtime = options.runtime ?? systemRuntime
    if (this.capabilities.streaming) this.stream = (request, callOptions) => this.#play(request, callOptions)
  }

  /** Every request, as it was received. A call whose signal had aborted before sent none. */
  get requests(): readonly LLMRequest[] {
    return this.#requests
  }

  /** What came with each of `requests`. */
  get callOptions(): readonly (CallOptions | undefined)[] {
    return this.#callOptions
  }

  /** How many requests there were. */
  get calls(): number {
    return this.#requests.length
  }

  /** How many streams were left before their end, without an abort. */
  get left(): number {
    return this.#left
  }

  get closed(): boolean {
    return this.#closed
  }

  async call(request: LLMRequest, options?: CallOptions): Promise<LLMResponse> {
    for await (const chunk of this.#play(request, options)) if (chunk.type === 'end') return chunk.response
    throw new Error('unreachable: what is played ends with its response or throws')
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  /** Throws an error when replies of the script were never asked for. */
  assertComplete(): void {
    if (typeof this.#script === 'function' || this.calls >= this.#script.length) return
    throw new Error(
      `${this.#script.length - this.calls} of ${this.#script.length} scripted replies were never asked for: ` +
        `the next is reply ${this.calls + 1}.`,
    )
  }

  async *#play(request: LLMRequest, options?: CallOptions): AsyncGenerator<LLMChunk, void, undefined> {
    const signal = options?.signal
    let over = false
    try {
      signal?.throwIfAborted()
      const reply = await this.#next(request, options)
      if (reply instanceof Error) throw reply
      if ('delayMs' in reply && reply.delayMs) await this.#runtime.sleep(reply.delayMs, signal)
      const { chunks, response } = this.#performance(reply)
      for (const chunk of chunks) {
        signal?.throwIfAborted()
        yield chunk
      }
      signal?.throwIfAborted()
      if ('hangs' in reply)
        await untilAborted(new Promise<never>(() => {}), signal ?? new AbortController().signal)
      if ('fails' in reply) throw this.#failure(reply)
      over = true
      yield { type: 'end', response }
    } catch (error) {
      over = true
      throw signal?.aborted ? clientError(error, this, signal) : error
    } finally {
      if (!over) this.#left++
    }
  }

  /** Takes the next reply. The request is kept before anything is waited for. */
  async #next(request: LLMRequest, options: CallOptions | undefined): Promise<Exclude<Made, string>> {
    const index = this.#requests.push(request) - 1
    this.#callOptions.push(options)
    if (typeof this.#script !== 'function' && index >= this.#script.length) {
      throw new ScriptExhaustedError(this.#script.length, index + 1, request)
    }
    let reply: unknown = typeof this.#script === 'function' ? this.#script : this.#script[index]
    if (typeof reply === 'function') {
      const made = (async () => (reply as ReplyMaker)(request, options))() // of all replies only makers are functions
      reply = await (options?.signal ? untilAborted(made, options.signal) : made)
    }
    if (typeof reply === 'string') return { text: reply }
    if (typeof reply === 'object' && reply !== null) return reply as Exclude<Made, string> // scripts are typed
    throw new ConfigurationError(
      `script[${index}]`,
      `Reply ${index + 1} of the script must be text, a reply, an error or a function that makes one, got ${shown(reply)}.`,
      { value: reply },
    )
  }

  #performance(reply: Reply | Failure | Hang): { chunks: LLMChunk[]; response: LLMResponse } {
    const said: Reply = 'fails' in reply || 'hangs' in reply ? { chunks: reply.after ?? [] } : reply
    const { reasoning, requestId, usage = usual } = said
    const toolCalls = (said.toolCalls ?? []).map(
      (call): ToolCall => ({ ...call, id: call.id ?? `call_${++this.#toolCalls}` }),
    )
    const streamed = said.chunks?.join('')
    const text = said.text ?? streamed ?? ''
    if (streamed !== undefined && streamed !== text) {
      throw new ConfigurationError(
        'chunks',
        `The chunks of a reply must make up its text, got ${shown(streamed)}.`,
      )
    }
    return {
      chunks: [
        ...this.#cut(reasoning ?? '').map((piece): LLMChunk => ({ type: 'reasoning', text: piece })),
        ...(said.chunks ?? this.#cut(text)).map((piece): LLMChunk => ({ type: 'text', text: piece })),
        ...toolCalls.flatMap((call, index) => this.#callChunks(call, index)),
      ],
      response: {
        text,
        toolCalls,
        ...(reasoning !== undefined && {
          reasoning: [{ provider: this.provider, model: this.model, text: reasoning }],
        }),
        stopReason: said.stopReason ?? (toolCalls.length > 0 ? 'tool_calls' : 'stop'),
        ...(usage !== 'absent' && { usage }),
        ...(requestId !== undefined && { requestId }),
      },
    }
  }

  #callChunks({ id, toolName, parameters }: ToolCall, index: number): LLMChunk[] {
    const [first = '', ...rest] = this.#cut(JSON.stringify(parameters))
    return [
      { type: 'tool_call', index, id, toolName, parametersText: first },
      ...rest.map((piece): LLMChunk => ({ type: 'tool_call', index, parametersText: piece })),
    ]
  }

  #cut(text: string): string[] {
    const pieces: string[] = []
    for (let from = 0; from < text.length; ) {
      let to = Math.min(from + this.#chunkSize, text.length)
      if (isLowSurrogate(text.charCodeAt(to)) && isHighSurrogate(text.charCodeAt(to - 1))) to++
      pieces.push(text.slice(from, to))
      from = to
    }
    return pieces
  }

  #failure({ fails: kind, message, status, retryAfterMs, retryable }: Failure): LLMError {
    return new LLMError(message ?? `scripted failure: ${kind}`, {
      kind,
      provider: this.provider,
      model: this.model,
      ...(status !== undefined && { status }),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
      ...(retryable !== undefined && { retryable }),
    })
  }
}

export interface ScriptedClientOptions {
  /** Default: `'scripted'`. */
  readonly provider?: string
  /** Default: `'scripted-1'`. */
  readonly model?: string
  /** Default: can do everything, and says nothing of its limits. */
  readonly capabilities?: Partial<Capabilities>
  /** UTF-16 code units of a streamed piece; a surrogate pair is never cut. Default: everything in one piece. */
  readonly chunkSize?: number
  /** Sleeps for `delayMs`. Default: the real clock. */
  readonly runtime?: Pick<Runtime, 'sleep'>
}

/** A scripted client was asked more often than it has replies. */
export class ScriptExhaustedError extends TercetError {
  readonly code = 'script_exhausted'
  /** The request that found no reply; the first is 1. */
  readonly requestNumber: number

  constructor(replies: number, requestNumber: number, request: LLMRequest) {
    super(
      `Request ${requestNumber} found no reply: the script holds ${replies}. ${lastOf(request)} ` +
        'Script one more reply, or find out why the model was asked again.',
    )
    this.requestNumber = requestNumber
  }
}

const checks: Record<keyof ScriptedClientOptions, Check> = {
  provider: optional(filledText()),
  model: optional(filledText()),
  capabilities: optional(object()),
  chunkSize: optional(integer(1)),
  runtime: optional(object()),
}

const everything: Capabilities = { tools: true, streaming: true, structuredOutput: true, images: true }

const usual: Usage = { inputTokens: 10, outputTokens: 5 }

function lastOf(request: LLMRequest): string {
  try {
    const last = request.messages.at(-1)
    return last
      ? `Its last message is of the ${last.role}: ${shown(textOf(last.content))}.`
      : 'It has no messages.'
  } catch (error) {
    return `Its messages cannot be read: ${messageOf(error)}.`
  }
}

const isHighSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff

const isLowSurrogate = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff
