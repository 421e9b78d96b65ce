import { describe, expect, test } from 'vitest'
import {
  type AgentEvent,
  ApprovalError,
  approve,
  deny,
  edit,
  FatalToolError,
  isEvent,
  secret,
  ToolSet,
} from '../../src/index.ts'
import { calls, checkEvents } from '../../src/testing/index.ts'
import { eventsOf } from '../seeds/events-of.ts'
import { watchRejections } from './aftermath.ts'
import { approvalStage, begin, resultsShown } from './approval-stage.ts'

watchRejections()

const payAndLook = calls('Both.', ['pay', { n: 1 }, 'p'], ['look', { n: 2 }, 'l'])

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
