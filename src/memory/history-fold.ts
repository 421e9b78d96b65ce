import type { Message } from '../messages.ts'

/**
 * Folds histories message by message and goes on where one has grown since. Messages are immutable, so a history whose
 * messages are the same objects is the same history; that costs a comparison of pointers each. One that was cut short,
 * forked or went on differently is folded by itself.
 *
 * Of short histories only the one that was asked for last is remembered: to fold one anew costs little, and a process may hold
 * many conversations of which nobody speaks.
 */
export class HistoryFold<State> {
  readonly #begin: () => State
  readonly #add: (state: State, message: Message) => void
  /** Long ones, by the first message, which forks of a conversation share. The one that was asked for last comes first. */
  readonly #known = new WeakMap<Message, readonly Folded<State>[]>()
  #latest: Folded<State> | undefined

  /** `add` changes the state; it must not throw half-way. */
  constructor(begin: () => State, add: (state: State, message: Message) => void) {
    this.#begin = begin
    this.#add = add
  }

  /**
   * The state after all of `history`, an array that does not change any more: it is kept. The state does change when a longer
   * history is folded: read it before anything is waited for.
   */
  of(history: readonly Message[]): State {
    const first = history[0]
    if (first === undefined) return this.#begin()
    const known = this.#known.get(first)
    let folded = longerBeginning(this.#latest, undefined, history)
    if (known) for (const other of known) folded = longerBeginning(other, folded, history)
    folded ??= { messages: history, length: 0, state: this.#begin() }
    for (let at = folded.length; at < history.length; at++) {
      const message = history[at]
      if (message !== undefined) this.#add(folded.state, message)
    }
    folded.messages = history
    folded.length = history.length
    this.#latest = folded
    if (history.length >= leastRemembered && known?.[0] !== folded) {
      const others = known?.filter((other) => other !== folded) ?? []
      this.#known.set(first, [folded, ...others].slice(0, mostForks))
    }
    return folded.state
  }
}

interface Folded<State> {
  /** The array that was folded last, the same as everybody else has: not a copy for each fold. */
  messages: readonly Message[]
  /** Of `messages` then. An array that was changed all the same has another one, or other messages than who asks next. */
  length: number
  readonly state: State
}

/** Messages from which on a history is remembered as long as its first message lives. */
const leastRemembered = 32

/** Histories with the same first message that are remembered at a time. */
const mostForks = 4

function longerBeginning<State>(
  folded: Folded<State> | undefined,
  than: Folded<State> | undefined,
  history: readonly Message[],
): Folded<State> | undefined {
  return folded && folded.length > (than?.length ?? 0) && isBeginning(folded, history) ? folded : than
}

function isBeginning({ messages, length }: Folded<unknown>, history: readonly Message[]): boolean {
  // The end first: where histories went different ways, most differ there.
  if (length > history.length || length !== messages.length) return false
  if (messages[length - 1] !== history[length - 1]) return false
  if (messages === history) return true
  for (let at = 0; at < length; at++) if (messages[at] !== history[at]) return false
  return true
}
