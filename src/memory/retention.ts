import { ConfigurationError, shown } from '../errors.ts'
import type { Message } from '../messages.ts'
import { checkOptions, fn, integer, optional, positiveMs } from '../options.ts'
import { dropInOrder, droppableUnits, type Pinned, pinnedPlaces, stepOf, without } from './drop.ts'
import type { AgentMemory, MemoryContext } from './memory.ts'
import { CountsByCounter } from './tokens.ts'

export interface RetentionMemoryOptions {
  /** Messages at most, at least 1; an exchange counts with all its messages. Default: no limit. */
  readonly maxMessages?: number
  /** Turns at most, at least 1; the newest user message begins the last of them. Default: no limit. */
  readonly maxTurns?: number
  /** How much older than the newest message a message may be, in milliseconds. Needs `timeOf`. Default: no limit. */
  readonly maxAgeMs?: number
  /** Tokens at most, at least 1. Default: no limit but the context window. */
  readonly maxTokens?: number
  /**
   * When a message was said, in milliseconds since any moment: messages carry no time, so only the application knows. One
   * of which it gives `undefined` is as old as the one before it.
   */
  readonly timeOf?: (message: Message) => number | undefined
  /** Messages of which it is true stay, whatever the limits. Default: none but system messages. */
  readonly pinned?: (message: Message) => boolean
}

/**
 * Sends what is within all of its limits, the newest first of all; without a limit, everything. An exchange stays or goes
 * as a whole; system messages, the last user message and the exchange the model is in stay.
 *
 * A limit that is crossed makes room for a quarter more, so that most requests begin as the one before: between three
 * quarters and all of it is sent.
 */
export class RetentionMemory implements AgentMemory {
  readonly #limits: Omit<RetentionMemoryOptions, 'pinned'>
  readonly #pinned: Pinned | undefined
  readonly #counts = new CountsByCounter()

  /** @throws ConfigurationError */
  constructor(options: RetentionMemoryOptions) {
    checkOptions('RetentionMemory', options, {
      maxMessages: optional(integer(1)),
      maxTurns: optional(integer(1)),
      maxAgeMs: optional(positiveMs()),
      maxTokens: optional(integer(1)),
      timeOf: optional(fn()),
      pinned: optional(fn()),
    })
    const { pinned, ...limits } = options
    if (limits.maxAgeMs !== undefined && !limits.timeOf) {
      const message = 'RetentionMemory option maxAgeMs needs timeOf: messages carry no time of their own.'
      throw new ConfigurationError('timeOf', message)
    }
    this.#limits = limits
    this.#pinned = pinned
  }

  manageHistory(history: readonly Message[], context: MemoryContext): readonly Message[] {
    const { maxMessages, maxTurns, maxTokens } = this.#limits
    const counts = this.#counts.of(context.countTokens)
    let messages = this.#from(history, this.#firstYoung(history))
    if (maxTurns !== undefined) messages = this.#from(messages, this.#firstOfTurns(messages, maxTurns))
    const drop = (limit: number | undefined, sizeOf: (message: Message) => number) => {
      if (limit === undefined) return
      messages = dropInOrder(messages, droppableUnits(messages, this.#pinned), { limit, sizeOf })
    }
    drop(maxMessages, () => 1)
    drop(maxTokens, (message) => counts.message(message))
    return messages
  }

  /** Without what stands before `first` and may be dropped. */
  #from(messages: readonly Message[], first: number): readonly Message[] {
    if (first === 0) return messages
    const places = new Set<number>()
    for (const { start, end } of droppableUnits(messages, this.#pinned)) {
      if (end <= first) for (let at = start; at < end; at++) places.add(at)
    }
    return without(messages, places)
  }

  #firstOfTurns(messages: readonly Message[], maxTurns: number): number {
    const pinned = pinnedPlaces(messages, this.#pinned)
    // Pinned ones come on top: they stay when their turn is gone.
    const turns = messages.flatMap(({ role }, at) => (role === 'user' && !pinned.has(at) ? [at] : []))
    const excess = turns.length - maxTurns
    const step = stepOf(maxTurns)
    return excess <= 0 ? 0 : (turns[Math.ceil(excess / step) * step] ?? 0)
  }

  /** Where the first message stands that is young enough. Whatever is before one that is too old is not younger. */
  #firstYoung(messages: readonly Message[]): number {
    const { maxAgeMs, timeOf } = this.#limits
    if (maxAgeMs === undefined || !timeOf) return 0
    const times = messages.map((message) => timeFrom(timeOf(message)))
    const newest = times.reduce(
      (latest: number, time) => Math.max(latest, time ?? latest),
      Number.NEGATIVE_INFINITY,
    )
    // Nothing is older than `newest - maxAgeMs`; to the next quarter, so that it moves seldom.
    const step = maxAgeMs / 4
    const since = Math.ceil((newest - maxAgeMs) / step) * step
    const lastOld = times.findLastIndex((time) => time !== undefined && time < since)
    const next = times.findIndex((time, at) => at > lastOld && time !== undefined)
    if (lastOld < 0) return 0
    return next < 0 ? messages.length : next
  }
}

function timeFrom(given: unknown): number | undefined {
  if (given === undefined || (typeof given === 'number' && Number.isFinite(given))) return given
  throw new TypeError(`timeOf must give a number of milliseconds or undefined, got ${shown(given)}.`)
}
