import type { Message } from '../messages.ts'

/**
 * Folds histories message by message and goes on where one has grown since. Messages are immutable, so a history whose
 * messages are the same objects is the same history; that costs a comparison of pointers each. One that was cut short,
 * forked or went on differently is folded by itself.
 */
export class HistoryFold<State> {
  readonly #begin: () => State
  readonly #add: (state: State, message: Message) => void
  /** By the first message, which forks of a conversation share. The one that was asked for last comes first. */
  readonly #known = new WeakMap<Message, readonly Folded<State>[]>()
  readonly #arrays = new WeakMap<readonly Message[], Folded<State>>()

  /** `add` changes the state; it must not throw half-way. */
  constructor(begin: () => State, add: (state: State, message: Message) => void) {
    this.#begin = begin
    this.#add = add
  }

  /**
   * The state after all of `history`, an array that does not change any more. The state does when a longer history is
   * folded: read it before anything is waited for.
   */
  of(history: readonly Message[]): State {
    const [first] = history
    if (first === undefined) return this.#begin()
    const same = this.#arrays.get(history)
    if (same?.messages.length === history.length && same.messages.at(-1) === history.at(-1)) return same.state
    const known = this.#known.get(first) ?? []
    const folded = longestBeginning(known, history) ?? { messages: [], state: this.#begin() }
    for (let at = folded.messages.length; at < history.length; at++) {
      const message = history[at]
      if (message === undefined) continue
      this.#add(folded.state, message)
      folded.messages.push(message)
    }
    this.#arrays.set(history, folded)
    if (known[0] !== folded)
      this.#known.set(first, [folded, ...known.filter((other) => other !== folded)].slice(0, mostForks))
    return folded.state
  }
}

interface Folded<State> {
  readonly messages: Message[]
  readonly state: State
}

/** Histories with the same first message that are remembered at a time. */
const mostForks = 4

function longestBeginning<State>(
  known: readonly Folded<State>[],
  history: readonly Message[],
): Folded<State> | undefined {
  let longest: Folded<State> | undefined
  for (const folded of known) {
    if (folded.messages.length > (longest?.messages.length ?? 0) && isBeginning(folded.messages, history))
      longest = folded
  }
  return longest
}

function isBeginning(beginning: readonly Message[], history: readonly Message[]): boolean {
  const { length } = beginning
  // The end first: where histories went different ways, most differ there.
  if (length > history.length || beginning[length - 1] !== history[length - 1]) return false
  for (let at = 0; at < length; at++) if (beginning[at] !== history[at]) return false
  return true
}
