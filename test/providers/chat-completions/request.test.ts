import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { LLMRequest } from '../../../src/client/client.ts'
import type { JsonObject, JsonSchema } from '../../../src/json.ts'
import { assistant, type Message, system, toolMessage, user } from '../../../src/messages.ts'
import { isStrict, type RequestTarget, wireRequest } from '../../../src/providers/chat-completions/request.ts'
import { compatibleQuirks, openAIQuirks } from '../../../src/providers/quirks.ts'
import { validateOpenAI } from '../../../src/testing/strict-openai.ts'

const target = (quirks = openAIQuirks): RequestTarget => ({
  provider: 'openai',
  model: 'gpt-4o',
  quirks,
  written: new WeakMap(),
})

const wire = (request: LLMRequest, to = target()) => wireRequest(request, to, false)

const wireMessages = (...messages: readonly Message[]) => wire({ messages })['messages']

const object = (properties: JsonObject, rest: JsonObject = {}): JsonSchema => ({
  type: 'object',
  properties,
  ...rest,
})
const closed = (properties: JsonObject): JsonSchema =>
  object(properties, { required: Object.keys(properties), additionalProperties: false })

const weather = {
  name: 'weather',
  description: 'Weather now',
  parameters: object({ city: { type: 'string' } }),
}

test('a whole request is written as Chat Completions has it', () => {
  const call = { id: 'call_1', toolName: 'weather', parameters: { city: 'Oslo' } }
  const request: LLMRequest = {
    system: 'Be brief.',
    messages: [
      user('Hello'),
      assistant('I look.', [call]),
      toolMessage(call, 'Sunny'),
      assistant('Sunny.'),
      system('It is noon.'),
      user([
        { type: 'text', text: 'And here?' },
        { type: 'image', url: 'https://example.test/a.png' },
        { type: 'image', data: 'AAAA', mediaType: 'image/png' },
        { type: 'file', name: 'a.pdf', data: 'BBBB', mediaType: 'application/pdf' },
      ]),
    ],
    tools: [weather],
    toolChoice: { toolName: 'weather' },
    responseFormat: { type: 'json', name: 'the answer', schema: closed({ a: { type: 'string' } }) },
    params: {
      temperature: 0.5,
      topP: 0.9,
      maxOutputTokens: 100,
      stop: ['END'],
      seed: 7,
      reasoningEffort: 'low',
      parallelToolCalls: false,
      extra: { user: 'u1', stream: false, model: 'other' },
    },
  }
  const body = wireRequest(request, target(), true)
  expect(body).toEqual({
    model: 'gpt-4o',
    user: 'u1',
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Hello' },
      {
        role: 'assistant',
        content: 'I look.',
        tool_calls: [
          { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
        ],
      },
      { role: 'tool', tool_call_id: 'call_1', content: 'Sunny' },
      { role: 'assistant', content: 'Sunny.' },
      { role: 'system', content: 'It is noon.' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'And here?' },
          { type: 'image_url', image_url: { url: 'https://example.test/a.png' } },
          { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
          { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,BBBB' } },
        ],
      },
    ],
    tools: [{ type: 'function', function: weather }],
    tool_choice: { type: 'function', function: { name: 'weather' } },
    parallel_tool_calls: false,
    response_format: {
      type: 'json_schema',
      json_schema: { name: 'the_answer', schema: closed({ a: { type: 'string' } }), strict: true },
    },
    temperature: 0.5,
    top_p: 0.9,
    max_completion_tokens: 100,
    stop: ['END'],
    seed: 7,
    reasoning_effort: 'low',
    stream: true,
    stream_options: { include_usage: true },
  })
  expect(validateOpenAI(body)).toBeUndefined()
})

test('what is absent is not sent, and what needs tools is not sent without them', () => {
  const request: LLMRequest = {
    messages: [user('a')],
    toolChoice: 'none',
    params: { parallelToolCalls: true, stop: [] },
  }
  expect(wire(request)).toEqual({ model: 'gpt-4o', messages: [{ role: 'user', content: 'a' }] })
  expect(wire({ ...request, tools: [] })).toEqual(wire(request))
})

test('quirks say where the limit of the answer goes and whether a stream reports its usage', () => {
  const request = { messages: [user('a')], params: { maxOutputTokens: 5 } }
  const messages = [{ role: 'user', content: 'a' }]
  const body = wireRequest(request, target({ ...compatibleQuirks, streamUsage: false }), true)
  expect(body).toEqual({ model: 'gpt-4o', messages, max_tokens: 5, stream: true })
})

describe('messages', () => {
  test('never have empty content', () => {
    const call = { id: 'a', toolName: 'f', parameters: {} }
    expect(
      wireMessages(
        system(' '),
        user(''),
        user('\n'),
        user([{ type: 'text', text: '' }]),
        assistant(''),
        assistant(' ', [call]),
        toolMessage(call, ''),
      ),
    ).toEqual([
      { role: 'user', content: '(empty)' },
      { role: 'user', content: '(empty)' },
      { role: 'user', content: '(empty)' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: 'a', content: '(empty)' },
    ])
  })

  test('never hold half a character', () => {
    const call = {
      id: 'a',
      toolName: 'f',
      parameters: { a: 'x\ud83d', b: ['\udc00'], c: '\\ud83d', d: '👋' },
    }
    const sent = wire({
      system: 's\ud83d',
      messages: [user('u\udc00 👋'), assistant('', [call]), toolMessage(call, '\ud83d')],
    })
    expect(sent['messages']).toEqual([
      { role: 'system', content: 's\uFFFD' },
      { role: 'user', content: 'u\uFFFD 👋' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [
          {
            id: 'a',
            type: 'function',
            function: { name: 'f', arguments: '{"a":"x\uFFFD","b":["\uFFFD"],"c":"\\\\ud83d","d":"👋"}' },
          },
        ],
      },
      { role: 'tool', tool_call_id: 'a', content: '\uFFFD' },
    ])
  })

  test('leave reasoning out, whoever it is from', () => {
    const reasoning = [{ provider: 'anthropic', model: 'x', text: 'hm', opaque: { signature: 's' } }]
    expect(wireMessages({ role: 'assistant', content: 'a', reasoning })).toEqual([
      { role: 'assistant', content: 'a' },
    ])
  })

  test('name tools as the API takes it, whatever the model called', () => {
    const calls = ['a.b c', '', 'x'.repeat(80)].map((toolName, index) => ({
      id: `c${index}`,
      toolName,
      parameters: {},
    }))
    const [message] = wireMessages(assistant('', calls)) as [{ tool_calls: { function: { name: string } }[] }] // as written above
    expect(message.tool_calls.map((call) => call.function.name)).toEqual(['a_b_c', 'unnamed', 'x'.repeat(64)])
  })

  test('with calls and results are written once, however often they are sent', () => {
    const to = target()
    const call = { id: 'c', toolName: 'f', parameters: {} }
    const messages = [assistant('', [call]), toolMessage(call, 'ok')]
    const [first, second] = [wire({ messages }, to), wire({ messages: [...messages, user('c')] }, to)]
    const [before, after] = [first['messages'], second['messages']] as [object[], object[]] // both are lists of messages
    expect(after.slice(0, 2).every((message, index) => message === before[index])).toBe(true)
  })

  test('with a file by its address are refused', () => {
    const message = user([{ type: 'file', url: 'https://example.test/a.pdf' }])
    expect(() => wireMessages(message)).toThrow(
      expect.objectContaining({ kind: 'invalid_request', retryable: false }),
    )
  })
})

describe('tool call ids', () => {
  const sentIds = (ids: readonly string[], quirks = openAIQuirks) => {
    const calls = ids.map((id) => ({ id, toolName: 'f', parameters: {} }))
    const messages = [assistant('', calls), ...calls.map((call) => toolMessage(call, 'ok'))]
    const body = wireRequest({ messages }, target(quirks), false)
    expect(validateOpenAI(body)).toBeUndefined()
    const [first] = body['messages'] as [{ tool_calls: { id: string }[] }] // as written above
    return first.tool_calls.map(({ id }) => id)
  }

  test('that fit are sent as they are', () => {
    expect(sentIds(['call_1', 'toolu_vrtx-015', 'x'.repeat(40)])).toEqual([
      'call_1',
      'toolu_vrtx-015',
      'x'.repeat(40),
    ])
  })

  test('that do not fit are replaced, each by one of its own, always the same', () => {
    const ids = ['call_a|fc_b', 'functions.get:0', 'functions.get:1', 'x'.repeat(41), 'ключ', '__proto__.']
    const sent = sentIds(ids)
    expect(new Set(sent).size).toBe(ids.length)
    expect(sent.filter((id) => !/^[\w-]{1,40}$/.test(id))).toEqual([])
    expect(sentIds(ids)).toEqual(sent)
  })

  test('always fit and stay different, also where nine characters are all there is', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string({ minLength: 1, maxLength: 60 }), { minLength: 1, maxLength: 8 }),
        fc.constantFrom(9, 40),
        (ids, maxToolCallIdLength) => {
          const sent = sentIds(ids, { ...openAIQuirks, maxToolCallIdLength })
          expect(sent.filter((id) => id.length > maxToolCallIdLength || id === '')).toEqual([])
        },
      ),
    )
  })
})

describe('strict schemas', () => {
  test.each<[string, JsonSchema]>([
    ['closed objects', closed({ a: closed({ b: { type: 'array', items: { type: 'string' } } }) })],
    [
      'what may be null',
      closed({ a: { anyOf: [{ type: 'string' }, { type: 'null' }] }, b: { type: ['number', 'null'] } }),
    ],
    ['references', { ...closed({ a: { $ref: '#/$defs/b' } }), $defs: { b: closed({}) } }],
  ])('are: %s', (_, schema) => {
    expect(isStrict(schema)).toBe(true)
  })

  test.each<[string, JsonSchema]>([
    ['open objects', object({ a: { type: 'string' } }, { required: ['a'] })],
    ['optional keys', object({ a: { type: 'string' } }, { additionalProperties: false })],
    ['open objects within', closed({ a: { type: 'array', items: object({}) } })],
    ['keywords that are not promised', closed({ a: { oneOf: [{ type: 'string' }] } })],
    ['anything at all', closed({ a: {} })],
    ['a list at the top', { type: 'array', items: { type: 'string' } }],
  ])('are not: %s', (_, schema) => {
    expect(isStrict(schema)).toBe(false)
  })
})
