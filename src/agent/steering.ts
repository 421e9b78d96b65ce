import type { UserMessage } from '../messages.ts'

/** What the user says while a run goes on, until the run can listen. */
export class Inbox {
  readonly #letters: Letter[] = []
  #isClosed = false

  /** True once `message` stands in the transcript, where the next request finds it; false if the run ended before. */
  put(message: UserMessage): Promise<boolean> {
    if (this.#isClosed) return Promise.resolve(false)
    return new Promise((settle) => this.#letters.push({ message, settle }))
  }

  get isEmpty(): boolean {
    return this.#letters.length === 0
  }

  take(): Letter | undefined {
    return this.#letters.shift()
  }

  /** The run is over: what was not delivered never will be. */
  close(): void {
    this.#isClosed = true
    for (const { settle } of this.#letters.splice(0)) settle(false)
  }
}

export interface Letter {
  readonly message: UserMessage
  /** Only the first time counts. */
  readonly settle: (isDelivered: boolean) => void
}
