/**
 * What Tercet costs beside a hand-written loop, the floor, and beside other libraries: `npm run bench`. Every measurement is
 * made in a fresh process, in rounds in which the contestants take turns; a ratio is the median of the ratios of each round.
 *
 *   --only NAME     only this measure, or measures of which the name begins so; may be repeated
 *   --of NAME       only this contestant beside the floor; may be repeated
 *   --rounds N      default 7
 *   --json          the numbers instead of a table
 *   --check         fails where a ratio is above the one in baseline.json by more than the spread, or is not in it
 *   --update        writes Tercet's ratios to baseline.json
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { buildPrograms, installPeers, type Name, names, root, startProvider } from './contestants.ts'
import { type Measure, measures } from './measures.ts'
import { type Baseline, compare, summarize, table } from './summary.ts'

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [''] },
    of: { type: 'string', multiple: true, default: [...names] },
    rounds: { type: 'string', default: '7' },
    json: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    update: { type: 'boolean', default: false },
  },
})
const chosen = measures.filter(({ name }) => values.only.some((start) => name.startsWith(start)))
const of = names.filter((name) => name === 'floor' || values.of.includes(name))
if (chosen.length === 0 || of.length === 1) throw new Error('Nothing to measure: see --only and --of.')
const rounds = Number(values.rounds)
if ((values.check || values.update) && rounds < 5) throw new Error('Fewer than 5 rounds have no spread.')

if (of.some((name) => name !== 'tercet' && name !== 'floor')) installPeers()
await buildPrograms(of)
const provider = await startProvider()
const found = new Map<string, Map<Name, number[]>>()
try {
  for (const measure of chosen) await measureIn(measure)
} finally {
  provider.stop()
}

async function measureIn(measure: Measure): Promise<void> {
  const taking = of.filter((name) => measure.contestants?.includes(name) ?? true)
  for (let round = 0; round < (measure.isExact ? 1 : rounds); round++) {
    // Another one first in each round.
    const turns = taking.map((_, index) => taking[(index + round) % taking.length] as Name) // within its length
    for (const name of turns) {
      if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${measure.name} ${round + 1}/${rounds} ${name}`)
      const measured = await measure.take(name, provider.url)
      for (const [key, value] of Object.entries(measured)) {
        const row = `${measure.name} ${key}`
        const numbers = found.get(row) ?? new Map<Name, number[]>()
        found.set(row, numbers.set(name, [...(numbers.get(name) ?? []), value]))
      }
    }
  }
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
}

const rows = summarize(chosen, found)
console.log(values.json ? JSON.stringify(rows, null, 2) : table(rows, of))
const path = `${root}bench/baseline.json`
const baseline = (): Baseline => JSON.parse(readFileSync(path, 'utf8')) as Baseline // our own file
if (values.check) {
  const slower = compare(rows, baseline())
  for (const line of slower) console.error(line)
  if (slower.length > 0) process.exitCode = 1
}
if (values.update) {
  const updated = { ...baseline() }
  for (const { row, ratios } of rows) if (ratios.tercet) updated[row] = ratios.tercet
  writeFileSync(path, `${JSON.stringify(updated, null, 2)}\n`)
}
