import { describe, expect, test } from 'vitest'
import type { LLMRequest } from '../../../src/client/client.ts'
import type { JsonObject } from '../../../src/json.ts'
import {
  type AssistantMessage,
  assistant,
  type Message,
  type Reasoning,
  system,
  toolMessage,
  user,
} from '../../../src/messages.ts'
import { type KeptBlock, keep } from '../../../src/providers/anthropic-messages/kept.ts'
import { type MessagesTarget, wireRequest } from '../../../src/providers/anthropic-messages/request.ts'
import { validateAnthropic } from '../../../src/testing/strict-anthropic.ts'

const plain: MessagesTarget = {
  provider: 'anthropic',
  model: 'claude-test',
  apiVersion: '2026-10-21',
  quirks: { systemMessages: true, effort: 'effort' },
  structuredOutput: true,
  maxOutputTokens: 4096,
  written: new WeakMap(),
}

/** The body, which no validator refuses, and what was warned of. */
function written(request: LLMRequest, target: Partial<MessagesTarget> = {}) {
  const warnings: string[] = []
  const to = { ...plain, written: new WeakMap(), ...target }
  const body = wireRequest(request, to, false, (message) => warnings.push(message))
  expect(validateAnthropic(body, {}, { 'anthropic-version': to.apiVersion })).toBe(undefined)
  return { body, warnings }
}

const wire = (request: LLMRequest, target?: Partial<MessagesTarget>) => written(request, target).body
const said = (...messages: readonly Message[]) => wire({ messages })['messages']
const text = (value: string) => ({ type: 'text', text: value })
const weather = {
  name: 'weather',
  description: 'Weather now',
  parameters: { type: 'object', properties: { city: { type: 'string' } } },
}
const oslo = { id: 'toolu_1', toolName: 'weather', parameters: { city: 'Oslo' } }
const paris = { id: 'toolu_2', toolName: 'weather', parameters: { city: 'Paris' } }
const use = { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Oslo' } }
const sunny = { type: 'tool_result', tool_use_id: 'toolu_1', content: 'Sunny' }

test('a whole request is written as the Messages API has it', () => {
  const request: LLMRequest = {
    system: 'Be brief.',
    messages: [
      system('You are Bob.'),
      user('Hello'),
      assistant('I look.', [oslo]),
      toolMessage(oslo, 'Sunny'),
      assistant('Sunny.'),
      user([
        { type: 'text', text: 'And here?' },
        { type: 'image', url: 'https://example.test/a.png' },
        { type: 'image', data: 'AAAA', mediaType: 'image/png' },
        { type: 'file', name: 'a.pdf', data: 'BBBB', mediaType: 'application/pdf' },
      ]),
      system('It is noon.'),
    ],
    tools: [weather],
    toolChoice: { toolName: 'weather' },
    params: {
      maxOutputTokens: 100,
      stop: ['END'],
      reasoningEffort: 'xhigh',
      parallelToolCalls: false,
      extra: { metadata: { user_id: 'u1' }, model: 'other', output_config: { format: null } },
    },
  }
  expect(wireRequest(request, plain, true, () => {})).toEqual({
    metadata: { user_id: 'u1' },
    model: 'claude-test',
    max_tokens: 100,
    system: [text('Be brief.'), text('You are Bob.')],
    messages: [
      { role: 'user', content: [text('Hello')] },
      { role: 'assistant', content: [text('I look.'), use] },
      { role: 'user', content: [sunny] },
      { role: 'assistant', content: [text('Sunny.')] },
      {
        role: 'user',
        content: [
          text('And here?'),
          { type: 'image', source: { type: 'url', url: 'https://example.test/a.png' } },
          { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } },
          {
            type: 'document',
            source: { type: 'base64', media_type: 'application/pdf', data: 'BBBB' },
            title: 'a.pdf',
          },
        ],
      },
      { role: 'system', content: [text('It is noon.')] },
    ],
    tools: [{ name: 'weather', description: 'Weather now', input_schema: weather.parameters }],
    tool_choice: { type: 'tool', name: 'weather', disable_parallel_tool_use: true },
    output_config: { format: null, effort: 'xhigh' },
    stop_sequences: ['END'],
    stream: true,
  })
})

test('the same request is written the same again, its messages only once', () => {
  const target = { ...plain, written: new WeakMap() }
  const request = { messages: [user('Hello'), assistant('Hi.', [oslo]), toolMessage(oslo, 'Sunny')] }
  const [first, second] = [1, 2].map(() => wireRequest(request, target, false, () => {}))
  expect(JSON.stringify(second)).toBe(JSON.stringify(first))
  const blocksIn = (body: JsonObject = {}) => (body['messages'] as { content: JsonObject[] }[])[0]?.content[0]
  expect(blocksIn(first)).toBe(blocksIn(second))
})

describe('turns', () => {
  test('results come first in one message, in the order of their calls, whatever else the user said', () => {
    const call = assistant('', [oslo, paris])
    const messages = [
      user('?'),
      call,
      toolMessage(paris, '', false),
      toolMessage(oslo, 'Sunny'),
      user('Well?'),
    ]
    expect(said(...messages)).toEqual([
      { role: 'user', content: [text('?')] },
      { role: 'assistant', content: [use, { ...use, id: 'toolu_2', input: { city: 'Paris' } }] },
      {
        role: 'user',
        content: [
          sunny,
          { type: 'tool_result', tool_use_id: 'toolu_2', content: '(empty)', is_error: true },
          text('Well?'),
        ],
      },
    ])
  })

  test('the user begins and the user ends', () => {
    const goOn = { role: 'user', content: [text('(continue)')] }
    expect(said(assistant('Hi.'))).toEqual([goOn, { role: 'assistant', content: [text('Hi.')] }, goOn])
    expect(said()).toEqual([goOn])
    expect(wire({ messages: [system('Be brief.')] })).toMatchObject({
      system: [text('Be brief.')],
      messages: [goOn],
    })
  })

  test('silence of the assistant is no message, and that of the user is told', () => {
    expect(said(user(' '), assistant(' '), user([{ type: 'text', text: '' }]))).toEqual([
      { role: 'user', content: [text('(empty)'), text('(empty)')] },
    ])
  })

  test('neighbours become one, and nothing that was sent before is changed by it', () => {
    const messages = [user('a'), assistant('b'), assistant('c'), user('d'), user('e')]
    const target = { ...plain, written: new WeakMap() }
    const [first, second] = [1, 2].map(() => wireRequest({ messages }, target, false, () => {})['messages'])
    expect(first).toEqual([
      { role: 'user', content: [text('a')] },
      { role: 'assistant', content: [text('b'), text('c')] },
      { role: 'user', content: [text('d'), text('e')] },
    ])
    expect(second).toEqual(first)
  })

  describe('a later system message', () => {
    const noon = system('It is noon.')
    const wrapped = text('<system>It is noon.</system>')

    test('stays where the API takes it: between user and assistant, and at the end', () => {
      const own = { role: 'system', content: [text('It is noon.'), text('It is noon.')] }
      expect(said(user('a'), noon, noon, assistant('b'), user('c'), noon, noon)).toEqual([
        { role: 'user', content: [text('a')] },
        own,
        { role: 'assistant', content: [text('b')] },
        { role: 'user', content: [text('c')] },
        own,
      ])
    })

    test('is told by the user anywhere else', () => {
      expect(said(user('a'), noon, user('b'), assistant('c'), noon)).toEqual([
        { role: 'user', content: [text('a'), wrapped, text('b')] },
        { role: 'assistant', content: [text('c')] },
        { role: 'user', content: [wrapped] },
      ])
    })

    test('is told by the user where the API takes none', () => {
      const quirks = { ...plain.quirks, systemMessages: false }
      const messages = [user('a'), assistant('', [oslo]), toolMessage(oslo, 'Sunny'), noon]
      expect(wire({ messages, tools: [weather] }, { quirks, apiVersion: '2023-06-01' })['messages']).toEqual([
        { role: 'user', content: [text('a')] },
        { role: 'assistant', content: [use] },
        { role: 'user', content: [sunny, wrapped] },
      ])
    })
  })
})

describe('content', () => {
  test('ids and names of others are made to fit, the same for call and result', () => {
    const foreign = { id: `call_1|fc:${'0'.repeat(80)}`, toolName: 'my tool', parameters: {} }
    const [, call, result] = said(user('?'), assistant('', [foreign]), toolMessage(foreign, 'a')) as {
      content: JsonObject[]
    }[]
    expect(call?.content[0]).toEqual({
      type: 'tool_use',
      id: expect.stringMatching(/^call_1_fc_0+_[\da-z]{14}$/),
      name: 'my_tool',
      input: {},
    })
    expect(result?.content[0]?.['tool_use_id']).toBe(call?.content[0]?.['id'])
  })

  test('half a character is replaced, in keys too, and what only looks like one is not', () => {
    const parameters = { '\ud83d': ['\udc4b', '\\ud83d'], a: '👋' }
    const content = said(
      user('a \ud83d'),
      assistant('', [{ ...oslo, parameters }]),
      toolMessage(oslo, '\udc4b'),
    )
    expect(content).toEqual([
      { role: 'user', content: [text('a \ufffd')] },
      { role: 'assistant', content: [{ ...use, input: { '\ufffd': ['\ufffd', '\\ud83d'], a: '👋' } }] },
      { role: 'user', content: [{ ...sunny, content: '\ufffd' }] },
    ])
  })

  test('bytes in an address are bytes, and text is text', () => {
    const parts = user([
      { type: 'image', url: 'data:image/webp;base64,AAAA' },
      { type: 'file', url: 'https://example.test/a.pdf' },
      { type: 'file', name: 'a.csv', data: btoa('a,b'), mediaType: 'text/csv' },
    ])
    expect(said(parts)).toEqual([
      {
        role: 'user',
        content: [
          { type: 'image', source: { type: 'base64', media_type: 'image/webp', data: 'AAAA' } },
          { type: 'document', source: { type: 'url', url: 'https://example.test/a.pdf' } },
          {
            type: 'document',
            source: { type: 'text', media_type: 'text/plain', data: 'a,b' },
            title: 'a.csv',
          },
        ],
      },
    ])
  })

  test.each([
    [
      { type: 'image', data: 'AAAA', mediaType: 'image/tiff' },
      'anthropic (claude-test) does not take images of the type "image/tiff". Give it as JPEG, PNG, GIF or WebP.',
    ],
    [
      { type: 'file', data: 'AAAA', mediaType: 'application/zip' },
      'anthropic (claude-test) does not take files of the type "application/zip". Give it as PDF or as text.',
    ],
  ] as const)('what the API does not take is refused before it is sent: %j', (part, message) => {
    expect(() => said(user([part]))).toThrow(
      expect.objectContaining({ message, kind: 'invalid_request', retryable: false }),
    )
  })
})

describe('reasoning', () => {
  const own = (kept: KeptBlock): Reasoning[] =>
    keep([kept]).map((thought) => ({ provider: 'anthropic', model: 'claude-test', ...thought }))
  const thinking = { type: 'thinking', thinking: 'Hm.', signature: 'signed' }
  const redacted = { type: 'redacted_thinking', data: 'hidden' }
  const reply = (content: string, reasoning: Reasoning[]): AssistantMessage => ({
    ...assistant(content, [oslo]),
    reasoning,
  })
  const sent = (message: AssistantMessage) =>
    (said(user('?'), message, toolMessage(oslo, 'Sunny')) as { content: JsonObject[] }[])[1]?.content

  test('goes back as it was, where it was', () => {
    const reasoning = [
      ...own({ block: thinking, textBefore: 0, callsBefore: 0 }),
      ...own({ block: redacted, textBefore: 7, callsBefore: 0 }),
    ]
    expect(sent(reply('I look.Now.', reasoning))).toEqual([
      thinking,
      text('I look.'),
      redacted,
      text('Now.'),
      use,
    ])
  })

  test('of another model or provider stays here', () => {
    const reasoning = own({ block: thinking, textBefore: 0, callsBefore: 0 })
    const foreign = [
      ...reasoning.map((each) => ({ ...each, model: 'other' })),
      ...reasoning.map((each) => ({ ...each, provider: 'openai' })),
      { provider: 'anthropic', model: 'claude-test', text: 'unsigned' },
      { provider: 'anthropic', model: 'claude-test', opaque: [{ type: 'reasoning.text' }] },
    ]
    expect(sent(reply('', foreign))).toEqual([use])
  })

  test('that was changed on the way no longer fits its signature, and stays here', () => {
    const [thought] = own({ block: thinking, textBefore: 0, callsBefore: 0 })
    expect(sent(reply('', [{ ...thought, text: 'H[secret:KEY]' } as Reasoning]))).toEqual([use])
  })

  test('does not end a message, whatever became of what it led to', () => {
    const reasoning = own({ block: thinking, textBefore: 99, callsBefore: 9 })
    expect(said(user('?'), { ...assistant('Hi.'), reasoning }, user('!'))).toEqual([
      { role: 'user', content: [text('?')] },
      { role: 'assistant', content: [text('Hi.')] },
      { role: 'user', content: [text('!')] },
    ])
  })
})

describe('tools', () => {
  test.each([
    ['auto', { type: 'auto' }],
    ['required', { type: 'any' }],
    ['none', { type: 'none' }],
  ] as const)('choice %s', (toolChoice, choice) => {
    const request = { messages: [user('?')], tools: [weather], toolChoice }
    expect(wire(request)['tool_choice']).toEqual(choice)
    const one = { ...request, params: { parallelToolCalls: false } }
    expect(wire(one)['tool_choice']).toEqual(
      toolChoice === 'none' ? choice : { ...choice, disable_parallel_tool_use: true },
    )
  })

  test('are declared without being offered when they were called before, which some servers insist on', () => {
    const messages = [user('?'), assistant('', [oslo]), toolMessage(oslo, 'Sunny')]
    expect(wire({ messages })).toMatchObject({
      tools: [{ name: 'weather', input_schema: { type: 'object' } }],
      tool_choice: { type: 'none' },
    })
    expect(wire({ messages: [user('?')], toolChoice: 'none' })).not.toHaveProperty('tool_choice')
  })

  test('of the provider stand beside ours', () => {
    const search = { type: 'web_search_20260318', name: 'web_search' }
    const params = { extra: { tools: [search] } }
    const own = { name: 'weather', description: 'Weather now', input_schema: weather.parameters }
    expect(wire({ messages: [user('?')], tools: [weather], params })['tools']).toEqual([own, search])
    expect(wire({ messages: [user('?')], params })).not.toHaveProperty('tool_choice')
  })
})

describe('settings', () => {
  test('sampling is left out with a warning where the version takes none', () => {
    const params = { temperature: 0.5, topP: 0.9, seed: 7, stop: [' ', 'END'] }
    const { body, warnings } = written({ messages: [user('?')], params })
    expect(body).toEqual({
      model: 'claude-test',
      max_tokens: 4096,
      messages: [{ role: 'user', content: [text('?')] }],
      stop_sequences: ['END'],
    })
    expect(warnings).toEqual([
      'anthropic (claude-test) was not sent a stop sequence: this API takes none that is blank.',
      'anthropic (claude-test) was not sent seed: this API has none.',
      "anthropic (claude-test) was not sent temperature and topP: this version of the API takes no sampling settings; apiVersion '2023-06-01' does.",
    ])
  })

  test.each([
    [{ temperature: 0.5 }, { temperature: 0.5 }, 0],
    [{ topP: 0.9 }, { top_p: 0.9 }, 0],
    [{ temperature: 0, topP: 0.9 }, { temperature: 0 }, 1],
    [{ temperature: 1.5 }, { temperature: 1 }, 1],
  ])('the older version takes %j', (params, sent, warned) => {
    const { body, warnings } = written({ messages: [user('?')], params }, { apiVersion: '2023-06-01' })
    expect(body).toMatchObject(sent)
    expect(Object.keys(body)).toHaveLength(4)
    expect(warnings).toHaveLength(warned)
  })

  test('an effort is asked for as the model knows it', () => {
    const ask = (reasoningEffort: string, effort: 'effort' | 'budget' | 'none', maxOutputTokens?: number) => {
      const params = { reasoningEffort, ...(maxOutputTokens !== undefined && { maxOutputTokens }) }
      const { body, warnings } = written(
        { messages: [user('?')], params },
        { quirks: { ...plain.quirks, effort } },
      )
      const { model: _, messages: __, ...rest } = body
      return [rest, warnings.length]
    }
    expect(ask('minimal', 'effort')).toEqual([{ max_tokens: 4096, output_config: { effort: 'low' } }, 0])
    expect(ask('low', 'budget')).toEqual([
      { max_tokens: 6144, thinking: { type: 'enabled', budget_tokens: 2048 } },
      0,
    ])
    expect(ask('high', 'budget', 3000)).toEqual([
      { max_tokens: 3000, thinking: { type: 'enabled', budget_tokens: 2999 } },
      0,
    ])
    expect(ask('high', 'budget', 1000)).toEqual([{ max_tokens: 1000 }, 1])
    expect(ask('high', 'none')).toEqual([{ max_tokens: 4096 }, 1])
    expect(ask('none', 'budget')).toEqual([{ max_tokens: 4096 }, 0])
    expect(ask('loud', 'effort')).toEqual([{ max_tokens: 4096 }, 1])
  })

  test('thinking by a budget gives way to calls that came without it, and frees the choice of tools', () => {
    const target = {
      quirks: { ...plain.quirks, effort: 'budget' as const },
      apiVersion: '2023-06-01' as const,
    }
    const params = { reasoningEffort: 'low', temperature: 0.2, parallelToolCalls: false }
    const asked = { messages: [user('?')], tools: [weather], toolChoice: 'required' as const, params }
    const free = written(asked, target)
    expect(free.body).toMatchObject({
      thinking: { type: 'enabled', budget_tokens: 2048 },
      tool_choice: { type: 'auto', disable_parallel_tool_use: true },
    })
    expect(free.body).not.toHaveProperty('temperature')
    expect(free.warnings).toHaveLength(2)
    const answered = { ...asked, messages: [user('?'), assistant('', [oslo]), toolMessage(oslo, 'Sunny')] }
    const { body, warnings } = written(answered, target)
    expect(body).toMatchObject({ temperature: 0.2, tool_choice: { type: 'any' }, max_tokens: 4096 })
    expect(body).not.toHaveProperty('thinking')
    expect(warnings).toEqual([
      'The model was not asked to think: the calls it is to go on from have no thinking of its own.',
    ])
  })
})

describe('an answer in JSON', () => {
  const schema = { type: 'object', properties: { a: { type: 'string', minLength: 2 } }, required: ['a'] }

  test('is enforced with a schema that the API can enforce', () => {
    const request: LLMRequest = { messages: [user('?')], responseFormat: { type: 'json', schema } }
    expect(wire(request)['output_config']).toEqual({
      format: {
        type: 'json_schema',
        schema: {
          type: 'object',
          properties: { a: { type: 'string', description: '(minLength: 2)' } },
          required: ['a'],
          additionalProperties: false,
        },
      },
    })
  })

  test('is asked for in words where it cannot be', () => {
    const open = { type: 'object', additionalProperties: { type: 'number' } }
    const ask = (schema: JsonObject, structuredOutput: boolean) =>
      wire(
        { system: 'Be brief.', messages: [user('?')], responseFormat: { type: 'json', schema } },
        { structuredOutput },
      )
    const inWords = (schema: JsonObject) => ({
      system: [
        text('Be brief.'),
        text(
          `Answer with JSON only, without any other text, that fits this JSON Schema:\n${JSON.stringify(schema)}`,
        ),
      ],
    })
    expect(ask(open, true)).toMatchObject(inWords(open))
    expect(ask(schema, false)).toMatchObject(inWords(schema))
    expect(ask(schema, false)).not.toHaveProperty('output_config')
  })
})

test('a prompt that is to be kept has four breakpoints, however long it is', () => {
  const messages = [user('1'), assistant('2'), user('3'), assistant('', [oslo]), toolMessage(oslo, 'Sunny')]
  const body = wire(
    { system: 'Be brief.', messages, tools: [weather, { ...weather, name: 'b' }] },
    { cacheTtl: '1h' },
  )
  const mark = { type: 'ephemeral', ttl: '1h' }
  const marked: JsonObject[] = []
  JSON.stringify(body, (_, item) => {
    if (item?.cache_control !== undefined) marked.push(item)
    return item
  })
  expect(marked).toEqual([
    { ...text('Be brief.'), cache_control: mark },
    { ...text('3'), cache_control: mark },
    { ...sunny, cache_control: mark },
    expect.objectContaining({ name: 'b', cache_control: mark }),
  ])
  expect(wire({ messages: [user('1')] }, { cacheTtl: '5m' })['messages']).toEqual([
    { role: 'user', content: [{ ...text('1'), cache_control: { type: 'ephemeral' } }] },
  ])
})
