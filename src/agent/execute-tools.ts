import { linkedController } from '../abort.ts'
import type { TercetError } from '../errors.ts'
import { type ToolCall, type ToolResult, toolMessage } from '../messages.ts'
import { type ExecutionScope, executeToolCall } from '../tools/execute.ts'
import type { ToolConversation } from '../tools/tool.ts'
import { type PlannedCall, repeatLevels } from '../transcript/next.ts'
import { fingerprint, isLearned, isUndecided } from '../transcript/transcript.ts'
import { type Admission, admitFree, isFree } from './free-call.ts'
import { notExecuted, type Refusal } from './refuse-call.ts'
import type { Run } from './run.ts'
import type { RunBudget } from './run-budget.ts'

/**
 * Runs the calls of one step: side by side up to `toolConcurrency`, `serial` tools one after another, an `exclusive` one
 * alone. Every call gets exactly one result, written down as it finishes and told in the order of the calls.
 *
 * @throws FatalToolError from a tool, once the others have stopped.
 */
export async function executeTools(run: Run, planned: readonly PlannedCall[]): Promise<void> {
  // Also when the reply was given in another process.
  run.stepId = run.fold?.last?.stepId ?? run.stepId
  const startedAt = run.settings.runtime.now()
  const exclusive = exclusiveOf(run, planned)
  // Before any of them begins, so that they begin in their order.
  const admit = planned.every((plan) => isFree(run, plan, exclusive))
    ? admitFree
    : (await import('./admit-call.ts')).admitCall
  // Most steps have one call, which waits for nobody.
  const pLimit = planned.length === 1 ? undefined : (await import('p-limit')).default
  // What stops the others when one of them ends the run; a call alone has no others.
  const others = pLimit && linkedController(run.signal)
  const signal = others?.controller.signal ?? run.signal
  let fatal: TercetError | undefined

  const work = async (plan: PlannedCall): Promise<void> => {
    try {
      // Not `??= await`: a call after a fatal one is not begun, but it is answered.
      const ended = await answer(run, plan, (it) => admit(run, it, exclusive), signal)
      fatal ??= ended
      if (fatal) others?.controller.abort(fatal)
    } catch (error) {
      // The others stop too; what they come to is still written down.
      others?.controller.abort(error)
      throw error
    }
  }
  try {
    if (pLimit) await settled(sideBySide(run, planned, work, pLimit))
    else for (const plan of planned) await work(plan)
    if (fatal) await withdraw(run)
  } catch (error) {
    // What went wrong first is what the caller needs to know.
    await withdraw(run).catch(() => {})
    throw error
  } finally {
    others?.unlink()
    run.toolMs += run.settings.runtime.now() - startedAt
  }
  const step = run.fold?.steps.at(-1)
  // Not yet, while some of its calls wait for a decision.
  if (step && run.fold?.pending.length === 0) {
    run.emit({ type: 'tool_results', runId: run.runId, stepId: run.stepId, results: step.results })
    if (run.isHooked) await tellHooks(run, step.results)
  }
  if (fatal) throw fatal
  await run.paced()
}

function sideBySide(
  run: Run,
  planned: readonly PlannedCall[],
  work: (plan: PlannedCall) => Promise<void>,
  pLimit: typeof import('p-limit').default,
): Promise<void>[] {
  const limit = pLimit(run.settings.toolConcurrency)
  const oneByOne = pLimit(1)
  return planned.map((plan) => {
    const begin = () => limit(() => work(plan))
    return toolOf(run, plan.call)?.serial ? oneByOne(begin) : begin()
  })
}

async function tellHooks(run: Run, results: readonly ToolResult[]): Promise<void> {
  for (const { callId, toolName, output, ok } of results)
    await run.hook('onMessage', toolMessage({ id: callId, toolName }, output, ok))
}

/** Waits for all, then throws the first failure: nothing goes on behind the run's back. */
async function settled(works: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(works)) if (result.status === 'rejected') throw result.reason
}

/** The run fails here: what waits for a decision is not asked for any more, and its step is whole. */
async function withdraw(run: Run): Promise<void> {
  const { fold } = run
  // One that was stopped goes on waiting.
  if (!fold || run.signal.aborted) return
  const waiting = fold.pending.filter(({ id }) => isUndecided(fold, id))
  for (const call of waiting) await finish(run, call, notExecuted(call, stopped))
}

const toolOf = (run: Run, call: ToolCall) => run.settings.registry.get(call.toolName)

/** The call of the step that runs alone, if there is one; also when it waits for a decision, or has run already. */
function exclusiveOf({ settings, fold }: Run, planned: readonly PlannedCall[]): ToolCall | undefined {
  const isRefused = ({ id }: ToolCall) => {
    const plan = planned.find(({ call }) => call.id === id)
    if (plan) return plan.verdict !== 'run'
    return !fold?.started?.has(id) && !fold?.pending.some((call) => call.id === id)
  }
  const isExclusive = ({ toolName }: ToolCall) => settings.registry.get(toolName)?.exclusive === true
  return fold?.last?.toolCalls?.find((call) => isExclusive(call) && !isRefused(call))
}

const stopped: Refusal = {
  code: 'not_executed',
  message: 'Not executed: the run was stopped before this call began.',
}

/** Gives a call its result, unless it has to wait for a decision. */
async function answer(
  run: Run,
  plan: PlannedCall,
  admit: (plan: PlannedCall) => Admission | Promise<Admission>,
  signal: AbortSignal,
): Promise<TercetError | undefined> {
  const { call } = plan
  // One that began in another process stays what it is: unknown.
  const stop = async () => {
    if (plan.started === undefined) await finish(run, call, notExecuted(call, stopped))
  }
  if (signal.aborted) {
    await stop()
    return undefined
  }
  let admission: Admission
  try {
    const admitted = admit(plan)
    admission = admitted instanceof Promise ? await admitted : admitted
    if (run.budget && admission.admit === 'execute')
      admission = await withinBudget(run, run.budget, admission)
  } catch (error) {
    await stop()
    throw error
  }
  if (admission.admit === 'execute') return execute(run, call, admission, signal)
  if (admission.admit === 'answer') await finish(run, call, admission.result)
  return undefined
}

/** What a budget does not allow ends the run; one that is to land does so, and the call is answered. */
async function withinBudget(
  run: Run,
  budget: RunBudget,
  admission: Extract<Admission, { admit: 'execute' }>,
): Promise<Admission> {
  const refusal = await run.wait(budget.takeToolCall(run.signal))
  if (!refusal) return admission
  if (run.settings.policy.onLimit !== 'land') throw refusal
  const { message } = refusal
  return { admit: 'answer', result: notExecuted(admission.call, { code: 'not_executed', message }) }
}

async function execute(
  run: Run,
  call: ToolCall,
  { call: admitted, note }: Extract<Admission, { admit: 'execute' }>,
  signal: AbortSignal,
): Promise<TercetError | undefined> {
  const base = {
    type: 'tool_execution' as const,
    runId: run.runId,
    stepId: run.stepId,
    callId: call.id,
    toolName: call.toolName,
  }
  const idempotencyKey = `${run.fold?.askedBy ?? run.runId}:${call.id}`
  try {
    const saved = run.append({ type: 'tool_started', runId: run.runId, callId: call.id, idempotencyKey })
    if (saved) await saved
  } catch (error) {
    // Nothing begins that is not known to be written down.
    await finish(run, call, notExecuted(call, stopped))?.catch(() => {})
    throw error
  }
  run.emit({ ...base, status: 'started' })
  const paced = run.paced()
  if (paced) await paced
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
    conversation: conversationOf(run),
    secrets: run.secrets,
    onProgress: (progress) => run.emit({ ...base, status: 'progress', progress }),
    onDiagnostic: (code, message) => run.diagnose(code, message),
  }
  const outcome = signal.aborted
    ? ({ status: 'failed', result: notExecuted(call, stopped) } as const)
    : await executeToolCall(admitted, registry, scope)
  if (outcome.status === 'abandoned') {
    run.diagnose('tool_abandoned', `The tool "${call.toolName}" ignored its signal and was left behind.`)
  }
  let result = Object.freeze(outcome.result)
  try {
    if (run.isHooked && !signal.aborted) result = await afterTool(run, result)
  } finally {
    // What began is kept and told to have ended, also when a hook or the store ends the run.
    const status = outcome.status === 'abandoned' ? 'abandoned' : result.ok ? 'completed' : 'failed'
    try {
      const saved = finish(run, call, result, note)
      if (saved) await saved
    } finally {
      run.emit({ ...base, status, result })
    }
  }
  return outcome.fatal
}

function conversationOf(run: Run): ToolConversation {
  return {
    history: () => run.transcript.history(),
    compact: async (compactor) => {
      const { compactInRun } = await import('./compact.ts')
      const { report, error } = await compactInRun(run, compactor)
      if (error) throw error
      return report
    },
  }
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
function finish(run: Run, call: ToolCall, result: ToolResult, note?: string): Promise<void> | undefined {
  const repeated = nudgeFor(run, call, result)
  if (repeated) run.diagnose('no_progress', `${call.toolName}: ${repeated}`)
  const nudge = [note, repeated].filter(Boolean).join('\n\n')
  return run.append({ type: 'tool_finished', runId: run.runId, result, ...(nudge && { nudge }) })
}

function nudgeFor(run: Run, call: ToolCall, result: ToolResult): string | undefined {
  const { fold } = run
  if (!fold || !isLearned(fold, call, result) || toolOf(run, call)?.repeatable) return undefined
  const times = (fold.repeats?.get(fingerprint(call)) ?? 0) + 1
  if (times !== repeatLevels.nudge) return undefined
  return `You have made this call ${times} times with the same result. Repeating it will not help: use what you have, or try something else.`
}
