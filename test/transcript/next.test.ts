import { describe, expect, test } from 'vitest'
import type { Entry } from '../../src/transcript/entry.ts'
import { type Action, next, type Policy } from '../../src/transcript/next.ts'
import { Transcript } from '../../src/transcript/transcript.ts'
import { call, finished, input, reply, started, step } from './entries.ts'

const policy: Policy = {
  maxIterations: 10,
  maxConsecutiveToolErrors: 3,
  repairAttempts: 1,
  outputRepairAttempts: 2,
  onLimit: 'throw',
}

const decide = (entries: readonly Entry[], changes: Partial<Policy> = {}): Action =>
  next(new Transcript(entries), { ...policy, ...changes })

/** `call`, `execute`, `finish done`, `finish failed response_parse`, `land iterations` … */
function inWords(action: Action): string {
  if (action.do === 'execute') return action.calls.map(({ verdict }) => verdict).join(' ')
  if (action.do === 'call') return action.landing ? `land ${action.landing}` : 'call'
  const { outcome } = action
  const limit = 'limit' in outcome ? ` ${outcome.limit}` : ''
  return `finish ${outcome.status}${limit}${'error' in outcome ? ` ${outcome.error.code}` : ''}`
}

const weather = (id: string) => call(id, 'weather', { city: 'Oslo' })
const malformed = reply('malformed', '{', { problem: 'It is cut off.' })
const invalid = reply('invalid_output', '{}', { problem: 'city: required' })

test.each<[string, Entry[], string, Partial<Policy>?]>([
  ['calls the model after the input', [input()], 'call'],
  ['executes what a step calls', [input(), step(weather('a'))], 'run'],
  [
    'executes what has no result yet',
    [input(), step(weather('a'), call('b', 'time')), finished(weather('a'), 'sun')],
    'run',
  ],
  [
    'calls the model when all calls are answered',
    [input(), step(weather('a')), finished(weather('a'), 'sun')],
    'call',
  ],
  ['calls the model after a plan', [input(), reply('plan', '', { plan: '1. look' })], 'call'],
  ['ends with a final answer', [input(), reply('final', 'Sun.')], 'finish done'],
  ['ends when the model declines', [input(), reply('refused', 'No.')], 'finish refused refused'],
  ['asks again for a reply it could not read', [input(), malformed], 'call'],
  ['gives up on replies it cannot read', [input(), malformed, malformed], 'finish failed response_parse'],
  [
    'never asks again without repairAttempts',
    [input(), malformed],
    'finish failed response_parse',
    { repairAttempts: 0 },
  ],
  [
    'calls an empty reply what it is',
    [input(), reply('malformed', ' '), reply('malformed', '')],
    'finish failed llm',
  ],
  ['asks again for an answer that does not fit', [input(), invalid, invalid], 'call'],
  [
    'gives up on answers that do not fit',
    [input(), invalid, invalid, invalid],
    'finish failed output_validation',
  ],
  [
    'forgets earlier repairs once a reply was read',
    [input(), malformed, reply('plan', '', { plan: 'p' }), malformed],
    'call',
  ],
  [
    'stops at maxIterations',
    [input(), reply('plan'), reply('plan')],
    'finish limit iterations max_iterations',
    { maxIterations: 2 },
  ],
  [
    'lands at maxIterations',
    [input(), reply('plan'), reply('plan')],
    'land iterations',
    { maxIterations: 2, onLimit: 'land' },
  ],
  ['lands when time runs short', [input(), reply('plan')], 'land time', { late: true, onLimit: 'land' }],
  ['does not mind the time otherwise', [input(), reply('plan')], 'call', { late: true }],
  [
    'is done with what it landed with',
    [input(), reply('final', 'So far: sun.', { landing: 'time' })],
    'finish done',
  ],
  [
    'reports the limit when landing gave nothing',
    [input(), reply('partial', '', { landing: 'iterations' })],
    'finish limit iterations max_iterations',
  ],
  [
    'answers calls beyond maxToolRounds without executing them',
    [input(), step(weather('a'))],
    'skip',
    { maxToolRounds: 0 },
  ],
  [
    'stops after maxToolRounds',
    [input(), step(weather('a')), finished(weather('a'), 'skipped', false)],
    'finish limit tool_rounds max_tool_rounds',
    { maxToolRounds: 0 },
  ],
])('%s', (_, entries, expected, changes) => {
  expect(inWords(decide(entries, changes))).toBe(expected)
})

test('a correction shows the reply as it was written and what is wrong with it', () => {
  const action = decide([input(), reply('malformed', 'x', { raw: '{"x', problem: 'It is cut off.' })])
  expect(action).toEqual({ do: 'call', correction: { said: '{"x', problem: 'It is cut off.' } })
})

test('a call that was started and never finished carries its key', () => {
  const action = decide([input(), step(weather('a')), started('a')])
  expect(action).toMatchObject({ do: 'execute', calls: [{ started: 'run-1:a' }] })
})

test('the same failure three steps in a row ends the run; another one in between does not', () => {
  const failing = (id: string, toolName = 'weather') => {
    const made = call(id, toolName, { n: id })
    return [step(made), finished(made, `boom ${id}`, false)]
  }
  expect(inWords(decide([input(), ...failing('a'), ...failing('b'), ...failing('c')]))).toBe(
    'finish failed tool_execution',
  )
  expect(inWords(decide([input(), ...failing('a'), ...failing('b', 'time'), ...failing('c')]))).toBe('call')
})

/** One letter a step: the tool it calls; a digit behind it is the result, so `a1 a1` repeats itself and `a1 a2` does not. */
function verdicts(sequence: string, changes: Partial<Policy> = {}): string {
  const transcript = new Transcript([input()])
  const seen: string[] = []
  for (const [index, item] of sequence.split(' ').entries()) {
    const made = call(`c${index}`, item[0] ?? '')
    transcript.append(step(made))
    const action = next(transcript, { ...policy, maxIterations: 1000, ...changes })
    const verdict = inWords(action)
    seen.push(verdict)
    const blocked = verdict === 'block'
    const result = finished(made, blocked ? 'Not executed' : item.slice(1))
    if (blocked && result.type === 'tool_finished') {
      const error = { code: 'no_progress', message: 'Not executed' }
      transcript.append({ ...result, result: { ...result.result, ok: false, error } })
    } else transcript.append(result)
  }
  return `${seen.join(' ')} → ${inWords(next(transcript, { ...policy, maxIterations: 1000, ...changes }))}`
}

describe('a model that repeats itself', () => {
  test.each([
    [
      'is blocked the fourth time and stopped the fifth',
      'a1 a1 a1 a1 a1',
      'run run run block block → finish limit progress no_progress',
    ],
    ['may be told different things by the same call', 'a1 a2 a3 a4 a5 a6', 'run run run run run run → call'],
    [
      'is seen through when it alternates',
      'a1 b1 a1 b1 a1 b1 a1 b1 a1 b1',
      'run run run run run run run block block block → finish limit progress no_progress',
    ],
    ['may look again after it learned something new', 'a1 a1 a1 b1 a1 a1', 'run run run run run run → call'],
    ['is stopped also when what it learned is old', 'b1 a1 a1 b1 a1 a1', 'run run run run run block → call'],
  ])('%s: %s', (_, sequence, expected) => {
    expect(verdicts(sequence)).toBe(expected)
  })

  test('is counted once for a reply that says the same five times', () => {
    const same = ['a', 'b', 'c', 'd', 'e'].map(weather)
    const entries = [input(), step(...same), ...same.map((made) => finished(made, 'sun'))]
    expect(inWords(decide(entries))).toBe('call')
  })

  test('is left alone with tools that are meant to be polled', () => {
    expect(verdicts('a1 a1 a1 a1 a1 a1', { repeatable: () => true })).toBe('run run run run run run → call')
  })

  test('lands where it is told to land', () => {
    expect(verdicts('a1 a1 a1 a1 a1', { onLimit: 'land' })).toBe('run run run block block → land progress')
  })
})
