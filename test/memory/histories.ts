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
