import { getEventListeners } from 'node:events'
import { setImmediate } from 'node:timers'
import { inspect } from 'node:util'
import type { CallOptions, LLMChunk, LLMClient, LLMRequest, LLMResponse } from '../../client/client.ts'
import { isLLMError } from '../../client/thrown.ts'
import type { LLMError, LLMErrorKind } from '../../errors.ts'
import { user } from '../../messages.ts'
import type { Runtime } from '../../runtime.ts'
import { virtualClock } from '../clock.ts'
import type { Chunking } from '../strict-bytes.ts'
import type { StrictFault, StrictReply } from '../strict-contract.ts'
import { same, thrownBy } from './expectations.ts'

/** How a client is to be made for one case. */
export interface ConformanceSettings {
  /** Where the bytes of replies are cut. */
  readonly chunking: Chunking
  /** How long the client is to wait for content. */
  readonly firstContentMs: number
  readonly idleMs: number
  /** The clock by which it is to wait: it stands still unless a case moves it. */
  readonly runtime: Pick<Runtime, 'now' | 'sleep'>
}

/** A client, and the model that it asks. */
export interface ClientUnderTest {
  readonly client: LLMClient
  /** What the model does from now on, one turn a request. */
  script(turns: readonly (StrictReply | StrictFault)[]): void
  /** How many requests were sent so far. */
  readonly requests: number
  /** How many of them are not over. */
  readonly liveRequests: number
  /** What the client is known by at its provider, which no error may show. */
  readonly apiKey: string
  close(): Promise<void>
}

export type MakeClient = (settings: ConformanceSettings) => Promise<ClientUnderTest>

/** How a reply is asked for. */
export type Verb = 'call' | 'stream'

export interface Heard {
  readonly chunks: readonly LLMChunk[]
  readonly response: LLMResponse
}

export const hello: LLMRequest = { messages: [user('Hello')] }
export const helloWithTools: LLMRequest = {
  ...hello,
  tools: ['look', 'wait'].map((name) => ({
    name,
    description: 'Does it',
    parameters: { type: 'object', properties: { where: { type: 'string' } } },
  })),
}

/** One client, made for one case, with what a case needs to do. */
export class Stage implements AsyncDisposable {
  readonly subject: ClientUnderTest
  readonly #advance: (ms: number) => Promise<void>

  static async open(make: MakeClient, chunking: Chunking = 'event'): Promise<Stage> {
    const clock = virtualClock({ auto: false })
    const { now, sleep } = clock.runtime
    const subject = await make({ chunking, ...patience, runtime: { now, sleep } })
    return new Stage(subject, (ms) => clock.advance(ms))
  }

  private constructor(subject: ClientUnderTest, advance: (ms: number) => Promise<void>) {
    this.subject = subject
    this.#advance = advance
  }

  /** The ways in which this client can be asked. */
  get verbs(): readonly Verb[] {
    return this.subject.client.stream ? ['call', 'stream'] : ['call']
  }

  /** Asks for what is said next. A call says it in no chunks. */
  async ask(verb: Verb, turn: StrictReply | StrictFault, options: AskOptions = {}): Promise<Heard> {
    this.subject.script([turn])
    const { request = hello, ...callOptions } = options
    if (verb === 'call') return { chunks: [], response: await this.subject.client.call(request, callOptions) }
    return heardFrom(this.streamOf(request, callOptions))
  }

  streamOf(request: LLMRequest, options?: CallOptions): AsyncIterable<LLMChunk> {
    const { client } = this.subject
    if (!client.stream) throw new Error('The client does not stream: this case is not for it.')
    return client.stream(request, options)
  }

  /** Asks for what fails. */
  async failure(verb: Verb, turn: StrictReply | StrictFault, options: AskOptions = {}): Promise<LLMError> {
    return this.#llmError(
      `${verb}, ${inspect(turn, { depth: 1 })}`,
      await thrownBy(this.ask(verb, turn, options)),
    )
  }

  /** Asks for what stalls, and lets more time pass than the client is to wait. */
  async stall(verb: Verb, turn: StrictReply | StrictFault): Promise<LLMError> {
    const before = this.subject.requests
    const thrown = thrownBy(this.ask(verb, turn))
    await until(() => this.subject.requests > before)
    let isOver = false
    const over = () => {
      isOver = true
    }
    void thrown.then(over, over)
    // What is on its way arrives first, and then counts as heard.
    while (!isOver) {
      await turns(20)
      await this.#advance(patience.firstContentMs)
    }
    return this.#llmError(verb, await thrown)
  }

  #llmError(what: string, thrown: unknown): LLMError {
    if (!isLLMError(thrown)) {
      throw new Error(`${what}: it failed with what is no LLMError: ${inspect(thrown)}`, { cause: thrown })
    }
    const { provider, model } = this.subject.client
    same({ provider: thrown.provider, model: thrown.model }, { provider, model }, 'whose error it is')
    const shown = `${inspect(thrown, { depth: 20, showHidden: true })}${thrown.stack}${JSON.stringify(thrown)}`
    if (shown.includes(this.subject.apiKey)) throw new Error(`${what}: the error shows the key.`)
    return thrown
  }

  /** Every request is over. */
  async quiet(): Promise<void> {
    await until(() => this.subject.liveRequests === 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.subject.close()
  }
}

const patience = { firstContentMs: 60_000, idleMs: 60_000 }

export interface AskOptions extends CallOptions {
  readonly request?: LLMRequest
}

/** All of a stream: its chunks, and the response of its one end. */
export async function heardFrom(stream: AsyncIterable<LLMChunk>): Promise<Heard> {
  const chunks: LLMChunk[] = []
  for await (const chunk of stream) chunks.push(chunk)
  const ends = chunks.filter((chunk) => chunk.type === 'end')
  const last = chunks.at(-1)
  if (last?.type !== 'end' || ends.length !== 1) {
    throw new Error(`A stream ends with exactly one end, its last chunk; this one has ${ends.length}.`)
  }
  return { chunks, response: last.response }
}

/** The text, reasoning and calls that the chunks of a stream add up to. */
export function addedUp(chunks: readonly LLMChunk[]) {
  const calls: { id: string; toolName: string; text: string }[] = []
  let text = ''
  let reasoning = ''
  for (const chunk of chunks) {
    if (chunk.type === 'text') text += chunk.text
    if (chunk.type === 'reasoning') reasoning += chunk.text
    if (chunk.type !== 'tool_call') continue
    calls[chunk.index] ??= { id: '', toolName: '', text: '' }
    const call = calls[chunk.index] ?? { id: '', toolName: '', text: '' }
    call.id += chunk.id ?? ''
    call.toolName += chunk.toolName ?? ''
    call.text += chunk.parametersText ?? ''
  }
  return { text, reasoning, calls }
}

/** A response without what differs between providers: their own words, and what only they can read. */
export function plain({ requestId: _, raw: __, reasoning, ...response }: LLMResponse): PlainResponse {
  const text = reasoning?.map((part) => part.text ?? '').join('')
  return { ...response, ...(text && { reasoning: text }) }
}

export interface PlainResponse extends Omit<LLMResponse, 'reasoning' | 'raw' | 'requestId'> {
  readonly reasoning?: string
}

/** What a caller's signal hears of, and whether all of it is let go of in the end. */
export function watchedSignal(): { readonly controller: AbortController; readonly listeners: () => number } {
  const controller = new AbortController()
  return { controller, listeners: () => getEventListeners(controller.signal, 'abort').length }
}

/** An abort is told by the signal's own reason or by an `LLMError` of its kind. */
export function checkAborted(thrown: unknown, reason: unknown, what: string): void {
  if (thrown === reason || (isLLMError(thrown) && thrown.kind === 'aborted')) return
  throw new Error(`${what}: an abort came as ${inspect(thrown)}.`, { cause: thrown })
}

export function sameKind(error: LLMError, kinds: readonly LLMErrorKind[], what: string): void {
  if (kinds.includes(error.kind)) return
  throw new Error(`${what}: the error is of kind ${error.kind}, not ${kinds.join(' or ')}.`, { cause: error })
}

/** Lets the event loop turn until it is so; the limit of whoever runs the case ends a wait in vain. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turns(1)
}

export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}
