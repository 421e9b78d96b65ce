import type { LLMClient, LLMRequest, ModelParams } from '../client/client.ts'
import type { AgentMemory } from '../memory/memory.ts'
import type { TokenCounts } from '../memory/tokens.ts'
import type { Runtime } from '../runtime.ts'
import type { ToolRegistry } from '../tools/registry.ts'
import type { CompiledSchema } from '../tools/schema.ts'
import type { Policy } from '../transcript/next.ts'
import type { Hooks } from './hooks.ts'
import type { InstructionsContext } from './options.ts'

/** What one run goes by: the agent's options with the run's own on top, every default filled in. */
export interface RunSettings {
  readonly client: LLMClient
  readonly registry: ToolRegistry
  readonly runtime: Runtime
  readonly instructions: (context: InstructionsContext) => string | Promise<string>
  readonly memory: AgentMemory | null
  readonly counts: TokenCounts
  readonly protocol: 'auto' | 'native' | 'json'
  readonly planning: 'auto' | 'required' | 'off'
  readonly stream: boolean
  readonly describeToolsets: boolean
  readonly output?: CompiledSchema
  readonly params?: ModelParams
  readonly contextWindow?: number
  readonly maxOutputTokens?: number
  readonly policy: Policy
  readonly timeoutMs: number
  readonly toolConcurrency: number
  readonly maxToolOutput: number
  readonly graceMs: number
  readonly allowDynamicTools: boolean
  readonly hooks: readonly Hooks[]
  /** Loads what the run will need beyond what every run needs. */
  readonly prepare: () => Promise<void>
  /** Hears each request as it is sent. */
  readonly onRequest: (request: LLMRequest) => void
}
