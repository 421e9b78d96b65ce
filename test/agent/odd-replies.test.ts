import { expect, it } from 'vitest'
import { Agent, FatalToolError, type LLMClient, tool, validateHistory } from '../../src/index.ts'
import { calls, checkEvents, plans, ScriptedClient } from '../../src/testing/index.ts'
import { eventsOf } from '../seeds/events-of.ts'

const parameters = { type: 'object', properties: { n: { type: 'number' } } }
const one = tool({ name: 'one', description: 'one', parameters, execute: () => 'fine' })

it('answers the calls that come after a fatal one, without beginning them', async () => {
  let begun = 0
  const execute = () => {
    begun++
    throw new FatalToolError('beyond repair')
  }
  const agent = new Agent({
    client: new ScriptedClient([calls(['one', { n: 1 }, 'a'], ['one', { n: 2 }, 'b'])]),
    tools: [tool({ name: 'one', description: 'one', parameters, execute })],
    toolConcurrency: 1,
  })
  const events = await eventsOf(agent.runStream('Go.'))
  expect([begun, checkEvents(events), validateHistory(agent.history)]).toEqual([1, undefined, []])
  expect(agent.history.flatMap((message) => (message.role === 'tool' ? [message.callId] : []))).toEqual([
    'a',
    'b',
  ])
})

it('is not closed before a run that was just beginning has told its end', async () => {
  const agent = new Agent({ client: new ScriptedClient(['Fine.']) })
  const heard: string[] = []
  agent.on('run_end', ({ status }) => heard.push(status))
  const closed = new Promise<void>((resolve) => agent.on('run_start', () => resolve(agent.close())))
  const { status } = await agent.runStream('Go.').result
  await closed
  expect([status, ...heard]).toEqual(['aborted', 'aborted'])
})

it('tells a plan from a call that has the id its plan would get', async () => {
  const client = new ScriptedClient([plans('Look.', ['one', {}, 'plan_1']), 'Fine.'])
  await new Agent({ client, tools: [one] }).run('Go.')
  const ids = client.requests[1]?.messages.flatMap((message) => ('callId' in message ? [message.callId] : []))
  expect(ids).toEqual(['plan_2', 'plan_1'])
})

it('tells the model of calls that a careless client did not describe', async () => {
  const scripted = new ScriptedClient(['Fine.'])
  const { provider, model, capabilities } = scripted
  const toolCalls: readonly unknown[] = [{ id: 7, toolName: null, parameters: 'n' }, null]
  let asked = 0
  const client = {
    provider,
    model,
    capabilities,
    call: async (request, options) =>
      asked++ === 0 ? { text: '', toolCalls, stopReason: 'tool_calls' } : scripted.call(request, options),
  } as LLMClient // as a careless one would say
  const agent = new Agent({ client, tools: [one] })
  expect(await agent.run('Go.')).toBe('Fine.')
  expect(validateHistory(agent.history)).toEqual([])
  expect(scripted.requests[0]?.messages.map((message) => 'ok' in message && message.ok)).toEqual([
    false,
    false,
    false,
    false,
  ])
})

it('keeps what a reply cost, also when a hook that hears it ends the run', async () => {
  const usage = { inputTokens: 30, outputTokens: 7 }
  const agent = new Agent({
    client: new ScriptedClient([{ text: 'Fine.', usage }]),
    stream: false,
    hooks: { strict: true, afterModel: () => Promise.reject(new Error('broken')) },
  })
  const result = await agent.runStream('Go.').result
  expect([result.status, result.usage]).toEqual(['failed', usage])
})
