import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  type AgentEvent,
  type AgentOptions,
  type Entry,
  MemoryStore,
  NothingToResumeError,
  resultOf,
  tool,
} from '../../src/index.ts'
import { calls, checkEvents, fails, hangs, json, ScriptedClient } from '../../src/testing/index.ts'
import { until } from '../support/outcome.ts'

const conversation = 'c'

const paid: string[] = []
const pay = tool({
  name: 'pay',
  description: 'Pays',
  parameters: z.object({ amount: z.number() }),
  execute: ({ amount }, { idempotencyKey }) => {
    paid.push(idempotencyKey)
    return `paid ${amount}`
  },
})

const look = tool({
  name: 'look',
  description: 'Looks',
  parameters: z.object({}),
  effect: 'read',
  execute: () => 'seen',
})

function process(
  store: MemoryStore,
  script: ConstructorParameters<typeof ScriptedClient>[0],
  more: Partial<AgentOptions> = {},
) {
  const client = new ScriptedClient(script)
  return { client, agent: new Agent({ client, tools: [pay, look], store, retry: false, ...more }) }
}

const typesOf = (entries: readonly Entry[]) => entries.map(({ type }) => type)

async function eventsOf(stream: AsyncIterable<AgentEvent>): Promise<AgentEvent[]> {
  const events: AgentEvent[] = []
  for await (const event of stream) events.push(event)
  expect(checkEvents(events)).toBeUndefined()
  return events
}

describe('a run is resumed', () => {
  it('after its model failed, without repeating what was done', async () => {
    paid.length = 0
    const store = new MemoryStore()
    const one = process(store, [calls(['pay', { amount: 5 }, 'p']), fails('overloaded')])
    await expect(one.agent.run('Pay.', { conversation })).rejects.toMatchObject({ code: 'llm' })

    const two = process(store, ['Paid.'])
    expect(await two.agent.resume(conversation)).toBe('Paid.')
    expect(paid).toHaveLength(1)
    expect(two.client.requests[0]?.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool'])
    expect(typesOf(await store.read(conversation))).toEqual([
      'input',
      'reply',
      'tool_started',
      'tool_finished',
      'run_ended',
      'run_resumed',
      'reply',
      'run_ended',
    ])
  })

  it('in the same agent, whose usage counts each call once, while the result is that of the whole run', async () => {
    const { agent } = process(new MemoryStore(), [calls(['look', {}, 'a']), fails('overloaded'), 'Done.'])
    await agent.run('Go', { conversation }).catch(() => {})
    const result = await agent.resumeStream(conversation).result
    expect(result.usage).toEqual({ inputTokens: 20, outputTokens: 10 })
    expect(agent.usage).toEqual(result.usage)
    expect(result.steps).toHaveLength(1)
  })

  it('after it was aborted in the middle of a reply, which is then said anew', async () => {
    const store = new MemoryStore()
    const one = process(store, [hangs(['Hel'])])
    const stream = one.agent.runStream('Go', { conversation })
    for await (const event of stream) if (event.type === 'token') break
    expect((await stream.result).partial).toBe('Hel')

    const two = process(store, ['Hello.'])
    expect(await two.agent.resume(conversation)).toBe('Hello.')
    expect(two.client.requests[0]?.messages).toEqual([{ role: 'user', content: 'Go' }])
    expect(two.agent.conversation(conversation).history.map(({ content }) => content)).toEqual([
      'Go',
      'Hello.',
    ])
  })

  it('after a limit, with a larger one', async () => {
    const store = new MemoryStore()
    const script = [calls(['look', {}, 'a']), calls(['look', {}, 'b']), 'Done.']
    const { agent } = process(store, script, { maxIterations: 2 })
    await expect(agent.run('Go', { conversation })).rejects.toMatchObject({ code: 'max_iterations' })
    await expect(agent.resume(conversation)).rejects.toMatchObject({ code: 'max_iterations' })
    expect(await agent.resume(conversation, { maxIterations: 3 })).toBe('Done.')
  })

  it('after tools failed too often, once they are mended', async () => {
    const store = new MemoryStore()
    let isBroken = true
    const fragile = tool({
      name: 'fragile',
      description: 'Breaks',
      parameters: z.object({ n: z.number() }),
      execute: () => {
        if (isBroken) throw new Error('broken')
        return 'fine'
      },
    })
    const script = [1, 2, 3, 4].map((n) => calls(['fragile', { n }, `f${n}`]))
    const { agent } = process(store, [...script, 'Done.'], { tools: [fragile] })
    await expect(agent.run('Go', { conversation })).rejects.toMatchObject({ code: 'tool_execution' })
    isBroken = false
    expect(await agent.resume(conversation)).toBe('Done.')
  })

  it('when it is done, by giving its answer again without asking anybody', async () => {
    const store = new MemoryStore()
    await process(store, ['Done.']).agent.run('Go', { conversation })
    const before = await store.read(conversation)
    const { agent, client } = process(store, [])
    const events = await eventsOf(agent.resumeStream(conversation))
    expect(events.map(({ type }) => type)).toEqual(['run_start', 'final_response', 'run_end'])
    expect(await agent.resume(conversation)).toBe('Done.')
    expect(client.calls).toBe(0)
    expect(await store.read(conversation)).toEqual(before)
  })

  it('with the value of a structured answer that another process was given', async () => {
    const store = new MemoryStore()
    const output = z.object({ city: z.string() })
    const agentWith = (script: string[]) => new Agent({ client: new ScriptedClient(script), output, store })
    await agentWith(['{"city":"Oslo"}']).run('Where?', { conversation })
    expect(await agentWith([]).resume(conversation)).toEqual({ city: 'Oslo' })
  })

  it('when its answer was kept, but not that it had ended', async () => {
    const store = new MemoryStore()
    await process(store, ['Done.']).agent.run('Go', { conversation })
    const cut = new MemoryStore()
    await cut.append(conversation, 0, (await store.read(conversation)).slice(0, -1))
    const { agent } = process(cut, [])
    expect(await agent.resume(conversation)).toBe('Done.')
    expect(typesOf(await cut.read(conversation))).toEqual(['input', 'reply', 'run_resumed', 'run_ended'])
  })

  it('by telling its open step again, and then what is left of it', async () => {
    const store = new MemoryStore()
    const script = [calls(['look', {}, 'a'], ['look', {}, 'b']), 'Done.']
    await process(store, script).agent.run('Go', { conversation })
    const entries = await store.read(conversation)
    const cut = new MemoryStore()
    const until = entries.findIndex(({ type }) => type === 'tool_finished') + 1
    await cut.append(conversation, 0, entries.slice(0, until))
    const events = await eventsOf(process(cut, ['Done.']).agent.resumeStream(conversation))
    expect(events.map((event) => ('status' in event ? `${event.type} ${event.status}` : event.type))).toEqual(
      [
        'run_start',
        'step',
        'tool_execution started',
        'tool_execution completed',
        'tool_results',
        'stream_start',
        'token',
        'stream_end',
        'usage',
        'final_response',
        'run_end done',
      ],
    )
    const stepIds = new Set(
      events.flatMap((event) => ('stepId' in event && event.stepId ? [event.stepId] : [])),
    )
    expect(stepIds.size).toBe(2)
  })

  it('with another provider, model and protocol than it began with', async () => {
    paid.length = 0
    const store = new MemoryStore()
    const one = process(store, [calls('First I pay.', ['pay', { amount: 5 }, 'p']), fails('overloaded')])
    await one.agent.run('Pay.', { conversation }).catch(() => {})
    const client = new ScriptedClient(
      [
        json({ tool_calls: [{ id: 'l', tool_name: 'look', parameters: {} }] }),
        json({ final_answer: 'Paid.' }),
      ],
      { provider: 'other', model: 'other-1', capabilities: { tools: false } },
    )
    const two = new Agent({ client, tools: [pay, look], store })
    expect(await two.resume(conversation)).toBe('Paid.')
    expect(paid).toHaveLength(1)
    expect(client.requests[0]?.tools).toBeUndefined()
    expect(client.requests[0]?.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user'])
    const three = process(store, ['And native again.'])
    expect(await three.agent.run('Well?', { conversation })).toBe('And native again.')
    const [call] =
      three.client.requests[0]?.messages.flatMap((message) =>
        message.role === 'assistant' ? (message.toolCalls ?? []) : [],
      ) ?? []
    expect(call).toEqual({ id: 'p', toolName: 'pay', parameters: { amount: 5 } })
  })

  it('in a fork, where another call has another key, even if it has the same id', async () => {
    paid.length = 0
    const store = new MemoryStore()
    const one = process(store, [calls(['look', {}, 'l']), calls(['pay', { amount: 1 }, 'p']), 'Paid.'])
    await one.agent.run('Pay.', { conversation })
    const two = process(store, [calls(['pay', { amount: 2 }, 'p']), 'Paid.'])
    const looked = (await store.read(conversation)).findIndex(({ type }) => type === 'tool_finished') + 1
    const fork = await two.agent.conversation(conversation).fork(looked)
    expect(await fork.resume()).toBe('Paid.')
    expect(new Set(paid).size).toBe(2)

    // What the first was asked, the fork of it was asked, too.
    const asked = (await store.read(conversation)).findLastIndex(({ type }) => type === 'tool_started')
    const three = process(store, ['Paid.'])
    await (await three.agent.conversation(conversation).fork(asked)).resume()
    expect(paid[2]).toBe(paid[0])
  })

  it('in earnest, when entries that somebody wrote say that it is done or waits, and there is no answer', async () => {
    const begun: Entry = { type: 'input', runId: 'r', message: { role: 'user', content: 'Go' } }
    for (const last of [
      { type: 'run_ended', runId: 'r', status: 'done' },
      { type: 'run_suspended', runId: 'r' },
    ] satisfies Entry[]) {
      const store = new MemoryStore()
      await store.append(conversation, 0, [begun, last])
      expect(await process(store, ['Done.']).agent.resume(conversation)).toBe('Done.')
      expect(typesOf(await store.read(conversation)).slice(2)).toEqual(['run_resumed', 'reply', 'run_ended'])
    }
  })

  it('only if one has begun', async () => {
    const { agent } = process(new MemoryStore(), [])
    await expect(agent.resume('nobody')).rejects.toBeInstanceOf(NothingToResumeError)
    const events = await eventsOf(agent.resumeStream('nobody'))
    expect(events.map(({ type }) => type)).toEqual(['run_start', 'run_end'])
  })

  it('also without a store, and by the handle of its conversation', async () => {
    const { agent } = process(new MemoryStore(), [fails('auth'), 'Hello.', 'Bye.'])
    const handle = new Agent({ client: new ScriptedClient([fails('auth'), 'Hello.']) }).conversation('x')
    await handle.run('Hi').catch(() => {})
    expect(await handle.resume()).toBe('Hello.')
    await expect(agent.run('Hi')).rejects.toThrow()
    expect(await agent.resume(agent.conversationId)).toBe('Hello.')
  })

  it('with what it had done by then in the result, also when it cannot go on', async () => {
    const store = new MemoryStore()
    const one = process(store, [calls(['look', {}, 'a']), fails('overloaded')])
    await one.agent.run('Go', { conversation }).catch(() => {})
    const error: unknown = await process(store, [fails('auth')])
      .agent.resume(conversation)
      .catch((e) => e)
    expect(resultOf(error)).toMatchObject({ status: 'failed', steps: [{ results: [{ output: 'seen' }] }] })
  })
})

describe('recover()', () => {
  const open = (runId: string): Entry => ({ type: 'input', runId, message: { role: 'user', content: runId } })

  it('resumes what a crash left, so many at once, and nothing else', async () => {
    const store = new MemoryStore()
    for (const id of ['a', 'b', 'c', 'd', 'e']) await store.append(id, 0, [open(id)])
    await store.append('ended', 0, [open('x'), { type: 'run_ended', runId: 'x', status: 'aborted' }])
    await store.append('waiting', 0, [open('y'), { type: 'run_suspended', runId: 'y' }])
    let running = 0
    let most = 0
    const client = new ScriptedClient(async ({ messages }) => {
      most = Math.max(most, ++running)
      await null
      running--
      const said = String(messages[0]?.content)
      return said === 'c' ? fails('auth') : `Answer to ${said}.`
    })
    const agent = new Agent({ client, store })
    const results = await agent.recover({ concurrency: 2 })
    expect(results.map(({ conversationId, status, answer }) => [conversationId, status, answer])).toEqual([
      ['a', 'done', 'Answer to a.'],
      ['b', 'done', 'Answer to b.'],
      ['c', 'failed', undefined],
      ['d', 'done', 'Answer to d.'],
      ['e', 'done', 'Answer to e.'],
    ])
    expect(most).toBe(2)
    expect(await agent.recover()).toEqual([])
  })

  it('leaves alone what was appended to lately, where the store knows', async () => {
    class Dated extends MemoryStore {
      override async list() {
        return [
          { id: 'old', version: 1, state: 'unfinished' as const, updatedAt: 1_000 },
          { id: 'new', version: 1, state: 'unfinished' as const, updatedAt: 9_000 },
        ]
      }
    }
    const store = new Dated()
    for (const id of ['old', 'new']) await store.append(id, 0, [open(id)])
    const agent = new Agent({ client: new ScriptedClient(['Done.']), store, runtime: { now: () => 10_000 } })
    const results = await agent.recover({ idleMs: 5_000 })
    expect(results.map(({ conversationId }) => conversationId)).toEqual(['old'])
  })

  it('leaves alone what this agent is doing: a run that its user stops stays stopped', async () => {
    const store = new MemoryStore()
    await store.append('left', 0, [open('left')])
    const { agent, client } = process(store, [hangs(), 'Done.', 'Begun anew.'])
    const stream = agent.runStream('Go', { conversation })
    const { result } = stream
    await until(() => client.calls === 1)
    const recovering = agent.recover()
    stream.abort()
    expect((await recovering).map(({ conversationId }) => conversationId)).toEqual(['left'])
    expect(await result).toMatchObject({ status: 'aborted' })
    expect(client.calls).toBe(2)
  })

  it.each([
    ['throws', () => Promise.reject(new Error('no connection')), 'no connection'],
    ['lists nothing that is a list', async () => 'none', 'no array'],
  ])('says so when the store %s', async (_, list, says) => {
    const store = Object.assign(new MemoryStore(), { list })
    const agent = new Agent({ client: new ScriptedClient([]), store: store as never })
    await expect(agent.recover()).rejects.toMatchObject({
      code: 'store',
      message: expect.stringContaining(says),
    })
  })

  it('needs a store', async () => {
    const agent = new Agent({ client: new ScriptedClient([]) })
    await expect(agent.recover()).rejects.toMatchObject({ code: 'configuration', path: 'store' })
  })
})
