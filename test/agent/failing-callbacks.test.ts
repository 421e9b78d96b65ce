import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
// What is loaded only when it is needed takes real time, of which a virtual clock knows nothing: it is loaded before.
import '../../src/agent/answer.ts'
import '../../src/protocol/partial-output.ts'
import '../../src/tools/json-validator.ts'
import { Agent, type AgentOptions, ToolSet, tool } from '../../src/index.ts'
import { calls, checkEvents, fails, ScriptedClient, virtualClock } from '../../src/testing/index.ts'
import { eventsOf } from '../seeds/events-of.ts'
import { goesOn, watchRejections } from './aftermath.ts'

const rejections = watchRejections()

const parameters = { type: 'object', properties: { n: { type: 'number' } } }

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

const asTool = (members: object) =>
  tool({ name: 'one', description: 'one', parameters, execute: () => 'fine', ...members })

const schemaThat = (validate: () => never) => ({
  '~standard': { version: 1 as const, vendor: 'tests', validate, jsonSchema: { input: () => parameters } },
})

/** Who fails, how, and what the run comes to. */
const culprits: Record<string, { status: string; make: (fail: () => never) => Made }> = {
  instructions: { status: 'failed', make: (fail) => ({ options: { instructions: fail } }) },
  'instructions, later': {
    status: 'failed',
    make: (fail) => ({ options: { instructions: async () => fail() } }),
  },
  'a config function': {
    status: 'done',
    make: (config) => ({
      options: { tools: [new ToolSet({ name: 's', description: 's', tools: [asTool({})], config })] },
    }),
  },
  execute: { status: 'done', make: (execute) => ({ options: { tools: [asTool({ execute })] } }) },
  'execute, later': {
    status: 'done',
    make: (fail) => ({ options: { tools: [asTool({ execute: async () => fail() })] } }),
  },
  formatOutput: {
    status: 'done',
    make: (formatOutput) => ({ options: { tools: [asTool({ formatOutput })] } }),
  },
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
  'the schema of the answer': {
    status: 'failed',
    make: (fail) => ({ options: { output: schemaThat(fail) } }),
  },
  memory: { status: 'done', make: (manageHistory) => ({ options: { memory: { manageHistory } } }) },
  'memory, later': {
    status: 'done',
    make: (fail) => ({ options: { memory: { manageHistory: async () => fail() } } }),
  },
  countTokens: {
    status: 'done',
    make: (countTokens) => ({ options: { countTokens, contextWindow: 5_000 } }),
  },
  logger: {
    status: 'done',
    make: (fail) => ({ options: { logger: { debug: fail, info: fail, warn: fail, error: fail } } }),
  },
  listeners: {
    status: 'done',
    make: (fail) => ({
      options: {},
      listen: (agent) => {
        for (const type of ['run_start', 'token', 'step', 'diagnostic', 'run_end'] as const)
          agent.on(type, fail)
      },
    }),
  },
  'listeners, later': {
    status: 'done',
    make: (fail) => ({ options: {}, listen: (agent) => void agent.on('token', async () => fail()) }),
  },
  retryOn: {
    status: 'failed',
    make: (retryOn) => ({
      options: { client: new ScriptedClient([fails('overloaded'), 'Fine.']), retry: { retryOn } },
    }),
  },
  sleep: {
    status: 'done',
    make: (fail) => ({ options: { runtime: { sleep: async () => fail() } } }),
  },
  'the store, reading': {
    status: 'failed',
    make: (fail) => ({ options: { store: storeThat({ read: fail }) } }),
  },
  'the store, appending': {
    status: 'failed',
    make: (fail) => ({ options: { store: storeThat({ append: fail }) } }),
  },
  'client.call': {
    status: 'failed',
    make: (call) => ({ options: { client: clientThat({ call }), stream: false } }),
  },
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
  culprits[`the hook ${stage}`] = {
    status: 'done',
    make: (fail) => ({ options: { hooks: { [stage]: fail } } }),
  }
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
  return {
    provider,
    model,
    capabilities,
    call: client.call.bind(client),
    ...members,
  } as AgentOptions['client']
}

function storeThat(members: object): NonNullable<AgentOptions['store']> {
  const nothing = async () => {}
  const store = {
    init: nothing,
    append: async () => 0,
    read: async () => [],
    list: async () => [],
    delete: nothing,
    close: nothing,
  }
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
    const events = await eventsOf(stream)
    const result = await stream.result
    expect([result.status, checkEvents(events)]).toEqual([status, undefined])
    await goesOn(agent)
    await agent.close()
    await setImmediate()
    expect([rejections, clock.pending]).toEqual([[], 0])
  })
})
