import { untilAborted } from '../abort.ts'
import { wrapClient } from '../client/client.ts'
import type { CompactionReport, RunResult } from '../events.ts'
import type { JsonValue } from '../json.ts'
import { DefaultMemory } from '../memory/default-memory.ts'
import type { Compactor } from '../memory/memory.ts'
import { growingRepair } from '../memory/repair.ts'
import { TokenCounts } from '../memory/tokens.ts'
import { growingNativeProtocol } from '../protocol/native.ts'
import { retry } from '../resilience/retry.ts'
import { CompiledSchema } from '../tools/schema.ts'
import type { CompactionOrder } from './compact-conversation.ts'
import type { AgentOptions, PartOptions } from './options.ts'
import { performRun } from './perform-run.ts'
import type { RunOrder } from './run.ts'
import { type AgentParts, settingsOf } from './settings.ts'

/** What the agent itself gives to its runs. */
export type EngineParts = Pick<
  AgentParts,
  'agentName' | 'client' | 'registry' | 'runtime' | 'instructions' | 'onRequest'
>

/**
 * Does the runs of one agent, and keeps what they share. All that only a run needs is reached from here, and is loaded with
 * an agent's first run.
 */
export class Engine {
  readonly #options: AgentOptions<unknown>
  readonly #parts: AgentParts

  constructor(options: AgentOptions<unknown>, parts: EngineParts) {
    const { client, runtime } = parts
    const outer = options.retry === false ? [] : [retry({ runtime, ...options.retry })]
    // What a run puts around the client is within the retries, so that each attempt passes it.
    const clientWith: AgentParts['clientWith'] = (...inner) => wrapClient(client, ...outer, ...inner)
    this.#options = options
    this.#parts = {
      ...parts,
      client: clientWith(),
      clientWith,
      memory: options.memory === undefined ? new DefaultMemory() : options.memory,
      counts: new TokenCounts(options.countTokens),
      repair: growingRepair(),
      native: growingNativeProtocol(),
      output: options.output && new CompiledSchema(options.output),
    }
  }

  /** Does one run. Never rejects: whatever happens is in the result. */
  run(order: RunOrder, options: PartOptions): Promise<RunResult<JsonValue>> {
    return performRun(order, settingsOf(this.#parts, this.#options, options))
  }

  /** Compacts a conversation when no run is going on in it. */
  async compact(
    compactor: Compactor,
    order: Omit<CompactionOrder, 'agentName' | 'counts'>,
  ): Promise<CompactionReport> {
    const { agentName, counts } = this.#parts
    const { compactConversation } = await untilAborted(import('./compact-conversation.ts'), order.signal)
    return compactConversation(compactor, { ...order, agentName, counts })
  }
}
