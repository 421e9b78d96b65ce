import { describe, expect, it } from 'vitest'
import {
  Agent,
  type AgentOptions,
  type Compactor,
  type ConversationStore,
  compactor,
  compactTool,
  type Entry,
  estimateTokens,
  MemoryStore,
  StoreError,
  ToolRegistry,
  textOf,
  tool,
} from '../../src/index.ts'
import { calls, type Script, ScriptedClient } from '../../src/testing/index.ts'
import { filesUnder, read } from '../support/repository.ts'

const long = (name: string, tokens = 100) => `${name} ${'x'.repeat(tokens * 4 - name.length - 1)}`

function summarizing(options: { keepLast?: number } = {}) {
  const client: ScriptedClient = new ScriptedClient(() => `Summary ${client.calls}`, { model: 'small' })
  return { client, compactor: compactor({ client, maxSummaryTokens: 50, ...options }) }
}

function talking(options: Partial<AgentOptions> = {}, script: Script = () => long('Noted.')) {
  const client = new ScriptedClient(script)
  const told: string[] = []
  const agent = new Agent({ client, contextWindow: 1_900, maxOutputTokens: 500, ...options })
  agent.on('compaction', () => told.push(`compaction before request ${client.calls + 1}`))
  return { agent, client, told }
}

const agentSources = () => filesUnder('src/agent').map((path) => ({ path, text: read(path) }))

const shown = (client: ScriptedClient) =>
  client.requests.at(-1)?.messages.map(({ content }) => textOf(content)) ?? []

describe('seed 003, compaction', () => {
  it('003-7 estimates tokens as a quarter of the code points, rounded up', () => {
    expect(['', 'a', 'abcd', 'abcde', '👍👍👍👍'].map(estimateTokens)).toEqual([0, 1, 1, 2, 1])
  })

  it('003-8 compacts one token above the budget and not at it, and counts the calls of tools and all overhead', async () => {
    const compactions = async (tokens: number, options: Partial<AgentOptions> = {}) => {
      const { compactor } = summarizing()
      const { agent, told } = talking({
        contextWindow: 2_000,
        maxOutputTokens: 10,
        planning: 'off',
        compactor,
        ...options,
      })
      for (let turn = 1; turn <= 5; turn++) agent.addMessage('user', long('said', 200))
      await agent.run('y'.repeat((tokens - 1_000) * 4))
      return told.length
    }
    // 0.8 of the window.
    expect(await compactions(1_600)).toBe(0)
    expect(await compactions(1_601)).toBe(1)
    expect(await compactions(1_501, { contextBudget: 0.75 })).toBe(1)
    expect(await compactions(1_300, { instructions: long('Be brief.', 300) })).toBe(0)
    expect(await compactions(1_301, { instructions: long('Be brief.', 300) })).toBe(1)
    expect(await compactions(1_010, { instructions: long('Be brief.', 3_000) })).toBe(1)
  })

  it('003-17 lets the model ask for it, and tells it what it came to', async () => {
    const { client: summarizer, compactor } = summarizing()
    const script: Script = ({ messages }) =>
      textOf(messages.at(-1)?.content ?? '') === 'Make room.'
        ? calls(['compact_context', {}])
        : long('Noted.')
    const { agent, client } = talking({ contextWindow: 100_000, tools: [compactTool(compactor)] }, script)
    for (let turn = 1; turn <= 6; turn++) await agent.run(long(`turn ${turn}`))
    const stream = agent.runStream('Make room.')
    const { steps } = await stream.result

    expect(summarizer.calls).toBe(1)
    expect(JSON.parse(steps[0]?.results[0]?.output ?? '')).toEqual({
      messagesCompacted: 8,
      summaries: 1,
      tokensBefore: 1_203,
      tokensAfter: 414,
    })
    expect(shown(client)[1]).toBe('Summary of earlier conversation:\n\nSummary 1')
    expect(shown(client).at(-2)).toBe('')
    expect(agent.history.some(({ role }) => role === 'system')).toBe(false)
  })

  it('003-18 runs it through the registry like any other tool: the loop knows no tool by its name', async () => {
    const { compactor } = summarizing()
    const ping = tool({
      name: 'ping',
      description: 'Pings',
      parameters: { type: 'object' },
      execute: () => 'pong',
    })
    const { agent } = talking({ tools: [compactTool(compactor), ping] }, [
      calls(['ping', {}], ['compact_context', {}]),
      'Done.',
    ])
    const resolved: string[] = []
    const { resolve } = ToolRegistry.prototype
    agent.tools.resolve = (name) => {
      resolved.push(name)
      return resolve.call(agent.tools, name)
    }
    await agent.run('Go')
    expect(resolved).toEqual(['ping', 'compact_context'])
    const loop = agentSources().filter(
      ({ path }) => !path.endsWith('-tool.ts') && !path.endsWith('-tools.ts'),
    )
    expect(loop.filter(({ text }) => /['"`](compact_context|recall|execute_code)['"`]/.test(text))).toEqual(
      [],
    )
  })

  it('003-19 compacts once before the call that would cross the budget, also between the rounds of one run', async () => {
    const { compactor } = summarizing()
    const { agent, told, client } = talking({ compactor })
    for (let turn = 1; turn <= 7; turn++) await agent.run(long(`turn ${turn}`))
    expect(told).toEqual(['compaction before request 7'])
    expect(client.calls).toBe(7)

    const page = tool({
      name: 'page',
      description: 'A page',
      parameters: { type: 'object' },
      execute: () => long('page', 150),
    })
    const rounds = Array.from({ length: 9 }, (_, n) => calls(['page', { n }]))
    const reading = talking({ compactor: summarizing().compactor, tools: [page] }, [...rounds, 'Done.'])
    await reading.agent.run('Read.')
    expect(reading.told).toHaveLength(1)
  })

  it('003-20 goes without a compactor, and the request stays within the window', async () => {
    const { agent, told, client } = talking()
    for (let turn = 1; turn <= 20; turn++) await agent.run(long(`turn ${turn}`))
    expect(told).toEqual([])
    for (const request of client.requests) {
      const text = request.messages.map(({ content }) => textOf(content)).join('')
      expect(estimateTokens(text)).toBeLessThanOrEqual(1_900 * 0.9 - 500)
    }
  })

  it('003-21 offers no such tool without a compactor; called all the same it is an error to the model', async () => {
    const { agent, client } = talking({}, [calls(['compact_context', {}]), 'Sorry.'])
    const { steps } = await agent.runStream('Make room.').result
    expect(client.requests[0]?.tools?.map(({ name }) => name) ?? []).not.toContain('compact_context')
    expect(steps[0]?.results[0]).toMatchObject({ ok: false, error: { code: 'tool_not_found' } })

    // There is no conversation in a call that is dispatched by hand.
    const registry = new ToolRegistry()
    registry.register(compactTool(summarizing().compactor))
    const result = await registry.dispatch({ id: 'a', toolName: 'compact_context', parameters: {} })
    expect(result.ok).toBe(false)
    expect(result.output).toContain('Compaction not configured')
  })

  it('003-29 asks for summaries through a client of its own', async () => {
    const { client: summarizer, compactor } = summarizing()
    const { agent, client } = talking({ compactor })
    for (let turn = 1; turn <= 7; turn++) await agent.run(long(`turn ${turn}`))
    expect(summarizer.calls).toBe(1)
    expect(textOf(summarizer.requests[0]?.messages[0]?.content ?? '')).toContain('Write the summary')
    expect(
      client.requests.every(
        ({ messages }) => !messages.some(({ content }) => textOf(content).includes('Write the summary')),
      ),
    ).toBe(true)
  })

  it('003-31 leaves summarising to a compactor: the agent knows only what one is', () => {
    for (const { path, text } of agentSources()) {
      expect(text, path).not.toMatch(/memory\/(compaction|summarizer)/)
    }
    const own: Compactor = { async *compact() {} }
    expect(own).toBeDefined()
  })

  it('003-35 takes nothing out of a request before the summary is written down, and nothing out of the archive ever', async () => {
    const store = new MemoryStore()
    const written: string[] = []
    let fails = false
    const watched: ConversationStore = {
      init: () => store.init(),
      append: async (id, version, entries: readonly Entry[]) => {
        if (fails && entries.some(({ type }) => type === 'compaction'))
          throw new StoreError('The disk is full.')
        written.push(...entries.map(({ type }) => type))
        return store.append(id, version, entries)
      },
      read: (...all) => store.read(...all),
      list: (query) => store.list(query),
      delete: (id) => store.delete(id),
      close: () => store.close(),
    }
    const { client: summarizer, compactor } = summarizing()
    const { agent, client } = talking({ compactor, store: watched, conversationId: 'c' })
    for (let turn = 1; turn <= 6; turn++) await agent.run(long(`turn ${turn}`))
    const before = agent.history
    fails = true
    await expect(agent.run(long('turn 7'))).rejects.toThrow('disk is full')
    expect(client.calls).toBe(6)
    fails = false
    await agent.resume('c')

    expect(written.indexOf('compaction')).toBeLessThan(written.lastIndexOf('reply'))
    expect(shown(client)[1]).toContain('Summary')
    expect(summarizer.calls).toBeLessThanOrEqual(2)
    expect(agent.history.slice(0, 12)).toEqual(before)
  })
})
