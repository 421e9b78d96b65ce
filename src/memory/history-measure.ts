import type { Message } from '../messages.ts'

/** What has to be known of a history to cut it, kept up to date message by message. */
export class HistoryMeasure {
  readonly #sums = [0]
  readonly #units: number[] = []
  readonly #systems: number[] = []
  readonly #tokensOf: (message: Message) => number
  #question = -1
  #exchange = -1
  #length = 0

  constructor(tokensOf: (message: Message) => number) {
    this.#tokensOf = tokensOf
  }

  /** At each index the tokens of the messages before it, up to the sum of all. */
  get sums(): readonly number[] {
    return this.#sums
  }

  /**
   * Where what is kept or dropped whole begins: an exchange (a reply with calls and the results right after it), or any
   * other message by itself.
   */
  get units(): readonly number[] {
    return this.#units
  }

  /** Where the system messages stand. */
  get systems(): readonly number[] {
    return this.#systems
  }

  /** Where the last user message stands, or -1. */
  get question(): number {
    return this.#question
  }

  /** Where the exchange begins that the model is in the middle of: the last one, if no user message follows it; else -1. */
  get exchange(): number {
    return this.#exchange > this.#question ? this.#exchange : -1
  }

  add(message: Message): void {
    const { role } = message
    const at = this.#length++
    const isResult = role === 'tool' && this.#exchange >= 0 && this.#exchange === this.#units.at(-1)
    if (!isResult) this.#units.push(at)
    if (role === 'system') this.#systems.push(at)
    if (role === 'user') this.#question = at
    if (role === 'assistant' && message.toolCalls !== undefined) this.#exchange = at
    this.#sums.push((this.#sums[at] ?? 0) + this.#tokensOf(message))
  }
}
