import { EventEmitter } from 'eventemitter3'
import { messageOf } from '../errors.ts'
import type { AgentEvent } from '../events.ts'
import type { Scrubber } from '../scrubber.ts'
import { type Logger, logEvent } from './logger.ts'

/** Who hears the events of all runs of an agent: its log, and its listeners by type. None of them can harm a run. */
export class Listeners {
  readonly #emitter = new EventEmitter<Record<AgentEvent['type'], [AgentEvent]>>()
  readonly #logger: Logger | undefined
  readonly #scrubber: () => Scrubber

  constructor(logger: Logger | undefined, scrubber: () => Scrubber) {
    this.#logger = logger
    this.#scrubber = scrubber
  }

  /** Gives back how to stop. */
  on<Type extends AgentEvent['type']>(
    type: Type,
    listener: (event: Extract<AgentEvent, { type: Type }>) => void,
  ): () => void {
    const guarded = (event: AgentEvent): void => {
      // Emitted under its own type only.
      const told = event as Extract<AgentEvent, { type: Type }>
      guard(
        () => listener(told),
        (error) => this.#report(event, error),
      )
    }
    this.#emitter.on(type, guarded)
    return () => this.#emitter.off(type, guarded)
  }

  tell(event: AgentEvent): void {
    const logger = this.#logger
    // When the log fails, nobody is left to be told.
    if (logger) guard(() => logEvent(logger, event), ignore)
    this.#emitter.emit(event.type, event)
  }

  clear(): void {
    this.#emitter.removeAllListeners()
  }

  /** A listener's failure is told to the other listeners and the log; it is no event of the run. */
  #report({ runId, type }: AgentEvent, error: unknown): void {
    if (type === 'diagnostic') return
    const message = this.#scrubber().text(`A listener of ${type} threw: ${messageOf(error)}`)
    this.tell({ type: 'diagnostic', runId, code: 'listener_failed', message })
  }
}

/** Does what must not harm who does it, whether it fails now or later. */
function guard(action: () => unknown, failed: (error: unknown) => void): void {
  try {
    const done = action()
    if (done instanceof Promise) done.catch(failed)
  } catch (error) {
    failed(error)
  }
}

const ignore = () => {}
