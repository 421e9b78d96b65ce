import {
  type AssistantMessage,
  type Message,
  type ToolCall,
  type ToolMessage,
  toolMessage,
  user,
} from '../messages.ts'
import { HistoryFold } from './history-fold.ts'

export interface Repaired {
  /** The array that was given, if nothing was wrong with it. */
  readonly messages: readonly Message[]
  /** What was done, a sentence each. */
  readonly repairs: readonly string[]
}

/**
 * A history that providers accept: each call has exactly one result, right after it and in the order of the calls; call
 * ids are unique; no message is empty. What is right is not touched, and the order is kept.
 *
 * A result belongs to the nearest call before it that has its id. Results that belong nowhere are dropped; calls without
 * one get a result that says so. What becomes of a message depends on no later message but its own results, so that a
 * growing history keeps its beginning.
 */
export function repairHistory(messages: readonly Message[]): Repaired {
  return repairOf(messages).of(messages)
}

function repairOf(messages: readonly Message[]): Repair {
  const repair = new Repair([])
  for (const message of messages) repair.add(message)
  return repair
}

/** `repairHistory` for histories that grow: of one that was repaired before, only what is new is looked at. */
export function growingRepair(): (history: readonly Message[]) => Repaired {
  const repairs = new HistoryFold(
    () => ({ repair: new Repair() }),
    (state, message) => state.repair.add(message),
  )
  return (history) => {
    const state = repairs.of(history)
    if (!state.repair.canTell) state.repair = repairOf(history)
    return state.repair.of(history)
  }
}

/** One history, repaired message by message. */
class Repair {
  readonly #repairs: string[] = []
  readonly #kept: (Message | Slot)[] | undefined
  readonly #ids = new UniqueIds()
  readonly #latest = new Map<string, Slot>()
  readonly #unanswered = new Set<Slot>()
  /** The calls of the last kept message, and which of them may be answered next without breaking their order. */
  #open: readonly Slot[] = []
  #next = 0

  /** Without `kept`, it finds out whether anything is wrong: most histories are right, and need no second list of messages. */
  constructor(kept?: (Message | Slot)[]) {
    this.#kept = kept
  }

  /** Whether `of` can be asked. */
  get canTell(): boolean {
    return this.#kept !== undefined || this.#isRight
  }

  get #isRight(): boolean {
    return this.#repairs.length === 0 && this.#unanswered.size === 0
  }

  add(message: Message): void {
    if (message.role === 'tool') this.#answer(message)
    else if (isEmpty(message)) this.#addEmpty(message)
    else if (message.role === 'assistant' && message.toolCalls !== undefined) this.#addCalls(message)
    else this.#keep(message)
  }

  /** `messages` are all that were added. */
  of(messages: readonly Message[]): Repaired {
    if (!this.#kept || this.#isRight) return { messages, repairs: [] }
    const added = Array.from(
      this.#unanswered,
      ({ call }) => `Added a result to the call "${call.id}" of ${named(call)}, which had none.`,
    )
    return {
      messages: this.#kept.map((each) => ('role' in each ? each : resultOf(each))),
      repairs: [...this.#repairs, ...added],
    }
  }

  #keep(message: Message): void {
    this.#kept?.push(message)
    this.#open = []
  }

  #addEmpty({ role }: Message): void {
    if (role !== 'user') {
      this.#repairs.push(`Dropped a message of role ${role} without content.`)
      return
    }
    // Dropped, it would leave the answer it already got without a question.
    this.#repairs.push('Gave a user message without content the text "(empty)".')
    this.#keep(user('(empty)'))
  }

  #addCalls(message: AssistantMessage): void {
    const slots = slotsOf(message.toolCalls ?? [], this.#ids, this.#repairs)
    for (const slot of slots) {
      this.#latest.set(slot.givenId, slot)
      this.#unanswered.add(slot)
    }
    const kept = withCalls(message, slots, this.#repairs)
    this.#kept?.push(kept, ...slots)
    this.#open = slots
    this.#next = 0
  }

  #answer(message: ToolMessage): void {
    const slot = this.#latest.get(message.callId)
    if (slot === undefined) {
      this.#repairs.push(
        `Dropped a result of ${named(message)}: no call before it has the id "${message.callId}".`,
      )
      return
    }
    if (!this.#unanswered.delete(slot)) {
      this.#repairs.push(`Dropped a second result of ${named(message)} for the call "${message.callId}".`)
      return
    }
    const { call, givenId } = slot
    slot.result = call.id === givenId ? message : { ...message, callId: call.id }
    if (this.#open[slot.index] === slot && slot.index >= this.#next) this.#next = slot.index + 1
    else this.#repairs.push(`Moved the result of ${named(message)} to its call "${message.callId}".`)
  }
}

/** The place of one call's result. */
interface Slot {
  readonly index: number
  readonly givenId: string
  readonly call: ToolCall
  result?: ToolMessage
  /** Made once, so that a history that grows keeps its messages. */
  standIn?: ToolMessage
}

function slotsOf(calls: readonly ToolCall[], ids: UniqueIds, repairs: string[]): readonly Slot[] {
  const slots = new Map<string, Slot>()
  for (const call of calls) {
    if (slots.has(call.id)) {
      repairs.push(
        `Dropped a call of ${named(call)}: another call of the same reply has the id "${call.id}".`,
      )
      continue
    }
    const id = ids.claim(call.id)
    if (id !== call.id) {
      repairs.push(`Renamed a call of ${named(call)} from "${call.id}" to "${id}": the id was taken.`)
    }
    slots.set(call.id, {
      index: slots.size,
      givenId: call.id,
      call: id === call.id ? call : { ...call, id },
    })
  }
  return [...slots.values()]
}

function withCalls(message: AssistantMessage, slots: readonly Slot[], repairs: string[]): AssistantMessage {
  const { toolCalls = [], ...rest } = message
  if (slots.length === 0) {
    repairs.push('Took an empty list of calls off a reply.')
    return rest
  }
  const same =
    slots.length === toolCalls.length && slots.every(({ call, index }) => call === toolCalls[index])
  return same ? message : { ...rest, toolCalls: slots.map(({ call }) => call) }
}

function resultOf(slot: Slot): ToolMessage {
  if (slot.result) return slot.result
  slot.standIn ??= toolMessage(slot.call, noResultText, false)
  return slot.standIn
}

/** What the model is told of a call that has no result. */
const noResultText = 'No result: the call was interrupted, so its outcome is unknown.'

const named = ({ toolName }: { readonly toolName: string }) => `"${toolName}"`

/** Whether a provider would find nothing in the message; white space is nothing. */
function isEmpty(message: Message): boolean {
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

/** Hands out each id once: a second claim gets the next free `id_2`, `id_3`, … */
class UniqueIds {
  // The empty id is never free: no provider takes it.
  readonly #taken = new Set([''])
  readonly #counters = new Map<string, number>()

  claim(id: string): string {
    if (!this.#taken.has(id)) {
      this.#taken.add(id)
      return id
    }
    // Providers limit ids to 40 characters and more. Counted by stem, so that claims stay linear in all.
    const stem = (id || 'call').slice(0, 30)
    let count = this.#counters.get(stem) ?? 1
    let free: string
    do free = `${stem}_${++count}`
    while (this.#taken.has(free))
    this.#counters.set(stem, count)
    this.#taken.add(free)
    return free
  }
}

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
  const issues: HistoryIssue[] = []
  const made = new Set<string>()
  const answered = new Set<string>()
  // The calls of the latest reply, in order; those before `next` are answered.
  let open: readonly string[] = []
  let next = 0
  let openedAt = 0
  const close = () => {
    for (const callId of open.slice(next)) {
      if (!answered.has(callId)) issues.push({ kind: 'call_without_result', index: openedAt, callId })
    }
    open = []
    next = 0
  }
  messages.forEach((message, index) => {
    if (message.role === 'tool') {
      const { callId } = message
      if (answered.has(callId)) issues.push({ kind: 'duplicate_result', index, callId })
      else if (!made.has(callId)) issues.push({ kind: 'result_without_call', index, callId })
      else if (callId !== open[next]) issues.push({ kind: 'misplaced_result', index, callId })
      answered.add(callId)
      while (next < open.length && answered.has(open[next] ?? '')) next++
      return
    }
    close()
    if (isEmpty(message)) issues.push({ kind: 'empty_message', index })
    if (message.role !== 'assistant') return
    if (message.toolCalls?.length === 0) issues.push({ kind: 'empty_calls', index })
    const callIds = (message.toolCalls ?? []).map(({ id }) => id)
    for (const callId of callIds) {
      if (callId === '') issues.push({ kind: 'missing_call_id', index, callId })
      if (made.has(callId)) issues.push({ kind: 'duplicate_call', index, callId })
      made.add(callId)
    }
    open = callIds
    openedAt = index
  })
  close()
  return issues
}
