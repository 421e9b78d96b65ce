import type { CallOptions, ClientMiddleware, LLMClient } from '../client/client.ts'
import { clientError } from '../client/thrown.ts'
import { QueueFullError } from '../errors.ts'
import { type Check, checkOptions, integer, optional } from '../options.ts'
import { inLine } from './in-line.ts'
import { metered } from './metered.ts'

export interface ConcurrencyOptions {
  /** Calls that may be under way at once. */
  readonly max: number
  /** Calls that may wait for one of them to end; one more is refused. Default: 10 000. */
  readonly queueMax?: number
  /**
   * Of `max`, how many one principal (`RunOptions.principal`) may have at once; while it has them, others overtake those
   * who wait for it. Calls without a principal are not counted. Default: `max`.
   */
  readonly perPrincipal?: number
}

/**
 * Lets only so many calls through at once. The others wait their turn, first come, first served, until their signal aborts.
 * A call is over when it is answered, has failed, or its stream has ended or was left. One value may be given to any number
 * of clients and agents: they share it.
 *
 * A call that finds the queue full fails with a `QueueFullError`, and is not sent.
 *
 * @throws ConfigurationError
 */
export function concurrency(options: ConcurrencyOptions): ClientMiddleware {
  checkOptions('concurrency', options, checks)
  const slots = new Slots(options)
  return (next) =>
    metered(next, async (_, callOptions) => {
      const free = await slots.take(next, callOptions)
      return {
        end: (response) => {
          free()
          return response
        },
        fail: free,
      }
    })
}

const checks: Record<keyof ConcurrencyOptions, Check> = {
  max: integer(1),
  queueMax: optional(integer(0)),
  perPrincipal: optional(integer(1)),
}

interface Waiter {
  readonly principal: string | undefined
  readonly admit: () => void
}

/** As long as a slot is free, all who wait do so for their principal's share. */
class Slots {
  readonly #max: number
  readonly #queueMax: number
  readonly #perPrincipal: number
  readonly #waiting = new Set<Waiter>()
  readonly #taken = new Map<string | undefined, number>()
  #all = 0

  constructor({ max, queueMax = 10_000, perPrincipal = max }: ConcurrencyOptions) {
    this.#max = max
    this.#queueMax = queueMax
    this.#perPrincipal = perPrincipal
  }

  /** Gives what frees the slot. */
  async take(client: LLMClient, { signal, scope }: CallOptions = {}): Promise<() => void> {
    if (signal?.aborted) throw clientError(signal.reason, client, signal)
    const principal = scope?.principal
    if (this.#hasRoom(principal)) this.#count(principal, 1)
    else {
      if (this.#waiting.size >= this.#queueMax) throw new QueueFullError(this.#queueMax)
      await this.#turn(principal, signal).catch((reason) => {
        throw clientError(reason, client, signal)
      })
    }
    return () => {
      this.#count(principal, -1)
      this.#admit()
    }
  }

  #turn(principal: string | undefined, signal: AbortSignal | undefined): Promise<void> {
    return inLine(signal, (admit) => {
      const waiter = { principal, admit }
      this.#waiting.add(waiter)
      return () => this.#waiting.delete(waiter)
    })
  }

  #admit(): void {
    for (const waiter of this.#waiting) {
      if (this.#all >= this.#max) return
      if (!this.#hasRoom(waiter.principal)) continue
      this.#waiting.delete(waiter)
      this.#count(waiter.principal, 1)
      waiter.admit()
    }
  }

  #hasRoom(principal: string | undefined): boolean {
    if (this.#all >= this.#max) return false
    return principal === undefined || (this.#taken.get(principal) ?? 0) < this.#perPrincipal
  }

  #count(principal: string | undefined, by: 1 | -1): void {
    this.#all += by
    if (principal === undefined) return
    const taken = (this.#taken.get(principal) ?? 0) + by
    if (taken === 0) this.#taken.delete(principal)
    else this.#taken.set(principal, taken)
  }
}
