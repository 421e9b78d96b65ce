import type { Message, ToolMessage } from '../messages.ts'

export interface HistoryIssue {
  readonly kind:
    | 'result_without_call'
    | 'call_without_result'
    | 'misplaced_result'
    | 'duplicate_result'
    | 'duplicate_call'
    | 'missing_call_id'
    | 'empty_calls'
    | 'empty_message'
  /** Where in the history the message stands that is wrong. */
  readonly index: number
  /** The call it is about. */
  readonly callId?: string
}

/** What a provider would refuse in a history, or what would confuse a model: none, if it can be sent as it is. */
export function validateHistory(messages: readonly Message[]): HistoryIssue[] {
  const check = new HistoryCheck()
  for (const message of messages) check.add(message)
  check.close()
  return check.issues
}

/** Looks for what is wrong with a history, message by message. */
export class HistoryCheck {
  readonly issues: HistoryIssue[] = []
  readonly #made = new Set<string>()
  readonly #answered = new Set<string>()
  /** The calls of the latest reply, in order; those before `next` are answered. */
  #open: readonly string[] = []
  #next = 0
  #openedAt = 0
  #count = 0

  /** Calls wait for their results. */
  get isOpen(): boolean {
    return this.#next < this.#open.length
  }

  add(message: Message): void {
    const index = this.#count++
    if (message.role === 'tool') {
      this.#answer(message, index)
      return
    }
    this.close()
    if (isEmpty(message)) this.issues.push({ kind: 'empty_message', index })
    if (message.role !== 'assistant') return
    if (message.toolCalls?.length === 0) this.issues.push({ kind: 'empty_calls', index })
    this.#open = (message.toolCalls ?? []).map(({ id }) => id)
    this.#openedAt = index
    for (const callId of this.#open) {
      if (callId === '') this.issues.push({ kind: 'missing_call_id', index, callId })
      if (this.#made.has(callId)) this.issues.push({ kind: 'duplicate_call', index, callId })
      this.#made.add(callId)
    }
  }

  /** No more results come for the calls of the latest reply. */
  close(): void {
    const index = this.#openedAt
    for (const callId of this.#open.slice(this.#next)) {
      if (!this.#answered.has(callId)) this.issues.push({ kind: 'call_without_result', index, callId })
    }
    this.#open = []
    this.#next = 0
  }

  #answer({ callId }: ToolMessage, index: number): void {
    if (this.#answered.has(callId)) this.issues.push({ kind: 'duplicate_result', index, callId })
    else if (!this.#made.has(callId)) this.issues.push({ kind: 'result_without_call', index, callId })
    else if (callId !== this.#open[this.#next]) this.issues.push({ kind: 'misplaced_result', index, callId })
    this.#answered.add(callId)
    while (this.#next < this.#open.length && this.#answered.has(this.#open[this.#next] ?? '')) this.#next++
  }
}

/** Whether a provider would find nothing in the message; white space is nothing. */
export function isEmpty(message: Message): boolean {
  switch (message.role) {
    case 'tool':
      return false
    case 'assistant':
      return !message.toolCalls?.length && isBlank(message.content) && isBlank(message.plan ?? '')
    case 'system':
      return isBlank(message.content)
    case 'user':
      return typeof message.content === 'string'
        ? isBlank(message.content)
        : message.content.every((part) => part.type === 'text' && isBlank(part.text))
  }
}

const isBlank = (text: string) => !/\S/.test(text)
