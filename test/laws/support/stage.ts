import { getEventListeners } from 'node:events'
import { setImmediate } from 'node:timers/promises'
// What is loaded only when it is needed takes real time, of which a virtual clock knows nothing: it is loaded before.
import '../../../src/agent/answer.ts'
import '../../../src/protocol/json.ts'
import '../../../src/protocol/partial-output.ts'
import '../../../src/tools/json-validator.ts'
import { Agent } from '../../../src/agent/agent.ts'
import type { RunOptions } from '../../../src/agent/options.ts'
import type { RunStream } from '../../../src/agent/run-stream.ts'
import type { CallOptions, LLMRequest } from '../../../src/client/client.ts'
import type { AgentEvent, RunResult } from '../../../src/events.ts'
import { eventTypes } from '../../../src/events.ts'
import { type VirtualClock, virtualClock } from '../../../src/testing/clock.ts'
import { ScriptedClient } from '../../../src/testing/scripted-client.ts'
import type { Entry } from '../../../src/transcript/entry.ts'
import { MemoryStore } from '../../../src/transcript/store.ts'
import { agentOptions } from './options.ts'
import type { Interference, Scenario } from './scenario.ts'
import { asleep, type Execution, makeTool, type ToolStage } from './tools.ts'
import { rendered } from './turns.ts'

/** All that can be known of a scenario once it was played. */
export interface Play {
  readonly scenario: Scenario
  readonly runs: readonly PlayedRun[]
  /** A further run on the same conversation, after everything calmed down. */
  readonly followUp: PlayedRun
  readonly requests: readonly Sent[]
  readonly executions: readonly Execution[]
  /** The conversation after `runs`, and after `followUp`. */
  readonly entries: readonly Entry[]
  readonly laterEntries: readonly Entry[]
  /** What was noticed while it was played. */
  readonly faults: readonly string[]
}

export interface PlayedRun {
  /** As listeners heard them. */
  readonly heard: readonly AgentEvent[]
  /** As the reader took them; absent when nobody read. */
  readonly read?: readonly AgentEvent[]
  readonly result: RunResult<unknown>
}

export interface Sent {
  readonly request: LLMRequest
  /** The id of the iteration. */
  readonly stepId: string
}

/** Plays a scenario in virtual time, lets everything settle, and then goes on with the conversation. */
export async function play(scenario: Scenario): Promise<Play> {
  const rejections = watchRejections()
  try {
    return await new Stage(scenario, rejections.faults).play()
  } finally {
    rejections.stop()
  }
}

class Stage implements ToolStage {
  readonly executions: Execution[] = []
  asleep = 0
  isCalm = false
  readonly runtime
  readonly #scenario: Scenario
  readonly #faults: string[]
  readonly #clock: VirtualClock = virtualClock()
  readonly #client: ScriptedClient
  readonly #heard = new Map<string, AgentEvent[]>()
  readonly #caller = new AbortController()
  readonly #streams: RunStream<unknown>[] = []
  #agent: Agent<unknown>
  #closed: Promise<void> | undefined
  #turns = 0
  #events = 0

  constructor(scenario: Scenario, faults: string[]) {
    this.#scenario = scenario
    this.#faults = faults
    this.runtime = this.#clock.runtime
    this.#client = this.#scriptedClient()
    this.#agent = this.#newAgent(scenario.options.store ? new MemoryStore() : undefined)
  }

  abort(): void {
    this.#caller.abort(new Error('a tool aborted'))
  }

  async play(): Promise<Play> {
    const { input, interference } = this.#scenario
    const first = this.#run(input, { signal: this.#caller.signal })
    const second = interference.by === 'a second run' ? this.#run('Meanwhile?', {}) : undefined
    const runs = [await first, ...(second ? [await second] : [])]
    this.#noticeLeftovers('when the runs had ended')
    await this.#settle(runs)
    const conversation = this.#agent.conversation(this.#agent.conversationId)
    const entries = structuredClone(await conversation.entries())

    await this.#closed
    this.isCalm = true
    if (this.#agent.status === 'closed') this.#agent = await this.#successor(entries)
    const followUp = await this.#run('And now?', {})
    await this.#settle([followUp])
    const later = await this.#agent.conversation(this.#agent.conversationId).entries()
    await this.#agent.close()
    this.#noticeLeftovers('when the agent was closed')
    return {
      scenario: this.#scenario,
      runs,
      followUp,
      requests: this.#sent(),
      executions: this.executions,
      entries,
      laterEntries: later,
      faults: this.#faults,
    }
  }

  async #run(input: string, options: RunOptions): Promise<PlayedRun> {
    const isCalm = this.isCalm
    const stream = this.#agent.runStream(input, options)
    this.#streams.push(stream)
    const interference: Interference = isCalm ? { by: 'nobody' } : this.#scenario.interference
    const read =
      isCalm || this.#scenario.reader !== 'reads the result'
        ? await this.#read(stream, interference)
        : undefined
    const result = await stream.result
    const heard = this.#heard.get(result.runId) ?? []
    return { heard: heard.slice(), ...(read && { read }), result }
  }

  async #read(stream: RunStream<unknown>, interference: Interference): Promise<AgentEvent[]> {
    const read: AgentEvent[] = []
    try {
      for await (const event of stream) {
        read.push(event)
        if (!this.isCalm && this.#scenario.reader === 'reads slowly') await asleep(this, 1)
        const isNow = 'at' in interference && read.length === interference.at + 1
        if (isNow && interference.by === 'break') break
        if (isNow && interference.by === 'throw') throw new Error('the reader broke')
        if (isNow && interference.by === 'abort') stream.abort('enough')
      }
    } catch (error) {
      if (!(error instanceof Error) || error.message !== 'the reader broke') throw error
    }
    return read
  }

  #listen(event: AgentEvent): void {
    const heard = this.#heard.get(event.runId)
    if (heard) heard.push(event)
    else this.#heard.set(event.runId, [event])
    const { interference } = this.#scenario
    this.#events++
    if (this.isCalm || !('at' in interference) || this.#events !== interference.at + 1) return
    if (interference.by === 'signal') this.#caller.abort(new Error('the caller stopped it'))
    if (interference.by === 'close') this.#closed = this.#agent.close()
    if (interference.by === 'abort' && this.#scenario.reader === 'reads the result')
      this.#streams[0]?.abort('enough')
  }

  #newAgent(store: MemoryStore | undefined): Agent<unknown> {
    const { tools, options, interference } = this.#scenario
    const agent = new Agent<unknown>({
      ...agentOptions(options, this),
      client: this.#client,
      tools: tools.map((plan) => makeTool(plan, this)),
      runtime: this.#clock.runtime,
      ...(interference.by === 'a second run' && { concurrency: interference.concurrency }),
      ...(store && { store }),
    })
    for (const type of eventTypes) agent.on(type, (event) => this.#listen(event))
    return agent
  }

  /** Another agent that goes on with the conversation, as another process would. */
  async #successor(entries: readonly Entry[]): Promise<Agent<unknown>> {
    const store = new MemoryStore()
    const agent = this.#newAgent(store)
    await store.append(agent.conversationId, 0, entries)
    return agent
  }

  #scriptedClient(): ScriptedClient {
    const { turns, options } = this.#scenario
    const { protocol, chunkSize, output } = options
    const done = output === 'text' ? 'done' : '{"n":1}'
    const calm = { does: 'says', text: done, rest: { usage: 'absent', delayMs: 0 } } as const
    return new ScriptedClient(
      () => rendered((this.isCalm ? undefined : turns[this.#turns++]) ?? calm, protocol),
      { chunkSize, runtime: this.#clock.runtime },
    )
  }

  #sent(): Sent[] {
    const options: readonly (CallOptions | undefined)[] = this.#client.callOptions
    return this.#client.requests.map((request, index) => ({
      request,
      stepId: options[index]?.idempotencyKey ?? '',
    }))
  }

  /** Waits until nothing more can happen, and notices what happens after all was over. */
  async #settle(runs: readonly PlayedRun[]): Promise<void> {
    const before = [this.#client.calls, this.executions.length]
    do for (let turn = 0; turn < 3; turn++) await setImmediate()
    while (this.#clock.pending > 0)
    const after = [this.#client.calls, this.executions.length]
    if (String(before) !== String(after)) {
      this.#faults.push(`law 4: requests and tool starts went from ${before} to ${after} after run_end`)
    }
    for (const { result, heard } of runs) {
      const now = this.#heard.get(result.runId)?.length ?? 0
      if (now > heard.length) this.#faults.push(`law 4: ${now - heard.length} events came after run_end`)
    }
  }

  #noticeLeftovers(when: string): void {
    const sleepers = this.#clock.pending - this.asleep
    if (sleepers !== 0) this.#faults.push(`law 12: ${sleepers} sleepers are left ${when}`)
    const listeners = getEventListeners(this.#caller.signal, 'abort').length
    if (listeners !== 0)
      this.#faults.push(`law 12: ${listeners} listeners are left on the caller's signal ${when}`)
  }
}

function watchRejections(): { faults: string[]; stop: () => void } {
  const faults: string[] = []
  const hear = (reason: unknown) => faults.push(`law 4: unhandled rejection: ${describe(reason)}`)
  process.on('unhandledRejection', hear)
  return { faults, stop: () => process.off('unhandledRejection', hear) }
}

const describe = (reason: unknown): string =>
  reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)
