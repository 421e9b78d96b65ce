import { expect, test } from 'vitest'
import { Agent, type ConversationStore, MemoryStore } from '../../src/index.ts'
import { hangs, ScriptedClient } from '../../src/testing/index.ts'

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
