import type { AgentEvent } from '../events.ts'

/**
 * Between a run and the one who reads its events. The run never gets ahead of its reader: it waits, with `paced`, until
 * everything told so far was taken and more is asked for. So what a reader has not been told has not happened, and
 * leaving at an event means that nothing after it was begun. Without a reader events are dropped and nothing waits.
 */
export class EventQueue {
  readonly #events: AgentEvent[] = []
  #head = 0
  /** Who asked for an event before there was one; several, if the reader asks ahead. */
  readonly #wanted: ((result: IteratorResult<AgentEvent, undefined>) => void)[] = []
  #waiting: (() => void)[] = []
  #state: 'dropping' | 'read' | 'ended' = 'dropping'
  #unpaced = false

  /** From now on events are kept for a reader. */
  attach(): void {
    if (this.#state === 'dropping') this.#state = 'read'
  }

  push(event: AgentEvent): void {
    if (this.#state !== 'read') return
    const give = this.#wanted.shift()
    if (give) give({ done: false, value: event })
    else this.#events.push(event)
  }

  /** Resolves when the reader wants more; `undefined` when there is nothing to wait for. */
  paced(): Promise<void> | undefined {
    if (this.#state !== 'read' || this.#unpaced || this.#wanted.length > 0) return undefined
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** The run no longer waits for its reader: it is ending. What it still tells is kept. */
  unpace(): void {
    this.#unpaced = true
    this.#release()
  }

  /** Nothing more will be told; what was told can still be read. */
  end(): void {
    this.#state = 'ended'
    this.#release()
    for (const give of this.#wanted.splice(0)) give({ done: true, value: undefined })
  }

  /** The reader left: what it has not taken is dropped. */
  leave(): void {
    this.#events.length = 0
    this.#head = 0
    this.end()
  }

  next(): Promise<IteratorResult<AgentEvent, undefined>> {
    const event = this.#events[this.#head]
    if (event) {
      this.#head++
      if (this.#head === this.#events.length) {
        this.#events.length = 0
        this.#head = 0
      }
      return Promise.resolve({ done: false, value: event })
    }
    if (this.#state === 'ended') return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve) => {
      this.#wanted.push(resolve)
      this.#release()
    })
  }

  #release(): void {
    const waiting = this.#waiting
    if (waiting.length === 0) return
    this.#waiting = []
    for (const resume of waiting) resume()
  }
}
