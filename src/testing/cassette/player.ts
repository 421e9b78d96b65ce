import { setImmediate } from 'node:timers'
import { untilAborted } from '../../abort.ts'
import type { CallOptions, ClientMiddleware, LLMChunk, LLMClient, LLMRequest } from '../../client/client.ts'
import { collect } from '../../client/collect.ts'
import { ConfigurationError, FatalToolError } from '../../errors.ts'
import type { Runtime } from '../../runtime.ts'
import { collectSecrets, type SecretEntry } from '../../secret.ts'
import { KnownSecrets } from '../../tools/known-secrets.ts'
import { outputText } from '../../tools/output.ts'
import { type Tool, toolError, toolResult } from '../../tools/tool.ts'
import { askedOfModel, toolAsked } from './asked.ts'
import type { CassetteMissError } from './miss.ts'
import { type Mutation, mutated, performanceOf } from './mutation.ts'
import { readError } from './recorded-error.ts'
import {
  isModelRecording,
  type ModelRecording,
  type Pause,
  type RecordedClient,
  type RecordedOutcome,
  type Recordings,
  type ToolRecording,
} from './recording.ts'
import { Shelf } from './shelf.ts'
import { toolAround } from './tool-around.ts'

export interface PlayerSettings {
  readonly path: string
  readonly secrets: readonly SecretEntry[]
  readonly match: 'strict' | 'loose'
  readonly mutate: readonly Mutation[]
  /** Without it, nothing takes any time. */
  readonly runtime?: Pick<Runtime, 'sleep'> | undefined
}

/** A cassette that plays: no client is asked, and no tool executed. */
export class Player {
  readonly mode = 'replay'
  readonly #settings: PlayerSettings
  readonly #clients: readonly RecordedClient[]
  readonly #models: Shelf<ModelRecording>
  readonly #tools: Shelf<ToolRecording>
  readonly #secrets: KnownSecrets
  /** Tool calls that have begun and not ended. */
  readonly #playing = new Set<ToolRecording>()
  #modelCalls = 0
  #miss: CassetteMissError | undefined

  constructor({ clients, recordings }: Recordings, settings: PlayerSettings) {
    this.#settings = settings
    this.#clients = clients
    this.#models = new Shelf(recordings.filter(isModelRecording), settings)
    this.#tools = new Shelf(
      recordings.filter((recording) => !isModelRecording(recording)),
      settings,
    )
    this.#secrets = new KnownSecrets(settings.secrets)
  }

  readonly client: ClientMiddleware = (next) => {
    const { close } = next
    return { ...this.#clientAs(next), ...(close && { close: () => close.call(next) }) }
  }

  player(who: { readonly provider?: string; readonly model?: string } = {}): LLMClient {
    const { provider, model } = who
    const fitting = this.#clients.filter(
      (client) =>
        (provider ?? client.provider) === client.provider && (model ?? client.model) === client.model,
    )
    const [client] = fitting
    if (client && fitting.length === 1) return this.#clientAs(client)
    const known = this.#clients.map((each) => `${each.provider}/${each.model}`).join(', ')
    throw new ConfigurationError(
      'player',
      `The cassette "${this.#settings.path}" was recorded with ${known || 'no client'}: ` +
        'say which of them with player({ provider, model }).',
    )
  }

  readonly tool = <Input>(tool: Tool<Input>): Tool<Input> => {
    const askedOf = toolAsked(tool)
    return toolAround(tool, async (input, context) => {
      this.#secrets.add(collectSecrets(context.config))
      const asked = this.#secrets.scrubber.value(await askedOf(input, context))
      const recording = this.#found(
        () => this.#tools.take(asked),
        // A model that is told of it would only be asked something that is not recorded either.
        (miss) => new FatalToolError(miss.message, { cause: miss }),
      )
      for (const update of recording.progress ?? []) context.progress(update)
      this.#playing.add(recording)
      try {
        return await this.#outcome(recording, context.signal)
      } finally {
        this.#playing.delete(recording)
      }
    })
  }

  /** Throws an error when something was asked for that is not recorded, or recorded and not asked for. */
  assertComplete(): void {
    if (this.#miss) throw this.#miss
    const left = [...this.#models.left(), ...this.#tools.left()]
    const [first] = left
    if (!first) return
    throw new Error(
      `${left.length} of the recordings on "${this.#settings.path}" were never asked for. The first of them: ${first}.`,
    )
  }

  async save(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}

  #clientAs({ provider, model, capabilities }: RecordedClient): LLMClient {
    const who = { provider, model }
    return {
      ...who,
      capabilities,
      call: (request, options) => collect(who, this.#play(who, request, options)),
      ...(capabilities.streaming && {
        stream: (request: LLMRequest, options?: CallOptions) => this.#play(who, request, options),
      }),
    }
  }

  async *#play(
    who: Pick<LLMClient, 'provider' | 'model'>,
    request: LLMRequest,
    { signal, notify }: CallOptions = {},
  ): AsyncGenerator<LLMChunk, void, undefined> {
    signal?.throwIfAborted()
    const number = ++this.#modelCalls
    const asked = this.#secrets.scrubber.value(askedOfModel(who, request))
    const mutation = this.#settings.mutate.find(({ call }) => call === number)
    const { reply } = this.#found(() => (mutation ? this.#models.show(asked) : this.#models.take(asked)))
    const performance = mutation ? mutated(performanceOf(reply), mutation, who) : performanceOf(reply)
    // One that never comes to its end is there for the next that asks the same: a second attempt.
    if (mutation && performance.chunks.at(-1)?.type === 'end') this.#models.take(asked)

    for (const notice of reply.notices ?? []) notify?.(notice)
    for (const { afterMs = 0, ...chunk } of performance.chunks) {
      await this.#pause({ afterMs }, signal)
      signal?.throwIfAborted()
      yield chunk
    }
    const { ending } = performance
    if (ending === 'over') return
    if (ending === 'silent') return untilAborted(forever(), signal ?? new AbortController().signal)
    const { afterMs = 0, ...error } = ending
    await this.#pause({ afterMs }, signal)
    throw readError(error)
  }

  async #outcome(
    { outcome, stopped, finished = never }: ToolRecording,
    signal: AbortSignal,
  ): Promise<unknown> {
    if (!outcome) return forever()
    if (stopped) {
      // It may have been deaf, and the clock says until when; then it waits for what it had heard by then.
      await this.#pause(outcome, undefined)
      await untilAborted(forever(), signal).catch(() => {})
      return played(outcome)
    }
    await this.#pause(outcome, signal)
    // Tools that went on side by side finish in the order in which they did.
    do await macrotask()
    while ([...this.#playing].some((other) => (other.finished ?? never) < finished))
    return played(outcome)
  }

  /** What was asked for in vain is remembered: whoever asked may get over it. */
  #found<T>(find: () => T, thrown: (miss: CassetteMissError) => Error = (miss) => miss): T {
    try {
      return find()
    } catch (error) {
      const miss = error as CassetteMissError // a shelf throws nothing else
      this.#miss ??= miss
      throw thrown(miss)
    }
  }

  async #pause({ afterMs = 0 }: Pause, signal: AbortSignal | undefined): Promise<void> {
    if (afterMs > 0) await this.#settings.runtime?.sleep(afterMs, signal)
  }
}

/** Long enough for all that was begun together to have begun. */
const macrotask = () => new Promise<void>((resolve) => setImmediate(resolve))

const never = Number.POSITIVE_INFINITY

const forever = () => new Promise<never>(() => {})

/** What `execute` gave, given again. */
function played(outcome: RecordedOutcome): unknown {
  if ('thrown' in outcome) throw readError(outcome.thrown)
  if (!('result' in outcome)) return outcome.returned
  const { ok, output, metadata } = outcome.result
  const options = metadata ? { metadata } : {}
  return ok ? toolResult(output, options) : toolError(outputText(output), options)
}
