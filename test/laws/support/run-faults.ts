import { isDeepStrictEqual } from 'node:util'
import type { AgentEvent, RunResult } from '../../../src/events.ts'
import { isEvent } from '../../../src/events.ts'
import { validateHistory } from '../../../src/memory/repair.ts'
import { TokenCounts } from '../../../src/memory/tokens.ts'
import { addUsage, noUsage, type Usage } from '../../../src/messages.ts'
import { checkEvents } from '../../../src/testing/event-grammar.ts'
import type { Entry, ReplyEntry } from '../../../src/transcript/entry.ts'
import { requestFault } from './request-faults.ts'
import type { Play, PlayedRun } from './stage.ts'

const all = ({ runs, followUp }: Play): readonly PlayedRun[] => [...runs, followUp]

/** Law 1. */
export function invalidRequests(played: Play): string[] {
  const faults = played.requests.flatMap(({ request, stepId }) => {
    const fault = requestFault(request)
    return fault === undefined
      ? []
      : [`law 1: the request of ${stepId}: ${fault}\n${JSON.stringify(request.messages)}`]
  })
  for (const { result } of all(played)) {
    const issues = validateHistory(result.history)
    if (issues.length > 0) faults.push(`law 1: the history is invalid: ${JSON.stringify(issues)}`)
    const silent = result.history.some(({ role, content }) => role === 'tool' && content === '')
    if (silent) faults.push('law 1: a result is empty')
  }
  return faults
}

/** Law 2, of whole runs. */
export function oversizedRequests(played: Play): string[] {
  const { contextWindow, maxOutputTokens } = played.scenario.options
  if (contextWindow === undefined) return []
  const reserve = maxOutputTokens ?? Math.min(4_096, Math.floor(contextWindow / 4))
  const budget = Math.max(0, Math.floor(contextWindow * 0.9) - reserve)
  const counts = new TokenCounts()
  const overflows = new Set(
    all(played).flatMap(({ heard }) =>
      heard.flatMap((event) =>
        isEvent(event, 'diagnostic') && event.code === 'context_overflow' ? [event.stepId] : [],
      ),
    ),
  )
  return played.requests.flatMap(({ request: { system = '', tools = [], messages }, stepId }) => {
    const tokens = counts.text(system) + counts.tools(tools) + counts.messages(messages)
    if (tokens <= budget || overflows.has(stepId)) return []
    return [`law 2: the request of ${stepId} has ${tokens} tokens of ${budget}, and nothing said so`]
  })
}

/** Law 3. */
export function brokenLimits(played: Play): string[] {
  const { maxIterations, timeoutMs, graceMs, onLimit } = played.scenario.options
  const most = maxIterations + (onLimit === 'land' ? 1 : 0)
  const longest = (timeoutMs + graceMs) * (played.runs.length > 1 ? 2 : 1)
  return all(played).flatMap(({ result: { runId, timing } }) => {
    const steps = new Set(
      played.requests.filter(({ stepId }) => stepId.startsWith(`${runId}/`)).map((s) => s.stepId),
    )
    return [
      ...(steps.size > most ? [`law 3: ${steps.size} model calls, and ${most} are allowed`] : []),
      ...(timing.totalMs > longest
        ? [`law 3: it took ${timing.totalMs} ms, and ${longest} are allowed`]
        : []),
    ]
  })
}

/** Law 4. */
export function brokenEvents(played: Play): string[] {
  return all(played).flatMap(({ heard, read, result }) => [
    ...fault(`law 4, a run that ended with ${result.error?.stack ?? result.status}`, checkEvents(heard)),
    ...heard.flatMap((event) => fault('law 4', notJson(event))),
    ...(read ? fault('law 4', misread(read, heard)) : []),
    ...fault('law 4', ofAnotherMind(result, heard.at(-1))),
  ])
}

function misread(read: readonly AgentEvent[], heard: readonly AgentEvent[]): string | undefined {
  const differs = read.findIndex((event, index) => event !== heard[index])
  return differs < 0 ? undefined : `event ${differs} was read otherwise than it was heard`
}

function ofAnotherMind(result: RunResult<unknown>, end: AgentEvent | undefined): string | undefined {
  if (end?.type !== 'run_end') return 'the last event is no run_end'
  const { status, limit, usage, answer, partial, error } = result
  const said = {
    type: 'run_end',
    runId: result.runId,
    status,
    ...(limit && { limit }),
    usage,
    ...(answer !== undefined && { answer }),
    ...(partial !== undefined && { partial }),
    ...(error && { error: error.toJSON() }),
  }
  return isDeepStrictEqual(said, { ...end })
    ? undefined
    : `run_end says ${JSON.stringify(end)}, and the result ${JSON.stringify(said)}`
}

/** Law 10: what was shown of a reply is what it turned out to be. */
export function misleadingTokens(played: Play): string[] {
  return all(played).flatMap(({ heard }) => {
    const shown = new Map<string, string>()
    const meant = new Map<string, string>()
    for (const event of heard) {
      if (event.type === 'token' || event.type === 'retracted') {
        const key = `${event.channel} of ${event.stepId}`
        shown.set(key, event.type === 'token' ? (shown.get(key) ?? '') + event.text : '')
      }
      if (event.type === 'plan') meant.set(`plan of ${event.stepId}`, event.plan)
      if (event.type === 'step') meant.set(`thought of ${event.stepId}`, event.thought ?? '')
      if (event.type === 'step') meant.set(`answer of ${event.stepId}`, '')
      if (event.type === 'final_response' && typeof event.answer === 'string') {
        meant.set(`answer of ${event.stepId}`, event.answer)
      }
    }
    const streamed = new Set(heard.flatMap((event) => (event.type === 'stream_end' ? [event.stepId] : [])))
    return [...meant].flatMap(([key, text]) => {
      const [, stepId = ''] = key.split(' of ')
      if (!streamed.has(stepId) || (shown.get(key) ?? '') === text) return []
      return [
        `law 10: the ${key} is ${JSON.stringify(text)}, and shown was ${JSON.stringify(shown.get(key))}`,
      ]
    })
  })
}

/** Law 6. */
export function lostConversations(played: Play): string[] {
  const { followUp, entries, laterEntries, executions, scenario } = played
  const answer = scenario.options.output === 'text' ? 'done' : { n: 1 }
  const ended = new Set(entries.flatMap((entry) => (entry.type === 'run_ended' ? [entry.runId] : [])))
  const unended = entries.filter((entry) => entry.type === 'input' && !ended.has(entry.runId))
  const once = executions.filter(({ effect }) => effect === 'once').map(({ callId }) => callId)
  return [
    ...(isDeepStrictEqual(followUp.result.answer, answer)
      ? []
      : [
          `law 6: the conversation does not go on: ${followUp.result.status} ${followUp.result.error?.stack}`,
        ]),
    ...(isDeepStrictEqual(laterEntries.slice(0, entries.length), entries) ? [] : ['law 6: entries changed']),
    ...(unended.length > 0 ? ['law 6: a run was begun and never ended'] : []),
    ...(new Set(once).size < once.length ? [`law 6: a tool ran twice for a call: ${once}`] : []),
    ...laterEntries.flatMap((entry) => fault('law 6', notJson(entry))),
  ]
}

/** Law 7. */
export function miscountedUsage(played: Play): string[] {
  return all(played).flatMap(({ heard, result }) => {
    const sum = (usages: readonly Usage[]) => usages.reduce(addUsage, noUsage)
    const ofEvents = sum(
      heard.flatMap((event) =>
        event.type !== 'run_end' && 'usage' in event && event.usage ? [event.usage] : [],
      ),
    )
    const ofEntries = sum(repliesOf(played.laterEntries, result.runId).map(({ usage }) => usage))
    const same = isDeepStrictEqual(ofEvents, result.usage) && isDeepStrictEqual(ofEntries, result.usage)
    return same ? [] : [`law 7: ${JSON.stringify({ ofEvents, ofEntries, ofResult: result.usage })}`]
  })
}

function repliesOf(entries: readonly Entry[], runId: string): ReplyEntry[] {
  return entries.flatMap((entry) => (entry.type === 'reply' && entry.runId === runId ? [entry] : []))
}

/** Whether something of `value` is lost or changed when it is written as JSON. */
function notJson(value: unknown): string | undefined {
  const copy: unknown = JSON.parse(JSON.stringify(value))
  return isSame(copy, value) ? undefined : `no JSON: ${JSON.stringify(value)}`
}

/** Equal as JSON is: the two zeros are one, a member that is `undefined` is not one that is missing. */
function isSame(one: unknown, other: unknown): boolean {
  if (typeof one !== 'object' || one === null || typeof other !== 'object' || other === null)
    return one === other
  const keys = Object.keys(one)
  return (
    keys.length === Object.keys(other).length &&
    keys.every((key) => Object.hasOwn(other, key) && isSame(Reflect.get(one, key), Reflect.get(other, key)))
  )
}

const fault = (law: string, found: string | undefined): string[] =>
  found === undefined ? [] : [`${law}: ${found}`]
