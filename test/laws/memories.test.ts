import fc from 'fast-check'
import { describe, it } from 'vitest'
import { composeMemory } from '../../src/memory/compose.ts'
import type { AgentMemory } from '../../src/memory/memory.ts'
import { PriorityMemory, type PriorityMemoryOptions } from '../../src/memory/priority.ts'
import { validateHistory } from '../../src/memory/repair.ts'
import { RetentionMemory } from '../../src/memory/retention.ts'
import { SimpleAgentMemory } from '../../src/memory/simple.ts'
import { TokenCounts } from '../../src/memory/tokens.ts'
import { dropOldToolOutput } from '../../src/memory/tool-output.ts'
import { TurnPruningMemory } from '../../src/memory/turns.ts'
import { type ViewInput, view } from '../../src/memory/view.ts'
import { type Message, textOf } from '../../src/messages.ts'
import {
  agentHistory,
  damagedHistory,
  eventfulHistory,
  growingHistory,
  hostileHistory,
} from '../memory/histories.ts'
import { trials, uphold } from './support/law.ts'
import { requestFault } from './support/request-faults.ts'
import { breaks, frame, frozen, outOfOrder, overBudget, protocols } from './support/views.ts'

/** Makes the same memory each time; a failing case shows its options. */
interface Make {
  (): AgentMemory
  readonly [fc.toStringMethod]: () => string
}

const made = (options: object, make: () => AgentMemory): Make =>
  Object.assign(make, { [fc.toStringMethod]: () => fc.stringify(options) })

const isMarked = ({ content }: Message) => textOf(content).startsWith('!')
const pinning: fc.Arbitrary<Pick<PriorityMemoryOptions, 'pinned'>> = fc.constantFrom(
  {},
  { pinned: isMarked },
  { pinned: ({ role }: Message) => role === 'user' },
)
const optional = (max: number) =>
  fc.option(fc.integer({ min: 1, max }), { nil: undefined }).map((value) => value ?? max * 10)

const maxTokens = fc.integer({ min: 1, max: 1_500 })

const scores = {
  roles: ({ role }: Message) => (role === 'tool' ? 0 : 1),
  length: ({ content }: Message) => textOf(content).length,
  oldest: (_: Message, index: number, total: number) => total - index,
}
/** Any times: also ones that go back, and of messages that have none. */
const timeBy = (size: (message: Message) => number) => (message: Message) =>
  size(message) % 3 === 0 ? undefined : size(message) % 50
const timeByText = timeBy(({ content }) => textOf(content).length)
/** Another memory may shorten what was said, but not who said it. */
const timeByCall = timeBy((message) => (message.role === 'tool' ? message.callId.length : 0))

/** Memories of every kind, of any options. */
function memoriesWith(pins: typeof pinning, timeOf: (message: Message) => number | undefined) {
  const simple = fc
    .record({ maxHistoryTokens: maxTokens, minMessages: fc.integer({ min: 1, max: 5 }), pins })
    .map(({ pins, ...options }) =>
      made({ ...options, pins }, () => new SimpleAgentMemory({ ...options, ...pins })),
    )

  const turns = fc
    .record({
      maxTokens,
      minRetainTurns: fc.integer({ min: 1, max: 4 }),
      pruneThreshold: fc.constantFrom(0.3, 0.8, 1),
      summaryMode: fc.constantFrom('rolling' as const, 'append' as const),
      pins,
    })
    .map(({ pins, ...options }) =>
      made({ ...options, pins }, () => new TurnPruningMemory({ ...options, ...pins })),
    )

  const priority = fc
    .record({ maxTokens, score: fc.constantFrom(undefined, ...Object.values(scores)), pins })
    .map(({ score, pins, ...options }) =>
      made(
        { ...options, score, pins },
        () => new PriorityMemory({ ...options, ...(score && { score }), ...pins }),
      ),
    )

  const retention = fc
    .record({
      maxMessages: optional(12),
      maxTurns: optional(5),
      maxAgeMs: optional(40),
      maxTokens: optional(1_500),
      pins,
    })
    .map(({ pins, ...options }) =>
      made({ ...options, pins }, () => new RetentionMemory({ ...options, timeOf, ...pins })),
    )

  const toolOutput = fc
    .record({
      keepLast: fc.integer({ min: 1, max: 3 }),
      minFreedTokens: fc.integer({ min: 1, max: 300 }),
      keepEnds: fc.nat(20),
      replaceWith: fc.constantFrom('', '…', '[An old tool output was removed here.]'),
      pins,
    })
    .map(({ pins, ...options }) =>
      made({ ...options, pins }, () => dropOldToolOutput({ ...options, ...pins })),
    )

  return { simple, turns, priority, retention, toolOutput }
}

const one = memoriesWith(pinning, timeByText)
// What one of them pins and another drops is a matter of taste, and different once it is gone; and what summarizes comes
// first, as the docs say: it may add more than it takes away.
const several = pinning
  .chain((pins) => {
    const { turns, ...others } = memoriesWith(fc.constant(pins), timeByCall)
    const shortening = fc.oneof(...Object.values(others))
    return fc.oneof(
      fc.array(shortening, { minLength: 1, maxLength: 4 }),
      fc.tuple(turns, fc.array(shortening, { maxLength: 3 })).map(([first, rest]) => [first, ...rest]),
    )
  })
  .map((makes) => made(makes, () => composeMemory(...makes.map((make) => make()))))

const histories = fc.oneof(agentHistory, damagedHistory, hostileHistory, eventfulHistory)

const inputs = fc.record({
  contextWindow: fc.option(fc.integer({ min: 1, max: 2_000 }), { nil: undefined, freq: 3 }),
  overheadTokens: fc.nat(200),
})

const json = (value: unknown) => JSON.stringify(value)

describe.each(Object.entries({ ...one, 'a composition of one to four': several }))('%s', (_, memories) => {
  it('laws 1, 2, 9: gives a view that is valid, pure, in order, its own view, and fits or says that it does not', async () => {
    await fc.assert(
      fc.asyncProperty(
        memories,
        histories,
        inputs,
        async (make, history, { contextWindow, overheadTokens }) => {
          const input = (memory: AgentMemory): Omit<ViewInput, 'history'> => ({
            memory,
            counts: new TokenCounts(),
            overheadTokens,
            conversationId: 'c',
            signal: new AbortController().signal,
            ...(contextWindow !== undefined && { contextWindow }),
          })
          const memory = make()
          const before = json(history)
          const seen = await view({ ...input(memory), history: frozen(history) })
          const again = await view({ ...input(memory), history: seen.messages })
          const elsewhere = await view({ ...input(make()), history: structuredClone(history) })
          const [issue] = validateHistory(seen.messages)
          const failure = seen.diagnostics.find(({ code }) => code === 'memory_failed')
          uphold(
            json(history) === before ? undefined : 'the history was changed',
            issue && `it is not valid: ${json(issue)}`,
            failure?.message,
            outOfOrder(seen.messages, history),
            json(again.messages) === json(seen.messages) ? undefined : 'the view of the view differs',
            json(elsewhere.messages) === json(seen.messages) ? undefined : 'it is another view elsewhere',
            overBudget(seen),
            ...(history.length === 0 ? [] : protocols).map((protocol) =>
              requestFault(protocol.encode({ ...frame, messages: seen.messages })),
            ),
          )
        },
      ),
      trials(500),
    )
  })
})

/** Memories by how many tokens a conversation has to grow for each time that they may change what was sent. */
const steady: readonly (readonly [name: string, stepTokens: number, make: () => AgentMemory])[] = [
  // Steps of a power of two, at most a quarter of the limit.
  ['the simple one', 256, () => new SimpleAgentMemory({ maxHistoryTokens: 2_000 })],
  [
    'the simple one with pins',
    500,
    () => new SimpleAgentMemory({ maxHistoryTokens: 2_000, pinned: isMarked }),
  ],
  ['turns', 1_000, () => new TurnPruningMemory({ maxTokens: 2_500, minRetainTurns: 1, pinned: isMarked })],
  [
    'turns, summaries appended',
    1_000,
    () => new TurnPruningMemory({ maxTokens: 2_500, minRetainTurns: 1, summaryMode: 'append' }),
  ],
  ['priority', 500, () => new PriorityMemory({ maxTokens: 2_000, pinned: isMarked })],
  ['retention', 500, () => new RetentionMemory({ maxTokens: 2_000, pinned: isMarked })],
  ['tool output', 500, () => dropOldToolOutput({ keepLast: 2, minFreedTokens: 500, pinned: isMarked })],
]

const tokensOf = (messages: readonly Message[]) => new TokenCounts().messages(messages)

async function sent(memory: AgentMemory, requests: readonly (readonly Message[])[]) {
  const counts = new TokenCounts()
  const views: (readonly Message[])[] = []
  for (const history of requests) {
    const input = { memory, counts, overheadTokens: 0, conversationId: 'c' }
    const { messages } = await view({ ...input, history, signal: new AbortController().signal })
    views.push(messages)
  }
  return views
}

describe('law 11, while a conversation grows', () => {
  it.each(steady)('%s: a request begins as the one before but once in a step', async (_, step, make) => {
    await fc.assert(
      fc.asyncProperty(growingHistory, async (requests) => {
        const allowed = Math.ceil(tokensOf(requests.at(-1) ?? []) / step)
        const found = breaks(await sent(make(), requests))
        uphold(found <= allowed ? undefined : `${found} of ${requests.length} break, ${allowed} may`)
      }),
      trials(60),
    )
  })

  it('a composition: a request begins as the one before but once in a step of each', async () => {
    const some = fc.array(fc.constantFrom(...steady), { minLength: 2, maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(some, growingHistory, async (memories, requests) => {
        const memory = composeMemory(...memories.map(([, , make]) => make()))
        const tokens = tokensOf(requests.at(-1) ?? [])
        const allowed = memories.reduce((sum, [, step]) => sum + Math.ceil(tokens / step), 0)
        const found = breaks(await sent(memory, requests))
        uphold(found <= allowed ? undefined : `${found} of ${requests.length} break, ${allowed} may`)
      }),
      trials(60),
    )
  })
})
