import { describe, expect, test } from 'vitest'
import type { LLMChunk, LLMResponse } from '../../../src/client/client.ts'
import { LLMError } from '../../../src/errors.ts'
import { MessagesReader } from '../../../src/providers/anthropic-messages/response.ts'
import { Scrubber } from '../../../src/scrubber.ts'
import { close, end, fixtures, given, open, said, start, stop, text, tool } from './fixtures.ts'

const key = 'sk-ant-0123456789'

function readerOf(): MessagesReader {
  let calls = 0
  return new MessagesReader({
    provider: 'anthropic',
    model: 'claude-test',
    scrubber: new Scrubber([{ name: 'apiKey', value: key }]),
    now: () => 0,
    newCallId: () => `new_${++calls}`,
  })
}

function read(events: readonly (object | string)[]): { chunks: LLMChunk[]; response: LLMResponse } {
  const reader = readerOf()
  const chunks = events.flatMap((event) => [
    ...reader.readEvent({ data: typeof event === 'string' ? event : JSON.stringify(event) }),
  ])
  const last = reader.end()
  if (last.type !== 'end') throw new Error('no end')
  return { chunks, response: last.response }
}

function readBody(body: unknown): LLMResponse {
  const reader = readerOf()
  reader.readBody(typeof body === 'string' ? body : JSON.stringify(body))
  const last = reader.end()
  if (last.type !== 'end') throw new Error('no end')
  return last.response
}

function failure(act: () => unknown): LLMError {
  try {
    act()
  } catch (error) {
    if (error instanceof LLMError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe('a stream', () => {
  test.each(fixtures)('$name', ({ events, response }) => {
    const isAnnounced = events.at(-1) === end
    const { chunks, response: got } = read(isAnnounced ? events : [...events, '[DONE]'])
    expect(got).toEqual(response)
    const texts = (type: 'text' | 'reasoning') =>
      chunks.flatMap((chunk) => (chunk.type === type ? [chunk.text] : [])).join('')
    expect(texts('text')).toBe(response.text)
    expect(texts('reasoning')).toBe((response.reasoning ?? []).map((each) => each.text ?? '').join(''))
  })

  test('tells calls as they arrive', () => {
    const events = [start(), ...tool(3, 'a', '', '{"n"', ':1}'), stop('tool_use'), end]
    expect(read(events).chunks).toEqual([
      { type: 'tool_call', index: 0, id: 'a', toolName: 'look' },
      { type: 'tool_call', index: 0, parametersText: '{"n"' },
      { type: 'tool_call', index: 0, parametersText: ':1}' },
    ])
  })

  test.each([-1, '5', 1e308, 0.5])('reports no usage if half of it is %j', (wrong) => {
    const used = (first: object, last: object) =>
      read([start(first), ...text(0, 'Hi.'), stop('end_turn', last), end]).response.usage
    const cached = { cache_read_input_tokens: 0 }
    expect(used({ input_tokens: wrong, ...cached, output_tokens: 1 }, { output_tokens: 8 })).toBeUndefined()
    expect(used({ input_tokens: 9, output_tokens: 1 }, { output_tokens: wrong })).toBeUndefined()
    expect(used({ input_tokens: 9, output_tokens: 8 }, { output_tokens: null })).toEqual({
      inputTokens: 9,
      outputTokens: 8,
    })
  })

  test('is over with its end: what follows is not read', () => {
    const after = [said(0, 'more'), { type: 'error', error: { type: 'api_error', message: 'x' } }]
    expect(read([start(), ...text(0, 'Hi.'), stop('end_turn'), end, ...after]).response.text).toBe('Hi.')
  })

  test.each([
    ['without any event', []],
    ['that never says why it stopped', [start(), ...text(0, 'Hi.')]],
    ['that says why it stopped, and not that it is whole', [start(), ...text(0, 'Hi.'), stop('end_turn')]],
    ['whose end is announced by another API before it stopped', [start(), ...text(0, 'Hi.'), '[DONE]']],
  ])('%s ended early', (_, events) => {
    expect(failure(() => read(events))).toMatchObject({
      kind: 'malformed',
      retryable: true,
      message:
        'anthropic (claude-test) answered with a stream ended early, before it said why it stopped. Call again. If it stays, check the base URL.',
    })
  })

  test('that starts over with another message is not put together with it', () => {
    const first = [
      start({}, 'msg_1'),
      open(0, { type: 'tool_use', id: 'a', name: 'look', input: {} }),
      given(0, '{"n"'),
    ]
    expect(
      failure(() => read([...first, start({}, 'msg_2'), ...text(0, 'Hi.'), stop('end_turn'), end])),
    ).toMatchObject({
      kind: 'malformed',
      message: expect.stringContaining('a stream that starts over with another message'),
    })
  })

  test.each([
    ['{"type":', 'a stream with an event that is no JSON: {"type":'],
    [`"${key}"`, 'a stream with an event that is no object: "[secret:apiKey]"'],
  ])('%s is malformed', (data, what) => {
    const { kind, message } = failure(() => read([start(), data]))
    expect([kind, message]).toEqual(['malformed', expect.stringContaining(what)])
  })

  test.each([
    ['overloaded_error', 'Overloaded', 'overloaded', true],
    ['rate_limit_error', 'Slow down', 'rate_limit', true],
    ['rate_limit_error', 'Your account has hit its credit limit.', 'quota', false],
    ['api_error', 'Internal server error', 'overloaded', true],
    ['timeout_error', 'Too slow', 'timeout', true],
    ['authentication_error', 'invalid x-api-key', 'auth', false],
    ['permission_error', 'No', 'auth', false],
    ['billing_error', 'No money', 'quota', false],
    ['not_found_error', 'model: m', 'not_found', false],
    ['request_too_large', 'Too large', 'context_length', false],
    ['invalid_request_error', 'messages: at least one message is required', 'invalid_request', false],
    ['invalid_request_error', 'prompt is too long: 9 tokens > 8 maximum', 'context_length', false],
    [
      'invalid_request_error',
      'input length and `max_tokens` exceed context limit: 9 > 8',
      'context_length',
      false,
    ],
    ['invalid_request_error', 'Your credit balance is too low to access the Anthropic API.', 'quota', false],
    ['invalid_request_error', 'Output blocked by content filtering policy', 'content_filter', false],
  ])('an error of the type %s (%s) is %s', (type, message, kind, retryable) => {
    const event = { type: 'error', error: { type, message }, request_id: 'req_1' }
    expect(failure(() => read([start(), ...text(0, 'Hi.'), event]))).toMatchObject({ kind, retryable })
    expect(failure(() => readBody(event))).toMatchObject({ kind, retryable })
  })

  test.each([
    ['end_turn', 'stop'],
    ['stop_sequence', 'stop'],
    ['max_tokens', 'length'],
    ['model_context_window_exceeded', 'length'],
    ['refusal', 'refusal'],
    ['pause_turn', 'unknown'],
    ['tool_use', 'unknown'],
    ['constructor', 'unknown'],
    [null, 'unknown'],
  ])('stop reason %s is %s', (wire, ours) => {
    expect(read([start(), ...text(0, 'Hi.'), stop(wire), end]).response.stopReason).toBe(ours)
  })

  test('indexes and names that are keys of every object are keys like others', () => {
    const events = [
      start(),
      ...tool('__proto__', '__proto__', '{"__proto__":{"a":1}}'),
      stop('tool_use'),
      end,
    ]
    const [call] = read(events).response.toolCalls
    expect([call?.id, Object.keys(call?.parameters ?? {})]).toEqual(['__proto__', ['__proto__']])
    expect({}).not.toHaveProperty('a')
  })

  test('a block that is nested too deep is not kept', () => {
    const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`
    const block = `{"type":"server_tool_use","id":"s","input":${deep}}`
    const result = open(1, { type: 'web_search_tool_result', tool_use_id: 's', content: [] })
    const events = [start(), `{"type":"content_block_start","index":0,"content_block":${block}}`, result]
    expect(read([...events, ...text(2, 'Hi.'), stop('end_turn'), end]).response).not.toHaveProperty(
      'reasoning',
    )
  })
})

describe('a body', () => {
  const message = (content: readonly object[], stop_reason: string) => ({
    id: 'msg_1',
    type: 'message',
    content,
    stop_reason,
    usage: { input_tokens: 5, cache_read_input_tokens: 3, cache_creation_input_tokens: 1, output_tokens: 8 },
  })

  test('is read as its stream is', () => {
    const content = [
      { type: 'thinking', thinking: 'Hm.', signature: 'signed' },
      { type: 'redacted_thinking', data: 'hidden' },
      { type: 'text', text: 'I look.', citations: null },
      { type: 'tool_use', id: 'a', name: 'look', input: { n: 1 }, caller: { type: 'direct' } },
      { type: 'tool_use', id: 'b', name: 'look', input: {} },
    ]
    const usage = { inputTokens: 9, outputTokens: 8, cachedInputTokens: 3, cacheWriteTokens: 1 }
    const { events, response } = {
      events: [
        start({
          input_tokens: 5,
          cache_read_input_tokens: 3,
          cache_creation_input_tokens: 1,
          output_tokens: 1,
        }),
        ...content.flatMap((block, index) => [open(index, block), close(index)]),
        stop('tool_use'),
        end,
      ],
      response: readBody(message(content, 'tool_use')),
    }
    expect(response).toMatchObject({
      text: 'I look.',
      toolCalls: [
        { id: 'a', toolName: 'look', parameters: { n: 1 } },
        { id: 'b', toolName: 'look', parameters: {} },
      ],
      stopReason: 'tool_calls',
      usage,
    })
    expect(response.reasoning).toHaveLength(2)
    expect(read(events).response).toEqual(response)
    // And as one event of a stream, or once more after it.
    expect(read([message(content, 'tool_use')]).response).toEqual(response)
    expect(read([...events.slice(0, -1), message(content, 'tool_use')]).response).toEqual(response)
  })

  test.each([
    ['', 'an empty body'],
    ['<html>', 'a web page instead of JSON'],
    ['null', 'JSON that is no object: null'],
    ['{}', 'JSON that has no content'],
    ['{"content":"Hi"}', 'JSON that has no content'],
    ['Oops', 'what is no JSON: Oops'],
  ])('%j is malformed', (body, what) => {
    expect(failure(() => readBody(body))).toMatchObject({
      kind: 'malformed',
      message: `anthropic (claude-test) answered with ${what}. Call again. If it stays, check the base URL.`,
    })
  })

  test('an error without its wrapper is one', () => {
    expect(failure(() => readBody({ message: 'Slow down', type: 'rate_limit_error' })).kind).toBe(
      'rate_limit',
    )
  })
})
