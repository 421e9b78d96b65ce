import fc from 'fast-check'
import type { Message, ToolCall } from '../../src/messages.ts'

const text = fc.oneof(
  { weight: 4, arbitrary: fc.string({ maxLength: 40 }) },
  { weight: 1, arbitrary: fc.constantFrom('', ' ', '\n') },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 600 }).map((length) => 'word '.repeat(length)) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 300 }).map((length) => '👍🏽é'.repeat(length)) },
)

// Few, so that they collide; some look like what a repair makes of others.
const callId = fc.constantFrom('a', 'b', 'c', 'a_2', 'a_3', 'b_2', '__proto__', 'constructor', 'c'.repeat(40))

const call: fc.Arbitrary<ToolCall> = fc.record({
  id: callId,
  toolName: fc.constantFrom('add', 'search'),
  parameters: fc.dictionary(fc.string({ maxLength: 5 }), fc.string({ maxLength: 20 }), { maxKeys: 2 }),
})

const part = fc.oneof(
  text.map((content) => ({ type: 'text' as const, text: content })),
  fc.constant({ type: 'image' as const, url: 'https://example.com/a.png' }),
)

const userMessage = fc.record({
  role: fc.constant('user' as const),
  content: fc.oneof(
    { weight: 4, arbitrary: text },
    { weight: 1, arbitrary: fc.array(part, { maxLength: 3 }) },
  ),
})
const systemMessage = fc.record({ role: fc.constant('system' as const), content: text })
const assistantMessage = fc.record(
  {
    role: fc.constant('assistant' as const),
    content: text,
    toolCalls: fc.array(call, { maxLength: 4 }),
    plan: text,
  },
  { requiredKeys: ['role', 'content'] },
)
const toolResult = fc.record({
  role: fc.constant('tool' as const),
  callId,
  toolName: fc.constantFrom('add', 'search'),
  content: text,
  ok: fc.boolean(),
})

/** Anything a caller could hand in: results without calls, calls without results, ids twice, nothing said. */
export const hostileHistory: fc.Arbitrary<Message[]> = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: userMessage },
    { weight: 1, arbitrary: systemMessage },
    { weight: 4, arbitrary: assistantMessage },
    { weight: 5, arbitrary: toolResult },
  ),
  { maxLength: 30 },
)

type Turn = { question: Message; rounds: { said: string; results: string[] }[]; answer: string }

const filled = text.map((content) => `x${content}`)
const turn: fc.Arbitrary<Turn> = fc.record({
  question: filled.map((content): Message => ({ role: 'user', content })),
  rounds: fc.array(fc.record({ said: text, results: fc.array(text, { minLength: 1, maxLength: 3 }) }), {
    maxLength: 4,
  }),
  answer: filled,
})

/** What an agent really makes: turns of a question, rounds of calls with all their results, and an answer. */
export const agentHistory: fc.Arbitrary<Message[]> = fc
  .record({
    opening: fc.constantFrom<Message[]>(
      [],
      [{ role: 'system', content: 'Be kind.' }],
      [{ role: 'assistant', content: 'Hello!' }],
    ),
    turns: fc.array(turn, { minLength: 1, maxLength: 6 }),
    isOpen: fc.boolean(),
  })
  .map(({ opening, turns, isOpen }) => {
    let made = 0
    const history = [...opening]
    for (const { question, rounds, answer } of turns) {
      history.push(question)
      for (const { said, results } of rounds) {
        const calls = results.map((result) => ({
          id: `call_${++made}`,
          toolName: 'search',
          parameters: { q: result.slice(0, 9) },
        }))
        history.push({ role: 'assistant', content: said, toolCalls: calls })
        results.forEach((content, index) => {
          history.push({
            role: 'tool',
            callId: calls[index]?.id ?? '',
            toolName: 'search',
            content,
            ok: true,
          })
        })
      }
      history.push({ role: 'assistant', content: answer })
    }
    return isOpen ? history.slice(0, -1) : history
  })

/** An agent's conversation after one accident: a message is gone, there twice, or changed places with the next. */
export const damagedHistory: fc.Arbitrary<Message[]> = fc
  .tuple(agentHistory, fc.nat(), fc.constantFrom('lost', 'doubled', 'swapped'))
  .map(([history, place, accident]) => {
    const at = place % history.length
    const [message, next] = history.slice(at, at + 2)
    if (message === undefined || accident === 'lost') return history.toSpliced(at, 1)
    if (accident === 'doubled' || next === undefined) return history.toSpliced(at, 0, message)
    return history.toSpliced(at, 2, next, message)
  })

const anyText = fc.oneof(
  { weight: 6, arbitrary: text },
  { weight: 1, arbitrary: fc.constantFrom('\ud83d', '\udc4d', 'x\udc4d\ud83d', '! keep this', 'And why?') },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 300 }).map((length) => '\ud83d'.repeat(length)) },
)

const anyPart = fc.oneof(
  anyText.map((content) => ({ type: 'text' as const, text: content })),
  fc.constantFrom(
    { type: 'image' as const, data: 'aGk=', mediaType: 'image/png' },
    { type: 'file' as const, name: 'a.pdf', data: 'aGk=', mediaType: 'application/pdf' },
  ),
)

const event = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('asks' as const), said: anyText }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('shows' as const),
      parts: fc.array(anyPart, { minLength: 1, maxLength: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('instructs' as const), said: anyText }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('answers' as const), said: anyText, plan: anyText }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('calls' as const),
      said: anyText,
      results: fc.array(anyText, { minLength: 1, maxLength: 3 }),
      // A call that was interrupted has no result.
      pending: fc.nat(7).map((chance) => Math.max(0, chance - 5)),
    }),
  },
)

/** Whatever may be said in any order: parallel and pending calls, plans, images and files, halves of surrogate pairs. */
export const eventfulHistory: fc.Arbitrary<Message[]> = fc
  .array(event, { maxLength: 25 })
  .map((events) => events.flatMap(messagesOf))

function messagesOf(
  each: typeof event extends fc.Arbitrary<infer Event> ? Event : never,
  at: number,
): Message[] {
  switch (each.kind) {
    case 'asks':
      return [{ role: 'user', content: each.said }]
    case 'shows':
      return [{ role: 'user', content: each.parts }]
    case 'instructs':
      return [{ role: 'system', content: each.said }]
    case 'answers':
      return [{ role: 'assistant', content: each.said, plan: each.plan }]
    case 'calls':
      return exchange(`call_${at}`, each.said, each.results, each.pending)
  }
}

function exchange(id: string, said: string, results: readonly string[], pending = 0): Message[] {
  const toolCalls = results.map((result, index) => ({
    id: `${id}_${index}`,
    toolName: 'search',
    parameters: { q: result.slice(0, 9) },
  }))
  const answers = toolCalls.slice(pending).map((made, index): Message => {
    const content = results[pending + index] ?? ''
    return { role: 'tool', callId: made.id, toolName: 'search', content, ok: true }
  })
  return [{ role: 'assistant', content: said, toolCalls }, ...answers]
}

const size = fc.integer({ min: 1, max: 800 })

/** A long conversation of an agent, as the histories of its requests: each begins as the one before. */
export const growingHistory: fc.Arbitrary<Message[][]> = fc
  .array(
    fc.record({
      question: size,
      rounds: fc.array(fc.array(size, { minLength: 1, maxLength: 2 }), { maxLength: 4 }),
    }),
    {
      minLength: 15,
      maxLength: 30,
    },
  )
  .map((turns) => {
    const history: Message[] = []
    const requests: Message[][] = []
    turns.forEach(({ question, rounds }, turnAt) => {
      const isPinned = turnAt % 9 === 4
      history.push({ role: 'user', content: `${isPinned ? '!' : 'u'}${turnAt} ${'u'.repeat(question)}` })
      requests.push([...history])
      rounds.forEach((results, roundAt) => {
        const said = results.map((length) => 'r'.repeat(length))
        history.push(...exchange(`call_${turnAt}_${roundAt}`, '', said))
        requests.push([...history])
      })
      history.push({ role: 'assistant', content: `a${turnAt}${turnAt % 4 ? '' : ' must'}` })
    })
    return requests
  })
