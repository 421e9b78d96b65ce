import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { validateHistory } from '../../src/memory/repair.ts'
import { assistant, toolMessage, user } from '../../src/messages.ts'
import { Transcript } from '../../src/transcript/transcript.ts'
import { call, finished, input, reply, runId, started, step } from './entries.ts'

const weather = call('c1', 'weather', { city: 'Oslo' })
const time = call('c2', 'time')
const interrupted = 'No result: the run was interrupted, so the outcome of this call is unknown.'
const notBegun = 'Not executed: the run was interrupted before this call began.'

describe('the history', () => {
  test('has the results in the order of the calls, whatever finished first', () => {
    const transcript = new Transcript([
      input('Weather and time?'),
      step(weather, time),
      finished(time, 'noon'),
      finished(weather, 'sun'),
      reply('final', 'Sun at noon.'),
    ])
    expect(transcript.history()).toEqual([
      user('Weather and time?'),
      assistant('', [weather, time]),
      toolMessage(weather, 'sun'),
      toolMessage(time, 'noon'),
      assistant('Sun at noon.'),
    ])
  })

  test('answers calls that are still open as interrupted, without writing that down', () => {
    const transcript = new Transcript([input(), step(weather, time), finished(weather, 'sun')])
    expect(transcript.history().slice(2)).toEqual([
      toolMessage(weather, 'sun'),
      toolMessage(time, notBegun, false),
    ])
    transcript.append(started('c2'))
    expect(transcript.history().slice(2)).toEqual([
      toolMessage(weather, 'sun'),
      toolMessage(time, interrupted, false),
    ])
    transcript.append(finished(time, 'noon'))
    expect(transcript.history().slice(2)).toEqual([toolMessage(weather, 'sun'), toolMessage(time, 'noon')])
  })

  test('holds no reply that had to be repaired, but its usage counts', () => {
    const usage = { inputTokens: 3, outputTokens: 2 }
    const transcript = new Transcript([
      input(),
      reply('malformed', '{"final_ans', { usage, problem: 'cut' }),
      reply('invalid_output', '{}', { usage, problem: 'city: required' }),
      reply('final', '{"city":"Oslo"}', { usage }),
    ])
    expect(transcript.history()).toEqual([user('Go'), assistant('{"city":"Oslo"}')])
    expect(transcript.usage).toEqual({ inputTokens: 9, outputTokens: 6 })
  })

  test('puts a message that came in while calls were open behind their results', () => {
    const transcript = new Transcript([
      input(),
      step(weather),
      { type: 'message', message: user('Hurry!') },
      finished(weather, 'sun'),
    ])
    expect(transcript.history().map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'user'])
  })

  test('takes the first of two results for one call, and none for a call that was not made', () => {
    const transcript = new Transcript([
      input(),
      step(weather),
      finished(time, 'noon'),
      finished(weather, 'sun'),
      finished(weather, 'rain'),
    ])
    expect(transcript.history().slice(2)).toEqual([toolMessage(weather, 'sun')])
  })

  test('loses no reply, even if the one before was never answered', () => {
    const transcript = new Transcript([input(), step(weather), reply('final', 'Sun.')])
    expect(transcript.history().slice(1)).toEqual([
      assistant('', [weather]),
      toolMessage(weather, notBegun, false),
      assistant('Sun.'),
    ])
  })

  test('cannot be changed from outside', () => {
    const transcript = new Transcript([input('Hello')])
    const [message] = transcript.history()
    expect(() => Object.assign(message ?? {}, { content: 'Bye' })).toThrow(TypeError)
    transcript.history().pop()
    expect(transcript.history()).toEqual([user('Hello')])
  })

  test('is whole after every prefix of any entries', () => {
    const entry = fc.oneof(
      fc.constant(input('Again')),
      fc.constantFrom(step(weather), step(time), step(weather, time)),
      fc.constantFrom(finished(weather, 'sun'), finished(time, 'no', false)),
      fc.constantFrom(started('c1'), started('c2')),
      fc.constantFrom(reply('final', 'Done.'), reply('partial', 'Do'), reply('malformed', 'x')),
      fc.constant({ type: 'run_ended' as const, runId, status: 'aborted' as const }),
      fc.constant({ type: 'run_resumed' as const, runId, attemptId: 'a' }),
      fc.constant({ type: 'run_suspended' as const, runId }),
    )
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 30 }), (entries) => {
        const transcript = new Transcript()
        for (const next of entries) {
          transcript.append(next)
          // One id is made again and again here, which the loop never does.
          const issues = validateHistory(transcript.history()).filter(
            ({ kind }) => !kind.startsWith('duplicate'),
          )
          expect(issues).toEqual([])
          expect(new Transcript(transcript.entries).history()).toEqual(transcript.history())
        }
      }),
      { numRuns: 1000 },
    )
  })
})

test('a fork is a prefix of the entries, and goes its own way', () => {
  const transcript = new Transcript([input('One'), reply('final', 'First.'), input('Two')])
  const fork = new Transcript(transcript.entries.slice(0, 2))
  fork.append(input('Other'))
  expect(fork.history().map(({ content }) => content)).toEqual(['One', 'First.', 'Other'])
  expect(transcript.history().map(({ content }) => content)).toEqual(['One', 'First.', 'Two'])
})
