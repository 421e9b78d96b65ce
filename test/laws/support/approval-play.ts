import { isDeepStrictEqual } from 'node:util'
import '../../../src/protocol/json.ts'
import '../../../src/tools/json-validator.ts'
import { Agent } from '../../../src/agent/agent.ts'
import { approve, type Decisions, deny, edit } from '../../../src/agent/decisions.ts'
import type { RunStream } from '../../../src/agent/run-stream.ts'
import { type AgentEvent, eventTypes, type PendingCall, type RunResult } from '../../../src/events.ts'
import type { JsonObject } from '../../../src/json.ts'
import { validateHistory } from '../../../src/memory/repair.ts'
import { virtualClock } from '../../../src/testing/clock.ts'
import { checkEvents } from '../../../src/testing/event-grammar.ts'
import { ScriptedClient } from '../../../src/testing/scripted-client.ts'
import { tool } from '../../../src/tools/define.ts'
import type { Entry } from '../../../src/transcript/entry.ts'
import { MemoryStore } from '../../../src/transcript/store.ts'
import { type Act, type ApprovalPlan, policyOf, replyOf, toolNames, verdictOf } from './approval-plan.ts'
import { requestFault } from './request-faults.ts'

export interface Execution {
  readonly callId: string
  readonly toolName: string
  readonly parameters: JsonObject
}

/** A conversation of the plan, with all that was noticed in it. */
export class ApprovalPlay {
  readonly faults: string[] = []
  readonly executions: Execution[] = []
  readonly #plan: ApprovalPlan
  readonly #hasPolicy: boolean
  readonly #store = new MemoryStore()
  readonly #clock = virtualClock()
  readonly #client: ScriptedClient
  #agent: Agent
  #heard: AgentEvent[] = []
  #turns = 0

  constructor(plan: ApprovalPlan, hasPolicy = true) {
    this.#plan = plan
    this.#hasPolicy = hasPolicy
    this.#client = new ScriptedClient(() => replyOf(plan, this.#turns++), { runtime: this.#clock.runtime })
    this.#agent = this.#newAgent()
  }

  /** What the plan has done with it. */
  async act(): Promise<RunResult> {
    let result = await this.#follow(this.#agent.runStream('Go.', { conversation: 'c' }))
    for (const act of this.#plan.acts) result = await this.#perform(act, result)
    return result
  }

  /** Approves whatever still waits, but for what it is too late for, until the run is over. */
  async approveAll(before: RunResult): Promise<RunResult> {
    let result = before
    for (let round = 0; result.status !== 'done' && round < 30; round++) {
      const now = this.#clock.runtime.now()
      const inTime = (result.pending ?? []).filter(({ expiresAt = Infinity }) => now < expiresAt)
      const decisions = this.#decisions(inTime, ['approve'])
      result = await this.#follow(this.#agent.resumeStream('c', { decisions }))
    }
    return result
  }

  begin(): Promise<RunResult> {
    return this.#follow(this.#agent.runStream('Go.', { conversation: 'c' }))
  }

  /** Adds what is wrong with the whole, now that it is over. */
  async judge(): Promise<void> {
    const entries = await this.entries()
    for (const request of this.#client.requests) this.#note(requestFault(request))
    for (const { callId } of this.executions) {
      const times = this.executions.filter((other) => other.callId === callId).length
      if (times > 1) this.#note(`${callId} ran ${times} times`)
    }
    for (const execution of this.executions) this.#note(unpermitted(execution, entries, this.#plan))
    for (const id of callsOf(entries)) {
      const results = entries.filter((entry) => entry.type === 'tool_finished' && entry.result.callId === id)
      if (results.length > 1) this.#note(`${id} has ${results.length} results`)
    }
  }

  entries(): Promise<readonly Entry[]> {
    return this.#store.read('c')
  }

  async #perform(act: Act, last: RunResult): Promise<RunResult> {
    await this.#clock.advance(act.afterMs)
    if (act.by === 'another agent') this.#agent = this.#newAgent()
    if (act.does === 'runs anew') {
      return this.#follow(this.#agent.runStream('And this.', { conversation: 'c' }), act)
    }
    const decisions = this.#decisions(last.pending ?? [], act.decisions)
    const before = (await this.entries()).length
    const result = await this.#follow(this.#agent.resumeStream('c', { decisions }), act)
    if (result.error?.code === 'approval') {
      if ((await this.entries()).length > before) this.#note('a decision that was refused changed something')
      return last
    }
    if (!act.twice) return result
    const again = await this.#follow(this.#newAgent().resumeStream('c', { decisions }))
    if (!act.stop && again.error?.code === 'approval')
      this.#note(`said again, it was refused: ${again.error.message}`)
    return again
  }

  async #follow(stream: RunStream, { stop, steers }: Partial<Act> = {}): Promise<RunResult> {
    this.#heard = []
    let told = 0
    const steered = steers ? stream.steer('By the way.') : false
    for await (const _ of stream) {
      if (told++ !== stop?.at) continue
      if (stop.how === 'break') break
      stream.abort('enough')
    }
    const result = await stream.result
    this.#note(checkEvents(this.#heard))
    const isTold = this.#heard.some(({ type }) => type === 'steering')
    if ((await steered) !== isTold) this.#note(`steering was ${isTold ? '' : 'not '}told, and says otherwise`)
    const ends = this.#heard.filter(({ type }) => type === 'run_end').length
    if (ends !== 1) this.#note(`there were ${ends} run_end`)
    const issues = validateHistory(result.history)
    if (issues.length > 0) this.#note(`the history is invalid: ${JSON.stringify(issues)}`)
    await this.#judgePending(result)
    return result
  }

  async #judgePending({ status, pending = [] }: RunResult): Promise<void> {
    if ((status === 'suspended') !== pending.length > 0)
      this.#note(`${status} with ${pending.length} pending`)
    const entries = await this.entries()
    for (const { callId, parameters } of pending) {
      const asked = entries.find((entry) => entry.type === 'approval_requested' && entry.callId === callId)
      const decided = entries.some((entry) => entry.type === 'approval_decided' && entry.callId === callId)
      const isRight = asked?.type === 'approval_requested' && isDeepStrictEqual(asked.parameters, parameters)
      if (!isRight || decided) this.#note(`${callId} is pending, and that is not what was written down`)
    }
  }

  #decisions(pending: readonly PendingCall[], how: Act['decisions']): Decisions {
    const decisions = pending.flatMap(({ callId, parameters }, index) => {
      const kind = how[index % how.length]
      if (kind === 'wait') return []
      if (kind === 'deny') return [[callId, deny('Not today.')] as const]
      if (kind === 'edit') return [[callId, edit({ n: 100 })] as const]
      return [[callId, kind === 'approve' ? approve() : approve(parameters)] as const]
    })
    return Object.fromEntries(decisions)
  }

  #newAgent(): Agent {
    const { protocol, hook, toolConcurrency } = this.#plan
    const agent = new Agent({
      client: this.#client,
      protocol,
      store: this.#store,
      runtime: this.#clock.runtime,
      toolConcurrency,
      maxIterations: 100,
      maxConsecutiveToolErrors: 100,
      tools: toolNames.map((name) => this.#tool(name)),
      ...(hook && { hooks: { beforeTool: (call) => ({ ...call, parameters: hooked(call.parameters) }) } }),
      ...(this.#hasPolicy && { policy: policyOf(this.#plan) }),
    })
    for (const type of eventTypes) agent.on(type, (event) => void this.#heard.push(event))
    return agent
  }

  #tool(name: (typeof toolNames)[number]) {
    return tool({
      name,
      description: name,
      serial: name === 'serial',
      exclusive: name === 'alone',
      parameters: { type: 'object', properties: { n: { type: 'number' } } },
      execute: async (parameters, { callId, signal }) => {
        this.executions.push({ callId, toolName: name, parameters })
        if (name === 'slow') await this.#clock.runtime.sleep(300, signal)
        if (name === 'broken') throw new Error('broken')
        return `${name} did ${parameters['n']}`
      },
    })
  }

  #note(fault: string | undefined): void {
    if (fault !== undefined) this.faults.push(fault)
  }
}

const hooked = ({ n }: JsonObject): JsonObject => ({ n: Number(n) + 10 })

/** Why this execution should not have been, by what stands in the entries. */
function unpermitted(
  { callId, toolName, parameters }: Execution,
  entries: readonly Entry[],
  plan: ApprovalPlan,
): string | undefined {
  const call = entries
    .flatMap((entry) => (entry.type === 'reply' ? (entry.toolCalls ?? []) : []))
    .find(({ id }) => id === callId)
  if (!call) return `${callId} ran, and nobody called it`
  const asked = plan.hook ? hooked(call.parameters) : call.parameters
  const started = entries.findIndex((entry) => entry.type === 'tool_started' && entry.callId === callId)
  const decisions = entries
    .slice(0, started)
    .flatMap((entry) =>
      entry.type === 'approval_decided' && entry.callId === callId ? [entry.decision] : [],
    )
  const [decision] = decisions
  if (decisions.length > 1) return `${callId} was decided ${decisions.length} times`
  const allowed = decision?.decision === 'edit' ? decision.parameters : asked
  if (!isDeepStrictEqual(parameters, allowed)) {
    return `${callId} ran with ${JSON.stringify(parameters)} instead of ${JSON.stringify(allowed)}`
  }
  const verdict = verdictOf(plan, toolName, allowed)
  if (verdict === 'deny' || decision?.decision === 'deny') return `${callId} ran, and was denied`
  const needed = verdictOf(plan, toolName, asked) === 'confirm'
  return needed && !decision ? `${callId} ran, and nobody had approved it` : undefined
}

const callsOf = (entries: readonly Entry[]): string[] =>
  entries.flatMap((entry) =>
    entry.type === 'reply' && entry.kind === 'step' ? (entry.toolCalls ?? []).map(({ id }) => id) : [],
  )
