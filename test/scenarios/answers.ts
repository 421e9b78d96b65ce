import { z } from 'zod'
import type { JsonValue } from '../../src/index.ts'
import type { StrictReply } from '../../src/testing/index.ts'
import type { Scenario } from './support.ts'

const done = (answer: unknown) => ({ status: 'done', answer }) as const

const fenced = (envelope: JsonValue): StrictReply => ({
  text: `\`\`\`json\n${JSON.stringify(envelope)}\n\`\`\``,
})

const cityAnswer = z.object({ city: z.string(), degrees: z.number(), notes: z.array(z.string()) })

const hindi = 'नमस्ते 👩‍👩‍👧‍👦 e\u0301 漢字 עברית العربية 𝒳\u2028\u0000 \u{10ffff}'

// 3,000 tokens are little: each question of 1,600 characters is a fifth of what may be sent.
const longQuestions = Array.from(
  { length: 12 },
  (_, index) => `Question ${index}: ${'lorem ipsum '.repeat(130)}`,
)
const wideQuestions = Array.from({ length: 12 }, (_, index) => `質問 ${index}: ${'漢字仮名'.repeat(100)}`)

/** Replies that answer, and how they are asked for. */
export const answers: readonly Scenario[] = [
  { name: 'a plain answer', script: [{ text: 'Hello there.' }], outcomes: [done('Hello there.')] },
  {
    name: 'an answer in many writing systems',
    script: [{ text: hindi }],
    inputs: [hindi],
    outcomes: [done(hindi)],
  },
  {
    name: 'an answer with reasoning before it',
    script: [{ reasoning: 'Let me think 👍', text: 'Yes.' }, { text: 'No.' }],
    inputs: ['Is it?', 'Sure?'],
    outcomes: [done('Yes.'), done('No.')],
  },
  {
    name: 'two turns',
    script: [{ text: 'One.' }, { text: 'Two.' }],
    inputs: ['First.', 'Second.'],
    outcomes: [done('One.'), done('Two.')],
  },
  {
    name: 'three runs with tools in one conversation',
    script: [1, 2, 3].flatMap((number) => [
      { toolCalls: [{ toolName: 'look', parameters: { where: `box ${number}` } }] },
      { text: `Done ${number}.` },
    ]),
    inputs: ['First.', 'Second.', 'Third.'],
    outcomes: [1, 2, 3].map((number) => ({
      ...done(`Done ${number}.`),
      steps: [[`look: A box ${number}.`]],
    })),
  },
  {
    name: 'usage that the provider leaves out',
    script: [{ text: 'Hello.', usage: 'absent' }],
    outcomes: [done('Hello.')],
  },
  {
    name: 'images in the input',
    script: [{ text: 'A cat.' }, { text: 'The same cat.' }],
    inputs: [
      [
        { type: 'text', text: 'What is it?' },
        { type: 'image', url: 'https://example.com/cat.png' },
        { type: 'image', data: 'iVBORw0KGgo=', mediaType: 'image/png' },
      ],
      'And now?',
    ],
    outcomes: [done('A cat.'), done('The same cat.')],
    sends: ['https://example.com/cat.png', 'iVBORw0KGgo='],
  },
  {
    name: 'a plan, then tools, then the answer',
    script: [
      { toolCalls: [{ toolName: 'plan', parameters: { plan: '1. Look.\n2. Answer.' } }] },
      { text: 'Looking.', toolCalls: [{ toolName: 'look', parameters: { where: 'box' } }] },
      { text: 'A box.' },
      { text: 'Still a box.' },
    ],
    inputs: ['Go.', 'And now?'],
    outcomes: [
      { ...done('A box.'), plan: '1. Look.\n2. Answer.', steps: [['look: A box.']] },
      done('Still a box.'),
    ],
  },
  {
    name: 'a plan beside a tool call',
    script: [
      {
        toolCalls: [
          { toolName: 'plan', parameters: { plan: 'Look.' } },
          { toolName: 'look', parameters: { where: 'box' } },
        ],
      },
      { text: 'A box.' },
    ],
    outcomes: [{ ...done('A box.'), plan: 'Look.', steps: [['look: A box.']] }],
  },
  {
    name: 'a plan that is required',
    agent: { planning: 'required' },
    script: ({ body }) =>
      typeof body['tool_choice'] === 'object'
        ? { toolCalls: [{ toolName: 'plan', parameters: { plan: 'Answer.' } }] }
        : { text: 'Answered.' },
    inputs: ['Go.', 'Again.'],
    outcomes: [
      { ...done('Answered.'), plan: 'Answer.' },
      { ...done('Answered.'), plan: 'Answer.' },
    ],
  },
  {
    name: 'the JSON protocol, for a model without tools',
    capabilities: { tools: false },
    script: [
      fenced({ plan: 'Look.' }),
      fenced({
        tool_thought: 'Looking…',
        tool_calls: [
          { id: 'a', tool_name: 'look', parameters: { where: 'bóx' } },
          { id: 'a', tool_name: 'wrong', parameters: {} },
        ],
      }),
      { text: '{"final_answer": ' },
      fenced({ final_answer: 'A "bóx",\nand 👍.' }),
      { text: 'Just prose.' },
    ],
    inputs: ['Go.', 'Again.'],
    outcomes: [
      {
        ...done('A "bóx",\nand 👍.'),
        plan: 'Look.',
        steps: [
          ['look: A bóx.', 'wrong: Error: There is no tool "wrong". Available: look, give, wait, leak.'],
        ],
      },
      done('Just prose.'),
    ],
  },
  {
    name: 'a structured answer that is repaired once',
    agent: { output: cityAnswer },
    script: [
      { text: '{"city": "Oslo", "degrees": "cold"}' },
      { text: '{"city": "Ålesund", "degrees": -3.5, "notes": ["snow ❄", "wind"]}' },
    ],
    outcomes: [done({ city: 'Ålesund', degrees: -3.5, notes: ['snow ❄', 'wind'] })],
    sends: ['degrees: Invalid input: expected number, received string', '"notes":{"type":"array"'],
  },
  {
    name: 'a structured answer after a tool, with usage of tools in the next turn',
    agent: { output: cityAnswer },
    script: [
      { toolCalls: [{ toolName: 'look', parameters: { where: 'map' } }] },
      { text: '{"city":"Rome","degrees":20,"notes":[]}' },
      { text: '{"city":"Bonn","degrees":12,"notes":[]}' },
    ],
    inputs: ['Where?', 'And next?'],
    outcomes: [
      { ...done({ city: 'Rome', degrees: 20, notes: [] }), steps: [['look: A map.']] },
      done({ city: 'Bonn', degrees: 12, notes: [] }),
    ],
  },
  {
    name: 'a structured answer that never fits',
    agent: { output: cityAnswer, outputRepairAttempts: 1 },
    script: [
      { text: '{"city":1}' },
      { text: 'no JSON' },
      { text: '{"city":"Rome","degrees":20,"notes":[]}' },
    ],
    inputs: ['Where?', 'Again.'],
    outcomes: [
      { status: 'failed', partial: 'no JSON', error: 'output_validation' },
      done({ city: 'Rome', degrees: 20, notes: [] }),
    ],
  },
  {
    name: 'a long history under a small context window',
    agent: { contextWindow: 3_000, maxOutputTokens: 400 },
    provider: { contextWindow: 3_000 },
    script: () => ({ text: 'Answered. '.repeat(20) }),
    inputs: longQuestions,
    forgets: 'Question 0:',
    outcomes: longQuestions.map(() => done('Answered. '.repeat(20))),
  },
  {
    name: 'a long history in characters of three bytes',
    agent: { contextWindow: 3_000, maxOutputTokens: 400, countTokens: (text) => Buffer.byteLength(text) / 4 },
    provider: { contextWindow: 3_000 },
    script: () => ({ text: '答え。' }),
    inputs: wideQuestions,
    forgets: '質問 0:',
    outcomes: wideQuestions.map(() => done('答え。')),
  },
  {
    name: 'results longer than a small context window',
    agent: { contextWindow: 3_000, maxOutputTokens: 400 },
    provider: { contextWindow: 3_000 },
    script: [
      {
        toolCalls: [
          { toolName: 'look', parameters: { where: 'x'.repeat(1_000) } },
          { toolName: 'look', parameters: { where: 'y'.repeat(1_000) } },
        ],
      },
      { toolCalls: [{ toolName: 'look', parameters: { where: 'z'.repeat(2_000) } }] },
      { text: 'Enough.' },
    ],
    outcomes: [
      {
        ...done('Enough.'),
        steps: [
          [`look: A ${'x'.repeat(1_000)}.`, `look: A ${'y'.repeat(1_000)}.`],
          [`look: A ${'z'.repeat(2_000)}.`],
        ],
      },
    ],
  },
]
