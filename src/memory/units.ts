import type { Message } from '../messages.ts'

/** What is kept or dropped whole: an exchange (a reply with calls and its results), or any other message by itself. */
export interface Unit {
  readonly start: number
  readonly end: number
}

export function unitsOf(messages: readonly Message[]): readonly Unit[] {
  const units: Unit[] = []
  for (let start = 0; start < messages.length; ) {
    const end = endOfUnit(messages, start)
    units.push({ start, end })
    start = end
  }
  return units
}

/** Where the unit ends that begins at `start`. */
export function endOfUnit(messages: readonly Message[], start: number): number {
  let end = start + 1
  if (hasCalls(messages[start])) while (messages[end]?.role === 'tool') end++
  return end
}

export function pinnedUnits(
  messages: readonly Message[],
  units: readonly Unit[],
  keepNewest: number,
): ReadonlySet<Unit> {
  const question = messages.findLastIndex(({ role }) => role === 'user')
  const exchange = messages.findLastIndex(hasCalls)
  const firstOfNewest = messages.length - keepNewest
  return new Set(
    units.filter(
      ({ start, end }) =>
        messages[start]?.role === 'system' ||
        start === question ||
        (start === exchange && exchange > question) ||
        end > firstOfNewest,
    ),
  )
}

export const hasCalls = (message: Message | undefined) =>
  message?.role === 'assistant' && message.toolCalls !== undefined
