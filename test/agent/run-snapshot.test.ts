import { expect, test } from 'vitest'
import { approve, emptySnapshot, type RunSnapshot, type RunStream, reduceSnapshot } from '../../src/index.ts'
import { calls } from '../../src/testing/index.ts'
import { eventsOf } from '../seeds/events-of.ts'
import { approvalStage } from './approval-stage.ts'

const payAndLook = calls('Both.', ['pay', { n: 1 }, 'p'], ['look', { n: 2 }, 'l'])

async function after(stream: RunStream, state: RunSnapshot = emptySnapshot): Promise<RunSnapshot> {
  let now = state
  for await (const event of stream) now = reduceSnapshot(now, event)
  return now
}

const shown = ({ status, steps }: RunSnapshot) => [
  status,
  ...steps.flatMap(({ calls }) => calls.map((call) => call.status)),
]

test('a call that waits is shown undecided, with the parameters that would be executed', async () => {
  const { agent } = approvalStage([payAndLook], {
    hooks: { beforeTool: (call) => ({ ...call, parameters: { n: 9 } }) },
  })
  const state = await after(agent().runStream('Go.', { conversation: 'c' }))
  expect(shown(state)).toEqual(['suspended', 'undecided', 'completed'])
  expect(state.steps[0]?.calls[0]).toEqual({
    id: 'p',
    toolName: 'pay',
    parameters: { n: 9 },
    status: 'undecided',
  })
})

test('a state goes on with the events of the resumed run: its step is the same one', async () => {
  const { agent } = approvalStage([payAndLook, 'Paid.'])
  const waiting = await after(agent().runStream('Go.', { conversation: 'c' }))
  const done = await after(agent().resumeStream('c', { decisions: { p: approve() } }), waiting)
  expect(shown(done)).toEqual(['done', 'completed', 'completed'])
  expect([done.answer, done.usage.inputTokens]).toEqual(['Paid.', 20])
})

test('a resumed run is shown as running, without the error it had ended with', async () => {
  const { agent } = approvalStage([payAndLook], { policy: {}, maxIterations: 1 })
  const failed = await after(agent().runStream('Go.', { conversation: 'c' }))
  expect(failed.error?.code).toBe('max_iterations')
  const [start] = await eventsOf(agent().resumeStream('c'))
  if (!start) throw new Error('there are no events')
  const { status, error } = reduceSnapshot(failed, start)
  expect([status, error]).toEqual(['running', undefined])
})

test('another process shows the step anew, and learns of the calls that ran before by its results', async () => {
  const { agent } = approvalStage([payAndLook, 'Paid.'])
  await agent().runStream('Go.', { conversation: 'c' }).result
  expect(shown(await after(agent().resumeStream('c')))).toEqual(['suspended', 'undecided', 'waiting'])
  const done = await after(agent().resumeStream('c', { decisions: { p: approve() } }))
  expect(shown(done)).toEqual(['done', 'completed', 'completed'])
})
