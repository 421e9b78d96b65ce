import { describe, expect, expectTypeOf, it } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  type AgentEvent,
  createPool,
  type Hooks,
  type LLMClient,
  type LLMRequest,
  resultOf,
  ToolRegistry,
  ToolSet,
  tool,
  UnexpectedError,
} from '../../src/index.ts'
import {
  calls,
  checkEvents,
  chunks,
  json,
  plans,
  ScriptedClient,
  type ScriptedReply,
  virtualClock,
} from '../../src/testing/index.ts'
import { thrownBy } from '../support/outcome.ts'
import { eventsOf } from './events-of.ts'

const named = (
  name: string,
  execute: () => unknown = () => 'done',
  rest: { tags?: readonly string[] } = {},
) => tool({ name, description: `Does ${name}`, parameters: z.object({}), execute, ...rest })

/** The last message of a request. */
const lastOf = (request: LLMRequest | undefined) => request?.messages.at(-1)

describe('seed 000, tools', () => {
  it('000-14 finds tools by set, tag and words, in the order of their registration', () => {
    const registry = new ToolRegistry()
    registry.register(named('zeta'))
    registry.register(named('sum', undefined, { tags: ['math'] }))
    registry.registerToolset(new ToolSet({ name: 'files', description: 'Files', tools: [named('alpha')] }))
    const found = (query: Parameters<typeof registry.find>[0]) => registry.find(query).map(({ name }) => name)

    expect(registry.names()).toEqual(['zeta', 'sum', 'alpha'])
    expect(found({ tag: 'math' })).toEqual(['sum'])
    expect(found({ toolset: 'files' })).toEqual(['alpha'])
    expect(found({ query: 'ZET' })).toEqual(['zeta'])
    expect([registry.has('sum'), registry.get('sum')?.name, registry.get('nil')]).toEqual([
      true,
      'sum',
      undefined,
    ])

    registry.unregister('sum')
    expect(registry.list().map(({ name }) => name)).toEqual(['zeta', 'alpha'])
  })

  it('000-15 gives a tool its parameters parsed, and typed by their schema', async () => {
    const received: unknown[] = []
    const book = tool({
      name: 'book',
      description: 'Books a table',
      parameters: z.object({ city: z.string().trim(), seats: z.int().default(2) }),
      execute: (input) => {
        expectTypeOf(input.city).toEqualTypeOf<string>()
        expectTypeOf(input.seats).toEqualTypeOf<number>()
        received.push(input)
      },
    })
    const client = new ScriptedClient([calls(['book', { city: ' Oslo ' }]), 'Booked.'])
    await new Agent({ client, tools: [book] }).run('A table in Oslo.')
    expect(received).toEqual([{ city: 'Oslo', seats: 2 }])
  })

  it('000-16 tells the model that a tool failed and why, and goes on', async () => {
    const save = named('save', () => {
      throw new Error('disk on fire')
    })
    const client = new ScriptedClient([calls(['save', {}, 's']), 'I could not save it.'])
    expect(await new Agent({ client, tools: [save] }).run('Save it.')).toBe('I could not save it.')
    expect(lastOf(client.requests[1])).toEqual({
      role: 'tool',
      callId: 's',
      toolName: 'save',
      content: 'Error: disk on fire',
      ok: false,
    })
  })

  it('000-24 passes a request through its hooks in order', async () => {
    const appending = (letter: string): Hooks => ({
      beforeModel: async (request) => ({ ...request, system: `${request.system ?? ''}${letter}` }),
    })
    const client = new ScriptedClient(['Hi.'])
    await new Agent({ client, hooks: [appending('A'), appending('B')] }).run('Hello?')
    expect(client.requests[0]?.system).toBe('AB')
  })

  const throwing: Hooks = {
    beforeModel: () => {
      throw new Error('broken hook')
    },
  }

  it('000-24 reports a hook that throws, and goes on', async () => {
    const events = await eventsOf(
      new Agent({ client: new ScriptedClient(['Hi.']), hooks: throwing }).runStream('Hello?'),
    )
    expect(events.filter(({ type }) => type === 'diagnostic')).toMatchObject([
      { code: 'hook_failed', message: 'The hook beforeModel threw: broken hook' },
    ])
    expect(events.at(-1)).toMatchObject({ status: 'done', answer: 'Hi.' })
  })

  it('000-24 ends the run when a strict hook throws', async () => {
    const client = new ScriptedClient(['Hi.'])
    const agent = new Agent({ client, hooks: { ...throwing, strict: true } })
    const error = await thrownBy(agent.run('Hello?'))
    expect(error).toBeInstanceOf(UnexpectedError)
    expect(resultOf(error)).toMatchObject({ status: 'failed' })
    expect(client.calls).toBe(0)
  })

  it('000-25 gives results in the order of the calls, whatever finished first', async () => {
    const clock = virtualClock()
    const finished: string[] = []
    const waiting = (name: string, ms: number) =>
      named(name, async () => {
        await clock.runtime.sleep(ms)
        finished.push(name)
        return name
      })
    const client = new ScriptedClient([calls(['slow', {}, '1'], ['fast', {}, '2']), 'Both done.'])
    const agent = new Agent({
      client,
      tools: [waiting('slow', 50), waiting('fast', 10)],
      runtime: clock.runtime,
    })
    const { steps } = await agent.runStream('Go.').result

    expect(finished).toEqual(['fast', 'slow'])
    expect(steps[0]?.results.map(({ callId, output }) => [callId, output])).toEqual([
      ['1', 'slow'],
      ['2', 'fast'],
    ])
    expect(client.requests[1]?.messages.slice(2).map(({ content }) => content)).toEqual(['slow', 'fast'])
  })

  it('000-30 tells the same in both protocols', async () => {
    // Which text is shown while it arrives may differ: only JSON knows early what it is. All else is the same.
    const text = ['stream_start', 'token', 'retracted', 'stream_end']
    const told = async (protocol: 'native' | 'json', script: readonly ScriptedReply[]) => {
      const agent = new Agent({ client: new ScriptedClient(script), tools: [named('look')], protocol })
      const events = await eventsOf(agent.runStream('Go.'))
      expect(checkEvents(events)).toBeUndefined()
      return events.map(({ type }) => type).filter((type) => !text.includes(type))
    }
    const native = await told('native', [
      plans('Look, then answer.'),
      calls('Looking.', ['look', {}, 'a']),
      'Found.',
    ])
    const inJson = await told('json', [
      json({ plan: 'Look, then answer.' }),
      json({ tool_thought: 'Looking.', tool_calls: [{ id: 'a', tool_name: 'look', parameters: {} }] }),
      json({ final_answer: 'Found.' }),
    ])
    expect(native).toContain('tool_results')
    expect(inJson).toEqual(native)
  })

  it('000-31 executes a failing tool once, unless it says that more does no harm', async () => {
    const executions = async (safe: boolean) => {
      const clock = virtualClock()
      let times = 0
      const flaky = tool({
        name: 'flaky',
        description: 'Fails',
        parameters: z.object({}),
        ...(safe && { effect: 'idempotent' as const, retry: { attempts: 3, delayMs: (n) => n * 100 } }),
        execute: () => {
          times++
          throw new Error('not now')
        },
      })
      const agent = new Agent({
        client: new ScriptedClient([calls(['flaky']), 'It fails.']),
        tools: [flaky],
        runtime: clock.runtime,
      })
      expect(await agent.run('Go.')).toBe('It fails.')
      return { times, waits: clock.sleeps.filter((ms) => ms !== 300_000) } // the run's own limit of time
    }
    expect(await executions(false)).toEqual({ times: 1, waits: [] })
    expect(await executions(true)).toEqual({ times: 3, waits: [200, 300] })
  })

  it('000-34 takes any object with the members of a client', async () => {
    const client: LLMClient = {
      provider: 'mine',
      model: 'mine-1',
      capabilities: { tools: true, streaming: false, structuredOutput: false, images: false },
      call: async () => ({ text: 'Here.', toolCalls: [], stopReason: 'stop' }),
    }
    expect(await new Agent({ client }).run('Hello?')).toBe('Here.')
  })
})

describe('seed 000, advanced', () => {
  it('000-38a shows text as it arrives, before the final response', async () => {
    const agent = new Agent({ client: new ScriptedClient([chunks(['He', 'llo'])]) })
    const events = await eventsOf(agent.runStream('Hello?'))
    const told = events.flatMap((event: AgentEvent): string[] => {
      if (event.type === 'token') return [event.text]
      return event.type === 'final_response' ? [`final: ${event.answer}`] : []
    })
    expect(told).toEqual(['He', 'llo', 'final: Hello'])
  })

  it('000-38b runs as many tools at once as it may', async () => {
    const clock = virtualClock()
    let inFlight = 0
    let most = 0
    const wait = named('wait', async () => {
      most = Math.max(most, ++inFlight)
      await clock.runtime.sleep(50)
      inFlight--
    })
    const agent = new Agent({
      client: new ScriptedClient([calls(['wait'], ['wait'], ['wait'], ['wait']), 'Done.']),
      tools: [wait],
      toolConcurrency: 2,
      runtime: clock.runtime,
    })
    const { timing } = await agent.runStream('Go.').result
    expect({ most, toolMs: timing.toolMs, totalMs: timing.totalMs }).toEqual({
      most: 2,
      toolMs: 100,
      totalMs: 100,
    })
  })

  it('000-38c lends what is dear to make, and replaces what is broken', async () => {
    const broken = new Set<number>()
    const created: number[] = []
    const destroyed: number[] = []
    const pool = createPool<number>({
      create: () => created.push(created.length + 1),
      destroy: (item) => void destroyed.push(item),
      validate: (item) => !broken.has(item),
      max: 2,
    })
    await Promise.all([1, 2, 3, 4, 5].map(() => pool.use(async () => {})))
    expect({ created, destroyed }).toEqual({ created: [1, 2], destroyed: [] })

    broken.add(1).add(2)
    expect(await pool.use((item) => item)).toBe(3)
    expect([created.length, destroyed.length]).toEqual([3, 1])

    await pool.drain()
    expect(destroyed.toSorted()).toEqual([1, 2, 3])
  })
})
