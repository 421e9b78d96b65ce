import { describe, expect, it } from 'vitest'
import {
  Agent,
  type AgentEvent,
  type AgentOptions,
  type Compaction,
  type Compactor,
  compactor,
  type LLMRequest,
  MemoryStore,
  type Message,
  textOf,
  tool,
  UsageTracker,
  validateHistory,
} from '../../src/index.ts'
import {
  calls,
  checkEvents,
  fails,
  hangs,
  type Script,
  ScriptedClient,
  virtualClock,
} from '../../src/testing/index.ts'
import { until } from '../support/outcome.ts'

const long = (name: string, tokens = 100) => `${name} ${'x'.repeat(tokens * 4 - name.length - 1)}`

/** An agent in a window of 1,900 tokens, of which 1,210 are for messages, and a model that summarises. */
function compacting(
  script: Script = (request) => long(`answer to ${last(request)}`),
  options: Partial<AgentOptions> = {},
) {
  const summarizer: ScriptedClient = new ScriptedClient(() => `Summary ${summarizer.calls}`, {
    model: 'summarizer',
  })
  const client = new ScriptedClient(script)
  const agent = new Agent({
    client,
    contextWindow: 1_900,
    maxOutputTokens: 500,
    compactor: compactor({ client: summarizer, maxSummaryTokens: 50 }),
    ...options,
  })
  return { agent, client, summarizer }
}

const last = ({ messages }: LLMRequest) =>
  textOf(messages.at(-1)?.content ?? '')
    .split(' ', 2)
    .join(' ')
const roles = (messages: readonly Message[] = []) => messages.map(({ role }) => role)
const textsOf = ({ messages }: LLMRequest) => messages.map(({ content }) => textOf(content))

describe('compaction before a model call', () => {
  it('puts a summary in place of older messages, and keeps the first, the last and everything in the transcript', async () => {
    const { agent, client, summarizer } = compacting()
    for (let turn = 1; turn <= 7; turn++) await agent.run(long(`turn ${turn}`))

    expect(summarizer.calls).toBe(1)
    const [first, summary, ...rest] = client.requests.at(-1)?.messages ?? []
    expect(first?.content).toBe(long('turn 1'))
    expect(summary).toEqual({ role: 'system', content: 'Summary of earlier conversation:\n\nSummary 1' })
    expect(rest.at(-1)?.content).toBe(long('turn 7'))
    expect(agent.history).toHaveLength(14)
    expect(agent.history.some(({ role }) => role === 'system')).toBe(false)
  })

  it('gives the summariser exactly what the summary stands for, and later the summary with what came since', async () => {
    const { agent, client, summarizer } = compacting()
    for (let turn = 1; turn <= 14; turn++) await agent.run(long(`turn ${turn}`))

    expect(summarizer.calls).toBeGreaterThan(1)
    const given = summarizer.requests.map((request) => textsOf(request).join())
    const told = given.map((text) => [...text.matchAll(/User: turn (\d+)/g)].map(([, turn]) => Number(turn)))
    // Each turn once, in order; the first and the newest never.
    expect(told.flat()).toEqual(told.flat().toSorted((a, b) => a - b))
    expect(new Set(told.flat()).size).toBe(told.flat().length)
    expect(told.flat()[0]).toBe(2)
    expect(given[1]).toContain('<summary_so_far>\nSummary 1\n</summary_so_far>')
    const shown = textsOf(client.requests.at(-1) ?? { messages: [] })
    const inView = shown.flatMap((text) => /^turn (\d+)/.exec(text)?.[1] ?? []).map(Number)
    expect([1, ...told.flat(), ...inView.slice(1)]).toEqual(
      Array.from({ length: 14 }, (_, index) => index + 1),
    )
  })

  it('happens between the rounds of one run, keeps its question, and tears no exchange', async () => {
    const read = tool({
      name: 'read',
      description: 'Reads',
      parameters: { type: 'object', properties: { n: { type: 'number' } } },
      effect: 'read',
      execute: ({ n }) => long(`page ${String(n)}`),
    })
    const pages = Array.from({ length: 16 }, (_, n) => calls(['read', { n }], ['read', { n: n + 100 }]))
    const { agent, client, summarizer } = compacting([...pages, 'Done.'], {
      tools: [read],
      maxIterations: 20,
    })
    await agent.run('Hello')
    expect(summarizer.calls).toBeGreaterThan(1)
    for (const { messages } of client.requests) {
      expect(validateHistory(messages)).toEqual([])
      expect(messages.findLast(({ role }) => role === 'user')?.content).toBe('Hello')
    }
    expect(roles(client.requests.at(-1)?.messages).filter((role) => role === 'system')).toHaveLength(1)
  })

  it('is told in one event, and its cost is part of the usage', async () => {
    const { agent, summarizer } = compacting()
    const tracker = new UsageTracker()
    tracker.watch(agent)
    for (let turn = 1; turn <= 6; turn++) await agent.run(long(`turn ${turn}`))
    const stream = agent.runStream(long('turn 7'))
    const events: AgentEvent[] = []
    for await (const event of stream) events.push(event)

    expect(checkEvents(events)).toBeUndefined()
    const [event, ...others] = events.filter(({ type }) => type === 'compaction')
    expect(others).toEqual([])
    expect(event).toMatchObject({
      messagesCompacted: 6,
      summaries: 1,
      usage: { inputTokens: 10, outputTokens: 5 },
      provider: 'scripted',
      model: 'summarizer',
    })
    expect(events.findIndex(({ type }) => type === 'compaction')).toBeLessThan(
      events.findIndex(({ type }) => type === 'stream_start'),
    )
    expect(events.find(({ type }) => type === 'usage')).toMatchObject({
      context: { segments: { summary: 11 }, prefixStable: false, firstDifference: 'messages[1]' },
    })
    const result = await stream.result
    expect(result.usage).toEqual({ inputTokens: 20, outputTokens: 10 })
    expect(agent.usage).toEqual({ inputTokens: 80, outputTokens: 40 })
    expect(tracker.report()).toMatchObject({ calls: 8, total: agent.usage })
    expect(summarizer.calls).toBe(1)
  })

  it('lets another process go on from the summary', async () => {
    const store = new MemoryStore()
    const { agent } = compacting(undefined, { store, conversationId: 'c' })
    for (let turn = 1; turn <= 7; turn++) await agent.run(long(`turn ${turn}`))
    const { agent: other, client, summarizer } = compacting(undefined, { store, conversationId: 'c' })
    await other.run('And now?')

    expect(summarizer.calls).toBe(0)
    expect(client.requests[0]?.messages[1]?.content).toBe('Summary of earlier conversation:\n\nSummary 1')
    expect(other.history).toEqual([...agent.history, ...other.history.slice(-2)])
  })

  it('folds chunk by chunk what its model cannot take at once, and each part is written down by itself', async () => {
    const summarizer: ScriptedClient = new ScriptedClient(() => `Summary ${summarizer.calls}`)
    const parts = compactor({ client: summarizer, maxSummaryTokens: 50, chunkTokens: 250 })
    const { agent, client } = compacting(undefined, { compactor: parts })
    for (let turn = 1; turn <= 7; turn++) await agent.run(long(`turn ${turn}`))

    expect(summarizer.calls).toBe(3)
    const entries = await agent.conversation(agent.conversationId).entries()
    const compactions = entries.filter(({ type }) => type === 'compaction')
    expect(compactions.map((entry) => entry.type === 'compaction' && [entry.from, entry.to])).toEqual([
      [1, 3],
      [1, 5],
      [1, 7],
    ])
    expect(client.requests.at(-1)?.messages[1]?.content).toContain('Summary 3')
  })
})

describe('a compaction that does not work', () => {
  const failing: [string, Script][] = [
    ['throws', () => fails('overloaded')],
    ['says nothing', () => ''],
    ['says more than it was given', () => long('Summary', 3_000)],
    ['is cut off', () => ({ text: 'Half of', stopReason: 'length' })],
    ['refuses', () => ({ text: 'I cannot.', stopReason: 'refusal' })],
  ]
  it.each(failing)(
    'of a model that %s costs a diagnostic, and the memory keeps the request within the window',
    async (_, script) => {
      const summarizer: ScriptedClient = new ScriptedClient(script)
      const { agent, client } = compacting(undefined, {
        compactor: compactor({ client: summarizer, maxSummaryTokens: 50 }),
      })
      const told: string[] = []
      agent.on('diagnostic', ({ code }) => told.push(code))
      agent.on('compaction', () => told.push('compaction'))
      for (let turn = 1; turn <= 8; turn++) await agent.run(long(`turn ${turn}`))

      expect(told).toEqual([
        'compaction_failed',
        'context_exhausted',
        'compaction_failed',
        'context_exhausted',
      ])
      expect(summarizer.calls).toBeLessThanOrEqual(4)
      const [longest = 0] = client.requests
        .map((request) => textsOf(request).join('').length / 4)
        .toSorted((a, b) => b - a)
      expect(longest).toBeLessThanOrEqual(1_210)
      expect(agent.history).toHaveLength(16)
    },
  )

  it('leaves its model alone after three failures in a row, until a while has passed', async () => {
    const clock = virtualClock()
    const summarizer: ScriptedClient = new ScriptedClient(() =>
      summarizer.calls <= 3 ? fails('overloaded') : 'Summary',
    )
    const { agent } = compacting(undefined, {
      compactor: compactor({ client: summarizer, maxSummaryTokens: 50, runtime: clock.runtime }),
    })
    for (let turn = 1; turn <= 12; turn++) await agent.run(long(`turn ${turn}`))
    expect(summarizer.calls).toBe(3)
    await clock.advance(60_000)
    await agent.run('Go on.')
    expect(summarizer.calls).toBeGreaterThan(3)
    expect(agent.history.at(-1)?.content).toBe(long('answer to Go on.'))
  })

  it('gives up a summary that takes too long, and asks for one of fewer messages', async () => {
    const clock = virtualClock()
    const summarizer: ScriptedClient = new ScriptedClient((request) =>
      textsOf(request).join().length > 2_500 ? hangs() : `Summary ${summarizer.calls}`,
    )
    const { agent } = compacting(undefined, {
      compactor: compactor({
        client: summarizer,
        maxSummaryTokens: 50,
        chunkTokens: 1_000,
        timeoutMs: 5_000,
        runtime: clock.runtime,
      }),
      runtime: clock.runtime,
    })
    for (let turn = 1; turn <= 7; turn++) await agent.run(long(`turn ${turn}`))
    expect(clock.runtime.now()).toBe(5_000)
    expect(summarizer.calls).toBe(3)
  })

  it('stops with its run', async () => {
    const summarizer: ScriptedClient = new ScriptedClient(() => hangs())
    const { agent, client } = compacting(undefined, {
      compactor: compactor({ client: summarizer, maxSummaryTokens: 50 }),
    })
    for (let turn = 1; turn <= 6; turn++) await agent.run(long(`turn ${turn}`))
    const stream = agent.runStream(long('turn 7'))
    const { result } = stream
    await until(() => summarizer.calls === 1)
    stream.abort('enough')
    expect((await result).status).toBe('aborted')
    expect(client.calls).toBe(6)
    expect(summarizer.callOptions[0]?.signal?.aborted).toBe(true)
  })

  const nonsense: [string, unknown][] = [
    ['tears an exchange', { from: 1, to: 3, summary: 'S' }],
    ['goes beyond the end', { from: 1, to: 1e9, summary: 'S' }],
    ['has no summary', { from: 1, to: 4, summary: ' ' }],
    ['keeps what it does not stand for', { from: 1, to: 4, kept: [9], summary: 'S' }],
    ['does not shrink anything', { from: 1, to: 4, summary: 'S'.repeat(40_000) }],
    ['is nothing', undefined],
  ]
  it.each(nonsense)('of a compactor of your own that %s changes nothing', async (_, compaction) => {
    const own: Compactor = {
      async *compact() {
        yield compaction as Compaction
      },
    }
    const read = tool({
      name: 'read',
      description: 'Reads',
      parameters: { type: 'object' },
      execute: () => long('page', 2_000),
    })
    const { agent } = compacting([calls(['read', {}], ['read', {}]), 'Done.', 'Fine.'], {
      tools: [read],
      compactor: own,
    })
    const told: string[] = []
    agent.on('diagnostic', ({ code }) => told.push(code))
    await agent.run('Read.')
    expect(await agent.run('And?')).toBe('Fine.')
    expect(told).toContain('compaction_failed')
    const entries = await agent.conversation(agent.conversationId).entries()
    expect(entries.filter(({ type }) => type === 'compaction')).toEqual([])
  })
})

it('tells the usage of the summaries that were written down, and of no other', async () => {
  const parts: Compaction[] = [
    { from: 1, to: 3, summary: 'One', usage: { inputTokens: 7, outputTokens: 1 } },
    { from: 1, to: 5, summary: 'Two' },
    { from: 1, to: 7, summary: 'x'.repeat(40_000), usage: { inputTokens: 900, outputTokens: 1 } },
  ]
  const own: Compactor = {
    async *compact() {
      yield* parts
    },
  }
  const { agent } = compacting(undefined, { compactor: own })
  const told: unknown[] = []
  agent.on('compaction', ({ summaries, usage }) => told.push({ summaries, usage }))
  for (let turn = 1; turn <= 6; turn++) await agent.run(long(`turn ${turn}`))
  const { usage } = await agent.runStream(long('turn 7')).result

  expect(told).toEqual([{ summaries: 2, usage: { inputTokens: 7, outputTokens: 1 } }])
  expect(usage).toEqual({ inputTokens: 17, outputTokens: 6 })
})

describe('conversation.compact()', () => {
  it('compacts all that does not have to stay, and says what it came to', async () => {
    const { agent, client } = compacting(undefined, { contextWindow: 100_000 })
    for (let turn = 1; turn <= 6; turn++) await agent.run(long(`turn ${turn}`))
    const conversation = agent.conversation(agent.conversationId)
    const report = await conversation.compact()

    expect(report).toEqual({ messagesCompacted: 7, summaries: 1, tokensBefore: 1_200, tokensAfter: 511 })
    expect(agent.usage.inputTokens).toBe(70)
    expect(conversation.usage.inputTokens).toBe(70)
    expect(await conversation.compact()).toMatchObject({ messagesCompacted: 0, summaries: 0 })
    await agent.run('And now?')
    expect(roles(client.requests.at(-1)?.messages).join(' ')).toBe(
      'user system user assistant user assistant user',
    )
  })

  it('needs a compactor, and throws what it fails with', async () => {
    const { agent } = compacting(undefined, {
      compactor: compactor({ client: new ScriptedClient(() => fails('auth')), maxSummaryTokens: 50 }),
    })
    for (let turn = 1; turn <= 6; turn++) await agent.run(long(`turn ${turn}`))
    await expect(agent.conversation(agent.conversationId).compact()).rejects.toMatchObject({
      code: 'llm',
      kind: 'auth',
    })
    const without = new Agent({ client: new ScriptedClient([]) })
    await expect(without.conversation('c').compact()).rejects.toMatchObject({
      code: 'configuration',
      path: 'compactor',
    })
  })

  it('has its turn after a run that was asked for before it', async () => {
    const { agent } = compacting(undefined, { contextWindow: 100_000, concurrency: 'reject' })
    const conversation = agent.conversation(agent.conversationId)
    const run = agent.run('first')
    await expect(conversation.compact()).rejects.toMatchObject({ code: 'concurrent_run' })
    expect(await run).toBe(long('answer to first'))
    for await (const event of agent.runStream('second')) {
      if (event.type === 'run_end') await conversation.compact()
    }
  })

  it('waits for its turn, and can be stopped', async () => {
    const summarizer: ScriptedClient = new ScriptedClient(() => hangs())
    const { agent } = compacting(undefined, {
      contextWindow: 100_000,
      compactor: compactor({ client: summarizer, maxSummaryTokens: 50 }),
    })
    for (let turn = 1; turn <= 6; turn++) await agent.run(long(`turn ${turn}`))
    const stop = new AbortController()
    const compacted = agent.conversation(agent.conversationId).compact({ signal: stop.signal })
    const next = agent.run('next')
    const reason = new Error('enough')
    stop.abort(reason)
    await expect(compacted).rejects.toBe(reason)
    expect(await next).toBe(long('answer to next'))
  })
})
