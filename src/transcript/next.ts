import {
  type BudgetExceededError,
  LLMError,
  MaxIterationsError,
  MaxToolRoundsError,
  NoProgressError,
  OutputValidationError,
  RefusedError,
  ResponseParseError,
  type TercetError,
  ToolExecutionError,
} from '../errors.ts'
import type { PendingCall, RunLimit } from '../events.ts'
import type { ToolCall } from '../messages.ts'
import type { Decision, ReplyEntry } from './entry.ts'
import { fingerprint, isUndecided, type RunFold, type Transcript } from './transcript.ts'

/** What must happen now. */
export type Action =
  | {
      readonly do: 'call'
      /** The limit at which the model is told to answer with what it has. */
      readonly landing?: RunLimit
      /** What to say about the reply before, which could not be used. */
      readonly correction?: { readonly said: string; readonly problem: string }
    }
  | { readonly do: 'execute'; readonly calls: readonly PlannedCall[] }
  | { readonly do: 'finish'; readonly outcome: Outcome }

export interface PlannedCall {
  readonly call: ToolCall
  /**
   * `block` and `skip` are answered without being executed: the call was made with the same result too often, or the
   * run's tool rounds are used up.
   */
  readonly verdict: 'run' | 'block' | 'skip'
  /** The key of an execution that was started and of which nothing else is known. */
  readonly started?: string
  /** What somebody decided about it. */
  readonly decision?: Decision
}

export type Outcome =
  | { readonly status: 'done'; readonly landed?: RunLimit }
  | { readonly status: 'suspended'; readonly pending: readonly PendingCall[] }
  | { readonly status: 'refused' | 'failed'; readonly error: TercetError }
  | { readonly status: 'limit'; readonly limit: RunLimit; readonly error: TercetError }

export interface Policy {
  readonly maxIterations: number
  readonly maxToolRounds?: number
  readonly maxConsecutiveToolErrors: number
  readonly repairAttempts: number
  readonly outputRepairAttempts: number
  readonly onLimit: 'throw' | 'land' | 'stop'
  /** Little time is left: with `onLimit: 'land'`, now is when to land. */
  readonly late?: boolean
  /** Little of a budget is left, as this says: the same. */
  readonly low?: BudgetExceededError | undefined
  /** Tools that are meant to be called with the same parameters again and again. */
  readonly repeatable?: (toolName: string) => boolean
}

/** From how many equal calls in a row on the model is told so, the call is blocked, and the run ends. */
export const repeatLevels = { nudge: 3, block: 4, end: 5 } as const

/** What a run has to do next: a pure function of its transcript. The run has begun and has not ended. */
export function next(transcript: Transcript, policy: Policy): Action {
  const run = transcript.run
  if (!run) throw new TypeError('next() needs a transcript in which a run has begun.')
  const pending = run.pending.filter(({ id }) => !isUndecided(run, id))
  if (pending.length > 0) return execute(run, pending, policy)
  if (run.pending.length > 0) return finish({ status: 'suspended', pending: pendingCalls(run) })

  const { last } = run
  // Who resumes a run after its last word wants more than that.
  if (last?.landing && !(run.resumed && last.kind !== 'final'))
    return finish(afterLanding(last, last.landing, run, policy))
  if (last?.kind === 'final') return finish({ status: 'done' })
  if (last?.kind === 'refused') {
    const said = last.text.trim() || last.stopReason
    return finish({ status: 'refused', error: new RefusedError(`The model declined to answer: ${said}`) })
  }
  const failure = unrepaired(run, policy) ?? toolsFailing(run, policy)
  if (failure) return finish({ status: 'failed', error: failure })

  const limit = reached(run, policy)
  if (!limit) return { do: 'call', ...correction(last) }
  if (policy.onLimit === 'land') return { do: 'call', landing: limit, ...correction(last) }
  return finish({ status: 'limit', limit, error: limitError(limit, run, policy) })
}

function execute(run: RunFold, pending: readonly ToolCall[], policy: Policy): Action {
  const skip = policy.maxToolRounds !== undefined && run.toolRounds > policy.maxToolRounds
  const calls = pending.map((call): PlannedCall => {
    const started = run.started?.get(call.id)
    const decision = run.decided?.get(call.id)
    const blocked = timesMade(run, call, policy) + 1 >= repeatLevels.block
    return {
      call,
      verdict: skip ? 'skip' : blocked ? 'block' : 'run',
      ...(started !== undefined && { started }),
      ...(decision && { decision }),
    }
  })
  return { do: 'execute', calls }
}

/** The calls that wait for somebody's decision, in their order. */
function pendingCalls(run: RunFold): PendingCall[] {
  return run.pending.flatMap(({ id }) => {
    const request = run.requested?.get(id)
    if (!request) return []
    const { callId, toolName, parameters, expiresAt } = request
    return [{ callId, toolName, parameters, ...(expiresAt !== undefined && { expiresAt }) }]
  })
}

/** The limit that a further call would break, if any. */
function reached(run: RunFold, policy: Policy): RunLimit | undefined {
  if (run.iterations >= policy.maxIterations) return 'iterations'
  if (policy.maxToolRounds !== undefined && run.toolRounds > policy.maxToolRounds) return 'tool_rounds'
  if (stuckOn(run, policy)) return 'progress'
  if (policy.onLimit !== 'land') return undefined
  if (policy.low) return 'budget'
  if (policy.late) return 'time'
  return undefined
}

function limitError(limit: RunLimit, run: RunFold, policy: Policy): TercetError {
  if (limit === 'tool_rounds') return new MaxToolRoundsError(policy.maxToolRounds ?? run.toolRounds)
  if (limit === 'progress') return new NoProgressError(stuckOn(run, policy)?.toolName ?? '')
  if (limit === 'budget' && policy.low) return policy.low
  return new MaxIterationsError(policy.maxIterations, run.last?.text || undefined)
}

/** A call of the last step that repeats itself although the model was told so and the call was blocked. */
function stuckOn(run: RunFold, policy: Policy): ToolCall | undefined {
  return run.steps.at(-1)?.toolCalls.find((call) => timesMade(run, call, policy) >= repeatLevels.end)
}

function timesMade(run: RunFold, call: ToolCall, policy: Policy): number {
  return policy.repeatable?.(call.toolName) ? 0 : (run.repeats?.get(fingerprint(call)) ?? 0)
}

function afterLanding(last: ReplyEntry, limit: RunLimit, run: RunFold, policy: Policy): Outcome {
  if (last.kind === 'final') return { status: 'done', landed: limit }
  return { status: 'limit', limit, error: limitError(limit, run, policy) }
}

/** Why the run cannot go on with a reply that stayed unusable although the model was told what is wrong. */
function unrepaired(run: RunFold, policy: Policy): TercetError | undefined {
  const { last, unread } = run
  if (!last) return undefined
  const problem = last.problem ?? 'it could not be read'
  if (unread.invalidOutput > policy.outputRepairAttempts) return new OutputValidationError([problem])
  if (unread.malformed <= policy.repairAttempts) return undefined
  const tried = `${unread.malformed} ${unread.malformed === 1 ? 'reply' : 'replies'} in a row`
  if (last.text.trim() === '') {
    return new LLMError(`The model gave no usable answer in ${tried}: ${problem}`, {
      kind: 'malformed',
      provider: last.provider,
      model: last.model,
    })
  }
  return new ResponseParseError(
    `The model's reply could not be used, ${tried}: ${problem} Raise repairAttempts, or use a model that follows the format.`,
  )
}

function toolsFailing({ failures }: RunFold, policy: Policy): TercetError | undefined {
  if (!failures || failures.count < policy.maxConsecutiveToolErrors) return undefined
  return new ToolExecutionError(
    failures.toolName,
    `The tool "${failures.toolName}" failed ${failures.count} times in a row: ${failures.message} ` +
      'Mend the tool, or raise maxConsecutiveToolErrors.',
  )
}

function correction(last: ReplyEntry | undefined): { correction?: { said: string; problem: string } } {
  if (last?.kind !== 'malformed' && last?.kind !== 'invalid_output') return {}
  return { correction: { said: last.raw ?? last.text, problem: last.problem ?? 'It could not be read.' } }
}

const finish = (outcome: Outcome): Action => ({ do: 'finish', outcome })
