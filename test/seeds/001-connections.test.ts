import type { ServerResponse } from 'node:http'
import { describe, expect, it, vi } from 'vitest'
import { Agent, type AgentRetryEvent, createPool, user } from '../../src/index.ts'
import { OpenAIClient } from '../../src/providers/openai.ts'
import { ScriptedClient } from '../../src/testing/index.ts'
import { runNode } from '../support/child.ts'
import { delta, type RawServer, rawServer, sendEvents } from '../support/raw-server.ts'
import { root } from '../support/repository.ts'
import { eventsOf } from './events-of.ts'

const sdk = vi.hoisted(() => ({ instances: 0 }))

vi.mock('openai', async (original) => {
  const actual = await original<typeof import('openai')>()
  return {
    ...actual,
    OpenAI: class extends actual.OpenAI {
      constructor(...all: ConstructorParameters<typeof actual.OpenAI>) {
        super(...all)
        sdk.instances += 1
      }
    },
  }
})

const answer = (response: ServerResponse) =>
  sendEvents(response, delta({ content: 'Hi.' }), delta({}, 'stop'), '[DONE]')

const clientOf = (server: RawServer) =>
  new OpenAIClient({ model: 'm', apiKey: 'sk-0123456789', baseURL: server.url })

describe('seed 001, connections', () => {
  it('001-26 makes ten calls in a row over at most two connections, with one instance of the SDK', async () => {
    await using server = await rawServer(answer)
    const client = clientOf(server)
    sdk.instances = 0
    for (let count = 0; count < 10; count += 1) await client.call({ messages: [user('Hi?')] })
    expect(server.requests.length).toBe(10)
    expect(server.connections).toBeLessThanOrEqual(2)
    expect(sdk.instances).toBe(1)
  })

  it('001-27 closes a client that is its own once, and lets one that is shared live on', async () => {
    class Counting extends ScriptedClient {
      closes = 0

      override async close(): Promise<void> {
        this.closes += 1
      }
    }
    const own = new Counting(() => 'Hi.')
    const agent = new Agent({ client: own })
    await Promise.all([agent.close(), agent.close()])
    await agent.close()
    expect(own.closes).toBe(1)

    const shared = new Counting(() => 'Hi.')
    const [first, second] = [1, 2].map(() => new Agent({ client: shared, ownsClient: false }))
    await first?.close()
    expect([shared.closes, await second?.run('Hi?')]).toEqual([0, 'Hi.'])
  })

  it('001-28 tries again when a connection is reset, and tells it once', async () => {
    await using server = await rawServer((response, _, number) => {
      if (number === 1) response.socket?.resetAndDestroy()
      else answer(response)
    })
    const agent = new Agent({ client: clientOf(server), retry: { minDelayMs: 0 } })
    const events = await eventsOf(agent.runStream('Hi?'))
    expect(events.at(-1)).toMatchObject({ type: 'run_end', status: 'done', answer: 'Hi.' })
    expect(events.filter(({ type }) => type === 'retry')).toMatchObject([
      { attempt: 1, error: { code: 'llm', kind: 'network' } },
    ])
    expect(server.requests.length).toBe(2)
  })

  it('001-57 serves fifty runs at once with one client: no more connections than runs, and resets are survived', async () => {
    let reset = 0
    await using server = await rawServer((response, _, number) => {
      if (number % 10 !== 0 || reset === 5) return answer(response)
      reset += 1
      response.socket?.resetAndDestroy()
    })
    const client = clientOf(server)
    sdk.instances = 0
    const agents = Array.from(
      { length: 50 },
      () => new Agent({ client, ownsClient: false, retry: { minDelayMs: 0 } }),
    )
    const retries: AgentRetryEvent[] = []
    for (const agent of agents) agent.on('retry', (event) => retries.push(event))
    const wave = () => Promise.all(agents.map((agent) => agent.run('Hi?')))

    expect(await wave()).toEqual(agents.map(() => 'Hi.'))
    expect(retries.map(({ error }) => error.kind)).toEqual(Array.from({ length: 5 }, () => 'network'))
    await Promise.all(agents.slice(1).map((agent) => agent.close()))
    expect(await agents[0]?.run('Still there?')).toBe('Hi.')
    // One for each run, and one for each that was reset; those that follow find them open.
    expect(server.connections).toBeLessThanOrEqual(55)
    expect([server.requests.length, sdk.instances]).toEqual([56, 1])
  })

  it('001-57 lends what is no HTTP connection from a pool', async () => {
    let made = 0
    const pool = createPool({ create: () => ({ number: ++made }), destroy: () => {}, max: 2 })
    const used = await Promise.all(Array.from({ length: 50 }, () => pool.use(async ({ number }) => number)))
    await pool.drain()
    expect([made, new Set(used)]).toEqual([2, new Set([1, 2])])
  })

  it('001-59 holds no more than three times a large answer while it streams it', async () => {
    // 10 MB in pieces of 1 kB, each a text of its own. There is no `retain`: the answer is kept, and raw chunks never are.
    const program = `
      import { Agent } from './src/index.ts'
      const piece = (number) => String(number).padStart(8, '0').repeat(128)
      const count = 10 * 1024
      const client = {
        provider: 'p', model: 'm',
        capabilities: { tools: true, streaming: true, structuredOutput: false, images: false },
        call: async () => { throw new Error('not called') },
        async *stream() {
          let text = ''
          for (let number = 0; number < count; number++) {
            const next = piece(number)
            text += next
            yield { type: 'text', text: next }
          }
          yield { type: 'end', response: { text, toolCalls: [], stopReason: 'stop' } }
        },
      }
      const agent = new Agent({ client })
      const used = () => { gc(); return process.memoryUsage().heapUsed }
      const before = used()
      let peak = 0, tokens = 0, length = 0
      for await (const event of agent.runStream('Go.')) {
        if (event.type === 'final_response') length = event.answer.length
        if (event.type !== 'token' || ++tokens % 1024 === 0) peak = Math.max(peak, used())
      }
      console.log(JSON.stringify({ length, times: (peak - before) / length }))`
    const { stdout, stderr } = await runNode(['--expose-gc', '--input-type=module', '-e', program], {
      cwd: root,
    })
    expect(stderr).toBe('')
    const { length, times } = JSON.parse(stdout) as { length: number; times: number } // as printed above
    expect(length).toBe(10 * 1024 * 1024)
    expect(times).toBeLessThan(3)
  })
})
