import { parseArgs } from 'node:util'
import {
  type AgentMemory,
  assistant,
  composeMemory,
  dropOldToolOutput,
  type Message,
  offloadToolOutput,
  PriorityMemory,
  RetentionMemory,
  SimpleAgentMemory,
  SummarizingMemory,
  TurnPruningMemory,
  textClient,
  toolMessage,
  user,
} from '../src/index.ts'
import { TokenCounts } from '../src/memory/tokens.ts'
import { view } from '../src/memory/view.ts'
import { nativeProtocol } from '../src/protocol/native.ts'

/**
 * What the input of two long conversations costs, by strategy: `npm run bench:context`. A token that the provider has in its
 * prompt cache costs a tenth. With `--check` it ends with 1 if the default costs more than half of what it costs to drop the
 * oldest with every call, which is what a sliding window does.
 */
const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })

const cachedPrice = 0.1
/** As OpenAI's cache: prefixes of whole blocks, from a shortest length on. */
const cache = { block: 128, shortest: 1_024 }
const contextWindow = 32_768

/** A memory, made anew for each conversation. */
interface Strategy {
  readonly name: string
  readonly memory: () => AgentMemory | null
  /** Sends whatever the memory gives, however long. */
  readonly isUnbounded?: boolean
}

const strategies: readonly Strategy[] = [
  { name: 'SimpleAgentMemory (default)', memory: () => new SimpleAgentMemory() },
  { name: 'TurnPruningMemory', memory: () => new TurnPruningMemory() },
  { name: 'PriorityMemory', memory: () => new PriorityMemory() },
  { name: 'RetentionMemory, 100 messages', memory: () => new RetentionMemory({ maxMessages: 100 }) },
  {
    name: 'dropOldToolOutput, default',
    memory: () => composeMemory(dropOldToolOutput(), new SimpleAgentMemory()),
  },
  {
    name: 'offloadToolOutput of 300, default',
    memory: () => composeMemory(offloadToolOutput({ maxTokens: 300 }), new SimpleAgentMemory()),
  },
  {
    name: 'SummarizingMemory, without its own calls',
    memory: () => new SummarizingMemory({ client: summarizer, keepTurns: 10 }),
  },
  { name: 'no memory, no window', memory: () => null, isUnbounded: true },
  { name: 'sliding window, cut with every call', memory: () => slidingWindow },
]

const summarizer = textClient(async () => text('Summary.', 300))

/** The newest exchanges that just fit, as trimming helpers take them. */
const slidingWindow: AgentMemory = {
  manageHistory(history, { budgetTokens = Number.POSITIVE_INFINITY, countTokens }) {
    const counts = new TokenCounts(countTokens)
    let tokens = 0
    let start = history.length
    for (let at = history.length - 1; at >= 0; at--) {
      const message = history[at]
      if (message) tokens += counts.message(message)
      if (tokens > budgetTokens) break
      if (message?.role !== 'tool') start = at
    }
    return history.slice(start)
  },
}

/** A small generator of numbers, so that every run of this file measures the same conversations. */
function numbers(seed: number): (from: number, to: number) => number {
  let state = seed
  return (from, to) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return from + Math.floor((state / 2 ** 31) * (to - from + 1))
  }
}

const text = (name: string, tokens: number) => `${name} ${'word'.repeat(tokens)}`

/** One conversation as the histories of its requests. */
type Requests = Iterable<readonly Message[]>

function* toolLoop(): Requests {
  const between = numbers(1)
  const history: Message[] = [user(text('Find out.', 200))]
  for (let step = 0; step < 200; step++) {
    yield history
    const call = { id: `call_${step}`, toolName: 'search', parameters: { query: text(`${step}`, 12) } }
    history.push(assistant(text(`Step ${step}.`, between(10, 60)), [call]))
    history.push(toolMessage(call, text(`Result ${step}.`, between(100, 900))))
  }
}

function* chat(): Requests {
  const between = numbers(2)
  const history: Message[] = []
  for (let turn = 0; turn < 300; turn++) {
    history.push(user(text(`Turn ${turn}.`, between(20, 150))))
    yield history
    history.push(assistant(text(`Answer ${turn}.`, between(60, 500))))
  }
}

const transcripts: readonly (readonly [name: string, requests: () => Requests])[] = [
  ['tool loop of 200 iterations', toolLoop],
  ['chat of 300 turns', chat],
]

const frame = {
  instructions: text('You are a careful researcher.', 800),
  tools: [
    { name: 'search', description: text('Searches.', 300), parameters: { type: 'object', properties: {} } },
  ],
  toolsets: [],
  planning: 'off',
  first: false,
  landing: false,
} as const

interface Bill {
  readonly input: number
  readonly cached: number
  readonly peak: number
}

const priceOf = ({ input, cached }: Bill) => input - cached * (1 - cachedPrice)

async function billOf(requests: Requests, { memory, isUnbounded }: Strategy): Promise<Bill> {
  const counts = new TokenCounts()
  const frameTokens = counts.request(nativeProtocol.encode({ ...frame, messages: [] }))
  const known: (readonly Message[])[] = []
  const bill = { input: 0, cached: 0, peak: 0 }
  const kept = memory()
  for (const history of requests) {
    const { messages } = await view({
      history: [...history],
      memory: kept,
      counts,
      overheadTokens: frameTokens,
      ...(isUnbounded !== true && { contextWindow }),
      conversationId: 'c',
      signal: new AbortController().signal,
    })
    const tokens = frameTokens + counts.messages(messages)
    bill.input += tokens
    bill.cached += cachedOf(messages, known, frameTokens, counts)
    bill.peak = Math.max(bill.peak, tokens)
    known.push(messages)
  }
  return bill
}

/** Tokens that stand at the beginning of an earlier request, too. */
function cachedOf(
  messages: readonly Message[],
  known: readonly (readonly Message[])[],
  frameTokens: number,
  counts: TokenCounts,
): number {
  let longest = 0
  for (const earlier of known) {
    let tokens = frameTokens
    for (let at = 0; at < earlier.length && isSame(earlier[at], messages[at]); at++) {
      const message = messages[at]
      if (message) tokens += counts.message(message)
    }
    longest = Math.max(longest, tokens)
  }
  const whole = longest - (longest % cache.block)
  return whole < cache.shortest ? 0 : whole
}

const isSame = (one: Message | undefined, other: Message | undefined) =>
  one === other || (one?.role === 'system' && other?.role === 'system' && one.content === other.content)

const thousands = (tokens: number) => Math.round(tokens / 1_000).toLocaleString('en')

console.log(
  '| conversation | strategy | sent, k tokens | from cache | billed, k tokens | peak request | to a sliding window |',
)
console.log('|---|---|---:|---:|---:|---:|---:|')
for (const [name, requests] of transcripts) {
  const bills: (readonly [Strategy, Bill])[] = []
  for (const strategy of strategies) bills.push([strategy, await billOf(requests(), strategy)])
  const [, first] = bills[0] ?? []
  const [, sliding] = bills.find(([{ memory }]) => memory() === slidingWindow) ?? []
  if (!first || !sliding) throw new TypeError('There is nothing to compare.')
  for (const [strategy, bill] of bills) {
    const share = `${Math.round((bill.cached / bill.input) * 100)} %`
    const ratio = (priceOf(bill) / priceOf(sliding)).toFixed(2)
    const cells = [
      name,
      strategy.name,
      thousands(bill.input),
      share,
      thousands(priceOf(bill)),
      bill.peak,
      ratio,
    ]
    console.log(`| ${cells.join(' | ')} |`)
  }
  if (values.check && priceOf(first) > priceOf(sliding) / 2) {
    console.error(`${name}: the default costs more than half of a sliding window.`)
    process.exitCode = 1
  }
}
