import type { LLMChunk, LLMResponse } from '../client/client.ts'
import type { PartialOutput } from '../protocol/partial-output.ts'
import type { Channel, ReplyReader, ReplyText } from '../protocol/protocol.ts'
import type { ScrubStream } from '../scrubber.ts'
import type { ReplyEntry } from '../transcript/entry.ts'
import type { Run } from './run.ts'

/**
 * Tells one reply as it arrives: decoded, and free of secrets also where one is split over two chunks. When the reply is
 * whole, what was shown is made to agree with what it turned out to be.
 */
export class ReplyDisplay {
  /** A reply is being told. */
  begun = false
  readonly #run: Run
  #reader: ReplyReader
  #shown: Map<Channel, Shown> | undefined
  readonly #newPartial: (() => PartialOutput) | undefined
  #partial: PartialOutput | undefined

  /** With `newPartial`, tokens of a structured answer carry its value as far as it is known. */
  constructor(run: Run, reader: ReplyReader, newPartial?: () => PartialOutput) {
    this.#run = run
    this.#reader = reader
    this.#newPartial = newPartial
    this.#partial = newPartial?.()
  }

  /** True if something was told. */
  push(chunk: LLMChunk): boolean {
    this.begin()
    const texts = this.#reader.push(chunk)
    for (const text of texts) this.#show(text)
    return texts.length > 0
  }

  /** The reply begins anew, to be read by `reader`: what was shown of it is withdrawn. */
  restart(reader: ReplyReader): void {
    this.#reader = reader
    for (const channel of [...(this.#shown?.keys() ?? [])]) this.#show({ type: 'retracted', channel })
  }

  /** The reply is whole and is `entry`. */
  end(response: LLMResponse, entry: ReplyEntry): void {
    if (!this.begun) return
    for (const text of this.#reader.end(response)) this.#show(text)
    this.#agree('answer', entry.kind === 'final' || entry.kind === 'refused' ? entry.text : '')
    this.#agree('thought', entry.kind === 'step' ? entry.text : '')
    this.#agree('plan', entry.plan ?? '')
    this.#end()
  }

  /** The reply was cut off: what was shown of it stands. Gives that text. */
  cut(): string {
    if (this.begun) this.#end()
    return this.#textOn('answer') || this.#textOn('thought')
  }

  begin(): void {
    if (this.begun) return
    this.begun = true
    this.#run.emit({ type: 'stream_start', runId: this.#run.runId, stepId: this.#run.stepId })
  }

  #end(): void {
    for (const [channel, { scrubbing }] of this.#shown ?? []) {
      const rest = scrubbing?.end()
      if (rest) this.#token(channel, rest)
    }
    this.#run.emit({ type: 'stream_end', runId: this.#run.runId, stepId: this.#run.stepId })
  }

  /** Shows `text` on a channel on which something else, or nothing, was shown. */
  #agree(channel: Channel, text: string): void {
    const shown = this.#textOn(channel)
    if (shown === text) return
    if (shown !== '') this.#show({ type: 'retracted', channel })
    if (text !== '') this.#show({ type: 'token', channel, text })
  }

  #textOn(channel: Channel): string {
    return this.#shown?.get(channel)?.text ?? ''
  }

  #shownOn(channel: Channel): Shown {
    // Made with the first text: a run that waits for a reply holds none.
    this.#shown ??= new Map()
    let shown = this.#shown.get(channel)
    if (!shown) {
      shown = { text: '', scrubbing: undefined }
      this.#shown.set(channel, shown)
    }
    return shown
  }

  #show(reply: ReplyText): void {
    const { channel } = reply
    if (reply.type === 'retracted') {
      this.#shown?.delete(channel)
      if (channel === 'answer') this.#partial = this.#newPartial?.()
      this.#run.emit({ type: 'retracted', runId: this.#run.runId, stepId: this.#run.stepId, channel })
      return
    }
    const shown = this.#shownOn(channel)
    shown.text += reply.text
    const { scrubber } = this.#run.secrets
    if (!shown.scrubbing && !scrubber.isEmpty) shown.scrubbing = scrubber.stream()
    this.#token(channel, shown.scrubbing ? shown.scrubbing.push(reply.text) : reply.text)
  }

  #token(channel: Channel, text: string): void {
    if (text === '') return
    const run = this.#run
    run.firstTokenMs ??= run.elapsedMs
    const partial = channel === 'answer' ? this.#partial?.push(text) : undefined
    run.emit({
      type: 'token',
      runId: run.runId,
      stepId: run.stepId,
      channel,
      text,
      ...(partial !== undefined && { partial }),
    })
  }
}

/** What is shown on a channel. */
interface Shown {
  text: string
  /** It has still to give what may be the beginning of a secret. */
  scrubbing: ScrubStream | undefined
}
