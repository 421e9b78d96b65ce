import type {
  AgentApprovalRequired,
  AgentEvent,
  AgentRunEnd,
  AgentStepEvent,
  AgentToolExecutionEvent,
  AgentToolResultsEvent,
} from '../events.ts'

/**
 * The first thing that is wrong with the events of one whole run, with the index of the event; `undefined` if nothing
 * is. The grammar stands above `AgentEvent`.
 */
export function checkEvents(events: readonly AgentEvent[]): string | undefined {
  const grammar = new EventGrammar()
  for (const event of events) if (grammar.push(event)) break
  return grammar.end()
}

/**
 * Recognises the events of one run as they come. An iteration is what shares a `stepId`. `run_end` may cut it anywhere
 * unless the run is `done`, but a stream that started has ended by then, and so has every tool that started.
 */
export class EventGrammar {
  #violation: string | undefined
  #index = 0
  #runId: string | undefined
  #over = false
  #iteration: Iteration | undefined
  readonly #stepIds = new Set<string>()

  /** What is wrong with this event in its place. After a violation nothing more is recognised: it stays. */
  push(event: AgentEvent): string | undefined {
    if (this.#violation === undefined) {
      const problem = this.#problemOf(event)
      if (problem !== undefined) this.#violation = `event ${this.#index} (${event.type}): ${problem}`
      this.#index++
    }
    return this.#violation
  }

  /** What was wrong, or is missing, now that nothing more comes. */
  end(): string | undefined {
    if (this.#violation !== undefined) return this.#violation
    if (this.#over) return undefined
    return this.#runId === undefined
      ? 'there are no events'
      : `after event ${this.#index - 1}: run_end is missing`
  }

  #problemOf(event: AgentEvent): string | undefined {
    if (this.#over) return 'nothing may come after run_end'
    if (this.#runId === undefined) {
      this.#runId = event.runId
      return event.type === 'run_start' ? undefined : 'a run begins with run_start'
    }
    if (event.runId !== this.#runId) return `runId is ${event.runId}, the run's is ${this.#runId}`
    switch (event.type) {
      case 'run_start':
        return 'the run has started already'
      case 'diagnostic':
        return undefined
      case 'run_end':
        this.#over = true
        return this.#iteration?.running() ?? undoneWithoutAnswer(event, this.#iteration)
      default:
        return this.#enter(event.stepId) ?? this.#iteration?.push(event)
    }
  }

  /** Goes on with the iteration of `stepId`, or begins it. */
  #enter(stepId: string): string | undefined {
    if (typeof stepId !== 'string') return 'stepId is missing'
    const last = this.#iteration
    if (last?.stepId === stepId) return undefined
    if (last?.stage === 'final') return 'nothing but run_end may come after final_response'
    const open = last?.open()
    if (open !== undefined) return `a new iteration (stepId ${stepId}) begins, but ${open}`
    if (this.#stepIds.has(stepId)) return `stepId ${stepId} comes back after another iteration`
    this.#stepIds.add(stepId)
    this.#iteration = new Iteration(stepId)
    return undefined
  }
}

type IterationEvent = Exclude<AgentEvent, { type: 'run_start' | 'diagnostic' | 'run_end' }>

/** How far an iteration has come. */
type Stage = 'calling' | 'streaming' | 'streamed' | 'counted' | 'planned' | 'tools' | 'results' | 'final'

/** Where each event may stand, and where it leads. Tool events are looked at more closely. */
const moves: {
  readonly [Type in Exclude<IterationEvent['type'], 'retry' | 'failover' | 'compaction'>]: {
    readonly from: readonly Stage[]
    readonly to: Stage
  }
} = {
  steering: { from: ['calling'], to: 'calling' },
  stream_start: { from: ['calling'], to: 'streaming' },
  token: { from: ['streaming'], to: 'streaming' },
  retracted: { from: ['streaming'], to: 'streaming' },
  stream_end: { from: ['streaming'], to: 'streamed' },
  usage: { from: ['calling', 'streamed'], to: 'counted' },
  plan: { from: ['calling', 'streamed', 'counted'], to: 'planned' },
  step: { from: ['calling', 'streamed', 'counted', 'planned'], to: 'tools' },
  tool_execution: { from: ['tools'], to: 'tools' },
  approval_required: { from: ['tools'], to: 'tools' },
  tool_results: { from: ['tools'], to: 'results' },
  final_response: { from: ['calling', 'streamed', 'counted', 'planned'], to: 'final' },
}

const after: { readonly [At in Stage]: string } = {
  calling: 'before the model has said anything',
  streaming: 'between stream_start and stream_end',
  streamed: 'after stream_end',
  counted: 'after usage',
  planned: 'after plan',
  tools: 'between step and tool_results',
  results: 'after tool_results',
  final: 'after final_response',
}

class Iteration {
  readonly stepId: string
  stage: Stage = 'calling'
  /** The calls of its step, by id, in order. */
  readonly #calls = new Map<string, { readonly toolName: string; state: 'asked' | 'started' | 'ended' }>()

  constructor(stepId: string) {
    this.stepId = stepId
  }

  push(event: IterationEvent): string | undefined {
    if (event.type === 'retry' || event.type === 'failover') return this.#beside('calling', 'streaming')
    if (event.type === 'compaction') return this.#beside('calling', 'streaming', 'tools')
    if (!Object.hasOwn(moves, event.type)) return 'there is no such event'
    const move = moves[event.type]
    if (!move.from.includes(this.stage)) return `it may not stand ${after[this.stage]}`
    this.stage = move.to
    if (event.type === 'step') return this.#ask(event)
    if (event.type === 'tool_execution') return this.#execute(event)
    if (event.type === 'approval_required') return this.#wait(event)
    if (event.type === 'tool_results') return this.#answer(event)
    return undefined
  }

  /** What must still come before the next iteration. */
  open(): string | undefined {
    return this.running() ?? (this.stage === 'tools' ? 'tool_results are missing' : undefined)
  }

  /** What must still come before any `run_end`. */
  running(): string | undefined {
    return this.stage === 'streaming' ? 'stream_end is missing' : this.#runningTool()
  }

  #runningTool(): string | undefined {
    for (const [callId, { state }] of this.#calls) {
      if (state === 'started') return `the tool of call ${callId} has not ended`
    }
    return undefined
  }

  /** For what may stand there and leads nowhere. */
  #beside(...stages: readonly Stage[]): string | undefined {
    return stages.includes(this.stage) ? undefined : `it may not stand ${after[this.stage]}`
  }

  #ask({ toolCalls }: AgentStepEvent): string | undefined {
    if (toolCalls.length === 0) return 'a step calls at least one tool'
    for (const { id, toolName } of toolCalls) {
      if (this.#calls.has(id)) return `two calls have the id ${id}`
      this.#calls.set(id, { toolName, state: 'asked' })
    }
    return undefined
  }

  #execute(event: AgentToolExecutionEvent): string | undefined {
    const { callId, toolName, status } = event
    const call = this.#calls.get(callId)
    if (!call) return `call ${callId} is not of this step`
    if (call.toolName !== toolName) return `call ${callId} is of the tool ${call.toolName}, not ${toolName}`
    if (call.state !== (status === 'started' ? 'asked' : 'started')) {
      return `call ${callId} is told as ${status}, but ${told[call.state]}`
    }
    if (event.status === 'progress') return undefined
    call.state = event.status === 'started' ? 'started' : 'ended'
    if (event.status === 'started') return undefined
    const { result } = event
    if (result.callId !== callId) return `its result is of call ${result.callId}, not ${callId}`
    if (result.ok !== (event.status === 'completed'))
      return `call ${callId} is told as ${status}, but ok is ${result.ok}`
    return undefined
  }

  #wait({ callId }: AgentApprovalRequired): string | undefined {
    const call = this.#calls.get(callId)
    if (!call) return `call ${callId} is not of this step`
    return call.state === 'asked' ? undefined : `call ${callId} waits for approval, but ${told[call.state]}`
  }

  #answer({ results }: AgentToolResultsEvent): string | undefined {
    const running = this.#runningTool()
    if (running !== undefined) return running
    const asked = [...this.#calls.keys()]
    const answered = results.map(({ callId }) => callId)
    if (asked.length !== answered.length || asked.some((id, index) => id !== answered[index])) {
      return `its results are of [${answered.join(', ')}], the calls are [${asked.join(', ')}]`
    }
    return undefined
  }
}

const told = {
  asked: 'it has not started',
  started: 'it has started already',
  ended: 'it has ended already',
} as const

function undoneWithoutAnswer(end: AgentRunEnd, iteration: Iteration | undefined): string | undefined {
  return end.status === 'done' && iteration?.stage !== 'final'
    ? 'a run that is done has a final_response'
    : undefined
}
