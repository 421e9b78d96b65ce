import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import { extraKey, refuseMessage, required, wrongInput } from './anthropic-refusal.ts'
import { firstOf, isGiven, isList, words } from './refusal.ts'
import { checkBlock, checkText } from './strict-anthropic-blocks.ts'
import type { Check } from './strict-contract.ts'

export function checkSystem(system: JsonValue | undefined): Check {
  if (!isGiven(system) || typeof system === 'string') return undefined
  if (!isList(system)) return wrongInput('system', 'system', 'a valid list')
  return firstOf(system, (block, at) => {
    if (!isJsonObject(block) || block['type'] !== 'text') {
      return wrongInput('system', `system.${at}.type`, "'text'")
    }
    return checkText(block['text'], 'system', `system.${at}`)
  })
}

/** `isNew`: since version 2026-10-21 system messages may come after the first. */
export function checkMessages(messages: JsonValue | undefined, isNew: boolean): Check {
  if (messages === undefined) return required('messages', 'messages')
  if (!isList(messages)) return wrongInput('messages', 'messages', 'a valid list')
  if (messages.length === 0) return refuseMessage('messages', 'messages: at least one message is required')
  const shapes = firstOf(messages, (message, index) =>
    checkMessage(message, index, { isNew, isLast: index === messages.length - 1 }),
  )
  return shapes ?? checkOrder(messages) ?? checkPrefill(messages.at(-1))
}

interface MessagePlace {
  readonly isNew: boolean
  readonly isLast: boolean
}

function checkMessage(message: JsonValue, index: number, { isNew, isLast }: MessagePlace): Check {
  const path = `messages.${index}`
  if (!isJsonObject(message)) return wrongInput('message', path, 'an object')
  const { role, content } = message
  return (
    checkRole(role, index, isNew) ??
    extraKey('message_key', path, message, words('role content')) ??
    checkContent(content, path, String(role), isLast && role === 'assistant')
  )
}

function checkRole(role: JsonValue | undefined, index: number, isNew: boolean): Check {
  if (role === undefined) return required('message_role', `messages.${index}.role`)
  if (role === 'user' || role === 'assistant') return undefined
  if (role !== 'system') {
    return refuseMessage(
      'message_role',
      `messages: Unexpected role "${role}". Allowed roles are "user" or "assistant"`,
    )
  }
  if (!isNew) {
    return refuseMessage(
      'message_role',
      'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not "system" as an ' +
        'input message role.',
    )
  }
  if (index > 0) return undefined
  return refuseMessage(
    'message_role',
    "messages.0: use the top-level 'system' parameter for the initial system prompt",
  )
}

function checkContent(
  content: JsonValue | undefined,
  path: string,
  role: string,
  mayBeEmpty: boolean,
): Check {
  if (content === undefined) return required('content', `${path}.content`)
  if (typeof content !== 'string' && !isList(content)) {
    return wrongInput('content', `${path}.content`, 'a valid list')
  }
  if (content.length === 0) {
    if (mayBeEmpty) return undefined
    return refuseMessage(
      'empty_content',
      `${path}: all messages must have non-empty content except for the optional final assistant message`,
    )
  }
  if (typeof content === 'string') return checkText(content, 'messages', path)
  return firstOf(content, (block, at) => checkBlock(block, `${path}.content.${at}`, { message: path, role }))
}

/** Neighbours differ, and the user begins. */
function checkOrder(messages: readonly JsonValue[]): Check {
  const roles = messages.map((message) => (isJsonObject(message) ? message['role'] : undefined))
  if (roles[0] !== 'user') {
    return refuseMessage('first_role', 'messages: first message must use the "user" role')
  }
  const twice = roles.find((role, index) => role === roles[index - 1])
  if (twice === undefined) return undefined
  return refuseMessage(
    'alternation',
    `messages: roles must alternate between "user" and "assistant", but found multiple "${twice}" roles in a row`,
  )
}

/** An assistant message at the end is the beginning of the answer. */
function checkPrefill(last: JsonValue | undefined): Check {
  if (!isJsonObject(last) || last['role'] !== 'assistant') return undefined
  const text = endOf(last)
  if (text === text.trimEnd()) return undefined
  return refuseMessage('prefill', 'messages: final assistant content cannot end with trailing whitespace')
}

function endOf({ content }: JsonObject): string {
  if (typeof content === 'string') return content
  const block = isList(content) ? content.at(-1) : undefined
  return isJsonObject(block) && typeof block['text'] === 'string' ? block['text'] : ''
}
