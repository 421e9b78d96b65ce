import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import {
  checkFunctionName,
  checkShortText,
  emptyArray,
  firstOf,
  isGiven,
  isList,
  mismatch,
  missing,
  refuse,
  tooLong,
  unknownKey,
  unsupported,
  words,
  wrongType,
} from './refusal.ts'
import type { Check, Refusal } from './strict-contract.ts'

/** The rules of messages in which servers differ. */
export interface MessageRules {
  /** Characters that the id of a tool call may have. */
  readonly longestCallId: number
  /** What an assistant message may have beside what it may have at OpenAI. */
  readonly assistantKeys: ReadonlySet<string>
}

export function checkMessages(messages: JsonValue | undefined, rules: MessageRules): Check {
  if (messages === undefined) return missing('messages', 'messages')
  if (!isList(messages)) return wrongType('messages', 'messages', 'an array of objects', messages)
  if (messages.length === 0) return emptyArray('messages', 'messages')
  return firstOf(messages, (message, index) => checkMessage(message, index, rules)) ?? checkPairing(messages)
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

function checkMessage(
  message: JsonValue,
  index: number,
  { assistantKeys, longestCallId }: MessageRules,
): Check {
  const path = `messages[${index}]`
  if (!isJsonObject(message)) return wrongType('message', path, 'an object', message)
  const role = message['role']
  if (role === undefined) return missing('message_role', `${path}.role`)
  const rules = roles.get(role)
  if (rules === undefined) return unsupported('message_role', `${path}.role`, role, [...roles.keys()])
  const keys = role === 'assistant' ? new Set([...rules.keys, ...assistantKeys]) : rules.keys
  return (
    unknownKey('message_key', path, message, keys) ??
    checkMessageName(message['name'], `${path}.name`) ??
    checkContent(message, index, rules) ??
    checkToolCalls(message['tool_calls'], index, longestCallId) ??
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

function checkToolCalls(calls: JsonValue | undefined, index: number, longestId: number): Check {
  const path = `messages[${index}].tool_calls`
  if (calls === undefined) return undefined
  if (!isList(calls)) return wrongType('tool_calls', path, 'an array of objects', calls)
  if (calls.length === 0) return emptyArray('tool_calls', path)
  const seen = new Set<string>()
  return firstOf(calls, (call, at) => {
    const refusal = checkToolCall(call, `${path}[${at}]`, longestId)
    if (refusal !== undefined) return refusal
    const id = idOf(call)
    if (seen.has(id)) return duplicateId('tool_call_id', id, index)
    seen.add(id)
    return undefined
  })
}

function checkToolCall(call: JsonValue, path: string, longestId: number): Check {
  if (!isJsonObject(call)) return wrongType('tool_calls', path, 'an object', call)
  const { id, type } = call
  const badId = checkShortText('tool_call_id', `${path}.id`, id, longestId)
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

function duplicateId(rule: string, id: string, index: number): Refusal {
  return refuse(rule, `Duplicate value for 'tool_call_id' of ${id} in message[${index}]`)
}

function idOf(call: JsonValue): string {
  return isJsonObject(call) ? String(call['id']) : ''
}
