import { describe, expect, test } from 'vitest'
import { Agent } from '../../src/agent/agent.ts'
import { judge, type ToolPolicy, type ToolRule } from '../../src/guard/policy.ts'
import { ScriptedClient } from '../../src/testing/scripted-client.ts'

const scope = { runId: 'r', conversationId: 'c', context: { user: 'ada' } }
const call = { id: 'a', toolName: 'delete_file', parameters: { path: '/tmp/x' } }
const verdict = (policy: ToolPolicy) => judge(policy, call, scope)

describe('a tool policy', () => {
  test.each<[string, ToolPolicy, string]>([
    ['lets everything pass when it has no rules', {}, 'allow'],
    ['lets pass what no rule is for', { deny: 'send_mail', confirm: ['pay'] }, 'allow'],
    ['denies by name', { deny: 'delete_file' }, 'deny'],
    ['denies by the beginning of a name', { deny: 'delete_*' }, 'deny'],
    ['takes "*" for every tool', { confirm: '*' }, 'confirm'],
    ['does not take a name for the beginning of one', { deny: 'delete' }, 'allow'],
    ['does not take a star in the middle for anything else', { deny: 'd*e' }, 'allow'],
    ['asks for what is to be confirmed', { confirm: ['pay', 'delete_file'] }, 'confirm'],
    ['denies what is not allowed once anything is', { allow: 'read_*' }, 'deny'],
    ['denies everything when nothing is allowed', { allow: [] }, 'deny'],
    ['lets pass what is allowed', { allow: ['read_*', 'delete_file'] }, 'allow'],
    ['asks for what is to be confirmed, although it is not allowed', { allow: [], confirm: '*' }, 'confirm'],
    ['asks for what is allowed and to be confirmed', { allow: '*', confirm: 'delete_*' }, 'confirm'],
    ['denies before it asks', { deny: '*', confirm: '*', allow: '*' }, 'deny'],
  ])('%s', async (_, policy, expected) => {
    expect(await verdict(policy)).toBe(expected)
  })

  test('asks functions with the call and the run it is made in', async () => {
    const asked: unknown[] = []
    const inTmp: ToolRule = (...given) => {
      asked.push(given)
      return String(given[0].parameters['path']).startsWith('/tmp/')
    }
    expect(await verdict({ deny: 'pay', confirm: ['pay', inTmp] })).toBe('confirm')
    expect(asked).toEqual([[call, scope]])
  })

  test('waits for functions that take their time', async () => {
    expect(await verdict({ deny: async () => false, allow: async () => true })).toBe('allow')
  })

  test('asks no function after the first rule that is for the call', async () => {
    const never: ToolRule = () => {
      throw new Error('asked in vain')
    }
    expect(await verdict({ deny: ['delete_file', never], confirm: never, allow: never })).toBe('deny')
  })

  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['text', 'yes'],
    ['a number', 1],
  ])('takes %s for no answer of a function', async (_, answer) => {
    const rule = (() => answer) as unknown as ToolRule
    await expect(verdict({ deny: 'pay', allow: rule })).rejects.toMatchObject({
      code: 'configuration',
      path: 'policy.allow',
    })
  })

  test('fails with what a function throws', async () => {
    const broken = new Error('the directory is down')
    await expect(verdict({ confirm: () => Promise.reject(broken) })).rejects.toBe(broken)
  })
})

const rules =
  'a string that is not empty, or a function, or an array of which each item is a string that is not empty, or a function'

test.each<[object, string, string]>([
  [{ allow: 7 }, 'policy.allow', `must be ${rules}, got 7`],
  [{ deny: '' }, 'policy.deny', `must be ${rules}, got ""`],
  [{ confirm: ['pay', null] }, 'policy.confirm', `must be ${rules}, got an array of 2`],
  [
    { approvalTimeoutMs: 0 },
    'policy.approvalTimeoutMs',
    'must be a number of milliseconds greater than 0, got 0',
  ],
])('an agent refuses %j, and says where it is wrong', (policy, path, says) => {
  const make = () => new Agent({ client: new ScriptedClient([]), policy })
  expect(make).toThrow(expect.objectContaining({ path }))
  expect(make).toThrow(`Agent option ${path} ${says}.`)
})

test('an agent refuses a rule it does not know, and says which was meant', () => {
  const make = () => new Agent({ client: new ScriptedClient([]), policy: { confirms: 'pay' } as ToolPolicy })
  expect(make).toThrow('Agent has no option "policy.confirms". Did you mean "confirm"?')
})
