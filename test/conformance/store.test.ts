import { beforeAll, describe, expect, test } from 'vitest'
import { ConfigurationError } from '../../src/index.ts'
import { type MakeStore, type StoreCaseName, storeConformance } from '../../src/testing/index.ts'
import { newDatabase } from '../support/database.ts'
import { inMemory, inPostgres, inSqlite } from './stores.ts'

type Exceptions = Partial<Record<StoreCaseName, string>>

let database: string
beforeAll(async () => {
  database = await newDatabase()
})

const alwaysThere = 'it has nothing to open or close'
const memoryAlone = 'there is nothing but this one object'
const asIs = 'it keeps the very entries, which transcripts freeze'

const subjects: readonly (readonly [string, MakeStore, Exceptions])[] = [
  [
    'MemoryStore',
    inMemory,
    {
      'does nothing before it is made ready, and says so': alwaysThere,
      'does nothing after it is closed, and says so': alwaysThere,
      'shows another store on the same data all of it, at once': memoryAlone,
      'keeps everything after it is closed': memoryAlone,
      'is not changed by what happens to the members of entries': asIs,
      'says which entry is damaged, and still gives and takes the others': asIs,
      'says of an entry of a later version that it is one': asIs,
    },
  ],
  ['SqliteStore', inSqlite, {}],
  ['PostgresStore', inPostgres(() => database), {}],
]

describe.each(subjects)('%s', (_, make, exceptions) => {
  const cases = storeConformance(make, { exceptions })

  test.each(cases.filter(({ exception }) => exception === undefined))('$name', ({ run }) => run())
})

describe('the suite', () => {
  test('refuses an exception from a case that does not exist, and one without a reason', () => {
    const exceptions = { flies: 'it is a bird' } as Exceptions
    expect(() => storeConformance(inMemory, { exceptions })).toThrow(ConfigurationError)
    expect(() => storeConformance(inMemory, { exceptions: { 'lists a page at a time': ' ' } })).toThrow(
      ConfigurationError,
    )
  })

  test('asks for an exception, with a reason, where a subject lacks what a case needs', async () => {
    const cases = storeConformance(inMemory)
    const reopening = cases.find(({ name }) => name === 'keeps everything after it is closed')
    await expect(reopening?.run()).rejects.toThrow('make an exception')
  })
})
