import { LLMError, RunTimeoutError, type TercetError } from '../errors.ts'
import type { AgentEvent, ContextReport, RunResult, Step } from '../events.ts'
import type { JsonValue } from '../json.ts'
import { noUsage } from '../messages.ts'
import type { Budget } from '../resilience/budget-options.ts'
import { ringAfter } from '../runtime.ts'
import { scrubbedError } from '../scrubbed-error.ts'
import type { Outcome } from '../transcript/next.ts'
import { runLoop } from './loop.ts'
import { prepare } from './prepare.ts'
import { abortError } from './result.ts'
import { Run, type RunOrder } from './run.ts'
import { isBudgetExceeded, RunBudget } from './run-budget.ts'
import type { RunSettings } from './settings.ts'

type Ended = Outcome | { readonly status: 'aborted'; readonly error: TercetError }

/** Does one run, from `run_start` to `run_end`. Never rejects: whatever happens is in the result. */
export async function performRun(order: RunOrder, settings: RunSettings): Promise<RunResult<JsonValue>> {
  const { conversation, work, turn, controller } = order
  const run = new Run(order, settings)

  // The id of a run that is resumed is known once its conversation is loaded.
  if ('input' in work) start(run)
  let begun = false
  let ended: Ended
  let stopTimer: (() => void) | undefined
  let stopBudget: (() => void) | undefined
  try {
    if (turn.comes) await run.wait(turn.comes)
    const preparing = prepare(settings, !('input' in work))
    if (preparing) await run.wait(preparing)
    stopTimer = startTimer(run, controller)
    const paced = run.paced()
    if (paced) await paced
    run.signal.throwIfAborted()
    const loading = conversation.load()
    if (loading) await run.wait(loading)
    if ('input' in work) {
      const message = run.secrets.scrubber.value(work.input)
      const saved = run.append({ type: 'input', runId: run.runId, message })
      if (saved) await saved
      begun = true
      if (run.isHooked) await run.hook('onMessage', message)
    } else {
      const { resumeRun } = await import('./resume-run.ts')
      begun = await resumeRun(run, work.decisions, () => start(run))
    }
    const { budget } = settings
    if (budget) stopBudget = startBudget(run, budget, controller)
    await run.paced()
    ended = await runLoop(run)
  } catch (thrown) {
    ended = outcomeOf(run, thrown)
  }
  order.inbox.close()
  // Within the time of the run: a store that hangs holds nobody up.
  if (begun) ended = await close(run, ended)
  stopTimer?.()
  stopBudget?.()

  try {
    const result = resultOf(run, ended)
    if (!run.isStarted) start(run)
    run.emit(endEvent(result))
    return result
  } finally {
    run.release()
    turn.leave()
  }
}

function start(run: Run): void {
  run.isStarted = true
  run.emit({ type: 'run_start', runId: run.runId, conversationId: run.conversation.id })
}

/** Gives back how to stop it, as does the next. */
function startTimer(run: Run, controller: AbortController): () => void {
  const { runtime, timeoutMs } = run.settings
  run.turnAt = runtime.now()
  return ringAfter(timeoutMs, runtime, () => {
    run.timeout = new RunTimeoutError(timeoutMs, run.turnMs)
    controller.abort(run.timeout)
  })
}

function startBudget(run: Run, budget: Budget, controller: AbortController): () => void {
  const over = new AbortController()
  run.budget = new RunBudget(budget, run.scope, run.settings)
  run.budget.timeUp(over.signal).then(
    (error) => {
      if (!error) return
      run.timeout = error
      controller.abort(error)
    },
    () => {},
  )
  return () => over.abort('over')
}

/** What stopped the run, when it was not `next`. */
function outcomeOf(run: Run, thrown: unknown): Ended {
  const { signal } = run
  if (signal.aborted) {
    const { reason } = signal
    // Its own: the one of another run, whose signal this one was given, is any reason.
    if (run.timeout && reason === run.timeout) return atLimit(run.timeout)
    return { status: 'aborted', error: abortError(reason) }
  }
  const error = scrubbedError(thrown, run.secrets.scrubber)
  if (isBudgetExceeded(error)) return atLimit(error)
  // A client that stopped by itself for a reason of its own, such as its own deadline.
  const aborted = error instanceof LLMError && error.kind === 'aborted'
  return aborted ? { status: 'aborted', error } : { status: 'failed', error }
}

const atLimit = (error: TercetError): Ended => ({
  status: 'limit',
  limit: isBudgetExceeded(error) ? 'budget' : 'time',
  error,
})

/** Writes down that the run has ended, open calls being answered as interrupted, or that it waits. */
async function close(run: Run, ended: Ended): Promise<Ended> {
  const { runId } = run
  const { status } = ended
  const error = 'error' in ended ? { code: ended.error.code, message: ended.error.message } : undefined
  try {
    const saved = run.append(
      status === 'suspended'
        ? { type: 'run_suspended', runId }
        : {
            type: 'run_ended',
            runId,
            status,
            ...('limit' in ended && { limit: ended.limit }),
            ...(error && { error }),
          },
    )
    if (saved) await saved
    const rest = run.save()
    if (rest) await rest
    return ended
  } catch (thrown) {
    // What went wrong first is what the caller needs to know.
    return status === 'done' || status === 'suspended' ? outcomeOf(run, thrown) : ended
  }
}

function resultOf(run: Run, ended: Ended): RunResult<JsonValue> {
  const { fold } = run
  const { last, usage = noUsage } = fold ?? {}
  const text = last?.text ?? ''
  const landed = ended.status === 'done' ? ended.landed : undefined
  const limit = ended.status === 'limit' ? ended.limit : landed
  return {
    status: ended.status,
    ...(ended.status === 'done' && { answer: run.answerOr(text) }),
    ...(ended.status !== 'done' && text !== '' && { partial: text }),
    ...(fold?.plan !== undefined && { plan: fold.plan }),
    steps: (fold?.steps ?? []).map((step) => withContext(step, run.contexts.get(step.stepId))),
    usage,
    ...(usage.costUsd !== undefined && { cost: { usd: usage.costUsd } }),
    ...('error' in ended && { error: ended.error }),
    ...(landed && { landed: true as const }),
    ...(ended.status === 'done' && last?.degraded && { degraded: true as const }),
    ...(limit && { limit }),
    ...(ended.status === 'suspended' && { pending: ended.pending }),
    runId: run.runId,
    conversationId: run.conversation.id,
    history: run.transcript.history(),
    timing: {
      totalMs: run.elapsedMs,
      modelMs: run.modelMs,
      toolMs: run.toolMs,
      ...(run.firstTokenMs !== undefined && { firstTokenMs: run.firstTokenMs }),
    },
  }
}

const withContext = (step: Step, context: ContextReport | undefined): Step =>
  context ? { ...step, context } : step

function endEvent(result: RunResult<JsonValue>): AgentEvent {
  const { runId, status, limit, pending, usage, answer, partial, error } = result
  return {
    type: 'run_end',
    runId,
    status,
    ...(limit && { limit }),
    ...(pending && { pending }),
    usage,
    ...(answer !== undefined && { answer }),
    ...(partial !== undefined && { partial }),
    ...(error && { error: error.toJSON() }),
  }
}
