import fc from 'fast-check'
import '../../../src/protocol/json.ts'
import '../../../src/tools/json-validator.ts'
import { Agent } from '../../../src/agent/agent.ts'
import type { AgentEvent, RunResult } from '../../../src/events.ts'
import type { JsonObject } from '../../../src/json.ts'
import { type VirtualClock, virtualClock } from '../../../src/testing/clock.ts'
import type { Made } from '../../../src/testing/script.ts'
import { ScriptedClient } from '../../../src/testing/scripted-client.ts'
import { tool } from '../../../src/tools/define.ts'
import type { Entry } from '../../../src/transcript/entry.ts'
import type { WatchedStore } from './unreliable-stores.ts'

/** A conversation in the abstract: what is meant, in whatever protocol it is said. */
export interface Dialogue {
  readonly turns: readonly DialogueTurn[]
  readonly final: string
}

export interface DialogueTurn {
  readonly plan?: string | undefined
  readonly thought: string
  readonly calls: readonly { readonly toolName: string; readonly n: number; readonly text: string }[]
  readonly failsBefore: boolean
}

const filled = fc
  .oneof(
    fc.string({ minLength: 1, maxLength: 25 }),
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 15 }),
    fc.constantFrom(
      'a "quoted" \\ word',
      '{"final_answer": "no"}',
      '```json\n{}\n```',
      '👩‍👩‍👧‍👦 family',
      'two\n\nlines',
    ),
  )
  .filter((text) => text.trim() !== '')

const turn: fc.Arbitrary<DialogueTurn> = fc
  .record({
    plan: fc.option(filled, { nil: undefined, freq: 2 }),
    thought: fc.oneof(fc.constant(''), filled),
    calls: fc.array(
      fc.record({
        toolName: fc.constantFrom('add', 'slow', 'breaks', 'tells', 'serial', 'unknown'),
        n: fc.nat(9),
        text: fc.string({ unit: 'grapheme', maxLength: 9 }),
      }),
      { maxLength: 3 },
    ),
    failsBefore: fc.nat(5).map((n) => n === 0),
  })
  // Text beside a plan is no answer where planning is a call, and no thought where it is an envelope.
  .filter(({ plan, calls }) => calls.length > 0 || plan !== undefined)
  .map((made) => (made.calls.length > 0 ? made : { ...made, thought: '' }))

export const dialogue: fc.Arbitrary<Dialogue> = fc.record({
  turns: fc.array(turn, { maxLength: 4 }),
  final: filled,
})

export interface Delivery {
  readonly protocol: 'native' | 'json'
  readonly stream: boolean
  /** Where texts are cut, as fractions of their length. Default: nowhere. */
  readonly cuts?: readonly number[]
  readonly chunkSize?: number
  readonly store?: WatchedStore
}

export interface Held {
  readonly events: readonly AgentEvent[]
  readonly entries: readonly Entry[]
  readonly result: RunResult
  /** Each execution of a tool, with what it was given. */
  readonly executions: readonly unknown[]
}

/** Holds a dialogue with a new agent, in virtual time. */
export async function hold({ turns, final }: Dialogue, delivery: Delivery): Promise<Held> {
  const { protocol, stream, cuts = [], chunkSize = 1_000_000, store } = delivery
  // A database works in real time: virtual time then stands still while it does.
  const clock = virtualClock({ auto: store === undefined })
  const executions: unknown[] = []
  const script: Made[] = turns.flatMap((each, index) => [
    ...(each.failsBefore ? [{ fails: 'overloaded' as const }] : []),
    spoken(each, index, protocol, cuts),
  ])
  const client = new ScriptedClient([...script, said(final, protocol, cuts)], {
    chunkSize,
    runtime: clock.runtime,
  })
  const make = (name: string, execute: (input: JsonObject, tell: (progress: string) => void) => unknown) =>
    tool({
      name,
      description: name,
      effect: 'read',
      serial: name === 'serial',
      parameters: { type: 'object', properties: { n: { type: 'number' }, text: { type: 'string' } } },
      execute: (input, { progress, callId }) => {
        executions.push({ name, input, callId })
        return execute(input, progress)
      },
    })
  const agent = new Agent({
    client,
    protocol,
    stream,
    ...(store && { store }),
    runtime: clock.runtime,
    maxConsecutiveToolErrors: 100,
    tools: [
      make('add', ({ n }) => ({ sum: Number(n) + 1 })),
      make('slow', ({ n }) => clock.runtime.sleep(Number(n) * 100).then(() => `after ${n}`)),
      make('serial', ({ n }) => clock.runtime.sleep(Number(n) * 10).then(() => clock.runtime.random())),
      make('tells', ({ text }, tell) => tell(String(text))),
      make('breaks', () => Promise.reject(new Error('broken'))),
    ],
  })
  const run = agent.runStream('Go.')
  const events: AgentEvent[] = []
  const reading = (async () => {
    for await (const event of run) events.push(event)
  })()
  if (store) await passTime(clock, store, reading)
  await reading
  const entries = await agent.conversation(agent.conversationId).entries()
  return { events, entries, result: await run.result, executions }
}

/** Moves time on whenever the store has nothing to do, until the run is over. */
async function passTime(clock: VirtualClock, store: WatchedStore, run: Promise<void>): Promise<void> {
  let isOver = false
  run.finally(() => {
    isOver = true
  })
  while (!isOver) {
    await store.idle()
    if (!isOver) await clock.advance(5)
  }
}

function spoken(
  { plan, thought, calls }: DialogueTurn,
  index: number,
  protocol: string,
  cuts: readonly number[],
): Made {
  const named = calls.map((call, at) => ({ ...call, id: `${index}-${at}` }))
  if (protocol === 'native') {
    const planned = plan === undefined ? [] : [{ toolName: 'plan', parameters: { plan }, id: `p${index}` }]
    const toolCalls = named.map(({ id, toolName, n, text }) => ({ id, toolName, parameters: { n, text } }))
    return { ...cut(thought, cuts), toolCalls: [...planned, ...toolCalls] }
  }
  const envelope = {
    ...(plan !== undefined && { plan }),
    ...(thought !== '' && { tool_thought: thought }),
    ...(named.length > 0 && {
      tool_calls: named.map(({ id, toolName, n, text }) => ({
        id,
        tool_name: toolName,
        parameters: { n, text },
      })),
    }),
  }
  return cut(`\`\`\`json\n${JSON.stringify(envelope)}\n\`\`\``, cuts)
}

function said(final: string, protocol: string, cuts: readonly number[]): Made {
  return cut(protocol === 'native' ? final : JSON.stringify({ final_answer: final }), cuts)
}

/** The text in pieces, which may end in the middle of a surrogate pair. */
function cut(text: string, cuts: readonly number[]): { text: string } | { chunks: string[] } {
  if (cuts.length === 0 || text === '') return { text }
  const places = cuts.map((fraction) => Math.floor(fraction * text.length)).toSorted((a, b) => a - b)
  return { chunks: [0, ...places].map((from, index) => text.slice(from, places[index] ?? text.length)) }
}
