import type { ClientMiddleware, LLMClient, LLMRequest, ModelParams } from '../client/client.ts'
import type { ToolPolicy } from '../guard/policy.ts'
import type { AgentBlocks, AgentMemory, Compactor } from '../memory/memory.ts'
import type { Repaired } from '../memory/repair.ts'
import type { TokenCounts } from '../memory/tokens.ts'
import type { Message } from '../messages.ts'
import type { Protocol } from '../protocol/protocol.ts'
import type { Budget } from '../resilience/budget-options.ts'
import type { Runtime } from '../runtime.ts'
import type { ToolRegistry } from '../tools/registry.ts'
import type { CompiledSchema } from '../tools/schema.ts'
import type { Policy } from '../transcript/next.ts'
import type { Hooks } from './hooks.ts'
import type { AgentOptions, InstructionsContext, PartOptions, UnknownOutcomeHandler } from './options.ts'

/** What of an agent its runs share. */
export interface AgentParts {
  readonly agentName: string
  readonly client: LLMClient
  /** The same client with something of the run's own around each attempt. */
  readonly clientWith: (...inner: ClientMiddleware[]) => LLMClient
  readonly registry: ToolRegistry
  readonly runtime: Runtime
  readonly instructions: (context: InstructionsContext) => string | Promise<string>
  readonly memory: AgentMemory | null
  readonly counts: TokenCounts
  readonly repair: (history: readonly Message[]) => Repaired
  readonly native: Protocol
  readonly output: CompiledSchema | undefined
  /** Hears each request as it is sent. */
  readonly onRequest: (request: LLMRequest) => void
}

/** What one run goes by: the agent's options with the run's own on top, every default filled in. */
export interface RunSettings extends AgentParts {
  readonly protocol: 'auto' | 'native' | 'json'
  readonly planning: 'auto' | 'required' | 'off'
  readonly stream: boolean
  readonly describeToolsets: boolean
  readonly params?: ModelParams
  readonly contextWindow?: number
  readonly maxOutputTokens?: number
  readonly policy: Policy
  readonly toolPolicy?: ToolPolicy
  readonly onUnknownOutcome?: UnknownOutcomeHandler
  readonly budget?: Budget
  readonly durability: 'step' | 'run'
  readonly timeoutMs: number
  readonly toolConcurrency: number
  readonly maxToolOutput: number
  readonly graceMs: number
  readonly allowDynamicTools: boolean
  readonly hooks: readonly Hooks[]
  readonly compactor?: Compactor
  readonly contextBudget: number
  /** `load` does so once in the run, however often it is called. */
  readonly blocks?: AgentBlocks
}

export function settingsOf<Answer>(
  parts: AgentParts,
  agent: AgentOptions<Answer>,
  run: PartOptions,
): RunSettings {
  const { contextWindow, maxOutputTokens, policy: toolPolicy, onUnknownOutcome, budget, compactor } = agent
  const maxToolRounds = run.maxToolRounds ?? agent.maxToolRounds
  const params = {
    ...(maxOutputTokens !== undefined && { maxOutputTokens }),
    ...agent.params,
    ...run.params,
  }
  return {
    ...parts,
    protocol: agent.protocol ?? 'auto',
    planning: agent.planning ?? 'auto',
    stream: run.stream ?? agent.stream ?? true,
    describeToolsets: agent.describeToolsets ?? true,
    ...(Object.keys(params).length > 0 && { params }),
    ...(contextWindow !== undefined && { contextWindow }),
    ...(maxOutputTokens !== undefined && { maxOutputTokens }),
    policy: {
      maxIterations: run.maxIterations ?? agent.maxIterations ?? 10,
      ...(maxToolRounds !== undefined && { maxToolRounds }),
      maxConsecutiveToolErrors: agent.maxConsecutiveToolErrors ?? 3,
      repairAttempts: agent.repairAttempts ?? 1,
      outputRepairAttempts: agent.outputRepairAttempts ?? 2,
      onLimit: run.onLimit ?? agent.onLimit ?? 'throw',
    },
    ...(toolPolicy && { toolPolicy }),
    ...(onUnknownOutcome && { onUnknownOutcome }),
    ...(budget && { budget }),
    durability: agent.durability ?? 'step',
    timeoutMs: run.timeoutMs ?? agent.timeoutMs ?? 300_000,
    toolConcurrency: agent.toolConcurrency ?? 4,
    maxToolOutput: agent.maxToolOutput ?? 50_000,
    graceMs: agent.graceMs ?? 50,
    allowDynamicTools: agent.allowDynamicTools ?? false,
    hooks: [agent.hooks ?? []].flat(),
    ...(compactor && { compactor }),
    contextBudget: agent.contextBudget ?? 0.8,
    ...(agent.blocks && { blocks: loadedOnce(agent.blocks) }),
  }
}

// What another process writes meanwhile would change the beginning of the run's requests half-way, and cost the
// provider's cache.
function loadedOnce(blocks: AgentBlocks): AgentBlocks {
  let loading: Promise<void> | undefined
  return {
    load() {
      loading ??= blocks.load()
      return loading
    },
    buildSystemPrompt: (instructions) => blocks.buildSystemPrompt(instructions),
    buildMessages: (messages) => blocks.buildMessages(messages),
  }
}
