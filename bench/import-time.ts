/**
 * How long `import 'tercet'` takes beside `import 'zod'`, each in fresh processes, interleaved, medians over nothing.
 * With `--check` it fails when the root entry costs more than its budget, a part of zod's.
 */
import { spawnSync } from 'node:child_process'

const rounds = 15
const budget = 0.45
const subjects = { nothing: '0', tercet: "import('tercet')", zod: "import('zod')" }

const times: Record<string, number[]> = { nothing: [], tercet: [], zod: [] }
for (let round = 0; round < rounds; round++) {
  for (const [name, code] of Object.entries(subjects)) {
    const start = process.hrtime.bigint()
    spawnSync(process.execPath, ['--input-type=module', '-e', `await ${code}`], { stdio: 'inherit' })
    times[name]?.push(Number(process.hrtime.bigint() - start) / 1e6)
  }
}

const median = (name: string): number => times[name]?.sort((a, b) => a - b)[rounds >> 1] ?? Number.NaN
const nothing = median('nothing')
const tercet = median('tercet') - nothing
const zod = median('zod') - nothing
console.log(
  `import 'tercet' ${tercet.toFixed(1)} ms, import 'zod' ${zod.toFixed(1)} ms, ratio ${(tercet / zod).toFixed(2)}`,
)
if (process.argv.includes('--check') && tercet > zod * budget) {
  console.error(`The root entry takes more than ${budget} of zod's time to import.`)
  process.exitCode = 1
}
