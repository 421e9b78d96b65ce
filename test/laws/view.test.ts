import fc from 'fast-check'
import { it } from 'vitest'
import { offloadToolOutput } from '../../src/memory/offload.ts'
import { SimpleAgentMemory } from '../../src/memory/simple.ts'
import { TokenCounts } from '../../src/memory/tokens.ts'
import { type View, type ViewInput, view } from '../../src/memory/view.ts'
import { agentHistory, damagedHistory, hostileHistory } from '../memory/histories.ts'
import { trials, uphold } from './support/law.ts'
import { requestFault } from './support/request-faults.ts'
import { frame, frozen, outOfOrder, protocols } from './support/views.ts'

const cases = fc.record({
  history: fc.oneof(agentHistory, damagedHistory, hostileHistory),
  memory: fc.constantFrom('none', 'simple', 'tight', 'offload'),
  contextWindow: fc.option(fc.integer({ min: 1, max: 2_000 }), { nil: undefined, freq: 6 }),
  overheadTokens: fc.nat(300),
  maxOutputTokens: fc.option(fc.integer({ min: 1, max: 300 }), { nil: undefined }),
})

const memories = {
  none: () => null,
  simple: () => new SimpleAgentMemory(),
  tight: () => new SimpleAgentMemory({ maxHistoryTokens: 100 }),
  offload: () => offloadToolOutput({ maxTokens: 100 }),
}

it('law 2: a view is pure, keeps the order, is its own view, and fits or says that it does not', async () => {
  await fc.assert(
    fc.asyncProperty(cases, async ({ memory, contextWindow, maxOutputTokens, overheadTokens, history }) => {
      const input: Omit<ViewInput, 'history'> = {
        memory: memories[memory as keyof typeof memories](), // one of its own keys
        counts: new TokenCounts(),
        overheadTokens,
        conversationId: 'c',
        signal: new AbortController().signal,
        ...(contextWindow !== undefined && { contextWindow }),
        ...(maxOutputTokens !== undefined && { maxOutputTokens }),
      }
      const before = JSON.stringify(history)
      const seen = await view({ ...input, history: frozen(history) })
      const again = await view({ ...input, history: seen.messages })
      uphold(
        JSON.stringify(history) === before ? undefined : 'the history was changed',
        outOfOrder(seen.messages, history),
        JSON.stringify(again.messages) === JSON.stringify(seen.messages)
          ? undefined
          : 'the view of the view differs',
        overBudget(seen, input),
        ...protocols.map((protocol) => requestFault(protocol.encode({ ...frame, messages: seen.messages }))),
      )
    }),
    trials(1_500),
  )
})

function overBudget(
  { messages, diagnostics }: View,
  { contextWindow, maxOutputTokens, overheadTokens }: Omit<ViewInput, 'history'>,
): string | undefined {
  if (contextWindow === undefined) return undefined
  const reserve = maxOutputTokens ?? Math.min(4_096, Math.floor(contextWindow / 4))
  const budget = Math.max(0, Math.floor(contextWindow * 0.9) - reserve - overheadTokens)
  const tokens = new TokenCounts().messages(messages)
  const isSaid = diagnostics.some(({ code }) => code === 'context_overflow')
  return tokens <= budget || isSaid ? undefined : `${tokens} tokens of ${budget}, and nothing says so`
}
