import type { UserMessage } from '../messages.ts'

/** What the user said while a run goes on, until the run can listen. */
export class Inbox {
  readonly #letters: Letter[] = []
  #closed = false

  /** True once `message` stands in the transcript, where the next request finds it; false if the run ended before. */
  put(message: UserMessage): Promise<boolean> {
    if (this.#closed) return Promise.resolve(false)
    return new Promise((settle) => this.#letters.push({ message, settle }))
  }

  /** The oldest that was not taken yet. Who takes it has to settle it. */
  take(): Letter | undefined {
    return this.#letters.shift()
  }

  /** The run is over: what was not delivered never will be. */
  close(): void {
    this.#closed = true
    for (const { settle } of this.#letters.splice(0)) settle(false)
  }
}

interface Letter {
  readonly message: UserMessage
  /** Says whether it was delivered. Only the first word counts. */
  readonly settle: (isDelivered: boolean) => void
}
