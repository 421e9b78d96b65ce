import { ConfigurationError } from '../errors.ts'
import type { AgentEvent, RunResult } from '../events.ts'
import { type Content, parseContent } from '../messages.ts'
import { EventQueue } from './event-queue.ts'
import { Inbox } from './steering.ts'

/**
 * One run, as it happens. Iterate it for the events, read `result` for what it came to, or both: nothing starts before
 * one of the two. The run keeps pace with the one who iterates. Leaving the loop, by `break`, `throw` or the end of an
 * `await using` block, ends the run.
 */
export class RunStream<Answer = string> implements AsyncIterable<AgentEvent>, AsyncDisposable {
  readonly #queue = new EventQueue()
  readonly #controller = new AbortController()
  readonly #inbox = new Inbox()
  readonly #perform: RunPerformer<Answer>
  #result: Promise<RunResult<Answer>> | undefined
  #iterated = false

  constructor(perform: RunPerformer<Answer>) {
    this.#perform = perform
  }

  /** What the run came to. Never rejects: failures are in it. Reading it starts the run; without an iterator events are dropped. */
  get result(): Promise<RunResult<Answer>> {
    this.#result ??= this.#start()
    return this.#result
  }

  /**
   * Says something to the run while it goes on: before its next model call, which then sees it, it is appended to the
   * conversation, and told by a `steering` event. Resolves with true when that is done, with false when the run ended before.
   *
   * @throws ConfigurationError for content that is none.
   */
  steer(content: Content): Promise<boolean> {
    return this.#inbox.put({ role: 'user', content: parseContent(content, 'content') })
  }

  /** Ends the run, which has then the status `aborted`. `reason` stays untouched in its error. */
  abort(reason: unknown = new DOMException('The run was aborted.', 'AbortError')): void {
    this.#controller.abort(reason)
    this.#inbox.close()
    this.#queue.unpace()
  }

  /** @throws ConfigurationError when it is iterated a second time: events are not kept. */
  [Symbol.asyncIterator](): AsyncIterator<AgentEvent, undefined> {
    if (this.#iterated) {
      throw new ConfigurationError(
        'runStream',
        'A run can be iterated once. Collect its events, or use agent.on().',
      )
    }
    this.#iterated = true
    this.#queue.attach()
    return {
      next: () => {
        void this.result
        return this.#queue.next()
      },
      return: async () => {
        await this.#leave()
        return { done: true, value: undefined }
      },
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#leave()
  }

  async #start(): Promise<RunResult<Answer>> {
    // One turn later, so that `const { result } = stream; for await (… of stream)` misses no event.
    await null
    try {
      return await this.#perform(this.#queue, this.#controller, this.#inbox)
    } finally {
      this.#queue.end()
    }
  }

  async #leave(): Promise<void> {
    this.#controller.abort(new DOMException('The reader left the run.', 'AbortError'))
    this.#inbox.close()
    this.#queue.leave()
    await this.#result
  }
}

/** Does the run: tells events to `queue`, stops when `controller` aborts, listens to `inbox`, and never rejects. */
export type RunPerformer<Answer> = (
  queue: EventQueue,
  controller: AbortController,
  inbox: Inbox,
) => Promise<RunResult<Answer>>
