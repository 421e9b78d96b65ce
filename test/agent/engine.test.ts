import { afterEach, describe, expect, test, vi } from 'vitest'
import type { AgentEvent } from '../../src/events.ts'
import { checkEvents, ScriptedClient } from '../../src/testing/index.ts'

const engine = '../../src/agent/engine.ts'

afterEach(() => {
  vi.doUnmock(engine)
  vi.resetModules()
})

async function agentWith(replies: ConstructorParameters<typeof ScriptedClient>[0]) {
  vi.resetModules()
  const { Agent } = await import('../../src/agent/agent.ts')
  return new Agent({ client: new ScriptedClient(replies) })
}

describe('the engine, loaded with the first run', () => {
  test('fails a run for which it is not there, as any run fails, and does the next', async () => {
    vi.doMock(engine, () => {
      throw new Error('no such file')
    })
    const agent = await agentWith(['Hi.'])
    const heard: string[] = []
    agent.on('run_end', ({ status }) => heard.push(status))
    const stream = agent.runStream('Hello')
    const events: AgentEvent[] = []
    for await (const event of stream) events.push(event)
    const result = await stream.result
    expect(checkEvents(events)).toBeUndefined()
    expect(events.map(({ type }) => type)).toEqual(['run_start', 'run_end'])
    expect(result).toMatchObject({ status: 'failed', error: { code: 'unexpected' }, history: [], steps: [] })
    expect(result.error?.message).toMatch(/could not be loaded/)
    expect(result.error?.cause).toBeInstanceOf(Error)
    expect(heard).toEqual(['failed'])
    expect(agent.status).toBe('idle')
    expect(await stream.steer('more')).toBe(false)

    vi.doUnmock(engine)
    expect(await agent.run('Hello')).toBe('Hi.')
  })

  test('is loaded in vain when the agent is closed meanwhile: its run is aborted', async () => {
    const agent = await agentWith(['Hi.'])
    const { result } = agent.runStream('Hello')
    await agent.close()
    expect(await result).toMatchObject({ status: 'aborted', error: { code: 'agent_closed' } })
  })

  test('begins first runs in the order in which they were asked for', async () => {
    const agent = await agentWith(['One.', 'Two.'])
    expect(await Promise.all([agent.run('1'), agent.run('2')])).toEqual(['One.', 'Two.'])
  })

  test('goes by the options of a run as they were when it was asked for', async () => {
    const agent = await agentWith(['Hi.'])
    const options: { conversation: string; signal?: AbortSignal } = { conversation: 'a' }
    const { result } = agent.runStream('Hello', options)
    options.signal = AbortSignal.abort()
    expect(await result).toMatchObject({ status: 'done' })
  })
})
