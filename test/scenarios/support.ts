import { inspect, isDeepStrictEqual } from 'node:util'
import {
  Agent,
  type AgentEvent,
  type AgentOptions,
  type Capabilities,
  type Content,
  eventTypes,
  isEvent,
  type LLMClient,
  LLMError,
  type RunOptions,
  type RunResult,
  systemRuntime,
} from '../../src/index.ts'
import {
  type Chunking,
  checkEvents,
  type StrictProvider,
  type StrictProviderOptions,
  type StrictScript,
  strictProvider,
  type VirtualClock,
  virtualClock,
} from '../../src/testing/index.ts'
import { box, canary, spellings } from './box.ts'

/** What a provider says, what is asked of an agent, and what every run comes to, whatever the provider and its wire. */
export interface Scenario {
  readonly name: string
  readonly script: StrictScript
  /** What each run comes to, in the order of their beginning. */
  readonly outcomes: readonly Outcome[]
  /** Asked one after the other, in one conversation, unless `play` says otherwise. Default: `['Go.']`. */
  readonly inputs?: readonly Content[]
  readonly play?: (stage: Stage) => Promise<void>
  readonly agent?: Partial<AgentOptions<unknown>>
  readonly capabilities?: Partial<Capabilities>
  readonly provider?: Pick<StrictProviderOptions, 'contextWindow' | 'keys' | 'hold'>
  /** What stands in some request, as JSON has it. */
  readonly sends?: readonly string[]
  /** What does not stand in the last one any more. */
  readonly forgets?: string
  /** The parameters of calls are no JSON objects: a wire that has no room for such in a whole reply streams it. */
  readonly brokenParameters?: true
  /** Only a stream has a middle at which this can happen. */
  readonly streamOnly?: true
}

/** The whole result of a run but for its numbers. Each step is the list of its results, `tool: output`. */
export type Outcome = Pick<RunResult<unknown>, 'status' | 'partial' | 'plan' | 'limit' | 'landed'> & {
  readonly answer?: unknown
  readonly steps?: readonly (readonly string[])[]
  /** The code, and the kind of an `LLMError`. */
  readonly error?: string
  /** Milliseconds waited before each further attempt. */
  readonly waits?: readonly number[]
}

/** How one play of a scenario differs from the others. */
export interface Variant {
  readonly chunking: Chunking
  /** How text is told: as it arrives, in one piece by a client that cannot stream, or not at all. */
  readonly text: 'streamed' | 'whole' | 'untold'
}

export interface Stage {
  readonly provider: StrictProvider
  readonly clock: VirtualClock
  run(input: Content, options?: RunOptions, watch?: (event: AgentEvent) => 'leave' | void): Promise<void>
}

export interface Play {
  readonly outcomes: readonly Outcome[]
  /** Requests, histories, and events but for text as it arrives: the same however the replies were sent. */
  readonly story: unknown
  /** Laws that were broken. */
  readonly faults: readonly string[]
}

export type ClientOf = (provider: StrictProvider, capabilities: Partial<Capabilities>) => LLMClient

export const apiKey = 'sk-scenario-0123456789abcdef'
/** Plays `scenario` against a provider of its own, by way of `clientOf`. Time is virtual: it moves on retries and when told to. */
export async function playScenario(
  scenario: Scenario,
  { chunking, text }: Variant,
  clientOf: ClientOf,
): Promise<Play> {
  const { script, inputs = ['Go.'], capabilities = {}, play } = scenario
  await using provider = await strictProvider({ keys: [apiKey], ...scenario.provider, script, chunking })
  const clock = virtualClock({ auto: false })
  await using agent = new Agent<unknown>({
    client: clientOf(provider, { streaming: text === 'streamed', ...capabilities }),
    tools: [box],
    runtime: clock.runtime,
    retry: { jitter: 'none' },
    stream: text !== 'untold',
    ...scenario.agent,
  })
  const heard: AgentEvent[] = []
  for (const type of eventTypes) agent.on(type, (event) => heard.push(event))
  const results: RunResult<unknown>[] = []
  const executed: string[] = []
  const stage: Stage = {
    provider,
    clock,
    run: async (input, options, watch) => {
      const at = results.length
      results.length += 1
      const run = agent.runStream(input, { context: executed, ...options })
      for await (const event of run) {
        // The retry is told, then waited for.
        if (event.type === 'retry') void clock.advance(event.delayMs)
        if (watch?.(event) === 'leave') break
      }
      results[at] = await run.result
    },
  }
  if (play) await play(stage)
  else for (const input of inputs) await stage.run(input)
  const runs = results.map((result) => ({
    result,
    events: heard.filter(({ runId }) => runId === result.runId),
  }))
  return {
    outcomes: runs.map(outcomeOf),
    story: storyOf(runs, provider),
    faults: [
      ...provider.refusals.map((refusal) => `refused: ${JSON.stringify(refusal)}`),
      ...runs.flatMap((run) => faultsOf(run, text)),
      ...(new Set(executed).size < executed.length ? [`executed twice: ${executed}`] : []),
      ...missedIn(provider, scenario),
      ...leaks(JSON.stringify(provider.requests.map(({ body }) => body)), 'a request'),
      ...leaks(JSON.stringify([heard, results]) + inspect([results], { depth: 8 }), 'an event or result'),
      ...((await isQuiet(provider)) ? [] : [`${provider.liveRequests} requests are left`]),
    ],
  }
}

interface Heard {
  readonly result: RunResult<unknown>
  readonly events: readonly AgentEvent[]
}

function outcomeOf({ result, events }: Heard): Outcome {
  const { status, answer, partial, plan, limit, landed, error, steps } = result
  const waits = events.flatMap((event) => (isEvent(event, 'retry') ? [event.delayMs] : []))
  return {
    status,
    ...(answer !== undefined && { answer }),
    ...(partial !== undefined && { partial }),
    ...(plan !== undefined && { plan }),
    ...(limit !== undefined && { limit }),
    ...(landed !== undefined && { landed }),
    ...(error && { error: error instanceof LLMError ? `${error.code} ${error.kind}` : error.code }),
    ...(waits.length > 0 && { waits }),
    ...(steps.length > 0 && {
      steps: steps.map(({ results }) => results.map(({ toolName, output }) => `${toolName}: ${output}`)),
    }),
  }
}

function faultsOf({ result: { runId, status, answer }, events }: Heard, text: Variant['text']): string[] {
  const violation = checkEvents(events)
  const shown = shownAnswer(events)
  const isTold = text !== 'untold' && status === 'done'
  const isShown = !isTold || (typeof answer === 'string' ? shown === answer : isSame(shown, answer, events))
  return [
    ...(violation === undefined ? [] : [`${runId}: ${violation}`]),
    ...(isShown ? [] : [`${runId}: what was shown is ${JSON.stringify(shown)}`]),
  ]
}

/** What a reader of the last reply has before them in the end. */
function shownAnswer(events: readonly AgentEvent[]): string {
  let shown = ''
  for (const event of events) {
    if (event.type === 'stream_start') shown = ''
    if (event.type === 'retracted' && event.channel === 'answer') shown = ''
    if (event.type === 'token' && event.channel === 'answer') shown += event.text
  }
  return shown
}

/** A structured answer is shown as its JSON, and the last value told while it arrived is the answer. */
function isSame(shown: string, answer: unknown, events: readonly AgentEvent[]): boolean {
  const partials = events.flatMap((event) =>
    isEvent(event, 'token') && event.partial !== undefined ? [event.partial] : [],
  )
  return isDeepStrictEqual(JSON.parse(shown), answer) && isDeepStrictEqual(partials.at(-1), answer)
}

function storyOf(runs: readonly Heard[], provider: StrictProvider): unknown {
  const text = new Set<AgentEvent['type']>(['stream_start', 'token', 'retracted', 'stream_end'])
  const sent = provider.requests.map(({ body: { stream: _, stream_options: __, ...body } }) => body)
  const story = {
    // Runs beside each other ask in any order.
    sent: sent.map((body) => JSON.stringify(body)).sort(),
    runs: runs.map(({ result: { history }, events }) => ({
      history,
      events: events.filter(({ type }) => !text.has(type)),
    })),
  }
  const ids = new Map<string, string>()
  const numbered = JSON.stringify(story).replace(/(call|toolu)_[0-9a-f]{32}/g, (id) => {
    ids.set(id, ids.get(id) ?? `call_made_${ids.size + 1}`)
    return ids.get(id) ?? id
  })
  return JSON.parse(numbered)
}

function missedIn(provider: StrictProvider, { sends = [], forgets }: Scenario): string[] {
  const bodies = provider.requests.map(({ body }) => JSON.stringify(body))
  // JSON within a text of a request is escaped once more.
  const isSent = (text: string) =>
    bodies.some((body) => body.includes(text) || body.includes(JSON.stringify(text).slice(1, -1)))
  const unsent = sends.filter((text) => !isSent(text))
  return [
    ...unsent.map((text) => `not sent: ${text}`),
    ...(forgets !== undefined && bodies.at(-1)?.includes(forgets) ? [`not forgotten: ${forgets}`] : []),
  ]
}

function leaks(text: string, where: string): string[] {
  return [...spellings(canary), apiKey].flatMap((spelling) => {
    const found = [spelling, JSON.stringify(spelling).slice(1, -1)].some((each) => text.includes(each))
    return found ? [`${spelling} is in ${where}`] : []
  })
}

/** The provider hears a little later that its client is gone. */
async function isQuiet(provider: StrictProvider): Promise<boolean> {
  for (let turn = 0; provider.liveRequests > 0 && turn < 200; turn++) await systemRuntime.sleep(1)
  return provider.liveRequests === 0
}
