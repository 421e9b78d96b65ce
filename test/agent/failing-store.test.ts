import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { Agent, type Entry, isEvent, MemoryStore, tool } from '../../src/index.ts'
import { calls, fails, ScriptedClient } from '../../src/testing/index.ts'
import { eventsOf } from '../seeds/events-of.ts'
import { until } from '../support/outcome.ts'
import { watchRejections } from './aftermath.ts'

watchRejections()
const parameters = { type: 'object', properties: { n: { type: 'number' } } }
const one = tool({ name: 'one', description: 'one', parameters, execute: () => 'fine' })

class Slow extends MemoryStore {
  #n = 0
  override async append(id: string, v: number, e: readonly Entry[]) {
    await sleep(this.#n++ % 2 ? 1 : 6)
    return super.append(id, v, e)
  }
}

it('tools that end at the same time are stored one after another, however long each takes', async () => {
  const agent = new Agent({
    client: new ScriptedClient([calls(['one', { n: 1 }], ['one', { n: 2 }], ['one', { n: 3 }]), 'Hi.']),
    tools: [one],
    store: new Slow(),
  })
  const r = await agent.runStream('x').result
  expect(r).toMatchObject({ status: 'done' })
})

it('the usage that was told is the usage of the result, also when the reply could not be stored', async () => {
  let n = 0
  class Failing extends MemoryStore {
    override async append(id: string, v: number, e: readonly Entry[]) {
      if (n++ > 0) throw new Error('full')
      return super.append(id, v, e)
    }
  }
  const s = new Agent({ client: new ScriptedClient(['Hi.']), store: new Failing() }).runStream('x')
  const events = await eventsOf(s)
  const told = events.reduce((sum, event) => sum + (isEvent(event, 'usage') ? event.usage.inputTokens : 0), 0)
  expect(told).toBe((await s.result).usage.inputTokens)
})

it('a store that hangs does not hold a run that was stopped', async () => {
  let asked = false
  class Hung extends MemoryStore {
    override append() {
      asked = true
      return new Promise<number>(() => {})
    }
  }
  const s = new Agent({ client: new ScriptedClient(['A.']), store: new Hung() }).runStream('x')
  const r = s.result
  await until(() => asked)
  s.abort()
  expect(await Promise.race([r, sleep(300, 'hang')])).toMatchObject({ status: 'aborted' })
})

it('a store that fails, too, does not hide what the model failed with', async () => {
  let n = 0
  class Failing extends MemoryStore {
    override async append(id: string, v: number, e: readonly Entry[]) {
      if (n++ > 0) throw new Error('full')
      return super.append(id, v, e)
    }
  }
  const s = new Agent({
    client: new ScriptedClient([fails('auth', { after: ['Hel'] })]),
    store: new Failing(),
  }).runStream('x')
  const r = await s.result
  expect(r).toMatchObject({ status: 'failed', error: { code: 'llm' }, partial: 'Hel' })
})
