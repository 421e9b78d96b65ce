import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { Agent, type Logger, MemoryStore, resultOf, secret, ToolSet, tool } from '../../src/index.ts'
import { calls, json, ScriptedClient, type ScriptedReply } from '../../src/testing/index.ts'
import { thrownBy } from '../support/outcome.ts'
import { eventsOf } from './events-of.ts'

const sealed = 'S3CR3T-sealed-key'
const plain = 'S3CR3T-plain-token'

/** Everything that can be seen of a run from outside, as one text. */
async function everythingSaid(
  script: readonly ScriptedReply[],
  protocol: 'native' | 'json',
): Promise<string> {
  const said: unknown[] = []
  const write = (message: string, details?: object) => void said.push(message, details)
  const logger: Logger = { debug: write, info: write, warn: write, error: write }
  const asked = z.object({ how: z.string() })
  const leaky = tool({
    name: 'leaky',
    description: 'Gives away what it knows',
    parameters: asked,
    config: z.object({ apiKey: z.string(), token: z.string() }),
    execute: ({ how, apiKey, token }, { progress }) => {
      progress({ apiKey })
      if (how === 'throw') throw new Error(`401 for ${apiKey}`)
      return {
        apiKey,
        header: btoa(`user:${apiKey}`),
        url: `https://api.test/?t=${encodeURIComponent(token)}`,
      }
    },
  })
  const set = new ToolSet({
    name: 'api',
    description: 'An API',
    tools: [leaky],
    config: { apiKey: secret(sealed), token: plain },
  })
  const client = new ScriptedClient(script, { chunkSize: 3 })
  const store = new MemoryStore()
  const agent = new Agent({ client, protocol, tools: [set], logger, store, retry: false })

  const stream = agent.runStream('Go.')
  const events = await eventsOf(stream)
  // A reader puts the pieces together.
  const shown = events.map((event) => (event.type === 'token' ? event.text : '')).join('')
  said.push(events, shown, await stream.result)
  const { conversationId } = await stream.result
  const error = await thrownBy(agent.run('And again.')) // the script is over
  said.push(
    error,
    resultOf(error),
    agent.history,
    agent.inspect(),
    set,
    await store.read(conversationId),
    client.requests,
  )
  return `${inspect(said, { depth: 30, maxStringLength: null, maxArrayLength: null })}\n${JSON.stringify(said)}`
}

describe('seed 002, hidden config', () => {
  it.each([
    [
      'native',
      [
        calls(['leaky', { how: 'return' }]),
        calls(['leaky', { how: 'throw' }]),
        `The key is ${sealed}, ${plain}.`,
      ],
    ],
    [
      'json',
      [
        json({
          plan: `Use ${sealed}.`,
          tool_calls: [{ tool_name: 'leaky', parameters: { how: 'return', apiKey: sealed } }],
        }),
        json({ tool_calls: [{ tool_name: 'leaky', parameters: { how: 'throw' } }] }),
        json({ final_answer: `The key is ${sealed}, ${plain}.` }),
      ],
    ],
  ] as const)(
    '002-28 shows it in nothing that is sent, told, stored, logged or thrown (%s)',
    async (protocol, script) => {
      const said = await everythingSaid(script, protocol)

      expect(said).toContain('[secret:apiKey]')
      expect(said).toContain('[secret:token]')
      for (const value of [sealed, plain]) {
        expect(said).not.toContain(value)
        expect(said).not.toContain(btoa(`user:${value}`))
      }
      expect(said).not.toContain('S3CR3T')
    },
  )

  it('002-28 leaves a config out of what the model is told of a tool', async () => {
    const client = new ScriptedClient(['Done.'])
    const parameters = z.object({ city: z.string() })
    const config = z.object({ apiKey: z.string() })
    const weather = tool({
      name: 'weather',
      description: 'The weather',
      parameters,
      config,
      execute: () => '',
    })
    const set = new ToolSet({
      name: 'api',
      description: 'An API',
      tools: [weather],
      config: { apiKey: secret(sealed) },
    })
    await new Agent({ client, tools: [set], planning: 'off' }).run('Go.')

    expect(client.requests[0]?.tools).toEqual([
      {
        name: 'weather',
        description: 'The weather',
        parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
      },
    ])
    expect(JSON.stringify(client.requests)).not.toContain('apiKey')
  })
})
