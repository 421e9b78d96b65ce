import { describe, expect, test } from 'vitest'
import { ApprovalError, approve, deny, edit, isEvent, RunSuspendedError, resultOf } from '../../src/index.ts'
import { calls, checkEvents } from '../../src/testing/index.ts'
import { eventsOf } from '../seeds/events-of.ts'
import { thrownBy } from '../support/outcome.ts'
import { watchRejections } from './aftermath.ts'
import { approvalStage, begin, resultsShown } from './approval-stage.ts'

watchRejections()

const payAndLook = calls('Both.', ['pay', { n: 1 }, 'p'], ['look', { n: 2 }, 'l'])

describe('a call that has to be confirmed', () => {
  test('suspends the run, as a value, when its siblings are done', async () => {
    const { agent, ran } = approvalStage([payAndLook])
    const result = await begin(agent())
    expect(result).toMatchObject({
      status: 'suspended',
      pending: [{ callId: 'p', toolName: 'pay', parameters: { n: 1 } }],
      conversationId: 'c',
    })
    expect(result.pending?.[0]).not.toHaveProperty('expiresAt')
    expect([result.answer, result.error]).toEqual([undefined, undefined])
    expect(ran.map(({ callId }) => callId)).toEqual(['l'])
  })

  test('makes run() reject with what waits, and where', async () => {
    const { agent } = approvalStage([payAndLook])
    const error = await thrownBy(agent().run('Go.', { conversation: 'c' }))
    expect(error).toBeInstanceOf(RunSuspendedError)
    expect(error).toMatchObject({ code: 'suspended', conversationId: 'c', callIds: ['p'] })
    expect(resultOf(error)?.pending).toHaveLength(1)
  })

  test('is told by an event, and again at the end', async () => {
    const { agent } = approvalStage([payAndLook], { policy: { confirm: 'pay', approvalTimeoutMs: 5_000 } })
    const events = await eventsOf(agent().runStream('Go.', { conversation: 'c' }))
    expect(checkEvents(events)).toBeUndefined()
    const pending = { callId: 'p', toolName: 'pay', parameters: { n: 1 }, expiresAt: 5_000 }
    expect(events.filter((event) => isEvent(event, 'approval_required'))).toEqual([
      { type: 'approval_required', runId: 'id-2', stepId: 'id-2/1', ...pending },
    ])
    expect(events.at(-1)).toMatchObject({ type: 'run_end', status: 'suspended', pending: [pending] })
    expect(events.some(({ type }) => type === 'tool_results')).toBe(false)
  })

  test('is found by who looks for suspended conversations', async () => {
    const { agent, store } = approvalStage([payAndLook])
    await begin(agent())
    expect(await store.list({ suspended: true })).toEqual([{ id: 'c', version: 6, state: 'suspended' }])
    expect(await store.list({ unfinished: true })).toEqual([])
  })

  test('is not asked about when its tool would refuse the parameters: the model mends them first', async () => {
    const { agent, client } = approvalStage([calls(['pay', { n: 'one' }]), calls(['pay', { n: 1 }, 'p'])])
    expect((await begin(agent())).pending?.map(({ callId }) => callId)).toEqual(['p'])
    expect(resultsShown(client)).toEqual([expect.stringContaining('do not fit the tool "pay"')])
  })

  test('is not asked about when there is no such tool', async () => {
    const { agent, client } = approvalStage([calls(['fly']), 'Then not.'], { policy: { confirm: '*' } })
    expect((await begin(agent())).status).toBe('done')
    expect(resultsShown(client)).toEqual([expect.stringContaining('There is no tool "fly"')])
  })
})

describe('a decision', () => {
  test('approve() executes what waited, in another agent, and the model sees all results in order', async () => {
    const { agent, client, ran } = approvalStage([payAndLook, 'Paid.'])
    await begin(agent())
    const answer = await agent().resume('c', { decisions: { p: approve({ n: 1 }) } })
    expect(answer).toBe('Paid.')
    expect(ran.map(({ callId }) => callId)).toEqual(['l', 'p'])
    expect(resultsShown(client)).toEqual(['pay is done', 'look is done'])
  })

  test('deny() tells the model why, and nothing runs', async () => {
    const { agent, client, ran } = approvalStage([calls(['pay', { n: 1 }, 'p']), 'Then not.'])
    await begin(agent())
    await agent().resume('c', { decisions: { p: deny('Too much.') } })
    expect(ran).toEqual([])
    expect(resultsShown(client)).toEqual([
      'Not executed: this call of "pay" was denied. Too much. Do not repeat it as it is.',
    ])
  })

  test('edit() executes other parameters and tells the model so', async () => {
    const { agent, client, ran } = approvalStage([calls(['pay', { n: 100 }, 'p']), 'Paid less.'])
    await begin(agent())
    await agent().resume('c', { decisions: { p: edit({ n: 5 }) } })
    expect(ran.map(({ input }) => input)).toEqual([{ n: 5 }])
    expect(resultsShown(client)).toEqual([
      'pay is done\n\nCalled with other parameters, as somebody decided: {"n":5}',
    ])
  })

  test('about some of the calls executes those, and the others go on waiting', async () => {
    const three = calls(['pay', { n: 1 }, 'a'], ['pay', { n: 2 }, 'b'], ['pay', { n: 3 }, 'c'])
    const { agent, client, ran } = approvalStage([three, 'Done.'])
    await begin(agent())
    const second = await agent().resumeStream('c', { decisions: { b: approve() } }).result
    expect([second.status, second.pending?.map(({ callId }) => callId)]).toEqual(['suspended', ['a', 'c']])
    expect([client.calls, ran.length]).toEqual([1, 1])
    await agent().resume('c', { decisions: { a: deny(), c: approve() } })
    expect(ran.map(({ callId }) => callId)).toEqual(['b', 'c'])
  })

  test.each<[string, unknown]>([
    ['other parameters', approve({ n: 2 })],
    ['fewer parameters', approve({})],
  ])('for %s than those that wait is refused, and changes nothing', async (_, decision) => {
    const { agent, store, ran } = approvalStage([payAndLook])
    await begin(agent())
    const before = await store.read('c')
    const error = await thrownBy(agent().resume('c', { decisions: { p: decision as never } }))
    expect(error).toBeInstanceOf(ApprovalError)
    expect(error).toMatchObject({ callId: 'p', reason: 'mismatched' })
    expect(await store.read('c')).toEqual(before)
    expect(ran).toHaveLength(1)
  })

  test('is refused with all others when one of them cannot be taken', async () => {
    const two = calls(['pay', { n: 1 }, 'a'], ['pay', { n: 2 }, 'b'])
    const { agent, ran } = approvalStage([two])
    await begin(agent())
    const decisions = { a: approve(), b: approve({ n: 9 }) }
    await expect(agent().resume('c', { decisions })).rejects.toMatchObject({ callId: 'b' })
    expect(ran).toEqual([])
    expect((await agent().resumeStream('c').result).pending).toHaveLength(2)
  })

  test.each(['l', 'nowhere'])('about a call that does not wait (%s) is refused', async (callId) => {
    const { agent } = approvalStage([payAndLook])
    await begin(agent())
    await expect(agent().resume('c', { decisions: { [callId]: approve() } })).rejects.toMatchObject({
      reason: 'not_pending',
      callId,
    })
  })

  test('about a call of another conversation is refused', async () => {
    const { agent, store } = approvalStage([payAndLook, calls(['pay', { n: 3 }, 'other'])])
    await begin(agent())
    await agent().runStream('Go.', { conversation: 'd' }).result
    await expect(agent().resume('d', { decisions: { p: approve() } })).rejects.toThrow(ApprovalError)
    expect(await store.list({ suspended: true })).toHaveLength(2)
  })

  test('that arrives twice is taken once, and the answer is given again', async () => {
    const { agent, client, ran } = approvalStage([payAndLook, 'Paid.'])
    await begin(agent())
    const resume = () => agent().resume('c', { decisions: { p: approve() } })
    expect([await resume(), await resume()]).toEqual(['Paid.', 'Paid.'])
    expect([ran.length, client.calls]).toEqual([2, 2])
  })

  test('cannot be changed once it was taken', async () => {
    const { agent } = approvalStage([payAndLook, 'Paid.'])
    await begin(agent())
    await agent().resume('c', { decisions: { p: approve() } })
    const changes = [deny(), edit({ n: 2 }), approve({ n: 2 })]
    const reasons = await Promise.all(
      changes.map(async (p) => (await thrownBy(agent().resume('c', { decisions: { p } }))) as ApprovalError),
    )
    expect(reasons.map(({ reason }) => reason)).toEqual(['not_pending', 'not_pending', 'mismatched'])
  })

  test('of two processes at once is taken from one', async () => {
    const { agent, ran } = approvalStage([calls(['pay', { n: 1 }, 'p']), 'Paid.', 'Paid.'])
    await begin(agent())
    const results = await Promise.all(
      [agent(), agent()].map((each) => each.resumeStream('c', { decisions: { p: approve() } }).result),
    )
    expect(results.map(({ status }) => status).sort()).toEqual(['done', 'failed'])
    expect(results.find(({ status }) => status === 'failed')?.error?.code).toBe('conflict')
    expect(ran).toHaveLength(1)
  })

  test('is bound to what was shown: changing that afterwards changes nothing', async () => {
    const { agent, ran } = approvalStage([calls(['pay', { n: 1 }, 'p']), 'Paid.'], {
      hooks: { beforeTool: (call) => ({ ...call, parameters: { ...call.parameters } }) },
    })
    const same = agent()
    const [shown] = (await begin(same)).pending ?? []
    expect(() => Object.assign(shown?.parameters ?? {}, { n: 1_000 })).toThrow(TypeError)
    const edited = { n: 5 }
    const stream = same.resumeStream('c', { decisions: { p: edit(edited) } })
    edited.n = 1_000
    await stream.result
    expect(ran.map(({ input }) => input)).toEqual([{ n: 5 }])
  })
})

describe('a call that was not decided in time', () => {
  const policy = { confirm: 'pay', approvalTimeoutMs: 1_000 }

  test('can still be approved just before', async () => {
    const { agent, clock } = approvalStage([payAndLook, 'Paid.'], { policy })
    await begin(agent())
    await clock.advance(999)
    expect(await agent().resume('c', { decisions: { p: approve() } })).toBe('Paid.')
  })

  test('cannot be approved or edited any more', async () => {
    const { agent, clock, ran } = approvalStage([payAndLook], { policy })
    await begin(agent())
    await clock.advance(1_000)
    for (const p of [approve(), edit({ n: 1 })]) {
      await expect(agent().resume('c', { decisions: { p } })).rejects.toMatchObject({ reason: 'expired' })
    }
    expect(ran).toHaveLength(1)
  })

  test('can be denied, with a reason', async () => {
    const { agent, client, clock } = approvalStage([payAndLook, 'Then not.'], { policy })
    await begin(agent())
    await clock.advance(1_000)
    await agent().resume('c', { decisions: { p: deny('Too late.') } })
    expect(resultsShown(client)[0]).toContain('Too late.')
  })

  test('is denied by resuming, and the run goes on', async () => {
    const { agent, client, clock, ran } = approvalStage([payAndLook, 'Then not.'], { policy })
    await begin(agent())
    await clock.advance(1_000)
    expect(await agent().resume('c')).toBe('Then not.')
    expect(resultsShown(client)[0]).toContain('was denied. Nobody approved it in time.')
    expect(ran).toHaveLength(1)
  })
})
