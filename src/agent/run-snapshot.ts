import type { AgentEvent, RunStatus } from '../events.ts'
import type { JsonValue } from '../json.ts'
import { addUsage, noUsage, type ToolCall, type ToolResult, type Usage } from '../messages.ts'
import { type OnLimit, unwrap } from './result.ts'
import type { RunStream } from './run-stream.ts'

/** What a user interface shows of a run. Each snapshot is a new object; what did not change is shared. */
export interface RunSnapshot {
  readonly status: 'running' | RunStatus
  /** The text of the answer so far. */
  readonly answer: string
  readonly thought: string
  readonly reasoning: string
  readonly plan: string
  readonly steps: readonly SnapshotStep[]
  readonly usage: Usage
  /** The answer's value: what fits `output`, or the text. */
  readonly output?: JsonValue
  readonly error?: { readonly code: string; readonly message: string }
}

export interface SnapshotStep {
  readonly stepId: string
  readonly thought?: string
  readonly calls: readonly SnapshotCall[]
}

export interface SnapshotCall extends ToolCall {
  /** `undecided`: it waits for somebody's approval. */
  readonly status: 'waiting' | 'undecided' | 'started' | 'completed' | 'failed' | 'abandoned'
  readonly progress?: JsonValue
  readonly result?: ToolResult
}

export const emptySnapshot: RunSnapshot = {
  status: 'running',
  answer: '',
  thought: '',
  reasoning: '',
  plan: '',
  steps: [],
  usage: noUsage,
}

/** The state after `event`: the same object when it changes nothing that is shown. */
export function reduceSnapshot(state: RunSnapshot, event: AgentEvent): RunSnapshot {
  switch (event.type) {
    case 'run_start': {
      if (state.status === 'running') return state
      const { error: _, ...rest } = state
      return { ...rest, status: 'running' }
    }
    case 'stream_start':
      return { ...state, answer: '', thought: '', reasoning: '' }
    case 'token':
      return { ...state, [event.channel]: state[event.channel] + event.text }
    case 'retracted':
      return { ...state, [event.channel]: '' }
    case 'usage':
    case 'compaction':
      return { ...state, usage: addUsage(state.usage, event.usage ?? noUsage) }
    case 'plan':
      return { ...state, plan: event.plan }
    case 'step': {
      const { stepId, thought, toolCalls } = event
      // Told again by a run that is resumed.
      if (state.steps.some((step) => step.stepId === stepId)) return state
      const calls = toolCalls.map((call) => ({ ...call, status: 'waiting' as const }))
      return {
        ...state,
        steps: [...state.steps, { stepId, ...(thought !== undefined && { thought }), calls }],
      }
    }
    case 'tool_execution':
      return withCall(state, event.stepId, event.callId, (call) => {
        if (event.status === 'started') return { ...call, status: 'started' }
        if (event.status === 'progress') return { ...call, progress: event.progress }
        return { ...call, status: event.status, result: event.result }
      })
    case 'approval_required':
      return withCall(state, event.stepId, event.callId, (call) => ({
        ...call,
        // As they would be executed: a hook may have changed what the model sent.
        parameters: event.parameters,
        status: 'undecided',
      }))
    case 'tool_results':
      return event.results.reduce(
        (now, result) =>
          withCall(now, event.stepId, result.callId, (call) =>
            call.result ? call : { ...call, status: result.ok ? 'completed' : 'failed', result },
          ),
        state,
      )
    case 'final_response':
      return {
        ...state,
        answer: typeof event.answer === 'string' ? event.answer : JSON.stringify(event.answer),
        output: event.answer,
      }
    case 'run_end': {
      const { status, error } = event
      return { ...state, status, ...(error && { error: { code: error.code, message: error.message } }) }
    }
    default:
      return state
  }
}

/** The states of a run, one for each event that changes something. Throws where `run` would. */
export async function* snapshots(
  stream: RunStream<unknown>,
  onLimit: OnLimit,
): AsyncGenerator<RunSnapshot, void> {
  let state = emptySnapshot
  for await (const event of stream) {
    const next = reduceSnapshot(state, event)
    if (next === state) continue
    state = next
    yield state
  }
  unwrap(await stream.result, onLimit)
}

function withCall(
  state: RunSnapshot,
  stepId: string,
  callId: string,
  change: (call: SnapshotCall) => SnapshotCall,
): RunSnapshot {
  const steps = state.steps.map((step) =>
    step.stepId === stepId
      ? { ...step, calls: step.calls.map((call) => (call.id === callId ? change(call) : call)) }
      : step,
  )
  return { ...state, steps }
}
