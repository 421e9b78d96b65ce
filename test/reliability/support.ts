import { setImmediate } from 'node:timers/promises'
import {
  Agent,
  type AgentEvent,
  type AgentOptions,
  isEvent,
  type LLMClient,
  LLMError,
  type RunOptions,
  type RunResult,
  systemRuntime,
  type ToolContext,
  tool,
  validateHistory,
} from '../../src/index.ts'
import { AnthropicClient } from '../../src/providers/anthropic.ts'
import { GroqClient } from '../../src/providers/groq.ts'
import { OpenAIClient } from '../../src/providers/openai.ts'
import { OpenRouterClient } from '../../src/providers/openrouter.ts'
import {
  checkEvents,
  type StrictError,
  type StrictProvider,
  type StrictProviderOptions,
  type StrictReply,
  strictProvider,
  type VirtualClock,
} from '../../src/testing/index.ts'

const apiKey = 'sk-reliability-0123456789abcdef'

/** What the cases set of a client; the rest is the adapter's. */
export interface ClientSettings {
  readonly streams?: boolean
  readonly clock?: VirtualClock
  readonly firstContentMs?: number
  readonly idleMs?: number
}

export interface Adapter {
  readonly name: string
  readonly wire: 'chat' | 'messages'
  clientOf(provider: StrictProvider, settings?: ClientSettings): LLMClient
}

const common = ({ streams = true, clock, firstContentMs, idleMs }: ClientSettings = {}) => ({
  apiKey,
  capabilities: { streaming: streams },
  ...(clock && { runtime: timeOf(clock) }),
  ...(firstContentMs !== undefined && { firstContentMs }),
  ...(idleMs !== undefined && { idleMs }),
})

const timeOf = ({ runtime: { now, sleep } }: VirtualClock) => ({ now, sleep })

/** Every adapter there is. */
export const adapters: readonly Adapter[] = [
  {
    name: 'OpenAI',
    wire: 'chat',
    clientOf: ({ url }, settings) => new OpenAIClient({ ...common(settings), baseURL: url }),
  },
  {
    name: 'Groq',
    wire: 'chat',
    clientOf: ({ groqURL }, settings) =>
      new GroqClient({ ...common(settings), model: 'openai/gpt-oss-120b', baseURL: groqURL }),
  },
  {
    name: 'OpenRouter',
    wire: 'chat',
    clientOf: ({ openRouterURL }, settings) =>
      new OpenRouterClient({ ...common(settings), model: 'openai/gpt-4o', baseURL: openRouterURL }),
  },
  {
    name: 'Anthropic',
    wire: 'messages',
    clientOf: ({ anthropicURL }, settings) =>
      new AnthropicClient({ ...common(settings), model: 'claude-sonnet-5-5', baseURL: anthropicURL }),
  },
]

/** The ways in which an answer is asked for. */
export const deliveries = [
  { how: 'streamed', streams: true },
  { how: 'whole', streams: false },
] as const

export interface Given extends ClientSettings {
  readonly script: NonNullable<StrictProviderOptions['script']>
  readonly agent?: Partial<AgentOptions<unknown>>
  readonly run?: RunOptions
  readonly provider?: Omit<StrictProviderOptions, 'script'>
  /** Instead of reading all events of one run. */
  readonly act?: (stage: Stage) => Promise<RunResult<unknown>>
}

export interface Stage {
  readonly agent: Agent<unknown>
  readonly provider: StrictProvider
  /** Calls of the tools, in the order in which they began. */
  readonly ran: readonly string[]
  read(options?: RunOptions, watch?: (event: AgentEvent) => void): Promise<RunResult<unknown>>
}

export interface Told {
  readonly status: string
  readonly answer?: unknown
  readonly partial?: string
  /** The code, and the kind of an `LLMError`. */
  readonly error?: string
  /** Each result as the model was told it. */
  readonly results: readonly string[]
  readonly ran: readonly string[]
  /** Requests of the run. */
  readonly requests: number
  /** What must never be, and was. */
  readonly faults: readonly string[]
}

/** One run through `adapter`, then another one: the conversation goes on, whatever happened to the first. */
export async function play(adapter: Adapter, given: Given): Promise<Told> {
  const { script, run = {}, act = ({ read }) => read(run) } = given
  await using provider = await strictProvider({ keys: [apiKey], ...given.provider, script })
  const ran: string[] = []
  const keys: string[] = []
  const client = adapter.clientOf(provider, given)
  await using agent = new Agent<unknown>({
    client,
    tools: [look(ran, keys)],
    retry: { minDelayMs: 0 },
    ...(given.clock && { runtime: timeOf(given.clock) }),
    ...given.agent,
  })
  const faults: string[] = []
  const read: Stage['read'] = async (options = {}, watch = () => {}) => {
    const stream = agent.runStream('Go.', options)
    const events: AgentEvent[] = []
    for await (const event of stream) {
      events.push(event)
      watch(event)
    }
    const violation = checkEvents(events)
    if (violation !== undefined) faults.push(violation)
    return stream.result
  }
  const result = await act({ agent, provider, ran, read })
  const requests = provider.requests.length
  if (!(await isQuiet(provider))) faults.push(`${provider.liveRequests} requests are left`)
  const { conversation } = run
  provider.script([{ text: 'Here again.' }])
  const again = await agent.runStream('Again.', { ...(conversation && { conversation }) }).result
  if (again.answer !== 'Here again.') faults.push(`the next run: ${again.status} ${again.error?.message}`)
  faults.push(
    ...validateHistory(again.history).map((issue) => JSON.stringify(issue)),
    ...provider.refusals.map((refusal) => `refused: ${JSON.stringify(refusal)}`),
    ...(new Set(keys).size < keys.length ? [`executed twice: ${keys}`] : []),
    ...Object.values(result.usage).flatMap((count) =>
      Number(count) >= 0 && Number(count) < 1e9 ? [] : [`usage ${count}`],
    ),
  )
  await client.close?.()
  return { ...outcomeOf(result), ran, requests, faults }
}

function outcomeOf({ status, answer, partial, error, steps }: RunResult<unknown>) {
  return {
    status,
    ...(answer !== undefined && { answer }),
    ...(partial !== undefined && { partial }),
    ...(error && { error: error instanceof LLMError ? `${error.code} ${error.kind}` : error.code }),
    results: steps.flatMap(({ results }) => results.map(({ output }) => output)),
  }
}

/** A tool that may run once for each call; it writes down that it did. */
export function look(ran: string[], keys: string[] = []) {
  return tool({
    name: 'look',
    description: 'Looks somewhere',
    parameters: { type: 'object', properties: { where: { type: 'string' } }, required: ['where'] },
    effect: 'once',
    execute: (input, { idempotencyKey }: ToolContext) => {
      const where = String(Reflect.get(Object(input), 'where'))
      keys.push(idempotencyKey)
      ran.push(where)
      return `A ${where}.`
    },
  })
}

export const looks = (...places: readonly string[]): StrictReply => ({
  toolCalls: places.map((where) => ({ toolName: 'look', parameters: { where } })),
})

/** A stream of exactly these events, whatever was asked for. */
export function sse(...events: readonly object[]): StrictError {
  const text = events.map((data) => {
    const type = 'type' in data ? `event: ${data.type}\n` : ''
    return `${type}data: ${JSON.stringify(data)}\n\n`
  })
  return { status: 200, headers: { 'content-type': 'text/event-stream' }, body: text.join('') }
}

/** Each `ms` of virtual time, real work is given time to be done, until `work` is. */
export async function passTime<Value>(clock: VirtualClock, ms: number, work: Promise<Value>): Promise<Value> {
  let isOver = false
  const over = () => {
    isOver = true
  }
  work.then(over, over)
  while (!isOver) {
    for (let turn = 0; turn < 20; turn++) await setImmediate()
    await clock.advance(ms)
  }
  return work
}

/** The server hears a little later that its client is gone. */
export async function isQuiet(provider: StrictProvider): Promise<boolean> {
  for (let turn = 0; provider.liveRequests > 0 && turn < 200; turn++) await systemRuntime.sleep(1)
  return provider.liveRequests === 0
}

/** Whether it tells that a call of a tool begins. */
export const begins = (event: AgentEvent): boolean =>
  isEvent(event, 'tool_execution') && event.status === 'started'
