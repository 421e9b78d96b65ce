import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { Agent, type LLMClient, RunTimeoutError, resultOf, secret, ToolSet, tool } from '../../src/index.ts'
import { calls, checkEvents, hangs, ScriptedClient, says } from '../../src/testing/index.ts'
import { eventsOf } from '../seeds/events-of.ts'
import { until } from '../support/outcome.ts'
import { watchRejections } from './aftermath.ts'

watchRejections()
const parameters = { type: 'object', properties: { n: { type: 'number' } } }
const one = tool({ name: 'one', description: 'one', parameters, execute: () => 'fine' })
const KEY = 'sk-very-secret-key-123'
const set = () => new ToolSet({ name: 's', description: 's', config: { apiKey: secret(KEY) }, tools: [one] })

it('closing twice is waiting for the same end', async () => {
  let closed = false
  const client: LLMClient = Object.assign(new ScriptedClient(['Hi.']), {
    close: async () => {
      await setImmediate()
      closed = true
    },
  })
  const agent = new Agent({ client })
  void agent.close()
  await agent.close()
  expect(closed).toBe(true)
})

it('closing leads each run to its own result', async () => {
  const client = new ScriptedClient([hangs(), hangs()])
  const agent = new Agent({ client })
  const a = agent.run('x', { conversation: 'a' }).catch((e) => e)
  const b = agent.run('x', { conversation: 'b' }).catch((e) => e)
  await until(() => client.calls === 2)
  await agent.close()
  expect([resultOf(await a)?.conversationId, resultOf(await b)?.conversationId]).toEqual(['a', 'b'])
})

it('the timeout of another run is an abort', async () => {
  const r = await new Agent({ client: new ScriptedClient([hangs()]) }).runStream('x', {
    signal: AbortSignal.abort(new RunTimeoutError(1, 1)),
  }).result
  expect(r).toMatchObject({ status: 'aborted' })
})

it('the states of a run end without an error where run() gives what was said last', async () => {
  const agent = new Agent({
    client: new ScriptedClient([calls('Hm.', ['one', {}])]),
    tools: [one],
    maxIterations: 1,
    onLimit: 'stop',
  })
  const states = []
  for await (const s of agent.runState('x')) states.push(s)
  expect(states.at(-1)?.status).toBe('limit')
})

it('a reader may ask for several events at once', async () => {
  const agent = new Agent({ client: new ScriptedClient(['Hi.']) })
  const it = agent.runStream('x')[Symbol.asyncIterator]()
  const steps = await Promise.race([Promise.all([it.next(), it.next()]), sleep(200, 'hang')])
  expect(steps).not.toBe('hang')
  await it.return?.()
})

it('an answer may be null', async () => {
  const r = await new Agent({
    client: new ScriptedClient(['null']),
    output: z.object({ a: z.string() }).nullable() as never,
  }).runStream('x').result
  expect(r.answer).toBe(null)
})

it('an answer may be a value that is no JSON', async () => {
  const r = await new Agent({
    client: new ScriptedClient(['{"d":"2020-01-01"}']),
    tools: [set()],
    output: z.object({ d: z.string().transform((d) => new Date(d)) }),
  }).runStream('x').result
  expect(r.answer).toEqual({ d: new Date('2020-01-01') })
})

it('an answer beside forbidden calls has to fit the schema, too', async () => {
  const output = z.object({ a: z.number() })
  const make = (text: string) =>
    new Agent({
      client: new ScriptedClient([calls('Hm.', ['one', {}]), calls(text, ['one', {}])]),
      tools: [one],
      maxIterations: 1,
      onLimit: 'land',
      output,
    }).runStream('x').result
  expect(await make('It is one.')).toMatchObject({ status: 'limit', limit: 'iterations' })
  expect(await make('{"a":1}')).toMatchObject({ status: 'done', answer: { a: 1 }, landed: true })
})

it('of an envelope that stopped in the middle, the answer is kept and shown', async () => {
  const client = new ScriptedClient([says('{"final_answer": "Once upon', { stopReason: 'content_filter' })])
  const events = await eventsOf(new Agent({ client, protocol: 'json', tools: [one] }).runStream('x'))
  expect(checkEvents(events)).toBe(undefined)
  expect(events.at(-1)).toMatchObject({ status: 'refused', partial: 'Once upon' })
  expect(events.filter((e) => e.type === 'retracted')).toEqual([])
  const c2 = new ScriptedClient([
    says('{"final_answer": "Once upon', { stopReason: 'length' }),
    says('{"final_answer": "Twice', { stopReason: 'length' }),
  ])
  const r2 = await new Agent({ client: c2, protocol: 'json', tools: [one] }).runStream('x').result
  expect([r2.status, r2.partial, r2.error?.code]).toEqual(['failed', 'Twice', 'response_parse'])
  expect(c2.requests[1]?.messages.at(-2)?.content).toBe('{"final_answer": "Once upon')
})

it('a log that fails later harms nothing', async () => {
  const fail = async () => {
    throw new Error('x')
  }
  const agent = new Agent({
    client: new ScriptedClient(['Hi.']),
    logger: { debug: fail, info: fail, warn: fail, error: fail } as never,
  })
  expect(await agent.run('x')).toBe('Hi.')
  await setImmediate()
})

it('a secret in what a listener throws is not told', async () => {
  const lines: string[] = []
  const log = (m: string) => {
    lines.push(m)
  }
  const agent = new Agent({
    client: new ScriptedClient(['Hi.']),
    tools: [set()],
    logger: { debug: log, info: log, warn: log, error: log },
  })
  agent.on('run_start', () => {
    throw new Error(KEY)
  })
  agent.on('diagnostic', (e) => {
    lines.push(e.message)
  })
  await agent.run('x')
  expect(lines.join()).not.toContain(KEY)
})

it('nobody changes a run by changing its events', async () => {
  const seen: unknown[] = []
  const t = tool({
    name: 'one',
    description: 'one',
    parameters,
    execute: (p) => {
      seen.push(p)
      return 'fine'
    },
  })
  const agent = new Agent({ client: new ScriptedClient([calls(['one', { n: 1 }]), 'Hi.']), tools: [t] })
  agent.on('step', (e) => {
    Object.assign(e.toolCalls[0]?.parameters ?? {}, { n: 666 })
  })
  agent.on('tool_execution', (e) => {
    if (e.status === 'completed') Object.assign(e.result, { output: 'evil' })
  })
  await agent.run('x')
  expect(seen).toEqual([{ n: 1 }])
  expect(agent.history.find((m) => m.role === 'tool')?.content).toBe('fine')
})

it('instructions that give no string are told as such', async () => {
  const client = new ScriptedClient(['Never said.'])
  const agent = new Agent({ client, instructions: (() => 42) as never })
  expect(await agent.runStream('Go.').result).toMatchObject({
    status: 'failed',
    error: { code: 'configuration' },
  })
})
