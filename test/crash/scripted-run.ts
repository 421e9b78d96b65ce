import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { Agent } from '../../src/agent/agent.ts'
import { calls } from '../../src/testing/script.ts'
import { ScriptedClient } from '../../src/testing/scripted-client.ts'
import { tool } from '../../src/tools/define.ts'
import type { Effect, Tool } from '../../src/tools/tool.ts'
import type { Entry } from '../../src/transcript/entry.ts'
import type { ConversationQuery, ConversationStore } from '../../src/transcript/store.ts'
import { requestFault } from '../laws/support/request-faults.ts'

const effects: readonly Effect[] = ['read', 'idempotent', 'once']

const steps: readonly (readonly Effect[])[] = [
  ['read'],
  ['once'],
  ['idempotent'],
  ['once', 'read'],
  ['once', 'idempotent', 'read'],
]

/** Six model calls; the tools of five of them leave a line for each effect. */
export const replies = [
  ...steps.map((step, at) => calls(...step.map((effect, n) => [effect, { at, n }, `${at}-${n}`] as const))),
  'The end.',
]

/** One line of what a process left behind, in the file of its conversation. */
export type Trace =
  | { readonly is: 'acknowledged'; readonly version: number }
  | { readonly is: 'effect'; readonly callId: string; readonly tool: string; readonly key: string }
  | { readonly is: 'fault'; readonly message: string }

export interface World {
  readonly store: ConversationStore
  readonly folder: string
  /** Passed just before and just after each append and each effect. */
  readonly boundary: () => void
  /** What the tools say of themselves, where that is not the truth. */
  readonly pretended?: Effect | undefined
  readonly slowMs?: number | undefined
}

export const traceFile = (folder: string, conversation: string): string =>
  join(folder, `${conversation}.jsonl`)

/** Leaves traces in the files of their conversations. */
export const tracing =
  <Left>({ folder }: World) =>
  (conversation: string, trace: Left) =>
    appendFileSync(traceFile(folder, conversation), `${JSON.stringify(trace)}\n`)

export function scriptedAgent(world: World): Agent {
  const traced = tracing<Trace>(world)
  const store = watched(world, (id, version) => traced(id, { is: 'acknowledged', version }))
  const client = new ScriptedClient(async (request) => {
    // The question names the conversation.
    const conversation = String(request.messages[0]?.content)
    const fault = requestFault(request)
    if (fault) traced(conversation, { is: 'fault', message: fault })
    const entries = await world.store.read(conversation)
    return replies[entries.filter(({ type }) => type === 'reply').length] ?? 'More?'
  })
  const recorder = (effect: Effect): Tool =>
    tool({
      name: effect,
      description: 'Leaves a line',
      parameters: { type: 'object', properties: { at: { type: 'number' }, n: { type: 'number' } } },
      effect: world.pretended ?? effect,
      execute: async (_, { callId, idempotencyKey, conversationId }) => {
        world.boundary()
        traced(conversationId, { is: 'effect', callId, tool: effect, key: idempotencyKey })
        world.boundary()
        if (world.slowMs) await new Promise((resolve) => setTimeout(resolve, world.slowMs))
        return 'done'
      },
    })
  return new Agent({ client, tools: effects.map(recorder), store, retry: false })
}

/** The store, with a boundary before and after each append. */
export function watched(
  { store, boundary }: World,
  acknowledged: (id: string, version: number) => void,
): ConversationStore {
  return {
    append: async (id: string, expectedVersion: number, entries: readonly Entry[]) => {
      boundary()
      const version = await store.append(id, expectedVersion, entries)
      acknowledged(id, version)
      boundary()
      return version
    },
    init: () => store.init(),
    read: (id: string, from?: number, to?: number) => store.read(id, from, to),
    list: (query?: ConversationQuery) => store.list(query),
    delete: (id: string) => store.delete(id),
    close: () => store.close(),
  }
}
