import pLimit from 'p-limit'
import { linkedController } from '../abort.ts'
import type { TercetError } from '../errors.ts'
import { type ToolCall, type ToolResult, toolMessage } from '../messages.ts'
import { type ExecutionScope, executeToolCall } from '../tools/execute.ts'
import { type PlannedCall, repeatLevels } from '../transcript/next.ts'
import { fingerprint } from '../transcript/transcript.ts'
import type { Run } from './run.ts'

/**
 * Runs the calls of one step: side by side up to `toolConcurrency`, `serial` tools one after another, an `exclusive` one
 * alone. Every call gets exactly one result, written down as it finishes and told in the order of the calls.
 *
 * @throws FatalToolError from a tool, once the others have stopped.
 */
export async function executeTools(run: Run, planned: readonly PlannedCall[]): Promise<void> {
  const startedAt = run.settings.runtime.now()
  const { controller, unlink } = linkedController(run.signal)
  let fatal: TercetError | undefined
  const limit = pLimit(run.settings.toolConcurrency)
  const oneByOne = pLimit(1)
  const exclusive = planned.find(({ call, verdict }) => verdict === 'run' && toolOf(run, call)?.exclusive)

  const work = async (plan: PlannedCall): Promise<void> => {
    const refusal = refusalOf(plan, exclusive)
    if (refusal) return finish(run, plan.call, notExecuted(plan.call, refusal))
    try {
      // Not `??= await`: a call after a fatal one is not begun, but it is answered.
      const ended = await execute(run, plan, controller.signal)
      fatal ??= ended
      if (fatal) controller.abort(fatal)
    } catch (error) {
      // The others stop too; what they come to is still written down.
      controller.abort(error)
      throw error
    }
  }
  try {
    await settled(
      planned.map((plan) => {
        const begin = () => limit(() => work(plan))
        return toolOf(run, plan.call)?.serial ? oneByOne(begin) : begin()
      }),
    )
  } finally {
    unlink()
    run.toolMs += run.settings.runtime.now() - startedAt
  }
  const step = run.fold?.steps.at(-1)
  if (step) {
    run.emit({ type: 'tool_results', runId: run.runId, stepId: run.stepId, results: step.results })
    for (const result of step.results) {
      await run.hook(
        'onMessage',
        toolMessage({ id: result.callId, toolName: result.toolName }, result.output, result.ok),
      )
    }
  }
  if (fatal) throw fatal
  await run.paced()
}

/** Waits for all, then throws the first failure: nothing goes on behind the run's back. */
async function settled(works: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(works)) if (result.status === 'rejected') throw result.reason
}

const toolOf = (run: Run, call: ToolCall) => run.settings.registry.get(call.toolName)

interface Refusal {
  readonly code: string
  readonly message: string
}

function refusalOf(
  { call, verdict, started }: PlannedCall,
  exclusive: PlannedCall | undefined,
): Refusal | undefined {
  if (verdict === 'skip') {
    return { code: 'not_executed', message: 'Not executed: the run has used all its tool rounds.' }
  }
  if (verdict === 'block') {
    const message =
      `Not executed: "${call.toolName}" was called with these parameters ${repeatLevels.nudge} times and gave the same ` +
      'result each time. Use what you have, or try something else.'
    return { code: 'no_progress', message }
  }
  if (exclusive && exclusive.call.id !== call.id) {
    return {
      code: 'not_executed',
      message: `Not executed: "${exclusive.call.toolName}" runs alone. Call it again if you still need it.`,
    }
  }
  if (started !== undefined) {
    return {
      code: 'outcome_unknown',
      message: 'Outcome unknown: the call was started and interrupted. Find out before you repeat it.',
    }
  }
  return undefined
}

const stopped: Refusal = {
  code: 'not_executed',
  message: 'Not executed: the run was stopped before this call began.',
}

async function execute(
  run: Run,
  { call }: PlannedCall,
  signal: AbortSignal,
): Promise<TercetError | undefined> {
  if (signal.aborted) {
    await finish(run, call, notExecuted(call, stopped))
    return undefined
  }
  const base = {
    type: 'tool_execution' as const,
    runId: run.runId,
    stepId: run.stepId,
    callId: call.id,
    toolName: call.toolName,
  }
  let checked: ToolCall
  try {
    checked = await run.hook('beforeTool', call)
  } catch (error) {
    await finish(run, call, notExecuted(call, stopped))
    throw error
  }
  const idempotencyKey = `${run.runId}:${call.id}`
  await run.append({ type: 'tool_started', runId: run.runId, callId: call.id, idempotencyKey })
  run.emit({ ...base, status: 'started' })
  await run.paced()
  const { registry, runtime, maxToolOutput, graceMs, allowDynamicTools } = run.settings
  const scope: ExecutionScope = {
    runtime,
    signal,
    runId: run.runId,
    conversationId: run.conversation.id,
    context: run.context,
    idempotencyKey,
    maxOutput: maxToolOutput,
    graceMs,
    allowDynamicTools,
    secrets: run.secrets,
    onProgress: (progress) => run.emit({ ...base, status: 'progress', progress }),
    onDiagnostic: (code, message) => run.diagnose(code, message),
  }
  const outcome = signal.aborted
    ? ({ status: 'failed', result: notExecuted(call, stopped) } as const)
    : await executeToolCall({ ...checked, id: call.id }, registry, scope)
  if (outcome.status === 'abandoned') {
    run.diagnose('tool_abandoned', `The tool "${call.toolName}" ignored its signal and was left behind.`)
  }
  // Told before it is written down: what is written is what the tool gave, whatever a listener does.
  let result = Object.freeze(outcome.result)
  try {
    if (!signal.aborted) result = await afterTool(run, result)
  } finally {
    // What began is told to have ended, and kept, also when a hook ends the run.
    const status = outcome.status === 'abandoned' ? 'abandoned' : result.ok ? 'completed' : 'failed'
    run.emit({ ...base, status, result })
    await finish(run, call, result)
  }
  return outcome.fatal
}

/** The result as the hooks leave it. Which call it answers is not theirs to say. */
async function afterTool(run: Run, result: ToolResult): Promise<ToolResult> {
  const changed = await run.hook('afterTool', result)
  if (changed === result) return result
  const { callId, toolName } = result
  const whole = run.secrets.scrubber.value({ ...result, ...changed, callId, toolName })
  if (typeof whole.output === 'string' && typeof whole.ok === 'boolean') return Object.freeze(whole)
  run.diagnose(
    'hook_failed',
    'The hook afterTool gave a result whose output is no text, or whose ok is no boolean.',
  )
  return result
}

/** Writes the result down, with a word to a model that repeats itself. */
async function finish(run: Run, call: ToolCall, result: ToolResult): Promise<void> {
  const nudge = nudgeFor(run, call, result)
  if (nudge) run.diagnose('no_progress', `${call.toolName}: ${nudge}`)
  await run.append({ type: 'tool_finished', runId: run.runId, result, ...(nudge && { nudge }) })
}

function nudgeFor(run: Run, call: ToolCall, result: ToolResult): string | undefined {
  const { fold } = run
  const key = fingerprint(call)
  if (!fold?.learned.has(`${key} ${result.output}`) || toolOf(run, call)?.repeatable) return undefined
  const times = (fold.repeats.get(key) ?? 0) + 1
  if (times !== repeatLevels.nudge) return undefined
  return `You have made this call ${times} times with the same result. Repeating it will not help: use what you have, or try something else.`
}

function notExecuted(call: ToolCall, { code, message }: Refusal): ToolResult {
  return {
    callId: call.id,
    toolName: call.toolName,
    ok: false,
    output: message,
    error: { code, message },
    durationMs: 0,
  }
}
