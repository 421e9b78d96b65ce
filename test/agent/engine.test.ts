import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Agent } from '../../src/agent/agent.ts'
import type { AgentOptions } from '../../src/agent/options.ts'
import type { Compactor } from '../../src/memory/memory.ts'
import { checkEvents, ScriptedClient } from '../../src/testing/index.ts'
import { MemoryStore } from '../../src/transcript/store.ts'
import { eventsOf } from '../seeds/events-of.ts'

const engine = '../../src/agent/engine.ts'
const compaction = '../../src/agent/compact-conversation.ts'

afterEach(() => {
  vi.doUnmock(engine)
  vi.doUnmock(compaction)
  vi.resetModules()
})

const compactor: Compactor = { compact: async function* () {} }

async function agentWith(
  replies: ConstructorParameters<typeof ScriptedClient>[0],
  options: Partial<AgentOptions> = {},
) {
  vi.resetModules()
  const { Agent } = await import('../../src/agent/agent.ts')
  return new Agent({ client: new ScriptedClient(replies), ...options })
}

/** An engine of which the file never arrives. */
const hang = () => vi.doMock(engine, () => new Promise(() => {}))

describe('the engine, loaded with the first run', () => {
  test('fails a run for which it is not there, as any run fails, and does the next', async () => {
    vi.doMock(engine, () => {
      throw new Error('no such file')
    })
    const agent = await agentWith(['Hi.'])
    const heard: string[] = []
    agent.on('run_end', ({ status }) => heard.push(status))
    const stream = agent.runStream('Hello')
    const events = await eventsOf(stream)
    const result = await stream.result
    expect(checkEvents(events)).toBeUndefined()
    expect(events.map(({ type }) => type)).toEqual(['run_start', 'run_end'])
    expect(result).toMatchObject({ status: 'failed', error: { code: 'unexpected' }, history: [], steps: [] })
    expect(result.error?.message).toMatch(/could not be loaded/)
    expect(result.error?.cause).toBeInstanceOf(Error)
    expect(heard).toEqual(['failed'])
    expect(agent.status).toBe('idle')
    expect(await stream.steer('more')).toBe(false)

    vi.doUnmock(engine)
    expect(await agent.run('Hello')).toBe('Hi.')
  })

  test('leaves no secret in the error of a run for which it is not there', async () => {
    vi.doMock(engine, () => {
      throw new Error('no such file')
    })
    vi.resetModules()
    const { ToolSet } = await import('../../src/tools/toolset.ts')
    const { secret } = await import('../../src/secret.ts')
    const config = { key: secret('no such file') }
    const set = new ToolSet({ name: 'shop', description: 'The shop.', tools: [], config })
    const { Agent } = await import('../../src/agent/agent.ts')
    const agent = new Agent({ client: new ScriptedClient(['Hi.']), tools: [set] })
    const { error } = await agent.runStream('Hello').result
    expect(error?.message).toMatch(/could not be loaded/)
    expect(JSON.stringify([error, error?.message, error?.stack])).not.toContain('no such file')
    expect(error?.cause).toBeUndefined()
  })

  test('is loaded in vain when the agent is closed meanwhile: its run is aborted', async () => {
    const agent = await agentWith(['Hi.'])
    const { result } = agent.runStream('Hello')
    await agent.close()
    expect(await result).toMatchObject({ status: 'aborted', error: { code: 'agent_closed' } })
  })

  test('begins first runs in the order in which they were asked for', async () => {
    const agent = await agentWith(['One.', 'Two.'])
    expect(await Promise.all([agent.run('1'), agent.run('2')])).toEqual(['One.', 'Two.'])
  })

  test('lets no run pass those that wait for it, also when it has just come', async () => {
    const agent = await agentWith(() => 'Hi.')
    // Another one has loaded the file, so that it comes within microtasks; a run is asked for in each of them.
    const other = new (agent.constructor as typeof Agent)({ client: new ScriptedClient(['Hi.']) })
    await other.run('Hello')
    const begun: string[] = []
    agent.on('run_start', ({ conversationId }) => begun.push(conversationId))
    const asked: string[] = []
    const results: Promise<unknown>[] = []
    while (begun.length < 30) {
      const conversation = `c${asked.length}`
      asked.push(conversation)
      results.push(agent.runStream('Hello', { conversation }).result)
      await null
      if (asked.length % 200 === 0) await new Promise(setImmediate)
    }
    await Promise.all(results)
    expect(begun).toEqual(asked)
  })

  test('goes by the options of a run as they were when it was asked for', async () => {
    const agent = await agentWith(['Hi.'])
    const options: { conversation: string; signal?: AbortSignal } = { conversation: 'a' }
    const { result } = agent.runStream('Hello', options)
    options.signal = AbortSignal.abort()
    expect(await result).toMatchObject({ status: 'done' })
  })
})

describe('an engine that never arrives', () => {
  test('does not keep a run from being aborted', async () => {
    hang()
    const agent = await agentWith(['Hi.'])
    const stream = agent.runStream('Hello')
    const events = eventsOf(stream)
    await vi.waitFor(() => expect(agent.status).toBe('running'))
    const said = stream.steer('more')
    stream.abort('enough')
    const result = await stream.result
    expect(result).toMatchObject({ status: 'aborted', error: { code: 'aborted', reason: 'enough' } })
    expect(checkEvents(await events)).toBeUndefined()
    expect(await said).toBe(false)
    expect(agent.status).toBe('idle')
  })

  test('does not keep a run from being stopped by its signal, before it begins or later', async () => {
    hang()
    const agent = await agentWith(['Hi.'])
    const stopper = new AbortController()
    const { result } = agent.runStream('Hello', { signal: stopper.signal })
    stopper.abort('enough')
    expect(await result).toMatchObject({ status: 'aborted', error: { reason: 'enough' } })
    await expect(agent.run('Hello', { signal: AbortSignal.abort('before') })).rejects.toMatchObject({
      reason: 'before',
    })
  })

  test('does not keep its reader from leaving', async () => {
    hang()
    const agent = await agentWith(['Hi.'])
    const iterator = agent.runStream('Hello')[Symbol.asyncIterator]()
    void iterator.next()
    await iterator.return?.()
    expect(agent.status).toBe('idle')
  })

  test('does not keep the agent from being closed: each run has an error of its own', async () => {
    hang()
    const agent = await agentWith(['Hi.'])
    const results = [agent.runStream('One').result, agent.runStream('Two').result]
    await agent.close()
    const [one, two] = await Promise.all(results)
    expect([one, two]).toMatchObject([
      { error: { code: 'agent_closed' } },
      { error: { code: 'agent_closed' } },
    ])
    expect(one?.error).not.toBe(two?.error)
  })

  test('does not keep a compaction by hand from being stopped', async () => {
    hang()
    const agent = await agentWith(['Hi.'], { compactor })
    const compacting = agent.conversation('a').compact({ signal: AbortSignal.abort('enough') })
    await expect(compacting).rejects.toBe('enough')
    const other = agent.conversation('a').compact()
    await agent.close()
    await expect(other).rejects.toMatchObject({ code: 'agent_closed' })
  })

  test('does not keep a compaction by hand from being refused', async () => {
    hang()
    const agent = await agentWith(['Hi.'])
    const signal = AbortSignal.abort('enough')
    await expect(agent.conversation('a').compact({ signal })).rejects.toMatchObject({ path: 'compactor' })
  })
})

describe('what compacts, when it never arrives', () => {
  test('does not keep a compaction by hand from being stopped, nor the conversation from going on', async () => {
    vi.doMock(compaction, () => new Promise(() => {}))
    const agent = await agentWith(['Hi.', 'Again.'], { compactor })
    await agent.run('Hello')
    const stop = new AbortController()
    const compacting = agent.conversation(agent.conversationId).compact({ signal: stop.signal })
    const next = agent.run('Hello again')
    stop.abort('enough')
    await expect(compacting).rejects.toBe('enough')
    expect(await next).toBe('Again.')
  })
})

describe('a run that waits for the engine', () => {
  test('has its turn: another is refused where runs do not queue', async () => {
    const agent = await agentWith(['Hi.'], { concurrency: 'reject' })
    const [first, second] = await Promise.all([agent.runStream('1').result, agent.runStream('2').result])
    expect(first).toMatchObject({ status: 'done' })
    expect(second).toMatchObject({ status: 'failed', error: { code: 'concurrent_run' } })
  })

  test('has its turn: recover() leaves its conversation alone', async () => {
    const store = new MemoryStore()
    await store.append('a', 0, [
      { type: 'input', runId: 'lost', message: { role: 'user', content: 'What was left.' } },
    ])
    const agent = await agentWith(['Hi.'], { store })
    const { result } = agent.runStream('Hello', { conversation: 'a' })
    await null
    expect(await agent.recover()).toEqual([])
    expect(await result).toMatchObject({ status: 'done', answer: 'Hi.' })
  })

  /** Three messages in the store, and a run that waits to go on from them. */
  async function waiting() {
    hang()
    const store = new MemoryStore()
    const message = { role: 'user', content: 'Known.' } as const
    await store.append('a', 0, Array(3).fill({ type: 'message', message }))
    const agent = await agentWith(['Hi.'], { store })
    const conversation = agent.conversation('a')
    const run = async () => {
      void conversation.runStream('Hello').result
      await vi.waitFor(() => expect(agent.status).toBe('running'))
    }
    return { agent, store, conversation, run }
  }

  test('leaves its conversation what it is in the store: it can be read and forked', async () => {
    const { agent, conversation, run } = await waiting()
    expect((await conversation.fork(1)).history).toHaveLength(1)
    await run()
    const forks = await Promise.all([conversation.fork(2), conversation.fork()])
    expect(forks.map(({ history }) => history.length)).toEqual([2, 3])
    expect(await conversation.entries()).toHaveLength(3)
    await agent.close()
  })

  test('leaves it to be read anew where it could not be read before', async () => {
    const { agent, store, conversation, run } = await waiting()
    const read = vi.spyOn(store, 'read').mockRejectedValueOnce(new Error('down'))
    await expect(conversation.entries()).rejects.toThrow('down')
    await run()
    expect(await conversation.entries()).toHaveLength(3)
    expect(read).toHaveBeenCalledTimes(2)
    await agent.close()
  })
})
