import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { JsonObject, JsonValue } from '../../src/json.ts'
import { authorizeOpenAI, refuseUrl, validateOpenAI } from '../../src/testing/strict-openai.ts'
import { estimateTokens } from '../../src/testing/strict-usage.ts'

const user = { role: 'user', content: 'hi' }
const valid = { model: 'gpt-4o', messages: [user] }
const withMessages = (...messages: JsonValue[]): JsonObject => ({ ...valid, messages })
const withTools = (...tools: JsonValue[]): JsonObject => ({ ...valid, tools })

const call = (id: JsonValue, changes: JsonObject = {}): JsonObject => ({
  id,
  type: 'function',
  function: { name: 'look', arguments: '{}' },
  ...changes,
})
const calls = (...tool_calls: JsonValue[]): JsonObject => ({ role: 'assistant', content: null, tool_calls })
const answer = (id: string): JsonObject => ({ role: 'tool', tool_call_id: id, content: 'seen' })
const oneCall = (changes: JsonObject): JsonObject =>
  withMessages(user, calls(call('a', changes)), answer('a'))

const objectSchema = { type: 'object', properties: {} }
const strictSchema = { ...objectSchema, required: [], additionalProperties: false }
const look = (changes: JsonObject = {}): JsonObject => ({
  type: 'function',
  function: { name: 'look', parameters: objectSchema, ...changes },
})
const answerSchema = (changes: JsonObject): JsonObject => ({
  ...valid,
  response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: objectSchema, ...changes } },
})

const served: [name: string, body: JsonObject][] = [
  ['the smallest request', valid],
  ['every role', withMessages({ role: 'system', content: 'a' }, { role: 'developer', content: 'b' }, user)],
  ['names', withMessages({ ...user, name: 'Ann-1.é' })],
  [
    'parts of text and image',
    withMessages({
      role: 'user',
      content: [
        { type: 'text', text: 'what?' },
        { type: 'image_url', image_url: { url: 'data:image/png;base64,AA==' } },
      ],
    }),
  ],
  [
    'an assistant that refused',
    withMessages(user, { role: 'assistant', content: null, refusal: 'No.' }, user),
  ],
  [
    'parts of a refusal',
    withMessages(user, { role: 'assistant', content: [{ type: 'refusal', refusal: 'No.' }] }, user),
  ],
  [
    'parallel calls answered in another order',
    withMessages(user, calls(call('a'), call('b')), answer('b'), answer('a')),
  ],
  [
    'rounds that use an id again',
    withMessages(user, calls(call('a')), answer('a'), calls(call('a')), answer('a')),
  ],
  ['an id of 40 characters', withMessages(user, calls(call('a'.repeat(40))), answer('a'.repeat(40)))],
  ['a custom tool call', oneCall({ type: 'custom', custom: { name: 'sql', input: 'select 1' } })],
  [
    'tools with a choice',
    {
      ...withTools(look(), { type: 'custom', custom: { name: 'sql' } }),
      tool_choice: { type: 'function', function: { name: 'look' } },
      parallel_tool_calls: false,
    },
  ],
  ['a tool without parameters', withTools({ type: 'function', function: { name: 'look' } })],
  ['128 tools', withTools(...Array.from({ length: 128 }, (_, index) => look({ name: `look_${index}` })))],
  [
    'a strict tool with nested objects',
    withTools(
      look({
        strict: true,
        parameters: {
          ...strictSchema,
          properties: {
            where: { anyOf: [strictSchema, { type: 'null' }] },
            who: { type: 'array', items: { type: 'string' } },
          },
          required: ['where', 'who'],
        },
      }),
    ),
  ],
  [
    'optional parameters set to null',
    { ...valid, temperature: null, tools: null, stream: null, response_format: null },
  ],
  ['limits at their ends', { ...valid, temperature: 2, top_p: 0, n: 1, presence_penalty: -2, max_tokens: 1 }],
  ['four stop texts', { ...valid, stop: ['a', 'b', 'c', 'd'] }],
  ['usage in a stream', { ...valid, stream: true, stream_options: { include_usage: true } }],
  [
    'a reasoning model with its own limit',
    { ...valid, model: 'o3-mini', max_completion_tokens: 9, temperature: 1 },
  ],
  [
    'max_tokens for a chat model of the gpt-5 family',
    { ...valid, model: 'gpt-5-chat-latest', max_tokens: 9 },
  ],
  [
    'json_object when JSON is mentioned',
    {
      ...withMessages({ role: 'user', content: 'answer in JSON' }),
      response_format: { type: 'json_object' },
    },
  ],
  ['a strict answer schema', answerSchema({ strict: true, schema: strictSchema })],
  ['an emoji', withMessages({ role: 'user', content: '👩‍🚀' })],
]

type Expected = [rule: string, message: string, param?: string, code?: string]

const notJson =
  "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON. If you have trouble figuring out how to fix this, please contact us through our help center at help.openai.com.)"
const namePattern =
  "string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
const empty = 'empty string. Expected a string with minimum length 1, but got an empty string instead.'
const emptyList = 'empty array. Expected an array with minimum length 1, but got an empty array instead.'
const strictRequired =
  "'required' is required to be supplied and to be an array including every key in properties."
const callPath = 'messages[1].tool_calls[0]'
const functionPath = 'tools[0].function'
const schemaPath = 'tools[0].function.parameters'
const schemaCode = 'invalid_function_parameters'
const notAnswered =
  "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
const formatPath = 'response_format.json_schema'

const refused: [name: string, body: unknown, expected: Expected][] = [
  ['what is no JSON', undefined, ['json', notJson]],
  ['an array', [], ['json', notJson]],
  [
    'a lone surrogate',
    withMessages({ role: 'user', content: 'bad \ud83d end' }),
    [
      'lone_surrogate',
      'Invalid body: failed to parse JSON value. Please check the value to ensure it is valid JSON. (Common errors include trailing commas, missing closing brackets, missing quotation marks, etc.)',
    ],
  ],
  [
    'a lone surrogate in a key',
    withTools(look({ parameters: { ...objectSchema, properties: { 'x\udc00': {} } } })),
    [
      'lone_surrogate',
      'Invalid body: failed to parse JSON value. Please check the value to ensure it is valid JSON. (Common errors include trailing commas, missing closing brackets, missing quotation marks, etc.)',
    ],
  ],
  ['no model', { messages: [user] }, ['model', 'you must provide a model parameter']],
  ['an empty model', { ...valid, model: '' }, ['model', 'you must provide a model parameter']],
  [
    'a model that is no text',
    { ...valid, model: 4 },
    [
      'model',
      "Invalid type for 'model': expected a string, but got an integer instead.",
      'model',
      'invalid_type',
    ],
  ],
  [
    'an unknown parameter',
    { ...valid, maxTokens: 1 },
    ['unknown_parameter', 'Unrecognized request argument supplied: maxTokens'],
  ],
  [
    'unknown parameters',
    JSON.parse('{"model":"gpt-4o","messages":[],"__proto__":1,"constructor":2}'),
    ['unknown_parameter', 'Unrecognized request arguments supplied: __proto__, constructor'],
  ],

  [
    'no messages',
    { model: 'gpt-4o' },
    ['messages', "Missing required parameter: 'messages'.", 'messages', 'missing_required_parameter'],
  ],
  [
    'messages that are no list',
    { ...valid, messages: 'hi' },
    [
      'messages',
      "Invalid type for 'messages': expected an array of objects, but got a string instead.",
      'messages',
      'invalid_type',
    ],
  ],
  [
    'an empty list of messages',
    withMessages(),
    ['messages', `Invalid 'messages': ${emptyList}`, 'messages', 'empty_array'],
  ],
  [
    'a message that is no object',
    withMessages('hi'),
    [
      'message',
      "Invalid type for 'messages[0]': expected an object, but got a string instead.",
      'messages[0]',
      'invalid_type',
    ],
  ],
  [
    'a message without a role',
    withMessages({ content: 'hi' }),
    [
      'message_role',
      "Missing required parameter: 'messages[0].role'.",
      'messages[0].role',
      'missing_required_parameter',
    ],
  ],
  [
    'an unknown role',
    withMessages({ role: 'constructor', content: 'hi' }),
    [
      'message_role',
      "Invalid value: 'constructor'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'.",
      'messages[0].role',
      'invalid_value',
    ],
  ],
  [
    'a key another role has',
    withMessages({ ...user, tool_calls: [] }),
    [
      'message_key',
      "Unknown parameter: 'messages[0].tool_calls'.",
      'messages[0].tool_calls',
      'unknown_parameter',
    ],
  ],
  [
    'a name with a space',
    withMessages({ ...user, name: 'Ann B' }),
    [
      'message_name',
      "Invalid 'messages[0].name': string does not match pattern. Expected a string that matches the pattern '^[^\\s<|\\\\/>]+$'.",
      'messages[0].name',
      'invalid_value',
    ],
  ],
  [
    'a name of 65 characters',
    withMessages({ ...user, name: '👋'.repeat(65) }),
    [
      'message_name',
      "Invalid 'messages[0].name': string too long. Expected a string with maximum length 64, but got a string with length 65 instead.",
      'messages[0].name',
      'string_above_max_length',
    ],
  ],
  [
    'a name that is no text',
    withMessages({ ...user, name: null }),
    [
      'message_name',
      "Invalid type for 'messages[0].name': expected a string, but got null instead.",
      'messages[0].name',
      'invalid_type',
    ],
  ],

  [
    'no content',
    withMessages({ role: 'user' }),
    [
      'content',
      "Missing required parameter: 'messages[0].content'.",
      'messages[0].content',
      'missing_required_parameter',
    ],
  ],
  [
    'null content',
    withMessages({ role: 'assistant', content: null }),
    ['content', "Invalid value for 'content': expected a string, got null.", 'messages.[0].content'],
  ],
  [
    'content that is neither text nor parts',
    withMessages({ role: 'user', content: {} }),
    [
      'content',
      "Invalid type for 'messages[0].content': expected one of a string or array of objects, but got an object instead.",
      'messages[0].content',
      'invalid_type',
    ],
  ],
  [
    'an empty list of parts',
    withMessages({ role: 'user', content: [] }),
    ['content', `Invalid 'messages[0].content': ${emptyList}`, 'messages[0].content', 'empty_array'],
  ],
  [
    'content of more than 10 MiB',
    withMessages({ role: 'user', content: 'a'.repeat(10_485_761) }),
    [
      'content',
      "Invalid 'messages[0].content': string too long. Expected a string with maximum length 10485760, but got a string with length 10485761 instead.",
      'messages[0].content',
      'string_above_max_length',
    ],
  ],
  [
    'a part that is no object',
    withMessages({ role: 'user', content: ['hi'] }),
    [
      'content_part',
      "Invalid type for 'messages[0].content[0]': expected an object, but got a string instead.",
      'messages[0].content[0]',
      'invalid_type',
    ],
  ],
  [
    'a part without a type',
    withMessages({ role: 'user', content: [{ text: 'hi' }] }),
    [
      'content_part',
      "Missing required parameter: 'messages[0].content[0].type'.",
      'messages[0].content[0].type',
      'missing_required_parameter',
    ],
  ],
  [
    'a part the role may not have',
    withMessages({ role: 'assistant', content: [{ type: 'image_url', image_url: {} }] }),
    [
      'content_part',
      "Invalid value: 'image_url'. Supported values are: 'text' and 'refusal'.",
      'messages[0].content[0].type',
      'invalid_value',
    ],
  ],
  [
    'a part a system message may not have',
    withMessages({ role: 'system', content: [{ type: 'file', file: {} }] }),
    [
      'content_part',
      "Invalid value: 'file'. Supported values are: 'text'.",
      'messages[0].content[0].type',
      'invalid_value',
    ],
  ],
  [
    'an image as a tool result',
    withMessages(user, calls(call('a')), { ...answer('a'), content: [{ type: 'image_url', image_url: {} }] }),
    [
      'content_part',
      "Invalid 'messages[2]'. Content blocks are expected to be either text or image_url type.",
      'messages[2]',
      'invalid_value',
    ],
  ],
  [
    'a part with an unknown key',
    withMessages({ role: 'user', content: [{ type: 'text', text: 'hi', cache_control: {} }] }),
    [
      'content_part',
      "Unknown parameter: 'messages[0].content[0].cache_control'.",
      'messages[0].content[0].cache_control',
      'unknown_parameter',
    ],
  ],
  [
    'a text part without text',
    withMessages({ role: 'user', content: [{ type: 'text' }] }),
    [
      'content_part',
      "Missing required parameter: 'messages[0].content[0].text'.",
      'messages[0].content[0].text',
      'missing_required_parameter',
    ],
  ],
  [
    'an image part that is a text',
    withMessages({ role: 'user', content: [{ type: 'image_url', image_url: 'https://x' }] }),
    [
      'content_part',
      "Invalid type for 'messages[0].content[0].image_url': expected an object, but got a string instead.",
      'messages[0].content[0].image_url',
      'invalid_type',
    ],
  ],

  [
    'tool_calls set to null',
    withMessages({ role: 'assistant', content: 'hi', tool_calls: null }),
    [
      'tool_calls',
      "Invalid type for 'messages[0].tool_calls': expected an array of objects, but got null instead.",
      'messages[0].tool_calls',
      'invalid_type',
    ],
  ],
  [
    'an empty list of tool calls',
    withMessages({ role: 'assistant', content: 'hi', tool_calls: [] }),
    ['tool_calls', `Invalid 'messages[0].tool_calls': ${emptyList}`, 'messages[0].tool_calls', 'empty_array'],
  ],
  [
    'a call that is no object',
    withMessages(user, calls('a')),
    [
      'tool_calls',
      `Invalid type for '${callPath}': expected an object, but got a string instead.`,
      callPath,
      'invalid_type',
    ],
  ],
  [
    'a call without an id',
    withMessages(user, calls({ type: 'function' })),
    [
      'tool_call_id',
      `Missing required parameter: '${callPath}.id'.`,
      `${callPath}.id`,
      'missing_required_parameter',
    ],
  ],
  [
    'an id that is no text',
    withMessages(user, calls(call(1.5))),
    [
      'tool_call_id',
      `Invalid type for '${callPath}.id': expected a string, but got a decimal instead.`,
      `${callPath}.id`,
      'invalid_type',
    ],
  ],
  [
    'an empty id',
    withMessages(user, calls(call('')), answer('')),
    ['tool_call_id', `Invalid '${callPath}.id': ${empty}`, `${callPath}.id`, 'empty_string'],
  ],
  [
    'an id of 41 characters',
    withMessages(user, calls(call('a'.repeat(41)))),
    [
      'tool_call_id',
      `Invalid '${callPath}.id': string too long. Expected a string with maximum length 40, but got a string with length 41 instead.`,
      `${callPath}.id`,
      'string_above_max_length',
    ],
  ],
  [
    'two calls of one id',
    withMessages(user, calls(call('a'), call('a')), answer('a')),
    ['tool_call_id', "Duplicate value for 'tool_call_id' of a in message[1]"],
  ],
  [
    'a call without a type',
    withMessages(user, calls({ id: 'a' })),
    [
      'tool_call_type',
      `Missing required parameter: '${callPath}.type'.`,
      `${callPath}.type`,
      'missing_required_parameter',
    ],
  ],
  [
    'a call of an unknown type',
    oneCall({ type: 'tool' }),
    [
      'tool_call_type',
      "Invalid value: 'tool'. Supported values are: 'function', 'allowed_tools', and 'custom'.",
      `${callPath}.type`,
      'invalid_value',
    ],
  ],
  [
    'a custom call without input',
    oneCall({ type: 'custom', custom: { name: 'sql' } }),
    [
      'tool_call_custom',
      `Missing required parameter: '${callPath}.custom'.`,
      `${callPath}.custom`,
      'missing_required_parameter',
    ],
  ],
  [
    'a call without a function',
    withMessages(user, calls({ id: 'a', type: 'function' })),
    [
      'tool_call_function',
      `Missing required parameter: '${callPath}.function'.`,
      `${callPath}.function`,
      'missing_required_parameter',
    ],
  ],
  [
    'a call whose function is a text',
    oneCall({ function: 'look' }),
    [
      'tool_call_function',
      `Invalid type for '${callPath}.function': expected an object, but got a string instead.`,
      `${callPath}.function`,
      'invalid_type',
    ],
  ],
  [
    'a call with an unknown key',
    oneCall({ index: 0 }),
    ['tool_call_key', `Unknown parameter: '${callPath}.index'.`, `${callPath}.index`, 'unknown_parameter'],
  ],
  [
    'a call without a name',
    oneCall({ function: { arguments: '{}' } }),
    [
      'tool_call_name',
      `Missing required parameter: '${callPath}.function.name'.`,
      `${callPath}.function.name`,
      'missing_required_parameter',
    ],
  ],
  [
    'a call with an empty name',
    oneCall({ function: { name: '', arguments: '{}' } }),
    [
      'tool_call_name',
      `Invalid '${callPath}.function.name': ${empty}`,
      `${callPath}.function.name`,
      'empty_string',
    ],
  ],
  [
    'a call with a dot in its name',
    oneCall({ function: { name: 'a.b', arguments: '{}' } }),
    [
      'tool_call_name',
      `Invalid '${callPath}.function.name': ${namePattern}`,
      `${callPath}.function.name`,
      'invalid_value',
    ],
  ],
  [
    'a call without arguments',
    oneCall({ function: { name: 'look' } }),
    [
      'tool_call_arguments',
      `Missing required parameter: '${callPath}.function.arguments'.`,
      `${callPath}.function.arguments`,
      'missing_required_parameter',
    ],
  ],
  [
    'arguments that are an object',
    oneCall({ function: { name: 'look', arguments: {} } }),
    [
      'tool_call_arguments',
      `Invalid type for '${callPath}.function.arguments': expected a string, but got an object instead.`,
      `${callPath}.function.arguments`,
      'invalid_type',
    ],
  ],
  [
    'arguments that are broken JSON',
    oneCall({ function: { name: 'look', arguments: '{"a":' } }),
    [
      'tool_call_arguments',
      'The arguments to a tool_call with ID \'a\' are not a valid JSON string. Parsing error: Error("expected value or EOF while parsing a value", line: 1, column: 0)',
      `${callPath}.function.arguments`,
      'invalid_value',
    ],
  ],
  [
    'arguments that are a JSON list',
    oneCall({ function: { name: 'look', arguments: '[]' } }),
    [
      'tool_call_arguments',
      "The arguments to a tool_call with ID 'a' are not a valid JSON string. Parsing error: expected a JSON object",
      `${callPath}.function.arguments`,
      'invalid_value',
    ],
  ],
  [
    'a tool message without an id',
    withMessages(user, calls(call('a')), { role: 'tool', content: 'seen' }),
    [
      'tool_message_id',
      "Missing parameter 'tool_call_id': messages with role 'tool' must have a 'tool_call_id'.",
      'messages.[2].tool_call_id',
    ],
  ],
  [
    'a tool message whose id is no text',
    withMessages(user, { ...answer('a'), tool_call_id: true }),
    [
      'tool_message_id',
      "Invalid type for 'messages[1].tool_call_id': expected a string, but got a boolean instead.",
      'messages[1].tool_call_id',
      'invalid_type',
    ],
  ],

  [
    'a call without an answer',
    withMessages(user, calls(call('a'))),
    ['unanswered_call', `${notAnswered}a`, 'messages.[2].role'],
  ],
  [
    'calls of which one is answered',
    withMessages(user, calls(call('a'), call('b'), call('c')), answer('b'), user),
    ['unanswered_call', `${notAnswered}a, c`, 'messages.[3].role'],
  ],
  [
    'an answer that comes late',
    withMessages(user, calls(call('a')), user, answer('a')),
    ['unanswered_call', `${notAnswered}a`, 'messages.[2].role'],
  ],
  [
    'an answer after the next message',
    withMessages(user, calls(call('a')), answer('a'), user, answer('a')),
    [
      'orphan_tool_message',
      "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
      'messages.[4].role',
    ],
  ],
  [
    'an answer to nothing',
    withMessages(answer('a'), user),
    [
      'orphan_tool_message',
      "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
      'messages.[0].role',
    ],
  ],
  [
    'two answers to one call',
    withMessages(user, calls(call('a')), answer('a'), answer('a')),
    ['duplicate_tool_message', "Duplicate value for 'tool_call_id' of a in message[3]"],
  ],
  [
    'an answer to another call',
    withMessages(user, calls(call('a')), answer('b')),
    [
      'unknown_tool_message',
      "Invalid parameter: 'tool_call_id' of 'b' not found in 'tool_calls' of previous message.",
      'messages.[2].tool_call_id',
    ],
  ],

  [
    'tools that are no list',
    { ...valid, tools: {} },
    [
      'tools',
      "Invalid type for 'tools': expected an array of objects, but got an object instead.",
      'tools',
      'invalid_type',
    ],
  ],
  ['an empty list of tools', withTools(), ['tools', `Invalid 'tools': ${emptyList}`, 'tools', 'empty_array']],
  [
    '129 tools',
    withTools(...Array.from({ length: 129 }, (_, index) => look({ name: `look_${index}` }))),
    [
      'tools',
      "Invalid 'tools': array too long. Expected an array with maximum length 128, but got an array with length 129 instead.",
      'tools',
      'array_above_max_length',
    ],
  ],
  [
    'a tool that is no object',
    withTools('look'),
    [
      'tool',
      "Invalid type for 'tools[0]': expected an object, but got a string instead.",
      'tools[0]',
      'invalid_type',
    ],
  ],
  [
    'a tool without a type',
    withTools({ function: { name: 'look' } }),
    ['tool', "Missing required parameter: 'tools[0].type'.", 'tools[0].type', 'missing_required_parameter'],
  ],
  [
    'a tool of an unknown type',
    withTools({ type: 'web_search' }),
    [
      'tool',
      "Invalid value: 'web_search'. Supported values are: 'function' and 'custom'.",
      'tools[0].type',
      'invalid_value',
    ],
  ],
  [
    'a flat tool',
    withTools({ type: 'function', name: 'look' }),
    ['tool_key', "Unknown parameter: 'tools[0].name'.", 'tools[0].name', 'unknown_parameter'],
  ],
  [
    'a tool without a function',
    withTools({ type: 'function' }),
    [
      'tool',
      "Missing required parameter: 'tools[0].function'.",
      'tools[0].function',
      'missing_required_parameter',
    ],
  ],
  [
    'a function that is a text',
    withTools({ type: 'function', function: 'look' }),
    [
      'tool',
      "Invalid type for 'tools[0].function': expected an object, but got a string instead.",
      'tools[0].function',
      'invalid_type',
    ],
  ],
  [
    'a function with an unknown key',
    withTools(look({ title: 'Look' })),
    ['tool_key', `Unknown parameter: '${functionPath}.title'.`, `${functionPath}.title`, 'unknown_parameter'],
  ],
  [
    'a function with a space in its name',
    withTools(look({ name: 'look at' })),
    ['tool_name', `Invalid '${functionPath}.name': ${namePattern}`, `${functionPath}.name`, 'invalid_value'],
  ],
  [
    'a function name of 65 characters',
    withTools(look({ name: 'l'.repeat(65) })),
    [
      'tool_name',
      `Invalid '${functionPath}.name': string too long. Expected a string with maximum length 64, but got a string with length 65 instead.`,
      `${functionPath}.name`,
      'string_above_max_length',
    ],
  ],
  [
    'a description that is no text',
    withTools(look({ description: 7 })),
    [
      'tool_description',
      `Invalid type for '${functionPath}.description': expected a string, but got an integer instead.`,
      `${functionPath}.description`,
      'invalid_type',
    ],
  ],
  [
    'strict that is no boolean',
    withTools(look({ strict: 'yes' })),
    [
      'tool_strict',
      `Invalid type for '${functionPath}.strict': expected a boolean, but got a string instead.`,
      `${functionPath}.strict`,
      'invalid_type',
    ],
  ],
  [
    'two tools of one name',
    withTools(look(), look()),
    [
      'duplicate_tool',
      "Tool names must be unique. Found duplicate tool name: 'look'.",
      'tools',
      'invalid_value',
    ],
  ],

  [
    'parameters that are no schema',
    withTools(look({ parameters: [] })),
    [
      'tool_schema',
      "Invalid schema for function 'look': [] is not of type 'object', 'boolean'.",
      schemaPath,
      schemaCode,
    ],
  ],
  [
    'parameters without a type',
    withTools(look({ parameters: {} })),
    [
      'tool_schema',
      "Invalid schema for function 'look': schema must be a JSON Schema of 'type: \"object\"', got 'type: \"None\"'.",
      schemaPath,
      schemaCode,
    ],
  ],
  [
    'parameters that are a list',
    withTools(look({ parameters: { type: 'array', items: {} } })),
    [
      'tool_schema',
      "Invalid schema for function 'look': schema must be a JSON Schema of 'type: \"object\"', got 'type: \"array\"'.",
      schemaPath,
      schemaCode,
    ],
  ],
  [
    'parameters that are a union',
    withTools(look({ parameters: { ...objectSchema, anyOf: [{}] } })),
    [
      'tool_schema',
      "Invalid schema for function 'look': schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level.",
      schemaPath,
      schemaCode,
    ],
  ],
  [
    'a list without items',
    withTools(look({ parameters: { type: 'object', properties: { all: { type: 'array' } } } })),
    [
      'tool_schema',
      "Invalid schema for function 'look': In context=('properties', 'all'), array schema missing items.",
      schemaPath,
      schemaCode,
    ],
  ],
  [
    'a branch without items',
    withTools(
      look({ parameters: { type: 'object', $defs: { all: { anyOf: [{ type: ['array', 'null'] }] } } } }),
    ),
    [
      'tool_schema',
      "Invalid schema for function 'look': In context=('$defs', 'all', 'anyOf', '0'), array schema missing items.",
      schemaPath,
      schemaCode,
    ],
  ],
  [
    'required that is a boolean',
    withTools(
      look({ parameters: { type: 'object', properties: { a: { type: 'string', required: true } } } }),
    ),
    [
      'tool_schema',
      "Invalid schema for function 'look': In context=('properties', 'a'), 'required' must be an array of strings.",
      schemaPath,
      schemaCode,
    ],
  ],
  [
    'a property that is no schema',
    withTools(look({ parameters: { type: 'object', properties: { a: 'string' } } })),
    [
      'tool_schema',
      "Invalid schema for function 'look': \"string\" is not of type 'object', 'boolean'.",
      schemaPath,
      schemaCode,
    ],
  ],
  [
    'strict without additionalProperties',
    withTools(look({ strict: true })),
    [
      'tool_schema',
      "Invalid schema for function 'look': In context=(), 'additionalProperties' is required to be supplied and to be false.",
      schemaPath,
      schemaCode,
    ],
  ],
  [
    'strict with an optional property',
    withTools(look({ strict: true, parameters: { ...strictSchema, properties: { a: { type: 'string' } } } })),
    [
      'tool_schema',
      `Invalid schema for function 'look': In context=(), ${strictRequired} Missing 'a'.`,
      schemaPath,
      schemaCode,
    ],
  ],
  [
    'strict requiring what is not declared',
    withTools(look({ strict: true, parameters: { ...strictSchema, required: ['b'] } })),
    [
      'tool_schema',
      `Invalid schema for function 'look': In context=(), ${strictRequired} Extra required key 'b' supplied.`,
      schemaPath,
      schemaCode,
    ],
  ],
  [
    'strict with oneOf',
    withTools(
      look({
        strict: true,
        parameters: { ...strictSchema, properties: { a: { oneOf: [] } }, required: ['a'] },
      }),
    ),
    [
      'tool_schema',
      "Invalid schema for function 'look': In context=('properties', 'a'), 'oneOf' is not permitted.",
      schemaPath,
      schemaCode,
    ],
  ],
  [
    'strict with a property of any type',
    withTools(
      look({ strict: true, parameters: { ...strictSchema, properties: { a: {} }, required: ['a'] } }),
    ),
    [
      'tool_schema',
      "Invalid schema for function 'look': In context=('properties', 'a'), schema must have a 'type' key.",
      schemaPath,
      schemaCode,
    ],
  ],
  [
    'strict with a loose object in a list',
    withTools(
      look({
        strict: true,
        parameters: {
          ...strictSchema,
          properties: { a: { type: 'array', items: objectSchema } },
          required: ['a'],
        },
      }),
    ),
    [
      'tool_schema',
      "Invalid schema for function 'look': In context=('properties', 'a', 'items'), 'additionalProperties' is required to be supplied and to be false.",
      schemaPath,
      schemaCode,
    ],
  ],

  [
    'tool_choice without tools',
    { ...valid, tool_choice: 'none' },
    [
      'tool_choice',
      "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
      'tool_choice',
    ],
  ],
  [
    'an unknown tool_choice',
    { ...withTools(look()), tool_choice: 'any' },
    [
      'tool_choice',
      "Invalid value: 'any'. Supported values are: 'none', 'auto', and 'required'.",
      'tool_choice',
      'invalid_value',
    ],
  ],
  [
    'a tool_choice that is a number',
    { ...withTools(look()), tool_choice: 1 },
    [
      'tool_choice',
      "Invalid type for 'tool_choice': expected one of 'none', 'auto', 'required', or an object, but got an integer instead.",
      'tool_choice',
      'invalid_type',
    ],
  ],
  [
    'a tool_choice without a type',
    { ...withTools(look()), tool_choice: { name: 'look' } },
    [
      'tool_choice',
      "Missing required parameter: 'tool_choice.type'.",
      'tool_choice.type',
      'missing_required_parameter',
    ],
  ],
  [
    'a tool_choice of an unknown type',
    { ...withTools(look()), tool_choice: { type: 'tool' } },
    [
      'tool_choice',
      "Invalid value: 'tool'. Supported values are: 'function', 'allowed_tools', and 'custom'.",
      'tool_choice.type',
      'invalid_value',
    ],
  ],
  [
    'a tool_choice without a name',
    { ...withTools(look()), tool_choice: { type: 'function', name: 'look' } },
    [
      'tool_choice',
      "Missing required parameter: 'tool_choice.function.name'.",
      'tool_choice.function.name',
      'missing_required_parameter',
    ],
  ],
  [
    'a tool_choice of a tool that is not offered',
    { ...withTools(look()), tool_choice: { type: 'function', function: { name: 'hear' } } },
    ['tool_choice', "Invalid value for 'tool_choice': function 'hear' not found in 'tools'.", 'tool_choice'],
  ],
  [
    'parallel_tool_calls without tools',
    { ...valid, parallel_tool_calls: true },
    [
      'parallel_tool_calls',
      "Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is only allowed when 'tools' are specified.",
      'parallel_tool_calls',
    ],
  ],
  [
    'parallel_tool_calls that is no boolean',
    { ...withTools(look()), parallel_tool_calls: 1 },
    [
      'parallel_tool_calls',
      "Invalid type for 'parallel_tool_calls': expected a boolean, but got an integer instead.",
      'parallel_tool_calls',
      'invalid_type',
    ],
  ],

  [
    'temperature above its range',
    { ...valid, temperature: 2.1 },
    [
      'temperature',
      "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 2.1 instead.",
      'temperature',
      'decimal_above_max_value',
    ],
  ],
  [
    'temperature as text',
    { ...valid, temperature: '1' },
    [
      'temperature',
      "Invalid type for 'temperature': expected a decimal, but got a string instead.",
      'temperature',
      'invalid_type',
    ],
  ],
  [
    'top_p below its range',
    { ...valid, top_p: -0.1 },
    [
      'top_p',
      "Invalid 'top_p': decimal below minimum value. Expected a value >= 0, but got -0.1 instead.",
      'top_p',
      'decimal_below_min_value',
    ],
  ],
  [
    'presence_penalty above its range',
    { ...valid, presence_penalty: 3 },
    [
      'presence_penalty',
      "Invalid 'presence_penalty': decimal above maximum value. Expected a value <= 2, but got 3 instead.",
      'presence_penalty',
      'decimal_above_max_value',
    ],
  ],
  [
    'frequency_penalty below its range',
    { ...valid, frequency_penalty: -3 },
    [
      'frequency_penalty',
      "Invalid 'frequency_penalty': decimal below minimum value. Expected a value >= -2, but got -3 instead.",
      'frequency_penalty',
      'decimal_below_min_value',
    ],
  ],
  [
    'n of more than 128',
    { ...valid, n: 129 },
    [
      'n',
      "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 129 instead.",
      'n',
      'integer_above_max_value',
    ],
  ],
  [
    'top_logprobs of more than 20',
    { ...valid, top_logprobs: 21 },
    [
      'top_logprobs',
      "Invalid 'top_logprobs': integer above maximum value. Expected a value <= 20, but got 21 instead.",
      'top_logprobs',
      'integer_above_max_value',
    ],
  ],
  [
    'max_tokens of 0',
    { ...valid, max_tokens: 0 },
    [
      'max_tokens',
      "Invalid 'max_tokens': integer below minimum value. Expected a value >= 1, but got 0 instead.",
      'max_tokens',
      'integer_below_min_value',
    ],
  ],
  [
    'max_completion_tokens that is no integer',
    { ...valid, max_completion_tokens: 1.5 },
    [
      'max_completion_tokens',
      "Invalid type for 'max_completion_tokens': expected an integer, but got a decimal instead.",
      'max_completion_tokens',
      'invalid_type',
    ],
  ],
  [
    'five stop texts',
    { ...valid, stop: ['a', 'b', 'c', 'd', 'e'] },
    [
      'stop',
      "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length 5 instead.",
      'stop',
      'array_above_max_length',
    ],
  ],
  [
    'a temperature for a reasoning model',
    { ...valid, model: 'gpt-5-mini', temperature: 0 },
    [
      'temperature',
      "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported.",
      'temperature',
      'unsupported_value',
    ],
  ],
  [
    'max_tokens for a reasoning model',
    { ...valid, model: 'o1', max_tokens: 9 },
    [
      'max_tokens',
      "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
      'max_tokens',
      'unsupported_parameter',
    ],
  ],
  [
    'both limits of the answer',
    { ...valid, max_tokens: 9, max_completion_tokens: 9 },
    [
      'max_tokens',
      "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
      'max_tokens',
      'invalid_parameter_combination',
    ],
  ],
  [
    'stream as text',
    { ...valid, stream: 'true' },
    [
      'stream',
      "Invalid type for 'stream': expected a boolean, but got a string instead.",
      'stream',
      'invalid_type',
    ],
  ],
  [
    'stream_options without a stream',
    { ...valid, stream_options: { include_usage: true } },
    [
      'stream_options',
      "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
      'stream_options',
    ],
  ],
  [
    'stream_options that is no object',
    { ...valid, stream: true, stream_options: true },
    [
      'stream_options',
      "Invalid type for 'stream_options': expected an object, but got a boolean instead.",
      'stream_options',
      'invalid_type',
    ],
  ],
  [
    'an unknown stream option',
    { ...valid, stream: true, stream_options: { usage: true } },
    [
      'stream_options',
      "Unknown parameter: 'stream_options.usage'.",
      'stream_options.usage',
      'unknown_parameter',
    ],
  ],

  [
    'a response_format that is a text',
    { ...valid, response_format: 'json' },
    [
      'response_format',
      "Invalid type for 'response_format': expected an object, but got a string instead.",
      'response_format',
      'invalid_type',
    ],
  ],
  [
    'a response_format without a type',
    { ...valid, response_format: {} },
    [
      'response_format',
      "Missing required parameter: 'response_format.type'.",
      'response_format.type',
      'missing_required_parameter',
    ],
  ],
  [
    'a response_format of an unknown type',
    { ...valid, response_format: { type: 'json' } },
    [
      'response_format',
      "Invalid value: 'json'. Supported values are: 'json_object', 'json_schema', and 'text'.",
      'response_format.type',
      'invalid_value',
    ],
  ],
  [
    'json_object when nobody says JSON',
    { ...valid, response_format: { type: 'json_object' } },
    [
      'json_word',
      "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
      'messages',
    ],
  ],
  [
    'a schema beside json_schema',
    { ...valid, response_format: { type: 'json_schema', schema: {} } },
    [
      'response_format',
      "Unknown parameter: 'response_format.schema'.",
      'response_format.schema',
      'unknown_parameter',
    ],
  ],
  [
    'no json_schema',
    { ...valid, response_format: { type: 'json_schema' } },
    [
      'response_format',
      `Missing required parameter: '${formatPath}'.`,
      formatPath,
      'missing_required_parameter',
    ],
  ],
  [
    'a json_schema that is a text',
    { ...valid, response_format: { type: 'json_schema', json_schema: 'x' } },
    [
      'response_format',
      `Invalid type for '${formatPath}': expected an object, but got a string instead.`,
      formatPath,
      'invalid_type',
    ],
  ],
  [
    'an answer schema without a name',
    { ...valid, response_format: { type: 'json_schema', json_schema: { schema: objectSchema } } },
    [
      'response_format',
      `Missing required parameter: '${formatPath}.name'.`,
      `${formatPath}.name`,
      'missing_required_parameter',
    ],
  ],
  [
    'an answer schema with a space in its name',
    answerSchema({ name: 'my answer' }),
    [
      'response_format',
      `Invalid '${formatPath}.name': ${namePattern}`,
      `${formatPath}.name`,
      'invalid_value',
    ],
  ],
  [
    'no answer schema',
    { ...valid, response_format: { type: 'json_schema', json_schema: { name: 'answer' } } },
    [
      'response_format',
      `Missing required parameter: '${formatPath}.schema'.`,
      `${formatPath}.schema`,
      'missing_required_parameter',
    ],
  ],
  [
    'an answer schema that is no object',
    answerSchema({ schema: { type: 'string' } }),
    [
      'response_schema',
      "Invalid schema for response_format 'answer': schema must be a JSON Schema of 'type: \"object\"', got 'type: \"string\"'.",
      'response_format',
    ],
  ],
  [
    'a strict answer schema that is loose',
    answerSchema({ strict: true }),
    [
      'response_schema',
      "Invalid schema for response_format 'answer': In context=(), 'additionalProperties' is required to be supplied and to be false.",
      'response_format',
    ],
  ],
]

describe('validateOpenAI', () => {
  it.each(served)('serves %s', (_, body) => {
    expect(validateOpenAI(body)).toBeUndefined()
  })

  it.each(refused)('refuses %s', (_, body, [rule, message, param = null, code = null]) => {
    expect(validateOpenAI(body)).toEqual({
      status: 400,
      rule,
      body: { error: { message, type: 'invalid_request_error', param, code } },
    })
  })

  it('refuses a model that is not among those it has', () => {
    expect(validateOpenAI({ ...valid, model: 'gpt-9' }, { models: ['gpt-4o'] })).toEqual({
      status: 404,
      rule: 'unknown_model',
      body: {
        error: {
          message: 'The model `gpt-9` does not exist or you do not have access to it.',
          type: 'invalid_request_error',
          param: null,
          code: 'model_not_found',
        },
      },
    })
    expect(validateOpenAI(valid, { models: ['gpt-4o'] })).toBeUndefined()
  })

  it('refuses a request beyond the context window, counting messages and tools', () => {
    const body = withTools(look())
    const tokens = estimateTokens(body)
    expect(tokens).toBe(
      Math.ceil((JSON.stringify(body['messages']).length + JSON.stringify(body['tools']).length) / 4),
    )
    expect(validateOpenAI(body, { contextWindow: tokens })).toBeUndefined()
    expect(validateOpenAI(body, { contextWindow: tokens - 1 })).toEqual({
      status: 400,
      rule: 'context_length',
      body: {
        error: {
          message: `This model's maximum context length is ${tokens - 1} tokens. However, your messages resulted in ${tokens} tokens. Please reduce the length of the messages.`,
          type: 'invalid_request_error',
          param: 'messages',
          code: 'context_length_exceeded',
        },
      },
    })
  })

  it('serves any conversation whose calls are answered at once, and refuses it when one message is dropped', () => {
    const round = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme-ascii' }), {
      minLength: 1,
      maxLength: 4,
    })
    fc.assert(
      fc.property(fc.array(round, { minLength: 1, maxLength: 4 }), fc.nat(), (rounds, pick) => {
        const paired = rounds.flatMap((ids) => [
          calls(...ids.map((id) => call(id))),
          ...ids.toReversed().map(answer),
        ])
        expect(validateOpenAI(withMessages(user, ...paired))).toBeUndefined()
        const dropped = pick % paired.length
        const broken = validateOpenAI(withMessages(user, ...paired.toSpliced(dropped, 1)))
        expect(broken?.rule).toMatch(
          /unanswered_call|orphan_tool_message|unknown_tool_message|duplicate_tool_message/,
        )
      }),
    )
  })

  it('answers every value without throwing', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), fc.jsonValue(), (message, tool, value) => {
        const body = {
          ...valid,
          messages: [message],
          tools: [tool],
          tool_choice: value,
          response_format: value,
        }
        expect(validateOpenAI(body)?.status).toBe(400)
      }),
    )
  })

  it('reads text that is nested deeper than the stack', () => {
    const depth = 200_000
    const nested = JSON.parse(`{"model":"gpt-4o","zap":${'['.repeat(depth)}${']'.repeat(depth)}}`)
    expect(validateOpenAI(nested)?.rule).toBe('unknown_parameter')
  })
})

describe('authorizeOpenAI', () => {
  const noKey = {
    status: 401,
    rule: 'authorization',
    body: {
      error: {
        message:
          "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing the API from your browser and are prompted for a username and password. You can obtain an API key from https://platform.openai.com/account/api-keys.",
        type: 'invalid_request_error',
        param: null,
        code: null,
      },
    },
  }

  it.each([{}, { authorization: '' }, { authorization: 'Bearer ' }, { authorization: 'Basic abc' }])(
    'refuses the headers %j, which hold no key',
    (headers) => {
      expect(authorizeOpenAI(headers)).toEqual(noKey)
    },
  )

  it.each([
    ['sk-proj-abcdefghijklWXYZ', 'sk-proj-************WXYZ'],
    ['EMPTY', 'EMPTY'],
    ['twelve-chars', 'twelve-chars'],
  ])('refuses the key %s and shows it as %s', (key, masked) => {
    expect(authorizeOpenAI({ authorization: `Bearer ${key}` }, ['sk-good'])).toEqual({
      status: 401,
      rule: 'api_key',
      body: {
        error: {
          message: `Incorrect API key provided: ${masked}. You can find your API key at https://platform.openai.com/account/api-keys.`,
          type: 'invalid_request_error',
          param: null,
          code: 'invalid_api_key',
        },
      },
    })
  })

  it('accepts a key on the list, and any key without a list', () => {
    expect(authorizeOpenAI({ authorization: 'Bearer sk-good' }, ['sk-good'])).toBeUndefined()
    expect(authorizeOpenAI({ authorization: 'bearer anything' })).toBeUndefined()
  })
})

it('refuses a path the API does not have', () => {
  expect(refuseUrl('GET', '/v1/models')).toEqual({
    status: 404,
    rule: 'url',
    body: {
      error: {
        message: 'Invalid URL (GET /v1/models)',
        type: 'invalid_request_error',
        param: null,
        code: null,
      },
    },
  })
})
