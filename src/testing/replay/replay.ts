import { untilAborted } from '../../abort.ts'
import type { Agent } from '../../agent/agent.ts'
import type { Hooks } from '../../agent/hooks.ts'
import type { RunOptions } from '../../agent/options.ts'
import type { LLMClient } from '../../client/client.ts'
import { jsonCopy } from '../../json.ts'
import { type Check, checkOptions, object, oneOf, optional } from '../../options.ts'
import { createRuntime, type Runtime } from '../../runtime.ts'
import type { Tool } from '../../tools/tool.ts'
import type { Entry } from '../../transcript/entry.ts'
import type { ConversationStore } from '../../transcript/store.ts'
import { ReplayClient } from './client.ts'
import { passagesOf } from './runs.ts'
import { type FirstDifference, ReplayStore } from './store.ts'
import { ReplayTools } from './tools.ts'

/** What a replayed agent is made with instead of a model, a store and a clock: `new Agent({ ...parts, … })`. */
export interface ReplayParts {
  readonly client: LLMClient
  readonly store: ConversationStore
  readonly runtime: Runtime
  /** Feeds tools their results. With hooks of your own: `hooks: [own, parts.hooks]`, without those that change replies or results. */
  readonly hooks: Hooks
  readonly retry: false
}

export interface ReplayOptions {
  /** In which protocol the model was spoken to, for transcripts without a whole reply. Default: `native`. */
  readonly protocol?: 'native' | 'json'
  /** The options that the runs had. Default: none. */
  readonly run?: Omit<RunOptions, 'history' | 'signal'>
}

export type ReplayReport = {
  /** The transcript as it was made again, up to the first difference. */
  readonly entries: readonly Entry[]
  /** Runs that were not made again, because not all that they followed from is in a transcript. */
  readonly skipped: readonly SkippedRun[]
} & ({ readonly identical: true } | ({ readonly identical: false } & FirstDifference))

export interface SkippedRun {
  readonly position: number
  readonly runId: string
  readonly why: string
}

/**
 * Makes the runs of a transcript again, with the replies and results that are in it, and says whether the agent still
 * comes to the same entries, or where it first does not. No model is asked and no tool executed. Taken over as they are:
 * how long a tool took and which was done first, what stands between runs, and runs that were stopped or suspended.
 *
 * ```ts
 * const report = await replay(entries, (parts, tool) => new Agent({ ...parts, instructions, tools: [tool(weather)] }))
 * ```
 *
 * @throws ConfigurationError if the agent has a tool that would be executed.
 */
export async function replay<Answer>(
  entries: readonly Entry[],
  make: (parts: ReplayParts, tool: <Input>(tool: Tool<Input>) => Tool<Input>) => Agent<Answer>,
  options: ReplayOptions = {},
): Promise<ReplayReport> {
  checkOptions('replay', options, checks)
  const recorded = jsonCopy(entries)
  const stop = new AbortController()
  const store = new ReplayStore(recorded, () => stop.abort('it differs'))
  const client = new ReplayClient(options.protocol ?? 'native')
  const tools = new ReplayTools()
  const skipped: SkippedRun[] = []
  let runId = conversation

  await using agent = make(
    { client, store, runtime: frozenRuntime(() => runId), hooks: tools.hooks, retry: false },
    tools.tool,
  )
  tools.refuseOthers(agent.tools)
  for (const passage of passagesOf(recorded)) {
    const { position, run, obstacle } = passage
    const [first] = passage.entries
    if (obstacle && first?.type === 'input') skipped.push({ position, runId: first.runId, why: obstacle })
    if (!run) {
      await store.append(conversation, position, passage.entries)
      continue
    }
    runId = run.input.runId
    client.begin(run)
    tools.begin(passage)
    const running = { conversation, ...options.run, signal: stop.signal }
    await agent.runStream(run.input.message.content, running).result
    store.expectLength(position + passage.entries.length)
    if (store.difference) break
  }
  const { difference } = store
  const made = { entries: store.entries, skipped }
  return difference ? { identical: false, ...difference, ...made } : { identical: true, ...made }
}

const conversation = 'replay'

const checks: Record<keyof ReplayOptions, Check> = {
  protocol: optional(oneOf('native', 'json')),
  run: optional(object()),
}

/** Time does not pass, nothing is at random, and a run is called what it was called. */
function frozenRuntime(runId: () => string): Runtime {
  return createRuntime({
    now: () => 0,
    sleep: (_, signal = new AbortController().signal) => untilAborted(new Promise<never>(() => {}), signal),
    random: () => 0,
    id: runId,
  })
}
