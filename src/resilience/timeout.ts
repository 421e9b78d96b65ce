import { linkedController, untilAborted } from '../abort.ts'
import type { CallOptions, ClientMiddleware, LLMChunk, LLMClient } from '../client/client.ts'
import { clientAround } from '../client/client-around.ts'
import { isContent, SilenceWatch } from '../client/silence-watch.ts'
import { clientError } from '../client/thrown.ts'
import { LLMError } from '../errors.ts'
import { type Check, checkOptions, optional, positiveMs } from '../options.ts'
import { type Runtime, ringAfter, runtimeCheck, systemRuntime } from '../runtime.ts'
import { Pulls } from './pulls.ts'

export interface TimeoutOptions {
  /** How long a call may take in all, in milliseconds, from when it is made to the end of its answer. Default: no limit. */
  readonly requestMs?: number
  /**
   * How long an answer may take to begin, in milliseconds, also one that is given whole. Default: no limit; 300 000 if no
   * limit is given at all.
   */
  readonly firstContentMs?: number
  /**
   * How long an answer that has begun may say nothing more, in milliseconds. Only text, reasoning and tool calls count, and
   * the time its reader takes does not. Default: no limit; 60 000 if no limit is given at all.
   */
  readonly idleMs?: number
  /** Default: the real clock. */
  readonly runtime?: Pick<Runtime, 'now' | 'sleep'>
}

/**
 * Gives up a call that takes too long, with an `LLMError` that may be tried again: of kind `timeout`, or `stalled` for an
 * answer that has begun and falls silent. The client's signal aborts with that error as its reason; a client that goes on
 * regardless holds nobody up.
 *
 * Within `retry()` the limits hold for each attempt, around it for all of them. Around `rateLimit()` and `concurrency()`
 * the time in their queues counts, within them it does not.
 *
 * @throws ConfigurationError
 */
export function timeout(options: TimeoutOptions = {}): ClientMiddleware {
  checkOptions('timeout', options, checks)
  const limits = limitsOf(options)
  return (next) =>
    clientAround(next, {
      call: async (request, callOptions) => {
        const deadline = new Deadline(next, limits, callOptions)
        const { options: timed, signal } = deadline
        try {
          signal.throwIfAborted()
          return await untilAborted(next.call(request, timed), signal)
        } catch (thrown) {
          throw deadline.errorOf(thrown)
        } finally {
          deadline.end()
        }
      },
      stream: (stream, request, callOptions) =>
        streamed(
          (timed) => stream(request, timed),
          () => new Deadline(next, limits, callOptions),
        ),
    })
}

async function* streamed(
  open: (options: CallOptions) => AsyncIterable<LLMChunk>,
  begin: () => Deadline,
): AsyncGenerator<LLMChunk, void, undefined> {
  const deadline = begin()
  const { options, signal, watch } = deadline
  let pulls: Pulls<LLMChunk> | undefined
  try {
    signal.throwIfAborted()
    pulls = new Pulls(open(options), signal)
    for (let step = await pulls.next(); !step.done; step = await pulls.next()) {
      watch.pause()
      yield step.value
      watch.resume(isContent(step.value))
    }
  } catch (thrown) {
    throw deadline.errorOf(thrown)
  } finally {
    deadline.end()
    await pulls?.end()
  }
}

type Limits = Omit<TimeoutOptions, 'runtime'> & Required<Pick<TimeoutOptions, 'runtime'>>

/** The time that one call has, from now on. */
class Deadline {
  /** The options of the call, with the signal that aborts when its time is up. */
  readonly options: CallOptions & { readonly signal: AbortSignal }
  readonly watch: SilenceWatch
  readonly #client: LLMClient
  readonly #caller: AbortSignal | undefined
  readonly #link: ReturnType<typeof linkedController>
  readonly #unset: (() => void) | undefined
  #error: LLMError | undefined

  constructor(client: LLMClient, { requestMs, runtime, ...limits }: Limits, options: CallOptions = {}) {
    this.#client = client
    this.#caller = options.signal
    this.#link = linkedController(options.signal)
    this.options = { ...options, signal: this.signal }
    this.watch = new SilenceWatch({ ...limits, runtime }, ({ phase, ms }) => {
      if (phase === 'first') this.#giveUp('timeout', `said nothing for ${ms} ms`, 'firstContentMs')
      else this.#giveUp('stalled', `said nothing more for ${ms} ms`, 'idleMs')
    })
    this.watch.start()
    if (requestMs === undefined) return
    this.#unset = ringAfter(requestMs, runtime, () =>
      this.#giveUp('timeout', `took longer than ${requestMs} ms`, 'requestMs'),
    )
  }

  get signal(): AbortSignal {
    return this.#link.controller.signal
  }

  /** What a call is said to have failed with that threw this: its time was up, its caller stopped it, or something else. */
  errorOf(thrown: unknown): unknown {
    if (!this.signal.aborted) return thrown
    return this.#error ?? clientError(thrown, this.#client, this.#caller)
  }

  /** The client's signal stays as it is when all went well. */
  end(): void {
    this.watch.end()
    this.#unset?.()
    this.#link.unlink()
  }

  #giveUp(kind: 'timeout' | 'stalled', what: string, option: string): void {
    if (this.signal.aborted) return
    const { provider, model } = this.#client
    const message = `${provider} (${model}) ${what}. Call again, or raise ${option}.`
    this.#error = new LLMError(message, { kind, provider, model })
    this.#link.controller.abort(this.#error)
  }
}

function limitsOf({ runtime = systemRuntime, ...given }: TimeoutOptions): Limits {
  const { requestMs, firstContentMs, idleMs } = given
  const isGiven = [requestMs, firstContentMs, idleMs].some((limit) => limit !== undefined)
  return { ...(isGiven ? given : { firstContentMs: 300_000, idleMs: 60_000 }), runtime }
}

const checks: Record<keyof TimeoutOptions, Check> = {
  requestMs: optional(positiveMs()),
  firstContentMs: optional(positiveMs()),
  idleMs: optional(positiveMs()),
  runtime: optional(runtimeCheck),
}
