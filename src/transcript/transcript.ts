import type { Step } from '../events.ts'
import { canonicalJson, frozen } from '../json.ts'
import { Calibration } from '../memory/calibration.ts'
import {
  type AssistantMessage,
  addUsage,
  type Message,
  noUsage,
  type ToolCall,
  type ToolResult,
  toolMessage,
  type Usage,
} from '../messages.ts'
import { compacted } from './compacted.ts'
import type {
  ApprovalRequestedEntry,
  CompactionEntry,
  Decision,
  Entry,
  ReplyEntry,
  RunEndedEntry,
  RunResumedEntry,
  ToolFinishedEntry,
} from './entry.ts'

/**
 * A conversation as it happened: entries are only ever appended. Beside them it keeps what everything else asks for, one
 * step per entry, so that a turn costs the same in a long conversation as in a short one.
 */
export class Transcript {
  /** How far our estimates are from what providers count in this conversation. */
  readonly calibration = new Calibration()
  #entries: Entry[] = []
  #messages: Message[] = []
  /** Made with the first one: many conversations have no calls. */
  #callIds: Set<string> | undefined
  /** Messages that came in while calls were open: they stand after the results. */
  #waiting: Message[] = []
  #open: Exchange | undefined
  /** The message of a reply that was cut off, if that was the last one. */
  #partial: Message | undefined
  #compaction: CompactionEntry | undefined
  #run: RunFold | undefined
  #plans = 0
  #usage: Usage = noUsage

  constructor(entries: Iterable<Entry> = []) {
    for (const entry of entries) this.append(entry)
  }

  /** The number of entries. */
  get version(): number {
    return this.#entries.length
  }

  get entries(): readonly Entry[] {
    return this.#entries
  }

  /** What all runs of the conversation used. */
  get usage(): Usage {
    return this.#usage
  }

  /** The run that began last, also after it has ended. */
  get run(): RunFold | undefined {
    return this.#run
  }

  /** Whether a call of this id was ever made here: ids are unique in a conversation. */
  hasCall(id: string): boolean {
    return this.#callIds?.has(id) ?? false
  }

  /** The conversation as messages. Calls that are still open are answered as interrupted, so that it is always whole. */
  history(): Message[] {
    const open = this.#open
    if (!open) return this.#messages.slice()
    return [...this.#messages, ...closed(open, this.#run), ...this.#waiting]
  }

  /** What stands for a part of the conversation in requests, if anything does. */
  get compaction(): CompactionEntry | undefined {
    return this.#compaction
  }

  /** The conversation as requests hold it: a summary in place of what it stands for. */
  compacted(): readonly Message[] {
    return this.#compaction ? compacted(this.history(), this.#compaction) : this.history()
  }

  /** The conversation without calls that are still open: what stays as it is, whatever comes. */
  settled(): readonly Message[] {
    return this.#messages.slice()
  }

  /** Gives back the room that lists have in which more is to come: in a short conversation, most of what they take. */
  trim(): void {
    this.#entries = this.#entries.slice()
    this.#messages = this.#messages.slice()
  }

  append(entry: Entry): void {
    this.#entries.push(Object.freeze(entry))
    const run = this.#run
    switch (entry.type) {
      case 'message':
        this.#remember(entry.message)
        return
      case 'input':
        // A run that died left calls open; what comes after them must stand after their answers.
        this.#close()
        this.#keep(entry.message)
        this.#run = newRun(entry.runId)
        return
      case 'reply':
        this.#reply(entry)
        return
      case 'tool_started':
        if (run) run.started = (run.started ?? new Map()).set(entry.callId, entry.idempotencyKey)
        return
      case 'tool_finished':
        this.#finish(entry)
        return
      case 'run_ended':
        this.#close()
        if (run) run.ended = entry
        return
      case 'approval_requested':
        // Handed out as it is: who is shown it must not be able to change what they approve.
        frozen(entry.parameters)
        if (run) run.requested = (run.requested ?? new Map()).set(entry.callId, entry)
        return
      case 'approval_decided':
        if (run) run.decided = (run.decided ?? new Map()).set(entry.callId, entry.decision)
        return
      case 'run_suspended':
        if (run) run.suspended = true
        return
      case 'run_resumed':
        this.#resume(entry)
        return
      case 'compaction':
        this.#compaction = entry
        this.#count(entry.runId, entry.usage)
        return
      case 'block':
        return
    }
  }

  /** What was used beside the replies of a run. */
  #count(runId: string | undefined, usage: Usage = noUsage): void {
    this.#usage = addUsage(this.#usage, usage)
    const run = this.#run
    if (run && run.runId === runId) run.usage = addUsage(run.usage, usage)
  }

  #resume({ attemptId }: RunResumedEntry): void {
    const run = this.#run
    if (!run) return
    run.attemptId = attemptId
    run.suspended = false
    run.resumed = true
    // What was cut off is said anew: no model is asked to go on from half a sentence of its own.
    if (run.last?.kind === 'partial' && this.#partial === this.#messages.at(-1)) this.#messages.pop()
    if (!run.ended) return
    run.ended = undefined
    run.failures = undefined
    run.unread = { malformed: 0, invalidOutput: 0 }
    run.repeats = undefined
  }

  #remember(message: Message): void {
    if (message.role === 'assistant') {
      for (const call of message.toolCalls ?? []) this.#takeId(call.id)
      if (message.planId !== undefined) this.#takeId(message.planId)
    }
    if (this.#open) this.#waiting.push(message)
    else this.#keep(message)
  }

  #reply(entry: ReplyEntry): void {
    this.#usage = addUsage(this.#usage, entry.usage)
    this.calibration.learn(entry)
    const run = this.#run
    if (run) countReply(run, entry)
    const message = this.#messageOf(entry)
    this.#partial = entry.kind === 'partial' ? message : undefined
    if (!message) return
    this.#close()
    const calls = message.toolCalls ?? []
    if (calls.length === 0) {
      this.#keep(message)
      return
    }
    for (const call of calls) this.#takeId(call.id)
    // Told in events and shown to hooks before it is executed: what is executed is what was asked for.
    this.#open = { message, calls: frozen(calls), results: new Map() }
    if (run) run.pending = calls
  }

  /** Messages are handed out as they are, so they are frozen: what was said stays what it was. */
  #keep(message: Message): void {
    this.#messages.push(Object.freeze(message))
  }

  /** What the model is shown of its own reply later; nothing of one that could not be used. */
  #messageOf(entry: ReplyEntry): AssistantMessage | undefined {
    const { kind, text, plan, toolCalls = [], reasoning } = entry
    if (kind === 'malformed' || kind === 'invalid_output') return undefined
    if (text.trim() === '' && plan === undefined && toolCalls.length === 0) return undefined
    return {
      role: 'assistant',
      content: text,
      ...(kind === 'step' && toolCalls.length > 0 && { toolCalls }),
      ...(plan !== undefined && { plan, planId: this.#planId(toolCalls) }),
      ...(reasoning && kind !== 'partial' && { reasoning }),
    }
  }

  /** An id for a plan beside `calls`: in some protocols it is a call as well. */
  #planId(calls: readonly ToolCall[]): string {
    const isTaken = (id: string) => this.hasCall(id) || calls.some((call) => call.id === id)
    let id: string
    do id = `plan_${++this.#plans}`
    while (isTaken(id))
    this.#takeId(id)
    return id
  }

  #takeId(id: string): void {
    this.#callIds = (this.#callIds ?? new Set()).add(id)
  }

  #finish(entry: ToolFinishedEntry): void {
    const { result } = entry
    const open = this.#open
    if (!open || open.results.has(result.callId)) return
    if (!open.calls.some(({ id }) => id === result.callId)) return
    open.results.set(result.callId, entry)
    const run = this.#run
    if (run) run.pending = run.pending.filter(({ id }) => id !== result.callId)
    if (open.results.size < open.calls.length) return
    if (run) countExchange(run, open)
    this.#close()
  }

  #close(): void {
    if (this.#open) {
      for (const message of [...closed(this.#open, this.#run), ...this.#waiting]) this.#keep(message)
      this.#open = undefined
      this.#waiting = []
    }
    if (this.#run) this.#run.pending = []
  }
}

/** What has happened in one run so far. */
export interface RunFold {
  readonly runId: string
  /** Who goes on with it: the run by itself, and then whoever resumed it last. */
  attemptId: string
  /**
   * Who that was when the last reply was given: what the keys of its calls begin with. So they are the same for whoever
   * resumes the run, and others where it is resumed in a fork, and a call of the same id may be another one.
   */
  askedBy: string
  /** Model replies, of every kind. */
  iterations: number
  toolRounds: number
  last: ReplyEntry | undefined
  /** Replies in a row, the last ones, that have to be repaired, by kind. */
  unread: { malformed: number; invalidOutput: number }
  /** Calls of the last reply that have no result yet, in order. */
  pending: readonly ToolCall[]
  /** Calls that were started, with their idempotency keys. Like all that most runs have none of, made with the first one. */
  started: Map<string, string> | undefined
  readonly steps: Step[]
  plan: string | undefined
  usage: Usage
  /** Steps in a row, the last ones, in which every call failed in the same way. */
  failures: { kind: string; count: number; toolName: string; message: string } | undefined
  /** How often each call was made, with the same result each time, since something new was last learned. */
  repeats: Map<string, number> | undefined
  /** Calls that needed approval, and what was decided about them. */
  requested: Map<string, ApprovalRequestedEntry> | undefined
  decided: Map<string, Decision> | undefined
  /** Everything that is left to do waits for decisions. */
  suspended: boolean
  /** It was taken up again after its last reply. */
  resumed: boolean
  ended: RunEndedEntry | undefined
}

/** Whether a pending call waits for somebody's decision. */
export function isUndecided(run: RunFold, callId: string): boolean {
  return run.requested?.has(callId) === true && !run.decided?.has(callId)
}

/** Whether the same call had the same result in a step before. */
export function isLearned({ steps }: RunFold, call: ToolCall, { output }: ToolResult): boolean {
  for (const { toolCalls, results } of steps) {
    for (const { callId, output: other } of results) {
      // Few have the same output: only of those the parameters are looked at.
      if (other !== output) continue
      const made = toolCalls.find(({ id }) => id === callId)
      if (made && fingerprint(made) === fingerprint(call)) return true
    }
  }
  return false
}

/** The same for two calls of the same tool with equal parameters, or with the same that cannot be read. */
export function fingerprint(call: Pick<ToolCall, 'toolName' | 'parameters' | 'invalid'>): string {
  return `${call.toolName} ${call.invalid ?? canonicalJson(call.parameters)}`
}

interface Exchange {
  readonly message: AssistantMessage
  readonly calls: readonly ToolCall[]
  readonly results: Map<string, ToolFinishedEntry>
}

const interrupted = 'No result: the run was interrupted, so the outcome of this call is unknown.'
const notBegun = 'Not executed: the run was interrupted before this call began.'
const notApproved = 'Not executed: this call was not approved.'

/** The exchange as messages. Only a call that was started may have had an effect. */
function closed({ message, calls, results }: Exchange, run: RunFold | undefined): Message[] {
  return [
    message,
    ...calls.map((call) => {
      const finished = results.get(call.id)
      if (!finished) {
        if (run?.started?.has(call.id)) return toolMessage(call, interrupted, false)
        return toolMessage(call, run && isUndecided(run, call.id) ? notApproved : notBegun, false)
      }
      const { result, nudge } = finished
      return toolMessage(call, nudge ? `${result.output}\n\n${nudge}` : result.output, result.ok)
    }),
  ]
}

function newRun(runId: string): RunFold {
  return {
    runId,
    attemptId: runId,
    askedBy: runId,
    iterations: 0,
    toolRounds: 0,
    last: undefined,
    unread: { malformed: 0, invalidOutput: 0 },
    pending: [],
    started: undefined,
    steps: [],
    plan: undefined,
    usage: noUsage,
    failures: undefined,
    repeats: undefined,
    requested: undefined,
    decided: undefined,
    suspended: false,
    resumed: false,
    ended: undefined,
  }
}

function countReply(run: RunFold, entry: ReplyEntry): void {
  run.iterations++
  run.last = entry
  run.askedBy = run.attemptId
  run.resumed = false
  run.usage = addUsage(run.usage, entry.usage)
  if (entry.plan !== undefined) run.plan = entry.plan
  if (entry.kind === 'step') run.toolRounds++
  if (entry.kind === 'malformed') run.unread.malformed++
  else if (entry.kind === 'invalid_output') run.unread.invalidOutput++
  else run.unread = { malformed: 0, invalidOutput: 0 }
}

function countExchange(run: RunFold, { calls, results }: Exchange): void {
  const made = calls.flatMap((call) => {
    const result = results.get(call.id)?.result
    return result ? [{ call, result }] : []
  })
  const done = made.map(({ result }) => result)
  run.failures = failuresAfter(run.failures, done)
  run.repeats ??= new Map()
  const { repeats } = run
  const news = made.some(
    ({ call, result }) => result.error?.code !== 'no_progress' && !isLearned(run, call, result),
  )
  if (news) repeats.clear()
  // Once per reply, however often it stands there: between two of them the model was told nothing.
  for (const key of new Set(made.map(({ call }) => fingerprint(call))))
    repeats.set(key, (repeats.get(key) ?? 0) + 1)
  const last = run.last
  if (!last) return
  run.steps.push({
    stepId: last.stepId,
    ...(last.text !== '' && { thought: last.text }),
    toolCalls: calls,
    results: Object.freeze(done),
  })
}

function failuresAfter(before: RunFold['failures'], results: readonly ToolResult[]): RunFold['failures'] {
  const first = results[0]
  // A denied call says nothing about its tool: somebody wants something else.
  if (!first || results.some(({ ok, error }) => ok || error?.code === 'denied')) return undefined
  const kind = `${first.toolName} ${first.error?.code ?? ''}`
  const count = before?.kind === kind ? before.count + 1 : 1
  return { kind, count, toolName: first.toolName, message: first.error?.message ?? first.output }
}
