import { describe, expect, it } from 'vitest'
import {
  Agent,
  archivePruned,
  assistant,
  composeMemory,
  dropOldToolOutput,
  estimateTokens,
  type MemoryContext,
  type Message,
  SimpleAgentMemory,
  TurnPruningMemory,
  toolMessage,
  user,
} from '../../src/index.ts'
import { ScriptedClient } from '../../src/testing/index.ts'

const context: MemoryContext = {
  countTokens: estimateTokens,
  conversationId: 'c',
  signal: new AbortController().signal,
}

const ten = Array.from({ length: 10 }, (_, index) =>
  index % 2 === 0 ? user(`u${index}`.padEnd(40, 'é')) : assistant(`a${index}`.padEnd(40, '👍')),
)

describe('seed 000, strategies of memory', () => {
  it('000-12 hands what it prunes to an archive, byte-equal, before it leaves the view', async () => {
    const order: string[] = []
    const archived: Message[] = []
    const memory = archivePruned(
      new TurnPruningMemory({ maxTokens: 75, minRetainTurns: 2, pruneThreshold: 1, summarize: () => '' }),
      async (pruned) => {
        order.push('asked')
        await Promise.resolve()
        archived.push(...pruned)
        order.push('archived')
      },
    )
    const managing = memory.manageHistory(ten, context)
    const kept = await managing
    order.push('gone')
    expect(kept).toEqual(ten.slice(6))
    expect(JSON.stringify(archived)).toBe(JSON.stringify(ten.slice(0, 6)))
    expect(order).toEqual(['asked', 'archived', 'gone'])
  })

  it('000-12 hands each message over once, while a conversation goes on', async () => {
    const archived: Message[] = []
    const client = new ScriptedClient(() => 'Noted.')
    const memory = archivePruned(new SimpleAgentMemory({ maxHistoryTokens: 40 }), (pruned) => {
      archived.push(...pruned)
    })
    const agent = new Agent({ client, memory })
    for (let day = 1; day <= 30; day++) await agent.run(`Diary of day ${day}: nothing happened.`)

    const sent = client.requests.at(-1)?.messages ?? []
    expect([...archived, ...sent, assistant('Noted.')]).toEqual(agent.history)
  })

  it('000-12 keeps in the view what could not be archived, and tries again', async () => {
    const archived: Message[] = []
    let fails = true
    const memory = archivePruned(
      new SimpleAgentMemory({ maxHistoryTokens: 10, minMessages: 1 }),
      (pruned) => {
        if (fails) throw new Error('The disk is full.')
        archived.push(...pruned)
      },
    )
    const client = new ScriptedClient(() => 'Noted.')
    const agent = new Agent({ client, memory })
    const codes: string[] = []
    agent.on('diagnostic', ({ code, message }) => codes.push(`${code}: ${message}`))
    await agent.run('The first of all questions')
    await agent.run('The second of all questions')
    expect(codes).toEqual([
      'memory_failed: The memory failed, so the history is sent without it: The disk is full.',
    ])
    expect(client.requests.at(-1)?.messages).toHaveLength(3)

    fails = false
    await agent.run('The third of all questions')
    expect(archived).toEqual(agent.history.slice(0, 4))
    expect(client.requests.at(-1)?.messages).toHaveLength(1)
  })

  it('000-28 composes memories from left to right: as if applied by hand', async () => {
    const history = Array.from({ length: 12 }, (_, index) => {
      const call = { id: `call_${index}`, toolName: 'look', parameters: {} }
      const asked = index % 3 === 0 ? [user(`Question ${index}`)] : []
      return [...asked, assistant('', [call]), toolMessage(call, `${index} `.repeat(200))]
    }).flat()
    const before = JSON.stringify(history)
    const first = dropOldToolOutput({ keepLast: 1, minFreedTokens: 100 })
    const second = new SimpleAgentMemory({ maxHistoryTokens: 200 })
    const composed = await composeMemory(first, second).manageHistory(history, context)
    const shortened = await first.manageHistory(history, context)
    const byHand = second.manageHistory(shortened, context)

    expect(composed).toEqual(byHand)
    expect(shortened).not.toEqual(history)
    expect(byHand.length).toBeLessThan(shortened.length)
    expect(JSON.stringify(history)).toBe(before)
  })
})
