import { describe, expect, test } from 'vitest'
import {
  type AgentOptions,
  type Decision,
  edit,
  isEvent,
  type ToolCall,
  toolError,
  toolResult,
  type UnknownOutcome,
  type UnknownOutcomeHandler,
} from '../../src/index.ts'
import { calls, checkEvents } from '../../src/testing/index.ts'
import { eventsOf } from '../seeds/events-of.ts'
import { watchRejections } from './aftermath.ts'
import { approvalStage, begin, resultsShown } from './approval-stage.ts'

watchRejections()

/** A stage whose process died right after `pay` had begun: in the store, everything ends there. */
async function interrupted(decision?: Decision) {
  const stage = approvalStage([calls(['pay', { n: 1 }, 'p']), 'Well.', 'Well.'])
  await begin(stage.agent({ policy: { ...(decision && { confirm: 'pay' }) } }))
  if (decision) await stage.agent().resume('c', { decisions: { p: decision } })
  const entries = await stage.store.read('c')
  const end = entries.findIndex(({ type }) => type === 'tool_finished')
  await stage.store.delete('c')
  await stage.store.append('c', 0, structuredClone(entries.slice(0, end)))
  stage.ran.length = 0
  return { ...stage, agent: (changes: Partial<AgentOptions> = {}) => stage.agent({ policy: {}, ...changes }) }
}

describe('a call that had begun when its process died', () => {
  test('does not run again: the model is told that nobody knows', async () => {
    const { agent, client, ran } = await interrupted()
    const events = await eventsOf(agent().resumeStream('c'))
    expect(checkEvents(events)).toBeUndefined()
    expect(ran).toEqual([])
    expect(resultsShown(client)).toEqual([
      'Outcome unknown: the call was started and interrupted. Find out before you repeat it.',
    ])
  })

  test.each(['read', 'idempotent'] as const)(
    'runs again with its key when its tool is %s',
    async (effect) => {
      const { agent, make, store } = await interrupted()
      const keys: string[] = []
      const execute = (_: unknown, { idempotencyKey }: { idempotencyKey: string }) => {
        keys.push(idempotencyKey)
        return 'paid'
      }
      const asked: unknown[] = []
      const onUnknownOutcome = (outcome: UnknownOutcome) => void asked.push(outcome)
      await agent({ tools: [make('pay', { effect, execute })], onUnknownOutcome }).resume('c')
      const started = (await store.read('c')).flatMap((entry) =>
        entry.type === 'tool_started' ? [entry.idempotencyKey] : [],
      )
      expect(keys).toEqual([started[0]])
      expect(new Set(started).size).toBe(1)
      expect(asked).toEqual([])
    },
  )

  test('is described to the handler', async () => {
    const { agent } = await interrupted()
    const asked: UnknownOutcome[] = []
    await agent({ onUnknownOutcome: (outcome) => void asked.push(outcome) }).resume('c', { context: 'mine' })
    const { signal, ...rest } = asked[0] as UnknownOutcome
    expect(signal).toBeInstanceOf(AbortSignal)
    expect(rest).toEqual({
      callId: 'p',
      toolName: 'pay',
      parameters: { n: 1 },
      idempotencyKey: expect.stringMatching(/:p$/),
      runId: expect.any(String),
      conversationId: 'c',
      context: 'mine',
    })
  })

  test.each<[string, UnknownOutcomeHandler, string, number]>([
    ['a result', () => toolResult('It was paid.', { metadata: { by: 'bank' } }), 'It was paid.', 0],
    ['a failure', async () => toolError('The bank refused it.'), 'Error: The bank refused it.', 0],
    ['"execute"', () => 'execute', 'pay is done', 1],
    [
      'nothing',
      () => undefined,
      'Outcome unknown: the call was started and interrupted. Find out before you repeat it.',
      0,
    ],
  ])('becomes what the handler says: %s', async (_, onUnknownOutcome, shown, times) => {
    const { agent, client, ran } = await interrupted()
    await agent({ onUnknownOutcome }).resume('c')
    expect([resultsShown(client), ran.length]).toEqual([[shown], times])
  })

  test('stays unknown when the handler throws, and a diagnostic says so', async () => {
    const { agent, ran } = await interrupted()
    const onUnknownOutcome = () => Promise.reject(new Error('no ledger'))
    const events = await eventsOf(agent({ onUnknownOutcome }).resumeStream('c'))
    expect(events.find((event) => isEvent(event, 'diagnostic'))).toMatchObject({
      code: 'hook_failed',
      message: 'onUnknownOutcome threw: no ledger',
    })
    expect(ran).toEqual([])
  })

  test('stays unknown when the time is up while the handler looks', async () => {
    const { agent } = await interrupted()
    const never: UnknownOutcomeHandler = () => new Promise(() => {})
    const result = await agent({ onUnknownOutcome: never, timeoutMs: 1_000 }).resumeStream('c').result
    expect(result).toMatchObject({ status: 'limit', limit: 'time' })
    expect(result.history.at(-1)?.content).toContain('the outcome of this call is unknown')
  })

  test('is denied a second time by a policy that denies it by now', async () => {
    const { agent, ran } = await interrupted()
    await agent({ onUnknownOutcome: () => 'execute', policy: { deny: 'pay' } }).resume('c')
    expect(ran).toEqual([])
  })
})

test('a call that had begun is unknown, not "not executed", also beside one that runs alone by now', async () => {
  const { agent, client, make, ran, store } = approvalStage(
    [calls(['pay', { n: 1 }, 'p'], ['look', {}, 'l']), 'Well.', 'Well.'],
    { policy: {}, toolConcurrency: 1 },
  )
  await begin(agent())
  const entries = await store.read('c')
  await store.delete('c')
  await store.append(
    'c',
    0,
    entries.slice(
      0,
      entries.findIndex(({ type }) => type === 'tool_finished'),
    ),
  )
  ran.length = 0
  await agent({ tools: [make('pay'), make('look', { exclusive: true })] }).resume('c')
  expect(ran.map(({ toolName }) => toolName)).toEqual(['look'])
  expect(resultsShown(client)).toEqual([
    'Outcome unknown: the call was started and interrupted. Find out before you repeat it.',
    'look is done',
  ])
})

test('a call that a hook gave to another tool is judged by that one', async () => {
  const { agent, client, make, ran } = await interrupted()
  const tools = [make('pay', { effect: 'read' }), make('look')]
  const hooks = { beforeTool: (call: ToolCall) => ({ ...call, toolName: 'look' }) }
  await agent({ tools, hooks }).resume('c')
  expect(ran).toEqual([])
  expect(resultsShown(client)).toEqual([
    'Outcome unknown: the call was started and interrupted. Find out before you repeat it.',
  ])
})

test('the handler is told the parameters that were approved, not those of the model', async () => {
  const { agent, ran } = await interrupted(edit({ n: 5 }))
  const asked: UnknownOutcome[] = []
  const onUnknownOutcome: UnknownOutcomeHandler = (outcome) => {
    asked.push(outcome)
    return 'execute'
  }
  await agent({ onUnknownOutcome }).resume('c')
  expect(asked.map(({ parameters }) => parameters)).toEqual([{ n: 5 }])
  expect(ran.map(({ input }) => input)).toEqual([{ n: 5 }])
})
