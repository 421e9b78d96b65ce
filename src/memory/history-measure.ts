import type { Message } from '../messages.ts'

/** What has to be known of a history to cut it, kept up to date message by message. */
export class HistoryMeasure {
  /** At each index the tokens of the messages before it, up to the sum of all. */
  readonly sums: number[] = [0]
  /** Where the system messages stand. */
  readonly systems: number[] = []
  /** Tokens of all results of tools. */
  toolResults = 0
  /** Where the last user message stands, or -1. */
  question = -1
  /** Where the exchange begins that the model is in the middle of: the last one, if no user message follows it; else -1. */
  exchange = -1

  add(message: Message, tokens: number): void {
    const { role } = message
    const at = this.sums.length - 1
    this.sums.push((this.sums[at] ?? 0) + tokens)
    if (role === 'tool') this.toolResults += tokens
    if (role === 'tool' && this.#isOpen) return
    this.#isOpen = role === 'assistant' && message.toolCalls !== undefined
    if (this.#isOpen) this.exchange = at
    if (role === 'system') this.systems.push(at)
    if (role !== 'user') return
    this.question = at
    this.exchange = -1
  }

  /** The last message is a reply with calls, or a result right after one. */
  #isOpen = false
}
