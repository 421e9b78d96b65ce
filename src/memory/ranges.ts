import type { Message } from '../messages.ts'

/** Messages of a history that stand next to one another there: from `start` up to, not including, `end`. */
export interface Range {
  readonly start: number
  readonly end: number
}

/**
 * Where in `history` the given messages stand, if they are a choice from it in its order; else `undefined`. Compares
 * pointers only: a choice from a long history is recognised without a table of it.
 */
export function rangesOf(
  messages: readonly unknown[],
  history: readonly Message[],
): readonly Range[] | undefined {
  const ranges: Range[] = []
  let end = 0
  for (let index = 0; index < messages.length; ) {
    let start = end
    while (start < history.length && history[start] !== messages[index]) start++
    if (start === history.length) return undefined
    for (end = start; end < history.length && history[end] === messages[index]; end++) index++
    ranges.push({ start, end })
  }
  return ranges
}

/** Whether the ranges tear no exchange of a history in which every result stands right after its call. */
export function areWhole(ranges: readonly Range[], history: readonly Message[]): boolean {
  return ranges.every(({ start, end }) => history[start]?.role !== 'tool' && history[end]?.role !== 'tool')
}

export function holds(ranges: readonly Range[], index: number): boolean {
  return ranges.some(({ start, end }) => start <= index && index < end)
}
