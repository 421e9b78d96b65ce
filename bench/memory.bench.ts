import { test } from 'vitest'
import {
  assistant,
  estimateTokens,
  type MemoryContext,
  type Message,
  SimpleAgentMemory,
  TurnPruningMemory,
  user,
} from '../src/index.ts'
import { TokenCounts } from '../src/memory/tokens.ts'

const context: MemoryContext = {
  countTokens: estimateTokens,
  conversationId: 'c',
  signal: new AbortController().signal,
}

/** So many messages of 100 tokens each, user and assistant by turns. */
const talk = (count: number): Message[] =>
  Array.from({ length: count }, (_, index) => (index % 2 ? assistant : user)(`${index}`.padEnd(400, 'x')))

const simple = () => new SimpleAgentMemory({ maxHistoryTokens: 2_000 })
const turns = () => new TurnPruningMemory({ maxTokens: 2_000, minRetainTurns: 3 })

// What was counted or summarized is remembered: the first time is the dear one, every request after it the usual one.
test.for([100, 10_000])('pruning %d messages', async (count, { bench }) => {
  const history = talk(count)
  const known = { simple: simple(), turns: turns() }
  await bench.compare(
    bench('SimpleAgentMemory, the first time', () => {
      simple().manageHistory(history, context)
    }),
    bench('SimpleAgentMemory, once more', () => {
      known.simple.manageHistory(history, context)
    }),
    bench('TurnPruningMemory, the first time', async () => {
      await turns().manageHistory(history, context)
    }),
    bench('TurnPruningMemory, once more', async () => {
      await known.turns.manageHistory(history, context)
    }),
  )
})

test('counting 100 messages', async ({ bench }) => {
  const history = talk(100)
  await bench('by the estimate', () => {
    new TokenCounts().messages(history)
  }).run()
})
