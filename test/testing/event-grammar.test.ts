import { describe, expect, test } from 'vitest'
import type { AgentEvent, AgentRunEnd } from '../../src/events.ts'
import { checkEvents, EventGrammar } from '../../src/testing/event-grammar.ts'

// Makers of events: of the run `r`, and of the iteration `s1` where no other is named.
const at = (stepId: string) => ({ runId: 'r', stepId })
const result = (callId: string, ok = true) => ({ callId, toolName: 'add', ok, output: '3', durationMs: 1 })
const call = (id: string) => ({ id, toolName: 'add', parameters: {} })
const usage = { inputTokens: 1, outputTokens: 1 }

const start: AgentEvent = { type: 'run_start', runId: 'r', conversationId: 'c' }
const end = (status: AgentRunEnd['status'] = 'done'): AgentEvent => ({
  type: 'run_end',
  runId: 'r',
  status,
  usage,
})
const diagnostic: AgentEvent = { type: 'diagnostic', runId: 'r', code: 'repair', message: 'm' }
const streamStart = (id = 's1'): AgentEvent => ({ type: 'stream_start', ...at(id) })
const token = (id = 's1'): AgentEvent => ({ type: 'token', ...at(id), channel: 'answer', text: 't' })
const retracted = (id = 's1'): AgentEvent => ({ type: 'retracted', ...at(id), channel: 'answer' })
const streamEnd = (id = 's1'): AgentEvent => ({ type: 'stream_end', ...at(id) })
const used = (id = 's1'): AgentEvent => ({
  type: 'usage',
  ...at(id),
  usage,
  estimated: false,
  provider: 'p',
  model: 'm',
})
const plan = (id = 's1'): AgentEvent => ({ type: 'plan', ...at(id), plan: '1.' })
const step = (calls: string[], id = 's1'): AgentEvent => ({
  type: 'step',
  ...at(id),
  toolCalls: calls.map(call),
})
const started = (callId: string, id = 's1'): AgentEvent => ({
  type: 'tool_execution',
  ...at(id),
  callId,
  toolName: 'add',
  status: 'started',
})
const progress = (callId: string, id = 's1'): AgentEvent => ({
  type: 'tool_execution',
  ...at(id),
  callId,
  toolName: 'add',
  status: 'progress',
  progress: 0.5,
})
const ended = (
  callId: string,
  status: 'completed' | 'failed' | 'abandoned' = 'completed',
  id = 's1',
): AgentEvent => ({
  type: 'tool_execution',
  ...at(id),
  callId,
  toolName: 'add',
  status,
  result: result(callId, status === 'completed'),
})
const results = (callIds: string[], id = 's1'): AgentEvent => ({
  type: 'tool_results',
  ...at(id),
  results: callIds.map((callId) => result(callId)),
})
const final = (id = 's1'): AgentEvent => ({ type: 'final_response', ...at(id), answer: 'a' })
const steered = (id = 's1'): AgentEvent => ({
  type: 'steering',
  ...at(id),
  message: { role: 'user', content: 'Wait.' },
})
const asked = (callId: string, id = 's1'): AgentEvent => ({
  type: 'approval_required',
  ...at(id),
  callId,
  toolName: 'add',
  parameters: {},
})
const retried = (id = 's1'): AgentEvent => ({
  type: 'retry',
  ...at(id),
  attempt: 1,
  delayMs: 1,
  error: { code: 'llm', kind: 'network', message: 'm' },
})

describe('the event grammar accepts', () => {
  test.each<[string, AgentEvent[]]>([
    ['an answer without a stream', [start, final(), end()]],
    [
      'an answer with a stream',
      [start, streamStart(), token(), token(), streamEnd(), used(), final(), end()],
    ],
    ['a stream without text', [start, streamStart(), streamEnd(), final(), end()]],
    [
      'retries before the stream',
      [start, retried(), retried(), streamStart(), token(), streamEnd(), final(), end()],
    ],
    ['a plan beside an answer', [start, used(), plan(), final(), end()]],
    [
      'a plan, a step with parallel tools, and an answer',
      [
        start,
        used(),
        plan(),
        streamStart('s2'),
        token('s2'),
        retracted('s2'),
        token('s2'),
        streamEnd('s2'),
        used('s2'),
        step(['a', 'b', 'c'], 's2'),
        started('b', 's2'),
        started('a', 's2'),
        progress('a', 's2'),
        progress('b', 's2'),
        ended('a', 'failed', 's2'),
        progress('b', 's2'),
        ended('b', 'completed', 's2'),
        results(['a', 'b', 'c'], 's2'),
        used('s3'),
        final('s3'),
        end(),
      ],
    ],
    [
      'an abandoned tool',
      [start, step(['a']), started('a'), ended('a', 'abandoned'), results(['a']), end('failed')],
    ],
    [
      'an iteration that came to nothing and is repaired',
      [start, used(), diagnostic, used('s2'), final('s2'), end()],
    ],
    [
      'diagnostics anywhere between the first and the last event',
      [
        start,
        diagnostic,
        streamStart(),
        diagnostic,
        streamEnd(),
        step(['a']),
        diagnostic,
        results(['a']),
        final('s2'),
        diagnostic,
        end(),
      ],
    ],
    ['a run that failed before it called a model', [start, end('failed')]],
    ['a cut after the stream', [start, streamStart(), token(), streamEnd(), end('aborted')]],
    ['a cut after usage', [start, used(), end('limit')]],
    [
      'a cut within a step whose tools have ended',
      [start, step(['a', 'b']), started('a'), ended('a', 'failed'), end('aborted')],
    ],
    ['a failure after the answer', [start, final(), end('failed')]],
    [
      'what the user says, before anything else of an iteration',
      [start, steered(), steered(), retried(), streamStart(), streamEnd(), final(), end()],
    ],
    [
      'a run that waits for a decision when the other calls are done',
      [start, step(['a', 'b']), started('b'), asked('a'), ended('b'), end('suspended')],
    ],
    [
      'a resumed run: its step again, what is decided, what still waits',
      [start, plan(), step(['a', 'b', 'c']), asked('c'), started('a'), ended('a'), end('suspended')],
    ],
    [
      'a resumed run that goes on after its step',
      [
        start,
        step(['a', 'b']),
        started('b'),
        ended('b'),
        results(['a', 'b']),
        used('s2'),
        final('s2'),
        end(),
      ],
    ],
    [
      'a call that waits and is withdrawn, because the run fails',
      [start, step(['a']), asked('a'), results(['a']), end('failed')],
    ],
  ])('%s', (_, events) => {
    expect(checkEvents(events)).toBeUndefined()
  })
})

describe('the event grammar refuses', () => {
  test.each<[string, AgentEvent[], string]>([
    ['nothing', [], 'there are no events'],
    ['a run that does not start', [final(), end()], 'event 0 (final_response): a run begins with run_start'],
    [
      'a run that starts twice',
      [start, start, end('failed')],
      'event 1 (run_start): the run has started already',
    ],
    ['a run that does not end', [start, final()], 'after event 1: run_end is missing'],
    ['two ends', [start, final(), end(), end()], 'event 3 (run_end): nothing may come after run_end'],
    [
      'a diagnostic after the end',
      [start, final(), end(), diagnostic],
      'event 3 (diagnostic): nothing may come after run_end',
    ],
    [
      'a done run without an answer',
      [start, used(), end()],
      'event 2 (run_end): a run that is done has a final_response',
    ],
    [
      'a done run without anything',
      [start, end()],
      'event 1 (run_end): a run that is done has a final_response',
    ],
    [
      'another run',
      [start, { ...final(), runId: 'x' }, end()],
      "event 1 (final_response): runId is x, the run's is r",
    ],
    [
      'a token outside the stream',
      [start, token(), end('failed')],
      'event 1 (token): it may not stand before the model has said anything',
    ],
    [
      'a token after the stream',
      [start, streamStart(), streamEnd(), token()],
      'event 3 (token): it may not stand after stream_end',
    ],
    [
      'a retraction after the stream',
      [start, streamStart(), streamEnd(), retracted()],
      'event 3 (retracted): it may not stand after stream_end',
    ],
    [
      'a second stream',
      [start, streamStart(), streamEnd(), streamStart()],
      'event 3 (stream_start): it may not stand after stream_end',
    ],
    [
      'an answer within the stream',
      [start, streamStart(), final()],
      'event 2 (final_response): it may not stand between stream_start and stream_end',
    ],
    ['usage twice', [start, used(), used()], 'event 2 (usage): it may not stand after usage'],
    ['usage after the plan', [start, plan(), used()], 'event 2 (usage): it may not stand after plan'],
    [
      'a stream without end',
      [start, streamStart(), token(), end('aborted')],
      'event 3 (run_end): stream_end is missing',
    ],
    [
      'a stream that is left for the next iteration',
      [start, streamStart(), used('s2')],
      'event 2 (usage): a new iteration (stepId s2) begins, but stream_end is missing',
    ],
    ['a step without calls', [start, step([])], 'event 1 (step): a step calls at least one tool'],
    ['two calls with one id', [start, step(['a', 'a'])], 'event 1 (step): two calls have the id a'],
    [
      'a tool without a step',
      [start, started('a')],
      'event 1 (tool_execution): it may not stand before the model has said anything',
    ],
    [
      'a tool that nobody called',
      [start, step(['a']), started('x')],
      'event 2 (tool_execution): call x is not of this step',
    ],
    [
      'a call under another name',
      [start, step(['a']), { ...started('a'), toolName: 'sub' } as AgentEvent],
      'event 2 (tool_execution): call a is of the tool add, not sub',
    ],
    [
      'a tool that starts twice',
      [start, step(['a']), started('a'), started('a')],
      'event 3 (tool_execution): call a is told as started, but it has started already',
    ],
    [
      'an end without a start',
      [start, step(['a']), ended('a')],
      'event 2 (tool_execution): call a is told as completed, but it has not started',
    ],
    [
      'progress before the start',
      [start, step(['a']), progress('a')],
      'event 2 (tool_execution): call a is told as progress, but it has not started',
    ],
    [
      'progress after the end',
      [start, step(['a']), started('a'), ended('a'), progress('a')],
      'event 4 (tool_execution): call a is told as progress, but it has ended already',
    ],
    [
      'a success that failed',
      [start, step(['a']), started('a'), { ...ended('a'), result: result('a', false) } as AgentEvent],
      'event 3 (tool_execution): call a is told as completed, but ok is false',
    ],
    [
      'the result of another call',
      [start, step(['a', 'b']), started('a'), { ...ended('a'), result: result('b') } as AgentEvent],
      'event 3 (tool_execution): its result is of call b, not a',
    ],
    [
      'results before a tool ended',
      [start, step(['a']), started('a'), results(['a'])],
      'event 3 (tool_results): the tool of call a has not ended',
    ],
    [
      'an end before a tool ended',
      [start, step(['a']), started('a'), end('aborted')],
      'event 3 (run_end): the tool of call a has not ended',
    ],
    [
      'results in another order',
      [start, step(['a', 'b']), results(['b', 'a'])],
      'event 2 (tool_results): its results are of [b, a], the calls are [a, b]',
    ],
    [
      'a missing result',
      [start, step(['a', 'b']), results(['a'])],
      'event 2 (tool_results): its results are of [a], the calls are [a, b]',
    ],
    [
      'a result too many',
      [start, step(['a']), results(['a', 'a'])],
      'event 2 (tool_results): its results are of [a, a], the calls are [a]',
    ],
    [
      'results twice',
      [start, step(['a']), results(['a']), results(['a'])],
      'event 3 (tool_results): it may not stand after tool_results',
    ],
    [
      'an iteration after unanswered calls',
      [start, step(['a']), used('s2')],
      'event 2 (usage): a new iteration (stepId s2) begins, but tool_results are missing',
    ],
    [
      'an answer in the iteration of a step',
      [start, step(['a']), results(['a']), final()],
      'event 3 (final_response): it may not stand after tool_results',
    ],
    [
      'an iteration after the answer',
      [start, final(), used('s2')],
      'event 2 (usage): nothing but run_end may come after final_response',
    ],
    [
      'a second answer',
      [start, final(), final()],
      'event 2 (final_response): it may not stand after final_response',
    ],
    [
      'an iteration that comes back',
      [start, used(), used('s2'), plan()],
      'event 3 (plan): stepId s1 comes back after another iteration',
    ],
    [
      'what the user says in the middle of a reply',
      [start, streamStart(), steered()],
      'event 2 (steering): it may not stand between stream_start and stream_end',
    ],
    [
      'what the user says after a try that failed',
      [start, used(), steered()],
      'event 2 (steering): it may not stand after usage',
    ],
    [
      'a question about a call that nobody made',
      [start, step(['a']), asked('x')],
      'event 2 (approval_required): call x is not of this step',
    ],
    [
      'a question about a call that has started',
      [start, step(['a']), started('a'), asked('a')],
      'event 3 (approval_required): call a waits for approval, but it has started already',
    ],
    [
      'a question before the step',
      [start, used(), asked('a')],
      'event 2 (approval_required): it may not stand after usage',
    ],
    [
      'a question after the results',
      [start, step(['a']), results(['a']), asked('a')],
      'event 3 (approval_required): it may not stand after tool_results',
    ],
    [
      'an event of no iteration',
      [start, { type: 'usage', runId: 'r' } as AgentEvent],
      'event 1 (usage): stepId is missing',
    ],
    [
      'an event of no kind',
      [start, { type: 'constructor', ...at('s1') } as unknown as AgentEvent],
      'event 1 (constructor): there is no such event',
    ],
  ])('%s', (_, events, violation) => {
    expect(checkEvents(events)).toBe(violation)
  })
})

test('an EventGrammar tells the first violation when it comes, and holds to it', () => {
  const grammar = new EventGrammar()
  expect(grammar.push(start)).toBeUndefined()
  expect(grammar.end()).toBe('after event 0: run_end is missing')
  const violation = 'event 1 (token): it may not stand before the model has said anything'
  expect(grammar.push(token())).toBe(violation)
  expect(grammar.push(end('failed'))).toBe(violation)
  expect(grammar.end()).toBe(violation)
})
