import {
  Agent,
  type AgentOptions,
  type JsonToolOptions,
  MemoryStore,
  type RunResult,
  type Tool,
  tool,
} from '../../src/index.ts'
import { ScriptedClient, type ScriptedReply, virtualClock } from '../../src/testing/index.ts'

const parameters = { type: 'object', properties: { n: { type: 'number' } } } as const

/** A conversation `c` in a store, agents that go on with it, and what their tools did. */
export function approvalStage(script: readonly ScriptedReply[], options: Partial<AgentOptions> = {}) {
  const ran: { readonly toolName: string; readonly callId: string; readonly input: unknown }[] = []
  const make = (name: string, more: Partial<JsonToolOptions<Record<never, never>>> = {}): Tool =>
    tool({
      name,
      description: name,
      parameters,
      execute: (input, { callId }) => {
        ran.push({ toolName: name, callId, input })
        return `${name} is done`
      },
      ...more,
    })
  const clock = virtualClock()
  const store = new MemoryStore()
  const client = new ScriptedClient(script, { runtime: clock.runtime })
  /** Each as in another process: it knows the store alone. */
  const agent = (changes: Partial<AgentOptions> = {}) =>
    new Agent({
      client,
      store,
      runtime: clock.runtime,
      tools: [make('pay'), make('look')],
      policy: { confirm: 'pay' },
      ...options,
      ...changes,
    })
  return { agent, client, clock, make, ran, store }
}

/** The begun run's result, in conversation `c`. */
export const begin = (agent: Agent, input = 'Go.'): Promise<RunResult> =>
  agent.runStream(input, { conversation: 'c' }).result

/** What the model was last shown of its calls. */
export function resultsShown(client: ScriptedClient): string[] {
  const messages = client.requests.at(-1)?.messages ?? []
  return messages.flatMap(({ role, content }) => (role === 'tool' ? [String(content)] : []))
}
