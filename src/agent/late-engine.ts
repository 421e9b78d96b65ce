import { untilAborted } from '../abort.ts'
import { messageOf, UnexpectedError } from '../errors.ts'
import type { RunResult } from '../events.ts'
import { noUsage } from '../messages.ts'
import { scrubbedError } from '../scrubbed-error.ts'
import type { Engine, EngineParts } from './engine.ts'
import type { AgentOptions, PartOptions } from './options.ts'
import { abortError } from './result.ts'
import type { RunOrder } from './run.ts'

/**
 * The engine of an agent, loaded with the first run or compaction. Whoever waits for it can be stopped, and no run passes
 * those that wait.
 */
export class LateEngine {
  readonly #options: AgentOptions<unknown>
  readonly #parts: EngineParts
  /** Once it has been loaded. */
  #engine: Engine | undefined
  #loading: Promise<Engine> | undefined
  /** Runs that wait for it. */
  #waiting = 0

  constructor(options: AgentOptions<unknown>, parts: EngineParts) {
    this.#options = options
    this.#parts = parts
  }

  /** Does one run, which has its turn. */
  run(order: RunOrder, options: PartOptions): Promise<RunResult<unknown>> {
    // Also when it has just come, and those that wait have not been told yet.
    if (this.#engine && this.#waiting === 0) return this.#engine.run(order, options)
    this.#waiting++
    return this.loaded(order.controller.signal).then(
      (engine) => {
        this.#waiting--
        return engine.run(order, options)
      },
      (thrown) => {
        this.#waiting--
        return this.#notBegun(order, thrown)
      },
    )
  }

  /** Rejects with the signal's reason as soon as it aborts. A load that failed is tried again by who asks next. */
  loaded(signal: AbortSignal): Promise<Engine> {
    this.#loading ??= this.#load().catch((cause: unknown) => {
      this.#loading = undefined
      throw cause
    })
    return untilAborted(this.#loading, signal)
  }

  async #load(): Promise<Engine> {
    const { Engine } = await import('./engine.ts')
    this.#engine = new Engine(this.#options, this.#parts)
    return this.#engine
  }

  /** What a run comes to that was stopped before the engine came, or for which it did not come. It ends as others do, with all that is told. */
  #notBegun(order: RunOrder, thrown: unknown): RunResult<never> {
    const { runId, startedAt, conversation, secrets, inbox, tell, turn } = order
    const { aborted, reason } = order.controller.signal
    const status = aborted ? 'aborted' : 'failed'
    const error = aborted ? abortError(reason) : scrubbedError(notLoaded(thrown), secrets.scrubber)
    const ids = { runId, conversationId: conversation.id }
    inbox.close()
    try {
      tell({ type: 'run_start', ...ids })
      tell({ type: 'run_end', runId, status, usage: noUsage, error: error.toJSON() })
      return {
        status,
        steps: [],
        usage: noUsage,
        error,
        ...ids,
        history: conversation.transcript.history(),
        timing: { totalMs: this.#parts.runtime.now() - startedAt, modelMs: 0, toolMs: 0 },
      }
    } finally {
      turn.leave()
    }
  }
}

const notLoaded = (cause: unknown) =>
  new UnexpectedError(
    `What does runs could not be loaded: ${messageOf(cause)}. See to it that all files of tercet are there, and run again.`,
    { cause },
  )
