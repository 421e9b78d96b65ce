import { parseArgs } from 'node:util'
import { soak } from '../test/reliability/soak-kit.ts'

/** Many runs on two failing providers: `npm run soak -- --runs 100000`. Ends with 1 if anything went wrong or was left behind. */
const { values } = parseArgs({
  options: { runs: { type: 'string', default: '100000' }, seed: { type: 'string', default: '1' } },
})
const parts = 10
const runs = Math.ceil(Number(values.runs) / parts)
const heap: number[] = []
const statuses: Record<string, number> = {}
const faults: string[] = []
let requests = 0
const startedAt = performance.now()
for (let part = 0; part < parts; part++) {
  const result = await soak({ runs, atOnce: 100, seed: Number(values.seed) + part, faultRate: 0.3 })
  for (const [status, count] of Object.entries(result.statuses))
    statuses[status] = (statuses[status] ?? 0) + count
  faults.push(...result.faults)
  requests += result.requests
  if (result.listenersLeft > 0) faults.push(`${result.listenersLeft} listeners are left`)
  if (result.sleepersLeft > 0) faults.push(`${result.sleepersLeft} sleepers are left`)
  globalThis.gc?.()
  heap.push(process.memoryUsage().heapUsed)
}
// The first parts are of a program that still warms up.
const perRun = ((heap.at(-1) ?? 0) - (heap[parts / 2] ?? 0)) / (runs * (parts / 2 - 1))
const seconds = Math.round((performance.now() - startedAt) / 1000)
console.log(`${runs * parts} runs, ${requests} requests, ${seconds} s: ${JSON.stringify(statuses)}`)
console.log(`${faults.length} faults; ${perRun.toFixed(1)} bytes of heap a run`)
for (const fault of faults.slice(0, 20)) console.log(`  ${fault}`)
if (faults.length > 0 || perRun > 50) process.exitCode = 1
