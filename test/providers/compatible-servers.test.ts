import { describe, expect, test } from 'vitest'
import type { LLMChunk, LLMRequest } from '../../src/client/client.ts'
import { LLMError } from '../../src/errors.ts'
import { user } from '../../src/messages.ts'
import { OpenAIClient } from '../../src/providers/openai.ts'

/**
 * What servers send that "speak OpenAI's API", as bytes: each wire has one thing that OpenAI itself does not do. All are
 * read cut at every byte.
 */
interface Wire {
  readonly what: string
  /** Without `data: `; a text with a colon in front of its JSON is taken as it is. */
  readonly events?: readonly (string | object)[]
  readonly body?: unknown
  /** A whole response, or what an error has to have. */
  readonly expected: object
}

const hello: LLMRequest = { messages: [user('Hello')] }
const chunk = (delta: object, finish_reason: unknown = null, rest: object = {}) => ({
  choices: [{ index: 0, delta, finish_reason }],
  ...rest,
})
const piece = (index: unknown, id: unknown, name: unknown, args: unknown) => ({
  tool_calls: [{ index, id, type: 'function', function: { name, arguments: args } }],
})
const whole = (message: object, finish_reason: unknown = 'stop', rest: object = {}) => ({
  choices: [{ index: 0, message: { role: 'assistant', ...message }, finish_reason }],
  ...rest,
})
const said = (id: string, city: string) => ({ id, toolName: 'weather', parameters: { city } })
const made = expect.stringMatching(/^call_[\da-f]{32}$/)
const done = '[DONE]'
const two = { text: '', toolCalls: [said('a', 'Oslo'), said('b', 'Paris')], stopReason: 'tool_calls' }
const one = (id: unknown = 'a') => ({
  text: '',
  toolCalls: [{ ...said('a', 'Oslo'), id }],
  stopReason: 'tool_calls',
})
const hi = { text: 'Hi', toolCalls: [], stopReason: 'stop' }
const usage = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 }
const tokens = { inputTokens: 5, outputTokens: 2 }
const oslo = '{"city":"Oslo"}'
const paris = '{"city":"Paris"}'

const wires: readonly Wire[] = [
  {
    what: 'calls without an index',
    events: [
      chunk(piece(undefined, 'a', 'weather', oslo)),
      chunk(piece(undefined, 'b', 'weather', paris), 'tool_calls'),
      done,
    ],
    expected: two,
  },
  {
    what: 'calls that all have index 0',
    events: [
      chunk(piece(0, 'a', 'weather', oslo)),
      chunk(piece(0, 'b', 'weather', paris), 'tool_calls'),
      done,
    ],
    expected: two,
  },
  {
    what: 'indexes from 1',
    events: [
      chunk(piece(1, 'a', 'weather', '{"city":')),
      chunk(piece(1, undefined, undefined, '"Oslo"}')),
      chunk(piece(2, 'b', 'weather', paris), 'tool_calls'),
      done,
    ],
    expected: two,
  },
  {
    what: 'indexes that are no numbers, or huge',
    events: [
      chunk(piece('__proto__', 'a', 'weather', oslo)),
      chunk(piece(1e9, 'b', 'weather', paris), 'tool_calls'),
      done,
    ],
    expected: two,
  },
  {
    what: 'a call that opens before the last one closes',
    events: [
      chunk(piece(0, 'a', 'weather', '{"city":')),
      chunk(piece(1, 'b', 'weather', '{"city":"Pa')),
      chunk(piece(0, undefined, undefined, '"Oslo"}')),
      chunk(piece(1, undefined, undefined, 'ris"}'), 'tool_calls'),
      done,
    ],
    expected: two,
  },
  {
    what: 'calls with one id',
    events: [
      chunk(piece(0, 'a', 'weather', oslo)),
      chunk(piece(1, 'a', 'weather', paris), 'tool_calls'),
      done,
    ],
    expected: { ...two, toolCalls: [said('a', 'Oslo'), { ...said('', 'Paris'), id: made }] },
  },
  {
    what: 'a call without an id',
    events: [chunk(piece(0, '', 'weather', oslo), 'tool_calls'), done],
    expected: one(made),
  },
  {
    what: 'a call whose id and name come with every piece',
    events: [
      chunk(piece(0, 'a', 'weather', '{"city":')),
      chunk(piece(0, 'a', 'weather', '"Oslo"}'), 'tool_calls'),
      done,
    ],
    expected: one(),
  },
  {
    what: 'all calls in one chunk',
    events: [
      chunk(
        {
          tool_calls: [
            ...piece(0, 'a', 'weather', oslo).tool_calls,
            ...piece(1, 'b', 'weather', paris).tool_calls,
          ],
        },
        'stop',
      ),
      done,
    ],
    expected: two,
  },
  {
    what: 'arguments that are an object',
    events: [chunk(piece(0, 'a', 'weather', { city: 'Oslo' }), 'tool_calls'), done],
    expected: one(),
  },
  {
    what: 'arguments that are an object, in a body',
    body: whole({ content: null, ...piece(undefined, 'a', 'weather', { city: 'Oslo' }) }, 'tool_calls'),
    expected: one(),
  },
  ...['', null, '{}', ' '].map((empty) => ({
    what: `arguments that are ${JSON.stringify(empty)}`,
    events: [chunk(piece(0, 'a', 'weather', empty), 'tool_calls'), done],
    expected: { ...one(), toolCalls: [{ id: 'a', toolName: 'weather', parameters: {} }] },
  })),
  {
    what: 'arguments cut by the limit',
    events: [chunk({ content: 'I look.' }), chunk(piece(0, 'a', 'weather', '{"city":"Os'), 'length'), done],
    expected: {
      text: 'I look.',
      toolCalls: [
        {
          id: 'a',
          toolName: 'weather',
          parameters: {},
          invalid: 'The parameters are not valid JSON. Received: {"city":"Os',
        },
      ],
      stopReason: 'length',
    },
  },
  {
    what: 'calls that stop as an answer does',
    events: [chunk(piece(0, 'a', 'weather', oslo), 'stop'), done],
    expected: one(),
  },
  { what: 'no usage', events: [chunk({ content: 'Hi' }, 'stop'), done], expected: hi },
  {
    what: 'usage with every chunk',
    events: [
      chunk({ content: 'H' }, null, { usage: { prompt_tokens: 5, completion_tokens: 1 } }),
      chunk({ content: 'i' }, 'stop', { usage }),
      done,
    ],
    expected: { ...hi, usage: tokens },
  },
  {
    what: 'usage twice, and null after it',
    events: [
      chunk({ content: 'Hi' }, 'stop', { usage }),
      { choices: [], usage },
      { choices: [], usage: null },
      done,
    ],
    expected: { ...hi, usage: tokens },
  },
  {
    what: 'usage in a chunk after the end, without choices',
    events: [chunk({ content: 'Hi' }, 'stop'), { usage }, done],
    expected: { ...hi, usage: tokens },
  },
  {
    what: 'usage inside the choice',
    events: [{ choices: [{ index: 0, delta: { content: 'Hi' }, finish_reason: 'stop', usage }] }, done],
    expected: { ...hi, usage: tokens },
  },
  { what: 'no [DONE]', events: [chunk({ content: 'Hi' }, 'stop')], expected: hi },
  {
    what: 'no finish reason',
    events: [chunk({ content: 'Hi' }), done],
    expected: { ...hi, stopReason: 'unknown' },
  },
  {
    what: 'neither',
    events: [chunk({ content: 'Hi' })],
    expected: { kind: 'malformed', retryable: true },
  },
  {
    what: 'a finish reason that nobody knows',
    events: [chunk({ content: 'Hi' }, 'eos_token'), done],
    expected: { ...hi, stopReason: 'unknown' },
  },
  {
    what: 'content that is null, then text',
    events: [chunk({ role: 'assistant', content: null }), chunk({ content: 'Hi' }, 'stop'), done],
    expected: hi,
  },
  {
    what: 'content in parts',
    events: [
      chunk({ content: [{ type: 'text', text: 'H' }] }),
      chunk({ content: [{ type: 'text', text: 'i' }] }, 'stop'),
      done,
    ],
    expected: hi,
  },
  {
    what: 'content in parts, in a body',
    body: whole({
      content: [
        { type: 'thinking', thinking: [{ type: 'text', text: 'hm' }] },
        { type: 'text', text: 'Hi' },
      ],
    }),
    expected: { ...hi, reasoning: [{ provider: 'openai', model: 'gpt-4o', text: 'hm' }] },
  },
  ...['reasoning', 'reasoning_content'].map((field) => ({
    what: `thoughts in ${field}`,
    events: [
      chunk({ [field]: 'h' }),
      chunk({ [field]: 'm', content: '' }),
      chunk({ content: 'Hi' }, 'stop'),
      done,
    ],
    expected: { ...hi, reasoning: [{ provider: 'openai', model: 'gpt-4o', text: 'hm' }] },
  })),
  {
    what: 'an error with a number for its code',
    events: [chunk({ content: 'H' }), { error: { message: 'slow down', code: 429 } }],
    expected: { kind: 'rate_limit', status: 429, retryable: true },
  },
  {
    what: 'an error as an event of that name',
    events: [
      chunk({ content: 'H' }),
      'event: error\ndata: {"message":"out of memory","type":"server_error"}',
    ],
    expected: { kind: 'overloaded', retryable: true },
  },
  {
    what: 'an error that is only text',
    events: ['{"error":"model is loading"}'],
    expected: { kind: 'overloaded', message: 'openai (gpt-4o) failed: model is loading. Call again later.' },
  },
  {
    what: 'an error in a body with status 200',
    body: { error: { message: 'no', type: 'invalid_request_error', code: 400 } },
    expected: { kind: 'invalid_request', status: 400, retryable: false },
  },
  {
    what: 'comments, names, ids and CRLF between events',
    events: [
      ': ping',
      'id: 1\r\nevent: message\r\nretry: 5\r\ndata: {"choices":[{"delta":{"content":"Hi"}}]}\r',
      chunk({}, 'stop'),
      done,
    ],
    expected: hi,
  },
  {
    what: 'a stream in the place of a body, and a body in that of a stream',
    body: whole({ content: 'Hi' }),
    expected: hi,
  },
]

describe.each(wires)('a server that sends $what', ({ events, body, expected }) => {
  const bytes = new TextEncoder().encode(
    body === undefined ? (events ?? []).map(written).join('') : JSON.stringify(body),
  )

  test.each(['call', 'stream'] as const)('is understood at every cut: %s', async (verb) => {
    const whole = await outcome(verb, [bytes])
    expect(whole).toMatchObject(expected)
    if (!(whole instanceof LLMError)) expect(whole).toEqual(expected)
    const cuts = Array.from({ length: bytes.length - 1 }, (_, index) => [
      bytes.subarray(0, index + 1),
      bytes.subarray(index + 1),
    ])
    const single = Array.from(bytes, (byte) => Uint8Array.of(byte))
    for (const pieces of [...cuts, single]) expect(await outcome(verb, pieces)).toMatchObject(expected)
  })
})

function written(event: string | object): string {
  if (typeof event !== 'string') return `data: ${JSON.stringify(event)}\n\n`
  return /^(:|\w+: )/.test(event) ? `${event}\n\n` : `data: ${event}\n\n`
}

/** The response, or the failure, of one call. */
async function outcome(verb: 'call' | 'stream', pieces: readonly Uint8Array[]): Promise<unknown> {
  const fetch = async () =>
    new Response(
      new ReadableStream({
        start(controller) {
          for (const piece of pieces) controller.enqueue(piece)
          controller.close()
        },
      }),
    )
  const client = new OpenAIClient({ apiKey: 'sk-test', baseURL: 'http://server.test/v1', fetch })
  try {
    if (verb === 'call') return await client.call(hello)
    const chunks: LLMChunk[] = []
    for await (const chunk of client.stream(hello)) chunks.push(chunk)
    const end = chunks.at(-1)
    if (end?.type !== 'end') throw new Error('no end')
    const texts = chunks.flatMap((chunk) => (chunk.type === 'text' ? [chunk.text] : []))
    expect(texts.join('')).toBe(end.response.text)
    return end.response
  } catch (error) {
    return error
  }
}
