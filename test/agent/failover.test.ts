import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  type AgentEvent,
  type AgentOptions,
  circuitBreaker,
  degrade,
  emptySnapshot,
  failover,
  fallbackAnswer,
  isEvent,
  type LLMClient,
  MemoryStore,
  reduceSnapshot,
  retry,
  SwitchableClient,
  textOf,
  tool,
  wrapClient,
} from '../../src/index.ts'
import {
  calls,
  checkEvents,
  chunks,
  fails,
  hangs,
  json,
  type Script,
  ScriptedClient,
  virtualClock,
} from '../../src/testing/index.ts'
import { dyingStore } from '../laws/support/unreliable-stores.ts'
import { eventsOf } from '../seeds/events-of.ts'
import { until } from '../support/outcome.ts'
import { watchRejections } from './aftermath.ts'

watchRejections()

const clientOf = (
  provider: string,
  script: Script,
  capabilities: ConstructorParameters<typeof ScriptedClient>[1] = {},
) => new ScriptedClient(script, { provider, model: 'm', chunkSize: 4, ...capabilities })

const noTools = { capabilities: { tools: false } }

/** An agent whose only tool writes down that it ran. */
function agentOf(client: LLMClient, options: Partial<AgentOptions> = {}) {
  const ran: string[] = []
  const pay = tool({
    name: 'pay',
    description: 'Pays',
    parameters: z.object({ amount: z.number() }),
    execute: ({ amount }, { callId }) => {
      ran.push(callId)
      return `paid ${amount}`
    },
  })
  return { agent: new Agent({ client, tools: [pay], retry: false, ...options }), ran }
}

/** What a reader is left with who applies retractions, for each iteration that told something. */
function shown(events: readonly AgentEvent[]): { answer: string; thought: string }[] {
  const byStep = new Map<string, { answer: string; thought: string }>()
  for (const event of events) {
    if (event.type === 'stream_start') byStep.set(event.stepId, { answer: '', thought: '' })
    if (event.type !== 'token' && event.type !== 'retracted') continue
    const { channel } = event
    const texts = byStep.get(event.stepId)
    if (!texts || (channel !== 'answer' && channel !== 'thought')) continue
    texts[channel] = event.type === 'token' ? texts[channel] + event.text : ''
  }
  return [...byStep.values()]
}

/** The events of a run, which keep to their grammar. */
async function run(agent: Agent<unknown>, input = 'Go.'): Promise<AgentEvent[]> {
  const events = await eventsOf(agent.runStream(input))
  expect(checkEvents(events)).toBeUndefined()
  return events
}

const models = (events: readonly AgentEvent[]) =>
  events.filter((event) => isEvent(event, 'usage')).map(({ provider }) => provider)

describe('a stream that breaks in the middle', () => {
  test('is withdrawn, and a reader is left with exactly what the next model said', async () => {
    const a = clientOf('a', [fails('network', { after: ['The answer ', 'is 41'] })])
    const b = clientOf('b', ['It is 42.'])
    const { agent } = agentOf(failover([b])(a))
    const events = await run(agent)
    expect(shown(events)).toEqual([{ answer: 'It is 42.', thought: '' }])
    expect(events.filter((event) => isEvent(event, 'failover'))).toMatchObject([
      {
        from: { provider: 'a', model: 'm' },
        to: { provider: 'b', model: 'm' },
        error: { code: 'llm', kind: 'network' },
      },
    ])
    expect(events.map(({ type }) => type).filter((type, index, all) => type !== all[index - 1])).toEqual([
      'run_start',
      'stream_start',
      'token',
      'failover',
      'retracted',
      'token',
      'stream_end',
      'usage',
      'final_response',
      'run_end',
    ])
    expect(events.reduce(reduceSnapshot, emptySnapshot)).toMatchObject({
      status: 'done',
      answer: 'It is 42.',
    })
  })

  test('is tried again by a retry, also without another client', async () => {
    const a = clientOf('a', [fails('network', { after: ['Hel'] }), 'Hello.'])
    const agent = new Agent({ client: a, runtime: virtualClock().runtime })
    const events = await run(agent)
    expect(shown(events)).toEqual([{ answer: 'Hello.', thought: '' }])
    expect(events.filter((event) => isEvent(event, 'retry'))).toMatchObject([{ attempt: 1 }])
  })

  test('is withdrawn from every channel, and its calls are never made', async () => {
    const b = clientOf('b', [calls('Paying.', ['pay', { amount: 2 }, 'b1']), 'Done.'])
    let opened = 0
    const breaking: LLMClient = {
      provider: 'a',
      model: 'm',
      capabilities: b.capabilities,
      call: () => Promise.reject(new Error('not called')),
      async *stream() {
        opened += 1
        yield { type: 'reasoning', text: 'Hm.' }
        yield { type: 'text', text: 'I will pay.' }
        yield { type: 'tool_call', index: 0, id: 'a1', toolName: 'pay', parametersText: '{"amount":1}' }
        throw Object.assign(new Error('HTTP 529'), { status: 529 })
      },
    }
    const { agent, ran } = agentOf(failover([b])(breaking))
    const events = await run(agent)
    expect(ran).toEqual(['b1'])
    expect(opened).toBe(2)
    expect(shown(events).at(0)).toEqual({ answer: '', thought: 'Paying.' })
    const retracted = events.filter((event) => isEvent(event, 'retracted')).map(({ channel }) => channel)
    expect(new Set(retracted)).toEqual(new Set(['answer', 'thought', 'reasoning']))
  })

  test('leaves a structured answer whole, and its partial values those of the model that tells it', async () => {
    const place = { city: 'Oslo', country: 'Norway, in the north' }
    const a = clientOf('a', [fails('stalled', { after: ['{"city":"Bergen, the rainy","coun'] })])
    const agent = new Agent({
      client: failover([clientOf('b', [JSON.stringify(place)])])(a),
      output: z.object({ city: z.string(), country: z.string() }),
      retry: false,
    })
    const events = await run(agent)
    const cities = events.flatMap((event) =>
      event.type === 'retracted'
        ? ['retracted']
        : event.type === 'token' && event.partial
          ? [event.partial]
          : [],
    )
    expect(cities.at(-1)).toEqual(place)
    expect(
      cities
        .slice(cities.indexOf('retracted') + 1)
        .every((partial) => JSON.stringify(partial).includes('Oslo')),
    ).toBe(true)
    expect(events.find((event) => isEvent(event, 'final_response'))).toMatchObject({ answer: place })
  })

  test('is a partial answer of the model that was cut', async () => {
    const store = new MemoryStore()
    const a = clientOf('a', [fails('network')])
    const b = clientOf('b', [hangs(['Half'])])
    const { agent } = agentOf(failover([b])(a), { store, conversationId: 'c' })
    const stream = agent.runStream('Go.')
    for await (const event of stream) if (event.type === 'token') stream.abort('enough')
    expect(await stream.result).toMatchObject({ status: 'aborted', partial: 'Half' })
    expect((await store.read('c')).filter(({ type }) => type === 'reply')).toMatchObject([
      { kind: 'partial', provider: 'b' },
    ])
  })
})

describe('a conversation over several models', () => {
  test('goes to a model without tools, in JSON, and back again', async () => {
    const a = clientOf('a', [
      calls('First.', ['pay', { amount: 1 }, 'p1']),
      fails('overloaded'),
      'Paid both.',
    ])
    const b = clientOf(
      'b',
      [
        json({
          tool_thought: 'Second.',
          tool_calls: [{ id: 'p2', tool_name: 'pay', parameters: { amount: 2 } }],
        }),
      ],
      noTools,
    )
    const store = new MemoryStore()
    const { agent, ran } = agentOf(failover([b])(a), { store, conversationId: 'c' })
    const events = await run(agent)
    expect(ran).toEqual(['p1', 'p2'])
    expect(b.requests[0]?.tools).toBeUndefined()
    expect(JSON.stringify(b.requests[0])).toContain('tool_calls')
    expect(a.requests[2]?.messages.map(({ role }) => role)).toEqual([
      'user',
      'assistant',
      'tool',
      'assistant',
      'tool',
    ])
    expect(a.requests[2]?.tools?.map(({ name }) => name)).toContain('pay')
    expect(shown(events).at(1)).toEqual({ answer: '', thought: 'Second.' })
    expect(models(events)).toEqual(['a', 'b', 'a'])
    const replies = (await store.read('c')).filter((entry) => entry.type === 'reply')
    expect(replies.map(({ provider }) => provider)).toEqual(['a', 'b', 'a'])
    expect(replies.map(({ raw }) => raw !== undefined)).toEqual([false, true, false])
  })

  test('breaks off in JSON and goes on natively', async () => {
    const a = clientOf('a', [fails('network', { after: ['{"final_answer":"It is '] })], noTools)
    const events = await run(agentOf(failover([clientOf('b', ['It is ', 'It is 42.'].slice(1))])(a)).agent)
    expect(shown(events)).toEqual([{ answer: 'It is 42.', thought: '' }])
  })

  test('comes back to the first model in its own protocol, when the whole is tried again', async () => {
    const { runtime } = virtualClock()
    const a = clientOf('a', [fails('network'), 'Plain text, natively.'])
    const b = clientOf('b', [fails('network', { after: ['{"final_answer":"Half'] })], noTools)
    const { agent } = agentOf(failover([b])(a), { retry: {}, runtime })
    const events = await run(agent)
    expect(shown(events)).toEqual([{ answer: 'Plain text, natively.', thought: '' }])
    expect(a.requests[1]?.tools).toHaveLength(a.requests[0]?.tools?.length ?? 0)
  })

  test('fits the window of the model that is asked', async () => {
    const long = Array.from({ length: 40 }, (_, index) => [
      { role: 'user', content: `Question ${index}: ${'x'.repeat(200)}` },
      { role: 'assistant', content: `Answer ${index}` },
    ]).flat()
    const a = clientOf('a', [fails('network')], {
      capabilities: { contextWindow: 100_000, maxOutputTokens: 100 },
    })
    const b = clientOf('b', ['Short.'], { capabilities: { contextWindow: 1000, maxOutputTokens: 100 } })
    const agent = new Agent({ client: failover([b])(a), retry: false })
    expect(await agent.run('And now?', { history: long })).toBe('Short.')
    expect(a.requests[0]?.messages.length).toBe(81)
    expect(b.requests[0]?.messages.length).toBeLessThan(40)
  })

  test('is resumed after its process died between two models, and no tool runs twice', async () => {
    const store = new MemoryStore()
    // After the reply of the second model; after its call had begun; after that was done.
    for (const at of [1, 2, 3]) {
      await store.delete('c')
      const { view, life } = dyingStore(store, { at, when: 'after' })
      const b = clientOf('b', [calls(['pay', { amount: 1 }, 'p'])])
      const before = agentOf(failover([b])(clientOf('a', [fails('auth')])), {
        store: view,
        conversationId: 'c',
      })
      void before.agent.runStream('Go.').result
      await until(() => life.isDead)
      const a = clientOf('a', () => fails('auth'))
      const other = clientOf('b', () => 'Paid.')
      const after = agentOf(failover([other])(a), { store, conversationId: 'c' })
      const events = await eventsOf(after.agent.resumeStream('c'))
      expect(checkEvents(events)).toBeUndefined()
      expect(
        await store
          .read('c')
          .then((entries) => entries.filter(({ type }) => type === 'tool_finished').length),
      ).toBe(1)
      expect(before.ran.length + after.ran.length).toBeLessThanOrEqual(1)
      expect(events.at(-1)).toMatchObject({ type: 'run_end', status: 'done', answer: 'Paid.' })
    }
  })

  test('sends opaque reasoning only to the model it came from', async () => {
    const reasoning = (provider: string) => [
      { provider, model: 'm', text: 'Hm.', opaque: { signature: 's' } },
    ]
    const thinking: LLMClient = {
      provider: 'a',
      model: 'm',
      capabilities: clientOf('a', []).capabilities,
      call: async () => ({
        text: '',
        toolCalls: [{ id: 'p', toolName: 'pay', parameters: { amount: 1 } }],
        reasoning: reasoning('a'),
        stopReason: 'tool_calls',
      }),
    }
    let asked = 0
    const flaky: LLMClient = {
      ...thinking,
      call: (...all) =>
        asked++ === 0
          ? thinking.call(...all)
          : Promise.reject(Object.assign(new Error('503'), { status: 503 })),
    }
    const b = clientOf('b', ['Done.'])
    const { agent } = agentOf(failover([b])(flaky))
    expect(await agent.run('Go.')).toBe('Done.')
    // It is stamped with its provider: the adapter of another one drops it.
    expect(b.requests[0]?.messages[1]).toMatchObject({ reasoning: reasoning('a') })
  })

  test('changes its model between two calls of one run, by hand', async () => {
    const a = clientOf('a', [calls(['pay', { amount: 1 }, 'p'])])
    const b = clientOf('b', [json({ final_answer: 'From b.' })], noTools)
    const client = new SwitchableClient({ clients: { a, b }, initial: 'a' })
    const { agent, ran } = agentOf(client)
    agent.on('tool_results', () => client.use('b'))
    const events = await run(agent)
    expect(ran).toEqual(['p'])
    expect(models(events)).toEqual(['a', 'b'])
    expect(events.find((event) => isEvent(event, 'final_response'))).toMatchObject({ answer: 'From b.' })
  })
})

describe('several middlewares at once', () => {
  test('compose in any order', async () => {
    const { runtime } = virtualClock()
    const middlewares = (b: LLMClient) => [
      retry({ runtime }),
      failover([b]),
      circuitBreaker({ runtime }),
      fallbackAnswer('Sorry.'),
    ]
    const orders = [
      [0, 1, 2, 3],
      [3, 0, 1, 2],
      [3, 2, 1, 0],
      [1, 3, 0, 2],
      [2, 1, 0, 3],
    ]
    for (const order of orders) {
      const a = clientOf('a', [fails('network', { after: ['Hel'] }), 'Hello.', 'Hello.'])
      const all = middlewares(clientOf('b', ['Hello.', 'Hello.', 'Hello.']))
      const client = wrapClient(a, ...order.flatMap((index) => all[index] ?? []))
      const events = await run(agentOf(client).agent)
      const [texts] = shown(events)
      expect(['Hello.', 'Sorry.']).toContain(texts?.answer)
    }
  })

  test('degrade within failover, each in its own words', async () => {
    const large = clientOf('p', [fails('overloaded')])
    const small = new ScriptedClient([fails('overloaded', { after: ['{"final_'] })], {
      provider: 'p',
      model: 'small',
      capabilities: { tools: false },
    })
    const other = clientOf('q', ['Here.'])
    const client = failover([other])(degrade([large, { client: small, params: { maxOutputTokens: 50 } }]))
    const events = await run(agentOf(client).agent)
    const hops = events.filter((event) => isEvent(event, 'failover'))
    expect(hops.map(({ from, to }) => `${from.provider}/${from.model} > ${to.provider}/${to.model}`)).toEqual(
      ['p/m > p/small', 'p/m > q/m'],
    )
    expect(small.requests[0]?.params).toEqual({ maxOutputTokens: 50 })
    expect(shown(events)).toEqual([{ answer: 'Here.', thought: '' }])
    expect(models(events)).toEqual(['q'])
  })
})

describe('an answer that no model gave', () => {
  test('is marked in the result and in the transcript, and costs nothing', async () => {
    const store = new MemoryStore()
    const client = fallbackAnswer('Come back later.')(clientOf('a', [fails('auth')]))
    const agent = new Agent({ client, retry: false, store, conversationId: 'c' })
    const { status, answer, degraded, usage } = await agent.runStream('Go.').result
    expect({ status, answer, degraded, usage }).toEqual({
      status: 'done',
      answer: 'Come back later.',
      degraded: true,
      usage: { inputTokens: 0, outputTokens: 0 },
    })
    expect((await store.read('c'))[1]).toMatchObject({ type: 'reply', degraded: true })
  })

  test('is not one that a model gave', async () => {
    const client = fallbackAnswer('Come back later.')(clientOf('a', ['Hello.']))
    expect(await new Agent({ client }).runStream('Go.').result).not.toHaveProperty('degraded')
  })
})

describe('a model that can do less', () => {
  test('is told of tools in JSON, and still ends its run', async () => {
    const client = clientOf(
      'a',
      [
        json({ tool_calls: [{ id: 'p', tool_name: 'pay', parameters: { amount: 1 } }] }),
        json({ final_answer: 'Paid.' }),
      ],
      noTools,
    )
    const { agent, ran } = agentOf(client)
    expect(await agent.run('Go.')).toBe('Paid.')
    expect([ran, client.requests.map(({ tools }) => tools)]).toEqual([['p'], [undefined, undefined]])
  })

  test('tells its answer in one token if it cannot stream, also behind one that can', async () => {
    const whole = () =>
      clientOf('b', [chunks(['All ', 'of ', 'it.'])], { capabilities: { streaming: false } })
    for (const client of [whole(), failover([whole()])(clientOf('a', [fails('network')]))]) {
      const events = await run(agentOf(client).agent)
      expect(events.filter((event) => isEvent(event, 'token')).map(({ text }) => text)).toEqual([
        'All of it.',
      ])
    }
  })

  test('does not see the calls of one that can do more as anything else than text', async () => {
    const a = clientOf('a', [calls(['pay', { amount: 1 }, 'p']), fails('network')])
    const b = clientOf('b', [json({ final_answer: 'Paid.' })], noTools)
    expect(await agentOf(failover([b])(a)).agent.run('Go.')).toBe('Paid.')
    const messages = b.requests[0]?.messages ?? []
    expect(messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user'])
    expect(textOf(messages[2]?.content ?? '')).toContain('paid 1')
  })
})
