import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, it } from 'vitest'
import { StoreError } from '../../src/errors.ts'
import { SqliteStore } from '../../src/stores/sqlite.ts'
import { read, root } from '../support/repository.ts'

// One page instead of a folder; the names of the seed are those of DESIGN.md here.
it('003-36 has contracts that name only what is exported', () => {
  const entries = ['src/index.ts', 'src/stores/sqlite.ts', 'src/stores/postgres.ts'].map(read).join('\n')
  const isExported = (name: string) =>
    new RegExp(`(^export (class|const|function|interface|type) |[\\s{,](type )?)${name}\\b`, 'm').test(
      entries,
    )
  const page = read('docs/contracts.md')
  const exposed = [...page.matchAll(/\*\*Exposes\*\*: ([\s\S]*?)\n- /g)].flatMap(([, list = '']) =>
    [...list.matchAll(/`(\w+)`/g)].map(([, name = '']) => name),
  )
  expect(exposed.length).toBeGreaterThan(30)
  expect(exposed.filter((name) => !isExported(name))).toEqual([])
  for (const part of ['Guarantees', 'Expects', 'Invariants']) {
    expect(page.split(`**${part}**`)).toHaveLength(page.split('\n## ').length)
  }
  expect(existsSync(join(root, 'docs/contracts.md'))).toBe(true)
})

it('003-28 opens a file of an older version by migrating it once, and refuses to work before that', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tercet-migrated-'))
  const path = join(folder, 'old.db')
  try {
    const store = new SqliteStore({ path })
    await expect(store.append('c', 0, [])).rejects.toThrow(StoreError)
    await expect(store.read('c')).rejects.toThrow(/not initialised/)
    // Version 0 is a file without tables, which is what a new one is, too.
    new DatabaseSync(path).close()
    await Promise.all([store.init(), store.init()])
    const version = () => {
      const database = new DatabaseSync(path)
      const row = database.prepare('SELECT * FROM sqlite_master ORDER BY name').all()
      database.close()
      return JSON.stringify(row)
    }
    const migrated = version()
    await store.append('c', 0, [{ type: 'message', message: { role: 'user', content: 'Hello' } }])
    await store.init()
    await store.close()
    const again = new SqliteStore({ path })
    await again.init()
    expect(version()).toBe(migrated)
    expect(await again.read('c')).toHaveLength(1)
    await again.close()
  } finally {
    rmSync(folder, { recursive: true })
  }
})
