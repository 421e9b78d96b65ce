import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  Agent,
  assistant,
  estimateTokens,
  type MemoryContext,
  type Message,
  SimpleAgentMemory,
  system,
  TurnPruningMemory,
  toolMessage,
  user,
} from '../../src/index.ts'
import { TokenCounts } from '../../src/memory/tokens.ts'
import { view } from '../../src/memory/view.ts'
import { ScriptedClient } from '../../src/testing/index.ts'
import { agentHistory } from '../memory/histories.ts'

const context: MemoryContext = {
  countTokens: estimateTokens,
  conversationId: 'c',
  signal: new AbortController().signal,
}

const viewOf = (history: readonly Message[], counts = new TokenCounts(), contextWindow = 1_000) =>
  view({ ...context, history, counts, memory: null, overheadTokens: 0, contextWindow })

const counted = (history: readonly Message[]) => new TokenCounts().messages(history)

const call = { id: 'a', toolName: 'abcd', parameters: {} }

describe('seed 004, conversation', () => {
  // A conversation is the transcript; what is left of a budget is the business of each request's view.
  it('004-1 says how many tokens there are and how many there may be, never fewer than none', async () => {
    const history = [user('x'.repeat(400))]
    expect(await viewOf(history)).toMatchObject({ tokens: 100, budgetTokens: 900 - 250 })
    const crowded = await view({
      ...context,
      history,
      counts: new TokenCounts(),
      memory: null,
      overheadTokens: 5_000,
      contextWindow: 1_000,
    })
    expect(crowded).toMatchObject({ budgetTokens: 0, diagnostics: [{ code: 'context_overflow' }] })
  })

  it('004-2 takes messages of all four roles, in order, and counts their sum', () => {
    const agent = new Agent({ client: new ScriptedClient([]) })
    agent.addMessage('user', 'Weather?')
    agent.addMessage(assistant('', [call]))
    agent.addMessage(toolMessage(call, 'Sunny.'))
    agent.addMessage('system', 'Be brief.')
    // In the order a provider accepts: a result stands right after its call.
    expect(agent.history.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'system'])
    expect(counted(agent.history)).toBe(2 + (1 + 1) + 2 + 3)
  })

  it('004-3 estimates a token for every four code points, rounded up', () => {
    const texts = ['', 'test', 'hello world', 'é'.repeat(8), '👍'.repeat(4)]
    expect(texts.map(estimateTokens)).toEqual([0, 1, 3, 2, 1])
  })

  it('004-4 counts the name and the parameters of a call, too', () => {
    expect(counted([assistant('', [call])])).toBe(1 + 1)
    expect(counted([assistant('four', [call])])).toBe(1 + 1 + 1)
  })

  it('004-5 prunes above the threshold, and not at it', async () => {
    const memory = new TurnPruningMemory({ maxTokens: 100, pruneThreshold: 0.8, minRetainTurns: 1 })
    const at = [user('u'.repeat(4)), user('v'.repeat(316))]
    expect(await memory.manageHistory(at, context)).toBe(at)

    const above = [user('u'.repeat(4)), user('v'.repeat(320))]
    expect(await memory.manageHistory(above, context)).toEqual([
      system(
        'Summary of earlier conversation:\n\n- 1 user message\n- 0 assistant responses\n\nFirst message: uuuu\n',
      ),
      above[1],
    ])
  })

  // What is counted is remembered per message, so that there is no count that could go stale.
  it('004-10 counts a view as a fresh count of its messages would', async () => {
    const counts = new TokenCounts()
    await fc.assert(
      fc.asyncProperty(agentHistory, fc.integer({ min: 100, max: 5_000 }), async (history, contextWindow) => {
        const { messages, tokens } = await viewOf(history, counts, contextWindow)
        expect(tokens).toBe(counted(messages))
      }),
    )
  })

  it('004-11 asks the injected counter, and no other, for every count', async () => {
    const seen: string[] = []
    const countTokens = (text: string) => {
      seen.push(text)
      return 1
    }
    const long = 'x'.repeat(4_000)
    const client = new ScriptedClient(() => ({ text: 'ok', usage: 'absent' }))
    const memory = new SimpleAgentMemory({ maxHistoryTokens: 100 })
    const agent = new Agent({ client, countTokens, memory, instructions: 'Be kind.', contextWindow: 1_000 })
    for (let index = 0; index < 40; index++) agent.addMessage(index % 2 ? assistant(long) : user(long))
    const { usage } = await agent.runStream('Now?').result

    // 40,000 tokens by the estimate, 41 by the counter: nothing is pruned.
    expect(client.requests[0]?.messages).toHaveLength(41)
    expect(usage).toEqual({ inputTokens: 42, outputTokens: 1, estimated: true })
    expect([...new Set(seen)]).toEqual(expect.arrayContaining([long, 'Now?', 'Be kind.', 'ok']))
  })

  it('004-12 is emptied by a reset, and keeps its instructions', async () => {
    const client = new ScriptedClient(['One.', 'Two.'])
    const agent = new Agent({ client, instructions: 'Be kind.' })
    await agent.run('First?')
    expect([agent.history.length, counted(agent.history)]).toEqual([2, 3])
    agent.reset({ usage: true })
    expect([agent.history, counted(agent.history)]).toEqual([[], 0])
    expect(agent.usage).toEqual({ inputTokens: 0, outputTokens: 0 })

    await agent.run('Second?')
    expect(client.requests[1]).toMatchObject({ system: 'Be kind.', messages: [user('Second?')] })
  })

  it.each([1.5, -0.5, 0, Number.NaN])(
    '004-13 refuses a threshold of %d rather than bend it',
    (pruneThreshold) => {
      expect(() => new TurnPruningMemory({ pruneThreshold })).toThrow(
        expect.objectContaining({ code: 'configuration', path: 'pruneThreshold' }),
      )
    },
  )

  it('004-13 takes a threshold of 1, and then prunes above the maximum', async () => {
    const memory = new TurnPruningMemory({ maxTokens: 10, pruneThreshold: 1, minRetainTurns: 1 })
    const full = [user('u'.repeat(20)), user('v'.repeat(20))]
    expect(await memory.manageHistory(full, context)).toBe(full)
    const over = [user('u'.repeat(20)), user('v'.repeat(24))]
    expect(await memory.manageHistory(over, context)).toEqual([
      expect.objectContaining({ role: 'system' }),
      over[1],
    ])
  })
})
