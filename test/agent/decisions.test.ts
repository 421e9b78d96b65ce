import { describe, expect, test } from 'vitest'
import {
  Agent,
  approve,
  ConfigurationError,
  deny,
  type Entry,
  edit,
  secret,
  ToolSet,
} from '../../src/index.ts'
import { calls, ScriptedClient } from '../../src/testing/index.ts'
import { approvalStage, begin } from './approval-stage.ts'

test('decisions are JSON, so they can come from anywhere', () => {
  const all = { a: approve(), b: approve({ n: 1 }), c: deny(), d: deny('No.'), e: edit({ n: 2 }) }
  expect(JSON.parse(JSON.stringify(all))).toEqual({
    a: { decision: 'approve' },
    b: { decision: 'approve', parameters: { n: 1 } },
    c: { decision: 'deny' },
    d: { decision: 'deny', reason: 'No.' },
    e: { decision: 'edit', parameters: { n: 2 } },
  })
})

const cycle: Record<string, unknown> = {}
cycle['itself'] = cycle

describe('a decision that is none is refused before anything is done, with its place', () => {
  test.each<[unknown, string, string]>([
    [['approve'], 'decisions', 'must be an object, got an array of 1'],
    [{ p: 'approve' }, 'decisions.p', 'must be approve(), deny(reason) or edit(parameters), got "approve"'],
    [{ p: true }, 'decisions.p', 'must be approve(), deny(reason) or edit(parameters), got true'],
    [{ p: undefined }, 'decisions.p', 'must be approve(), deny(reason) or edit(parameters), got undefined'],
    [{ p: approve }, 'decisions.p', 'must be approve(), deny(reason) or edit(parameters), got a function'],
    [
      { p: { decision: 'maybe' } },
      'decisions.p',
      'must be approve(), deny(reason) or edit(parameters), got an object',
    ],
    [{ p: { decision: 'deny', reason: 7 } }, 'decisions.p.reason', 'must be a string, got 7'],
    [{ p: { decision: 'edit' } }, 'decisions.p.parameters', 'must be an object of JSON, got undefined'],
    [{ p: edit([1] as never) }, 'decisions.p.parameters', 'must be an object of JSON, got an array of 1'],
    [{ p: approve('all' as never) }, 'decisions.p.parameters', 'must be an object of JSON, got "all"'],
    [{ p: edit(cycle as never) }, 'decisions.p.parameters', 'must be an object of JSON, got an object'],
    [{ p: edit({ n: 1n } as never) }, 'decisions.p.parameters', 'must be an object of JSON, got an object'],
  ])('%o', (decisions, path, says) => {
    const agent = new Agent({ client: new ScriptedClient([]) })
    const resume = () => agent.resumeStream('c', { decisions: decisions as never })
    expect(resume).toThrow(ConfigurationError)
    expect(resume).toThrow(expect.objectContaining({ path }))
    expect(resume).toThrow(`resume() option ${path} ${says}.`)
  })

  test('also for a member too many', () => {
    const agent = new Agent({ client: new ScriptedClient([]) })
    const decision = { decision: 'approve', reason: 'Fine.' }
    expect(() => agent.resumeStream('c', { decisions: { p: decision as never } })).toThrow(
      'resume() has no option "decisions.p.reason". Known: decision, parameters.',
    )
  })
})

describe('a decision in the store that is none', () => {
  test.each([{ decision: 'defer' }, { decision: 'edit' }, { decision: 'toString' }, 'approve'])(
    'is no permission: %o',
    async (decision) => {
      const { agent, ran, store } = approvalStage([calls(['pay', { n: 1 }, 'p']), 'Well.'])
      const { runId } = await begin(agent())
      await store.append('c', 4, [
        { type: 'run_resumed', runId, attemptId: 'a' },
        { type: 'approval_decided', runId, callId: 'p', decision } as Entry,
      ])
      const result = await agent().resumeStream('c').result
      expect(result).toMatchObject({ status: 'failed', error: { code: 'corrupt_entry', position: 5 } })
      expect(ran).toEqual([])
    },
  )
})

test('a decision with a secret in it can be delivered twice', async () => {
  const { agent, make } = approvalStage([calls(['pay', { n: 1 }, 'p']), 'Paid.'])
  const pay = () =>
    new ToolSet({
      name: 'bank',
      description: 'A bank',
      config: { key: secret('sk-1234567890') },
      tools: [make('pay')],
    })
  const worker = () => agent({ tools: [pay()] })
  await begin(worker())
  const decisions = { p: deny('Never with sk-1234567890.') }
  expect(await worker().resume('c', { decisions })).toBe('Paid.')
  expect(await worker().resume('c', { decisions })).toBe('Paid.')
})
