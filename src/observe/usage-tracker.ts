import type { Agent } from '../agent/agent.ts'
import type { ModelName } from '../client/client.ts'
import type { AgentEvent } from '../events.ts'
import { addUsage, noUsage, type Usage } from '../messages.ts'

export interface UsageReport {
  /** Model calls. */
  readonly calls: number
  readonly total: Usage
  readonly byProvider: Readonly<Record<string, Usage>>
  /** By `provider/model`. */
  readonly byModel: Readonly<Record<string, Usage>>
  readonly byTool: Readonly<Record<string, ToolUsage>>
  /** What all calls cost together. Absent if that is not known of one of them: see `byModel` then. */
  readonly costUsd?: number
}

export interface ToolUsage {
  readonly calls: number
  /** Of them, those that failed or were left behind. */
  readonly failed: number
  /** Milliseconds, added up. */
  readonly durationMs: number
}

/** Adds up what any number of agents use, also of replies that were cut off, by their events. */
export class UsageTracker {
  #calls = 0
  #total: Usage = noUsage
  readonly #byProvider = new Map<string, Usage>()
  readonly #byModel = new Map<string, Usage>()
  readonly #byTool = new Map<string, ToolUsage>()

  /** Counts all that the agent does from now on. Gives back how to stop. */
  watch(agent: Pick<Agent, 'on'>): () => void {
    const stops = [
      agent.on('usage', (event) => this.add(event)),
      agent.on('compaction', (event) => this.add(event)),
      agent.on('tool_execution', (event) => this.add(event)),
    ]
    return () => {
      for (const stop of stops) stop()
    }
  }

  /** Counts an event, such as one of a run that is iterated; most of them say nothing about usage. */
  add(event: AgentEvent): void {
    if (event.type === 'usage') this.#addUsage(event, event.usage, 1)
    if (event.type === 'compaction' && event.usage) this.#addUsage(event, event.usage, event.summaries)
    if (event.type === 'tool_execution' && 'result' in event) this.#addTool(event.toolName, event.result)
  }

  /** What was counted so far. */
  report(): UsageReport {
    const { costUsd } = this.#total
    return {
      calls: this.#calls,
      total: this.#total,
      byProvider: Object.fromEntries(this.#byProvider),
      byModel: Object.fromEntries(this.#byModel),
      byTool: Object.fromEntries(this.#byTool),
      ...(costUsd !== undefined && { costUsd }),
    }
  }

  #addUsage(
    { provider = 'unknown', model = 'unknown' }: Partial<ModelName>,
    usage: Usage,
    calls: number,
  ): void {
    this.#calls += calls
    this.#total = addUsage(this.#total, usage)
    for (const [sums, name] of [
      [this.#byProvider, provider],
      [this.#byModel, `${provider}/${model}`],
    ] as const) {
      sums.set(name, addUsage(sums.get(name) ?? noUsage, usage))
    }
  }

  #addTool(toolName: string, { ok, durationMs }: { ok: boolean; durationMs: number }): void {
    const before = this.#byTool.get(toolName) ?? { calls: 0, failed: 0, durationMs: 0 }
    this.#byTool.set(toolName, {
      calls: before.calls + 1,
      failed: before.failed + (ok ? 0 : 1),
      durationMs: before.durationMs + durationMs,
    })
  }
}
