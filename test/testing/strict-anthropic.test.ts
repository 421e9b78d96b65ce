import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { JsonObject, JsonValue } from '../../src/json.ts'
import { authorizeAnthropic, validateAnthropic } from '../../src/testing/strict-anthropic.ts'

const user = { role: 'user', content: 'hi' }
const tools = [{ name: 'look', input_schema: { type: 'object', properties: {} } }]
const valid = { model: 'claude', max_tokens: 2_000, messages: [user] }
const withMessages = (...messages: JsonValue[]): JsonObject => ({ ...valid, tools, messages })

const text = (text: string, more: JsonObject = {}) => ({ type: 'text', text, ...more })
const use = (id: JsonValue, more: JsonObject = {}) => ({
  type: 'tool_use',
  id,
  name: 'look',
  input: {},
  ...more,
})
const result = (id: JsonValue, more: JsonObject = {}) => ({
  type: 'tool_result',
  tool_use_id: id,
  content: 'seen',
  ...more,
})
const says = (...content: JsonValue[]) => ({ role: 'assistant', content })
const tells = (...content: JsonValue[]) => ({ role: 'user', content })
const called = (...results: JsonValue[]) =>
  withMessages(user, says(text('Let me.'), use('a')), tells(...results))

const enabled = { type: 'enabled', budget_tokens: 1_024 }
const thought = { type: 'thinking', thinking: 'hm', signature: 's' }
const format = (schema: JsonObject) => ({
  ...valid,
  output_config: { format: { type: 'json_schema', schema } },
})
const cached = { cache_control: { type: 'ephemeral' } }

const served: [name: string, body: JsonObject][] = [
  ['the smallest request', valid],
  ['a system text, and one in blocks', { ...valid, system: [text('Be brief.', cached)] }],
  ['a call and its result', called(result('a'))],
  ['results before text', called(result('a'), text('And?'))],
  [
    'parallel calls, one of which failed',
    withMessages(
      user,
      says(use('a'), use('b')),
      tells(result('b', { is_error: true }), result('a', { content: [text('seen')] })),
    ),
  ],
  ['an empty result that is no error', called(result('a', { content: '' }))],
  [
    'images and documents of the user',
    withMessages(
      tells(
        text('See:'),
        { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'aGk=' } },
        { type: 'image', source: { type: 'url', url: 'https://example.com/a.png' } },
        { type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: 'aGk=' } },
      ),
    ),
  ],
  ['a beginning of the answer', withMessages(user, { role: 'assistant', content: 'The' })],
  [
    'thinking that is kept with its call',
    { ...withMessages(user, says(thought, use('a')), tells(result('a'))), thinking: enabled },
  ],
  ['a choice of a tool', { ...valid, tools, tool_choice: { type: 'tool', name: 'look' } }],
  ['one tool at a time', { ...valid, tools, tool_choice: { type: 'auto', disable_parallel_tool_use: true } }],
  ['a closed schema', format({ type: 'object', properties: {}, additionalProperties: false })],
  ['what tools of the server left', withMessages(user, says({ type: 'server_tool_use' }, text('So.')), user)],
  ['sampling', { ...valid, temperature: 0.5, top_p: 0.9, top_k: 3, stop_sequences: ['END'] }],
]

const refused: [rule: string, message: string | RegExp, body: unknown][] = [
  ['json', 'The request body is not valid JSON: expected value at line 1 column 1', undefined],
  [
    'lone_surrogate',
    'The request body is not valid JSON: no low surrogate in string: line 1 column 1 (char 0)',
    withMessages({ role: 'user', content: 'half \ud83d' }),
  ],
  ['model', 'model: Field required', { max_tokens: 1, messages: [user] }],
  ['max_tokens', 'max_tokens: Field required', { model: 'claude', messages: [user] }],
  ['max_tokens', 'max_tokens: Input should be greater than or equal to 1', { ...valid, max_tokens: 0 }],
  [
    'unknown_parameter',
    'max_completion_tokens: Extra inputs are not permitted',
    { ...valid, max_completion_tokens: 1 },
  ],
  ['empty_text', 'system: text content blocks must be non-empty', { ...valid, system: [text('')] }],
  ['messages', 'messages: at least one message is required', withMessages()],
  [
    'first_role',
    'messages: first message must use the "user" role',
    withMessages({ role: 'assistant', content: 'a' }, user),
  ],
  [
    'alternation',
    'messages: roles must alternate between "user" and "assistant", but found multiple "user" roles in a row',
    withMessages(user, user),
  ],
  [
    'message_role',
    'messages: Unexpected role "tool". Allowed roles are "user" or "assistant"',
    withMessages({ ...user, role: 'tool' }),
  ],
  ['message_key', 'messages.0.name: Extra inputs are not permitted', withMessages({ ...user, name: 'Ann' })],
  [
    'empty_content',
    'messages.0: all messages must have non-empty content except for the optional final assistant message',
    withMessages({ role: 'user', content: [] }, says(text('a'))),
  ],
  ['empty_text', 'messages: text content blocks must be non-empty', withMessages(tells(text('')))],
  [
    'blank_text',
    'messages: text content blocks must contain non-whitespace text',
    withMessages(tells(text(' \n'))),
  ],
  [
    'blank_text',
    'messages: text content blocks must contain non-whitespace text',
    withMessages({ role: 'user', content: ' ' }),
  ],
  [
    'block_type',
    /^messages\.0\.content\.0: Input tag 'image_url' found/,
    withMessages(tells({ type: 'image_url' })),
  ],
  [
    'block_role',
    'messages.1: `image` blocks can only be in `user` messages',
    withMessages(user, says({ type: 'image' }), user),
  ],
  [
    'block_role',
    'messages.0: `tool_use` blocks can only be in `assistant` messages',
    withMessages(tells(use('a'))),
  ],
  [
    'block_key',
    'messages.0.content.0.text.zap: Extra inputs are not permitted',
    withMessages(tells(text('a', { zap: 1 }))),
  ],
  [
    'thinking_signature',
    'messages.1.content.0.thinking.signature: Field required',
    withMessages(user, says({ type: 'thinking', thinking: 'a' }), user),
  ],
  [
    'tool_use_id',
    "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
    withMessages(user, says(use('a.b')), tells(result('a.b'))),
  ],
  [
    'tool_use_name',
    "messages.1.content.0.tool_use.name: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'",
    withMessages(user, says(use('a', { name: 'no dots.' })), tells(result('a'))),
  ],
  [
    'tool_use_input',
    'messages.1.content.0.tool_use.input: Input should be a valid dictionary',
    withMessages(user, says(use('a', { input: '{}' })), tells(result('a'))),
  ],
  [
    'empty_error',
    'messages.2.content.0.tool_result: content cannot be empty if `is_error` is true',
    called(result('a', { content: '', is_error: true })),
  ],
  [
    'is_error',
    'messages.2.content.0.tool_result.is_error: Input should be a valid boolean',
    called(result('a', { is_error: 'no' })),
  ],
  [
    'image_type',
    /image\/jpeg/,
    withMessages(tells({ type: 'image', source: { type: 'base64', media_type: 'image/bmp', data: '' } })),
  ],
  [
    'unanswered_call',
    'messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: a. Each `tool_use` block must have a corresponding `tool_result` block in the next message.',
    called(text('And?'), result('a')),
  ],
  [
    'unanswered_call',
    /without `tool_result` blocks immediately after: a\./,
    withMessages(user, says(use('a'))),
  ],
  [
    'duplicate_tool_use',
    'messages.3.content.0: `tool_use` ids must be unique',
    withMessages(user, says(use('a')), tells(result('a')), says(use('a')), tells(result('a'))),
  ],
  [
    'orphan_result',
    /^messages\.2\.content\.1: unexpected `tool_use_id` found in `tool_result` blocks: b\./,
    called(result('a'), result('b')),
  ],
  [
    'duplicate_result',
    'messages.2.content.1: each tool_use must have a single result. Found multiple `tool_result` blocks with id: a',
    called(result('a'), result('a')),
  ],
  [
    'prefill',
    'messages: final assistant content cannot end with trailing whitespace',
    withMessages(user, says(text('So '))),
  ],
  ['tool_schema', 'tools.0.custom.input_schema: Field required', { ...valid, tools: [{ name: 'look' }] }],
  [
    'tool_schema',
    "tools.0.custom.input_schema.type: Input should be 'object'",
    { ...valid, tools: [{ name: 'look', input_schema: { type: 'array' } }] },
  ],
  [
    'tool_strict',
    "tools.0.custom: For 'object' type, 'additionalProperties' must be explicitly set to false",
    { ...valid, tools: [{ ...tools[0], strict: true }] },
  ],
  [
    'tool_key',
    'tools.0.custom.parameters: Extra inputs are not permitted',
    { ...valid, tools: [{ ...tools[0], parameters: {} }] },
  ],
  ['duplicate_tool', 'tools: Tool names must be unique.', { ...valid, tools: [...tools, ...tools] }],
  [
    'tool_choice',
    'tool_choice.any may only be specified while providing tools',
    { ...valid, tool_choice: { type: 'any' } },
  ],
  [
    'tool_choice',
    "Tool 'zap' not found in provided tools",
    { ...valid, tools, tool_choice: { type: 'tool', name: 'zap' } },
  ],
  [
    'tools_required',
    'Requests which include `tool_use` or `tool_result` blocks must define tools.',
    { ...called(result('a')), tools: [] },
  ],
  [
    'thinking_budget',
    'thinking.enabled.budget_tokens: Input should be greater than or equal to 1024',
    { ...valid, thinking: { ...enabled, budget_tokens: 3 } },
  ],
  ['thinking_budget', /^`max_tokens` must be greater/, { ...valid, max_tokens: 1_024, thinking: enabled }],
  [
    'thinking_temperature',
    '`temperature` may only be set to 1 when thinking is enabled.',
    { ...valid, temperature: 0, thinking: enabled },
  ],
  [
    'thinking_tool_choice',
    'Thinking may not be enabled when tool_choice forces tool use.',
    { ...valid, tools, tool_choice: { type: 'any' }, thinking: enabled },
  ],
  [
    'thinking_kept',
    /^messages\.1\.content\.0\.type: Expected `thinking` or `redacted_thinking`, but found `text`\./,
    { ...called(result('a')), thinking: enabled },
  ],
  ['temperature', 'temperature: range: 0..1', { ...valid, temperature: 1.5 }],
  [
    'stop_sequences',
    'stop_sequences: each stop sequence must contain non-whitespace',
    { ...valid, stop_sequences: ['\n'] },
  ],
  ['stream', 'stream: Input should be a valid boolean', { ...valid, stream: 'yes' }],
  [
    'output_schema',
    /'additionalProperties' must be explicitly set to false$/,
    format({ type: 'object', properties: { a: { type: 'object' } }, additionalProperties: false }),
  ],
  [
    'cache_control',
    'A maximum of 4 blocks with cache_control may be provided. Found 5.',
    { ...withMessages(tells(...'abcd'.split('').map((each) => text(each, cached)))), ...cached },
  ],
]

describe('the Messages API', () => {
  it.each(served)('serves %s', (_, body) => {
    expect(validateAnthropic(body)).toBeUndefined()
  })

  it.each(refused)('refuses what breaks %s: %s', (rule, message, body) => {
    const expected = typeof message === 'string' ? message : expect.stringMatching(message)
    expect(validateAnthropic(body)).toEqual({
      status: 400,
      rule,
      body: { type: 'error', error: { type: 'invalid_request_error', message: expected } },
    })
  })

  it('knows the models and the context window of an account', () => {
    expect(validateAnthropic(valid, { models: ['other'] })).toEqual({
      status: 404,
      rule: 'unknown_model',
      body: { type: 'error', error: { type: 'not_found_error', message: 'model: claude' } },
    })
    const long = withMessages({ role: 'user', content: 'x'.repeat(400) })
    expect(validateAnthropic(long, { contextWindow: 100 })?.rule).toBe('context_length')
    expect(validateAnthropic(long, { contextWindow: 200 })).toBeUndefined()
  })

  it('takes no sampling since version 2026-10-21, and system messages after the first', () => {
    const headers = { 'anthropic-version': '2026-10-21' }
    const judged = (body: JsonObject) => validateAnthropic(body, {}, headers)?.rule
    const reminded = withMessages(
      user,
      says(use('a')),
      { role: 'system', content: 'Be brief.' },
      tells(result('a')),
    )
    for (const name of ['temperature', 'top_p', 'top_k'])
      expect(judged({ ...valid, [name]: 1 })).toBe('sampling')
    expect(judged(reminded)).toBeUndefined()
    expect(validateAnthropic(reminded)?.rule).toBe('message_role')
    expect(judged(withMessages({ role: 'system', content: 'Be brief.' }, user))).toBe('message_role')
  })

  it('wants a key it knows, in either header, and a version', () => {
    const version = { 'anthropic-version': '2023-06-01' }
    const judged = (headers: Record<string, string>) =>
      authorizeAnthropic({ ...version, ...headers }, ['k'])?.rule
    expect(judged({ 'x-api-key': 'k' })).toBeUndefined()
    expect(judged({ authorization: 'Bearer k' })).toBeUndefined()
    expect(judged({ 'x-api-key': 'other' })).toBe('api_key')
    expect(judged({})).toBe('authorization')
    expect(authorizeAnthropic({ 'x-api-key': 'k' })?.rule).toBe('version')
  })

  it('judges whatever JSON it is sent without falling over', () => {
    const json = fc.jsonValue() as fc.Arbitrary<JsonValue> // what it makes is JSON
    const body = fc.record({
      messages: json,
      tools: json,
      system: json,
      tool_choice: json,
      thinking: json,
      output_config: json,
    })
    fc.assert(
      fc.property(body, json, (parts, other) => {
        for (const each of [other, { ...valid, ...parts }, { ...valid, tools: parts.tools }])
          validateAnthropic(each)
        validateAnthropic(withMessages(user, says(other), tells(other)))
      }),
    )
  })
})
