// A program: one of many processes that write to the same conversations. It begins with the first line it is given, and
// prints what its appends came to.
import { once } from 'node:events'
import { PostgresStore } from '../../src/stores/postgres.ts'
import { SqliteStore } from '../../src/stores/sqlite.ts'
import { type Place, write } from './writing.ts'

const { place, name, count } = JSON.parse(process.argv[2] ?? '') as {
  place: Place
  name: string
  count: number
}
process.stdout.write('ready\n')
await once(process.stdin, 'data')
process.stdin.destroy()

const store = 'path' in place ? new SqliteStore(place) : new PostgresStore(place)
await store.init()
const outcome = await write(store, name, count)
await store.close()
process.stdout.write(`${JSON.stringify(outcome)}\n`)
