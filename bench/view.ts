import { parseArgs } from 'node:util'
import { contextReport } from '../src/agent/context-report.ts'
import { fitRequest } from '../src/agent/fit-request.ts'
import type { Run } from '../src/agent/run.ts'
import { type LLMClient, type Message, SimpleAgentMemory, user } from '../src/index.ts'
import { growingRepair } from '../src/memory/repair.ts'
import { TokenCounts } from '../src/memory/tokens.ts'
import { view } from '../src/memory/view.ts'
import { growingNativeProtocol } from '../src/protocol/native.ts'
import { Transcript } from '../src/transcript/transcript.ts'

/**
 * What we do for one more turn of a long conversation, before the request is serialised: `node bench/view.ts`. Medians in
 * microseconds; with `--check` it ends with 1 if a turn is above its target.
 */
const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })

/** Milliseconds that one more turn may take, by the number of messages before it. */
const targets: Readonly<Record<number, number>> = { 5000: 0.2, 20000: 0.6 }
const turns = 300

const usage = { inputTokens: 1, outputTokens: 1 }
const from = { provider: 'p', model: 'm' }

/** Turns of a question, five exchanges and an answer: twelve messages. */
class Conversation {
  readonly transcript = new Transcript()
  #steps = 0

  grow(): void {
    const at = this.#steps++
    const base = { type: 'reply', runId: 'r', stepId: `r/${at}`, usage, stopReason: 'stop', ...from } as const
    if (at % 7 === 0) this.transcript.append({ type: 'input', runId: 'r', message: user(`Question ${at}?`) })
    else if (at % 7 === 6) this.transcript.append({ ...base, kind: 'final', text: 'word '.repeat(80) })
    else {
      const call = { id: `call_${at}`, toolName: 'search', parameters: { query: `query ${at}` } }
      this.transcript.append({ ...base, kind: 'step', text: 'Let me see.', toolCalls: [call] })
      const result = {
        callId: call.id,
        toolName: 'search',
        ok: true,
        output: 'found '.repeat(60),
        durationMs: 1,
      }
      this.transcript.append({ type: 'tool_finished', runId: 'r', result })
    }
  }

  growTo(messages: number): void {
    while (this.transcript.history().length < messages) this.grow()
  }
}

const capabilities = { tools: true, streaming: true, structuredOutput: true, images: false }
const client = { ...from, capabilities } as unknown as LLMClient // never called
const input = {
  instructions: 'You look things up. '.repeat(50),
  tools: [{ name: 'search', description: 'Finds', parameters: { type: 'object', properties: {} } }],
  toolsets: [],
  planning: 'auto',
  first: false,
  landing: false,
} as const

function runOf(transcript: Transcript, contextWindow: number): Run {
  const settings = {
    counts: new TokenCounts(),
    repair: growingRepair(),
    native: growingNativeProtocol(),
    memory: new SimpleAgentMemory(),
    contextWindow,
  }
  const run = {
    settings,
    transcript,
    conversation: { id: 'c' },
    signal: new AbortController().signal,
    wait: <T>(promise: Promise<T>) => promise,
    diagnose: () => {},
  }
  return run as unknown as Run // all of a run that is asked for
}

const median = (times: number[]): number => times.toSorted((a, b) => a - b)[times.length >> 1] ?? 0

async function timed(what: () => unknown): Promise<number> {
  const startedAt = performance.now()
  await what()
  return (performance.now() - startedAt) * 1_000
}

type Pieces = Record<string, number[]>

async function measure(messages: number, contextWindow: number): Promise<Pieces> {
  const conversation = new Conversation()
  conversation.growTo(messages)
  const { transcript } = conversation
  const run = runOf(transcript, contextWindow)
  const { counts, memory, repair, native } = run.settings
  const pieces: Pieces = {
    history: [],
    repair: [],
    count: [],
    memory: [],
    view: [],
    encode: [],
    'one more turn': [],
  }
  const note = async (piece: string, what: () => unknown) => pieces[piece]?.push(await timed(what))
  const context = {
    countTokens: counts.text,
    conversationId: 'c',
    signal: run.signal,
    budgetTokens: contextWindow * 0.8,
  }
  for (let turn = 0; turn < turns; turn++) {
    conversation.grow()
    await note('one more turn', async () => {
      const fitted = await fitRequest(run, client, native, input)
      const { instructions } = input
      contextReport(run, fitted.request, fitted, { given: instructions, sent: instructions })
    })
    // The pieces with what the turn has left behind: what they cost at least.
    let history: readonly Message[] = []
    await note('history', () => {
      history = transcript.history()
    })
    await note('repair', () => repair(history))
    await note('count', () => counts.measure(history))
    await note('memory', () => memory?.manageHistory(history, context))
    await note('view', () =>
      view({
        history,
        memory,
        counts,
        repair,
        overheadTokens: 300,
        contextWindow,
        conversationId: 'c',
        signal: run.signal,
      }),
    )
    await note('encode', () => native.encode({ ...input, messages: history }))
  }
  return pieces
}

const sizes = [100, 1_000, 5_000, 20_000]
const rows: string[] = []
// Once for the compiler.
await measure(1_000, 50_000)
for (const messages of sizes) {
  for (const [where, window] of [
    ['below', 100_000_000],
    ['above', messages * 30],
  ] as const) {
    const pieces = await measure(messages, window)
    const medians = Object.values(pieces).map((times) => median(times))
    if (rows.length === 0) {
      rows.push(
        `| messages | budget | ${Object.keys(pieces).join(' | ')} |`,
        `|---:|---|${'---:|'.repeat(medians.length)}`,
      )
    }
    rows.push(`| ${messages} | ${where} | ${medians.map((time) => time.toFixed(1)).join(' | ')} |`)
    const target = targets[messages]
    const turn = median(pieces['one more turn'] ?? [])
    if (values.check && target !== undefined && turn > target * 1_000) {
      console.error(`${messages} messages, ${where} the budget: ${turn.toFixed(0)} µs, not ${target} ms`)
      process.exitCode = 1
    }
  }
}
console.log(rows.join('\n'))
