import type { StrictReply, StrictToolCall } from '../../src/testing/index.ts'
import { canary } from './box.ts'
import type { Scenario } from './support.ts'

const done = (answer: unknown) => ({ status: 'done', answer }) as const

const look = (where: string, id?: string): StrictToolCall => ({
  toolName: 'look',
  parameters: { where },
  ...(id !== undefined && { id }),
})
const looks = (...places: readonly string[]): StrictReply => ({
  toolCalls: places.map((place) => look(place)),
})
const give = (what: string): StrictReply => ({ toolCalls: [{ toolName: 'give', parameters: { what } }] })
const raw = (toolName: string, parameters: string): StrictReply => ({ toolCalls: [{ toolName, parameters }] })

const label = '[secret:apiKey]'
const sixLabels = Array<string>(6).fill(label).join(' ')
const leaked = `leak: {${Array<string>(6).fill(`"${label}":"${label}"`).join()}}`

/** Calls of tools, good and bad, and what the model is told of them. */
export const toolCalls: readonly Scenario[] = [
  {
    name: 'one tool',
    script: [{ text: 'Let me look.', toolCalls: [look('bóx 👍')] }, { text: 'A box.' }],
    outcomes: [{ ...done('A box.'), steps: [['look: A bóx 👍.']] }],
  },
  {
    name: 'four tools at once, one of which fails and one of which does not exist',
    script: [
      { toolCalls: [look('box'), look('nowhere'), { toolName: 'lok', parameters: {} }, look('hat')] },
      { text: 'Done.' },
      { text: 'Still done.' },
    ],
    inputs: ['Go.', 'Again.'],
    outcomes: [
      {
        ...done('Done.'),
        steps: [
          [
            'look: A box.',
            'look: Error: There is no such place.',
            'lok: Error: There is no tool "lok". Available: look, give, wait, leak. Did you mean "look"?',
            'look: A hat.',
          ],
        ],
      },
      done('Still done.'),
    ],
  },
  {
    name: 'results that no provider could be sent as they are',
    script: [
      give('empty'),
      give('nothing'),
      give('long'),
      give('bigint'),
      give('cycle'),
      give('half'),
      { text: 'Thanks.' },
    ],
    outcomes: [
      {
        ...done('Thanks.'),
        steps: [
          ['give: (no output)'],
          ['give: (no output)'],
          [`give: ${'👍'.repeat(50_000)}\n… (truncated: 60000 code points, the first 50000 are shown)`],
          ['give: {"count":"100000000000000000000"}'],
          ['give: {"name":"ring","self":"[circular]"}'],
          ['give: half \ufffd of a pair'],
        ],
      },
    ],
  },
  {
    name: 'parameters that are no JSON, then some that are',
    brokenParameters: true,
    script: [raw('look', '{"where": "b'), looks('box'), { text: 'A box.' }, { text: 'Yes.' }],
    inputs: ['Go.', 'Sure?'],
    outcomes: [
      {
        ...done('A box.'),
        steps: [
          [
            'look: Error: Invalid JSON parameters: The parameters are not valid JSON. Received: {"where": "b. ' +
              'Call "look" again with one complete JSON object.',
          ],
          ['look: A box.'],
        ],
      },
      done('Yes.'),
    ],
  },
  {
    name: 'parameters that are no object, and parameters with keys of prototypes',
    brokenParameters: true,
    script: [
      { toolCalls: ['null', '[]', '"x"', ''].map((parameters) => ({ toolName: 'look', parameters })) },
      raw('look', '{"__proto__":{"where":"x"},"constructor":1,"where":"box"}'),
      { text: 'A box.' },
    ],
    outcomes: [
      {
        ...done('A box.'),
        steps: [
          [
            ...['null', '[]', '"x"'].map(
              (received) =>
                `look: Error: Invalid JSON parameters: The parameters must be a JSON object. Received: ${received}. ` +
                'Call "look" again with one complete JSON object.',
            ),
            'look: Error: The parameters do not fit the tool "look": where: required ' +
              '(Invalid input: expected string, received undefined). Correct them and call it again.',
          ],
          ['look: A box.'],
        ],
      },
    ],
  },
  {
    name: 'parameters that do not fit the schema, then some that do',
    script: [raw('look', '{"where":7,"apiKey":"mine","extra":1}'), looks('box'), { text: 'A box.' }],
    outcomes: [
      {
        ...done('A box.'),
        steps: [
          [
            'look: Error: The parameters do not fit the tool "look": where: Invalid input: expected string, ' +
              'received number. Correct them and call it again.',
          ],
          ['look: A box.'],
        ],
      },
    ],
  },
  {
    name: 'calls without an id, with the same id, and with the id of another step',
    script: [
      { toolCalls: [look('a', ''), look('b', ''), look('c', 'x'), look('d', 'x')] },
      { toolCalls: [look('e', 'x'), look('f', 'y'.repeat(100))] },
      { text: 'All seen.' },
      { text: 'Yes.' },
    ],
    inputs: ['Go.', 'Sure?'],
    outcomes: [
      {
        ...done('All seen.'),
        steps: [
          ['look: A a.', 'look: A b.', 'look: A c.', 'look: A d.'],
          ['look: A e.', 'look: A f.'],
        ],
      },
      done('Yes.'),
    ],
  },
  {
    name: 'tools named like members of every object',
    script: [
      {
        toolCalls: ['constructor', '__proto__', 'toString'].map((toolName) => ({ toolName, parameters: {} })),
      },
      { text: 'Sorry.' },
    ],
    outcomes: [
      {
        ...done('Sorry.'),
        steps: [
          ['constructor', '__proto__', 'toString'].map(
            (name) => `${name}: Error: There is no tool "${name}". Available: look, give, wait, leak.`,
          ),
        ],
      },
    ],
  },
  {
    name: 'a reply that is cut in the middle of a tool call',
    sends: ['None of its tool calls was executed.'],
    script: [
      {
        text: 'Looking.',
        toolCalls: [look('box'), { toolName: 'look', parameters: '{"whe' }],
        stop: 'length',
      },
      looks('hat'),
      { text: 'A hat.' },
    ],
    outcomes: [{ ...done('A hat.'), steps: [['look: A hat.']] }],
  },
  {
    name: 'the last reply before a limit, told to land',
    sends: ['Give your final answer now'],
    agent: { maxIterations: 2, onLimit: 'land' },
    script: [looks('box'), looks('hat'), { text: 'A box and a hat.' }, { text: 'Yes.' }],
    inputs: ['Go.', 'Sure?'],
    outcomes: [
      {
        ...done('A box and a hat.'),
        landed: true,
        limit: 'iterations',
        steps: [['look: A box.'], ['look: A hat.']],
      },
      done('Yes.'),
    ],
  },
  {
    name: 'more rounds of tools than are allowed',
    agent: { maxToolRounds: 1 },
    script: [looks('box'), looks('hat'), { text: 'Here.' }],
    inputs: ['Go.', 'Go on.'],
    outcomes: [
      {
        status: 'limit',
        limit: 'tool_rounds',
        error: 'max_tool_rounds',
        steps: [['look: A box.'], ['look: Not executed: the run has used all its tool rounds.']],
      },
      done('Here.'),
    ],
  },
  {
    name: 'the same call again and again',
    sends: ['You have made this call 3 times with the same result.'],
    script: ({ body }) => (JSON.stringify(body).includes('Stop it.') ? { text: 'Stopped.' } : looks('box')),
    inputs: ['Go.', 'Stop it.'],
    outcomes: [
      {
        status: 'limit',
        limit: 'progress',
        error: 'no_progress',
        steps: [
          ['look: A box.'],
          ['look: A box.'],
          ['look: A box.'],
          ...Array<string[]>(2).fill([
            'look: Not executed: "look" was called with these parameters 3 times and gave the same result each time. ' +
              'Use what you have, or try something else.',
          ]),
        ],
      },
      done('Stopped.'),
    ],
  },
  {
    name: 'tools that keep failing',
    script: [looks('nowhere'), looks('nowhere'), looks('nowhere'), { text: 'Here.' }],
    inputs: ['Go.', 'Again.'],
    outcomes: [
      {
        status: 'failed',
        error: 'tool_execution',
        steps: Array<string[]>(3).fill(['look: Error: There is no such place.']),
      },
      done('Here.'),
    ],
  },
  {
    name: 'tools that give a secret away in every spelling, and a model that repeats it',
    script: [
      {
        toolCalls: ['return', 'throw', 'data'].map((how) => ({ toolName: 'leak', parameters: { how } })),
      },
      { text: `Seeing ${canary}`, toolCalls: [look(canary)] },
      { text: `The key is ${canary}.` },
      { text: 'No.' },
    ],
    inputs: ['Go.', 'Is it secret?'],
    sends: [`Seeing ${label}`, `The key is ${label}.`],
    outcomes: [
      {
        ...done(`The key is ${label}.`),
        steps: [[`leak: ${sixLabels}`, `leak: Error: ${sixLabels}`, leaked], [`look: A ${label}.`]],
      },
      done('No.'),
    ],
  },
]
