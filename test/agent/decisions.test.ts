import { describe, expect, test } from 'vitest'
import { Agent, approve, ConfigurationError, deny, edit } from '../../src/index.ts'
import { ScriptedClient } from '../../src/testing/index.ts'

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
