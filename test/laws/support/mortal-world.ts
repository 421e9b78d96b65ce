import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { Agent } from '../../../src/agent/agent.ts'
import type { AgentEvent, RunResult } from '../../../src/events.ts'
import type { Runtime } from '../../../src/runtime.ts'
import { checkEvents } from '../../../src/testing/event-grammar.ts'
import { calls, json, type Made } from '../../../src/testing/script.ts'
import { ScriptedClient } from '../../../src/testing/scripted-client.ts'
import { tool } from '../../../src/tools/define.ts'
import type { Effect, Tool } from '../../../src/tools/tool.ts'
import type { Entry } from '../../../src/transcript/entry.ts'
import { type ConversationStore, MemoryStore } from '../../../src/transcript/store.ts'
import { requestFault } from './request-faults.ts'

const effects: readonly Effect[] = ['read', 'idempotent', 'once']

/** A run as its model wants it. */
export interface RunPlan {
  /** For each iteration, the tools it calls; none: it only says something that has to be repaired. */
  readonly steps: readonly (readonly { readonly effect: Effect; readonly fails: boolean }[])[]
  readonly protocol: 'native' | 'json'
}

export const runPlan: fc.Arbitrary<RunPlan> = fc.record({
  steps: fc.array(
    fc.array(fc.record({ effect: fc.constantFrom(...effects), fails: fc.boolean() }), { maxLength: 3 }),
    { maxLength: 4 },
  ),
  protocol: fc.constantFrom('native', 'json'),
})

interface Execution {
  readonly callId: string
  readonly key: string
  readonly effect: Effect
  /** The result of its call was kept already. */
  readonly wasKnown: boolean
  /** It was written down beforehand that it would begin. */
  readonly wasIntended: boolean
}

/** What outlives the processes: the store, and the effects that tools had. */
export class World {
  readonly store: ConversationStore
  readonly #plan: RunPlan
  readonly #id: string
  readonly #executions: Execution[] = []
  readonly #faults: string[] = []
  /** Reads of the store under way. What a tool of a dead process finds must be as it was when that process lived. */
  #reads = 0

  /** In the conversation `id` of `store`. */
  constructor(plan: RunPlan, store: ConversationStore = new MemoryStore(), id = 'c') {
    this.#plan = plan
    this.store = store
    this.#id = id
  }

  async entries(): Promise<readonly Entry[]> {
    this.#reads++
    try {
      return await this.store.read(this.#id)
    } finally {
      this.#reads--
    }
  }

  /**
   * One process, which sees the store as `view`: begins the run or goes on with it, until the run ends, or the process can
   * do no more because `isDead`.
   */
  async live(view: ConversationStore, isDead = () => false): Promise<RunResult | undefined> {
    const agent = this.process(view)
    const known = await this.entries()
    const stream =
      known.length === 0 ? agent.runStream('Go', { conversation: this.#id }) : agent.resumeStream(this.#id)
    const events: AgentEvent[] = []
    const reading = (async () => {
      for await (const event of stream) events.push(event)
      const grammar = checkEvents(events)
      if (grammar) this.#faults.push(grammar)
      return stream.result
    })()
    const died = async () => {
      const isQuiet = () => isDead() && this.#reads === 0
      for (let quiet = 0; quiet < 8; quiet = isQuiet() ? quiet + 1 : 0) await setImmediate()
      return undefined
    }
    return Promise.race([reading, died()])
  }

  /** An agent whose model goes on from what is stored now. */
  process(view: ConversationStore, runtime: Partial<Runtime> = {}): Agent {
    const script = this.#script()
    return new Agent({
      client: new ScriptedClient(async (request) => {
        const fault = requestFault(request)
        if (fault) this.#faults.push(fault)
        const entries = await this.entries()
        return script[entries.filter(({ type }) => type === 'reply').length] ?? 'More?'
      }),
      tools: effects.map((effect) => this.#tool(effect)),
      protocol: this.#plan.protocol,
      store: view,
      runtime,
      repairAttempts: 9,
      maxConsecutiveToolErrors: 100,
    })
  }

  /** What must not have happened, whoever died or lost. */
  async faults(): Promise<string[]> {
    const entries = await this.entries()
    const once = this.#executions.filter(({ effect }) => effect === 'once').map(({ callId }) => callId)
    const keys = new Map(this.#executions.map(({ callId, key }) => [callId, key]))
    const results = entries.flatMap((entry) => (entry.type === 'tool_finished' ? [entry.result.callId] : []))
    const unanswered = new Set<string>()
    for (const entry of entries) {
      if (entry.type === 'reply') for (const { id } of entry.toolCalls ?? []) unanswered.add(id)
      if (entry.type === 'tool_finished') unanswered.delete(entry.result.callId)
      // What is open when a run ends is answered by that.
      if (entry.type === 'run_ended') unanswered.clear()
    }
    return [
      ...this.#faults,
      ...once.filter((id, at) => once.indexOf(id) !== at).map((id) => `the once tool of ${id} ran twice`),
      ...this.#executions.flatMap(({ callId, key, wasKnown, wasIntended }) => [
        ...(wasKnown ? [`${callId} ran again after its result was kept`] : []),
        ...(wasIntended ? [] : [`${callId} ran before that was written down`]),
        ...(keys.get(callId) === key ? [] : [`the key of ${callId} changed`]),
      ]),
      ...(results.join() === [...new Set(results)].join() ? [] : ['a call has two results']),
      ...[...unanswered].map((id) => `${id} has no result`),
    ]
  }

  #script(): Made[] {
    const isNative = this.#plan.protocol === 'native'
    const replies = this.#plan.steps.map((step, at): Made => {
      const parameters = (index: number) => ({ at, index, fails: step[index]?.fails ?? false })
      const id = (index: number) => `c${at}-${index}`
      if (step.length === 0) return isNative ? { text: '' } : '{"final_ans'
      if (isNative) {
        return calls(...step.map(({ effect }, index) => [effect, parameters(index), id(index)] as const))
      }
      const toolCalls = step.map(({ effect }, index) => ({
        id: id(index),
        tool_name: effect,
        parameters: parameters(index),
      }))
      return json({ tool_calls: toolCalls })
    })
    return [...replies, isNative ? 'The end.' : json({ final_answer: 'The end.' })]
  }

  #tool(effect: Effect): Tool {
    return tool({
      name: effect,
      description: 'Does something',
      parameters: { type: 'object', properties: { fails: { type: 'boolean' } } },
      effect,
      execute: async (input, { callId, idempotencyKey }) => {
        const entries = await this.entries()
        this.#executions.push({
          callId,
          key: idempotencyKey,
          effect,
          wasKnown: entries.some((entry) => entry.type === 'tool_finished' && entry.result.callId === callId),
          wasIntended: entries.some((entry) => entry.type === 'tool_started' && entry.callId === callId),
        })
        if (input['fails'] === true) throw new Error('It did not work.')
        return 'ok'
      },
    })
  }
}
