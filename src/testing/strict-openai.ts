import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'

/** A request the real API would not serve, with the status and the body it answers instead. */
export interface Refusal {
  readonly status: number
  /** Which rule was broken, such as `tool_call_id` or `unanswered_call`: stable, for tests to compare. */
  readonly rule: string
  readonly body: JsonObject
}

/** What an account may use; absent means anything. */
export interface AccountRules {
  /** The models that exist. */
  readonly models?: readonly string[]
  /** Tokens a request may have, estimated as a quarter of the UTF-8 bytes of its messages and tools. */
  readonly contextWindow?: number
}

/**
 * The first rule of OpenAI Chat Completions that a parsed request body breaks, `undefined` when the API would serve it.
 * `undefined` as a body stands for text that was no JSON.
 */
export function validateOpenAI(body: unknown, rules: AccountRules = {}): Refusal | undefined {
  if (!isJsonObject(body)) {
    return refuse(
      'json',
      "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library " +
        'correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON. If you have trouble ' +
        'figuring out how to fix this, please contact us through our help center at help.openai.com.)',
    )
  }
  return (
    checkWellFormed(body) ??
    checkModel(body['model'], rules.models) ??
    checkParameterNames(body) ??
    checkMessages(body['messages']) ??
    checkTools(body['tools']) ??
    checkToolUse(body) ??
    checkSampling(body) ??
    checkOutputLimit(body) ??
    checkStreaming(body) ??
    checkResponseFormat(body) ??
    checkContext(body, rules.contextWindow)
  )
}

/** The refusal of a request without a usable `Authorization` header. Without `keys`, any bearer token is good. */
export function authorizeOpenAI(
  headers: Readonly<Record<string, string>>,
  keys?: readonly string[],
): Refusal | undefined {
  const key = /^Bearer (\S.*)$/i.exec(headers['authorization'] ?? '')?.[1]
  if (key === undefined) {
    return refuse(
      'authorization',
      "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth " +
        "(i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing " +
        'the API from your browser and are prompted for a username and password. You can obtain an API key from ' +
        'https://platform.openai.com/account/api-keys.',
      { status: 401 },
    )
  }
  if (keys === undefined || keys.includes(key)) return undefined
  const masked = key.slice(0, 8) + '*'.repeat(Math.max(0, key.length - 12)) + key.slice(8).slice(-4)
  return refuse(
    'api_key',
    `Incorrect API key provided: ${masked}. You can find your API key at https://platform.openai.com/account/api-keys.`,
    { status: 401, code: 'invalid_api_key' },
  )
}

/** The refusal of a path or method that the API does not have. */
export function refuseUrl(method: string, path: string): Refusal {
  return refuse('url', `Invalid URL (${method} ${path})`, { status: 404 })
}

/** A quarter of the UTF-8 bytes of messages and tools: crude, but the same for everyone who counts. */
export function estimateTokens(body: JsonObject): number {
  const sent = [body['messages'], body['tools']].filter(isGiven)
  const bytes = sent.map((part) => new TextEncoder().encode(JSON.stringify(part)).length)
  return Math.ceil(bytes.reduce((sum, count) => sum + count, 0) / 4)
}

type Check = Refusal | undefined

function checkWellFormed(body: JsonObject): Check {
  // A worklist, not recursion: JSON.parse reads nesting that is deeper than the stack.
  const pending: JsonValue[] = [body]
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (typeof value === 'string' && /\p{Surrogate}/u.test(value)) {
      return refuse(
        'lone_surrogate',
        'Invalid body: failed to parse JSON value. Please check the value to ensure it is valid JSON. (Common errors ' +
          'include trailing commas, missing closing brackets, missing quotation marks, etc.)',
      )
    }
    if (isList(value)) for (const item of value) pending.push(item)
    else if (isJsonObject(value)) for (const [key, item] of Object.entries(value)) pending.push(key, item)
  }
  return undefined
}

function checkModel(model: JsonValue | undefined, models: readonly string[] | undefined): Check {
  if (!isGiven(model) || model === '') return refuse('model', 'you must provide a model parameter')
  if (typeof model !== 'string') return wrongType('model', 'model', 'a string', model)
  if (models === undefined || models.includes(model)) return undefined
  return refuse('unknown_model', `The model \`${model}\` does not exist or you do not have access to it.`, {
    status: 404,
    code: 'model_not_found',
  })
}

// OpenAI Chat Completions, request body, as the openai SDK 7.55 types it.
const parameterNames = words(`
  audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens
  messages metadata modalities model moderation n parallel_tool_calls prediction presence_penalty
  prompt_cache_key prompt_cache_options prompt_cache_retention reasoning_effort response_format
  safety_identifier seed service_tier stop store stream stream_options temperature tool_choice tools
  top_logprobs top_p user verbosity web_search_options`)

function checkParameterNames(body: JsonObject): Check {
  const unknown = Object.keys(body).filter((name) => !parameterNames.has(name))
  if (unknown.length === 0) return undefined
  const noun = unknown.length === 1 ? 'argument' : 'arguments'
  return refuse('unknown_parameter', `Unrecognized request ${noun} supplied: ${unknown.join(', ')}`)
}

interface RoleRules {
  readonly keys: ReadonlySet<string>
  readonly parts: readonly string[]
}

const roles: ReadonlyMap<JsonValue, RoleRules> = new Map<JsonValue, RoleRules>([
  ['system', { keys: words('content role name'), parts: ['text'] }],
  [
    'assistant',
    {
      keys: words('role audio content function_call name refusal tool_calls annotations'),
      parts: ['text', 'refusal'],
    },
  ],
  ['user', { keys: words('content role name'), parts: ['text', 'image_url', 'input_audio', 'file'] }],
  ['function', { keys: words('content name role'), parts: ['text'] }],
  ['tool', { keys: words('content role tool_call_id'), parts: ['text'] }],
  ['developer', { keys: words('content role name'), parts: ['text'] }],
])

function checkMessages(messages: JsonValue | undefined): Check {
  if (messages === undefined) return missing('messages', 'messages')
  if (!isList(messages)) return wrongType('messages', 'messages', 'an array of objects', messages)
  if (messages.length === 0) return emptyArray('messages', 'messages')
  return firstOf(messages, checkMessage) ?? checkPairing(messages)
}

function checkMessage(message: JsonValue, index: number): Check {
  const path = `messages[${index}]`
  if (!isJsonObject(message)) return wrongType('message', path, 'an object', message)
  const role = message['role']
  if (role === undefined) return missing('message_role', `${path}.role`)
  const rules = roles.get(role)
  if (rules === undefined) return unsupported('message_role', `${path}.role`, role, [...roles.keys()])
  return (
    unknownKey('message_key', path, message, rules.keys) ??
    checkMessageName(message['name'], `${path}.name`) ??
    checkContent(message, index, rules) ??
    checkToolCalls(message['tool_calls'], index) ??
    (role === 'tool' ? checkToolCallId(message['tool_call_id'], index) : undefined)
  )
}

function checkMessageName(name: JsonValue | undefined, path: string): Check {
  if (name === undefined) return undefined
  if (typeof name !== 'string') return wrongType('message_name', path, 'a string', name)
  if (!/^[^\s<|\\/>]+$/.test(name)) return mismatch('message_name', path, '^[^\\s<|\\\\/>]+$')
  return tooLong('message_name', path, 64, name)
}

function checkContent(message: JsonObject, index: number, rules: RoleRules): Check {
  const { content, role } = message
  const path = `messages[${index}].content`
  if (content === undefined || content === null) {
    if (role === 'assistant' && saysSomethingElse(message)) return undefined
    if (content === undefined) return missing('content', path)
    if (role === 'function') return undefined
    return refuse('content', "Invalid value for 'content': expected a string, got null.", {
      param: `messages.[${index}].content`,
    })
  }
  if (typeof content === 'string') return tooLong('content', path, 10_485_760, content)
  if (!isList(content)) return wrongType('content', path, 'one of a string or array of objects', content)
  if (content.length === 0) return emptyArray('content', path)
  return firstOf(content, (part, at) =>
    checkPart(part, `${path}[${at}]`, `messages[${index}]`, role, rules.parts),
  )
}

function saysSomethingElse(message: JsonObject): boolean {
  const calls = message['tool_calls']
  return (
    (isList(calls) && calls.length > 0) ||
    isJsonObject(message['function_call']) ||
    isJsonObject(message['audio']) ||
    typeof message['refusal'] === 'string'
  )
}

// Each part keeps its value under its own name; what the value has to be.
const partValues: ReadonlyMap<string, 'a string' | 'an object'> = new Map([
  ['text', 'a string'],
  ['refusal', 'a string'],
  ['image_url', 'an object'],
  ['input_audio', 'an object'],
  ['file', 'an object'],
])

function checkPart(
  part: JsonValue,
  path: string,
  messagePath: string,
  role: JsonValue | undefined,
  allowed: readonly string[],
): Check {
  if (!isJsonObject(part)) return wrongType('content_part', path, 'an object', part)
  const { type } = part
  if (type === undefined) return missing('content_part', `${path}.type`)
  if (typeof type !== 'string' || !allowed.includes(type)) {
    if (role !== 'tool') return unsupported('content_part', `${path}.type`, type, allowed)
    return refuse(
      'content_part',
      `Invalid '${messagePath}'. Content blocks are expected to be either text or image_url type.`,
      { param: messagePath, code: 'invalid_value' },
    )
  }
  const badKey = unknownKey('content_part', path, part, partKeys(type))
  if (badKey !== undefined) return badKey
  const value = part[type]
  if (value === undefined) return missing('content_part', `${path}.${type}`)
  const expected = partValues.get(type) ?? 'an object'
  const fits = expected === 'a string' ? typeof value === 'string' : isJsonObject(value)
  return fits ? undefined : wrongType('content_part', `${path}.${type}`, expected, value)
}

function partKeys(type: string): ReadonlySet<string> {
  return new Set(type === 'refusal' ? ['type', type] : ['type', type, 'prompt_cache_breakpoint'])
}

function checkToolCalls(calls: JsonValue | undefined, index: number): Check {
  const path = `messages[${index}].tool_calls`
  if (calls === undefined) return undefined
  if (!isList(calls)) return wrongType('tool_calls', path, 'an array of objects', calls)
  if (calls.length === 0) return emptyArray('tool_calls', path)
  const seen = new Set<string>()
  return firstOf(calls, (call, at) => {
    const refusal = checkToolCall(call, `${path}[${at}]`)
    if (refusal !== undefined) return refusal
    const id = idOf(call)
    if (seen.has(id)) return duplicateId('tool_call_id', id, index)
    seen.add(id)
    return undefined
  })
}

function checkToolCall(call: JsonValue, path: string): Check {
  if (!isJsonObject(call)) return wrongType('tool_calls', path, 'an object', call)
  const { id, type } = call
  const badId = checkShortText('tool_call_id', `${path}.id`, id, 40)
  if (badId !== undefined) return badId
  if (type === undefined) return missing('tool_call_type', `${path}.type`)
  if (type === 'custom') return checkCustomCall(call, path)
  if (type !== 'function') {
    return unsupported('tool_call_type', `${path}.type`, type, ['function', 'allowed_tools', 'custom'])
  }
  const called = call['function']
  if (called === undefined) return missing('tool_call_function', `${path}.function`)
  if (!isJsonObject(called)) return wrongType('tool_call_function', `${path}.function`, 'an object', called)
  return (
    unknownKey('tool_call_key', path, call, words('id type function')) ??
    checkFunctionName('tool_call_name', `${path}.function.name`, called['name']) ??
    checkArguments(called['arguments'], `${path}.function.arguments`, id)
  )
}

function checkCustomCall(call: JsonObject, path: string): Check {
  const custom = call['custom']
  const complete =
    isJsonObject(custom) && typeof custom['name'] === 'string' && typeof custom['input'] === 'string'
  return complete ? undefined : missing('tool_call_custom', `${path}.custom`)
}

function checkArguments(text: JsonValue | undefined, path: string, id: JsonValue | undefined): Check {
  if (text === undefined) return missing('tool_call_arguments', path)
  if (typeof text !== 'string') return wrongType('tool_call_arguments', path, 'a string', text)
  const problem = notAnObject(text)
  if (problem === undefined) return undefined
  return refuse(
    'tool_call_arguments',
    `The arguments to a tool_call with ID '${id}' are not a valid JSON string. Parsing error: ${problem}`,
    { param: path, code: 'invalid_value' },
  )
}

function notAnObject(text: string): string | undefined {
  try {
    return isJsonObject(JSON.parse(text)) ? undefined : 'expected a JSON object'
  } catch {
    return 'Error("expected value or EOF while parsing a value", line: 1, column: 0)'
  }
}

function checkToolCallId(id: JsonValue | undefined, index: number): Check {
  if (!isGiven(id) || id === '') {
    return refuse(
      'tool_message_id',
      "Missing parameter 'tool_call_id': messages with role 'tool' must have a 'tool_call_id'.",
      { param: `messages.[${index}].tool_call_id` },
    )
  }
  if (typeof id === 'string') return undefined
  return wrongType('tool_message_id', `messages[${index}].tool_call_id`, 'a string', id)
}

/** Every call is answered by exactly one tool message, and nothing stands between a call and its answers. */
function checkPairing(messages: readonly JsonValue[]): Check {
  let called = new Set<string>()
  let answered = new Set<string>()
  const unanswered = (index: number): Check => {
    const open = [...called].filter((id) => !answered.has(id))
    if (open.length === 0) return undefined
    return refuse(
      'unanswered_call',
      "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. " +
        `The following tool_call_ids did not have response messages: ${open.join(', ')}`,
      { param: `messages.[${index}].role` },
    )
  }
  const broken = firstOf(messages, (message, index) => {
    if (!isJsonObject(message)) return undefined
    if (message['role'] === 'tool') {
      const id = String(message['tool_call_id'])
      const refusal = checkAnswer(id, index, called, answered)
      answered.add(id)
      return refusal
    }
    const refusal = unanswered(index)
    const calls = message['tool_calls']
    called = new Set(isList(calls) ? calls.map(idOf) : [])
    answered = new Set()
    return refusal
  })
  return broken ?? unanswered(messages.length)
}

function checkAnswer(
  id: string,
  index: number,
  called: ReadonlySet<string>,
  answered: ReadonlySet<string>,
): Check {
  if (called.size === 0) {
    return refuse(
      'orphan_tool_message',
      // The misspelling is the API's.
      "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
      { param: `messages.[${index}].role` },
    )
  }
  if (answered.has(id)) return duplicateId('duplicate_tool_message', id, index)
  if (called.has(id)) return undefined
  return refuse(
    'unknown_tool_message',
    `Invalid parameter: 'tool_call_id' of '${id}' not found in 'tool_calls' of previous message.`,
    { param: `messages.[${index}].tool_call_id` },
  )
}

function checkTools(tools: JsonValue | undefined): Check {
  if (!isGiven(tools)) return undefined
  if (!isList(tools)) return wrongType('tools', 'tools', 'an array of objects', tools)
  if (tools.length === 0) return emptyArray('tools', 'tools')
  if (tools.length > 128) return tooMany('tools', 'tools', 128, tools.length)
  const names = new Set<string>()
  return (
    firstOf(tools, (tool, index) => checkTool(tool, `tools[${index}]`)) ??
    firstOf(tools, (tool) => {
      const name = toolName(tool)
      if (name === undefined || !names.has(name)) {
        if (name !== undefined) names.add(name)
        return undefined
      }
      return refuse('duplicate_tool', `Tool names must be unique. Found duplicate tool name: '${name}'.`, {
        param: 'tools',
        code: 'invalid_value',
      })
    })
  )
}

function checkTool(tool: JsonValue, path: string): Check {
  if (!isJsonObject(tool)) return wrongType('tool', path, 'an object', tool)
  const { type, function: declared } = tool
  if (type === undefined) return missing('tool', `${path}.type`)
  if (type === 'custom') return undefined
  if (type !== 'function') return unsupported('tool', `${path}.type`, type, ['function', 'custom'])
  const badKey = unknownKey('tool_key', path, tool, words('type function'))
  if (badKey !== undefined) return badKey
  if (declared === undefined) return missing('tool', `${path}.function`)
  if (!isJsonObject(declared)) return wrongType('tool', `${path}.function`, 'an object', declared)
  const { name, description, parameters, strict } = declared
  return (
    unknownKey('tool_key', `${path}.function`, declared, words('name description parameters strict')) ??
    checkFunctionName('tool_name', `${path}.function.name`, name) ??
    (!isGiven(description) || typeof description === 'string'
      ? undefined
      : wrongType('tool_description', `${path}.function.description`, 'a string', description)) ??
    (!isGiven(strict) || typeof strict === 'boolean'
      ? undefined
      : wrongType('tool_strict', `${path}.function.strict`, 'a boolean', strict)) ??
    (isGiven(parameters)
      ? checkSchema(parameters, {
          rule: 'tool_schema',
          subject: `function '${name}'`,
          param: `${path}.function.parameters`,
          code: 'invalid_function_parameters',
          strict: strict === true,
        })
      : undefined)
  )
}

function toolName(tool: JsonValue): string | undefined {
  if (!isJsonObject(tool)) return undefined
  const declared = tool['function'] ?? tool['custom']
  const name = isJsonObject(declared) ? declared['name'] : undefined
  return typeof name === 'string' ? name : undefined
}

/** Where a schema stands, for the words of its refusal. */
interface SchemaPlace {
  readonly rule: string
  readonly subject: string
  readonly param: string
  readonly code?: string
  readonly strict: boolean
}

const notAtTop = ['oneOf', 'anyOf', 'allOf', 'enum', 'not']
// OpenAI guide "Structured outputs", keywords that strict schemas may not use.
const notInStrict = words('oneOf allOf not if then else dependentRequired dependentSchemas patternProperties')

function checkSchema(schema: JsonValue, place: SchemaPlace, context: readonly string[] = []): Check {
  const refused = (message: string): Refusal =>
    refuse(place.rule, `Invalid schema for ${place.subject}: ${message}`, place)
  if (typeof schema === 'boolean' && context.length > 0) return undefined
  if (!isJsonObject(schema)) return refused(`${JSON.stringify(schema)} is not of type 'object', 'boolean'.`)
  const { type, required, items } = schema
  if (context.length === 0) {
    if (type !== 'object') {
      return refused(`schema must be a JSON Schema of 'type: "object"', got 'type: "${type ?? 'None'}"'.`)
    }
    if (notAtTop.some((keyword) => Object.hasOwn(schema, keyword))) {
      const keywords = notAtTop.map((keyword) => `'${keyword}'`).join('/')
      return refused(`schema must have type 'object' and not have ${keywords} at the top level.`)
    }
  }
  const where = `In context=${pythonTuple(context)}, `
  if (hasType(type, 'array') && items === undefined) return refused(`${where}array schema missing items.`)
  if (required !== undefined && !(isList(required) && required.every((name) => typeof name === 'string'))) {
    return refused(`${where}'required' must be an array of strings.`)
  }
  const loose = place.strict ? notStrict(schema) : undefined
  if (loose !== undefined) return refused(where + loose)
  return firstOf(subschemas(schema), ([keys, inner]) => checkSchema(inner, place, [...context, ...keys]))
}

function notStrict(schema: JsonObject): string | undefined {
  const forbidden = Object.keys(schema).find((keyword) => notInStrict.has(keyword))
  if (forbidden !== undefined) return `'${forbidden}' is not permitted.`
  const { type, properties, required } = schema
  if (!['type', 'anyOf', '$ref', 'enum', 'const'].some((keyword) => Object.hasOwn(schema, keyword))) {
    return "schema must have a 'type' key."
  }
  if (!hasType(type, 'object')) return undefined
  if (schema['additionalProperties'] !== false) {
    return "'additionalProperties' is required to be supplied and to be false."
  }
  const declared = new Set(isJsonObject(properties) ? Object.keys(properties) : [])
  const demanded = new Set<JsonValue>(isList(required) ? required : [])
  const complete =
    "'required' is required to be supplied and to be an array including every key in properties."
  for (const name of declared) if (!demanded.has(name)) return `${complete} Missing '${name}'.`
  for (const name of demanded) {
    if (!declared.has(String(name))) return `${complete} Extra required key '${name}' supplied.`
  }
  return undefined
}

function subschemas(schema: JsonObject): [keys: string[], inner: JsonValue][] {
  const found: [string[], JsonValue][] = []
  for (const keyword of ['properties', '$defs', 'definitions']) {
    const named = schema[keyword]
    if (isJsonObject(named)) {
      for (const [name, inner] of Object.entries(named)) found.push([[keyword, name], inner])
    }
  }
  if (isJsonObject(schema['items'])) found.push([['items'], schema['items']])
  for (const keyword of ['anyOf', 'oneOf', 'allOf']) {
    const branches = schema[keyword]
    if (isList(branches))
      branches.forEach((inner, index) => void found.push([[keyword, String(index)], inner]))
  }
  return found
}

function hasType(type: JsonValue | undefined, name: string): boolean {
  return type === name || (isList(type) && type.includes(name))
}

/** The API shows the path into a schema as Python prints a tuple, with a comma after a single item. */
function pythonTuple(items: readonly string[]): string {
  const quoted = items.map((item) => `'${item}'`)
  return quoted.length === 1 ? `(${quoted[0]},)` : `(${quoted.join(', ')})`
}

function checkToolUse(body: JsonObject): Check {
  const { tools, tool_choice: choice, parallel_tool_calls: parallel } = body
  if (isGiven(choice)) {
    if (!isList(tools)) return onlyWithTools('tool_choice')
    const refusal = checkToolChoice(choice, tools)
    if (refusal !== undefined) return refusal
  }
  if (!isGiven(parallel)) return undefined
  if (!isList(tools)) return onlyWithTools('parallel_tool_calls')
  if (typeof parallel === 'boolean') return undefined
  return wrongType('parallel_tool_calls', 'parallel_tool_calls', 'a boolean', parallel)
}

function onlyWithTools(name: string): Refusal {
  return refuse(name, `Invalid value for '${name}': '${name}' is only allowed when 'tools' are specified.`, {
    param: name,
  })
}

function checkToolChoice(choice: JsonValue, tools: readonly JsonValue[]): Check {
  const modes = ['none', 'auto', 'required']
  if (typeof choice === 'string') {
    return modes.includes(choice) ? undefined : unsupported('tool_choice', 'tool_choice', choice, modes)
  }
  if (!isJsonObject(choice)) {
    return wrongType('tool_choice', 'tool_choice', "one of 'none', 'auto', 'required', or an object", choice)
  }
  const { type } = choice
  if (type === undefined) return missing('tool_choice', 'tool_choice.type')
  if (type === 'allowed_tools') return undefined
  if (type !== 'function' && type !== 'custom') {
    return unsupported('tool_choice', 'tool_choice.type', type, ['function', 'allowed_tools', 'custom'])
  }
  const name = toolName(choice)
  if (name === undefined) return missing('tool_choice', `tool_choice.${type}.name`)
  if (tools.some((tool) => toolName(tool) === name)) return undefined
  return refuse('tool_choice', `Invalid value for 'tool_choice': function '${name}' not found in 'tools'.`, {
    param: 'tool_choice',
  })
}

type NumberRange = readonly [name: string, kind: 'integer' | 'decimal', least: number, most: number]

const ranges: readonly NumberRange[] = [
  ['temperature', 'decimal', 0, 2],
  ['top_p', 'decimal', 0, 1],
  ['presence_penalty', 'decimal', -2, 2],
  ['frequency_penalty', 'decimal', -2, 2],
  ['n', 'integer', 1, 128],
  ['top_logprobs', 'integer', 0, 20],
  ['max_tokens', 'integer', 1, Number.POSITIVE_INFINITY],
  ['max_completion_tokens', 'integer', 1, Number.POSITIVE_INFINITY],
]

function checkSampling(body: JsonObject): Check {
  const { stop, temperature, model } = body
  const outside = firstOf(ranges, (range) => checkRange(body[range[0]], range))
  if (outside !== undefined) return outside
  if (isList(stop) && stop.length > 4) return tooMany('stop', 'stop', 4, stop.length)
  if (!isReasoning(model) || !isGiven(temperature) || temperature === 1) return undefined
  return refuse(
    'temperature',
    `Unsupported value: 'temperature' does not support ${temperature} with this model. ` +
      'Only the default (1) value is supported.',
    { param: 'temperature', code: 'unsupported_value' },
  )
}

function checkRange(value: JsonValue | undefined, [name, kind, least, most]: NumberRange): Check {
  if (!isGiven(value)) return undefined
  if (typeof value !== 'number' || (kind === 'integer' && !Number.isInteger(value))) {
    return wrongType(name, name, kind === 'integer' ? 'an integer' : 'a decimal', value)
  }
  if (value >= least && value <= most) return undefined
  const [side, code, sign, bound] =
    value < least ? ['below minimum', 'below_min', '>=', least] : ['above maximum', 'above_max', '<=', most]
  return refuse(
    name,
    `Invalid '${name}': ${kind} ${side} value. Expected a value ${sign} ${bound}, but got ${value} instead.`,
    { param: name, code: `${kind}_${code}_value` },
  )
}

function checkOutputLimit(body: JsonObject): Check {
  if (!isGiven(body['max_tokens'])) return undefined
  if (isGiven(body['max_completion_tokens'])) {
    return refuse(
      'max_tokens',
      "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
      { param: 'max_tokens', code: 'invalid_parameter_combination' },
    )
  }
  if (!isReasoning(body['model'])) return undefined
  return refuse(
    'max_tokens',
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    { param: 'max_tokens', code: 'unsupported_parameter' },
  )
}

function isReasoning(model: JsonValue | undefined): boolean {
  return typeof model === 'string' && /^(o\d|gpt-5(?!-chat))/.test(model)
}

function checkStreaming(body: JsonObject): Check {
  const { stream, stream_options: options } = body
  if (isGiven(stream) && typeof stream !== 'boolean')
    return wrongType('stream', 'stream', 'a boolean', stream)
  if (!isGiven(options)) return undefined
  if (stream !== true) {
    return refuse(
      'stream_options',
      "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
      {
        param: 'stream_options',
      },
    )
  }
  if (!isJsonObject(options)) return wrongType('stream_options', 'stream_options', 'an object', options)
  return unknownKey('stream_options', 'stream_options', options, words('include_usage include_obfuscation'))
}

function checkResponseFormat(body: JsonObject): Check {
  const format = body['response_format']
  if (!isGiven(format)) return undefined
  if (!isJsonObject(format)) return wrongType('response_format', 'response_format', 'an object', format)
  switch (format['type']) {
    case undefined:
      return missing('response_format', 'response_format.type')
    case 'text':
      return undefined
    case 'json_object':
      return checkJsonWord(body)
    case 'json_schema':
      return (
        unknownKey('response_format', 'response_format', format, words('type json_schema')) ??
        checkAnswerSchema(format['json_schema'], 'response_format.json_schema')
      )
    default:
      return unsupported('response_format', 'response_format.type', format['type'], [
        'json_object',
        'json_schema',
        'text',
      ])
  }
}

function checkJsonWord(body: JsonObject): Check {
  if (/json/i.test(JSON.stringify(body['messages']))) return undefined
  return refuse(
    'json_word',
    "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
    { param: 'messages' },
  )
}

function checkAnswerSchema(format: JsonValue | undefined, path: string): Check {
  if (format === undefined) return missing('response_format', path)
  if (!isJsonObject(format)) return wrongType('response_format', path, 'an object', format)
  const { name, schema, strict } = format
  return (
    unknownKey('response_format', path, format, words('name description schema strict')) ??
    checkFunctionName('response_format', `${path}.name`, name) ??
    (schema === undefined
      ? missing('response_format', `${path}.schema`)
      : checkSchema(schema, {
          rule: 'response_schema',
          subject: `response_format '${name}'`,
          param: 'response_format',
          strict: strict === true,
        }))
  )
}

function checkContext(body: JsonObject, contextWindow: number | undefined): Check {
  if (contextWindow === undefined) return undefined
  const tokens = estimateTokens(body)
  if (tokens <= contextWindow) return undefined
  return refuse(
    'context_length',
    `This model's maximum context length is ${contextWindow} tokens. However, your messages resulted in ` +
      `${tokens} tokens. Please reduce the length of the messages.`,
    { param: 'messages', code: 'context_length_exceeded' },
  )
}

function checkFunctionName(rule: string, path: string, name: JsonValue | undefined): Check {
  const malformed = typeof name === 'string' && name !== '' && !/^[a-zA-Z0-9_-]+$/.test(name)
  return malformed ? mismatch(rule, path, '^[a-zA-Z0-9_-]+$') : checkShortText(rule, path, name, 64)
}

/** A string that must be there, with at least one and at most `longest` characters. */
function checkShortText(rule: string, path: string, text: JsonValue | undefined, longest: number): Check {
  if (text === undefined) return missing(rule, path)
  if (typeof text !== 'string') return wrongType(rule, path, 'a string', text)
  if (text !== '') return tooLong(rule, path, longest, text)
  return refuse(
    rule,
    `Invalid '${path}': empty string. Expected a string with minimum length 1, but got an empty string instead.`,
    { param: path, code: 'empty_string' },
  )
}

interface RefusalDetails {
  readonly param?: string
  readonly code?: string
  readonly status?: number
}

function refuse(rule: string, message: string, { param, code, status = 400 }: RefusalDetails = {}): Refusal {
  const error = { message, type: 'invalid_request_error', param: param ?? null, code: code ?? null }
  return { status, rule, body: { error } }
}

function missing(rule: string, path: string): Refusal {
  return refuse(rule, `Missing required parameter: '${path}'.`, {
    param: path,
    code: 'missing_required_parameter',
  })
}

function wrongType(rule: string, path: string, expected: string, value: JsonValue): Refusal {
  return refuse(rule, `Invalid type for '${path}': expected ${expected}, but got ${kindOf(value)} instead.`, {
    param: path,
    code: 'invalid_type',
  })
}

function kindOf(value: JsonValue): string {
  if (value === null) return 'null'
  if (isList(value)) return 'an array'
  if (typeof value === 'number') return Number.isInteger(value) ? 'an integer' : 'a decimal'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

function unsupported(rule: string, path: string, value: JsonValue, supported: readonly JsonValue[]): Refusal {
  const quoted = supported.map((item) => `'${item}'`)
  const last = quoted.pop()
  const listed = quoted.length > 1 ? `${quoted.join(', ')}, and ${last}` : [...quoted, last].join(' and ')
  const shown = typeof value === 'string' ? value : JSON.stringify(value)
  return refuse(rule, `Invalid value: '${shown}'. Supported values are: ${listed}.`, {
    param: path,
    code: 'invalid_value',
  })
}

function unknownKey(rule: string, path: string, value: JsonObject, known: ReadonlySet<string>): Check {
  const unknown = Object.keys(value).find((key) => !known.has(key))
  if (unknown === undefined) return undefined
  const param = `${path}.${unknown}`
  return refuse(rule, `Unknown parameter: '${param}'.`, { param, code: 'unknown_parameter' })
}

function emptyArray(rule: string, path: string): Refusal {
  return refuse(
    rule,
    `Invalid '${path}': empty array. Expected an array with minimum length 1, but got an empty array instead.`,
    { param: path, code: 'empty_array' },
  )
}

function tooMany(rule: string, path: string, most: number, count: number): Refusal {
  return refuse(
    rule,
    `Invalid '${path}': array too long. Expected an array with maximum length ${most}, ` +
      `but got an array with length ${count} instead.`,
    { param: path, code: 'array_above_max_length' },
  )
}

function tooLong(rule: string, path: string, longest: number, text: string): Check {
  // Code points are at most as many as code units, so most texts need no counting.
  const length = text.length <= longest ? 0 : [...text].length
  if (length <= longest) return undefined
  return refuse(
    rule,
    `Invalid '${path}': string too long. Expected a string with maximum length ${longest}, ` +
      `but got a string with length ${length} instead.`,
    { param: path, code: 'string_above_max_length' },
  )
}

function mismatch(rule: string, path: string, pattern: string): Refusal {
  return refuse(
    rule,
    `Invalid '${path}': string does not match pattern. Expected a string that matches the pattern '${pattern}'.`,
    { param: path, code: 'invalid_value' },
  )
}

function duplicateId(rule: string, id: string, index: number): Refusal {
  return refuse(rule, `Duplicate value for 'tool_call_id' of ${id} in message[${index}]`)
}

function idOf(call: JsonValue): string {
  return isJsonObject(call) ? String(call['id']) : ''
}

function firstOf<Item>(items: readonly Item[], check: (item: Item, index: number) => Check): Check {
  for (const [index, item] of items.entries()) {
    const refusal = check(item, index)
    if (refusal !== undefined) return refusal
  }
  return undefined
}

/** `null` means the same as leaving an optional parameter out. */
function isGiven(value: JsonValue | undefined): value is Exclude<JsonValue, null> {
  return value !== undefined && value !== null
}

function isList(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value)
}

function words(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/))
}
