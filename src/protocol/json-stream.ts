import type { EnvelopeChannel } from './json-object.ts'
import { parseReply } from './json-reply.ts'
import { ReplyScanner } from './json-scan.ts'

export interface StreamedText {
  channel: EnvelopeChannel
  text: string
}

/**
 * Turns a reply of JSON envelopes, pushed in pieces of any size, into the decoded text inside them.
 *
 * What holds for every reply and every split, with `parseReply` of the whole text as the judge:
 * - it is `final`: all `answer` text together is exactly its `text`. What a stream cannot know (prose, a
 *   repaired envelope) comes from `end()`; what came before is a prefix of it.
 * - it is a `step` whose thought came from `tool_thought`: all `thought` text together is that thought.
 * - it is anything else: `answer` text may have come, and the caller takes it back.
 *
 * The text of a JSON value that is no string is its source. No piece ends in half a surrogate pair. Linear
 * time; the whole reply is kept until `end()`, since only then is it known whether it was prose.
 */
export class EnvelopeStream {
  readonly #pieces: string[] = []
  readonly #scanner = new ReplyScanner((channel, text) => this.#collect(channel, text))
  #ready: StreamedText[] = []
  #answerLength = 0

  /** The text that has become certain, joined per channel; the same empty array whenever there is none. */
  push(text: string): readonly StreamedText[] {
    this.#pieces.push(text)
    this.#scanner.feed(text)
    return this.#take()
  }

  /** The rest of the text. To be called once, after the last piece. */
  end(): readonly StreamedText[] {
    this.#scanner.end()
    if (this.#scanner.answerEnd === undefined || !this.#scanner.isSound) {
      const reply = parseReply(this.#pieces.join(''))
      if (reply.kind === 'final' && reply.text.length > this.#answerLength) {
        this.#collect('answer', reply.text.slice(this.#answerLength))
      }
    }
    return this.#take()
  }

  #collect(channel: EnvelopeChannel, text: string): void {
    const last = this.#ready.at(-1)
    if (last?.channel === channel) {
      last.text += text
    } else {
      this.#ready.push({ channel, text })
    }
    if (channel === 'answer') {
      this.#answerLength += text.length
    }
  }

  #take(): readonly StreamedText[] {
    if (this.#ready.length === 0) {
      return NOTHING
    }
    const ready = this.#ready
    this.#ready = []
    return ready
  }
}

const NOTHING: readonly StreamedText[] = Object.freeze([])
