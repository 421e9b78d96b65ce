import { describe, expect, expectTypeOf, it } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  type AgentEvent,
  type AgentFinalResponseEvent,
  type AgentPlanEvent,
  type AgentStepEvent,
  type AgentStreamEnd,
  type AgentStreamStart,
  type AgentToken,
  type AgentToolExecutionEvent,
  type AgentToolResultsEvent,
  isEvent,
  LLMError,
  type RunSnapshot,
  systemRuntime,
  tool,
  toolError,
} from '../../src/index.ts'
import {
  calls,
  checkEvents,
  fails,
  json,
  plans,
  ScriptedClient,
  type ScriptedReply,
  says,
  virtualClock,
} from '../../src/testing/index.ts'
import { thrownBy } from '../support/outcome.ts'
import { eventsOf, typesOf } from './events-of.ts'

const look = tool({
  name: 'look',
  description: 'Looks somewhere',
  parameters: z.object({ where: z.string() }),
  execute: ({ where }) => (where === 'nowhere' ? toolError('Nothing there.') : `A ${where}.`),
})

const agentOf = (
  script: readonly ScriptedReply[],
  options: { protocol?: 'json'; stream?: boolean; chunkSize?: number } = {},
) => {
  const { chunkSize = 4, ...rest } = options
  // Ids and durations are the same in every run; only waits are real, and those are none.
  const runtime = { ...virtualClock({ auto: false }).runtime, sleep: systemRuntime.sleep }
  const client = new ScriptedClient(script, { chunkSize })
  return new Agent({ client, tools: [look], runtime, retry: { minDelayMs: 0 }, ...rest })
}

/** Replies of all kinds, each with what they are in the JSON protocol. */
const native: readonly ScriptedReply[] = [
  plans('1. Look.\n2. Answer.'),
  calls('Let me look.', ['look', { where: 'box' }, 'a'], ['look', { where: 'nowhere' }, 'b']),
  calls(['wrong', {}, 'c']),
  says('A box, "and" nothing\nelse: é 👍'),
]
const envelopes: readonly ScriptedReply[] = [
  json({ plan: '1. Look.\n2. Answer.' }),
  json({
    tool_thought: 'Let me look.',
    tool_calls: [
      { id: 'a', tool_name: 'look', parameters: { where: 'box' } },
      { id: 'b', tool_name: 'look', parameters: { where: 'nowhere' } },
    ],
  }),
  json({ tool_calls: [{ id: 'c', tool_name: 'wrong', parameters: {} }] }),
  json({ final_answer: 'A box, "and" nothing\nelse: é 👍' }),
]

const withoutText = (events: readonly AgentEvent[]) =>
  events.filter(({ type }) => !['stream_start', 'token', 'retracted', 'stream_end'].includes(type))

describe('seed 002, streaming', () => {
  it('002-53 tells what happens in the order of the grammar', async () => {
    const events = await eventsOf(agentOf(native).runStream('Go.'))

    expect(checkEvents(events)).toBeUndefined()
    const stream = ['stream_start', 'token', 'stream_end', 'usage']
    const retracted = ['stream_start', 'token', 'retracted', 'token', 'stream_end', 'usage']
    expect(typesOf(events)).toEqual([
      'run_start',
      ...stream,
      'plan',
      ...retracted,
      'step',
      'tool started',
      'tool completed',
      'tool failed',
      'tool_results',
      'stream_start',
      'stream_end',
      'usage',
      'step',
      'tool started',
      'tool failed',
      'tool_results',
      ...stream,
      'final_response',
      'run_end',
    ])
  })

  it('002-53 keeps to the grammar in fifty runs of all kinds', async () => {
    const endings: readonly ScriptedReply[] = [
      'Done.',
      says(''),
      says('cut', { stopReason: 'length' }),
      says('No.', { stopReason: 'refusal' }),
      fails('auth'),
      fails('rate_limit'),
      fails('network', { after: ['Half a '] }),
    ]
    for (let number = 0; number < 50; number++) {
      const begun = native.slice(0, number % 4)
      const script = [...begun, endings[number % endings.length] ?? '', 'Done.', 'Done.']
      const agent = agentOf(script, { stream: number % 3 > 0, chunkSize: 1 + (number % 5) })
      const events = await eventsOf(agent.runStream('Go.'))
      expect([number, checkEvents(events)]).toEqual([number, undefined])
    }
  })

  it('002-54 narrows an event by its type', async () => {
    const events = await eventsOf(agentOf(native).runStream('Go.'))
    const tokens = events.filter((event) => isEvent(event, 'token'))
    expectTypeOf(tokens).toEqualTypeOf<AgentToken[]>()
    expect(tokens.length).toBe(events.filter(({ type }) => type === 'token').length)

    const told = (event: AgentEvent): string | undefined => {
      switch (event.type) {
        case 'stream_start':
          return void expectTypeOf(event).toEqualTypeOf<AgentStreamStart>()
        case 'stream_end':
          return void expectTypeOf(event).toEqualTypeOf<AgentStreamEnd>()
        case 'token':
          return void expectTypeOf(event).toEqualTypeOf<AgentToken>()
        case 'plan':
          expectTypeOf(event).toEqualTypeOf<AgentPlanEvent>()
          return event.plan
        case 'step':
          expectTypeOf(event).toEqualTypeOf<AgentStepEvent>()
          return event.toolCalls.map(({ toolName }) => toolName).join()
        case 'tool_execution':
          expectTypeOf(event).toEqualTypeOf<AgentToolExecutionEvent>()
          return event.status
        case 'tool_results':
          expectTypeOf(event).toEqualTypeOf<AgentToolResultsEvent>()
          return event.results.map(({ output }) => output).join(' ')
        case 'final_response':
          return void expectTypeOf(event).toEqualTypeOf<AgentFinalResponseEvent>()
        default:
          return undefined
      }
    }
    const [plan, step] = events.flatMap((event) => told(event) ?? [])
    expect([plan, step]).toEqual(['1. Look.\n2. Answer.', 'look,look'])
  })

  it.each([
    ['native', native, {}],
    ['json', envelopes, { protocol: 'json' }],
  ] as const)(
    '002-55 tells the same without streaming, but for the text as it arrives (%s)',
    async (_, script, options) => {
      const streamed = await eventsOf(agentOf(script, options).runStream('Go.'))
      const whole = await eventsOf(agentOf(script, { ...options, stream: false }).runStream('Go.'))
      const perRun = await eventsOf(agentOf(script, options).runStream('Go.', { stream: false }))

      expect(whole).toEqual(withoutText(whole))
      expect(whole).toEqual(withoutText(streamed))
      expect(perRun).toEqual(whole)
    },
  )

  it('002-56 shows the answer itself as it arrives, never the envelope it comes in', async () => {
    const haiku = 'Ein „Hallo“ im Wind\n"quoted", \\ and café\ttoo 👍'
    const escaped = JSON.stringify(haiku).replace(
      /[^ -~]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
    )
    const envelope = `\`\`\`json\n{"final_answer": ${escaped}}\n\`\`\``
    expect(envelope).toContain('\\u00e9')
    expect(envelope).toContain('\\ud83d')

    const agent = agentOf([says(envelope)], { protocol: 'json', chunkSize: 1 })
    const events = await eventsOf(agent.runStream('A haiku.'))
    const tokens = events.filter((event) => isEvent(event, 'token'))
    expect(tokens.map(({ text }) => text).join('')).toBe(haiku)
    expect(new Set(tokens.map(({ channel }) => channel))).toEqual(new Set(['answer']))
    expect(tokens.length).toBe([...haiku].length)
    expect(tokens.filter(({ text }) => /\p{Surrogate}/u.test(text))).toEqual([])
  })

  it('002-57 marks all events of one iteration with the same stepId, and no two iterations with one', async () => {
    const events = await eventsOf(agentOf(native).runStream('Go.'))
    const ids = events.flatMap((event) =>
      'stepId' in event && event.stepId !== undefined ? [event.stepId] : [],
    )
    const streaks = ids.filter((id, index) => id !== ids[index - 1])

    expect(streaks.length).toBe(4)
    expect(new Set(streaks).size).toBe(4)
    expect(ids.length).toBe(events.length - 2) // all but run_start and run_end
    expect(new Set(events.map(({ runId }) => runId)).size).toBe(1)
  })

  it('002-58 gives the state of a run as snapshots, each one of its own', async () => {
    const snapshots: RunSnapshot[] = []
    for await (const snapshot of agentOf(native).runState('Go.')) snapshots.push(snapshot)

    expect(new Set(snapshots).size).toBe(snapshots.length)
    const answers = snapshots.map(({ answer }) => answer)
    expect(answers).toContain('A bo')
    expect(snapshots.at(0)?.status).toBe('running')
    expect(snapshots.at(-1)).toMatchObject({
      status: 'done',
      answer: 'A box, "and" nothing\nelse: é 👍',
      plan: '1. Look.\n2. Answer.',
      steps: [
        {
          thought: 'Let me look.',
          calls: [
            { id: 'a', status: 'completed' },
            { id: 'b', status: 'failed' },
          ],
        },
        { calls: [{ id: 'c', status: 'failed' }] },
      ],
    })
  })

  it('002-58 ends the snapshots of a failed run with its failure, and then throws it', async () => {
    const snapshots: RunSnapshot[] = []
    const read = async () => {
      for await (const snapshot of agentOf([native[1] ?? '', fails('auth')]).runState('Go.'))
        snapshots.push(snapshot)
    }
    expect(await thrownBy(read())).toBeInstanceOf(LLMError)
    expect(snapshots.at(-1)).toMatchObject({
      status: 'failed',
      error: { code: 'llm' },
      steps: [{ thought: 'Let me look.' }],
    })
  })
})
