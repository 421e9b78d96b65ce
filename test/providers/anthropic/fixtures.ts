import { expect } from 'vitest'
import type { LLMResponse } from '../../../src/client/client.ts'

/** A stream of the Messages API as its events, and what it says. */
export interface Fixture {
  readonly name: string
  readonly events: readonly object[]
  readonly response: LLMResponse
}

type Response = Partial<LLMResponse> & Pick<LLMResponse, 'stopReason'>

const whole = (response: Response): LLMResponse => ({ text: '', toolCalls: [], ...response })

export const start = (usage: object = { input_tokens: 9, output_tokens: 1 }, id = 'msg_1') => ({
  type: 'message_start',
  message: { id, type: 'message', role: 'assistant', content: [], model: 'm', stop_reason: null, usage },
})
export const open = (index: unknown, content_block: object) => ({
  type: 'content_block_start',
  index,
  content_block,
})
export const piece = (index: unknown, delta: object) => ({ type: 'content_block_delta', index, delta })
export const said = (index: unknown, text: string) => piece(index, { type: 'text_delta', text })
export const given = (index: unknown, partial_json: unknown) =>
  piece(index, { type: 'input_json_delta', partial_json })
export const close = (index: unknown) => ({ type: 'content_block_stop', index })
export const stop = (stop_reason: string | null, usage: object | null = { output_tokens: 8 }) => ({
  type: 'message_delta',
  delta: { stop_reason, stop_sequence: null },
  ...(usage && { usage }),
})
export const end = { type: 'message_stop' }
export const ping = { type: 'ping' }
export const text = (index: unknown, value: string) => [
  open(index, { type: 'text', text: '' }),
  said(index, value),
  close(index),
]
export const tool = (index: unknown, id: string, ...pieces: readonly string[]) => [
  open(index, { type: 'tool_use', id, name: 'look', input: {} }),
  ...pieces.map((each) => given(index, each)),
  close(index),
]

const usage = { inputTokens: 9, outputTokens: 8 }
const look = (id: string, parameters: LLMResponse['toolCalls'][number]['parameters'] = {}) => ({
  id,
  toolName: 'look',
  parameters,
})
const thought = (opaque: NonNullable<LLMResponse['reasoning']>[number]['opaque'], words?: string) => ({
  provider: 'anthropic',
  model: 'claude-test',
  ...(words !== undefined && { text: words }),
  ...(opaque !== undefined && { opaque }),
})
const hash = expect.stringMatching(/^[\da-z]{14}$/)

/** What the API and those who offer it elsewhere were seen to send, made anew. */
export const fixtures: readonly Fixture[] = [
  {
    name: 'text in pieces, with pings between them',
    events: [
      start(),
      ping,
      open(0, { type: 'text', text: 'Sch' }),
      said(0, 'ön'),
      ping,
      said(0, ' 👋'),
      said(0, ''),
      close(0),
      stop('end_turn'),
      end,
    ],
    response: whole({ text: 'Schön 👋', stopReason: 'stop', usage }),
  },
  {
    name: 'thinking with its signature before text and two calls',
    events: [
      start(),
      open(0, { type: 'thinking', thinking: '', signature: '' }),
      piece(0, { type: 'thinking_delta', thinking: 'Let me ' }),
      piece(0, { type: 'thinking_delta', thinking: 'look.' }),
      piece(0, { type: 'signature_delta', signature: 'signed' }),
      close(0),
      ...text(1, 'I look.'),
      ...tool(2, 'toolu_1', '', '{"city":', ' "Oslo"}'),
      ...tool(3, 'toolu_2'),
      stop('tool_use', { output_tokens: 8, output_tokens_details: { thinking_tokens: 3 } }),
      end,
    ],
    response: whole({
      text: 'I look.',
      toolCalls: [look('toolu_1', { city: 'Oslo' }), look('toolu_2')],
      reasoning: [thought({ at: [0, 0], signature: 'signed', hash }, 'Let me look.')],
      stopReason: 'tool_calls',
      usage: { ...usage, reasoningTokens: 3 },
    }),
  },
  {
    name: 'thinking that is hidden, or whose text is, and thinking between a text and a call',
    events: [
      start(),
      open(0, { type: 'redacted_thinking', data: 'hidden' }),
      close(0),
      ...text(1, 'First.'),
      open(2, { type: 'thinking', thinking: '' }),
      piece(2, { type: 'signature_delta', signature: 'signed' }),
      close(2),
      ...tool(3, 'toolu_1', '{}'),
      stop('tool_use'),
      end,
    ],
    response: whole({
      text: 'First.',
      toolCalls: [look('toolu_1')],
      reasoning: [
        thought({ at: [0, 0], block: { type: 'redacted_thinking', data: 'hidden' } }),
        thought({ at: [6, 0], signature: 'signed', hash }),
      ],
      stopReason: 'tool_calls',
      usage,
    }),
  },
  {
    name: 'thinking that was cut before its signature',
    events: [
      start(),
      open(0, { type: 'thinking', thinking: 'Hm' }),
      piece(0, { type: 'thinking_delta', thinking: 'm' }),
      stop('max_tokens'),
      end,
    ],
    response: whole({ reasoning: [thought(undefined, 'Hmm')], stopReason: 'length', usage }),
  },
  {
    name: 'tools of the provider, one of them cut short, a summary, and what nobody knows',
    events: [
      start(),
      open(0, { type: 'compaction', content: null }),
      piece(0, { type: 'compaction_delta', content: 'Before: nothing.' }),
      close(0),
      open(1, { type: 'server_tool_use', id: 's1', name: 'web_search', input: {} }),
      given(1, '{"query":'),
      given(1, '"oslo"}'),
      close(1),
      open(2, { type: 'web_search_tool_result', tool_use_id: 's1', content: [{ title: 'Oslo' }] }),
      close(2),
      ...text(3, 'Found.'),
      piece(3, { type: 'citations_delta', citation: {} }),
      open(4, { type: 'brand_new', value: 1 }),
      piece(4, { type: 'brand_new_delta', value: 2 }),
      close(4),
      open(5, { type: 'server_tool_use', id: 's2', name: 'web_search', input: {} }),
      close(5),
      { type: 'brand_new_event' },
      stop('pause_turn'),
      end,
    ],
    response: whole({
      text: 'Found.',
      reasoning: [
        thought({ at: [0, 0], block: { type: 'compaction', content: 'Before: nothing.' } }),
        thought({
          at: [0, 0],
          block: { type: 'server_tool_use', id: 's1', name: 'web_search', input: { query: 'oslo' } },
        }),
        thought({
          at: [0, 0],
          block: { type: 'web_search_tool_result', tool_use_id: 's1', content: [{ title: 'Oslo' }] },
        }),
      ],
      stopReason: 'unknown',
      usage,
    }),
  },
  {
    name: 'blocks that open before the last one closes, in no order',
    events: [
      start(),
      open(2, { type: 'tool_use', id: 'a', name: 'look', input: {} }),
      open(7, { type: 'tool_use', id: 'b', name: 'look', input: {} }),
      given(7, '{"n":'),
      given(2, '{"n"'),
      open(0, { type: 'text', text: '' }),
      given(7, '2}'),
      said(0, 'Both.'),
      given(2, ':1}'),
      close(2),
      stop('tool_use'),
      end,
    ],
    response: whole({
      text: 'Both.',
      toolCalls: [look('a', { n: 1 }), look('b', { n: 2 })],
      stopReason: 'tool_calls',
      usage,
    }),
  },
  {
    name: 'one index for every block, or none',
    events: [
      start(),
      ...tool(0, 'a', '{"n":1}'),
      ...tool(0, 'b', '{"n":2}'),
      open(undefined, { type: 'tool_use', id: 'c', name: 'look', input: {} }),
      given(undefined, '{"n":3}'),
      stop('tool_use'),
      end,
    ],
    response: whole({
      toolCalls: [look('a', { n: 1 }), look('b', { n: 2 }), look('c', { n: 3 })],
      stopReason: 'tool_calls',
      usage,
    }),
  },
  {
    name: 'everything that frames content twice',
    events: [
      start(),
      start(),
      open(0, { type: 'text', text: '' }),
      open(0, { type: 'text', text: '' }),
      said(0, 'Hi.'),
      close(0),
      close(0),
      open(1, { type: 'tool_use', id: 'a', name: 'look', input: { n: 1 } }),
      open(1, { type: 'tool_use', id: 'a', name: 'look', input: { n: 1 } }),
      close(1),
      close(1),
      stop('tool_use'),
      stop('tool_use'),
      end,
    ],
    response: whole({
      text: 'Hi.',
      toolCalls: [look('a', { n: 1 })],
      stopReason: 'tool_calls',
      usage,
    }),
  },
  {
    name: 'blocks that were never started',
    events: [
      start(),
      piece(0, { type: 'thinking_delta', thinking: 'Hm.' }),
      said(1, 'Hi.'),
      stop('end_turn'),
      end,
    ],
    response: whole({ text: 'Hi.', reasoning: [thought(undefined, 'Hm.')], stopReason: 'stop', usage }),
  },
  {
    name: 'an input that is whole at once, as an object or as text',
    events: [
      start(),
      open(0, { type: 'tool_use', id: 'a', name: 'look', input: { n: 1 } }),
      close(0),
      open(1, { type: 'tool_use', id: 'b', name: 'look', input: '{"n":2}' }),
      open(2, { type: 'tool_use', id: 'c', name: 'look', input: { n: 0 } }),
      given(2, '{"n":3}'),
      open(3, { type: 'tool_use', id: 'd', name: 'look', input: { n: 4 } }),
      stop('tool_use'),
      end,
    ],
    response: whole({
      toolCalls: [look('a', { n: 1 }), look('b', { n: 2 }), look('c', { n: 3 }), look('d', { n: 4 })],
      stopReason: 'tool_calls',
      usage,
    }),
  },
  {
    name: 'an input that is no JSON',
    events: [start(), ...tool(0, 'a', '{"n":'), stop('tool_use'), end],
    response: whole({
      toolCalls: [{ ...look('a'), invalid: 'The parameters are not valid JSON. Received: {"n":' }],
      stopReason: 'tool_calls',
      usage,
    }),
  },
  {
    name: 'a call that was cut',
    events: [start(), ...tool(0, 'a', '{"n":1}'), stop('max_tokens'), end],
    response: whole({ toolCalls: [look('a', { n: 1 })], stopReason: 'length', usage }),
  },
  {
    name: 'a start that is repeated, and a usage that is reported again and again',
    events: [
      start({
        input_tokens: 5,
        cache_read_input_tokens: 3,
        cache_creation_input_tokens: 2,
        output_tokens: 1,
      }),
      start({
        input_tokens: 5,
        cache_read_input_tokens: 3,
        cache_creation_input_tokens: 2,
        output_tokens: 1,
      }),
      ...text(0, 'Hi.'),
      stop(null, { output_tokens: 4, input_tokens: 0 }),
      stop('end_turn', { output_tokens: 8 }),
      stop(null, {
        input_tokens: 6,
        cache_read_input_tokens: 3,
        cache_creation_input_tokens: null,
        output_tokens: 9,
      }),
      end,
    ],
    response: whole({
      text: 'Hi.',
      stopReason: 'stop',
      usage: { inputTokens: 11, outputTokens: 9, cachedInputTokens: 3, cacheWriteTokens: 2 },
    }),
  },
  {
    name: 'no usage, and an end in the words of another API',
    events: [{ type: 'message_start', message: { id: 'a' } }, ...text(0, 'Hi.'), stop('end_turn', null)],
    response: whole({ text: 'Hi.', stopReason: 'stop' }),
  },
  {
    name: 'a refusal in the middle of an answer',
    events: [start(), ...text(0, 'Well'), stop('refusal'), end],
    response: whole({ text: 'Well', stopReason: 'refusal', usage }),
  },
]

/** The events as bytes of a stream, as the API names them. */
export function streamed(events: readonly object[]): string {
  return events
    .map((event) => `event: ${Reflect.get(event, 'type')}\ndata: ${JSON.stringify(event)}\n\n`)
    .join('')
}
