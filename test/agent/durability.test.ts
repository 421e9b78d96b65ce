import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  type AgentEvent,
  ConflictError,
  CorruptEntryError,
  type Entry,
  FatalToolError,
  MemoryStore,
  StoreError,
  tool,
} from '../../src/index.ts'
import { calls, ScriptedClient } from '../../src/testing/index.ts'

const conversation = 'c'
const typesOf = (entries: readonly Entry[]) => entries.map(({ type }) => type)

describe('with durability', () => {
  it("'step', every entry is in the store before the effect that follows it and the event that tells it", async () => {
    const store = new MemoryStore()
    const stored = async () => typesOf(await store.read(conversation))
    const atEffect: string[][] = []
    const act = tool({
      name: 'act',
      description: 'Acts',
      parameters: z.object({}),
      execute: async () => {
        atEffect.push(await stored())
        return 'done'
      },
    })
    const agent = new Agent({
      client: new ScriptedClient([calls(['act', {}, 'a']), 'End.']),
      tools: [act],
      store,
    })
    const atEvent: Record<string, string | undefined> = {}
    const told = (event: AgentEvent) => ('status' in event ? `${event.type} ${event.status}` : event.type)
    for await (const event of agent.runStream('Go', { conversation })) {
      atEvent[told(event)] = (await stored()).at(-1)
    }
    expect(atEffect).toEqual([['input', 'reply', 'tool_started']])
    expect(atEvent).toMatchObject({
      step: 'reply',
      'tool_execution started': 'tool_started',
      'tool_execution completed': 'tool_finished',
      tool_results: 'tool_finished',
      final_response: 'reply',
      'run_end done': 'run_ended',
    })
  })

  it("'run', the store has all of a run or nothing of it", async () => {
    const store = new MemoryStore()
    const seen: number[] = []
    const act = tool({
      name: 'act',
      description: 'Acts',
      parameters: z.object({ n: z.number() }),
      execute: async ({ n }) => {
        seen.push((await store.read(conversation)).length)
        if (n === 2) throw new FatalToolError('It broke.')
        return 'done'
      },
    })
    const script = [calls(['act', { n: 1 }, 'a']), calls(['act', { n: 2 }, 'b'])]
    const agent = new Agent({ client: new ScriptedClient(script), tools: [act], store, durability: 'run' })
    await expect(agent.run('Go', { conversation })).rejects.toMatchObject({ code: 'fatal_tool' })
    expect(seen).toEqual([0, 0])
    expect(typesOf(await store.read(conversation)).at(-1)).toBe('run_ended')
  })
})

describe('what a store holds is checked when it is read:', () => {
  const good: Entry = { type: 'message', message: { role: 'user', content: 'Hello' } }
  const holding = async (...entries: readonly unknown[]) => {
    const store = new MemoryStore()
    await store.append(conversation, 0, entries as readonly Entry[]) // what a store could come to hold
    return { store, agent: new Agent({ client: new ScriptedClient(['Hi.']), store }) }
  }

  it.each([
    ['something that is no object', 7, 'it is no object'],
    ['a type that does not exist', { type: 'dream' }, 'there is no entry of type "dream"'],
    ['the name of a member of every object', { type: 'toString' }, 'there is no entry of type "toString"'],
    ['an entry that lacks something', { type: 'input', runId: 'r' }, 'message must be a user message'],
    [
      'an entry of which something deep inside is wrong',
      {
        type: 'tool_finished',
        runId: 'r',
        result: { callId: 'a', toolName: 'x', ok: 'yes', output: '', durationMs: 0 },
      },
      'result.ok must be true or false',
    ],
  ])('%s is an error that names its place', async (_, entry, problem) => {
    const { agent } = await holding(good, entry, good)
    const result = await agent.runStream('Go', { conversation }).result
    expect(result.error).toBeInstanceOf(CorruptEntryError)
    expect(result.error).toMatchObject({ conversationId: conversation, position: 1 })
    expect(result.error?.message).toContain(problem)
  })

  it('nothing else is lost, and a fork goes on from before it', async () => {
    const { store, agent } = await holding(good, { type: 'dream' }, good)
    const fork = await agent.conversation(conversation).fork(1)
    expect(await fork.run('Go')).toBe('Hi.')
    expect(fork.history.map(({ content }) => content)).toEqual(['Hello', 'Go', 'Hi.'])
    expect(await store.read(conversation, 2)).toEqual([good])
    await expect(agent.conversation(conversation).entries()).rejects.toBeInstanceOf(CorruptEntryError)
  })
})

describe('a store that', () => {
  it('throws ends the run with a StoreError that says what to do, and the cause', async () => {
    const cause = new Error('disk full')
    class Full extends MemoryStore {
      override async append(): Promise<number> {
        throw cause
      }
    }
    const agent = new Agent({ client: new ScriptedClient([]), store: new Full() })
    const { error } = await agent.runStream('Go', { conversation }).result
    expect(error).toBeInstanceOf(StoreError)
    expect(error?.cause).toBe(cause)
    expect(error?.message).toContain('disk full')
    expect(error?.message).toContain('resume')
  })

  it('has gone on elsewhere refuses the effect before it happens', async () => {
    const store = new MemoryStore()
    let acted = 0
    const act = tool({
      name: 'act',
      description: 'Acts',
      parameters: z.object({}),
      execute: () => `${++acted}`,
    })
    const meanwhile = async () => {
      const version = (await store.read(conversation)).length
      await store.append(conversation, version, [{ type: 'run_resumed', runId: 'r', attemptId: 'other' }])
      return calls(['act', {}, 'a'])
    }
    const agent = new Agent({ client: new ScriptedClient([meanwhile]), tools: [act], store })
    const { error } = await agent.runStream('Go', { conversation }).result
    expect(error).toBeInstanceOf(ConflictError)
    expect(acted).toBe(0)
  })
})
