import { describe, expect, test } from 'vitest'
import { ApprovalError, approve, deny, isEvent, NothingToResumeError } from '../../src/index.ts'
import { calls, checkEvents, hangs, json } from '../../src/testing/index.ts'
import { eventsOf } from '../seeds/events-of.ts'
import { watchRejections } from './aftermath.ts'
import { approvalStage, begin } from './approval-stage.ts'

watchRejections()

const payAndLook = calls('Both.', ['pay', { n: 1 }, 'p'], ['look', { n: 2 }, 'l'])

describe('resuming', () => {
  test('without decisions tells again what waits, and changes nothing', async () => {
    const { agent, client, store } = approvalStage([payAndLook])
    await begin(agent())
    const before = await store.read('c')
    const events = await eventsOf(agent().resumeStream('c'))
    expect(checkEvents(events)).toBeUndefined()
    expect(events.map(({ type }) => type)).toEqual(['run_start', 'step', 'approval_required', 'run_end'])
    expect(events.at(-1)).toMatchObject({ status: 'suspended', pending: [{ callId: 'p' }] })
    expect(await store.read('c')).toEqual(before)
    expect(client.calls).toBe(1)
  })

  test('tells the open step again, then what is decided, then all results', async () => {
    const { agent } = approvalStage([payAndLook, 'Paid.'])
    await begin(agent())
    const events = await eventsOf(agent().resumeStream('c', { decisions: { p: approve() } }))
    expect(checkEvents(events)).toBeUndefined()
    expect(events.map(({ type }) => type).slice(0, 5)).toEqual([
      'run_start',
      'step',
      'tool_execution',
      'tool_execution',
      'tool_results',
    ])
    expect(events.find((event) => isEvent(event, 'tool_results'))?.results.map((r) => r.callId)).toEqual([
      'p',
      'l',
    ])
  })

  test('a run that is done gives its answer without asking anyone', async () => {
    const { agent, client } = approvalStage(['Hello.'])
    await begin(agent())
    expect(await agent().resume('c')).toBe('Hello.')
    expect(client.calls).toBe(1)
  })

  test('a conversation in which nothing was begun is refused', async () => {
    const { agent } = approvalStage([])
    await expect(agent().resume('c')).rejects.toThrow(NothingToResumeError)
  })

  test('gives the result of the whole run', async () => {
    const { agent } = approvalStage([payAndLook, 'Paid.'])
    await begin(agent())
    const result = await agent().resumeStream('c', { decisions: { p: approve() } }).result
    expect(result.usage).toEqual({ inputTokens: 20, outputTokens: 10 })
    expect(result.steps.map(({ thought, results }) => [thought, results.length])).toEqual([['Both.', 2]])
  })

  test('while the run goes on is refused where runs do not queue', async () => {
    const { agent } = approvalStage([hangs()], { concurrency: 'reject' })
    const one = agent()
    const stream = one.runStream('Go.', { conversation: 'c' })
    const { result } = stream
    await stream[Symbol.asyncIterator]().next()
    await expect(one.resume('c')).rejects.toMatchObject({ code: 'concurrent_run' })
    stream.abort()
    await result
  })

  test('in the JSON protocol goes on like in the native one', async () => {
    const call = { id: 'p', tool_name: 'pay', parameters: { n: 1 } }
    const { agent, ran } = approvalStage([json({ tool_calls: [call] }), json({ final_answer: 'Paid.' })], {
      protocol: 'json',
    })
    await begin(agent())
    expect(await agent().resume('c', { decisions: { p: approve() } })).toBe('Paid.')
    expect(ran).toHaveLength(1)
  })

  test('gives a structured answer as its value, also the second time', async () => {
    const output = { type: 'object', properties: { paid: { type: 'boolean' } }, required: ['paid'] } as const
    const { agent } = approvalStage([calls(['pay', { n: 1 }, 'p']), '{"paid":true}'], { output })
    await begin(agent())
    expect(await agent().resume('c', { decisions: { p: approve() } })).toEqual({ paid: true })
    expect(await agent().resume('c')).toEqual({ paid: true })
  })
})

describe('who leaves', () => {
  test('at approval_required leaves the call waiting', async () => {
    const { agent, ran } = approvalStage([payAndLook, 'Paid.'])
    const stream = agent().runStream('Go.', { conversation: 'c' })
    for await (const event of stream) if (event.type === 'approval_required') break
    expect(await stream.result).toMatchObject({ status: 'suspended', pending: [{ callId: 'p' }] })
    expect(ran).toEqual([])
    expect(await agent().resume('c', { decisions: { p: approve() } })).toBe('Paid.')
    expect(ran.map(({ callId }) => callId)).toEqual(['p'])
  })

  test.each(['run_start', 'step', 'approval_required'] as const)(
    'a resumed run at %s has decided nothing',
    async (type) => {
      const two = calls(['pay', { n: 1 }, 'a'], ['pay', { n: 2 }, 'b'])
      const { agent, ran } = approvalStage([two, 'Paid.'])
      await begin(agent())
      for await (const event of agent().resumeStream('c', { decisions: { a: approve() } })) {
        if (event.type === type) break
      }
      expect(ran).toEqual([])
      expect(await agent().resume('c', { decisions: { a: approve(), b: deny() } })).toBe('Paid.')
    },
  )
})

test('a call that waits outlives the timeout of a run whose other tools take too long', async () => {
  const { agent, make, clock } = approvalStage([payAndLook, 'Paid.'], { timeoutMs: 1_000 })
  const look = make('look', { execute: (_, { signal }) => clock.runtime.sleep(5_000, signal) })
  const result = await begin(agent({ tools: [make('pay'), look] }))
  expect([result.status, result.pending?.length]).toEqual(['suspended', 1])
  expect(await agent().resume('c', { decisions: { p: approve() } })).toBe('Paid.')
})

describe('a new input', () => {
  test('takes the place of a run that waits: the model is told that the call was not approved', async () => {
    const { agent, client, ran } = approvalStage([payAndLook, 'Never mind then.'])
    await begin(agent())
    expect((await begin(agent(), 'Something else.')).answer).toBe('Never mind then.')
    expect(client.requests.at(-1)?.messages.map(({ role, content }) => [role, content])).toEqual([
      ['user', 'Go.'],
      ['assistant', 'Both.'],
      ['tool', 'Not executed: this call was not approved.'],
      ['tool', 'look is done'],
      ['user', 'Something else.'],
    ])
    await expect(agent().resume('c', { decisions: { p: approve() } })).rejects.toThrow(ApprovalError)
    expect(ran.map(({ callId }) => callId)).toEqual(['l'])
  })
})
