import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { Agent, type AgentOptions, type Entry, MemoryStore, tool } from '../../src/index.ts'
import { SqliteStore } from '../../src/stores/sqlite.ts'
import { calls, fails, type Script, ScriptedClient, storeConformance } from '../../src/testing/index.ts'
import { inSqlite } from '../conformance/stores.ts'

const conversation = 'c1'

const look = tool({
  name: 'look',
  description: 'Looks',
  parameters: z.object({}),
  effect: 'read',
  execute: () => 'seen',
})

function session(store: MemoryStore, script: Script, more: Partial<AgentOptions> = {}) {
  const client = new ScriptedClient(script)
  return { client, agent: new Agent({ client, tools: [look], store, conversationId: conversation, ...more }) }
}

const messagesOf = (entries: readonly Entry[]) => entries.map((entry) => [entry.type, contentOf(entry)])

function contentOf(entry: Entry): unknown {
  if (entry.type === 'input' || entry.type === 'message') return entry.message.content
  if (entry.type === 'reply') return [entry.text, (entry.toolCalls ?? []).map(({ id }) => id)]
  if (entry.type === 'tool_finished') return [entry.result.callId, entry.result.output]
  return undefined
}

describe('seed 003, sessions', () => {
  it('003-1 answers a message with text', async () => {
    expect(await session(new MemoryStore(), ['Hello.']).agent.run('Hi')).toBe('Hello.')
  })

  // `loadHistory()` is `entries()` of the conversation, after which `history` has them as messages.
  it('003-2 gives the history as it was stored, with tool calls and results', async () => {
    const store = new MemoryStore()
    const { agent } = session(store, [calls('Let me look.', ['look', {}, 'l']), 'It is there.'])
    await agent.run('Is it there?')

    const later = session(store, []).agent.conversation(conversation)
    expect(await later.entries()).toEqual(await store.read(conversation))
    expect(later.history).toEqual(agent.history)
    expect(later.history).toEqual([
      { role: 'user', content: 'Is it there?' },
      {
        role: 'assistant',
        content: 'Let me look.',
        toolCalls: [{ id: 'l', toolName: 'look', parameters: {} }],
      },
      { role: 'tool', callId: 'l', toolName: 'look', content: 'seen', ok: true },
      { role: 'assistant', content: 'It is there.' },
    ])
  })

  it('003-3 has a conversation id that stays, from the runtime or of the caller', async () => {
    const client = new ScriptedClient(['A.', 'B.'])
    const agent = new Agent({ client, runtime: { id: () => 'c1' } })
    expect(agent.conversationId).toBe('c1')
    await agent.run('a')
    await agent.run('b')
    expect(agent.conversationId).toBe('c1')
    expect(new Agent({ client, conversationId: 'mine' }).conversationId).toBe('mine')
  })

  // `createAgent(deps, conversationId?)` is `new Agent({ …, conversationId })`.
  it('003-4 goes on with the conversation of an id that exists', async () => {
    const store = new MemoryStore()
    await session(store, ['Noted.']).agent.run('I am Ada')
    const { agent, client } = session(store, ['Ada.'])
    expect(await agent.run('Who am I?')).toBe('Ada.')
    expect(client.requests[0]?.messages.map(({ content }) => content)).toEqual([
      'I am Ada',
      'Noted.',
      'Who am I?',
    ])
  })

  it('003-9 keeps what the user said also when the model call fails', async () => {
    const store = new MemoryStore()
    const { agent } = session(store, [fails('auth')])
    await expect(agent.run('Hello?')).rejects.toMatchObject({ code: 'llm' })
    expect(messagesOf(await store.read(conversation))).toContainEqual(['input', 'Hello?'])
  })

  it('003-10 keeps each reply with its text and its tool calls', async () => {
    const store = new MemoryStore()
    await session(store, [calls('Looking.', ['look', {}, 'a'], ['look', {}, 'b']), 'There.']).agent.run('Go')
    expect(messagesOf(await store.read(conversation)).filter(([type]) => type === 'reply')).toEqual([
      ['reply', ['Looking.', ['a', 'b']]],
      ['reply', ['There.', []]],
    ])
  })

  it('003-11 keeps one record for each result, with the id of its call', async () => {
    const store = new MemoryStore()
    await session(store, [calls(['look', {}, 'a'], ['look', {}, 'b']), 'There.']).agent.run('Go')
    const results = messagesOf(await store.read(conversation)).filter(([type]) => type === 'tool_finished')
    expect(results.map(([, result]) => result).toSorted()).toEqual([
      ['a', 'seen'],
      ['b', 'seen'],
    ])
  })

  // The whole suite runs against all three stores in test/conformance/store.test.ts.
  describe('003-12 has a contract that every store keeps, for anybody to run', () => {
    for (const { name, run } of storeConformance(inSqlite)) it(name, run)
  })

  it('003-13, 003-34 never dispatches tools in more rounds than maxToolRounds', async () => {
    for (let limit = 0; limit <= 4; limit++) {
      let rounds = 0
      const act = tool({
        name: 'act',
        description: 'Acts',
        parameters: z.object({ n: z.number() }),
        execute: () => `${++rounds}`,
      })
      const endless = (_: unknown) => calls(['act', { n: Math.random() }])
      const agent = new Agent({
        client: new ScriptedClient(endless),
        tools: [act],
        maxToolRounds: limit,
        maxIterations: 50,
      })
      await expect(agent.run('Go')).rejects.toMatchObject({ code: 'max_tool_rounds' })
      expect(rounds).toBe(limit)
    }
  })

  it('003-27 takes everything it depends on from outside, so that two agents share nothing', async () => {
    const made = ['a', 'b'].map((name) => {
      const store = new MemoryStore()
      const lines: string[] = []
      const log = (message: string) => void lines.push(`${name}: ${message}`)
      const client = new ScriptedClient([`I am ${name}.`])
      const logger = { debug: log, info: log, warn: log, error: log }
      const agent = new Agent({ client, store, logger, runtime: { id: () => name, now: () => 0 } })
      return { name, agent, store, client, lines }
    })
    await Promise.all(made.map(({ agent }) => agent.run('Who are you?')))
    for (const { name, agent, store, client, lines } of made) {
      expect(agent.history.at(-1)?.content).toBe(`I am ${name}.`)
      expect((await store.list()).map(({ id }) => id)).toEqual([name])
      expect(client.calls).toBe(1)
      expect(lines.every((line) => line.startsWith(`${name}: `))).toBe(true)
    }
  })

  it('003-30 keeps the conversations of one store apart', async () => {
    const store = new MemoryStore()
    const one = session(store, ['Hello Ada.', 'Ada.'], { conversationId: 'c1' })
    const two = session(store, ['Hello Bob.', 'Bob.'], { conversationId: 'c2' })
    await Promise.all([one.agent.run('I am Ada'), two.agent.run('I am Bob')])
    await Promise.all([one.agent.run('Who am I?'), two.agent.run('Who am I?')])
    expect(JSON.stringify(one.client.requests)).not.toContain('Bob')
    expect(JSON.stringify(two.client.requests)).not.toContain('Ada')
  })

  it.each([
    ['done', 'Hello.', {}],
    ['done', { text: 'Hello.', stopReason: 'unknown' as const }, {}],
    ['failed', { text: 'Hello.', stopReason: 'length' as const }, { repairAttempts: 0 }],
    ['refused', { text: 'Hello.', stopReason: 'refusal' as const }, {}],
    ['refused', { text: 'Hello.', stopReason: 'content_filter' as const }, {}],
    ['limit', calls('Hello.', ['look', {}, 'l']), { maxIterations: 1 }],
    ['failed', fails('network', { after: ['Hello.'] }), { retry: false as const }],
  ])(
    '003-33 keeps what the user and the model said when a run is %s by %o',
    async (status, reply, options) => {
      const store = new MemoryStore()
      const { agent } = session(store, [reply], options)
      expect((await agent.runStream('Hi').result).status).toBe(status)
      const kept = await store.read(conversation)
      expect(messagesOf(kept)[0]).toEqual(['input', 'Hi'])
      expect(kept.find((entry) => entry.type === 'reply')).toMatchObject({ text: 'Hello.' })
      expect(kept.at(-1)).toMatchObject({ type: 'run_ended', status })
    },
  )
})

describe('with a file', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sessions-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it('000-13 goes on in another agent with the messages of the first, in their order', async () => {
    const path = join(folder, 'restored.db')
    const first = new SqliteStore({ path })
    const one = new Agent({ client: new ScriptedClient(['One.', 'Two.']), store: first })
    await one.run('a', { conversation })
    await one.run('b', { conversation })
    await first.close()

    const store = new SqliteStore({ path })
    const client = new ScriptedClient(['Three.'])
    await new Agent({ client, store }).run('c', { conversation })
    expect(client.requests[0]?.messages.map(({ content }) => content)).toEqual([
      'a',
      'One.',
      'b',
      'Two.',
      'c',
    ])
    await store.close()
  })

  // 'message' is `durability: 'step'` here; instead of 'none' there is no store.
  it.each([
    ['step', ['input', 'reply', 'tool_started']],
    ['run', []],
  ] as const)(
    "000-29 with durability '%s' has %j in the store when a tool brings the process down",
    async (durability, kept) => {
      const store = new SqliteStore({ path: join(folder, `${durability}.db`) })
      const seen: Entry[][] = []
      const crash = tool({
        name: 'crash',
        description: 'Crashes',
        parameters: z.object({}),
        execute: async () => {
          seen.push([...(await store.read(conversation))])
          throw new Error('crash')
        },
      })
      const client = new ScriptedClient([calls(['crash', {}, 'x']), 'Oh.'])
      await new Agent({ client, tools: [crash], store, durability }).run('Go', { conversation })
      expect(seen.map((entries) => entries.map(({ type }) => type))).toEqual([kept])
      await store.close()
    },
  )
})
