import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { z } from 'zod'
import {
  Agent, type AgentEvent, type ConversationStore, type Entry, isEvent, type LLMClient, type LLMRequest, MemoryStore, resultOf, RunTimeoutError, secret, ToolSet, tool,
} from '../../src/index.ts'
import { calls, checkEvents, fails, hangs, json, ScriptedClient, says } from '../../src/testing/index.ts'
import { eventsOf } from '../seeds/events-of.ts'
import { watchRejections } from './aftermath.ts'

watchRejections()
const parameters = { type: 'object', properties: { n: { type: 'number' } } }
const one = tool({ name: 'one', description: 'one', parameters, execute: () => 'fine' })
const KEY = 'sk-very-secret-key-123'
const set = () => new ToolSet({ name: 's', description: 's', config: { apiKey: secret(KEY) }, tools: [one] })

it('A answer told stands when aborted during onMessage', async () => {
  const agent = new Agent({ client: new ScriptedClient(['Hi.']), hooks: { onMessage: ({ role }) => role === 'assistant' ? new Promise(() => {}) : undefined } })
  const stream = agent.runStream('x')
  agent.on('final_response', () => { globalThis.setImmediate(() => stream.abort()) })
  const r = await stream.result
  expect([r.status, r.answer]).toEqual(['done', 'Hi.'])
})
it('B second close waits', async () => {
  let closed = false
  const client: LLMClient = Object.assign(new ScriptedClient(['Hi.']), { close: async () => { await sleep(5); closed = true } })
  const agent = new Agent({ client })
  void agent.close()
  await agent.close()
  expect(closed).toBe(true)
})
it('C handle after delete is empty', async () => {
  const agent = new Agent({ client: new ScriptedClient(['Hi.', 'Ho.']) })
  const c = agent.conversation('c')
  await c.run('x')
  await c.delete()
  expect([c.history, await c.entries(), c.usage.inputTokens]).toEqual([[], [], 0])
  await c.run('y')
  expect(c.history.length).toBe(2)
})
it('D concurrent entries() load once', async () => {
  const store = new MemoryStore()
  await new Agent({ client: new ScriptedClient(['Hi.']), store }).run('x', { conversation: 'c' })
  const agent = new Agent({ client: new ScriptedClient(['Hi.']), store })
  const c = agent.conversation('c')
  const [a, b] = await Promise.all([c.entries(), c.entries()])
  expect([a.length, b.length]).toEqual([3, 3])
})
class Slow extends MemoryStore {
  #n = 0
  override async append(id: string, v: number, e: readonly Entry[]) { await sleep(this.#n++ % 2 ? 1 : 6); return super.append(id, v, e) }
}
it('E parallel tools with a slow store do not conflict', async () => {
  const agent = new Agent({ client: new ScriptedClient([calls(['one', { n: 1 }], ['one', { n: 2 }], ['one', { n: 3 }]), 'Hi.']), tools: [one], store: new Slow() })
  const r = await agent.runStream('x').result
  expect(r).toMatchObject({ status: 'done' })
})
it('F async logger rejecting', async () => {
  const fail = async () => { throw new Error('x') }
  const agent = new Agent({ client: new ScriptedClient(['Hi.']), logger: { debug: fail, info: fail, warn: fail, error: fail } as never })
  expect(await agent.run('x')).toBe('Hi.')
  await setImmediate()
})
it('G an error that has a code like ours', async () => {
  const err = Object.assign(new Error('x'), { code: 'aborted' })
  const agent = new Agent({ client: new ScriptedClient([err]) })
  expect(await agent.runStream('x').result).toMatchObject({ status: 'failed', error: { code: 'llm', message: 'x' } })
})
it('H two nexts at once', async () => {
  const agent = new Agent({ client: new ScriptedClient(['Hi.']) })
  const it = agent.runStream('x')[Symbol.asyncIterator]()
  const steps = await Promise.race([Promise.all([it.next(), it.next()]), sleep(200, 'hang')])
  expect(steps).not.toBe('hang')
  await it.return?.()
})
it('I late notices are not told after run_end', async () => {
  let notify: any
  const client: LLMClient = { provider: 'p', model: 'm', capabilities: { tools: true, streaming: false, structuredOutput: false, images: false }, call: (_, o) => { notify = o?.notify; return new Promise(() => {}) } }
  const agent = new Agent({ client })
  const heard: string[] = []
  for (const t of ['diagnostic', 'run_end', 'retry'] as const) agent.on(t, (e) => heard.push(e.type))
  const s = agent.runStream('x')
  void s.result
  await setImmediate()
  s.abort()
  await s.result
  notify({ type: 'warning', message: 'late' })
  expect(heard).toEqual(['run_end'])
})
it('J hooks are not called after the end', async () => {
  let go: any
  let second = 0
  const agent = new Agent({ client: new ScriptedClient(['Hi.']), hooks: [{ beforeModel: () => new Promise((_, reject) => { go = reject }) }, { beforeModel: () => { second++ } }] })
  const heard: string[] = []
  for (const t of ['diagnostic', 'run_end'] as const) agent.on(t, (e) => heard.push(e.type))
  const s = agent.runStream('x')
  void s.result
  await sleep(5)
  s.abort()
  await s.result
  go(new Error('late'))
  await setImmediate()
  expect([heard, second]).toEqual([['run_end'], 0])
})
it('K iterator.return throwing or sync', async () => {
  for (const ret of [() => { throw new Error('no') }, () => ({ done: true, value: undefined })]) {
    const client: LLMClient = { provider: 'p', model: 'm', capabilities: { tools: true, streaming: true, structuredOutput: false, images: false }, call: async () => { throw 1 },
      stream: () => ({ [Symbol.asyncIterator]: () => ({ next: async () => ({ done: false, value: { type: 'end', response: { text: 'Hi.', toolCalls: [], stopReason: 'stop' } } }), return: ret }) }) as never }
    expect(await new Agent({ client, retry: false }).runStream('x').result).toMatchObject({ status: 'done' })
  }
})
it('L sync client.call', async () => {
  const client = { provider: 'p', model: 'm', capabilities: { tools: true, streaming: false, structuredOutput: false, images: false }, call: () => ({ text: 'Hi.', toolCalls: [], stopReason: 'stop' }) } as never
  expect(await new Agent({ client, retry: false }).runStream('x').result).toMatchObject({ status: 'done' })
})
it('M instructions give no string', async () => {
  expect(await new Agent({ client: new ScriptedClient(['x']), instructions: (() => 42) as never }).runStream('x').result).toMatchObject({ status: 'failed', error: { code: 'configuration' } })
})
it('N json refused / length partial', async () => {
  const client = new ScriptedClient([says('{"final_answer": "Once upon', { stopReason: 'content_filter' })])
  const events = await eventsOf(new Agent({ client, protocol: 'json', tools: [one] }).runStream('x'))
  const end = events.at(-1) as any
  expect([end.status, end.partial, checkEvents(events)]).toEqual(['refused', 'Once upon', undefined])
  expect(events.filter((e) => e.type === 'retracted')).toEqual([])
  const c2 = new ScriptedClient([says('{"final_answer": "Once upon', { stopReason: 'length' }), says('{"final_answer": "Twice', { stopReason: 'length' })])
  const r2 = await new Agent({ client: c2, protocol: 'json', tools: [one] }).runStream('x').result
  expect([r2.status, r2.partial, r2.error?.code]).toEqual(['failed', 'Twice', 'response_parse'])
  expect(c2.requests[1]?.messages.at(-2)?.content).toBe('{"final_answer": "Once upon')
})
it('O null answer', async () => {
  const r = await new Agent({ client: new ScriptedClient(['null']), output: z.object({ a: z.string() }).nullable() as never }).runStream('x').result
  expect(r.answer).toBe(null)
})
it('P listener mutates step', async () => {
  const seen: unknown[] = []
  const t = tool({ name: 'one', description: 'one', parameters, execute: (p) => { seen.push(p); return 'fine' } })
  const agent = new Agent({ client: new ScriptedClient([calls(['one', { n: 1 }]), 'Hi.']), tools: [t] })
  agent.on('step', (e) => { (e.toolCalls[0]!.parameters as any).n = 666 })
  agent.on('tool_execution', (e) => { if (e.status === 'completed') (e.result as any).output = 'evil' })
  await agent.run('x')
  expect(seen).toEqual([{ n: 1 }])
  expect(agent.history.find((m) => m.role === 'tool')?.content).toBe('fine')
})
it('Q beforeModel mutating in place with a secret', async () => {
  const client = new ScriptedClient(['Hi.'])
  await new Agent({ client, tools: [set()], hooks: { beforeModel: (r: any) => { r.system = `key ${KEY}` } } }).run('x')
  expect(JSON.stringify(client.requests)).not.toContain(KEY)
})
it('R afterTool gives part of a result', async () => {
  const client = new ScriptedClient([calls(['one', { n: 1 }]), 'Hi.'])
  const events = await eventsOf(new Agent({ client, tools: [one], hooks: { afterTool: () => ({ output: 'short' }) as never } }).runStream('x'))
  expect(checkEvents(events)).toBe(undefined)
  expect(events.find((e) => e.type === 'tool_results')).toMatchObject({ results: [{ toolName: 'one', ok: true, output: 'short' }] })
})
it('S afterTool gives garbage', async () => {
  const client = new ScriptedClient([calls(['one', { n: 1 }]), 'Hi.'])
  const agent = new Agent({ client, tools: [one], hooks: { afterTool: () => ({ callId: 'x', output: { a: 1 } }) as never } })
  const events = await eventsOf(agent.runStream('x'))
  expect(checkEvents(events)).toBe(undefined)
  expect(events.at(-1)).toMatchObject({ status: 'done' })
  expect(agent.history.map((m) => m.content)).toEqual(['x', '', 'fine', 'Hi.'])
})
it('S2 beforeModel gives garbage', async () => {
  const agent = new Agent({ client: new ScriptedClient(['Hi.']), hooks: { beforeModel: () => ({}) as never } })
  const r = await agent.runStream('x').result
  expect(r).toMatchObject({ status: 'done' })
})
it('T steps kept when aborted in beforeTool', async () => {
  const client = new ScriptedClient([calls(['one', { n: 1 }, 'a'], ['one', { n: 2 }, 'b'])])
  const agent = new Agent({ client, tools: [one], hooks: { beforeTool: ({ id }) => id === 'b' ? new Promise(() => {}) : undefined } })
  const s = agent.runStream('x'); void s.result
  await sleep(5)
  s.abort()
  expect((await s.result).steps.map((x) => x.results.map((r) => r.ok))).toEqual([[true, false]])
})
it('U usage told = usage of result when the store fails', async () => {
  let n = 0
  class Failing extends MemoryStore { override async append(id: string, v: number, e: readonly Entry[]) { if (n++ > 0) throw new Error('full'); return super.append(id, v, e) } }
  const s = new Agent({ client: new ScriptedClient(['Hi.']), store: new Failing() }).runStream('x')
  const events = await eventsOf(s)
  const told = events.filter((e) => isEvent(e, 'usage')).reduce((a, e: any) => a + e.usage.inputTokens, 0)
  expect(told).toBe((await s.result).usage.inputTokens)
})
it('V hostile reasoning in history', async () => {
  const agent = new Agent({ client: new ScriptedClient(['Hi.']) })
  expect(await agent.run('x', { history: [{ role: 'assistant', content: 'a', reasoning: [null, 3, { provider: 1 }] }] })).toBe('Hi.')
})
it('W secrets in history option', async () => {
  const client = new ScriptedClient(['Hi.'])
  const agent = new Agent({ client, tools: [set()] })
  const s = agent.runStream('x', { history: [{ role: 'user', content: `my key is ${KEY}` }] })
  const r = await s.result
  expect(JSON.stringify([client.requests, r.history])).not.toContain(KEY)
})
it('X close gives each run its own error', async () => {
  const agent = new Agent({ client: new ScriptedClient([hangs(), hangs()]) })
  const a = agent.run('x', { conversation: 'a' }).catch((e) => e)
  const b = agent.run('x', { conversation: 'b' }).catch((e) => e)
  await sleep(5)
  await agent.close()
  expect([resultOf(await a)?.conversationId, resultOf(await b)?.conversationId]).toEqual(['a', 'b'])
})
it('Y a signal whose reason is another run timeout', async () => {
  const r = await new Agent({ client: new ScriptedClient([hangs()]) }).runStream('x', { signal: AbortSignal.abort(new RunTimeoutError(1, 1)) }).result
  expect(r).toMatchObject({ status: 'aborted' })
})
it('Z runState with onLimit stop', async () => {
  const agent = new Agent({ client: new ScriptedClient([calls('Hm.', ['one', {}])]), tools: [one], maxIterations: 1, onLimit: 'stop' })
  const states = []
  for await (const s of agent.runState('x')) states.push(s)
  expect(states.at(-1)?.status).toBe('limit')
})
it('AA landing reply that calls tools must fit output', async () => {
  const output = z.object({ a: z.number() })
  const make = (text: string) => new Agent({ client: new ScriptedClient([calls('Hm.', ['one', {}]), calls(text, ['one', {}])]), tools: [one], maxIterations: 1, onLimit: 'land', output }).runStream('x').result
  expect(await make('It is one.')).toMatchObject({ status: 'limit', limit: 'iterations' })
  expect(await make('{"a":1}')).toMatchObject({ status: 'done', answer: { a: 1 }, landed: true })
})
it('AB listener error with secret', async () => {
  const lines: string[] = []
  const log = (m: string) => { lines.push(m) }
  const agent = new Agent({ client: new ScriptedClient(['Hi.']), tools: [set()], logger: { debug: log, info: log, warn: log, error: log } })
  agent.on('run_start', () => { throw new Error(KEY) })
  agent.on('diagnostic', (e) => { lines.push(e.message) })
  await agent.run('x')
  expect(lines.join()).not.toContain(KEY)
})
it('AC circular parameters', async () => {
  const p: any = { n: 1 }; p.self = p; p.me = p
  let asked = 0
  const scripted = new ScriptedClient(['Fine.'])
  const { provider, model, capabilities } = scripted
  const client = { provider, model, capabilities, call: async (r: any, o: any) => asked++ === 0 ? { text: '', toolCalls: [{ id: 'a', toolName: 'one', parameters: p }], stopReason: 'tool_calls' } : scripted.call(r, o) } as LLMClient
  const agent = new Agent({ client, tools: [one] })
  expect(await agent.runStream('x').result).toMatchObject({ status: 'done' })
})
it('AD deep parameters', async () => {
  let p: any = { n: 1 }; for (let i = 0; i < 20000; i++) p = { n: p }
  let asked = 0
  const scripted = new ScriptedClient(['Fine.'])
  const { provider, model, capabilities } = scripted
  const client = { provider, model, capabilities, call: async (r: any, o: any) => asked++ === 0 ? { text: '', toolCalls: [{ id: 'a', toolName: 'one', parameters: p }], stopReason: 'tool_calls' } : scripted.call(r, o) } as LLMClient
  const agent = new Agent({ client, tools: [one] })
  expect(await agent.runStream('x').result).toMatchObject({ status: 'done' })
})
it('AE a listener aborts at a diagnostic before the call', async () => {
  let called = 0
  const client: LLMClient = { provider: 'p', model: 'm', capabilities: { tools: true, streaming: false, structuredOutput: false, images: false, contextWindow: 10 }, call: async () => { called++; return { text: 'a', toolCalls: [], stopReason: 'stop' } } }
  const agent = new Agent({ client, instructions: 'y'.repeat(4000) })
  const s = agent.runStream('x')
  agent.on('diagnostic', () => s.abort())
  const r = await s.result
  expect([r.status, called, r.usage.inputTokens]).toEqual(['aborted', 0, 0])
})
it('AF entries() while another agent goes on during a run', async () => {
  const store = new MemoryStore()
  const a = new Agent({ client: new ScriptedClient([hangs()]), store })
  const s = a.runStream('mine', { conversation: 'c' }); void s.result
  await sleep(5)
  await new Agent({ client: new ScriptedClient(['Hi.']), store }).run('other', { conversation: 'c' })
  await a.conversation('c').entries()
  s.abort()
  await s.result
  const kinds = (await store.read('c')).map((e) => e.type)
  expect(kinds).toEqual(['input', 'input', 'reply', 'run_ended'])
})
it('AG entries() beside a run with a slow store', async () => {
  const store = new Slow()
  const agent = new Agent({ client: new ScriptedClient(['A.', 'B.']), store })
  const c = agent.conversation('c')
  await c.run('x')
  const [r] = await Promise.all([c.runStream('y').result, c.entries(), sleep(2).then(() => c.entries()), sleep(7).then(() => c.entries())])
  expect(r.status).toBe('done')
  expect((await store.read('c')).length).toBe(6)
  expect((await c.entries()).length).toBe(6)
})
it('AH many entries', async () => {
  const store = new MemoryStore()
  await store.append('c', 0, Array.from({ length: 200_000 }, () => ({ type: 'message', message: { role: 'user', content: 'x' } }) as const))
  const agent = new Agent({ client: new ScriptedClient(['A.']), store })
  expect((await agent.conversation('c').fork()).history.length).toBe(200_000)
})
it('AI store that hangs', async () => {
  class Hung extends MemoryStore { override append() { return new Promise<number>(() => {}) } }
  const s = new Agent({ client: new ScriptedClient(['A.']), store: new Hung() }).runStream('x'); const r = s.result
  await sleep(5)
  s.abort()
  expect(await Promise.race([r, sleep(300, 'hang')])).toMatchObject({ status: 'aborted' })
})
it('AJ date output with a secret', async () => {
  const r = await new Agent({ client: new ScriptedClient(['{"d":"2020-01-01"}']), tools: [set()], output: z.object({ d: z.string().transform((d) => new Date(d)) }) }).runStream('x').result
  expect((r.answer as any)?.d?.getTime?.()).toBe(Date.parse('2020-01-01'))
})
it('AK aborts in keepPartial with failing store keep the first error', async () => {
  let n = 0
  class Failing extends MemoryStore { override async append(id: string, v: number, e: readonly Entry[]) { if (n++ > 0) throw new Error('full'); return super.append(id, v, e) } }
  const s = new Agent({ client: new ScriptedClient([fails('auth', { after: ['Hel'] })]), store: new Failing() }).runStream('x')
  const r = await s.result
  expect(r).toMatchObject({ status: 'failed', error: { code: 'llm' }, partial: 'Hel' })
})
it('AL fork at a wrong place', async () => {
  const agent = new Agent({ client: new ScriptedClient(['A.']) })
  const c = agent.conversation('c')
  await c.run('x')
  await expect(c.fork(-1)).rejects.toMatchObject({ code: 'configuration' })
  await expect(c.fork('1' as never)).rejects.toMatchObject({ code: 'configuration' })
})
