import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  type AgentEvent,
  type AgentOptions,
  approve,
  type Budget,
  type BudgetOptions,
  budget,
  createRuntime,
  type Decisions,
  MemoryStore,
  pricing,
  type RunResult,
  resultOf,
  textOf,
  tool,
  type Usage,
  wrapClient,
} from '../../src/index.ts'
import {
  calls,
  checkEvents,
  fails,
  hangs,
  type Script,
  ScriptedClient,
  says,
  virtualClock,
} from '../../src/testing/index.ts'
import { thrownBy } from '../support/outcome.ts'

const usage: Usage = { inputTokens: 40, outputTokens: 10 }
const prices = { 'scripted-1': { inputPerM: 2, outputPerM: 8 } }
const params = { maxOutputTokens: 10 }
/** Of a prompt, so that only its answer is reserved. */
const countTokens = () => 0

let looked = 0
const look = tool({
  name: 'look',
  description: 'Looks',
  parameters: z.object({ at: z.string() }),
  effect: 'read',
  execute: ({ at }) => `${at}: ${++looked}`,
})
const lookAt = (...all: string[]) => ({ ...calls(...all.map((at) => ['look', { at }] as const)), usage })

/** Limits are those of each run. */
function agentWith(script: Script, limits: BudgetOptions | Budget, rest: Partial<AgentOptions> = {}) {
  const clock = virtualClock()
  const runtime = rest.runtime ?? clock.runtime
  const spending =
    typeof limits === 'function' ? limits : budget({ per: 'run', ...limits, runtime: createRuntime(runtime) })
  const client = new ScriptedClient(script, { runtime: clock.runtime })
  const options = { client, budget: spending, tools: [look], params, runtime, ...rest }
  return { agent: new Agent(options as AgentOptions), client, clock }
}

const approved = ({ pending = [] }: RunResult): Decisions =>
  Object.fromEntries(pending.map(({ callId }) => [callId, approve()]))

async function eventsOf(agent: Agent, input = 'Go') {
  const events: AgentEvent[] = []
  const stream = agent.runStream(input)
  for await (const event of stream) events.push(event)
  expect(checkEvents(events)).toBeUndefined()
  return { events, result: await stream.result }
}

describe('an agent with a budget', () => {
  test('ends at the limit before a request that does not fit, and keeps what was done', async () => {
    const { agent, client } = agentWith([lookAt('a'), says('no', { usage })], {
      tokens: 55,
      softAt: 1,
      countTokens,
    })
    const { events, result } = await eventsOf(agent)
    expect(result).toMatchObject({
      status: 'limit',
      limit: 'budget',
      usage,
      error: { code: 'budget_exceeded' },
    })
    expect(result.steps).toHaveLength(1)
    expect(events.at(-1)).toMatchObject({ type: 'run_end', status: 'limit', limit: 'budget' })
    expect(client.calls).toBe(1)
    // Limits are those of a run: the next one has all of them.
    expect(await agent.run('Again')).toBe('no')
  })

  test('throws the refusal from run(), with its result, or gives what was said last', async () => {
    const limits = { calls: 1 }
    const error = await thrownBy(agentWith([lookAt('a')], limits).agent.run('Go'))
    expect(error).toMatchObject({ code: 'budget_exceeded', limit: 'calls', most: 1, remaining: 0, asked: 1 })
    expect(resultOf(error)?.steps).toHaveLength(1)
    const said = { ...lookAt('a'), text: 'I look.' }
    expect(await agentWith([said], limits, { onLimit: 'stop' }).agent.run('Go')).toBe('I look.')
  })

  test('lands when a limit is nearly reached', async () => {
    const { agent, client } = agentWith(
      [lookAt('a'), says('So far: a.', { usage })],
      { tokens: 120, softAt: 0.4, countTokens },
      {
        onLimit: 'land',
      },
    )
    const { result, events } = await eventsOf(agent)
    expect(result).toMatchObject({ status: 'done', landed: true, limit: 'budget', answer: 'So far: a.' })
    expect(events).toContainEqual(expect.objectContaining({ type: 'diagnostic', code: 'landing' }))
    expect(client.requests[1]?.toolChoice).toBe('none')
  })

  test('is over when it lands and gets no answer', async () => {
    const { agent } = agentWith([lookAt('a'), lookAt('b')], { calls: 2, softAt: 0.5 }, { onLimit: 'land' })
    const { result } = await eventsOf(agent)
    expect(result).toMatchObject({
      status: 'limit',
      limit: 'budget',
      error: { code: 'budget_exceeded', limit: 'calls' },
    })
  })

  test('goes beyond the soft limit where nobody asked it to land', async () => {
    const { agent } = agentWith([lookAt('a'), lookAt('b'), 'Done.'], { calls: 3 })
    expect(await agent.run('Go')).toBe('Done.')
  })

  test('executes no tool call beyond their number', async () => {
    looked = 0
    const { agent } = agentWith(
      [lookAt('a'), lookAt('b', 'c', 'd'), 'no'],
      { toolCalls: 2 },
      { toolConcurrency: 1 },
    )
    const { result } = await eventsOf(agent)
    expect(result).toMatchObject({ status: 'limit', limit: 'budget', error: { limit: 'toolCalls', most: 2 } })
    expect(looked).toBe(2)
    expect(result.steps[1]?.results.map(({ ok }) => ok)).toEqual([true, false, false])
  })

  test('tells the model of a tool call that there is no budget for when it lands', async () => {
    looked = 0
    const { agent, client } = agentWith(
      [lookAt('a', 'b', 'c'), says('a and b.', { usage })],
      { toolCalls: 2 },
      {
        onLimit: 'land',
      },
    )
    const { result } = await eventsOf(agent)
    expect(result).toMatchObject({ status: 'done', landed: true, limit: 'budget', answer: 'a and b.' })
    expect(looked).toBe(2)
    expect(textOf(client.requests[1]?.messages.at(-2)?.content ?? '')).toMatch(
      'Of the budget of 2 (toolCalls), 0 is left',
    )
  })

  test('is stopped in the middle of a call when its time is up, to the millisecond', async () => {
    const { agent, clock } = agentWith([hangs(['I think'])], { wallMs: 1234 })
    const { result } = await eventsOf(agent)
    expect(result).toMatchObject({
      status: 'limit',
      limit: 'budget',
      partial: 'I think',
      error: { limit: 'wallMs' },
    })
    expect([clock.runtime.now(), clock.pending]).toEqual([1234, 0])
  })

  test('stops its tools when its time is up', async () => {
    const clock = virtualClock()
    const wait = tool({
      name: 'wait',
      description: 'Waits',
      parameters: z.object({}),
      execute: async (_, { signal }) => {
        await clock.runtime.sleep(60_000, signal)
        return 'late'
      },
    })
    const { agent } = agentWith([calls(['wait'])], { wallMs: 500 }, { tools: [wait], runtime: clock.runtime })
    const { result } = await eventsOf(agent)
    expect(result).toMatchObject({ status: 'limit', limit: 'budget', timing: { totalMs: 500 } })
    expect(clock.pending).toBe(0)
  })

  test('counts every attempt of a call', async () => {
    const { agent, client } = agentWith([fails('timeout'), fails('timeout'), 'no'], { calls: 2 })
    const { result } = await eventsOf(agent)
    expect([result.limit, client.calls]).toEqual(['budget', 2])
  })

  test('shares a budget() with other agents and their tools', async () => {
    const shared = budget({ tokens: 200, softAt: 1, countTokens })
    const child = agentWith(() => says('I am the child.', { usage }), shared).agent
    const ask = tool({
      name: 'ask',
      description: 'Asks the child',
      parameters: z.object({ n: z.number() }),
      execute: ({ n }, { signal }) => child.run(`Question ${n}`, { signal, history: [] }),
    })
    const asks = (n: number) => ({ ...calls(['ask', { n }]), usage })
    const { agent, client } = agentWith([asks(1), asks(2), 'no'], shared, { tools: [ask] })
    const { result } = await eventsOf(agent)
    expect(result).toMatchObject({ status: 'limit', limit: 'budget' })
    expect(shared.spent()).toEqual({ tokens: 200 })
    expect(client.calls).toBe(2)
  })

  test('tells the model when a sub-agent has nothing left', async () => {
    const spent = budget({ calls: 0 })
    const child = agentWith(['no'], spent).agent
    const ask = tool({
      name: 'ask',
      description: 'Asks the child',
      parameters: z.object({}),
      execute: () => child.run('Question'),
    })
    const { agent, client } = agentWith(
      [calls(['ask']), 'The child could not.'],
      { calls: 5 },
      { tools: [ask] },
    )
    expect(await agent.run('Go')).toBe('The child could not.')
    expect(textOf(client.requests[1]?.messages.at(-1)?.content ?? '')).toMatch('Of the budget of 0 (calls)')
  })

  test('keeps accounts by principal', async () => {
    const perCustomer = budget({ per: 'principal', calls: 1 })
    const { agent } = agentWith(() => 'Hi.', perCustomer)
    await agent.run('Hi', { principal: 'acme' })
    await agent.run('Hi', { principal: 'globex' })
    expect(await thrownBy(agent.run('Hi', { principal: 'acme' }))).toMatchObject({ code: 'budget_exceeded' })
    expect(perCustomer.remaining({ principal: 'initech' })).toEqual({ calls: 1 })
  })

  test('goes on with the account of a run that is resumed', async () => {
    const shared = budget({ per: 'run', calls: 2 })
    const options = { store: new MemoryStore(), conversationId: 'c', policy: { confirm: ['look'] } }
    const first = agentWith([lookAt('a')], shared, options)
    const { result } = await eventsOf(first.agent)
    const second = agentWith([lookAt('b'), 'no'], shared, options)
    const rest = await second.agent.resumeStream('c', { decisions: approved(result) }).result
    expect(rest.status).toBe('suspended')
    const third = agentWith(['no'], shared, options)
    const end = await third.agent.resumeStream('c', { decisions: approved(rest) }).result
    expect(end).toMatchObject({ status: 'limit', limit: 'budget', error: { limit: 'calls', remaining: 0 } })
    expect(third.client.calls).toBe(0)
  })

  test.each([5, () => {}, { usd: 1 }])('refuses what is no budget: %s', (given) => {
    expect(() => new Agent({ client: new ScriptedClient([]), budget: given as unknown as Budget })).toThrow(
      "Agent option budget must be a budget(), such as budget({ usd: 1, per: 'run' }), got",
    )
  })
})

describe('the cost of a run', () => {
  test('is in its result, its events, its conversation and its agent', async () => {
    const inner = new ScriptedClient([lookAt('a'), says('Done.', { usage })])
    const agent = new Agent({ client: wrapClient(inner, pricing({ prices })), tools: [look] })
    const { events, result } = await eventsOf(agent)
    const one = { ...usage, costUsd: 0.00016 }
    const both = { inputTokens: 80, outputTokens: 20, costUsd: 0.00032 }
    expect(events.flatMap((event) => (event.type === 'usage' ? event.usage : []))).toEqual([one, one])
    expect(events.at(-1)).toMatchObject({ type: 'run_end', usage: both })
    expect([result.usage, result.cost]).toEqual([both, { usd: 0.00032 }])
    expect([agent.usage, agent.conversation(agent.conversationId).usage]).toEqual([both, both])
  })

  test('is that of its budget', async () => {
    const { agent } = agentWith([says('Done.', { usage })], { usd: 1, prices })
    expect((await eventsOf(agent)).result.cost).toEqual({ usd: 0.00016 })
  })

  test('is left out when that of one call is not known', async () => {
    const inner = new ScriptedClient([lookAt('a'), says('Done.', { usage: 'absent' })])
    const agent = new Agent({ client: wrapClient(inner, pricing({ prices })), tools: [look] })
    const { result } = await eventsOf(agent)
    expect('cost' in result || 'costUsd' in result.usage).toBe(false)
  })
})

test('1,000 runs at once on one budget spend no more than there is, and end at their limits', async () => {
  const clock = virtualClock()
  const shared = budget({ usd: 0.05, prices, softAt: 1, runtime: clock.runtime })
  const whole = { inputTokens: 1, outputTokens: 10 }
  const script = () => says('Hi.', { usage: whole, delayMs: Math.ceil(clock.runtime.random() * 50) })
  const client = new ScriptedClient(script, { runtime: clock.runtime })
  const agent = new Agent({ client, budget: shared, params, runtime: clock.runtime })
  const results = await Promise.all(
    Array.from({ length: 1000 }, (_, index) => agent.runStream('Hi', { conversation: `c${index}` }).result),
  )
  const answered = results.filter(({ status }) => status === 'done').length
  const refused = results.filter(({ limit }) => limit === 'budget').length
  // Each costs 82 millionths of a dollar, which is what was reserved for it.
  expect([answered, refused, client.calls]).toEqual([609, 391, 609])
  expect(shared.spent()).toEqual({ usd: 0.049938 })
  expect(agent.usage.costUsd).toBe(0.049938)
})
