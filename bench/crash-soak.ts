import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { PostgresStore } from '../src/stores/postgres.ts'
import { SqliteStore } from '../src/stores/sqlite.ts'
import {
  buildProgram,
  type ChildOrder,
  each,
  faultsOf,
  type Remains,
  remainsOf,
  runChild,
} from '../test/crash/crash-kit.ts'
import { startPostgres } from '../test/support/postgres.ts'

/**
 * Kills processes at random moments of a run, again and again until it has come to its end, and counts what went wrong:
 * `npm run soak:crash -- --kills 1000 --store sqlite`. Ends with 1 if anything did.
 */
const { values } = parseArgs({
  options: { kills: { type: 'string', default: '1000' }, store: { type: 'string', default: 'sqlite' } },
})
const wanted = Number(values.kills)
const folder = mkdtempSync(join(tmpdir(), 'tercet-soak-'))
const server = values.store === 'postgres' ? await startPostgres() : undefined
const where: ChildOrder['store'] = server
  ? { connectionString: `${server.url}/postgres` }
  : { path: join(folder, 'conversations.db') }
const view = 'path' in where ? new SqliteStore(where) : new PostgresStore(where)
await view.init()

const { program, remove } = await buildProgram()
const slowMs = 2
const usualMs = await undisturbedMs()
const startedAt = performance.now()
let kills = 0
let runs = 0
let lives = 0
const faults: string[] = []
try {
  await each(Array(2).keys(), 2, async () => {
    while (kills < wanted) {
      const conversation = `run-${++runs}`
      const deaths: Remains[] = []
      const order = { store: where, folder, conversation, slowMs }
      for (;;) {
        lives++
        // As often before its end as after it: some runs die many times, and some never.
        const { signal } = await runChild(program, order, Math.random() * 2 * usualMs)
        if (signal === null) break
        kills++
        deaths.push(await remainsOf(view, folder, conversation))
      }
      faults.push(...faultsOf(deaths, await remainsOf(view, folder, conversation)))
    }
  })
} finally {
  remove()
  await view.close()
  await server?.stop()
  rmSync(folder, { recursive: true, force: true })
}
const seconds = Math.round((performance.now() - startedAt) / 1000)
console.log(
  `${values.store}: ${kills} kills in ${lives} lives of ${runs} runs, ${faults.length} faults, ${seconds} s`,
)
for (const fault of faults.slice(0, 20)) console.log(`  ${fault}`)
if (faults.length > 0) process.exitCode = 1

/** How long a run takes from its beginning to its end, two of them at once. */
async function undisturbedMs(): Promise<number> {
  const order = (name: number) => ({ store: where, folder, conversation: `undisturbed-${name}`, slowMs })
  const ends = await Promise.all([1, 2].map((name) => runChild(program, order(name))))
  return Math.max(...ends.map(({ ms }) => ms))
}
