import { jsonrepair } from 'jsonrepair'
import { isJsonObject, type JsonObject, type JsonValue, parseJson, wellFormed } from '../json.ts'
import { type EnvelopeChannel, MAX_DEPTH } from './json-object.ts'
import { type Damage, ReplyScanner } from './json-scan.ts'
import type { Turn, TurnCall } from './protocol.ts'

/**
 * Reads a whole reply: JSON envelopes, fenced or bare, in prose or alone, merged in order. Tool calls beat a final
 * answer, which then becomes the thought if there is none. The first answer, thought and plan count.
 *
 * A reply without an envelope is a final answer, unless it is all JSON. One damaged envelope is repaired if it is
 * complete, mentions no tool calls and is at most 32 768 code units long, and never so that the result contradicts what a
 * stream of it has already told. Never throws; linear time.
 */
export function parseReply(text: string): Turn {
  if (text.trim() === '') return malformed('empty', 'The reply is empty')
  const { told, found } = hear(text)
  if (found.tooDeep) {
    return malformed('json', `The reply nests objects and arrays more than ${MAX_DEPTH} deep`)
  }
  const damage = damageThatMatters(text, found)
  const mended = damage && mend(text, damage, told, found)
  if (damage && !mended) return malformed('json', `The reply is not valid JSON: ${damage.flaw}`)
  const said = mended ?? told
  const calls = readCalls(text, found, said)
  if ('reason' in calls) return calls
  return found.envelopes > 0 || mended || calls.length > 0
    ? turnOf(said, calls)
    : readWithoutEnvelope(text, found.prose)
}

type Malformed = Extract<Turn, { kind: 'malformed' }>

/** `empty`: only space. `json`: JSON, but broken, cut or too deep. `shape`: JSON that says nothing. */
function malformed(reason: Malformed['reason'], problem: string): Malformed {
  return { kind: 'malformed', reason, message: `${problem}. ${EXPECTED}` }
}

const EXPECTED =
  'Reply with one JSON object: {"tool_thought": "…", "tool_calls": [{"id": "…", "tool_name": "…", ' +
  '"parameters": {…}}]} to use tools, or {"final_answer": "…"} to answer.'

/** The text of each channel, and where the object it comes from starts. */
type Told = ReadonlyMap<EnvelopeChannel, { readonly text: string; readonly origin: number }>

function hear(text: string): { told: Told; found: ReplyScanner } {
  const pieces = { answer: [] as string[], thought: [] as string[], plan: [] as string[] }
  const found = new ReplyScanner((channel, piece) => pieces[channel].push(piece))
  found.feed(text)
  found.end()
  const told = [...found.claims].map(
    ([channel, origin]) => [channel, { text: pieces[channel].join(''), origin }] as const,
  )
  return { told: new Map(told), found }
}

/** Damage to an envelope, or to what begins, and as far as can be told ends, like the one object of the reply. */
function damageThatMatters(text: string, { damages, envelopes, prose }: ReplyScanner): Damage | undefined {
  const ours = damages.find((damage) => damage.ours)
  if (ours !== undefined || envelopes > 0) return ours
  return !prose || withoutFence(text).endsWith('}') ? damages[0] : undefined
}

/** What the reply says once its damaged envelope is repaired; `undefined` if it cannot be. */
function mend(text: string, damage: Damage, told: Told, found: ReplyScanner): Told | undefined {
  const isOnlyOne = found.damages.every((other) => other === damage || !other.ours)
  if (damage.open || !isOnlyOne || (found.prose && !damage.ours)) return undefined
  const repaired = repair(text.slice(damage.start, damage.end))
  if (repaired === undefined) return undefined
  const all = new Map(told)
  for (const [channel, { text }] of repaired) {
    const before = told.get(channel)
    if (before === undefined || before.origin === damage.start)
      all.set(channel, { text, origin: damage.start })
  }
  for (const [channel, { text, origin }] of told) {
    if (origin === damage.start && !repaired.get(channel)?.text.startsWith(text)) return undefined
  }
  return all
}

/** jsonrepair is quadratic on hostile input: 50 ms at this length. */
const REPAIRABLE_LENGTH = 32_768
/** Repaired arguments might be executed though the model never said them. */
const CALL_WORDS = ['tool_calls', 'tool_name', 'toolName']

function repair(source: string): Told | undefined {
  if (source.length > REPAIRABLE_LENGTH || CALL_WORDS.some((word) => source.includes(word))) return undefined
  try {
    const { told, found } = hear(jsonrepair(source))
    return found.isSound && found.envelopes > 0 && found.calls.length === 0 ? told : undefined
  } catch {
    return undefined
  }
}

function turnOf(said: Told, toolCalls: readonly TurnCall[]): Turn {
  const plan = said.get('plan')?.text
  const annotation = plan === undefined || plan.trim() === '' ? {} : { plan }
  const answer = said.get('answer')?.text
  if (toolCalls.length > 0) {
    const thought = said.get('thought')?.text || answer
    return { ...annotation, kind: 'step', ...(thought && { thought }), toolCalls }
  }
  if (answer !== undefined) return { ...annotation, kind: 'final', text: answer }
  if (annotation.plan !== undefined) return { plan: annotation.plan, kind: 'plan' }
  return malformed('shape', 'The reply has neither "tool_calls" with a call in it nor a "final_answer"')
}

/** Prose, or a JSON value that is no envelope. */
function readWithoutEnvelope(text: string, prose: boolean): Turn {
  if (!prose) return malformed('shape', 'The reply is a JSON object without any known key')
  const body = withoutFence(text)
  const value = parseJson(body)
  if (typeof value === 'string') return { kind: 'final', text: wellFormed(value) }
  if (typeof value === 'number' || typeof value === 'boolean') return { kind: 'final', text: body }
  if (value !== undefined) return malformed('shape', `The reply is ${kindOf(value)}`)
  return { kind: 'final', text: wellFormed(text.trim()) }
}

/** The text inside a fence that spans the whole reply. */
function withoutFence(text: string): string {
  const trimmed = text.trim()
  const opening = /^```(?:json)?\s/i.exec(trimmed)
  return opening && trimmed.endsWith('```') ? trimmed.slice(opening[0].length, -3).trim() : trimmed
}

function readCalls(text: string, found: ReplyScanner, said: Told): readonly TurnCall[] | Malformed {
  const calls: TurnCall[] = []
  for (const { start, end } of found.calls) {
    const value = parseJson(text.slice(start, end))
    if (value === undefined) {
      return malformed(
        'json',
        '"tool_calls" is not valid JSON: line breaks inside strings must be written as \\n',
      )
    }
    for (const [index, item] of [value].flat().entries()) {
      const call = readCall(item)
      if (call === undefined) {
        return malformed('shape', `"tool_calls"[${index}] is not an object with a "tool_name"`)
      }
      calls.push(call)
    }
  }
  return calls.length > 0 || said.has('answer') ? calls : bareCall(text, found)
}

/** A call outside "tool_calls" is taken at its word only when there is no text that it may be an example in. */
function bareCall(text: string, { objects, prose }: ReplyScanner): readonly TurnCall[] {
  if (prose) return []
  const values = objects.map(({ start, end }) => parseJson(text.slice(start, end)))
  const named = values.filter((value) => isJsonObject(value) && firstOf(value, PARAMETER_KEYS) !== undefined)
  const calls = named.map((value) => readCall(value)).filter((call) => call !== undefined)
  return calls.length === 1 ? calls : []
}

const NAME_KEYS = ['tool_name', 'toolName', 'name', 'tool'] as const
const PARAMETER_KEYS = ['parameters', 'arguments', 'input', 'args'] as const

function readCall(value: JsonValue | undefined): TurnCall | undefined {
  if (!isJsonObject(value)) return undefined
  const toolName = firstOf(value, NAME_KEYS, (name) => typeof name === 'string' && name.trim() !== '')
  if (typeof toolName !== 'string') return undefined
  const id = firstOf(value, ['id'])
  const idText = typeof id === 'number' ? String(id) : id
  return {
    ...(typeof idText === 'string' && idText !== '' && { id: idText }),
    toolName,
    ...readParameters(firstOf(value, PARAMETER_KEYS)),
  }
}

function readParameters(given: JsonValue | undefined): Pick<TurnCall, 'parameters' | 'invalid'> {
  // Models write "" or null for a tool that takes nothing.
  if (given === undefined || (typeof given === 'string' && given.trim() === '')) return { parameters: {} }
  const value = typeof given === 'string' ? parseJson(given) : given
  if (value === undefined) {
    return { parameters: {}, invalid: 'the parameters are a string that is not valid JSON' }
  }
  if (!isJsonObject(value)) {
    return { parameters: {}, invalid: `the parameters must be a JSON object, not ${kindOf(value)}` }
  }
  return typeof given === 'string' && hear(given).found.tooDeep
    ? { parameters: {}, invalid: `the parameters nest more than ${MAX_DEPTH} deep` }
    : { parameters: value }
}

function kindOf(value: JsonValue): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`
}

/** Own members only: an absent key must not be answered by a prototype. */
function firstOf(
  object: JsonObject,
  keys: readonly string[],
  accept: (value: JsonValue) => boolean = (value) => value !== null,
): JsonValue | undefined {
  for (const key of keys) {
    const value = Object.hasOwn(object, key) ? object[key] : undefined
    if (value !== undefined && accept(value)) return value
  }
  return undefined
}
