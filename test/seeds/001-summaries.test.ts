import { describe, expect, it } from 'vitest'
import { Agent, SummarizingMemory, textOf } from '../../src/index.ts'
import { fails, type Script, ScriptedClient } from '../../src/testing/index.ts'

const long = (name: string, tokens = 100) => `${name} ${'x'.repeat(tokens * 4 - name.length - 1)}`

function talking(script: Script) {
  const summarizer = new ScriptedClient(script)
  const memory = new SummarizingMemory({
    client: summarizer,
    triggerTokens: 1_000,
    keepTurns: 2,
    maxSummaryTokens: 50,
  })
  const client = new ScriptedClient(() => long('Noted.'))
  const agent = new Agent({ client, memory })
  const told: string[] = []
  agent.on('diagnostic', ({ code }) => told.push(code))
  const shown = () =>
    client.requests.at(-1)?.messages.map(({ content }) => textOf(content).split(' x')[0]) ?? []
  return { agent, summarizer, told, shown }
}

describe('seed 001, summaries', () => {
  it('001-32 asks once for a summary of what is left out when the trigger is crossed, and sends it with the kept turns', async () => {
    const { agent, summarizer, told, shown } = talking(() => 'They counted turns.')
    for (let turn = 1; turn <= 5; turn++) await agent.run(long(`turn ${turn}`))
    expect(summarizer.calls).toBe(0)
    await agent.run(long('turn 6'))
    await agent.run(long('turn 7'))

    expect(summarizer.calls).toBe(1)
    const given = textOf(summarizer.requests[0]?.messages[0]?.content ?? '')
    expect([...given.matchAll(/User: (turn \d)/g)].map(([, turn]) => turn)).toEqual([
      'turn 1',
      'turn 2',
      'turn 3',
      'turn 4',
    ])
    expect(shown()).toEqual(['They counted turns.', 'turn 5', 'Noted.', 'turn 6', 'Noted.', 'turn 7'])
    expect(agent.history).toHaveLength(14)
    expect(told).toEqual([])
  })

  it('001-32 gives the summary so far to the next one', async () => {
    const { agent, summarizer } = talking(() => `Summary ${summarizer.calls}`)
    for (let turn = 1; turn <= 12; turn++) await agent.run(long(`turn ${turn}`))
    const given = textOf(summarizer.requests[1]?.messages[0]?.content ?? '')
    expect(given).toContain('Summary 1')
    expect(given).not.toContain('User: turn 4')
    expect(given).toContain('User: turn 5')
  })

  it('001-32 leaves out the oldest when no summary can be had, and the run goes on with a diagnostic', async () => {
    const { agent, told, shown } = talking(() => fails('overloaded'))
    for (let turn = 1; turn <= 7; turn++) await agent.run(long(`turn ${turn}`))
    expect(told).toEqual(['memory_failed', 'memory_failed'])
    expect(shown().at(-1)).toBe('turn 7')
    expect(shown().length).toBeLessThanOrEqual(10)
    expect(agent.history).toHaveLength(14)
  })
})
