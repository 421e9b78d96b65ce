import { jsonrepair } from 'jsonrepair'
import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'

// A reply is read once, from left to right, by ReplyScanner: the same scanner tells a stream its text as it
// arrives and tells parseReply what the whole reply said. That the two agree is therefore no matter of care.

/** What one whole reply says. `plan` annotates whatever else is there. */
export type JsonReply = { plan?: string } & (
  | { kind: 'step'; thought?: string; toolCalls: readonly ReplyCall[] }
  | { kind: 'final'; text: string }
  | { kind: 'plan' }
  | MalformedReply
)

/** A reply that says nothing usable; `message` tells the model what to mend. */
export interface MalformedReply {
  kind: 'malformed'
  /** `empty`: only space. `json`: JSON, but broken, cut or too deep. `shape`: JSON that says nothing. */
  reason: 'empty' | 'json' | 'shape'
  message: string
}

export interface ReplyCall {
  /** Absent when the model gave none. Not checked for being unique. */
  id?: string
  toolName: string
  parameters: JsonObject
  /** Why `parameters` (then `{}`) could not be read: such a call is answered with an error, never run. */
  invalidParameters?: string
}

/**
 * Reads a whole reply: JSON envelopes, fenced or bare, in prose or alone, merged in order. Tool calls beat a
 * final answer, which then becomes the thought if there is none. The first answer, thought and plan count.
 *
 * A reply without an envelope is a final answer, unless it is all JSON. A damaged envelope is repaired only
 * if it is complete, mentions no tool calls and is short (32 768 code units in all), and never so that the
 * result contradicts the text a stream of it has already told. Never throws; linear time.
 */
export function parseReply(text: string): JsonReply {
  if (text.trim() === '') {
    return malformed('empty', `The reply is empty. ${EXPECTED}`)
  }
  const heard = hear(text)
  if (heard.tooDeep) {
    return malformed('json', `The reply nests objects and arrays more than ${MAX_DEPTH} deep. ${EXPECTED}`)
  }
  const damage = mendAll(text, heard)
  if (damage !== undefined) {
    return malformed('json', `The reply is not valid JSON: ${damage.flaw}. ${EXPECTED}`)
  }
  const calls = readCalls(text, heard)
  if ('reason' in calls) {
    return calls
  }
  const hasEnvelope = heard.envelopes > 0 || heard.damages.some((damaged) => damaged.ours)
  return hasEnvelope || calls.length > 0 ? sayWhatWasHeard(heard, calls) : readWithoutEnvelope(text, heard)
}

const MAX_DEPTH = 200
const EXPECTED =
  'Reply with one JSON object: {"tool_thought": "…", "tool_calls": [{"id": "…", "tool_name": "…", ' +
  '"parameters": {…}}]} to use tools, or {"final_answer": "…"} to answer.'

function malformed(reason: MalformedReply['reason'], message: string): MalformedReply {
  return { kind: 'malformed', reason, message }
}

function sayWhatWasHeard(heard: Heard, toolCalls: readonly ReplyCall[]): JsonReply {
  const plan = heard.told.get('plan')?.text
  const annotation = plan === undefined || plan.trim() === '' ? {} : { plan }
  const answer = heard.told.get('answer')?.text
  if (toolCalls.length > 0) {
    const thought = heard.told.get('thought')?.text || answer
    return { ...annotation, kind: 'step', ...(thought && { thought }), toolCalls }
  }
  if (answer !== undefined) {
    return { ...annotation, kind: 'final', text: answer }
  }
  if (annotation.plan !== undefined) {
    return { plan: annotation.plan, kind: 'plan' }
  }
  return malformed(
    'shape',
    `The reply has neither "tool_calls" with a call in it nor a "final_answer". ${EXPECTED}`,
  )
}

/** Prose, a lone JSON value that is no envelope, or an attempt at one. */
function readWithoutEnvelope(text: string, heard: Heard): JsonReply {
  const body = withoutFence(text)
  const damage = heard.damages[0]
  // After damage nobody can tell where an object ends, so what begins and ends like one is meant as one.
  if (damage !== undefined && (!heard.prose || body.endsWith('}'))) {
    const mended = damage.open || heard.prose ? undefined : mend(text, damage, REPAIRABLE_LENGTH)
    return mended !== undefined && mended.envelopes > 0
      ? sayWhatWasHeard(mended, [])
      : malformed('json', `The reply is not valid JSON: ${damage.flaw}. ${EXPECTED}`)
  }
  if (!heard.prose) {
    return malformed('shape', `The reply is a JSON object without any known key. ${EXPECTED}`)
  }
  const value = /^["[\d\-tfn]/.test(body) ? parseJson(body) : undefined
  if (typeof value === 'string') {
    return { kind: 'final', text: wellFormed(value) }
  }
  if (typeof value === 'number' || typeof value === 'boolean') {
    return { kind: 'final', text: body }
  }
  if (value !== undefined) {
    return malformed('shape', `The reply is ${value === null ? 'null' : 'a JSON array'}. ${EXPECTED}`)
  }
  return { kind: 'final', text: wellFormed(text.trim()) }
}

/** The text inside a fence that spans the whole reply, if its label says JSON or nothing. */
function withoutFence(text: string): string {
  const trimmed = text.trim()
  const label = /^```([A-Za-z0-9]{0,10})(?![A-Za-z0-9])/.exec(trimmed)
  return label !== null &&
    trimmed.length >= 6 &&
    trimmed.endsWith('```') &&
    JSON_LABELS.has(label[1]?.toLowerCase() ?? '')
    ? trimmed.slice(label[0].length, -3).trim()
    : trimmed
}

function readCalls(text: string, heard: Heard): readonly ReplyCall[] | MalformedReply {
  const calls: ReplyCall[] = []
  for (const { start, end } of heard.calls) {
    const value = parseJson(text.slice(start, end))
    if (value === undefined) {
      const cure = 'line breaks inside strings must be written as \\n'
      return malformed('json', `"tool_calls" is not valid JSON: ${cure}. ${EXPECTED}`)
    }
    const list = Array.isArray(value) ? value : [value]
    for (const [index, item] of list.entries()) {
      const call = readCall(item)
      if (call === undefined) {
        return malformed('shape', `"tool_calls"[${index}] is not an object with a "tool_name". ${EXPECTED}`)
      }
      calls.push(call)
    }
  }
  // A call outside "tool_calls" is taken at its word only when there is no text that it may be an example in.
  if (calls.length === 0 && heard.bareCall !== undefined && !heard.prose) {
    const value = parseJson(text.slice(heard.bareCall.start, heard.bareCall.end))
    const call =
      isJsonObject(value) && firstOf(value, PARAMETER_KEYS) !== undefined ? readCall(value) : undefined
    if (call !== undefined) {
      calls.push(call)
    }
  }
  return calls
}

const NAME_KEYS = ['tool_name', 'toolName', 'name', 'tool'] as const
const PARAMETER_KEYS = ['parameters', 'arguments', 'input', 'args'] as const

function readCall(value: JsonValue): ReplyCall | undefined {
  if (!isJsonObject(value)) {
    return undefined
  }
  const toolName = firstOf(value, NAME_KEYS, (name) => typeof name === 'string' && name.trim() !== '')
  if (typeof toolName !== 'string') {
    return undefined
  }
  const id = firstOf(value, ['id'])
  const idText = typeof id === 'number' ? String(id) : id
  return {
    ...(typeof idText === 'string' && idText !== '' && { id: idText }),
    toolName,
    ...readParameters(firstOf(value, PARAMETER_KEYS)),
  }
}

function readParameters(given: JsonValue | undefined): Pick<ReplyCall, 'parameters' | 'invalidParameters'> {
  // Models write "" or null for a tool that takes nothing.
  if (given === undefined || given === null || (typeof given === 'string' && given.trim() === '')) {
    return { parameters: {} }
  }
  const value = typeof given === 'string' ? parseJson(given) : given
  if (isJsonObject(value)) {
    return typeof given === 'string' && isTooDeep(given)
      ? { parameters: {}, invalidParameters: `the parameters nest more than ${MAX_DEPTH} deep` }
      : { parameters: value }
  }
  const invalidParameters =
    value === undefined
      ? 'the parameters are a string that is not valid JSON'
      : `the parameters must be a JSON object, not ${value === null ? 'null' : kindOf(value)}`
  return { parameters: {}, invalidParameters }
}

function kindOf(value: JsonValue): string {
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
    if (value !== undefined && accept(value)) {
      return value
    }
  }
  return undefined
}

function isTooDeep(json: string): boolean {
  let depth = 0
  let inString = false
  for (let i = 0; i < json.length; i++) {
    const code = json.charCodeAt(i)
    if (inString) {
      if (code === BACKSLASH) i++
      else if (code === QUOTE) inString = false
    } else if (code === QUOTE) inString = true
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      if (++depth > MAX_DEPTH) return true
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth--
  }
  return false
}

function parseJson(text: string): JsonValue | undefined {
  try {
    // JSON.parse yields nothing but JSON values.
    return JSON.parse(text) as JsonValue
  } catch {
    return undefined
  }
}

/** What a scan of a whole text found; `told` is the text of each channel and the object it came from. */
interface Heard {
  told: Map<Channel, { text: string; envelope: number }>
  calls: readonly Span[]
  bareCall?: Span
  damages: readonly Damage[]
  envelopes: number
  prose: boolean
  tooDeep: boolean
}

function hear(text: string): Heard {
  const pieces = { answer: [] as string[], thought: [] as string[], plan: [] as string[] }
  const scanner = new ReplyScanner((channel, piece) => pieces[channel].push(piece))
  scanner.feed(text)
  scanner.end()
  const told: Heard['told'] = new Map()
  for (const [channel, envelope] of scanner.claims) {
    told.set(channel, { text: pieces[channel].join(''), envelope })
  }
  const { calls, bareCall, damages, envelopes, prose, tooDeep } = scanner
  return { told, calls, ...(bareCall && { bareCall }), damages, envelopes, prose, tooDeep }
}

/** Adds to `heard` what the damaged envelopes meant to say; returns the first one that cannot be mended. */
function mendAll(text: string, heard: Heard): Damage | undefined {
  let budget = REPAIRABLE_LENGTH
  for (const damage of heard.damages) {
    if (!damage.ours) {
      continue
    }
    const mended = damage.open ? undefined : mend(text, damage, budget)
    if (mended === undefined) {
      return damage
    }
    budget -= damage.end - damage.start
    for (const channel of CHANNELS.values()) {
      const before = heard.told.get(channel)
      const after = mended.told.get(channel)
      if (before?.envelope === damage.start && !after?.text.startsWith(before.text)) {
        return damage
      }
      if (after !== undefined && (before === undefined || before.envelope === damage.start)) {
        heard.told.set(channel, { text: after.text, envelope: damage.start })
      }
    }
  }
  return undefined
}

/** Code units repaired in one reply: jsonrepair is quadratic on hostile input, 50 ms at this size. */
const REPAIRABLE_LENGTH = 32_768
const CALL_WORDS = ['tool_calls', 'tool_name', 'toolName']

function mend(text: string, { start, end }: Damage, budget: number): Heard | undefined {
  const source = end - start > budget ? undefined : text.slice(start, end)
  // Repaired arguments might be executed though the model never said them.
  if (source === undefined || CALL_WORDS.some((word) => source.includes(word))) {
    return undefined
  }
  try {
    const mended = hear(jsonrepair(source))
    const sound =
      mended.damages.length === 0 && !mended.tooDeep && mended.calls.length === 0 && !mended.bareCall
    return sound ? mended : undefined
  } catch {
    return undefined
  }
}

/** What a stream of decoded text belongs to. */
export type Channel = 'answer' | 'thought' | 'plan'

interface Span {
  start: number
  end: number
}

interface Damage extends Span {
  /** It has a key of the protocol, so it was meant as an envelope. */
  ours: boolean
  /** It was cut off: nobody knows how it would have gone on. */
  open: boolean
  /** What was wrong first, and where. */
  flaw: string
}

const CHANNELS: ReadonlyMap<string, Channel> = new Map([
  ['final_answer', 'answer'],
  ['tool_thought', 'thought'],
  ['plan', 'plan'],
])
const CALLS_KEY = 'tool_calls'
/** Keys that mean an envelope even without double quotes; `{plan: …}` is too likely to be someone's data. */
const UNMISTAKABLE = new Set(['final_answer', 'tool_thought', CALLS_KEY])
/** Fences read like prose. In any other, only an object that stands first may be an envelope. */
const JSON_LABELS = new Set(['', 'json', 'jsonc', 'json5', 'text', 'txt', 'plaintext'])

const TAB = 9
const NEWLINE = 10
const RETURN = 13
const SPACE = 32
const QUOTE = 34
const APOSTROPHE = 39
const COMMA = 44
const COLON = 58
const OPEN_BRACKET = 91
const BACKSLASH = 92
const CLOSE_BRACKET = 93
const BACKTICK = 96
const OPEN_BRACE = 123
const CLOSE_BRACE = 125
const NO_BREAK_SPACE = 0xa0
const BYTE_ORDER_MARK = 0xfeff

type Expectation = 'first key' | 'key' | 'colon' | 'first item' | 'value' | 'comma' | 'string' | 'literal'

const NEEDED: Record<Expectation, string> = {
  'first key': 'a key in double quotes or "}"',
  key: 'a key in double quotes',
  colon: '":"',
  'first item': 'a value or "]"',
  value: 'a value',
  comma: '"," or a closing bracket',
  string: 'a valid escape or character in a string',
  literal: 'a number, true, false or null',
}

/**
 * Finds the envelopes in a reply fed in pieces of any size and tells the decoded text of their answers,
 * thoughts and plans as it arrives. Each code unit is looked at once or twice, whatever the input.
 *
 * Told text never ends in half a surrogate pair; a half without its other half becomes U+FFFD. Raw control
 * characters in an envelope's strings are read as themselves. The source text of an object or array is told
 * up to its last whole token.
 */
export class ReplyScanner {
  /** The values of `tool_calls`, null excepted, as offsets into everything fed. */
  readonly calls: Span[] = []
  /** Objects that break off or break JSON's grammar. At most `MAX_DAMAGES` are kept. */
  readonly damages: Damage[] = []
  /** The channels that have text, and where the object it comes from starts. */
  readonly claims = new Map<Channel, number>()
  /** Where the value of the answer ends, once all of it is told. */
  answerEnd: number | undefined
  /** Well-formed objects with a key of the protocol. */
  envelopes = 0
  /** The only object that names a tool outside `tool_calls`, if it is the only object that is no envelope. */
  bareCall: Span | undefined
  /** There is more than envelopes, fences and space. */
  prose = false
  tooDeep = false

  readonly #tell: (channel: Channel, text: string) => void
  #mode: 'prose' | 'word' | 'json' | 'loose' = 'prose'
  #offset = 0

  constructor(tell: (channel: Channel, text: string) => void) {
    this.#tell = tell
  }

  /** Nothing that was meant as JSON has broken its grammar so far. */
  get isSound(): boolean {
    return this.#mode !== 'loose' && this.damages.length === 0 && !this.tooDeep
  }

  feed(text: string): void {
    let i = 0
    while (i < text.length) {
      switch (this.#mode) {
        case 'prose':
          i = this.#readProse(text, i)
          break
        case 'word':
          i = this.#readWord(text, i)
          break
        case 'json':
          i = this.#expect === 'string' ? this.#readString(text, i) : this.#readToken(text, i)
          break
        case 'loose':
          i = this.#readLoosely(text, i)
          break
      }
    }
    this.#offset += text.length
  }

  end(): void {
    if (this.#ticks > 0 || this.#mode === 'word') {
      this.prose = true
    }
    if (this.#mode === 'json') {
      this.#flaw = `it is cut off at character ${this.#offset}`
      const closed = this.#expect === 'comma' && this.#last === CLOSE_BRACE
      this.#endDamaged(this.#offset, !closed)
    } else if (this.#mode === 'loose') {
      this.#endDamaged(this.#offset, this.#last !== CLOSE_BRACE)
    }
  }

  #lineStart = true
  #ticks = 0
  #ticksStartLine = false
  #label: string | undefined
  #opaque = false
  /** In an opaque fence, with nothing but space since its label. */
  #fresh = false

  #readProse(text: string, i: number): number {
    const code = text.charCodeAt(i)
    if (this.#label !== undefined) {
      if (code === BACKTICK && this.#label === '') {
        return i + 1
      }
      if (isWordCode(code)) {
        if (this.#label.length < MAX_WORD) {
          this.#label += text[i]
        }
        return i + 1
      }
      this.#opaque = !JSON_LABELS.has(this.#label.toLowerCase())
      this.#fresh = this.#opaque
      this.#label = undefined
    }
    if (code === BACKTICK) {
      if (this.#ticks === 0) {
        this.#ticksStartLine = this.#lineStart
      }
      this.#ticks++
      this.#lineStart = false
      if (this.#ticks === 3 && this.#ticksStartLine) {
        this.#openFence()
      }
      return i + 1
    }
    if (this.#ticks > 0) {
      this.prose ||= this.#ticks < 3
      this.#ticks = 0
    }
    if (code === NEWLINE) {
      this.#lineStart = true
    } else if (code === OPEN_BRACE && (!this.#opaque || this.#fresh)) {
      this.#beginObject(this.#offset + i)
    } else if (!isSpace(code) && code !== NO_BREAK_SPACE && code !== BYTE_ORDER_MARK) {
      this.#lineStart = false
      this.#fresh = false
      this.prose = true
    }
    return i + 1
  }

  #openFence(): void {
    this.#ticks = 0
    this.#label = ''
  }

  #start = 0
  #startedBare = false
  #ours = false
  /** It has the opening quote of a key, or a word with a colon: braces in prose look otherwise. */
  #attempted = false
  #namesTool = false
  /** It has `tool_calls` or `final_answer`, so a tool's name beside them is data. */
  #settled = false
  /** The closing bracket of every open container, outermost first. */
  readonly #closers: number[] = []
  #expect: Expectation = 'first key'
  /** The last code unit that is not space. */
  #last = 0

  #beginObject(start: number): void {
    this.#mode = 'json'
    this.#start = start
    this.#startedBare = !this.prose
    this.#ours = false
    this.#attempted = false
    this.#namesTool = false
    this.#settled = false
    this.#fresh = false
    this.#lineStart = false
    this.#closers.length = 0
    this.#closers.push(CLOSE_BRACE)
    this.#expect = 'first key'
    this.#source = false
    this.#target = undefined
    this.#high = ''
  }

  #endObject(end: number): void {
    this.#mode = 'prose'
    const mayBeCall = this.#namesTool && !this.#settled
    if (this.#ours) {
      this.envelopes++
    }
    if (mayBeCall || !this.#ours) {
      this.bareCall = mayBeCall && this.#others === 0 ? { start: this.#start, end } : undefined
      this.#others++
    }
  }

  /** Objects that are no envelopes, or name a tool themselves. */
  #others = 0
  #key = ''
  #target: Channel | undefined
  /** The target gets the source text of an object or array, not the decoded text of a string. */
  #source = false
  /** Collects a composite plan or thought: lists are told as lines, which takes the whole. */
  #held: string[] | undefined
  /** Space and a comma after the last told token: told with the next, since a repair may remove them. */
  #gap = ''
  #valueStart = 0
  #literal = ''

  #readToken(text: string, i: number): number {
    const code = text.charCodeAt(i)
    if (this.#expect === 'literal') {
      if (isWordCode(code)) {
        this.#literal += text[i]
        return i + 1
      }
      return this.#endLiteral(i)
    }
    if (isSpace(code)) {
      this.#keepGap(text, i)
      return i + 1
    }
    switch (this.#expect) {
      case 'first key':
      case 'key':
        if (code === QUOTE) {
          return this.#beginString(i, true)
        }
        if (code === CLOSE_BRACE && this.#expect === 'first key') {
          return this.#close(text, i)
        }
        if (
          this.#closers.length === 1 &&
          this.#expect === 'first key' &&
          (isQuoteLike(code) || isWordCode(code))
        ) {
          this.#mode = 'word'
          this.#word = ''
          this.#wordEnded = false
          return i
        }
        break
      case 'colon':
        if (code === COLON) {
          this.#tellToken(':')
          return this.#endKey(i)
        }
        break
      case 'first item':
        if (code === CLOSE_BRACKET) {
          return this.#close(text, i)
        }
        return this.#beginValue(text, i)
      case 'value':
        return this.#beginValue(text, i)
      case 'comma':
        if (code === COMMA) {
          this.#keepGap(text, i)
          this.#expect = this.#closers.at(-1) === CLOSE_BRACE ? 'key' : 'value'
          return i + 1
        }
        if (code === this.#closers.at(-1)) {
          return this.#close(text, i)
        }
        break
    }
    return this.#fail(i)
  }

  #endKey(i: number): number {
    this.#expect = 'value'
    if (this.#closers.length === 1) {
      this.#ours ||= CHANNELS.has(this.#key) || this.#key === CALLS_KEY
      this.#settled ||= this.#key === CALLS_KEY || this.#key === 'final_answer'
      this.#namesTool ||= NAME_KEYS.some((name) => name === this.#key)
      const channel = CHANNELS.get(this.#key)
      this.#target = channel !== undefined && !this.claims.has(channel) ? channel : undefined
    }
    return i + 1
  }

  #beginValue(text: string, i: number): number {
    const code = text.charCodeAt(i)
    const isMember = this.#closers.length === 1
    if (isMember) {
      this.#valueStart = this.#offset + i
      this.#gap = ''
    }
    if (code === QUOTE) {
      if (isMember && this.#target !== undefined) {
        this.claims.set(this.#target, this.#start)
      }
      return this.#beginString(i, false)
    }
    if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      if (this.#closers.length >= MAX_DEPTH) {
        this.tooDeep = true
        return this.#fail(i)
      }
      if (isMember && this.#target !== undefined) {
        this.claims.set(this.#target, this.#start)
        this.#source = true
        this.#held = this.#target === 'answer' ? undefined : []
      }
      this.#closers.push(code === OPEN_BRACE ? CLOSE_BRACE : CLOSE_BRACKET)
      this.#expect = code === OPEN_BRACE ? 'first key' : 'first item'
      this.#tellToken(text.charAt(i))
      return i + 1
    }
    if (LITERAL_STARTS.includes(text.charAt(i))) {
      this.#literal = text.charAt(i)
      this.#expect = 'literal'
      return i + 1
    }
    return this.#fail(i)
  }

  #endLiteral(i: number): number {
    if (!LITERAL.test(this.#literal)) {
      return this.#fail(i)
    }
    if (this.#source) {
      this.#tellToken(this.#literal)
    } else if (this.#closers.length === 1 && this.#target !== undefined && this.#literal !== 'null') {
      this.claims.set(this.#target, this.#start)
      this.#tellText(this.#literal)
    }
    this.#last = 0
    this.#endValue(i, this.#literal === 'null')
    return i
  }

  #close(text: string, i: number): number {
    this.#last = text.charCodeAt(i)
    this.#closers.pop()
    if (this.#closers.length === 0) {
      this.#endObject(this.#offset + i + 1)
      return i + 1
    }
    this.#tellToken(text.charAt(i))
    this.#endValue(i + 1, false)
    return i + 1
  }

  /** Ends a value before position `i` of the chunk. */
  #endValue(i: number, isNull: boolean): void {
    this.#expect = 'comma'
    if (this.#closers.length > 1) {
      return
    }
    if (this.#key === CALLS_KEY && !isNull) {
      this.calls.push({ start: this.#valueStart, end: this.#offset + i })
    }
    if (this.#held !== undefined) {
      const value = parseJson(this.#held.join(''))
      this.#held = undefined
      this.#source = false
      this.#tellText(lines(value))
    }
    this.#endText()
    if (this.#target === 'answer' && this.claims.has('answer')) {
      this.answerEnd = this.#offset + i
    }
    this.#source = false
    this.#target = undefined
    this.#gap = ''
  }

  /** 0 outside an escape, 1 after its backslash, 2 in the digits of `\u`. */
  #escape: 0 | 1 | 2 = 0
  #digits = ''
  #isKey = false
  #use: 'key' | 'decoded' | 'source' | 'skipped' = 'skipped'

  #beginString(i: number, isKey: boolean): number {
    this.#expect = 'string'
    this.#isKey = isKey
    const isMember = this.#closers.length === 1
    if (this.#source) {
      this.#use = 'source'
      this.#tellToken('"')
    } else if (isMember && isKey) {
      this.#use = 'key'
      this.#key = ''
      this.#attempted = true
    } else {
      this.#use = isMember && this.#target !== undefined ? 'decoded' : 'skipped'
    }
    return i + 1
  }

  #readString(text: string, i: number): number {
    if (this.#escape !== 0) {
      return this.#readEscape(text, i)
    }
    let j = i
    let code = 0
    while (j < text.length) {
      code = text.charCodeAt(j)
      if (code === QUOTE || code === BACKSLASH || code < SPACE) {
        break
      }
      j++
    }
    if (j > i) {
      this.#useText(text, i, j)
    }
    if (j === text.length) {
      return j
    }
    if (code === QUOTE) {
      this.#endString(j + 1)
      return j + 1
    }
    if (code === BACKSLASH) {
      this.#escape = 1
      return j + 1
    }
    // In an envelope a raw line break is a model's slip; elsewhere it shows that this was no JSON after all.
    if (!this.#ours || this.#isKey) {
      return this.#fail(j)
    }
    if (this.#use === 'source') {
      this.#tellText(JSON.stringify(text.charAt(j)).slice(1, -1))
    } else {
      this.#useText(text, j, j + 1)
    }
    return j + 1
  }

  #readEscape(text: string, i: number): number {
    const char = text.charAt(i)
    if (this.#escape === 1 && char === 'u') {
      this.#escape = 2
      this.#digits = ''
      return i + 1
    }
    let decoded: string | undefined
    if (this.#escape === 1) {
      decoded = ESCAPES.get(char)
    } else if (isHexCode(text.charCodeAt(i))) {
      this.#digits += char
      if (this.#digits.length < 4) {
        return i + 1
      }
      decoded = String.fromCharCode(Number.parseInt(this.#digits, 16))
    }
    if (decoded === undefined) {
      return this.#fail(i)
    }
    const source = this.#escape === 1 ? `\\${char}` : `\\u${this.#digits}`
    this.#escape = 0
    const used = this.#use === 'source' ? source : decoded
    this.#useText(used, 0, used.length)
    return i + 1
  }

  #useText(text: string, from: number, to: number): void {
    if (this.#use === 'decoded' || this.#use === 'source') {
      this.#tellText(text.slice(from, to))
    } else if (this.#use === 'key' && this.#key.length < MAX_WORD) {
      this.#key += text.slice(from, Math.min(to, from + MAX_WORD))
    }
  }

  #endString(i: number): void {
    if (this.#use === 'source') {
      this.#tellText('"')
    }
    this.#last = QUOTE
    if (this.#isKey) {
      this.#expect = 'colon'
    } else {
      this.#endValue(i, false)
    }
  }

  #keepGap(text: string, i: number): void {
    if (this.#source) {
      this.#gap += text[i]
    }
  }

  #tellToken(token: string): void {
    if (this.#source) {
      this.#tellText(this.#gap + token)
      this.#gap = ''
    }
  }

  /** The first half of a surrogate pair whose second half has not come yet. */
  #high = ''

  #tellText(text: string): void {
    if (this.#held !== undefined) {
      this.#held.push(text)
      return
    }
    let ready = this.#high + text
    this.#high = ''
    if (isHighSurrogate(ready.charCodeAt(ready.length - 1))) {
      this.#high = ready.slice(-1)
      ready = ready.slice(0, -1)
    }
    if (this.#target !== undefined && ready !== '') {
      this.#tell(this.#target, wellFormed(ready))
    }
  }

  #endText(): void {
    if (this.#high !== '' && this.#target !== undefined) {
      this.#tell(this.#target, '\ufffd')
    }
    this.#high = ''
  }

  #word = ''
  #wordEnded = false

  /** Reads `{'final_answer':` or `{final_answer:` far enough to know it is meant as an object. */
  #readWord(text: string, i: number): number {
    const code = text.charCodeAt(i)
    if (!this.#wordEnded) {
      if (isWordCode(code)) {
        this.#word += this.#word.length < MAX_WORD ? text[i] : ''
        return i + 1
      }
      if (this.#word === '' && isQuoteLike(code)) {
        return i + 1
      }
      this.#wordEnded = true
    }
    if (isQuoteLike(code) || isSpace(code)) {
      return i + 1
    }
    const isKey = code === COLON && this.#word !== ''
    this.#ours = isKey && UNMISTAKABLE.has(this.#word)
    this.#attempted = isKey
    this.#expect = 'first key'
    return this.#fail(i)
  }

  #flaw = ''
  #depth = 0
  #opener = false
  #quote = 0
  #escaped = false

  /** Decides what an object that broke the grammar at `i` was; that code unit is read again after. */
  #fail(i: number): number {
    if (this.#startedBare && this.#expect === 'colon' && this.#closers.length === 1) {
      this.#ours ||= UNMISTAKABLE.has(this.#key)
    }
    if (!this.#ours && !this.tooDeep && !(this.#attempted && this.#startedBare)) {
      this.#mode = 'prose'
      this.prose = true
      return this.#leaveString(i)
    }
    this.#flaw = `at character ${this.#offset + i} there should be ${NEEDED[this.#expect]}`
    this.#mode = 'loose'
    this.#depth = this.#closers.length
    this.#quote = this.#expect === 'string' ? QUOTE : 0
    this.#opener = OPENER_EXPECTED.has(this.#expect)
    this.#escaped = false
    this.#ticks = 0
    return this.#leaveString(i)
  }

  #leaveString(i: number): number {
    this.#escape = 0
    this.#high = ''
    this.#held = undefined
    this.#source = false
    this.#gap = ''
    return i
  }

  /** Looks for the end of a damaged object: where its brackets close outside strings, or its fence does. */
  #readLoosely(text: string, i: number): number {
    const code = text.charCodeAt(i)
    if (code === BACKTICK && this.#quote === 0) {
      if (++this.#ticks === 3) {
        this.#endDamaged(this.#offset + i - 2, false)
        this.#openFence()
      }
      return i + 1
    }
    this.#ticks = 0
    if (isSpace(code)) {
      return i + 1
    }
    if (code !== BACKTICK) {
      this.#last = code
    }
    if (this.#quote !== 0) {
      if (this.#escaped) {
        this.#escaped = false
      } else if (code === BACKSLASH) {
        this.#escaped = true
      } else if (code === this.#quote) {
        this.#quote = 0
        this.#opener = false
      }
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      this.#depth++
      this.#opener = true
      this.tooDeep ||= this.#depth > MAX_DEPTH
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      this.#depth--
      this.#opener = false
      if (this.#depth <= 0) {
        this.#endDamaged(this.#offset + i + 1, false)
      }
    } else if (this.#opener && (code === QUOTE || code === APOSTROPHE)) {
      this.#quote = code
    } else {
      this.#opener = code === COMMA || code === COLON
    }
    return i + 1
  }

  #endDamaged(end: number, open: boolean): void {
    this.#mode = 'prose'
    this.#lineStart = false
    this.#ticks = 0
    if (!this.#ours && !this.#startedBare) {
      this.prose = true
      return
    }
    const isLast = this.damages.length === MAX_DAMAGES - 1
    if (this.damages.length < MAX_DAMAGES) {
      const ours = this.#ours || isLast
      this.damages.push({ start: this.#start, end, ours, open: open || isLast, flaw: this.#flaw })
    }
  }
}

/** More than this many damaged objects are no slip, and the last is kept as one that cannot be mended. */
const MAX_DAMAGES = 8
/** Longer than any key or fence label that means something. */
const MAX_WORD = 32
const LITERAL_STARTS = 'tfn-0123456789'
const LITERAL = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/
const OPENER_EXPECTED: ReadonlySet<Expectation> = new Set(['first key', 'key', 'first item', 'value'])
const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '"'],
  ['\\', '\\'],
  ['/', '/'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
])

/** A plan or thought that is no string: a list as lines, anything else as JSON. */
function lines(value: JsonValue | undefined): string {
  return Array.isArray(value)
    ? value.map((item) => (typeof item === 'string' ? item : JSON.stringify(item))).join('\n')
    : JSON.stringify(value ?? null)
}

function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd')
}

function isSpace(code: number): boolean {
  return code === SPACE || code === NEWLINE || code === RETURN || code === TAB
}

/** Letters, digits and `_ - + . #`: what fence labels, numbers and words are made of. */
function isWordCode(code: number): boolean {
  return (
    (code >= 97 && code <= 122) ||
    (code >= 65 && code <= 90) ||
    (code >= 48 && code <= 57) ||
    code === 95 ||
    code === 45 ||
    code === 43 ||
    code === 46 ||
    code === 35
  )
}

function isHexCode(code: number): boolean {
  return (code >= 48 && code <= 57) || (code >= 97 && code <= 102) || (code >= 65 && code <= 70)
}

/** Quotes that JSON does not know, and the one it does. */
function isQuoteLike(code: number): boolean {
  return (
    code === QUOTE ||
    code === APOSTROPHE ||
    code === 0x201c ||
    code === 0x201d ||
    code === 0x2018 ||
    code === 0x2019
  )
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff
}
