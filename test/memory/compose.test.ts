import { describe, expect, test } from 'vitest'
import { archivePruned } from '../../src/memory/archive.ts'
import { composeMemory } from '../../src/memory/compose.ts'
import type { AgentMemory, MemoryContext } from '../../src/memory/memory.ts'
import { validateHistory } from '../../src/memory/repair.ts'
import { SimpleAgentMemory } from '../../src/memory/simple.ts'
import { dropOldToolOutput } from '../../src/memory/tool-output.ts'
import { type Message, user } from '../../src/messages.ts'
import { context, exchange, turns } from './strategies.ts'

describe('a composition of memories', () => {
  test('gives each what the one before gave, made whole, and the same context', async () => {
    const history = [...turns(2), user('Look'), ...exchange('a', 'one'), ...exchange('b', 'two')]
    const seen: (readonly Message[])[] = []
    const contexts = new Set<MemoryContext>()
    const careless = (from: number): AgentMemory => ({
      manageHistory(messages, given) {
        seen.push(messages)
        contexts.add(given)
        return messages.slice(from)
      },
    })
    // The first tears the first exchange, the second drops everything.
    const memory = composeMemory(careless(6), careless(99), careless(0))
    const messages = await memory.manageHistory(history, { ...context, budgetTokens: 5 })
    expect(seen).toEqual([history, [history[4], ...history.slice(7)], [history[4], ...history.slice(7)]])
    expect(validateHistory(messages)).toEqual([])
    expect([...contexts]).toEqual([expect.objectContaining({ budgetTokens: 5 })])
  })

  test('gives back the history itself where none changes it, also where one shifts its own copy', async () => {
    const history = Object.freeze(turns(3))
    const shifting: AgentMemory = {
      manageHistory: (messages) => {
        const all = [...messages]
        ;(messages as Message[]).shift()
        return all
      },
    }
    expect(await composeMemory().manageHistory(history, context)).toBe(history)
    expect(await composeMemory(shifting, new SimpleAgentMemory()).manageHistory(history, context)).toBe(
      history,
    )
  })

  test('asks no further memory after an abort', async () => {
    const controller = new AbortController()
    const first: AgentMemory = {
      manageHistory(history) {
        controller.abort(new Error('stop'))
        return history
      },
    }
    const memory = composeMemory(first, { manageHistory: () => expect.unreachable() })
    await expect(memory.manageHistory(turns(1), { ...context, signal: controller.signal })).rejects.toThrow(
      'stop',
    )
  })

  test('fails where one of them gives no messages', async () => {
    const memory = composeMemory({ manageHistory: () => undefined as never })
    await expect(memory.manageHistory(turns(1), context)).rejects.toThrow('must return messages')
  })

  test('refuses what is no memory', () => {
    const refused = (path: string) => expect.objectContaining({ code: 'configuration', path })
    expect(() => composeMemory(new SimpleAgentMemory(), {} as never)).toThrow(
      refused('memories[1].manageHistory'),
    )
    expect(() => composeMemory(null as never)).toThrow(refused('memories[0]'))
    expect(() => archivePruned({} as never, () => {})).toThrow(refused('memory.manageHistory'))
    expect(() => archivePruned(new SimpleAgentMemory(), 'disk' as never)).toThrow(refused('archive'))
  })
})

describe('an archive of what is pruned', () => {
  test('gets the original of what is sent shortened, and a message of two conversations for each of them', async () => {
    const got: [string, readonly Message[]][] = []
    const memory = archivePruned(dropOldToolOutput({ keepLast: 1, minFreedTokens: 1 }), (pruned, given) => {
      got.push([given.conversationId, pruned])
    })
    const history = [...exchange('a', 'r'.repeat(400)), ...exchange('b', 'new')]
    for (const conversationId of ['one', 'two', 'one'])
      await memory.manageHistory(history, { ...context, conversationId })
    expect(got).toEqual([
      ['one', [history[1]]],
      ['two', [history[1]]],
    ])
  })

  test('is asked for nothing while nothing leaves', async () => {
    const memory = archivePruned(new SimpleAgentMemory(), () => expect.unreachable())
    const history = turns(3)
    expect(await memory.manageHistory(history, context)).toBe(history)
  })

  test('gets a reply, too, that leaves because its question did', async () => {
    const got: Message[] = []
    const memory = archivePruned(
      { manageHistory: (all) => all.slice(1) },
      (pruned) => void got.push(...pruned),
    )
    const history = turns(3)
    expect(await memory.manageHistory(history, context)).toEqual(history.slice(2))
    expect(got).toEqual(history.slice(0, 2))
  })
})
