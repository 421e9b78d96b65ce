import type { Message } from '../messages.ts'
import { pinnedUnits, type Unit, unitsOf } from './units.ts'

/**
 * What must stay, by the application's own judgement. Asked of every message before each request: it has to be quick and
 * to say the same of the same message.
 */
export type Pinned = (message: Message) => boolean

export interface DropOptions {
  /** What the messages may come to together. */
  readonly limit: number
  readonly sizeOf: (message: Message) => number
}

/**
 * Drops units in the order given until the rest is within the limit; the array that was given, if it already is. It ends
 * above the limit if all of `order` is not enough.
 *
 * Drops in steps of a quarter of the limit, as `dropOldest` does, so that a history that grows keeps its beginning.
 */
export function dropInOrder(
  messages: readonly Message[],
  order: readonly Unit[],
  { limit, sizeOf }: DropOptions,
): readonly Message[] {
  const excess = messages.reduce((sum, message) => sum + sizeOf(message), 0) - limit
  if (excess <= 0) return messages
  const step = stepOf(limit)
  const wanted = Math.ceil(excess / step) * step
  const dropped = new Set<number>()
  let freed = 0
  for (const { start, end } of order) {
    if (freed >= wanted) break
    messages.slice(start, end).forEach((message, index) => {
      dropped.add(start + index)
      freed += sizeOf(message)
    })
  }
  return without(messages, dropped)
}

/** How much more than needed is dropped at a time, at most. */
export const stepOf = (limit: number) => Math.max(1, Math.floor(limit / 4))

/** The array that was given, if nothing is to go. */
export function without(messages: readonly Message[], places: ReadonlySet<number>): readonly Message[] {
  return places.size === 0 ? messages : messages.filter((_, at) => !places.has(at))
}

/**
 * The units that may be dropped, oldest first: not the system messages, the last user message, the exchange after it that
 * is last, the newest messages, or what is pinned.
 */
export function droppableUnits(
  messages: readonly Message[],
  pinned: Pinned | undefined,
  keepNewest = 1,
): readonly Unit[] {
  const units = unitsOf(messages)
  const needed = pinnedUnits(messages, units, keepNewest)
  const places = pinnedPlaces(messages, pinned)
  return units.filter((unit) => !needed.has(unit) && !places.has(unit.start))
}

/**
 * Where pinned messages stand, and what belongs to them: the rest of an exchange, and the user message that a reply
 * answers. Without it a reply could open the conversation, which providers refuse.
 */
export function pinnedPlaces(messages: readonly Message[], pinned: Pinned | undefined): ReadonlySet<number> {
  const places = new Set<number>()
  if (!pinned) return places
  let question: number | undefined
  for (const { start, end } of unitsOf(messages)) {
    const [first, ...rest] = messages.slice(start, end)
    if (first === undefined) continue
    if (first.role === 'user') question = start
    if (!pinned(first) && !rest.some((message) => pinned(message))) continue
    if (first.role === 'assistant' && question !== undefined) places.add(question)
    for (let at = start; at < end; at++) places.add(at)
  }
  return places
}
