import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import '../../src/protocol/json.ts'
import '../../src/agent/answer.ts'
import '../../src/protocol/partial-output.ts'
import '../../src/tools/json-validator.ts'
import {
  Agent,
  type AgentEvent,
  type AgentOptions,
  ConcurrentRunError,
  isEvent,
  type RunStream,
  systemRuntime,
  tool,
  ToolSet,
  user,
  validateHistory,
} from '../../src/index.ts'
import { calls, checkEvents, fails, plans, ScriptedClient, virtualClock } from '../../src/testing/index.ts'

const rejections: unknown[] = []
const hear = (reason: unknown) => void rejections.push(reason)
beforeAll(() => void process.on('unhandledRejection', hear))
afterAll(() => {
  process.off('unhandledRejection', hear)
  expect(rejections).toEqual([])
})

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

async function read(stream: RunStream<unknown>): Promise<AgentEvent[]> {
  const events: AgentEvent[] = []
  for await (const event of stream) events.push(event)
  return events
}

/** The conversation goes on, whatever the agent went through. */
async function goesOn(agent: Agent<unknown>): Promise<void> {
  expect(validateHistory(agent.history)).toEqual([])
  const saved = agent.history
  const calm = new Agent({ client: new ScriptedClient(['Here I am.']) })
  expect(await calm.run('Are you there?', { history: saved })).toBe('Here I am.')
}

const count = (await read(everything().agent.runStream('Go.'))).length
const places = Array.from({ length: count }, (_, index) => index)

describe('an abort', () => {
  it.each(['abort()', 'the signal'])('by %s at any event ends the run, and the conversation goes on', async (by) => {
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
      const told = begunBy(events.slice(0, at + 1))
      expect([at, begun.filter((id) => !told.has(id))]).toEqual([at, []])
      expect([at, client.calls]).toEqual([at, requests])
      await goesOn(agent)
    }
  })
})

function begunBy(events: readonly AgentEvent[]): ReadonlySet<string> {
  return new Set(
    events.flatMap((event) => (isEvent(event, 'tool_execution') && event.status === 'started' ? [event.callId] : [])),
  )
}

describe('leaving the loop', () => {
  const ways: Record<string, (stream: RunStream<unknown>, at: number, events: AgentEvent[]) => Promise<void>> = {
    break: async (stream, at, events) => {
      for await (const event of stream) if (events.push(event) > at) break
    },
    throw: async (stream, at, events) => {
      const reading = (async () => {
        for await (const event of stream) if (events.push(event) > at) throw new Error('the reader broke')
      })()
      await expect(reading).rejects.toThrow('the reader broke')
    },
    'await using': async (given, at, events) => {
      await using stream = given
      const iterator = stream[Symbol.asyncIterator]()
      for (let step = await iterator.next(); !step.done; step = await iterator.next()) {
        if (events.push(step.value) > at) return
      }
    },
  }

  it.each(Object.entries(ways))('by %s at any event begins nothing more and leaves nothing behind', async (_, leave) => {
    for (const at of places) {
      const { runtime, sleepers } = countingRuntime()
      const { agent, begun, client } = everything({ runtime })
      const heard: AgentEvent[] = []
      for (const type of ['step', 'tool_execution', 'run_end'] as const) agent.on(type, (event) => heard.push(event))
      const stream = agent.runStream('Go.')
      const events: AgentEvent[] = []
      await leave(stream, at, events)
      const after = [begun.length, client.calls, heard.length]
      expect([at, sleepers.size]).toEqual([at, 0])
      const told = begunBy(events)
      expect([at, begun.filter((id) => !told.has(id))]).toEqual([at, []])
      for (let turn = 0; turn < 3; turn++) await setImmediate()
      expect([at, begun.length, client.calls, heard.length]).toEqual([at, ...after])
      expect(heard.filter(({ type }) => type === 'run_end')).toHaveLength(1)
      await goesOn(agent)
    }
  })
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

/** Ways to fail: an error, nothing at all, and something that cannot even be looked at. */
const faults: Record<string, () => never> = {
  'an error': () => {
    throw new Error('broken')
  },
  null: () => {
    throw null
  },
  'something unreadable': () => {
    throw {
      get message() {
        throw new Error('unreadable')
      },
      toString() {
        throw new Error('unreadable')
      },
    }
  },
}

type Made = { options: Partial<AgentOptions<unknown>>; listen?: (agent: Agent<unknown>) => void }

const asTool = (members: object) => tool({ name: 'one', description: 'one', parameters, execute: () => 'fine', ...members })

const schemaThat = (validate: () => never) => ({
  '~standard': { version: 1 as const, vendor: 'tests', validate, jsonSchema: { input: () => parameters } },
})

/** Who fails, how, and what the run comes to. */
const culprits: Record<string, { status: string; make: (fail: () => never) => Made }> = {
  instructions: { status: 'failed', make: (fail) => ({ options: { instructions: fail } }) },
  'instructions, later': { status: 'failed', make: (fail) => ({ options: { instructions: async () => fail() } }) },
  'a config function': {
    status: 'done',
    make: (config) => ({ options: { tools: [new ToolSet({ name: 's', description: 's', tools: [asTool({})], config })] } }),
  },
  execute: { status: 'done', make: (execute) => ({ options: { tools: [asTool({ execute })] } }) },
  'execute, later': { status: 'done', make: (fail) => ({ options: { tools: [asTool({ execute: async () => fail() })] } }) },
  formatOutput: { status: 'done', make: (formatOutput) => ({ options: { tools: [asTool({ formatOutput })] } }) },
  'the delay of a tool': {
    status: 'done',
    make: (fail) => ({
      options: { tools: [asTool({ effect: 'read', execute: fail, retry: { attempts: 2, delayMs: fail } })] },
    }),
  },
  'the schema of parameters': {
    status: 'done',
    make: (fail) => ({ options: { tools: [asTool({ parameters: schemaThat(fail) })] } }),
  },
  'the schema of the answer': { status: 'failed', make: (fail) => ({ options: { output: schemaThat(fail) } }) },
  memory: { status: 'done', make: (manageHistory) => ({ options: { memory: { manageHistory } } }) },
  'memory, later': { status: 'done', make: (fail) => ({ options: { memory: { manageHistory: async () => fail() } } }) },
  countTokens: { status: 'done', make: (countTokens) => ({ options: { countTokens, contextWindow: 5_000 } }) },
  logger: {
    status: 'done',
    make: (fail) => ({ options: { logger: { debug: fail, info: fail, warn: fail, error: fail } } }),
  },
  listeners: {
    status: 'done',
    make: (fail) => ({
      options: {},
      listen: (agent) => {
        for (const type of ['run_start', 'token', 'step', 'diagnostic', 'run_end'] as const) agent.on(type, fail)
      },
    }),
  },
  'listeners, later': {
    status: 'done',
    make: (fail) => ({ options: {}, listen: (agent) => void agent.on('token', async () => fail()) }),
  },
  retryOn: {
    status: 'failed',
    make: (retryOn) => ({ options: { client: new ScriptedClient([fails('overloaded'), 'Fine.']), retry: { retryOn } } }),
  },
  sleep: {
    status: 'done',
    make: (fail) => ({ options: { runtime: { sleep: async () => fail() } } }),
  },
  'the store, reading': { status: 'failed', make: (fail) => ({ options: { store: storeThat({ read: fail }) } }) },
  'the store, appending': { status: 'failed', make: (fail) => ({ options: { store: storeThat({ append: fail }) } }) },
  'client.call': { status: 'failed', make: (call) => ({ options: { client: clientThat({ call }), stream: false } }) },
  'client.stream': { status: 'failed', make: (stream) => ({ options: { client: clientThat({ stream }) } }) },
  'next() of the stream': {
    status: 'failed',
    make: (next) => ({ options: { client: clientThat({ stream: () => iterableOf({ next }) }) } }),
  },
  'return() of the stream': {
    status: 'failed',
    make: (fail) => {
      const next = async () => ({ done: false, value: { type: 'end', response: undefined } })
      return { options: { client: clientThat({ stream: () => iterableOf({ next, return: fail }) }) } }
    },
  },
  'a stream of nothing': {
    status: 'failed',
    make: () => {
      const next = async () => ({ done: false, value: null })
      return { options: { client: clientThat({ stream: () => iterableOf({ next }) }) } }
    },
  },
}

for (const stage of ['beforeModel', 'afterModel', 'beforeTool', 'afterTool', 'onMessage'] as const) {
  culprits[`the hook ${stage}`] = { status: 'done', make: (fail) => ({ options: { hooks: { [stage]: fail } } }) }
  culprits[`the strict hook ${stage}`] = {
    status: 'failed',
    make: (fail) => ({ options: { hooks: { strict: true, [stage]: async () => fail() } } }),
  }
}

const iterableOf = (iterator: object) => ({ [Symbol.asyncIterator]: () => iterator })

/** A client, and a store, of which some members are hostile: not what their types say. */
function clientThat(members: object): AgentOptions['client'] {
  const client = new ScriptedClient(['Fine.'])
  const { provider, model, capabilities } = client
  return { provider, model, capabilities, call: client.call.bind(client), ...members } as AgentOptions['client']
}

function storeThat(members: object): NonNullable<AgentOptions['store']> {
  const nothing = async () => {}
  const store = { init: nothing, append: async () => 0, read: async () => [], list: async () => [], delete: nothing, close: nothing }
  return { ...store, ...members }
}

describe('what is called and fails', () => {
  const cases = Object.entries(culprits).flatMap(([culprit, { status, make }]) =>
    Object.entries(faults).map(([fault, fail]) => ({ culprit, fault, status, make: () => make(fail) })),
  )

  it.each(cases)('$culprit, throwing $fault: the run is $status', async ({ status, make }) => {
    const clock = virtualClock()
    const { options, listen } = make()
    const agent = new Agent<unknown>({
      client: new ScriptedClient([calls(['one', { n: 1 }]), '{"n":1}', '{"n":1}', '{"n":1}']),
      tools: [asTool({})],
      retry: false,
      ...options,
      runtime: { ...clock.runtime, ...options.runtime },
    })
    listen?.(agent)
    const stream = agent.runStream('Go.')
    const events = await read(stream)
    const result = await stream.result
    expect([result.status, checkEvents(events)]).toEqual([status, undefined])
    await goesOn(agent)
    await agent.close()
    await setImmediate()
    expect([rejections, clock.pending]).toEqual([[], 0])
  })
})
