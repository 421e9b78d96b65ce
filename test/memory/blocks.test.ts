import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  ApprovalError,
  ConfigurationError,
  ConflictError,
  type ConversationStore,
  type Entry,
  MemoryBlocks,
  MemoryStore,
  secret,
  system,
  user,
} from '../../src/index.ts'
import { buildMessages } from '../../src/memory/block-prompt.ts'
import { SqliteStore } from '../../src/stores/sqlite.ts'
import { thrownBy } from '../support/outcome.ts'

const id = 'blocks:ada'
const contents = (blocks: MemoryBlocks) =>
  Object.fromEntries([...blocks.core, ...blocks.working, ...blocks.archival].map((b) => [b.label, b.content]))

/** A store in which `intrude` happens right before so many appends: between reading and writing. */
function contended(
  times: number,
  intrude: (store: ConversationStore) => Promise<unknown>,
): ConversationStore {
  const store = new MemoryStore()
  let left = times
  const append: ConversationStore['append'] = async (...write) => {
    if (left-- > 0) await intrude(store)
    return store.append(...write)
  }
  return Object.assign(Object.create(store), {
    init: () => store.init(),
    read: (...what: Parameters<ConversationStore['read']>) => store.read(...what),
    append,
  })
}

describe('memory blocks', () => {
  test('keep their order, whatever is written to them, and what is not given', async () => {
    const blocks = new MemoryBlocks()
    await blocks.set('persona', 'I am Tess.', {
      tier: 'core',
      permission: 'readonly',
      description: 'Who I am',
    })
    await blocks.set('human', 'Ada', { tier: 'core' })
    await blocks.set('persona', 'I am Max.')
    await blocks.set('task', 'Nothing yet.')
    expect(blocks.core).toEqual([
      {
        label: 'persona',
        tier: 'core',
        permission: 'readonly',
        content: 'I am Max.',
        description: 'Who I am',
      },
      { label: 'human', tier: 'core', permission: 'readwrite', content: 'Ada' },
    ])
    expect(blocks.working).toEqual([
      { label: 'task', tier: 'working', permission: 'readwrite', content: 'Nothing yet.' },
    ])
    expect(blocks.get('task')).toBe(blocks.working[0])
    expect(Object.isFrozen(blocks.get('task'))).toBe(true)
  })

  test('are the entries of a conversation of their own, each change one, and no change none', async () => {
    const store = new MemoryStore()
    const blocks = new MemoryBlocks({ store, id })
    await blocks.set('log', 'one', { permission: 'append' })
    await blocks.set('log', 'one')
    await blocks.write('log', 'two', { key: 'run:call' })
    await blocks.delete('gone')
    await blocks.delete('log')
    expect(await store.read(id)).toEqual([
      {
        type: 'block',
        change: { do: 'write', label: 'log', tier: 'working', permission: 'append', content: 'one' },
      },
      { type: 'block', change: { do: 'append', label: 'log', content: 'two', key: 'run:call' } },
      { type: 'block', change: { do: 'delete', label: 'log' } },
    ])
    expect(contents(blocks)).toEqual({})
  })

  test('are all there after a restart, with what waits for approval', async () => {
    const store = new MemoryStore()
    const before = new MemoryBlocks({ store, id })
    await before.set('human', 'Ada', { permission: 'approval', tier: 'core' })
    await before.write('human', 'Bob')
    await before.write('human', 'Cid')

    const after = new MemoryBlocks({ store, id })
    expect(after.pending).toEqual([])
    await after.load()
    expect(after.core).toEqual(before.core)
    expect(after.pending).toEqual([
      { proposalId: 'proposal_2', label: 'human', content: 'Bob' },
      { proposalId: 'proposal_3', label: 'human', content: 'Cid' },
    ])
    await after.reject('proposal_2')
    await after.approve('proposal_3')
    await before.load()
    expect([contents(before), before.pending]).toEqual([{ human: 'Cid' }, []])
  })

  test('of one id are the same blocks in any number of objects', async () => {
    const store = new MemoryStore()
    const [a, b] = [new MemoryBlocks({ store, id }), new MemoryBlocks({ store, id })]
    await a.set('log', '', { permission: 'append' })
    await Promise.all([1, 2, 3, 4].flatMap((n) => [a.write('log', `a${n}`), b.write('log', `b${n}`)]))
    await Promise.all([a.load(), b.load()])
    expect(a.get('log')?.content.split('\n').sort()).toEqual(['a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'b3', 'b4'])
    expect(b.get('log')).toEqual(a.get('log'))
    expect(new MemoryBlocks({ store, id: 'blocks:bob' }).working).toEqual([])
  })

  test('are kept in a file, and shared by two who have it open', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tercet-blocks-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const stores = [1, 2].map(() => new SqliteStore({ path: join(folder, 'blocks.db') }))
    const [a, b] = stores.map((store) => new MemoryBlocks({ store, id }))
    await a?.set('human', 'Ada', { permission: 'append' })
    await Promise.all([a?.write('human', 'from Oslo'), b?.write('human', 'vegan')])
    await Promise.all([a?.load(), b?.load()])
    expect(a?.get('human')?.content.split('\n').sort()).toEqual(['Ada', 'from Oslo', 'vegan'])
    expect(b?.get('human')).toEqual(a?.get('human'))
    for (const store of stores) await store.close()
  })

  test('keep both changes when another process was faster', async () => {
    const store = contended(1, (inner) => new MemoryBlocks({ store: inner, id }).set('theirs', 'x'))
    const blocks = new MemoryBlocks({ store, id })
    await blocks.set('ours', 'y')
    expect(contents(blocks)).toEqual({ theirs: 'x', ours: 'y' })
  })

  test('decide anew on what the faster one left', async () => {
    const lock = (inner: ConversationStore) =>
      new MemoryBlocks({ store: inner, id }).set('notes', 'locked', { permission: 'readonly' })
    const blocks = new MemoryBlocks({ store: contended(1, lock), id })
    expect(await blocks.write('notes', 'mine')).toMatchObject({ outcome: 'refused' })
    expect(contents(blocks)).toEqual({ notes: 'locked' })
  })

  test('give up with the conflict when others never stop writing', async () => {
    let count = 0
    const store = contended(Number.POSITIVE_INFINITY, (inner) =>
      new MemoryBlocks({ store: inner, id }).set('theirs', String(count++)),
    )
    expect(await thrownBy(new MemoryBlocks({ store, id }).set('ours', 'y'))).toBeInstanceOf(ConflictError)
    expect(count).toBe(10)
  })

  test.each([0, 1, 2, 3])(
    'are gone when somebody else deleted them and made %i changes anew',
    async (changes) => {
      const store = new MemoryStore()
      const here = new MemoryBlocks({ store, id })
      await here.set('human', 'Ada, of 12 Birch Street', { tier: 'core' })
      await here.set('log', 'old')
      await store.delete(id)
      const there = new MemoryBlocks({ store, id })
      for (let n = 1; n <= changes; n++) await there.set('log', `new ${n}`)
      await here.load()
      expect(contents(here)).toEqual(contents(there))
      expect(here.buildSystemPrompt('Hi.')).toBe('Hi.')
    },
  )

  test('begin anew after their conversation was deleted', async () => {
    const store = new MemoryStore()
    const blocks = new MemoryBlocks({ store, id })
    await blocks.set('old', 'x')
    await store.delete(id)
    await blocks.set('new', 'y')
    expect(contents(blocks)).toEqual({ new: 'y' })
  })

  test('go on after the store failed, also when it had done its work', async () => {
    const store = new MemoryStore()
    const blocks = new MemoryBlocks({ store, id })
    await blocks.set('log', '', { permission: 'append' })
    const append = store.append.bind(store)
    store.append = async (...write) => {
      store.append = append
      await append(...write)
      throw new Error('connection lost')
    }
    const write = () => blocks.write('log', 'once', { key: 'run:call' })
    expect(await thrownBy(write())).toMatchObject({
      code: 'store',
      message: expect.stringContaining('could not append to the memory blocks "blocks:ada": connection lost'),
    })
    expect(await write()).toEqual({ outcome: 'unchanged' })
    expect(contents(blocks)).toEqual({ log: 'once' })
  })

  test('refuse a conversation, and an entry that they cannot read', async () => {
    const store = new MemoryStore()
    await store.append('talk', 0, [{ type: 'message', message: user('Hi') }])
    expect(await thrownBy(new MemoryBlocks({ store, id: 'talk' }).load())).toMatchObject({
      code: 'configuration',
      message:
        '"talk" is a conversation, not memory blocks. Give the blocks an id of their own, such as "blocks:talk".',
    })
    await store.append(id, 0, [{ type: 'block', change: { do: 'rename', label: 'a' } } as unknown as Entry])
    expect(await thrownBy(new MemoryBlocks({ store, id }).load())).toMatchObject({
      code: 'corrupt_entry',
      position: 0,
    })
  })

  test('hold a label that is the name of a prototype', async () => {
    const blocks = new MemoryBlocks()
    for (const label of ['__proto__', 'constructor', 'toString'])
      await blocks.write(label, 'x', { key: label })
    expect(blocks.working.map(({ label }) => label)).toEqual(['__proto__', 'constructor', 'toString'])
    expect(await blocks.write('valueOf', 'y', { key: 'valueOf' })).toEqual({ outcome: 'written' })
    expect(Object.hasOwn(Object.prototype, 'content')).toBe(false)
  })

  test('measure a block in code points, and say so to whom it concerns', async () => {
    const blocks = new MemoryBlocks({ maxBlockLength: 4 })
    await blocks.set('log', '👍👍', { permission: 'append' })
    expect(await blocks.write('log', '👍')).toEqual({ outcome: 'appended' })
    expect(await blocks.write('log', 'x')).toEqual({
      outcome: 'refused',
      reason:
        '"log" would be 6 characters long, and 4 are the most. Write less, or put a part of it in another block.',
    })
    expect(await thrownBy(blocks.set('log', '👍👍👍👍👍'))).toMatchObject({
      path: 'content',
      message: 'blocks.set() option content must be text of at most 4 code points (maxBlockLength).',
    })
  })

  test('say what is wrong with an argument, and never what a block says', async () => {
    const blocks = new MemoryBlocks()
    for (const label of ['', ' a', 'a\nb', 'x'.repeat(101)]) {
      expect(await thrownBy(blocks.set(label, ''))).toMatchObject({ path: 'label' })
      expect(await blocks.write(label, '')).toMatchObject({ outcome: 'refused' })
    }
    const error = await thrownBy(blocks.set('a', secret('sesame-open') as unknown as string))
    expect(error).toMatchObject({ path: 'content', message: expect.not.stringContaining('sesame') })
    expect(await thrownBy(blocks.set('a', '', { tier: 'top' as never }))).toMatchObject({ path: 'tier' })
    expect(() => new MemoryBlocks({ store: new MemoryStore() })).toThrow(ConfigurationError)
  })

  test('settle a proposal once, and drop those of a block that is gone', async () => {
    const blocks = new MemoryBlocks()
    await blocks.set('human', 'Ada', { permission: 'approval' })
    expect(await blocks.write('human', 'Bob', { key: 'k' })).toEqual({
      outcome: 'proposed',
      proposalId: 'proposal_2',
    })
    expect(await blocks.write('human', 'Bob', { key: 'k' })).toEqual({ outcome: 'unchanged' })
    await blocks.approve('proposal_2')
    const error = await thrownBy(blocks.approve('proposal_2'))
    expect(error).toBeInstanceOf(ApprovalError)
    expect(error).toMatchObject({ reason: 'not_pending', callId: 'proposal_2' })

    await blocks.write('human', 'Cid')
    await blocks.delete('human')
    expect(blocks.pending).toEqual([])
  })
})

describe('the search of blocks', () => {
  test('embeds a block once, until it changes', async () => {
    const asked: string[][] = []
    const embed = async (texts: readonly string[]) => {
      asked.push([...texts])
      return texts.map((text) => [text.length, 1])
    }
    const blocks = new MemoryBlocks({ embed })
    expect(await blocks.search('x')).toEqual([])
    await blocks.set('a', 'one', { tier: 'archival' })
    await blocks.set('b', 'two', { tier: 'archival' })
    await blocks.search('x')
    await blocks.set('b', 'three')
    expect((await blocks.search('y', { limit: 1 })).length).toBe(1)
    expect(asked).toEqual([
      ['x', 'a\n\none', 'b\n\ntwo'],
      ['y', 'b\n\nthree'],
    ])
    expect(await thrownBy(blocks.search('z', { embed: () => [] }))).toMatchObject({
      path: 'embed',
      message: 'embed must give 3 vectors for 3 texts, got an array of 0.',
    })
  })
})

test('working blocks stand after the system messages that a history begins with', () => {
  const workingBlocks = [{ label: 'a', tier: 'working', permission: 'readonly', content: 'x' }] as const
  const message = user('[Working Memory Context]\n## a\nx')
  const built = (...history: Parameters<typeof buildMessages>[0]) => buildMessages(history, { workingBlocks })
  expect(built(system('Summary'), user('Hi'))).toEqual([system('Summary'), message, user('Hi')])
  expect(built(system('Summary'))).toEqual([system('Summary'), message])
  expect(built()).toEqual([message])
})
