import { describe, expect, test } from 'vitest'
import type { LLMChunk, LLMResponse } from '../../../src/client/client.ts'
import { CompletionReader } from '../../../src/providers/chat-completions/response.ts'
import { openAIQuirks, type Quirks } from '../../../src/providers/quirks.ts'
import { Scrubber } from '../../../src/scrubber.ts'

const source = { provider: 'openai', model: 'gpt-4o' }

function reader(quirks: Partial<Quirks> = {}): CompletionReader {
  let count = 0
  const newCallId = () => {
    count += 1
    return `new_${count}`
  }
  const scrubber = new Scrubber([{ name: 'apiKey', value: 'sk-secret-1234' }])
  return new CompletionReader({
    ...source,
    scrubber,
    now: () => 0,
    newCallId,
    quirks: { ...openAIQuirks, ...quirks },
    requestId: 'req_1',
  })
}

/** All chunks of a stream of these events; text stands for itself, anything else for its JSON. */
function streamed(...events: readonly unknown[]): LLMChunk[] {
  const reading = reader()
  const chunks = events.flatMap((event) =>
    reading.readEvent({ data: typeof event === 'string' ? event : JSON.stringify(event) }),
  )
  return [...chunks, reading.end()]
}

function whole(body: unknown): LLMResponse {
  const reading = reader()
  reading.readBody(typeof body === 'string' ? body : JSON.stringify(body))
  return responseOf(reading.end())
}

function responseOf(chunk: LLMChunk | undefined): LLMResponse {
  if (chunk?.type !== 'end') throw new Error('no end')
  return chunk.response
}

const response = (...events: readonly unknown[]) => responseOf(streamed(...events).at(-1))

const delta = (delta: unknown, finish_reason: string | null = null) => ({
  choices: [{ index: 0, delta, finish_reason }],
})
const message = (message: unknown, finish_reason: unknown = 'stop', rest: object = {}) => ({
  choices: [{ index: 0, message, finish_reason }],
  ...rest,
})
const fn = (name: string, args: unknown, rest: object = {}) => ({
  ...rest,
  function: { name, arguments: args },
})
const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 }

describe('a stream', () => {
  test('becomes chunks as it arrives, and one end with all of it', () => {
    expect(
      streamed(
        delta({ role: 'assistant', content: '' }),
        delta({ reasoning_content: 'hm' }),
        delta({ content: 'Hel' }),
        delta({ content: 'lo' }),
        delta({
          tool_calls: [{ index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '' } }],
        }),
        delta({ tool_calls: [{ index: 0, function: { arguments: '{}' } }] }),
        delta({}, 'tool_calls'),
        { choices: [], usage: { ...usage, prompt_tokens_details: { cached_tokens: 4 } } },
        '[DONE]',
        { this: 'is', junk: true },
      ),
    ).toEqual([
      { type: 'reasoning', text: 'hm' },
      { type: 'text', text: 'Hel' },
      { type: 'text', text: 'lo' },
      { type: 'tool_call', index: 0, id: 'a', toolName: 'f' },
      { type: 'tool_call', index: 0, parametersText: '{}' },
      {
        type: 'end',
        response: {
          text: 'Hello',
          toolCalls: [{ id: 'a', toolName: 'f', parameters: {} }],
          reasoning: [{ ...source, text: 'hm' }],
          stopReason: 'tool_calls',
          usage: { inputTokens: 10, outputTokens: 5, cachedInputTokens: 4 },
          requestId: 'req_1',
        },
      },
    ])
  })

  test('with a finish reason needs no [DONE]; with [DONE] its reason is unknown', () => {
    expect(response(delta({ content: 'a' }, 'stop')).stopReason).toBe('stop')
    expect(response(delta({ content: 'a' }), '[DONE]').stopReason).toBe('unknown')
    expect(response(delta({ tool_calls: [fn('f', '{}', { id: 'a' })] }), '[DONE]').stopReason).toBe(
      'tool_calls',
    )
  })

  test.each([
    ['that ends early', [delta({ content: 'half' })], /ended early/],
    ['that holds nothing', ['[DONE]'], /no message in it/],
    ['that holds no choice', [{ choices: [], usage }, '[DONE]'], /no message in it/],
    ['with a broken event', ['{"choices":[{'], /an event that is no JSON/],
    ['with null for an event', ['null'], /an event that is no object: null/],
  ])('%s is malformed', (_, events, message) => {
    expect(() => streamed(...events)).toThrow(
      expect.objectContaining({
        kind: 'malformed',
        retryable: true,
        requestId: 'req_1',
        message: expect.stringMatching(message),
      }),
    )
  })

  test.each([
    [{ error: { message: 'Overloaded', type: 'overloaded_error' } }, 'overloaded', undefined, true],
    [
      {
        error: { message: 'Provider disconnected', code: 502 },
        choices: [{ delta: {}, finish_reason: 'error' }],
      },
      'overloaded',
      502,
      true,
    ],
    [{ error: { message: 'Too fast', code: 'rate_limit_exceeded' } }, 'rate_limit', undefined, true],
    [{ error: { message: 'No', type: 'invalid_request_error' } }, 'invalid_request', undefined, false],
    [{ error: { message: 'Broken call', code: 'tool_use_failed' } }, 'malformed', undefined, true],
    [{ error: 'boom' }, 'overloaded', undefined, true],
  ])('with the error %j fails as %s', (event, kind, status, retryable) => {
    expect(() => streamed(delta({ content: 'a' }), event)).toThrow(
      expect.objectContaining({ kind, retryable, ...(status !== undefined && { status }) }),
    )
  })

  test('with an event of type error fails with what it says', () => {
    expect(() => reader().readEvent({ type: 'error', data: '{"message":"Out of memory"}' })).toThrow(
      'openai (gpt-4o) failed: Out of memory. Call again later.',
    )
  })

  test('ignores events it does not know, other choices, and a message told twice', () => {
    expect(
      response(
        { object: 'brand.new', x: 1 },
        { choices: [null, 'x', { index: 0, delta: { content: 'a', zap: 1 } }] },
        { choices: [{ index: 1, delta: { content: 'other' }, finish_reason: 'length' }] },
        message({ content: 'a' }),
      ),
    ).toEqual({ text: 'a', toolCalls: [], stopReason: 'stop', requestId: 'req_1' })
  })
})

describe('a whole body', () => {
  test('becomes the same as a stream of it', () => {
    const body = message(
      {
        role: 'assistant',
        content: 'Hi',
        tool_calls: [fn('f', '{"a":1}', { id: 'x' }), fn('g', { b: 2 }, { id: 'x' })],
      },
      'tool_calls',
      { usage },
    )
    expect(whole(body)).toEqual({
      text: 'Hi',
      toolCalls: [
        { id: 'x', toolName: 'f', parameters: { a: 1 } },
        { id: 'new_1', toolName: 'g', parameters: { b: 2 } },
      ],
      stopReason: 'tool_calls',
      usage: { inputTokens: 10, outputTokens: 5 },
      requestId: 'req_1',
    })
  })

  test('has a reason even if it does not say it, and calls functions in the old way', () => {
    expect(whole(message({ content: 'a' }, ''))).toMatchObject({ text: 'a', stopReason: 'unknown' })
    expect(
      whole(message({ content: null, function_call: { name: 'f', arguments: '{}' } }, 'function_call')),
    ).toEqual({
      text: '',
      toolCalls: [{ id: 'new_1', toolName: 'f', parameters: {} }],
      stopReason: 'tool_calls',
      requestId: 'req_1',
    })
    expect(
      whole(message({ content: 'a', function_call: { name: '', arguments: '' } }, '')).toolCalls,
    ).toEqual([])
  })

  test('may hold its content in parts', () => {
    const content = [
      { type: 'thinking', thinking: [{ type: 'text', text: 'hm' }] },
      { type: 'text', text: 'a' },
      null,
      { type: 'image' },
      { type: 'text', text: 'b' },
    ]
    expect(whole(message({ content }))).toMatchObject({ text: 'ab', reasoning: [{ ...source, text: 'hm' }] })
  })

  test.each([
    ['', /an empty body/],
    ['<!doctype html><title>502</title>', /a web page instead of JSON/],
    ['upstream sk-secret-1234 failed', /no JSON: upstream \[secret:apiKey\] failed/],
    ['null', /JSON that is no object: null/],
    ['[]', /JSON that is no object/],
    ['{}', /JSON that has no choices/],
    ['{"choices":[]}', /JSON that has no message/],
    ['{"choices":[{"message":null,"finish_reason":"stop"}]}', /JSON that has no message/],
  ])('that is %j is malformed', (text, message) => {
    expect(() => whole(text)).toThrow(
      expect.objectContaining({
        kind: 'malformed',
        retryable: true,
        message: expect.stringMatching(message),
      }),
    )
  })

  test.each([
    { error: { code: 503, message: 'Busy' } },
    { error: 'Busy', choices: [] },
    { message: 'Busy', code: 503 },
    { detail: 'Busy' },
  ])('that is the error %j fails with it', (body) => {
    expect(() => whole(body)).toThrow(
      expect.objectContaining({ kind: 'overloaded', message: expect.stringContaining('Busy') }),
    )
  })
})

test.each([
  ['stop', 'stop'],
  ['eos', 'stop'],
  ['length', 'length'],
  ['content_filter', 'content_filter'],
  ['error', 'error'],
  ['something_new', 'unknown'],
  ['__proto__', 'unknown'],
])('the finish reason %s is %s', (reason, stopReason) => {
  expect(whole(message({ content: 'a' }, reason)).stopReason).toBe(stopReason)
})

test('a refusal is the text, and the reason', () => {
  const expected = { text: 'I cannot.', toolCalls: [], stopReason: 'refusal', requestId: 'req_1' }
  expect(whole(message({ content: null, refusal: 'I cannot.' }))).toEqual(expected)
  expect(response(delta({ refusal: 'I can' }), delta({ refusal: 'not.' }), delta({}, 'stop'))).toEqual(
    expected,
  )
  expect(whole(message({ content: 'a', refusal: '' })).stopReason).toBe('stop')
})

describe('usage', () => {
  const told = (...reports: readonly unknown[]) =>
    response(delta({ content: 'a' }, 'stop'), ...reports.map((usage) => ({ choices: [], usage })), '[DONE]')
      .usage

  test('is the last that was reported, and absent if none was', () => {
    expect(told(usage, { ...usage, completion_tokens: 6 }, null)).toEqual({
      inputTokens: 10,
      outputTokens: 6,
    })
    expect(told()).toBeUndefined()
    expect(told({})).toBeUndefined()
  })

  test('has reasoning within the output, also where a server counts it beside', () => {
    const details = { completion_tokens_details: { reasoning_tokens: 3 } }
    expect(told({ ...usage, ...details })).toEqual({ inputTokens: 10, outputTokens: 5, reasoningTokens: 3 })
    expect(told({ ...usage, ...details, total_tokens: 18 })).toEqual({
      inputTokens: 10,
      outputTokens: 8,
      reasoningTokens: 3,
    })
  })

  test.each([-1, '5', null, 1e308, 0.5])('is no number of tokens where it says %j', (wrong) => {
    expect(
      told({ prompt_tokens: wrong, completion_tokens: wrong, prompt_tokens_details: { cached_tokens: 1 } }),
    ).toBeUndefined()
  })

  test('is none if only half of it is there, and does not undo one that was whole', () => {
    expect(told({ prompt_tokens: 10 })).toBeUndefined()
    expect(told({ ...usage, prompt_tokens: -1 })).toBeUndefined()
    expect(told(usage, { completion_tokens: 6 })).toEqual({ inputTokens: 10, outputTokens: 5 })
  })

  test('is found in the choice and in what Groq adds', () => {
    expect(response({ choices: [{ delta: {}, finish_reason: 'stop', usage }] }).usage).toEqual({
      inputTokens: 10,
      outputTokens: 5,
    })
    expect(response(delta({}, 'stop'), { choices: [], x_groq: { usage } }).usage).toEqual({
      inputTokens: 10,
      outputTokens: 5,
    })
  })
})
