import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { HistoryFold } from '../../src/memory/history-fold.ts'
import { growingRepair, repairHistory } from '../../src/memory/repair.ts'
import { SimpleAgentMemory } from '../../src/memory/simple.ts'
import { TokenCounts } from '../../src/memory/tokens.ts'
import { type ViewInput, view } from '../../src/memory/view.ts'
import { assistant, type Message, user } from '../../src/messages.ts'
import { growingNativeProtocol, nativeProtocol } from '../../src/protocol/native.ts'
import type { EncodeInput } from '../../src/protocol/protocol.ts'
import { agentHistory, damagedHistory, hostileHistory } from './histories.ts'

/** Histories as one process sees them, one after another: grown, forked, cut short, gone on differently. */
const sequences: fc.Arbitrary<(readonly Message[])[]> = fc
  .tuple(
    fc.oneof(agentHistory, damagedHistory, hostileHistory),
    fc.oneof(agentHistory, hostileHistory),
    fc.array(
      fc.record({
        change: fc.constantFrom('grow', 'grow', 'grow', 'fork', 'shorten', 'replace', 'other', 'again'),
        by: fc.integer({ min: 1, max: 6 }),
        of: fc.nat(),
      }),
      { minLength: 1, maxLength: 30 },
    ),
  )
  .map(([own, others, changes]) => {
    const seen: (readonly Message[])[] = [own.slice(0, own.length >> 1)]
    for (const { change, by, of } of changes) {
      const last = seen.at(-1) ?? []
      if (change === 'grow') seen.push([...last, ...own.slice(last.length, last.length + by)])
      if (change === 'fork') seen.push([...(seen[of % seen.length] ?? []), ...others.slice(0, by)])
      if (change === 'shorten') seen.push(last.slice(0, -by))
      if (change === 'replace') seen.push([...last.slice(0, -by), ...others.slice(-by)])
      if (change === 'other') seen.push(others.slice(0, by))
      if (change === 'again') seen.push([...(seen[of % seen.length] ?? [])])
    }
    return seen
  })

describe('a fold of histories', () => {
  test('adds each message of a growing history once', () => {
    const added: Message[] = []
    const fold = new HistoryFold(
      () => ({ count: 0 }),
      (state, message) => {
        state.count++
        added.push(message)
      },
    )
    const history = Array.from({ length: 100 }, (_, index) => (index % 2 ? assistant : user)(`${index}`))
    for (let length = 0; length <= history.length; length++) {
      expect(fold.of(history.slice(0, length)).count).toBe(length)
    }
    expect(added).toEqual(history)
  })

  test('keeps forks of one long conversation apart, and goes on with each', () => {
    const added: Message[] = []
    const fold = new HistoryFold<Message[]>(
      () => [],
      (state, message) => {
        state.push(message)
        added.push(message)
      },
    )
    const common = Array.from({ length: 40 }, (_, index) => (index % 2 ? assistant : user)(`${index}`))
    const forks = [
      [...common, user('left')],
      [...common, user('right')],
    ]
    for (const fork of forks) expect(fold.of(fork)).toEqual(fork)
    added.length = 0
    for (const fork of forks) {
      const grown = [...fork, assistant('more')]
      expect(fold.of(grown)).toEqual(grown)
    }
    expect(added).toEqual([assistant('more'), assistant('more')])
  })

  test('remembers only the last one of short histories', () => {
    let added = 0
    const fold = new HistoryFold(
      () => ({ count: 0 }),
      (state) => {
        state.count++
        added++
      },
    )
    const [one, other] = [[user('u'), assistant('a')], [user('v')]]
    fold.of(one)
    fold.of([...one, user('w')])
    expect(added).toBe(3)
    fold.of(other)
    expect(fold.of(one).count).toBe(2)
    expect(added).toBe(6)
  })

  test('sees that an array has grown in place', () => {
    const counts = new TokenCounts()
    const history = [user('u')]
    expect(counts.history(history)).toBe(1)
    history.push(user('u'.repeat(8)))
    expect(counts.history(history)).toBe(3)
    expect(counts.messages(history)).toBe(3)
  })

  test('comes to what a fresh computation comes to, whatever came before', () => {
    fc.assert(
      fc.property(sequences, (histories) => {
        const counts = new TokenCounts()
        const repair = growingRepair()
        const native = growingNativeProtocol()
        for (const history of histories) {
          const fresh = new TokenCounts()
          const measure = counts.measure(history)
          expect(measure.sums).toEqual(fresh.measure(history).sums)
          expect(measure).toMatchObject(shapeOf(fresh, history))
          expect(counts.history(history)).toBe(fresh.messages(history))
          const repaired = repair(history)
          expect(repaired).toEqual(repairHistory(history))
          const { messages } = repaired
          expect(native.encode({ ...frame, messages })).toEqual(nativeProtocol.encode({ ...frame, messages }))
        }
      }),
      { numRuns: 500 },
    )
  })

  test('makes no view another one', async () => {
    await fc.assert(
      fc.asyncProperty(sequences, fc.integer({ min: 20, max: 2_000 }), async (histories, contextWindow) => {
        const fixed = {
          overheadTokens: 0,
          contextWindow,
          conversationId: 'c',
          signal: new AbortController().signal,
        }
        const shared = { memory: new SimpleAgentMemory(), counts: new TokenCounts(), repair: growingRepair() }
        for (const history of histories) {
          const fresh: ViewInput = {
            ...fixed,
            history,
            memory: new SimpleAgentMemory(),
            counts: new TokenCounts(),
          }
          const seen = await view({ ...fixed, ...shared, history: Object.freeze([...history]) })
          expect(seen).toEqual(await view(fresh))
          expect(seen.tokens).toBe(new TokenCounts().messages(seen.messages))
        }
      }),
      { numRuns: 300 },
    )
  })

  test('gives messages that had to be made the same identity in the next request', () => {
    const call = (id: string) => ({ id, toolName: 'a', parameters: {} })
    const history = [user(' '), assistant('', [call('x')]), { ...assistant('done'), plan: 'first this' }]
    const repair = growingRepair()
    const native = growingNativeProtocol()
    const encoded = (messages: readonly Message[]) =>
      native.encode({ ...frame, messages: repair(messages).messages }).messages
    const first = encoded(history)
    const second = encoded([...history, user('v')])
    expect(second.slice(0, -1).every((message, at) => message === first[at])).toBe(true)
    expect(first).toHaveLength(6)
  })
})

const frame: Omit<EncodeInput, 'messages'> = {
  instructions: 'Be brief.',
  tools: [{ name: 'search', description: 'Finds', parameters: { type: 'object', properties: {} } }],
  toolsets: [],
  planning: 'auto',
  first: true,
  landing: false,
}

function shapeOf(counts: TokenCounts, history: readonly Message[]) {
  const { systems, question, exchange } = counts.measure(history)
  return { systems, question, exchange }
}
