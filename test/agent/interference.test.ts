import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import {
  Agent,
  type AgentEvent,
  type AgentOptions,
  ConcurrentRunError,
  isEvent,
  type RunStream,
  systemRuntime,
  tool,
  user,
} from '../../src/index.ts'
import { calls, checkEvents, fails, plans, ScriptedClient } from '../../src/testing/index.ts'
import { eventsOf } from '../seeds/events-of.ts'
import { goesOn, watchRejections } from './aftermath.ts'

watchRejections()

const parameters = { type: 'object', properties: { n: { type: 'number' } } }

/** A run in which everything happens: a retry, a plan, tools side by side, progress, an answer. */
function everything(options: Partial<AgentOptions> = {}) {
  const begun: string[] = []
  const make = (name: string) =>
    tool({
      name,
      description: name,
      parameters,
      execute: async (_, { callId, progress, signal }) => {
        begun.push(callId)
        progress('half')
        await setImmediate()
        signal.throwIfAborted()
        return name
      },
    })
  const client = new ScriptedClient(
    [
      fails('overloaded'),
      plans('Look, then say.', 'First both.', ['one', { n: 1 }, 'a'], ['two', { n: 2 }, 'b']),
      calls('Once more.', ['one', { n: 3 }, 'c']),
      'Both are fine.',
    ],
    { chunkSize: 5 },
  )
  const agent = new Agent({ client, tools: [make('one'), make('two')], retry: { minDelayMs: 0 }, ...options })
  return { agent, begun, client }
}

const count = (await eventsOf(everything().agent.runStream('Go.'))).length
const places = Array.from({ length: count }, (_, index) => index)

describe('an abort', () => {
  it.each(['abort()', 'the signal'])(
    'by %s at any event ends the run, and the conversation goes on',
    async (by) => {
      for (const at of places) {
        const { agent, begun, client } = everything()
        const caller = new AbortController()
        const stream = agent.runStream('Go.', { signal: caller.signal })
        const events: AgentEvent[] = []
        let requests = -1
        for await (const event of stream) {
          events.push(event)
          if (events.length !== at + 1) continue
          requests = client.calls
          if (by === 'abort()') stream.abort('enough')
          else caller.abort('enough')
        }
        const result = await stream.result
        expect([at, checkEvents(events)]).toEqual([at, undefined])
        // When the answer is there, nothing is left to stop.
        const isAnswered = events.some(({ type }) => type === 'final_response')
        expect([at, result.status]).toEqual([at, isAnswered ? 'done' : 'aborted'])
        expect([at, isAnswered]).toEqual([at, at >= count - 4])
        const told = begunBy(events.slice(0, at))
        expect([at, begun.filter((id) => !told.has(id))]).toEqual([at, []])
        expect([at, client.calls]).toEqual([at, requests])
        await goesOn(agent)
      }
    },
  )
})

function begunBy(events: readonly AgentEvent[]): ReadonlySet<string> {
  return new Set(
    events.flatMap((event) =>
      isEvent(event, 'tool_execution') && event.status === 'started' ? [event.callId] : [],
    ),
  )
}

/** A reader takes its time: whatever did not wait for it has happened by then. */
const thought = () => setImmediate()

describe('leaving the loop', () => {
  const ways: Record<
    string,
    (stream: RunStream<unknown>, at: number, events: AgentEvent[]) => Promise<void>
  > = {
    break: async (stream, at, events) => {
      for await (const event of stream) {
        if (events.push(event) <= at) continue
        await thought()
        break
      }
    },
    throw: async (stream, at, events) => {
      const reading = (async () => {
        for await (const event of stream) {
          if (events.push(event) <= at) continue
          await thought()
          throw new Error('the reader broke')
        }
      })()
      await expect(reading).rejects.toThrow('the reader broke')
    },
    'await using': async (given, at, events) => {
      await using stream = given
      const iterator = stream[Symbol.asyncIterator]()
      for (let step = await iterator.next(); !step.done; step = await iterator.next()) {
        if (events.push(step.value) <= at) continue
        await thought()
        return
      }
    },
  }

  it.each(Object.entries(ways))(
    'by %s at any event begins nothing more and leaves nothing behind',
    async (_, leave) => {
      for (const at of places) {
        const { runtime, sleepers } = countingRuntime()
        const { agent, begun, client } = everything({ runtime })
        const heard: AgentEvent[] = []
        for (const type of ['step', 'tool_execution', 'run_end'] as const)
          agent.on(type, (event) => heard.push(event))
        const stream = agent.runStream('Go.')
        const events: AgentEvent[] = []
        await leave(stream, at, events)
        const after = [begun.length, client.calls, heard.length]
        expect([at, sleepers.size]).toEqual([at, 0])
        // Not even the one that was told last: its reader has not asked for more.
        const told = begunBy(events.slice(0, at))
        expect([at, begun.filter((id) => !told.has(id))]).toEqual([at, []])
        for (let turn = 0; turn < 3; turn++) await setImmediate()
        expect([at, begun.length, client.calls, heard.length]).toEqual([at, ...after])
        expect(heard.filter(({ type }) => type === 'run_end')).toHaveLength(1)
        await goesOn(agent)
      }
    },
  )
})

/** The real clock, and who is asleep on it. */
function countingRuntime() {
  const sleepers = new Set<Promise<void>>()
  const sleep = (ms: number, signal?: AbortSignal) => {
    const sleeper = systemRuntime.sleep(ms, signal)
    sleepers.add(sleeper)
    const leave = () => void sleepers.delete(sleeper)
    sleeper.then(leave, leave)
    return sleeper
  }
  return { runtime: { sleep }, sleepers }
}

describe('two runs at once', () => {
  it('take turns, in the order in which they were started', async () => {
    const client = new ScriptedClient(['One.', 'Two.'])
    const agent = new Agent({ client })
    expect(await Promise.all([agent.run('First?'), agent.run('Second?')])).toEqual(['One.', 'Two.'])
    expect(client.requests[1]?.messages.map(({ content }) => content)).toEqual(['First?', 'One.', 'Second?'])
  })

  it('refuse the second where they do not queue, and the first goes on', async () => {
    const client = new ScriptedClient(['One.', 'Three.'])
    const agent = new Agent({ client, concurrency: 'reject' })
    const first = agent.run('First?')
    await expect(agent.run('Second?')).rejects.toThrow(ConcurrentRunError)
    expect([await first, await agent.run('Third?')]).toEqual(['One.', 'Three.'])
    expect(agent.history.filter(({ role }) => role === 'user')).toEqual([user('First?'), user('Third?')])
  })

  it('do not meet when the end of one begins the next', async () => {
    const agent = new Agent({ client: new ScriptedClient(['One.', 'Two.']), concurrency: 'reject' })
    let next: Promise<string> | undefined
    agent.on('run_end', () => {
      next ??= agent.run('Second?')
    })
    expect(await agent.run('First?')).toBe('One.')
    expect(await next).toBe('Two.')
  })

  it.each([1, 2, 3, 4, 5, 6, 7])(
    'are not held up by one whose clock throws, the %sth time it is asked',
    async (failing) => {
      let asked = 0
      const now = () => {
        if (++asked === failing) throw new Error('no time')
        return asked
      }
      const client = new ScriptedClient(() => 'Done.')
      const agent = new Agent({ client, runtime: { now } })
      await agent.run('First?').catch(() => {})
      expect(asked).toBeGreaterThanOrEqual(failing)
      expect(await agent.run('Second?')).toBe('Done.')
      expect(agent.status).toBe('idle')
    },
  )

  it('let one that was stopped while it waited go, and the next has its turn', async () => {
    const agent = new Agent({ client: new ScriptedClient(['One.', 'Three.']) })
    const first = agent.run('First?')
    const waiting = agent.runStream('Second?')
    const stopped = waiting.result
    const third = agent.run('Third?')
    waiting.abort('no more')
    expect((await stopped).status).toBe('aborted')
    expect(await Promise.all([first, third])).toEqual(['One.', 'Three.'])
  })
})
