import { type Content, type Message, textOf } from '../messages.ts'
import type { Entry } from '../transcript/entry.ts'

/** The message in an entry, for people who query the database. Null: there is none. */
export interface MessageColumns {
  readonly role: Message['role'] | null
  readonly content: string | null
  readonly toolName: string | null
}

export function messageColumns(entry: Entry): MessageColumns {
  switch (entry.type) {
    case 'input':
      return columns('user', entry.message.content)
    case 'message': {
      const { message } = entry
      return columns(message.role, message.content, message.role === 'tool' ? message.toolName : null)
    }
    case 'reply':
      return isOfTheHistory(entry.kind) ? columns('assistant', entry.text) : none
    case 'tool_finished':
      return columns('tool', entry.result.output, entry.result.toolName)
    default:
      return none
  }
}

const none: MessageColumns = { role: null, content: null, toolName: null }

function isOfTheHistory(kind: string): boolean {
  return kind !== 'malformed' && kind !== 'invalid_output'
}

function columns(role: Message['role'], content: Content, toolName: string | null = null): MessageColumns {
  return { role, content: column(textOf(content)), toolName: toolName === null ? null : column(toolName) }
}

/** As Postgres can keep it. Halves of surrogate pairs become U+FFFD on the wire anyway. */
function column(text: string): string {
  return text.replaceAll('\0', '\ufffd')
}
