import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import { extraKey, refuseMessage, required, unknownTag, wrongInput } from './anthropic-refusal.ts'
import { firstOf, isGiven, isList, words } from './refusal.ts'
import type { Check } from './strict-contract.ts'

/** Where a block stands: the path and the role of its message. */
export interface BlockPlace {
  readonly message: string
  readonly role: string
}

/** A block of a message: known, at home in its role, and whole. */
export function checkBlock(block: JsonValue, path: string, { message, role }: BlockPlace): Check {
  if (!isJsonObject(block)) return wrongInput('block', path, 'an object')
  const { type } = block
  if (type === undefined) return required('block_type', `${path}.type`)
  const known = kinds.get(type)
  if (known === undefined && !isServerBlock(type)) return unknownTag('block_type', path, type, tags)
  const home = known === undefined ? serverBlocks.get(type) : known.role
  if (home !== undefined && home !== role) {
    return refuseMessage('block_role', `${message}: \`${type}\` blocks can only be in \`${home}\` messages`)
  }
  if (known === undefined) return undefined
  const at = `${path}.${type}`
  return extraKey('block_key', at, block, known.keys) ?? known.check(block, at)
}

/** `owner` is who says it: `messages` or `system`. */
export function checkText(text: JsonValue | undefined, owner: string, path: string): Check {
  if (text === undefined) return required('text', `${path}.text`)
  if (typeof text !== 'string') return wrongInput('text', `${path}.text`, 'a valid string')
  if (text === '') return refuseMessage('empty_text', `${owner}: text content blocks must be non-empty`)
  if (text.trim() !== '') return undefined
  return refuseMessage('blank_text', `${owner}: text content blocks must contain non-whitespace text`)
}

/** Ids and names of tools. */
export function checkName(rule: string, path: string, name: JsonValue | undefined, longest?: number): Check {
  if (name === undefined) return required(rule, path)
  if (typeof name !== 'string') return wrongInput(rule, path, 'a valid string')
  const fits = /^[a-zA-Z0-9_-]+$/.test(name) && name.length <= (longest ?? name.length)
  if (fits) return undefined
  const count = longest === undefined ? '+' : `{1,${longest}}`
  return refuseMessage(rule, `${path}: String should match pattern '^[a-zA-Z0-9_-]${count}$'`)
}

interface BlockKind {
  /** The only role it may have. */
  readonly role?: 'user' | 'assistant'
  readonly keys: ReadonlySet<string>
  readonly check: (block: JsonObject, path: string) => Check
}

const kinds: ReadonlyMap<JsonValue, BlockKind> = new Map<JsonValue, BlockKind>([
  [
    'text',
    {
      keys: words('type text cache_control citations'),
      check: ({ text }, path) => checkText(text, 'messages', path),
    },
  ],
  ['image', { role: 'user', keys: words('type source cache_control transformations'), check: checkImage }],
  [
    'document',
    { role: 'user', keys: words('type source cache_control citations context title'), check: checkSource },
  ],
  [
    'thinking',
    {
      role: 'assistant',
      keys: words('type thinking signature'),
      check: ({ thinking, signature }, path) =>
        checkString('thinking', `${path}.thinking`, thinking) ??
        checkString('thinking_signature', `${path}.signature`, signature),
    },
  ],
  [
    'redacted_thinking',
    {
      role: 'assistant',
      keys: words('type data'),
      check: ({ data }, path) => checkString('redacted_thinking', `${path}.data`, data),
    },
  ],
  [
    'tool_use',
    {
      role: 'assistant',
      keys: words('type id name input cache_control caller toolset_name'),
      check: checkToolCall,
    },
  ],
  [
    'tool_result',
    {
      role: 'user',
      keys: words('type tool_use_id content is_error cache_control toolset_name'),
      check: checkToolResult,
    },
  ],
])

const tags = [...kinds.keys(), 'search_result', 'server_tool_use', 'web_search_tool_result']
  .map(String)
  .sort()

// What tools of the server leave in a conversation is sent back as it came, to where it was.
const serverBlocks: ReadonlyMap<JsonValue, 'user' | 'assistant' | undefined> = new Map([
  ['server_tool_use', 'assistant'],
  ['mcp_tool_use', 'assistant'],
  ['mcp_tool_result', 'assistant'],
  ['container_upload', 'user'],
  ['search_result', 'user'],
  ['compaction', undefined],
])

function isServerBlock(type: JsonValue): boolean {
  return serverBlocks.has(type) || (typeof type === 'string' && /_tool_result$|^fallback/.test(type))
}

function checkString(rule: string, path: string, value: JsonValue | undefined): Check {
  if (value === undefined) return required(rule, path)
  return typeof value === 'string' ? undefined : wrongInput(rule, path, 'a valid string')
}

const imageTypes: readonly unknown[] = ['image/jpeg', 'image/png', 'image/gif', 'image/webp']

function checkImage(block: JsonObject, path: string): Check {
  const { source } = block
  const isInline = isJsonObject(source) && source['type'] === 'base64'
  if (isInline && !imageTypes.includes(source['media_type'])) {
    return wrongInput(
      'image_type',
      `${path}.source.base64.media_type`,
      "'image/jpeg', 'image/png', 'image/gif' or 'image/webp'",
    )
  }
  return checkSource(block, path)
}

// What a source holds, by its type.
const sourceFields: ReadonlyMap<JsonValue, readonly string[]> = new Map([
  ['base64', ['data', 'media_type']],
  ['text', ['data', 'media_type']],
  ['url', ['url']],
  ['file', ['file_id']],
  ['content', []],
])

function checkSource({ source }: JsonObject, path: string): Check {
  if (source === undefined) return required('source', `${path}.source`)
  if (!isJsonObject(source)) return wrongInput('source', `${path}.source`, 'an object')
  const { type } = source
  const fields = sourceFields.get(type ?? null)
  if (fields === undefined) {
    return unknownTag('source', `${path}.source`, type, [...sourceFields.keys()].map(String))
  }
  return firstOf(fields, (field) => checkString('source', `${path}.source.${type}.${field}`, source[field]))
}

function checkToolCall({ id, name, input }: JsonObject, path: string): Check {
  const badName =
    checkName('tool_use_id', `${path}.id`, id) ?? checkName('tool_use_name', `${path}.name`, name, 64)
  if (badName !== undefined) return badName
  if (input === undefined) return required('tool_use_input', `${path}.input`)
  return isJsonObject(input) ? undefined : wrongInput('tool_use_input', `${path}.input`, 'a valid dictionary')
}

const resultTags = ['browser_state', 'document', 'image', 'search_result', 'text', 'tool_reference']

function checkToolResult({ tool_use_id: id, content, is_error: isError }: JsonObject, path: string): Check {
  const badId = checkName('tool_result_id', `${path}.tool_use_id`, id)
  if (badId !== undefined) return badId
  if (isGiven(isError) && typeof isError !== 'boolean') {
    return wrongInput('is_error', `${path}.is_error`, 'a valid boolean')
  }
  if (isGiven(content) && typeof content !== 'string' && !isList(content)) {
    return wrongInput('tool_result_content', `${path}.content`, 'a valid list')
  }
  if (isError === true && (!isGiven(content) || content.length === 0)) {
    return refuseMessage('empty_error', `${path}: content cannot be empty if \`is_error\` is true`)
  }
  if (!isList(content)) return undefined
  return firstOf(content, (block, at) => {
    const place = `${path}.content.${at}`
    const type = isJsonObject(block) ? block['type'] : undefined
    if (!isJsonObject(block) || !resultTags.includes(String(type))) {
      return unknownTag('tool_result_content', place, type, resultTags)
    }
    return type === 'text' ? checkText(block['text'], 'messages', `${place}.text`) : undefined
  })
}
