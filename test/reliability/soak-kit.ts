import { getEventListeners } from 'node:events'
import {
  Agent,
  type AgentEvent,
  budget,
  circuitBreaker,
  concurrency,
  failover,
  isEvent,
  type LLMErrorKind,
  type RunStatus,
  rateLimit,
  timeout,
  tool,
  wrapClient,
} from '../../src/index.ts'
import {
  calls,
  checkEvents,
  fails,
  hangs,
  type Made,
  ScriptedClient,
  virtualClock,
} from '../../src/testing/index.ts'

export interface SoakResult {
  readonly statuses: Readonly<Partial<Record<RunStatus, number>>>
  /** What must not have happened. */
  readonly faults: readonly string[]
  /** Model calls that were sent, of both providers. */
  readonly requests: number
  readonly tokensSpent: number
  readonly listenersLeft: number
  readonly sleepersLeft: number
}

const faultKinds: readonly LLMErrorKind[] = [
  'overloaded',
  'rate_limit',
  'network',
  'timeout',
  'auth',
  'malformed',
]
const requestsPerMinute = 600
const tokens = 40 // of each call, as it is reported

/**
 * So many runs on two providers that fail at random, behind everything that holds them together, some of them aborted at
 * random. The same seed gives the same runs.
 */
export async function soak(options: {
  runs: number
  atOnce: number
  seed: number
  faultRate: number
}): Promise<SoakResult> {
  const { runs, atOnce, seed, faultRate } = options
  const clock = virtualClock({ seed })
  const { runtime } = clock
  const random = () => runtime.random()
  const faults: string[] = []
  // Each model has a bucket of its own.
  const sent = new Map<string, number[]>()
  const provider = (name: string) => {
    const times: number[] = []
    sent.set(name, times)
    return new ScriptedClient(
      (): Made => {
        times.push(runtime.now())
        const usage = { inputTokens: tokens / 2, outputTokens: tokens / 2 }
        const delayMs = Math.floor(random() * 50)
        if (random() < faultRate) {
          const dice = random()
          if (dice < 0.1) return hangs(['Hal'])
          const kind = faultKinds[Math.floor(random() * faultKinds.length)] ?? 'unknown'
          return fails(kind, { delayMs, ...(dice < 0.4 && { after: ['Hal', 'f'] }) })
        }
        return random() < 0.5
          ? { ...calls(['act', { n: Math.floor(random() * 1e9) }]), usage, delayMs }
          : { chunks: ['An ', 'answer.'], usage, delayMs }
      },
      { provider: name, model: `${name}-1`, runtime },
    )
  }
  const limits = rateLimit({ requestsPerMinute, runtime })
  const spending = budget({ tokens: runs * 90, per: 'all', maxOutputTokens: 100, runtime })
  const breaker = circuitBreaker({ runtime, openMs: 5_000 })
  const guarded = (name: string) =>
    wrapClient(provider(name), timeout({ requestMs: 10_000, idleMs: 2_000, runtime }), limits)
  const client = wrapClient(
    guarded('one'),
    spending,
    concurrency({ max: atOnce }),
    failover([guarded('two')]),
    breaker,
  )
  let acting = 0
  const act = tool({
    name: 'act',
    description: 'Acts',
    parameters: { type: 'object', properties: { n: { type: 'number' } } },
    execute: async () => {
      acting++
      await runtime.sleep(5)
      acting--
      return 'done'
    },
  })
  const agent = new Agent({
    client,
    tools: [act],
    runtime,
    maxIterations: 6,
    timeoutMs: 60_000,
    onLimit: 'land',
  })
  const { signal } = new AbortController()
  const statuses: Partial<Record<RunStatus, number>> = {}
  let begun = 0
  const worker = async () => {
    while (begun < runs) {
      const conversation = `c${++begun}`
      const stream = agent.runStream('Go', { conversation, signal })
      const events: AgentEvent[] = []
      const stopsAt = random() < 0.1 ? Math.floor(random() * 12) : Number.POSITIVE_INFINITY
      for await (const event of stream) {
        events.push(event)
        if (events.length === stopsAt) stream.abort('enough')
      }
      const result = await stream.result
      statuses[result.status] = (statuses[result.status] ?? 0) + 1
      const grammar = checkEvents(events)
      if (grammar) faults.push(`${conversation}: ${grammar}`)
      if (result.status === 'done' && shown(events) !== result.answer)
        faults.push(`${conversation}: shown ${shown(events)}`)
      await agent.conversation(conversation).delete()
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  await agent.close()
  if (acting > 0) faults.push(`${acting} tools are still acting`)
  const spent = spending.spent().tokens ?? 0
  if (spent > runs * 90) faults.push(`${spent} tokens were spent of ${runs * 90}`)
  for (const times of sent.values()) faults.push(...overruns(times))
  return {
    statuses,
    faults,
    requests: [...sent.values()].flat().length,
    tokensSpent: spent,
    listenersLeft: getEventListeners(signal, 'abort').length,
    sleepersLeft: clock.pending,
  }
}

/** What a reader that applies retractions sees at the end of the last reply. */
function shown(events: readonly AgentEvent[]): string {
  let text = ''
  for (const event of events) {
    if (isEvent(event, 'stream_start')) text = ''
    if (isEvent(event, 'retracted') && event.channel === 'answer') text = ''
    if (isEvent(event, 'token') && event.channel === 'answer') text += event.text
  }
  return text
}

/** A full bucket and what flows in within the window: more than that in any minute is too much. */
function overruns(sent: readonly number[]): string[] {
  const most = 2 * requestsPerMinute
  for (let first = 0; first + most < sent.length; first++) {
    const [from = 0, to = 0] = [sent[first], sent[first + most]]
    if (to - from < 60_000) return [`${most + 1} requests within ${to - from} ms`]
  }
  return []
}
