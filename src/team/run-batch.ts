import { linkedController, untilAborted } from '../abort.ts'
import type { Agent } from '../agent/agent.ts'
import { type PartOptions, partChecks } from '../agent/options.ts'
import { ConfigurationError } from '../errors.ts'
import type { RunResult } from '../events.ts'
import { canonicalJson, type JsonValue, jsonCopy } from '../json.ts'
import { type Content, parseContent } from '../messages.ts'
import {
  type Checks,
  checkMembers,
  checkOptions,
  filledText,
  fn,
  integer,
  optional,
  that,
} from '../options.ts'
import type { Entry } from '../transcript/entry.ts'

/** What every run of the batch is given, and what is of the batch as a whole. `signal` stops all of it. */
export interface RunBatchOptions<Answer = string> extends PartOptions {
  /** Runs at once. Default: 4. */
  readonly concurrency?: number
  /**
   * Keeps each run as the conversation `${batchId}/${index}` of the agent's store, so that the same batch can be run again:
   * what is done is not done again. Default: nothing is kept.
   */
  readonly batchId?: string
  /** Hears of each run that ended, in the order in which they end. What it throws harms nothing. */
  readonly onProgress?: (progress: BatchProgress<Answer>) => void
}

export interface BatchProgress<Answer = string> {
  /** The input's place among the inputs, from 0. */
  readonly index: number
  readonly result: RunResult<Answer>
  /** Runs that have ended, this one included. */
  readonly ended: number
  /** Of those, the ones that gave no answer: each `status` but `done`. */
  readonly unanswered: number
  readonly total: number
}

/** What runs are started by: an agent. */
type Runner<Answer> = Pick<Agent<Answer>, 'runStream' | 'resumeStream' | 'conversation'>

/**
 * Runs the agent on each of `inputs`, some at once, each in a conversation of its own. Gives what each came to, in the order
 * of the inputs: a run that fails, waits for approval or is stopped is one of the results, and never loses the others. After
 * an abort, those that have not begun are `aborted` as well, and nothing was sent for them.
 *
 * With a `batchId`, an input whose run is done gives its answer again without a call of the model; one that failed, was
 * stopped or was left by a crash goes on where it was; one that waits for approval goes on waiting.
 *
 * @throws ConfigurationError for wrong arguments, before anything is run, and for a `batchId` under which there are runs of
 * other inputs; AgentClosedError when the agent is closed meanwhile.
 */
export async function runBatch<Answer = string>(
  agent: Runner<Answer>,
  inputs: readonly Content[],
  options: RunBatchOptions<Answer> = {},
): Promise<RunResult<Answer>[]> {
  checkOptions('runBatch()', options, checks())
  checkMembers('runBatch()', { inputs }, { inputs: that('an array of inputs', Array.isArray) })
  const contents = inputs.map((input, index) => parseContent(input, `inputs[${index}]`))
  const { concurrency = 4, batchId, onProgress, ...given } = options
  const { default: pLimit } = await import('p-limit')
  // Should one of them throw, the others are stopped: nobody would hear of them.
  const { controller, unlink } = linkedController(given.signal)
  const part = { ...given, signal: controller.signal }
  let ended = 0
  let unanswered = 0
  const runOne = async (input: Content, index: number): Promise<RunResult<Answer>> => {
    const result =
      batchId === undefined
        ? await agent.runStream(input, { ...part, history: [] }).result
        : await runOrResume(agent, input, { batchId, index }, part)
    ended += 1
    if (result.status !== 'done') unanswered += 1
    try {
      onProgress?.({ index, result, ended, unanswered, total: contents.length })
    } catch {
      // A listener that throws cannot harm a batch.
    }
    return result
  }
  const limit = pLimit(concurrency)
  const runs = contents.map((input, index) => limit(runOne, input, index))
  try {
    return await Promise.all(runs)
  } catch (error) {
    controller.abort(error)
    await Promise.allSettled(runs)
    throw error
  } finally {
    unlink()
  }
}

// A function: a bundler keeps what is called when a module is loaded, also for those who never use it.
const checks = (): Checks => ({
  ...partChecks,
  concurrency: optional(integer(1, 1000)),
  batchId: optional(filledText()),
  onProgress: optional(fn()),
})

async function runOrResume<Answer>(
  agent: Runner<Answer>,
  input: Content,
  { batchId, index }: { readonly batchId: string; readonly index: number },
  options: PartOptions & { signal: AbortSignal },
): Promise<RunResult<Answer>> {
  const conversation = `${batchId}/${index}`
  // What cannot be read, the run itself will say.
  const reading = agent.conversation(conversation).entries()
  const entries = await untilAborted(reading, options.signal).catch(() => undefined)
  const begun = entries && lastInput(entries)
  if (entries && begun === undefined) return agent.runStream(input, { ...options, conversation }).result
  if (begun !== undefined && !isSame(input, begun)) {
    throw new ConfigurationError(
      `inputs[${index}]`,
      `The batch "${batchId}" was run with another input at ${index}. Use another batchId, or the inputs it was begun with.`,
    )
  }
  return agent.resumeStream(conversation, options).result
}

function lastInput(entries: readonly Entry[]): Content | undefined {
  return entries.findLast((entry) => entry.type === 'input')?.message.content
}

function isSame(input: Content, kept: Content): boolean {
  const [now, then] = [input, kept].map((content) => canonicalJson(jsonCopy<unknown>(content) as JsonValue))
  // What is kept is free of secrets: where one was taken out of it, it may have been this input.
  return now === then || then?.includes('[secret') === true
}
