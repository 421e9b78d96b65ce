import { type Message, parseMessage } from '../messages.ts'
import { type Repaired, repairHistory } from './repair.ts'
import type { TokenCounts } from './tokens.ts'
import { endOfUnit } from './units.ts'

/**
 * What a memory gave back, without torn exchanges, and with what a model cannot go on without: the last user message and
 * the exchange it is in.
 *
 * @throws TypeError for what is no message.
 */
export function withEssentials(
  managed: readonly unknown[],
  history: readonly Message[],
  counts: TokenCounts,
): Repaired {
  const checked = checkedMessages(managed, history)
  const answered = new Set(checked.flatMap((message) => (message.role === 'tool' ? [message.callId] : [])))
  const isWhole = (message: Message) =>
    message.role !== 'assistant' || (message.toolCalls ?? []).every(({ id }) => answered.has(id))
  const { messages, repairs } = repairHistory(checked.filter(isWhole))
  return { messages: withCurrentExchange(withQuestion(messages, history), history, counts), repairs }
}

/** Messages of the memory's own making are checked. */
function checkedMessages(managed: readonly unknown[], history: readonly Message[]): readonly Message[] {
  const known = new Set<unknown>(history)
  const isKnown = (message: unknown): message is Message => known.has(message)
  return Array.from(managed, (message, at) =>
    isKnown(message) ? message : checkedOnce(message, `manageHistory()[${at}]`),
  )
}

// The same message each time: what is derived from a message is remembered with it.
const checkedBefore = new WeakMap<object, Message>()

function checkedOnce(message: unknown, path: string): Message {
  if (typeof message !== 'object' || message === null) return parseMessage(message, path)
  const known = checkedBefore.get(message)
  if (known) return known
  const checked = Object.freeze(parseMessage(message, path))
  checkedBefore.set(message, checked)
  checkedBefore.set(checked, checked)
  return checked
}

function withQuestion(messages: readonly Message[], history: readonly Message[]): readonly Message[] {
  const at = history.findLastIndex(({ role }) => role === 'user')
  const question = history[at]
  if (question === undefined || messages.includes(question)) return messages
  const earlier = new Set(history.slice(0, at))
  // A user message of the memory's own making may be the question in other words.
  const isThere = messages.some((message) => message.role === 'user' && !earlier.has(message))
  return isThere ? messages : inserted(messages, [question], history.slice(at + 1))
}

function withCurrentExchange(
  messages: readonly Message[],
  history: readonly Message[],
  counts: TokenCounts,
): readonly Message[] {
  const { exchange: start } = counts.measure(history)
  const reply = history[start]
  if (reply?.role !== 'assistant') return messages
  const callIds = new Set(reply.toolCalls?.map(({ id }) => id))
  const isThere = messages.some(
    (message) => message.role === 'assistant' && message.toolCalls?.some(({ id }) => callIds.has(id)),
  )
  if (isThere) return messages
  const end = endOfUnit(history, start)
  return inserted(messages, history.slice(start, end), history.slice(end))
}

/** `unit` put back in front of the first of `later` that is there, at the end if none is. */
function inserted(
  messages: readonly Message[],
  unit: readonly Message[],
  later: readonly Message[],
): readonly Message[] {
  const known = new Set(later)
  const first = messages.findIndex((message) => known.has(message))
  // Not between a reply and its results: the reply may be of the memory's own making.
  const at = messages.findLastIndex(({ role }, index) => index <= first && role !== 'tool')
  return messages.toSpliced(first < 0 ? messages.length : at, 0, ...unit)
}
