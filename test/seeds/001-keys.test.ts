import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { Agent, keyRing, secret, ToolSet, tool, user } from '../../src/index.ts'
import { OpenAIClient } from '../../src/providers/openai.ts'
import { calls, ScriptedClient, strictProvider, virtualClock } from '../../src/testing/index.ts'
import { thrownBy } from '../support/outcome.ts'
import { eventsOf } from './events-of.ts'

describe('seed 001, security: keys', () => {
  it('001-71 shows a key nowhere: not in inspection, JSON, events or errors, even when the server echoes it', async () => {
    const key = 'sk-very-secret-0123456789'
    const refused = { status: 401, body: { error: { message: `Incorrect API key: ${key}` } } }
    await using provider = await strictProvider({ script: [{ text: 'Hi.' }, refused] })
    const ring = keyRing({
      keys: [secret(key)],
      make: (apiKey) => new OpenAIClient({ apiKey, model: 'gpt-5', baseURL: provider.url }),
    })
    const agent = new Agent({ client: ring, retry: false })
    const events = [...(await eventsOf(agent.runStream('Hi?'))), ...(await eventsOf(agent.runStream('Hi?')))]
    const error = await thrownBy(ring.call({ messages: [user('Hi?')] }))

    expect(events.filter(({ type }) => type === 'run_end')).toMatchObject([
      { status: 'done' },
      { status: 'failed' },
    ])
    expect(provider.requests[0]?.headers['authorization']).toBe(`Bearer ${key}`)
    const client = new OpenAIClient({ apiKey: key, model: 'gpt-5' })
    const everything = [agent.inspect(), agent, ring, client, events, error, secret(key)]
    const shown = everything.map(
      (each) => JSON.stringify(each) + inspect(each, { depth: 20, showHidden: true }),
    )
    expect(shown.join('\n')).not.toContain('very-secret')
  })

  it('001-72 makes a request whose key is refused once more with the next key', async () => {
    await using provider = await strictProvider({
      keys: ['sk-second-0123456789'],
      script: () => ({ text: 'Hi.' }),
    })
    const client = keyRing({
      keys: ['sk-first-0123456789', 'sk-second-0123456789'],
      strategy: 'on-auth-error',
      make: (apiKey) => new OpenAIClient({ apiKey, model: 'gpt-5', baseURL: provider.url }),
    })
    const agent = new Agent({ client })
    const events = await eventsOf(agent.runStream('Hi?'))
    expect(events.filter(({ type }) => type === 'retry')).toMatchObject([
      { attempt: 1, delayMs: 0, error: { kind: 'auth' } },
    ])
    expect(events.at(-1)).toMatchObject({ type: 'run_end', status: 'done', answer: 'Hi.' })
    await agent.run('Again?')
    // The first is not tried again.
    const sent = provider.requests.map(({ headers }) => headers['authorization'])
    expect(sent).toEqual(['first', 'second', 'second'].map((name) => `Bearer sk-${name}-0123456789`))
    expect(provider.requests[1]?.body).toEqual(expect.objectContaining({ model: 'gpt-5' }))
  })

  it('001-72 switches at t with the strategy `interval`', async () => {
    const clock = virtualClock()
    const used: string[] = []
    const make = (key: string) =>
      new ScriptedClient(() => {
        used.push(key)
        return 'ok'
      })
    const ring = keyRing({
      keys: ['key-a', 'key-b'],
      strategy: 'interval',
      everyMs: 60_000,
      make,
      runtime: clock.runtime,
    })
    const ask = () => ring.call({ messages: [user('Hi?')] })
    await ask()
    await clock.advance(59_999)
    await ask()
    await clock.advance(1)
    await ask()
    expect(used).toEqual(['key-a', 'key-a', 'key-b'])
  })

  it('001-72 uses a key that was rotated in a tool set at the next call', async () => {
    const used: string[] = []
    const look = tool({
      name: 'look',
      description: 'Looks',
      parameters: z.object({}),
      config: z.object({ apiKey: z.string() }),
      execute: ({ apiKey }) => void used.push(apiKey),
    })
    const config = { apiKey: secret('first-key') }
    const toolset = new ToolSet({ name: 'looking', description: 'Looks', config, tools: [look] })
    const client = new ScriptedClient([calls(['look']), 'Seen.', calls(['look']), 'Seen.'])
    const agent = new Agent({ client, tools: [toolset] })
    await agent.run('Look.')
    toolset.updateConfig({ apiKey: secret('second-key') })
    await agent.run('Look.')
    expect(used).toEqual(['first-key', 'second-key'])
  })
})
