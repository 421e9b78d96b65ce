/** Measurements as medians, ratios and a table. */
import type { Name } from './contestants.ts'
import type { Measure, Unit } from './measures.ts'

/** A median, and the quartiles around it. */
export interface Spread {
  readonly median: number
  readonly low: number
  readonly high: number
}

export interface Row {
  /** The measure and what of it. */
  readonly row: string
  readonly title: string
  readonly unit: Unit
  readonly goal?: number
  readonly values: Partial<Record<Name, Spread>>
  /** To the floor of the same round. */
  readonly ratios: Partial<Record<Name, Spread>>
}

/** Ratios to the floor by row: what has been reached. */
export type Baseline = Record<string, Spread>

function spreadOf(numbers: readonly number[]): Spread {
  const sorted = numbers.toSorted((a, b) => a - b)
  const at = (part: number) => sorted[Math.round((sorted.length - 1) * part)] ?? Number.NaN
  return { median: at(0.5), low: at(0.25), high: at(0.75) }
}

export function summarize(
  measures: readonly Measure[],
  found: ReadonlyMap<string, ReadonlyMap<Name, readonly number[]>>,
): readonly Row[] {
  return measures.flatMap(({ name, rows }) =>
    Object.entries(rows).map(([key, row]): Row => {
      const numbers = found.get(`${name} ${key}`) ?? new Map()
      const floor = numbers.get('floor')
      const values: Row['values'] = {}
      const ratios: Row['ratios'] = {}
      for (const [contestant, taken] of numbers as ReadonlyMap<Name, readonly number[]>) {
        values[contestant] = spreadOf(taken)
        if (floor) ratios[contestant] = spreadOf(taken.map((each, round) => each / floor[round]))
      }
      return { row: `${name} ${key}`, ...row, values, ratios }
    }),
  )
}

/** One line for each row: the floor as it is, the others as ratios to it, with quartiles. */
export function table(rows: readonly Row[], of: readonly Name[]): string {
  const lines = [
    `| measure | goal | ${of.join(' | ')} |`,
    `|---|---:|${of.map(() => '---:|').join('')}`,
    ...rows.map(({ title, unit, goal, values, ratios }) => {
      const cells = of.map((name) => {
        const value = values[name]
        const ratio = ratios[name]
        if (!value) return '–'
        if (name === 'floor' || !ratio) return shown(value.median, unit)
        return ratio.low === ratio.high
          ? `${shown(value.median, unit)}, ${ratio.median.toFixed(2)}×`
          : `${ratio.median.toFixed(2)}× (${ratio.low.toFixed(2)}–${ratio.high.toFixed(2)})`
      })
      return `| ${title} | ${goal === undefined ? '' : `${goal}`} | ${cells.join(' | ')} |`
    }),
  ]
  return lines.join('\n')
}

function shown(value: number, unit: Unit): string {
  if (unit === 'bytes') {
    if (value >= 1e6) return `${(value / 1e6).toFixed(1)} MB`
    return value >= 1e3 ? `${(value / 1e3).toFixed(1)} kB` : `${value.toFixed(0)} B`
  }
  if (unit === 'µs') {
    if (value >= 1e6) return `${(value / 1e6).toFixed(2)} s`
    return value >= 1e3 ? `${(value / 1e3).toFixed(1)} ms` : `${value.toPrecision(3)} µs`
  }
  return value.toPrecision(3)
}

/**
 * Which rows are beyond what was reached: their lower quartile is above the upper one of the baseline. One of which nobody
 * knows what was reached is named, too.
 */
export function compare(rows: readonly Row[], baseline: Baseline): readonly string[] {
  return rows.flatMap(({ row, ratios: { tercet } }) => {
    const reached = baseline[row]
    if (!tercet) return []
    if (!reached) return [`${row}: it has no baseline. Measure it on a quiet machine, with --update.`]
    if (tercet.low <= reached.high) return []
    return [`${row}: ${tercet.median.toFixed(2)}× the floor, it was ${reached.median.toFixed(2)}×.`]
  })
}
