import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import {
  Agent,
  type ConversationStore,
  type Entry,
  MemoryStore,
  secret,
  ToolSet,
  tool,
} from '../../src/index.ts'
import { calls, hangs, ScriptedClient } from '../../src/testing/index.ts'

const agent = (store: ConversationStore, ...script: ConstructorParameters<typeof ScriptedClient>[0][]) =>
  new Agent({ client: new ScriptedClient(script.flat() as never), store })

const said = async (store: ConversationStore) =>
  (await store.read('c')).flatMap((entry) =>
    entry.type === 'input' || entry.type === 'message'
      ? [entry.message.content]
      : entry.type === 'reply'
        ? [entry.text]
        : [],
  )

test('a conversation goes on in another agent that has the same store', async () => {
  const store = new MemoryStore()
  await agent(store, ['Hello Ann.']).run('I am Ann.', { conversation: 'c' })
  const client = new ScriptedClient(['You are Ann.'])
  await new Agent({ client, store }).run('Who am I?', { conversation: 'c' })
  expect(client.requests[0]?.messages.map(({ content }) => content)).toEqual([
    'I am Ann.',
    'Hello Ann.',
    'Who am I?',
  ])
})

test('the run that comes too late fails with a conflict, and the conversation goes on without it', async () => {
  const store = new MemoryStore()
  const late = agent(store, [hangs(), 'After.'])
  const conversation = late.conversation('c')
  const run = conversation.runStream('From the late one')
  const { result } = run
  await new Promise((resolve) => setImmediate(resolve))
  await agent(store, ['Quick.']).run('From the quick one', { conversation: 'c' })
  run.abort()
  expect(await result).toMatchObject({ status: 'aborted' })
  expect(await conversation.run('Once more')).toBe('After.')
  expect(await said(store)).toEqual([
    'From the late one',
    'From the quick one',
    'Quick.',
    'Once more',
    'After.',
  ])
})

test('every entry is stored before the event that tells of it', async () => {
  const store = new MemoryStore()
  for await (const event of agent(store, ['Done.']).runStream('Go', { conversation: 'c' })) {
    if (event.type === 'final_response') expect(await said(store)).toEqual(['Go', 'Done.'])
  }
})

test('the store is made ready before it is first asked', async () => {
  const asked: string[] = []
  const store = new Proxy(new MemoryStore(), {
    get: (target, name) => {
      const member = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      return (...given: unknown[]) => {
        asked.push(String(name))
        return Reflect.apply(member, target, given)
      }
    },
  })
  await agent(store).conversation('c').entries()
  expect(asked).toEqual(['init', 'read'])
})

test('a store that fails fails the run, and nothing else', async () => {
  class Full extends MemoryStore {
    override async append(): Promise<number> {
      throw new Error('disk full')
    }
  }
  const result = await agent(new Full(), ['Never said.']).runStream('Go', { conversation: 'c' }).result
  expect(result).toMatchObject({ status: 'failed', error: { code: 'store' } })
})

/** Keeps everything but the ends of runs, while it is told to. */
class Forgetful extends MemoryStore {
  forgets = false
  override async append(id: string, version: number, entries: readonly Entry[]) {
    if (this.forgets && entries.some(({ type }) => type === 'run_ended')) throw new Error('disk full')
    return super.append(id, version, entries)
  }
}

const input = (runId: string, content: string): Entry => ({
  type: 'input',
  runId,
  message: { role: 'user', content },
})

test('the end of a run that could not be stored does not end the run that another process began since', async () => {
  const store = new Forgetful()
  store.forgets = true
  const one = agent(store, ['One.', 'Two.'])
  expect(await one.runStream('1', { conversation: 'c' }).result).toMatchObject({ error: { code: 'store' } })
  store.forgets = false
  await store.append('c', 2, [input('other', '2')])
  expect(await one.resume('c')).toBe('Two.')
  const ends = (await store.read('c')).flatMap((entry) => (entry.type === 'run_ended' ? [entry.runId] : []))
  expect(ends).toEqual(['other'])
})

test('what was said by hand is kept when another process went on, and stands behind it', async () => {
  const store = new MemoryStore()
  const one = new Agent({ client: new ScriptedClient(['A.', 'C.']), store, conversationId: 'c' })
  await one.run('1')
  one.addMessage('user', 'by hand')
  await agent(store, ['B.']).run('2', { conversation: 'c' })
  await one.run('3')
  expect(await said(store)).toEqual(['1', 'A.', '2', 'B.', 'by hand', '3', 'C.'])
})

test('what was said to a run that lost is lost with it', async () => {
  const store = new MemoryStore()
  const other = agent(store, ['Quick.'])
  const look = tool({
    name: 'look',
    description: 'Looks',
    parameters: { type: 'object', properties: {} },
    execute: async () => {
      delivered = stream.steer('Hurry!')
      return 'seen'
    },
  })
  let delivered: Promise<boolean> | undefined
  const script = [calls(['look', {}, 'l']), 'Never said.', 'After.']
  const late = new Agent({
    client: new ScriptedClient(script),
    store,
    tools: [look],
    // Between the result and the next call of the model.
    hooks: {
      onMessage: async ({ role }) => {
        if (role === 'tool') await other.run('From the quick one', { conversation: 'c' })
      },
    },
  })
  const stream = late.runStream('Go', { conversation: 'c' })
  expect(await stream.result).toMatchObject({ error: { code: 'conflict' } })
  expect(await delivered).toBe(false)
  await late.run('Once more', { conversation: 'c' })
  expect(JSON.stringify(await store.read('c'))).not.toContain('Hurry!')
})

test.each([
  ['and is empty', []],
  ['and was begun anew, by now as long as it was', ['a', 'b', 'c'].map((runId) => input(runId, runId))],
  ['and was begun anew, and is longer', ['a', 'b', 'c', 'd'].map((runId) => input(runId, runId))],
])('a conversation goes on as it is in the store when another process deleted it %s', async (_, anew) => {
  const store = new MemoryStore()
  const client = new ScriptedClient(['One.', 'Two.'])
  const one = new Agent({ client, store })
  await one.run('1', { conversation: 'c' })
  await store.delete('c')
  await store.append('c', 0, anew)
  expect(await one.run('2', { conversation: 'c' })).toBe('Two.')
  expect(client.requests[1]?.messages.map(({ content }) => content)).toEqual([
    ...anew.flatMap((entry) => (entry.type === 'input' ? [entry.message.content] : [])),
    '2',
  ])
})

test('a run whose conversation is deleted has no further effect, also if another one has come as far by then', async () => {
  const store = new MemoryStore()
  const ran: string[] = []
  const act = tool({
    name: 'act',
    description: 'Acts',
    parameters: { type: 'object', properties: {} },
    execute: () => void ran.push('act'),
  })
  const script = [
    async () => {
      await one.conversation('c').delete()
      await store.append('c', 0, [input('anew', 'Anew')])
      return calls(['act', {}, 'a'])
    },
  ]
  const one = new Agent({ client: new ScriptedClient(script), store, tools: [act] })
  const result = await one.runStream('Go', { conversation: 'c' }).result
  expect(result).toMatchObject({ status: 'failed', error: { code: 'conflict' } })
  expect(ran).toEqual([])
  expect(await said(store)).toEqual(['Anew'])
})

test('a store that cannot delete says so', async () => {
  class Stuck extends MemoryStore {
    override async delete(): Promise<void> {
      throw new Error('read only')
    }
  }
  await expect(agent(new Stuck()).conversation('c').delete()).rejects.toMatchObject({
    code: 'store',
    message: expect.stringContaining('could not delete the conversation "c": read only'),
  })
})

test('what a store has written and did not answer is known again, in whatever order it gives back members', async () => {
  const sorted = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(sorted)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(
      Object.entries(value)
        .sort()
        .map(([key, member]) => [key, sorted(member)]),
    )
  }
  class Sorting extends MemoryStore {
    #appends = 0
    override async append(id: string, version: number, entries: readonly Entry[]) {
      const result = await super.append(id, version, entries.map(sorted) as Entry[])
      if (++this.#appends === 2) throw new Error('connection lost')
      return result
    }
  }
  const store = new Sorting()
  const result = await agent(store, ['One.']).runStream('1', { conversation: 'c' }).result
  expect(result).toMatchObject({ status: 'failed', error: { code: 'store' } })
  expect((await store.read('c')).map(({ type }) => type)).toEqual(['input', 'reply', 'run_ended'])
})

test('what a store throws holds no secrets, whoever asked it', async () => {
  const key = 'sk-1234567890'
  const fail = () => Promise.reject(new Error(`no access with ${key}`))
  const store = Object.assign(new MemoryStore(), { read: fail, list: fail, delete: fail })
  const bank = new ToolSet({ name: 'bank', description: 'A bank', config: { key: secret(key) }, tools: [] })
  const one = new Agent({ client: new ScriptedClient([]), store, tools: [bank] })
  const conversation = one.conversation('c')
  const asked = [
    conversation.entries(),
    conversation.fork(),
    conversation.delete(),
    conversation.resume(),
    one.recover(),
  ]
  for (const settled of await Promise.allSettled(asked)) {
    expect(settled).toMatchObject({
      reason: { code: 'store', message: expect.stringContaining('[secret:key]') },
    })
    expect(inspect(settled, { depth: 9 })).not.toContain(key)
  }
})

test('what it says so far can be read while the store is asked to append, also by the store', async () => {
  const store = new MemoryStore()
  const one = agent(store, ['Hello.'])
  const append = store.append.bind(store)
  const seen: number[] = []
  store.append = async (...visit) => {
    seen.push((await one.conversation('c').entries()).length)
    return append(...visit)
  }
  expect(await one.run('Hello?', { conversation: 'c' })).toBe('Hello.')
  expect(seen).toEqual([1, 2, 3])
})
