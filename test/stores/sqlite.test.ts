import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ConfigurationError, CorruptEntryError, type Entry, StoreError, user } from '../../src/index.ts'
import { SqliteStore } from '../../src/stores/sqlite.ts'
import { migrate, migrations } from '../../src/stores/sqlite-schema.ts'
import { encodeEntry } from '../../src/transcript/stored-entry.ts'
import { run } from '../support/child.ts'
import { unprivileged } from '../support/postgres.ts'
import { root } from '../support/repository.ts'

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tercet-sqlite-'))
  path = join(folder, 'conversations.db')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const said = (text: string): Entry => ({ type: 'message', message: user(text) })

async function opened(options: { path?: string; busyTimeoutMs?: number } = {}): Promise<SqliteStore> {
  const store = new SqliteStore({ path, ...options })
  await store.init()
  return store
}

describe('the file', () => {
  test('holds entries as the exact JSON', async () => {
    const entry = said('\ud800 \0 é')
    const store = await opened()
    await store.append('a', 0, [entry])
    await store.close()
    const database = new DatabaseSync(path)
    expect(database.prepare('SELECT entry FROM tercet_entries').get()).toEqual({ entry: encodeEntry(entry) })
    database.close()
  })

  test('may hold tables of others', async () => {
    const database = new DatabaseSync(path)
    database.exec('CREATE TABLE conversations (id); PRAGMA user_version = 7')
    const store = await opened()
    await store.append('a', 0, [said('Hello')])
    expect(database.prepare('PRAGMA user_version').get()).toEqual({ user_version: 7 })
    database.close()
    await store.close()
  })

  test('may be none, for as long as the store lives', async () => {
    const [one, other] = [await opened({ path: ':memory:' }), await opened({ path: ':memory:' })]
    await one.append('a', 0, [said('Hello')])
    expect(await one.read('a')).toEqual([said('Hello')])
    expect(await other.list()).toEqual([])
    await Promise.all([one.close(), other.close()])
  })

  test('keeps what was acknowledged when its process is killed', async () => {
    const program = `
      import { SqliteStore } from ${JSON.stringify(join(root, 'src/stores/sqlite.ts'))}
      const store = new SqliteStore({ path: ${JSON.stringify(path)} })
      await store.init()
      for (let version = 0; version < 10; version++) {
        await store.append('a', version, [{ type: 'message', message: { role: 'user', content: String(version) } }])
      }
      process.kill(process.pid, 'SIGKILL')`
    const { code, stderr } = await run(process.execPath, ['--input-type=module', '-e', program], {
      cwd: root,
    })
    expect({ code, stderr }).toEqual({ code: null, stderr: '' })
    const store = await opened()
    expect(await store.read('a')).toEqual(Array.from({ length: 10 }, (_, version) => said(`${version}`)))
    await store.close()
  })
})

describe('the schema', () => {
  /** As version 0.1.0 made it, written down here so that it is never forgotten how to read it. */
  function writeVersion1(): void {
    const database = new DatabaseSync(path)
    database.exec(`
      CREATE TABLE tercet_schema (version INTEGER NOT NULL) STRICT;
      INSERT INTO tercet_schema VALUES (1);
      CREATE TABLE tercet_conversations (
        number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, id TEXT NOT NULL, version INTEGER NOT NULL,
        state TEXT NOT NULL, updated_at INTEGER NOT NULL) STRICT;
      CREATE INDEX tercet_conversations_by_state ON tercet_conversations (state, key);
      CREATE TABLE tercet_entries (
        conversation INTEGER NOT NULL REFERENCES tercet_conversations ON DELETE CASCADE,
        position INTEGER NOT NULL, entry TEXT NOT NULL, checksum INTEGER NOT NULL,
        PRIMARY KEY (conversation, position)) STRICT;
      INSERT INTO tercet_conversations VALUES (1, x'0061', 'a', 1, 'suspended', 1700000000000);
      INSERT INTO tercet_entries VALUES
        (1, 0, '{"v":1,"type":"message","message":{"role":"user","content":"Hello"}}', 583790590);`)
    database.close()
  }

  test('of version 1 is read and written', async () => {
    writeVersion1()
    const store = await opened()
    expect(await store.list()).toEqual([
      { id: 'a', version: 1, state: 'suspended', updatedAt: 1_700_000_000_000 },
    ])
    expect(await store.read('a')).toEqual([said('Hello')])
    expect(await store.append('a', 1, [said('Bye')])).toBe(2)
    await store.close()
  })

  test('is made a newer one once, whoever tries', () => {
    writeVersion1()
    const steps = [
      ...migrations,
      "ALTER TABLE tercet_conversations ADD COLUMN title TEXT NOT NULL DEFAULT 'none'",
    ]
    const [one, other] = [new DatabaseSync(path), new DatabaseSync(path)]
    for (const database of [one, other, one]) migrate(database, steps)
    expect(other.prepare('SELECT id, title, version FROM tercet_conversations').all()).toEqual([
      { id: 'a', title: 'none', version: 1 },
    ])
    expect(other.prepare('SELECT version FROM tercet_schema').all()).toEqual([{ version: 2 }])
    one.close()
    other.close()
  })

  test('stays as it was when a step fails', async () => {
    writeVersion1()
    const database = new DatabaseSync(path)
    const steps = [...migrations, 'CREATE TABLE tercet_new (a); ALTER TABLE nothing RENAME TO something']
    expect(() => migrate(database, steps)).toThrow('nothing')
    database.close()
    const store = await opened()
    expect(await store.read('a')).toEqual([said('Hello')])
    await store.close()
  })

  test('that is newer than this code is refused', async () => {
    writeVersion1()
    const database = new DatabaseSync(path)
    database.exec('UPDATE tercet_schema SET version = 99')
    database.close()
    await expect(opened()).rejects.toThrow(/schema is 99, and this version knows up to 1\. Update tercet/)
  })
})

describe('a failure', () => {
  test('of options is told when the store is made', () => {
    expect(() => new SqliteStore({ path: ' ' })).toThrow(ConfigurationError)
    expect(() => new SqliteStore({ path, busyTimeoutMs: -1 })).toThrow('busyTimeoutMs')
  })

  test('says what to do: no folder, no database', async () => {
    await expect(opened({ path: join(folder, 'none/a.db') })).rejects.toThrow(/folder has to exist/)
    await expect(opened({ path: folder })).rejects.toThrow(StoreError)
    writeFileSync(path, 'No database, and long enough to have been one. '.repeat(100))
    const store = new SqliteStore({ path })
    await expect(store.init()).rejects.toThrow(/no SQLite database/)
    // Repaired, it works without a new store.
    rmSync(path)
    await store.init()
    expect(await store.list()).toEqual([])
    await store.close()
  })

  test('waits while another process writes, and this one does not stand still', async () => {
    const [store, other] = [await opened(), new DatabaseSync(path)]
    other.exec('BEGIN IMMEDIATE')
    const appended = store.append('a', 0, [said('Hello')])
    expect(await store.read('a')).toEqual([]) // a reader is in nobody's way
    other.exec('COMMIT')
    expect(await appended).toBe(1)
    other.close()
    await store.close()
  })

  test('is told when another process writes for too long, and is over when that is', async () => {
    const [store, other] = [await opened({ busyTimeoutMs: 0 }), new DatabaseSync(path)]
    other.exec('BEGIN IMMEDIATE')
    const failure = await store.append('a', 0, [said('Hello')]).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(StoreError)
    expect(failure).toMatchObject({
      message: expect.stringContaining('busyTimeoutMs'),
      cause: { errcode: 5 },
    })
    other.exec('ROLLBACK')
    expect(await store.append('a', 0, [said('Hello')])).toBe(1)
    other.close()
    await store.close()
  })

  test('closing ends a wait', async () => {
    const [store, other] = [await opened(), new DatabaseSync(path)]
    other.exec('BEGIN IMMEDIATE')
    const appended = store.append('a', 0, [said('Hello')])
    await Promise.all([store.close(), expect(appended).rejects.toThrow(StoreError)])
    other.close()
  })

  test('of a full disk writes nothing of an append, and the next one works when there is room', async () => {
    await (await opened()).close()
    const { code, stdout, stderr } = await run(
      'sh',
      [
        '-c',
        'ulimit -f 256; exec "$0" "$@"',
        process.execPath,
        '--input-type=module',
        '-e',
        fillingProgram(),
      ],
      { cwd: root },
    )
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const { acknowledged, code: told, message } = JSON.parse(stdout)
    expect(told).toBe('store')
    expect(message).toMatch(/Nothing of this append is written: .*make room/)
    const store = await opened()
    const entries = await store.read('a')
    expect(entries).toHaveLength(acknowledged)
    expect(await store.append('a', acknowledged, [said('There is room.')])).toBe(acknowledged + 1)
    await store.close()
  })

  /** Appends until that fails, with a limit on the size of a file. */
  function fillingProgram(): string {
    return `
      import { SqliteStore } from ${JSON.stringify(join(root, 'src/stores/sqlite.ts'))}
      process.on('SIGXFSZ', () => {}) // the limit is to be an error, and not the end of the process
      const store = new SqliteStore({ path: ${JSON.stringify(path)} })
      await store.init()
      const entry = { type: 'message', message: { role: 'user', content: 'x'.repeat(5_000) } }
      let acknowledged = 0
      try {
        for (;;) acknowledged = await store.append('a', acknowledged, [entry, entry])
      } catch ({ code, message }) {
        if ((await store.read('a')).length !== acknowledged) throw new Error('It wrote a part.')
        console.log(JSON.stringify({ acknowledged, code, message }))
      }`
  }

  test('of a file that may only be read leaves it readable', async () => {
    const store = await opened()
    await store.append('a', 0, [said('Hello')])
    await store.close()
    const { code, stdout, stderr } = await run(
      'sh',
      ['-c', `chmod 444 "$1"; chmod 755 "${folder}"`, 'sh', path],
      {
        cwd: root,
      },
    )
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: '' })
    const program = `
      // Root may write to everything.
      const user = ${JSON.stringify(unprivileged() ?? null)}
      const { SqliteStore } = await import(${JSON.stringify(join(root, 'src/stores/sqlite.ts'))})
      if (user) {
        process.setgid(user.gid)
        process.setuid(user.uid)
      }
      const store = new SqliteStore({ path: ${JSON.stringify(path)} })
      const { code, message } = await store.init()
        .then(() => store.append('a', 1, [{ type: 'message', message: { role: 'user', content: 'x' } }]))
        .catch((error) => error)
      console.log(JSON.stringify({ code, message }))`
    const ended = await run(process.execPath, ['--input-type=module', '-e', program], { cwd: root })
    expect(ended.stderr).toBe('')
    expect(JSON.parse(ended.stdout)).toEqual({ code: 'store', message: expect.stringMatching(/write/) })
  })
})

describe('damage', () => {
  const entries = Array.from({ length: 20 }, (_, index) =>
    said(`${index} ${'lorem ipsum '.repeat(20 + index * 5)}`),
  )

  test('leaves the longest sound beginning, or is told by an error', { timeout: 120_000 }, async () => {
    const sound = join(folder, 'sound.db')
    const store = await opened({ path: sound })
    for (const [version, entry] of entries.entries()) await store.append('a', version, [entry])
    await store.close()
    const bytes = readFileSync(sound)
    const outcomes = { whole: 0, prefix: 0, refused: 0, lost: 0 }
    // Steps of a prime: they fall on ever other places of pages and sectors.
    for (let offset = 3; offset < bytes.length; offset += 397) {
      for (const damage of damages) outcomes[await outcomeOf(damage(bytes, offset))]++
    }
    expect(outcomes.lost).toBe(0)
    expect(Math.min(outcomes.whole, outcomes.prefix, outcomes.refused)).toBeGreaterThan(50)
  })

  test('that leaves nothing, leaves a new file: a process may have died before it wrote anything', async () => {
    writeFileSync(path, '')
    const store = await opened()
    expect(await store.append('a', 0, [said('Hello')])).toBe(1)
    await store.close()
  })

  const damages: readonly ((bytes: Buffer, offset: number) => Buffer)[] = [
    (bytes, offset) => bytes.subarray(0, offset),
    (bytes, offset) =>
      changed(bytes, (copy) => copy.writeUInt8(copy.readUInt8(offset) ^ (1 << (offset % 8)), offset)),
    (bytes, offset) => changed(bytes, (copy) => copy.fill(0, offset, Math.min(offset + 512, copy.length))),
    (bytes, offset) => Buffer.concat([bytes.subarray(0, offset + 512), bytes.subarray(offset)]),
    (bytes, offset) => changed(bytes, (copy) => copy.copy(copy, offset, 0, 300)),
  ]

  async function outcomeOf(damaged: Buffer): Promise<'whole' | 'prefix' | 'refused' | 'lost'> {
    rmSync(path, { force: true })
    writeFileSync(path, damaged)
    const store = new SqliteStore({ path })
    try {
      await store.init()
      await store.list()
      const read = await store.read('a')
      if (read.length < entries.length) return 'lost'
      expect(read).toEqual(entries)
      expect(await store.append('a', 20, [said('more')])).toBe(21)
      return 'whole'
    } catch (error) {
      if (error instanceof CorruptEntryError) {
        expect(await store.read('a', 0, error.position)).toEqual(entries.slice(0, error.position))
        return 'prefix'
      }
      if (error instanceof StoreError) return 'refused'
      throw error
    } finally {
      await store.close()
    }
  }

  function changed(bytes: Buffer, change: (copy: Buffer) => void): Buffer {
    const copy = Buffer.from(bytes)
    change(copy)
    return copy
  }
})
