import type {
  CallOptions,
  ClientMiddleware,
  ClientNotice,
  LLMChunk,
  LLMClient,
  LLMRequest,
} from '../../client/client.ts'
import { collect } from '../../client/collect.ts'
import { ConfigurationError } from '../../errors.ts'
import type { JsonObject, JsonValue } from '../../json.ts'
import type { Runtime } from '../../runtime.ts'
import { collectSecrets, type SecretEntry } from '../../secret.ts'
import { KnownSecrets } from '../../tools/known-secrets.ts'
import { outputJson, outputObject } from '../../tools/output.ts'
import { isToolOutput, type Tool, type ToolContext } from '../../tools/tool.ts'
import { askedOfModel, toolAsked } from './asked.ts'
import { writeCassette } from './file.ts'
import { type RecordedError, writeError } from './recorded-error.ts'
import type { Pause, RecordedChunk, RecordedClient, RecordedOutcome, Recording } from './recording.ts'
import { scrubbedRecording } from './scrubbed.ts'
import { toolAround } from './tool-around.ts'

export interface RecorderSettings {
  readonly path: string
  readonly secrets: readonly SecretEntry[]
  /** Without it, no time is recorded. */
  readonly runtime?: Pick<Runtime, 'now'> | undefined
}

/** A cassette that listens: everything goes on as without it. It is scrubbed when it is saved, of all that is secret by then. */
export class Recorder {
  readonly mode = 'record'
  readonly #settings: RecorderSettings
  readonly #secrets: KnownSecrets
  readonly #clients = new Map<string, RecordedClient>()
  readonly #recordings: Recording[] = []
  #finished = 0

  constructor(settings: RecorderSettings) {
    this.#settings = settings
    this.#secrets = new KnownSecrets(settings.secrets)
  }

  readonly client: ClientMiddleware = (next) => {
    const { provider, model, capabilities, stream, close } = next
    this.#clients.set(`${provider}/${model}`, { provider, model, capabilities })
    return {
      provider,
      model,
      capabilities,
      call: (request, options) => collect(next, this.#listen(next, request, options, called(next))),
      ...(stream && {
        stream: (request: LLMRequest, options?: CallOptions) =>
          this.#listen(next, request, options, stream.bind(next)),
      }),
      ...(close && { close: () => close.call(next) }),
    }
  }

  player(): LLMClient {
    throw new ConfigurationError(
      'player',
      `The cassette "${this.#settings.path}" is being recorded, so there is nothing to play yet. ` +
        'Record a client with wrapClient(client, tape.client), save, and open the cassette again.',
    )
  }

  readonly tool = <Input>(tool: Tool<Input>): Tool<Input> => {
    const askedOf = toolAsked(tool)
    return toolAround(tool, async (input, context) => {
      this.#secrets.add(collectSecrets(context.config))
      // Before anything is waited for: recordings stand in the order in which the calls began.
      const recording: DraftOfTool = { asked: { tool: tool.name } }
      this.#recordings.push(recording)
      recording.asked = await askedOf(input, context)
      const pause = this.#stopwatch()
      const finish = (outcome: RecordedOutcome) => {
        recording.outcome = outcome
        if (context.signal.aborted) recording.stopped = true
        recording.finished = ++this.#finished
      }
      try {
        const output = await tool.execute(input, overheard(context, recording))
        finish({ ...outcomeOf(output), ...pause() })
        return output
      } catch (thrown) {
        finish({ thrown: writeError(thrown), ...pause() })
        throw thrown
      }
    })
  }

  assertComplete(): void {}

  async save(): Promise<void> {
    if (this.#recordings.length === 0) return
    const { scrubber } = this.#secrets
    await writeCassette(this.#settings.path, {
      clients: scrubber.value([...this.#clients.values()]),
      recordings: this.#recordings.map((recording) => scrubbedRecording(recording, scrubber)),
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.save()
  }

  async *#listen(
    client: LLMClient,
    request: LLMRequest,
    options: CallOptions = {},
    ask: (request: LLMRequest, options: CallOptions) => AsyncIterable<LLMChunk>,
  ): AsyncGenerator<LLMChunk, void, undefined> {
    const reply: DraftOfReply = { chunks: [] }
    this.#recordings.push({ asked: askedOfModel(client, request), reply })
    const notify = (notice: ClientNotice) => {
      reply.notices = [...(reply.notices ?? []), notice]
      options.notify?.(notice)
    }
    const pause = this.#stopwatch()
    try {
      for await (const chunk of ask(request, { ...options, notify })) {
        reply.chunks.push({ ...jsonOf(chunk), ...pause() })
        yield chunk
        // The time its reader takes is not the model's.
        pause()
      }
    } catch (thrown) {
      // A call that was stopped is stopped in a replay, too.
      if (!options.signal?.aborted) reply.error = { ...writeError(thrown), ...pause() }
      throw thrown
    }
  }

  /** Gives the time since it was last asked. */
  #stopwatch(): () => Pause {
    const { runtime } = this.#settings
    if (!runtime) return () => ({})
    let since = runtime.now()
    return () => {
      const afterMs = runtime.now() - since
      since += afterMs
      return afterMs > 0 ? { afterMs } : {}
    }
  }
}

interface DraftOfReply {
  readonly chunks: RecordedChunk[]
  notices?: readonly ClientNotice[]
  error?: RecordedError & Pause
}

interface DraftOfTool {
  asked: JsonObject
  progress?: readonly JsonValue[]
  outcome?: RecordedOutcome
  stopped?: true
  finished?: number
}

/** An answer that came whole, as chunks: its text in one piece. */
function called(client: LLMClient) {
  return async function* (request: LLMRequest, options: CallOptions): AsyncGenerator<LLMChunk> {
    const response = await client.call(request, options)
    if (response.text !== '') yield { type: 'text', text: response.text }
    yield { type: 'end', response }
  }
}

/** A copy that nobody else can change, without what the provider said in its own words. */
function jsonOf(chunk: LLMChunk): LLMChunk {
  if (chunk.type !== 'end') return { ...chunk }
  const { raw: _, ...response } = chunk.response
  return { type: 'end', response: structuredClone(response) }
}

function overheard(context: ToolContext, recording: DraftOfTool): ToolContext {
  return {
    ...context,
    progress: (update) => {
      // What a tool still says that was told to stop is heard by nobody.
      if (!context.signal.aborted) recording.progress = [...(recording.progress ?? []), outputJson(update)]
      context.progress(update)
    },
  }
}

function outcomeOf(output: unknown): RecordedOutcome {
  if (output === undefined) return {}
  if (!isToolOutput(output)) return { returned: outputJson(output) }
  const metadata = output.metadata && outputObject(output.metadata)
  return {
    result: {
      ok: output.ok,
      ...(output.output !== undefined && { output: outputJson(output.output) }),
      ...(metadata && { metadata }),
    },
  }
}
