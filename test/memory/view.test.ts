import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AgentMemory, MemoryContext, TokenCounter } from '../../src/memory/memory.ts'
import { repairHistory, validateHistory } from '../../src/memory/repair.ts'
import { SimpleAgentMemory } from '../../src/memory/simple.ts'
import { TokenCounts } from '../../src/memory/tokens.ts'
import { type View, type ViewInput, view } from '../../src/memory/view.ts'
import { assistant, type Message, system, toolMessage, user } from '../../src/messages.ts'
import { agentHistory, damagedHistory, hostileHistory } from './histories.ts'

const viewOf = async (history: readonly Message[], input: Partial<ViewInput> = {}): Promise<View> =>
  view({
    history,
    memory: null,
    counts: new TokenCounts(),
    overheadTokens: 0,
    conversationId: 'c',
    signal: new AbortController().signal,
    ...input,
  })

const words = (tokens: number, letter = 'x') => letter.repeat(tokens * 4)
const call = (id: string) => ({ id, toolName: 'a', parameters: {} })
const note = '\n... [cut to fit the context window]'
/** A reply with calls and their results, of this many tokens each, and two for each call. */
const exchange = (tokens: number, ...ids: string[]): Message[] => [
  assistant('', ids.map(call)),
  ...ids.map((id) => toolMessage(call(id), words(tokens, id))),
]
const memory = (manageHistory: AgentMemory['manageHistory']): AgentMemory => ({ manageHistory })

describe('a view', () => {
  test('of a history that can be sent is that history', async () => {
    const history = Object.freeze([user('u'), ...exchange(10, 'a', 'b'), assistant('done')])
    const { messages, ...rest } = await viewOf(history, { contextWindow: 1_000 })
    expect(messages).toBe(history)
    expect(rest).toEqual({ tokens: 1 + 4 + 20 + 1, budgetTokens: 650, diagnostics: [] })
  })

  test('holds everything when there is no memory and no known window', async () => {
    const history = Array.from({ length: 101 }, (_, index) => (index % 2 ? assistant : user)(words(1_000)))
    expect(await viewOf(history)).toEqual({ messages: history, tokens: 101_000, diagnostics: [] })
  })

  test.each([
    [{ contextWindow: 1_000 }, 900 - 250],
    [{ contextWindow: 100_000 }, 90_000 - 4_096],
    [{ contextWindow: 1_000, overheadTokens: 100, maxOutputTokens: 50, safetyMargin: 0.2 }, 800 - 100 - 50],
    [{ contextWindow: 1_000, overheadTokens: 5_000 }, 0],
    [{ contextWindow: 1_001, safetyMargin: 0, maxOutputTokens: 1 }, 1_000],
  ])('has of %j a budget of %i tokens', async (input, budgetTokens) => {
    expect((await viewOf([user('u')], input)).budgetTokens).toBe(budgetTokens)
  })

  test('says how it repaired the history', async () => {
    const torn = Array.from({ length: 5 }, (_, index) => toolMessage(call(`${index}`), 'r'))
    const { messages, diagnostics } = await viewOf([user('u'), ...torn])
    expect(messages).toEqual([user('u')])
    expect(diagnostics).toEqual([
      {
        code: 'history_repaired',
        message:
          'The history was repaired. Dropped a result of "a": no call before it has the id "0". Dropped a result of "a": ' +
          'no call before it has the id "1". Dropped a result of "a": no call before it has the id "2". And 2 more.',
      },
    ])
  })
})

describe('a view within a window', () => {
  // A budget of 100.
  const window = { contextWindow: 100, safetyMargin: 0, maxOutputTokens: 0 }

  test('drops the oldest, exchanges as a whole, and no reply loses its question', async () => {
    const history = [
      system('s'),
      user(words(30)),
      ...exchange(20, 'a', 'b'),
      assistant(words(20)),
      user(words(30)),
      assistant(words(20)),
      user(words(30)),
    ]
    const { messages, tokens, diagnostics } = await viewOf(history, window)
    expect(messages).toEqual([history[0], ...history.slice(-3)])
    expect({ tokens, diagnostics }).toEqual({ tokens: 81, diagnostics: [] })
  })

  test('drops the oldest exchanges of a single long turn, and keeps its question and the last one', async () => {
    const history = [user('u'), ...exchange(40, 'a'), ...exchange(40, 'b'), ...exchange(40, 'c')]
    expect((await viewOf(history, window)).messages).toEqual([history[0], ...history.slice(-4)])
  })

  test('cuts the longest results of the current exchange, and says so in them', async () => {
    const history = [
      user('u'),
      assistant('', [call('a'), call('b'), call('c')]),
      toolMessage(call('a'), words(10, 'a')),
      toolMessage(call('b'), words(1_000, 'b')),
      toolMessage(call('c'), words(9_999, '👍')),
    ]
    const { messages, tokens, diagnostics } = await viewOf(history, window)
    expect(messages).toEqual([
      ...history.slice(0, 3),
      toolMessage(call('b'), `${'b'.repeat(41 * 4 - note.length)}${note}`),
      toolMessage(call('c'), `${'👍'.repeat(41 * 4 - note.length)}${note}`),
    ])
    expect({ tokens, diagnostics }).toEqual({ tokens: 99, diagnostics: [] })
  })

  test('cuts other texts when the results are not enough, and the last user message last', async () => {
    const history = [
      user(words(80, 'u')),
      assistant(words(80, 't'), [call('a')]),
      toolMessage(call('a'), words(80, 'r')),
    ]
    const { messages, tokens } = await viewOf(history, window)
    expect(messages).toEqual([
      history[0],
      assistant(`${'t'.repeat(17 * 4 - 3)}...`, [call('a')]),
      toolMessage(call('a'), 'r...'),
    ])
    expect(tokens).toBe(100)
    expect((await viewOf([user(words(500, 'u'))], window)).messages).toEqual([
      user(`${'u'.repeat(400 - note.length)}${note}`),
    ])
  })

  test('says that it does not fit where only calls and files are left, and spoils no question in vain', async () => {
    const history = [
      system('Be kind.'),
      user([
        { type: 'text', text: words(50) },
        { type: 'image', url: 'https://a.test/i' },
      ]),
    ]
    const { messages, ...rest } = await viewOf([user('old'), ...history], { ...window, overheadTokens: 7 })
    expect(messages).toEqual([system('B...'), history[1]])
    expect(rest).toEqual({
      tokens: 1_051,
      budgetTokens: 93,
      diagnostics: [
        {
          code: 'context_overflow',
          message:
            'The least that can be sent is about 1051 tokens, and 93 of the context window of 100 are left for it, besides ' +
            '7 of instructions and tools. Shorten them or the last message, or use a model with a larger window.',
        },
      ],
    })
  })

  test('is the last question alone where nothing is left for messages', async () => {
    const history = [user('first'), assistant('a'), user('second')]
    const { messages, diagnostics } = await viewOf(history, { ...window, overheadTokens: 1_000 })
    expect(messages).toEqual([user('second')])
    expect(diagnostics.map(({ code }) => code)).toEqual(['context_overflow'])
  })

  test('keeps a greeting that opened the conversation until it must go', async () => {
    const greeted = [assistant(words(10)), user(words(30)), assistant(words(30)), user(words(30))]
    expect((await viewOf(greeted, window)).messages).toBe(greeted)
    expect((await viewOf([...greeted, assistant(words(1)), user('v')], window)).messages).toEqual([
      greeted[3],
      assistant(words(1)),
      user('v'),
    ])
  })
})

describe('a growing conversation', () => {
  test('keeps the beginning of its requests for many calls in a row', async () => {
    const history = [
      user(words(10)),
      ...Array.from({ length: 300 }, (_, index) => exchange(6, String.fromCharCode(0x4e00 + index))).flat(),
    ]
    const counts = new TokenCounts()
    const second = new Set<Message | undefined>()
    for (let length = 3; length <= history.length; length += 2) {
      const { messages } = await viewOf(history.slice(0, length), { counts, contextWindow: 2_000 })
      expect(messages[0]).toBe(history[0])
      second.add(messages[1])
    }
    // 2,410 tokens in all, and room for 1,300: five steps of 256 had to go.
    expect(second.size).toBe(1 + 5)
  })
})

describe('a limit that changes a little from call to call', () => {
  test('leaves the beginning of the requests as it is in all but few of them', async () => {
    const replies = Array.from({ length: 400 }, (_, index) =>
      exchange(40, String.fromCharCode(0x4e00 + index)),
    )
    const history = [user(words(10)), ...replies.flat()]
    const stepOf = (budget: number) => 2 ** Math.floor(Math.log2(budget / 4))
    // Not one that wanders between two steps: each time it does, the cut may move.
    const budgets = fc
      .integer({ min: 3_000, max: 20_000 })
      .filter((budget) => stepOf(budget - 20) === stepOf(budget + 20))
    const changes = fc.array(fc.integer({ min: -20, max: 20 }), { minLength: 400, maxLength: 400 })
    await fc.assert(
      fc.asyncProperty(changes, budgets, async (change, budget) => {
        const counts = new TokenCounts()
        const managed = new SimpleAgentMemory()
        let last: Message | undefined
        let moves = 0
        let calls = 0
        for (let length = 3; length <= history.length; length += 2) {
          const {
            messages,
            tokens,
            budgetTokens = 0,
          } = await viewOf(history.slice(0, length), {
            counts,
            memory: managed,
            contextWindow: budget + (change[calls] ?? 0),
            safetyMargin: 0,
            maxOutputTokens: 0,
          })
          expect(tokens).toBeLessThanOrEqual(budgetTokens)
          calls++
          if (last !== undefined && messages[1] !== last) moves++
          last = messages[1]
        }
        const all = counts.messages(history)
        const boundaries = Math.max(0, Math.ceil((all - budget) / stepOf(budget)))
        // Near a boundary a cut may come a call early, and go back once.
        expect(moves).toBeLessThanOrEqual(boundaries * 3)
        expect(moves).toBeLessThan(calls / 8)
      }),
      { numRuns: 60, endOnFailure: true },
    )
  })
})

describe('a memory', () => {
  test('is asked once, with the repaired history and what is left for it', async () => {
    const asked: [readonly Message[], MemoryContext][] = []
    const history = Object.freeze([user('u'), toolMessage(call('x'), 'r')])
    const counts = new TokenCounts()
    const { signal } = new AbortController()
    const spy = memory((messages, context) => {
      asked.push([messages, context])
      return messages
    })
    await viewOf(history, { memory: spy, counts, signal, contextWindow: 1_000 })
    await viewOf(history, { memory: spy, counts, signal })
    const context = { countTokens: counts.text, conversationId: 'c', signal, warn: expect.any(Function) }
    expect(asked).toEqual([
      [[user('u')], { ...context, budgetTokens: 650 }],
      [[user('u')], context],
    ])
  })

  test('may pull its history to pieces', async () => {
    const history = Object.freeze([user('u'), assistant('a'), user('v')])
    const shifting = memory((messages) => {
      const mine = messages as Message[] // as one without types would
      mine.splice(0, 2)
      return mine
    })
    expect((await viewOf(history, { memory: shifting })).messages).toEqual([user('v')])
    expect(history).toHaveLength(3)
  })

  test.each<[string, () => unknown, string]>([
    [
      'throws',
      () => {
        throw new Error('out of order')
      },
      'out of order',
    ],
    ['rejects', () => Promise.reject(new Error('out of order')), 'out of order'],
    ['gives nothing', () => undefined, 'manageHistory must return messages, got undefined.'],
    [
      'gives no messages',
      () => [user('u'), 'hello'],
      'manageHistory()[1] must be a message object such as { role, content }, got "hello".',
    ],
    [
      'gives holes',
      () => Array(2),
      'manageHistory()[0] must be a message object such as { role, content }, got undefined.',
    ],
  ])('that %s is left out, with a diagnostic', async (_, manageHistory, problem) => {
    const history = [user('u'), assistant('a'), user('v')]
    const broken = memory(manageHistory as AgentMemory['manageHistory']) // wrong on purpose
    expect(await viewOf(history, { memory: broken })).toEqual({
      messages: history,
      tokens: 3,
      diagnostics: [
        {
          code: 'memory_failed',
          message: `The memory failed, so the history is sent without it: ${problem}`,
        },
      ],
    })
  })

  test('that does not end is left behind when the run is aborted', async () => {
    const controller = new AbortController()
    const waiting = viewOf([user('u')], {
      memory: memory(() => new Promise(() => {})),
      signal: controller.signal,
    })
    controller.abort('enough')
    await expect(waiting).rejects.toBe('enough')
  })

  test('that tears an old exchange loses it as a whole', async () => {
    const history = [user('u'), ...exchange(1, 'a', 'b'), assistant('done'), user('v')]
    const [u, reply, a, b, done, v] = history as [Message, Message, Message, Message, Message, Message] // those six
    for (const torn of [
      [u, reply, a, done, v],
      [u, reply, done, v],
      [u, a, b, done, v],
      [u, b, done, v],
    ]) {
      expect((await viewOf(history, { memory: memory(() => torn) })).messages).toEqual([u, done, v])
    }
  })

  test('gets back the question and the exchange the model is in, where it forgot or tore them', async () => {
    const history = [
      user('old'),
      assistant('answer'),
      user('u'),
      ...exchange(1, 'a'),
      ...exchange(1, 'b', 'c'),
    ]
    const [old, answer, u] = history
    const last = history.slice(-3)
    const [reply, b, c] = last
    for (const [torn, whole] of [
      [[], [u, ...last]],
      [
        [b, c],
        [u, ...last],
      ],
      [
        [reply, b],
        [u, ...last],
      ],
      [
        [old, answer, c],
        [old, answer, u, ...last],
      ],
      [last, [u, ...last]],
      [history.slice(3), history.slice(2)],
    ]) {
      const forgetful = memory(() => torn as Message[]) // each of them is there
      expect((await viewOf(history, { memory: forgetful })).messages).toEqual(whole)
    }
  })

  test('may say things in its own words', async () => {
    const history = [user('u'), assistant('a'), user('my number is 123'), ...exchange(1, 'a')]
    const redacting = memory((messages) => [
      system('Earlier: u, a.'),
      ...messages
        .slice(2)
        .map(
          (message) => ({ ...message, content: String(message.content).replace('123', '***') }) as Message,
        ), // text stays text
    ])
    expect((await viewOf(history, { memory: redacting })).messages).toEqual([
      system('Earlier: u, a.'),
      user('my number is ***'),
      ...exchange(1, 'a'),
    ])
  })

  test('may begin with words of its own, and not with a reply to a question it forgot', async () => {
    const history = [user('u'), assistant('a'), user('v')]
    const summary = assistant('So far: u.')
    const summarizing = memory((messages) => [summary, ...messages.slice(1)])
    expect((await viewOf(history, { memory: summarizing })).messages).toEqual([summary, user('v')])
  })

  test('that keeps the first two, a summary and the last two is repaired where it tears', async () => {
    class SummarizingMemory implements AgentMemory {
      readonly maxMessages: number
      constructor(maxMessages: number) {
        this.maxMessages = maxMessages
      }
      manageHistory(history: readonly Message[]): readonly Message[] {
        if (history.length <= this.maxMessages) return history
        const middle = history.slice(2, -2)
        return [
          ...history.slice(0, 2),
          system(`[Summary of ${middle.length} messages]`),
          ...history.slice(-2),
        ]
      }
    }
    const history = [
      user('u'),
      ...exchange(1, 'a'),
      assistant('done'),
      user('v'),
      ...exchange(1, 'b', 'c', 'd'),
    ]
    const { messages, diagnostics } = await viewOf(history, { memory: new SummarizingMemory(5) })
    expect(messages).toEqual([
      history[0],
      system('[Summary of 5 messages]'),
      user('v'),
      ...exchange(1, 'b', 'c', 'd'),
    ])
    expect(diagnostics.map(({ code }) => code)).toEqual(['history_repaired'])
  })
})

describe('any view', () => {
  const windows = fc.record(
    {
      contextWindow: fc.integer({ min: 1, max: 6_000 }),
      overheadTokens: fc.nat(500),
      maxOutputTokens: fc.nat(500),
      safetyMargin: fc.constantFrom(0, 0.1, 0.3),
    },
    { requiredKeys: ['overheadTokens'] },
  )
  const simple = fc
    .record(
      { maxHistoryTokens: fc.integer({ min: 1, max: 3_000 }), minMessages: fc.integer({ min: 1, max: 6 }) },
      { requiredKeys: [] },
    )
    .map((options) => new SimpleAgentMemory(options))
  const histories = fc.oneof(agentHistory, damagedHistory, hostileHistory)
  const counters = fc.constantFrom<(TokenCounter | undefined)[]>(
    undefined,
    (text) => text.length,
    () => 1,
    (text) => text.split(' ').length / 3,
    (text) => (text.length % 2 ? Number.NaN : 7),
  )

  test('is valid, within its budget or says so, ordered, never empty, and the view of itself', async () => {
    await fc.assert(
      fc.asyncProperty(
        histories,
        fc.option(simple),
        windows,
        counters,
        async (history, memory, window, counter) => {
          const input = { ...window, counts: new TokenCounts(counter) }
          const before = structuredClone(history)
          const seen = await viewOf(deepFreeze(history), { ...input, memory })
          expect(history).toEqual(before)
          expect(validateHistory(seen.messages)).toEqual([])
          expect(seen.tokens).toBe(new TokenCounts(counter).messages(seen.messages))
          const isOver = seen.budgetTokens !== undefined && seen.tokens > seen.budgetTokens
          expect(seen.diagnostics.some(({ code }) => code === 'context_overflow')).toBe(isOver)
          if (history.some(({ role }) => role === 'user')) {
            const isSpoken = ({ role }: Message) => role !== 'system'
            const [opening] = repairHistory(history).messages.filter(isSpoken)
            const [first] = seen.messages.filter(isSpoken)
            expect(seen.messages.some(({ role }) => role === 'user')).toBe(true)
            if (memory === null && first?.role !== 'user') expect(first).toEqual(opening)
          }
          const places = seen.messages
            .filter(({ role }) => role !== 'tool')
            .map((message) => history.indexOf(message))
            .filter((place) => place >= 0)
          expect(places).toEqual(places.toSorted((a, b) => a - b))
          const again = await viewOf(seen.messages, { ...input, memory })
          expect(again.messages).toEqual(seen.messages)
          expect(again.tokens).toBe(seen.tokens)
        },
      ),
      { numRuns: 1500 },
    )
  })

  test("of an agent's conversation fits wherever question and calls do", async () => {
    await fc.assert(
      fc.asyncProperty(
        agentHistory,
        fc.option(simple),
        fc.integer({ min: 100, max: 3_000 }),
        async (history, memory, contextWindow) => {
          const seen = await viewOf(history, { memory, contextWindow, safetyMargin: 0, maxOutputTokens: 0 })
          expect(seen.tokens).toBeLessThanOrEqual(contextWindow)
          expect(seen.diagnostics).toEqual([])
        },
      ),
      { numRuns: 1000 },
    )
  })

  test('repairs whatever a memory does', async () => {
    await fc.assert(
      fc.asyncProperty(histories, fc.infiniteStream(fc.nat(99)), windows, async (history, choices, input) => {
        const wild = memory((messages) =>
          messages.flatMap((message) => {
            const choice = choices.next().value ?? 0
            if (choice < 30) return []
            if (choice < 35) return [message, message]
            if (choice < 45) return [structuredClone(message)]
            return choice < 50 ? [system('summary'), message] : [message]
          }),
        )
        const seen = await viewOf(history, { ...input, memory: wild })
        expect(validateHistory(seen.messages)).toEqual([])
        expect(seen.messages.some(({ role }) => role === 'user')).toBe(
          history.some(({ role }) => role === 'user'),
        )
        expect(seen.diagnostics.map(({ code }) => code)).not.toContain('memory_failed')
      }),
      { numRuns: 1000 },
    )
  })
})

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(deepFreeze)
  return value
}
