import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { Agent, type Entry, MemoryStore, secret, ToolSet, tool } from '../../src/index.ts'
import { hangs, ScriptedClient } from '../../src/testing/index.ts'
import { until } from '../support/outcome.ts'
import { watchRejections } from './aftermath.ts'

watchRejections()
const parameters = { type: 'object', properties: { n: { type: 'number' } } }
const one = tool({ name: 'one', description: 'one', parameters, execute: () => 'fine' })
const KEY = 'sk-very-secret-key-123'
const set = () => new ToolSet({ name: 's', description: 's', config: { apiKey: secret(KEY) }, tools: [one] })

class Slow extends MemoryStore {
  #n = 0
  override async append(id: string, v: number, e: readonly Entry[]) {
    await sleep(this.#n++ % 2 ? 1 : 6)
    return super.append(id, v, e)
  }
}

it('a conversation that was deleted is empty, and can begin again', async () => {
  const agent = new Agent({ client: new ScriptedClient(['Hi.', 'Ho.']) })
  const c = agent.conversation('c')
  await c.run('x')
  await c.delete()
  expect([c.history, await c.entries(), c.usage.inputTokens]).toEqual([[], [], 0])
  await c.run('y')
  expect(c.history.length).toBe(2)
})

it('a conversation that is asked for twice at once is read once', async () => {
  const store = new MemoryStore()
  await new Agent({ client: new ScriptedClient(['Hi.']), store }).run('x', { conversation: 'c' })
  const agent = new Agent({ client: new ScriptedClient(['Hi.']), store })
  const c = agent.conversation('c')
  const [a, b] = await Promise.all([c.entries(), c.entries()])
  expect([a.length, b.length]).toEqual([3, 3])
})

it('asking for the entries does not let a run go on over what another process wrote', async () => {
  const store = new MemoryStore()
  const client = new ScriptedClient([hangs()])
  const a = new Agent({ client, store })
  const s = a.runStream('mine', { conversation: 'c' })
  void s.result
  await until(() => client.calls === 1)
  await new Agent({ client: new ScriptedClient(['Hi.']), store }).run('other', { conversation: 'c' })
  await a.conversation('c').entries()
  s.abort()
  await s.result
  const kinds = (await store.read('c')).map((e) => e.type)
  expect(kinds).toEqual(['input', 'input', 'reply', 'run_ended'])
})

it('asking for the entries while a slow store is written to counts nothing twice', async () => {
  const store = new Slow()
  const agent = new Agent({ client: new ScriptedClient(['A.', 'B.']), store })
  const c = agent.conversation('c')
  await c.run('x')
  const [r] = await Promise.all([
    c.runStream('y').result,
    c.entries(),
    sleep(2).then(() => c.entries()),
    sleep(7).then(() => c.entries()),
  ])
  expect(r.status).toBe('done')
  expect((await store.read('c')).length).toBe(6)
  expect((await c.entries()).length).toBe(6)
})

it('a conversation of very many entries can be forked', async () => {
  const store = new MemoryStore()
  await store.append(
    'c',
    0,
    Array.from(
      { length: 200_000 },
      () => ({ type: 'message', message: { role: 'user', content: 'x' } }) as const,
    ),
  )
  const agent = new Agent({ client: new ScriptedClient(['A.']), store })
  expect((await agent.conversation('c').fork()).history.length).toBe(200_000)
})

it('a fork at a place that is none is refused', async () => {
  const agent = new Agent({ client: new ScriptedClient(['A.']) })
  const c = agent.conversation('c')
  await c.run('x')
  await expect(c.fork(-1)).rejects.toMatchObject({ code: 'configuration' })
  await expect(c.fork('1' as never)).rejects.toMatchObject({ code: 'configuration' })
})

it('reasoning in a history that is none is left out', async () => {
  const agent = new Agent({ client: new ScriptedClient(['Hi.']) })
  expect(
    await agent.run('x', {
      history: [{ role: 'assistant', content: 'a', reasoning: [null, 3, { provider: 1 }] }],
    }),
  ).toBe('Hi.')
})

it('a secret in a history that was handed in is neither sent nor given back', async () => {
  const client = new ScriptedClient(['Hi.'])
  const agent = new Agent({ client, tools: [set()] })
  const s = agent.runStream('x', { history: [{ role: 'user', content: `my key is ${KEY}` }] })
  const r = await s.result
  expect(JSON.stringify([client.requests, r.history])).not.toContain(KEY)
})
