import { afterAll, beforeAll, expect } from 'vitest'
import { Agent, validateHistory } from '../../src/index.ts'
import { ScriptedClient } from '../../src/testing/index.ts'

/** The rejections that nobody handled while the tests of a file run. There must be none. */
export function watchRejections(): readonly unknown[] {
  const rejections: unknown[] = []
  const hear = (reason: unknown) => void rejections.push(reason)
  beforeAll(() => void process.on('unhandledRejection', hear))
  afterAll(() => {
    process.off('unhandledRejection', hear)
    expect(rejections).toEqual([])
  })
  return rejections
}

/** The conversation goes on, whatever the agent went through. */
export async function goesOn(agent: Agent<unknown>): Promise<void> {
  expect(validateHistory(agent.history)).toEqual([])
  const saved = agent.history
  const calm = new Agent({ client: new ScriptedClient(['Here I am.']) })
  expect(await calm.run('Are you there?', { history: saved })).toBe('Here I am.')
}
