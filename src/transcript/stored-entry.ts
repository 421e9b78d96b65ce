import { CorruptEntryError } from '../errors.ts'
import { isJsonObject } from '../json.ts'
import { parseContent, parseMessage } from '../messages.ts'
import {
  type Check,
  type Checks,
  filledText,
  integer,
  list,
  number,
  object,
  oneOf,
  optional,
  text,
  that,
} from '../options.ts'
import type { BlockChange, Decision, Entry } from './entry.ts'

/** The version of the JSON that entries are stored as. It grows when a stored entry could no longer be read. */
export const entryVersion = 1

/** Where an entry stands; the first of a conversation is at position 0. */
export interface EntryPlace {
  readonly conversationId: string
  readonly position: number
}

/** An entry as the JSON text that stores keep. */
export function encodeEntry(entry: Entry): string {
  return JSON.stringify({ v: entryVersion, ...entry })
}

/**
 * The entry that `encodeEntry` wrote.
 *
 * @throws CorruptEntryError for anything else, naming its place.
 */
export function decodeEntry(stored: string, place: EntryPlace): Entry {
  let value: unknown
  try {
    value = JSON.parse(stored)
  } catch (cause) {
    throw new CorruptEntryError(place, 'it is no JSON', { cause })
  }
  if (!isJsonObject(value)) throw new CorruptEntryError(place, 'it is no JSON object')
  const { v, ...entry } = value
  if (typeof v === 'number' && v > entryVersion) {
    throw new CorruptEntryError(
      place,
      `it is of version ${v}, and this version of tercet reads up to ${entryVersion}: update tercet`,
    )
  }
  if (v !== entryVersion) throw new CorruptEntryError(place, 'it has no version')
  return checkEntry(entry, place)
}

/**
 * `value`, if it is an entry: what a store gives back is someone else's data.
 *
 * @throws CorruptEntryError naming its place and what is wrong with it.
 */
export function checkEntry(value: unknown, place: EntryPlace): Entry {
  if (!isJsonObject(value)) throw new CorruptEntryError(place, 'it is no object')
  const { type } = value
  if (typeof type !== 'string' || !Object.hasOwn(shapes, type)) {
    throw new CorruptEntryError(place, `there is no entry of type ${JSON.stringify(type)}`)
  }
  // One of the keys of `shapes`, as was just asked.
  for (const [name, check] of Object.entries(shapes[type as Entry['type']])) {
    const fault = check.find(value[name], name)
    if (fault) throw new CorruptEntryError(place, `${fault.path} ${fault.says}`)
  }
  // Its members are what the type says, as was just checked.
  return value as unknown as Entry
}

/* @__NO_SIDE_EFFECTS__ */
function parses(wanted: string, parse: (value: unknown) => unknown): Check {
  return that(wanted, (value) => {
    try {
      parse(value)
      return true
    } catch {
      return false
    }
  })
}

/** An object with these members, and perhaps more: a later version may add some. */
/* @__NO_SIDE_EFFECTS__ */
function members(shape: Checks): Check {
  return {
    wanted: 'an object',
    find: (value, path) => {
      if (!isJsonObject(value)) return { path, says: 'must be an object', value }
      for (const [name, check] of Object.entries(shape)) {
        const fault = check.find(value[name], `${path}.${name}`)
        if (fault) return fault
      }
      return undefined
    },
  }
}

const message = parses('a message', (value) => parseMessage(value, 'message'))

const userMessage = parses('a user message', (value) => {
  if (!isJsonObject(value) || value['role'] !== 'user') throw new TypeError('not of the user')
  parseContent(value['content'], 'content')
})

const toolCall = members({
  id: filledText(),
  toolName: text(),
  parameters: object(),
  invalid: optional(text()),
})

const count = number(0)

const usage = members({
  inputTokens: count,
  outputTokens: count,
  cachedInputTokens: optional(count),
  cacheWriteTokens: optional(count),
  reasoningTokens: optional(count),
  costUsd: optional(count),
})

const errorInfo = members({ code: text(), message: text() })

const flag = that('true or false', (value) => typeof value === 'boolean')

const blockChanges: Readonly<Record<BlockChange['do'], Checks>> = {
  write: {
    label: filledText(),
    tier: oneOf('core', 'working', 'archival'),
    permission: oneOf('readonly', 'append', 'readwrite', 'approval'),
    content: text(),
    description: optional(text()),
    key: optional(filledText()),
  },
  append: { label: filledText(), content: text(), key: optional(filledText()) },
  delete: { label: filledText() },
  propose: {
    label: filledText(),
    proposalId: filledText(),
    content: text(),
    key: optional(filledText()),
  },
  settle: { label: filledText(), proposalId: filledText(), approved: flag },
}

// Exact, unlike the other kinds of things: blocks that miss a change without anyone noticing would be wrong ever after.
const blockChange = variant('do', 'change of memory blocks', blockChanges)

// The same: what nobody here understands is no permission.
const decision = variant('decision', 'decision', {
  approve: { parameters: optional(object()) },
  deny: { reason: optional(text()) },
  edit: { parameters: object() },
} satisfies Record<Decision['decision'], Checks>)

/** An object of one of these shapes, by the name that its member `key` has. */
/* @__NO_SIDE_EFFECTS__ */
function variant(key: string, what: string, byName: Readonly<Record<string, Checks>>): Check {
  return {
    wanted: `a ${what}`,
    find: (value, path) => {
      const name = isJsonObject(value) ? value[key] : undefined
      const shape = typeof name === 'string' && Object.hasOwn(byName, name) ? byName[name] : undefined
      return shape ? members(shape).find(value, path) : { path, says: `must be a known ${what}`, value }
    },
  }
}

const shapes: Readonly<Record<Entry['type'], Checks>> = {
  input: { runId: filledText(), message: userMessage },
  message: { message, runId: optional(filledText()) },
  reply: {
    runId: filledText(),
    stepId: filledText(),
    kind: filledText(),
    text: text(),
    plan: optional(text()),
    toolCalls: optional(list(toolCall)),
    reasoning: optional(list(members({ provider: text(), model: text(), text: optional(text()) }))),
    raw: optional(text()),
    problem: optional(text()),
    stopReason: filledText(),
    usage,
    estimatedInputTokens: optional(count),
    provider: text(),
    model: text(),
    landing: optional(text()),
    degraded: optional(flag),
  },
  tool_started: { runId: filledText(), callId: filledText(), idempotencyKey: filledText() },
  tool_finished: {
    runId: filledText(),
    result: members({
      callId: filledText(),
      toolName: text(),
      ok: flag,
      output: text(),
      error: optional(errorInfo),
      durationMs: count,
    }),
    nudge: optional(text()),
  },
  approval_requested: {
    runId: filledText(),
    callId: filledText(),
    toolName: text(),
    parameters: object(),
    expiresAt: optional(number()),
  },
  approval_decided: {
    runId: filledText(),
    callId: filledText(),
    decision,
  },
  run_suspended: { runId: filledText() },
  run_resumed: { runId: filledText(), attemptId: filledText() },
  run_ended: {
    runId: filledText(),
    status: filledText(),
    limit: optional(text()),
    error: optional(errorInfo),
  },
  compaction: {
    runId: optional(filledText()),
    from: integer(0),
    to: integer(0),
    kept: optional(list(integer(0))),
    summary: text(),
    tokensBefore: count,
    tokensAfter: count,
    usage: optional(usage),
    provider: optional(text()),
    model: optional(text()),
  },
  block: { change: blockChange },
}
