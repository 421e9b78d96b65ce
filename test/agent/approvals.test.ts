import { describe, expect, test } from 'vitest'
import {
  type AgentEvent,
  ApprovalError,
  approve,
  deny,
  edit,
  FatalToolError,
  isEvent,
  NothingToResumeError,
  RunSuspendedError,
  resultOf,
  secret,
  ToolSet,
} from '../../src/index.ts'
import { calls, checkEvents, hangs, json } from '../../src/testing/index.ts'
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

describe('hooks', () => {
  test('have their say before the policy is asked, and none after an approval', async () => {
    const { agent, ran } = approvalStage([calls(['pay', { n: 1 }, 'p']), 'Paid.'], {
      policy: { confirm: ({ parameters }) => parameters['n'] === 2 },
      hooks: {
        beforeTool: (call) => ({ ...call, parameters: { n: Number(call.parameters['n']) + 1 } }),
      },
    })
    expect((await begin(agent())).pending?.[0]?.parameters).toEqual({ n: 2 })
    await agent().resume('c', { decisions: { p: approve({ n: 2 }) } })
    expect(ran.map(({ input }) => input)).toEqual([{ n: 2 }])
  })

  test('that choose another tool are seen by who decides', async () => {
    const { agent, ran } = approvalStage([calls(['look', { n: 1 }, 'l']), 'Paid.'], {
      hooks: { beforeTool: (call) => ({ ...call, toolName: 'pay' }) },
    })
    const events = await eventsOf(agent().runStream('Go.', { conversation: 'c' }))
    expect(checkEvents(events)).toBeUndefined()
    expect(events.at(-1)).toMatchObject({ pending: [{ callId: 'l', toolName: 'pay' }] })
    await agent().resume('c', { decisions: { l: approve() } })
    expect(ran.map(({ toolName }) => toolName)).toEqual(['pay'])
  })
})

describe('the policy', () => {
  test('that denies tells the model, and the run goes on', async () => {
    const { agent, client, ran } = approvalStage([payAndLook, 'Then not.'], { policy: { deny: 'pay' } })
    expect((await begin(agent())).answer).toBe('Then not.')
    expect(resultsShown(client)[0]).toBe(
      'Not executed: this call of "pay" was denied. Do not repeat it as it is.',
    )
    expect(ran.map(({ callId }) => callId)).toEqual(['l'])
  })

  test('that fails denies, and says so in a diagnostic', async () => {
    const { agent, ran } = approvalStage([payAndLook, 'Then not.'], {
      policy: {
        allow: () => {
          throw new Error('no directory')
        },
      },
    })
    const events = await eventsOf(agent().runStream('Go.'))
    const told = events
      .filter((event) => isEvent(event, 'diagnostic'))
      .map(({ code, message }) => [code, message])
    expect(told[0]).toEqual(['policy_failed', 'The policy failed, so pay is not executed: no directory'])
    expect([events.at(-1)?.type, ran]).toEqual(['run_end', []])
  })

  test('that denies by now denies also what was approved before', async () => {
    const { agent, client, ran } = approvalStage([calls(['pay', { n: 1 }, 'p']), 'Then not.'])
    await begin(agent())
    await agent({ policy: { deny: 'pay' } }).resume('c', { decisions: { p: approve() } })
    expect(ran).toEqual([])
    expect(resultsShown(client)[0]).toContain('was denied')
  })

  test('may be gone when a call is decided: it waits all the same', async () => {
    const { agent, ran } = approvalStage([calls(['pay', { n: 1 }, 'p']), 'Paid.'])
    await begin(agent())
    const free = agent({ policy: {} })
    expect((await free.resumeStream('c').result).status).toBe('suspended')
    expect(ran).toEqual([])
  })
})

test('any number of denials in a row is no failure of the tool', async () => {
  const pays = [1, 2, 3, 4].map((n) => calls(['pay', { n }, `p${n}`]))
  const { agent } = approvalStage([...pays, 'I give up.'])
  let result = await begin(agent())
  while (result.pending) {
    const [{ callId } = { callId: '' }] = result.pending
    result = await agent().resumeStream('c', { decisions: { [callId]: deny('Less.') } }).result
  }
  expect(result).toMatchObject({ status: 'done', answer: 'I give up.' })
})

describe('beside a call that waits', () => {
  test('an exclusive tool runs alone: nobody is asked about the other', async () => {
    const { agent, make } = approvalStage([payAndLook, 'Looked.'])
    const result = await begin(agent({ tools: [make('pay'), make('look', { exclusive: true })] }))
    expect(result.status).toBe('done')
    expect(result.steps[0]?.results.map(({ ok }) => ok)).toEqual([false, true])
  })

  test('nothing runs when it is exclusive itself', async () => {
    const { agent, make, ran } = approvalStage([payAndLook, 'Paid.'])
    const tools = [make('pay', { exclusive: true }), make('look')]
    await begin(agent({ tools }))
    await agent({ tools }).resume('c', { decisions: { p: approve() } })
    expect(ran.map(({ callId }) => callId)).toEqual(['p'])
  })

  test('an exclusive tool that was blocked does not keep it from running', async () => {
    const again = calls(['look', { n: 2 }])
    const { agent, make, ran } = approvalStage([again, again, again, payAndLook, 'Paid.'])
    const tools = [make('pay'), make('look', { exclusive: true })]
    expect((await begin(agent({ tools }))).pending).toHaveLength(1)
    await agent({ tools }).resume('c', { decisions: { p: approve() } })
    expect(ran.map(({ toolName }) => toolName)).toEqual(['look', 'look', 'look', 'pay'])
  })

  test('serial tools run, and it runs after them', async () => {
    const { agent, make, ran } = approvalStage([payAndLook, 'Paid.'])
    const tools = [make('pay', { serial: true }), make('look', { serial: true })]
    await begin(agent({ tools }))
    await agent({ tools }).resume('c', { decisions: { p: approve() } })
    expect(ran.map(({ callId }) => callId)).toEqual(['l', 'p'])
  })

  test('a fatal tool ends the run: the call is withdrawn, and the step is whole', async () => {
    const { agent, make } = approvalStage([payAndLook])
    const execute = () => {
      throw new FatalToolError('beyond repair')
    }
    const events: AgentEvent[] = await eventsOf(
      agent({ tools: [make('pay'), make('look', { execute })] }).runStream('Go.', { conversation: 'c' }),
    )
    expect(checkEvents(events)).toBeUndefined()
    expect(events.find((event) => isEvent(event, 'tool_results'))?.results.map((r) => r.error?.code)).toEqual(
      ['not_executed', 'fatal_tool'],
    )
    expect(events.at(-1)).toMatchObject({ status: 'failed', error: { code: 'fatal_tool' } })
    await expect(agent().resume('c', { decisions: { p: approve() } })).rejects.toThrow(ApprovalError)
  })
})

test('nobody is asked when the tool rounds are used up', async () => {
  const { agent, ran } = approvalStage([payAndLook], { maxToolRounds: 0 })
  expect(await begin(agent())).toMatchObject({ status: 'limit', limit: 'tool_rounds' })
  expect(ran).toEqual([])
})

test('secrets in parameters are shown to nobody', async () => {
  const key = 'sk-very-secret-key-123'
  const { agent, client, make, ran, store } = approvalStage([
    calls(['pay', { note: `use ${key}` }, 'p']),
    'Paid.',
  ])
  const pay = make('pay', {
    parameters: { type: 'object', properties: { note: { type: 'string' } } },
  })
  const set = new ToolSet({ name: 's', description: 's', config: { apiKey: secret(key) }, tools: [pay] })
  const options = { tools: [set], policy: { confirm: '*' } }
  const events = await eventsOf(agent(options).runStream('Go.', { conversation: 'c' }))
  await agent(options).resume('c', { decisions: { p: edit({ note: `never ${key}` }) } })
  expect(events.at(-1)).toMatchObject({ pending: [{ parameters: { note: 'use [secret:apiKey]' } }] })
  const shown = JSON.stringify([events, client.requests, await store.read('c')])
  expect(shown).not.toContain(key)
  expect(ran.map(({ input }) => input)).toMatchObject([{ note: 'never [secret:apiKey]' }])
})
