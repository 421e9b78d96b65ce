import type { UserMessage } from '../messages.ts'
import type { Run } from './run.ts'

/** What the user said while a run goes on, until the run can listen. */
export class Inbox {
  #waiting: { readonly message: UserMessage; readonly settle: (isDelivered: boolean) => void }[] = []
  #closed = false

  /** True once `message` stands in the transcript, where the next request finds it; false if the run ended before. */
  put(message: UserMessage): Promise<boolean> {
    if (this.#closed) return Promise.resolve(false)
    return new Promise((settle) => this.#waiting.push({ message, settle }))
  }

  /** Between two iterations: what has come in since the last. */
  async deliver(run: Run): Promise<void> {
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      const { message, settle } = next
      try {
        const said = run.secrets.scrubber.value(message)
        await run.append({ type: 'message', runId: run.runId, message: said })
        settle(true)
        run.emit({ type: 'steering', runId: run.runId, stepId: run.stepId, message: said })
        await run.hook('onMessage', said)
      } finally {
        settle(false)
      }
    }
  }

  /** The run is over: what was not delivered never will be. */
  close(): void {
    this.#closed = true
    for (const { settle } of this.#waiting.splice(0)) settle(false)
  }
}
