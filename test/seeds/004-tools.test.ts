import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  type AgentToolExecutionEvent,
  Tool,
  type ToolContext,
  ToolRegistry,
  ToolSet,
  tool,
  toolError,
  toolResult,
} from '../../src/index.ts'
import { OpenAIClient } from '../../src/providers/openai.ts'
import { calls, ScriptedClient, strictProvider, virtualClock } from '../../src/testing/index.ts'
import { eventsOf } from './events-of.ts'

class MyTool extends Tool<{ input: string }> {
  readonly name = 'my_tool'
  readonly description = 'My custom tool'
  readonly parameters = {
    type: 'object',
    properties: { input: { type: 'string', description: 'What to process' } },
    required: ['input'],
  }

  override execute({ input }: { input: string }) {
    return `Processed: ${input}`
  }
}

const named = (name: string, execute: (context: ToolContext) => unknown, rest: { serial?: boolean } = {}) =>
  tool({
    name,
    description: `Does ${name}`,
    parameters: z.object({}),
    execute: (_, context) => execute(context),
    ...rest,
  })

const dispatched = (execute: (context: ToolContext) => unknown) => {
  const registry = new ToolRegistry()
  registry.register(named('it', execute))
  return registry.dispatch({ toolName: 'it', parameters: {} })
}

describe('seed 004, tools', () => {
  it('004-30 describes and runs a tool that is a class', async () => {
    const registry = new ToolRegistry()
    registry.register(new MyTool())
    expect(await registry.definitions()).toEqual([
      {
        name: 'my_tool',
        description: 'My custom tool',
        parameters: {
          type: 'object',
          properties: { input: { type: 'string', description: 'What to process' } },
          required: ['input'],
        },
      },
    ])
    const { ok, output } = await registry.dispatch({ toolName: 'my_tool', parameters: { input: 'x' } })
    expect({ ok, output }).toEqual({ ok: true, output: 'Processed: x' })
  })

  it.each([true, false])(
    '004-31 answers broken JSON of the wire with what is wrong, and goes on (stream: %s)',
    async (stream) => {
      const broken = { toolName: 'my_tool', parameters: '{"a":1' }
      await using server = await strictProvider({ script: [{ toolCalls: [broken] }, { text: 'Sorry.' }] })
      const client = new OpenAIClient({ baseURL: server.url, apiKey: 'not-needed', model: 'local' })
      const agent = new Agent({ client, tools: [new MyTool()], stream })

      expect(await agent.run('Process x.')).toBe('Sorry.')
      expect(agent.history[2]).toMatchObject({
        role: 'tool',
        ok: false,
        content: expect.stringMatching(/^Error: Invalid JSON parameters: /),
      })
      expect(server.refusals).toEqual([])
    },
  )

  it('004-32 keeps two agents that share a tool apart', async () => {
    const greet = tool({
      name: 'greet',
      description: 'Greets',
      parameters: z.object({}),
      config: z.object({ greeting: z.string() }),
      execute: ({ greeting }) => greeting,
    })
    Object.freeze(greet)
    const answers = ['Hello', 'Hei'].map(async (greeting) => {
      const set = new ToolSet({ name: 's', description: 'S', tools: [greet], config: { greeting } })
      const agent = new Agent({ client: new ScriptedClient([calls(['greet']), 'Done.']), tools: [set] })
      await agent.run('Greet.')
      return agent.history[2]?.content
    })
    expect(await Promise.all(answers)).toEqual(['Hello', 'Hei'])
  })

  it('004-33 knows a failure by its kind, whatever its text', async () => {
    expect(await dispatched(() => toolError('no'))).toMatchObject({
      ok: false,
      output: 'Error: no',
      error: { code: 'tool_execution', message: 'no' },
    })
    const success = await dispatched(() => toolResult('Error: this text is a success'))
    expect(success).toMatchObject({ ok: true, output: 'Error: this text is a success' })
    expect(success).not.toHaveProperty('error')
  })

  it.each([
    ['é', 'é'],
    ['👍', '👍'],
  ])('004-34 cuts long output between characters, and says so: %s', async (_, character) => {
    const client = new ScriptedClient([calls(['it']), 'Long.'])
    const agent = new Agent({ client, memory: null, tools: [named('it', () => character.repeat(60_000))] })
    const { steps } = await agent.runStream('Go.').result
    expect(steps[0]?.results[0]).toMatchObject({
      ok: true,
      truncated: true,
      output: `${character.repeat(50_000)}\n… (truncated: 60000 code points, the first 50000 are shown)`,
    })
  })

  it('004-35 tells metadata to who listens, and never to the model', async () => {
    const client = new ScriptedClient([calls(['it']), 'Done.'])
    const audited = named('it', () => toolResult('ok', { metadata: { durationMs: 5, auditId: 'audit-77' } }))
    const events = await eventsOf(new Agent({ client, tools: [audited] }).runStream('Go.'))
    const ended = events.find(
      (event): event is AgentToolExecutionEvent & { status: 'completed' } =>
        event.type === 'tool_execution' && event.status === 'completed',
    )
    expect(ended?.result.metadata).toEqual({ durationMs: 5, auditId: 'audit-77' })
    expect(JSON.stringify(client.requests)).not.toMatch(/durationMs|audit-77/)
  })

  it('004-36 shows the model successes, cut successes and failures in words', async () => {
    const registry = new ToolRegistry()
    registry.register(named('fine', () => ({ degrees: 21 })))
    registry.register(named('empty', () => undefined))
    registry.register(named('long', () => 'abcdefgh'))
    registry.register(
      named('broken', () => {
        throw new Error('disk full')
      }),
    )
    const shown = async (toolName: string, maxOutput = 5_000) =>
      (await registry.dispatch({ toolName, parameters: {} }, { maxOutput })).output
    expect(await shown('fine')).toBe('{"degrees":21}')
    expect(await shown('empty')).toBe('(no output)')
    expect(await shown('long', 3)).toBe('abc\n… (truncated: 8 code points, the first 3 are shown)')
    expect(await shown('broken')).toBe('Error: disk full')
  })

  it('004-37 offers a tool that another tool registered from the next iteration on', async () => {
    const grow = named('grow', ({ registry }) => {
      registry?.register(named('grown', () => 'I am new.'))
      return registry ? 'Grown.' : 'Not allowed.'
    })
    const offered = async (allowDynamicTools: boolean) => {
      const client = new ScriptedClient([calls(['grow']), 'Done.'])
      const agent = new Agent({ client, tools: [grow], planning: 'off', allowDynamicTools })
      await agent.run('Grow.')
      return client.requests.map(({ tools = [] }) => tools.map(({ name }) => name))
    }
    expect(await offered(true)).toEqual([['grow'], ['grow', 'grown']])
    expect(await offered(false)).toEqual([['grow'], ['grow']])
  })

  it('004-38 runs a tool without an agent, and turns whatever goes wrong into a result', async () => {
    const registry = new ToolRegistry()
    registry.register(new MyTool())
    registry.register(
      named('broken', () => {
        throw null
      }),
    )
    const outcome = async (toolName: string, parameters: unknown) => {
      const { ok, error } = await registry.dispatch({ toolName, parameters })
      return ok ? 'ok' : error?.code
    }
    expect(await outcome('my_tool', { input: 'x' })).toBe('ok')
    expect(await outcome('my_tool', { input: 7 })).toBe('tool_input')
    expect(await outcome('my_tool', null)).toBe('tool_input')
    expect(await outcome('broken', {})).toBe('tool_execution')
    expect(await outcome('constructor', {})).toBe('tool_not_found')
    // @ts-expect-error what a caller without types may do
    expect(await registry.dispatch(undefined)).toMatchObject({ ok: false, error: { code: 'unexpected' } })
  })

  it('004-39 runs independent calls side by side, up to its limit, and gives results in their order', async () => {
    const { most, order } = await sleepers({ toolConcurrency: 4 })
    expect(most).toBe(4)
    expect(order).toEqual(['t3', 't2', 't1', 't0', 't4', 't5'])
    expect((await sleepers({ toolConcurrency: 1 })).most).toBe(1)
    expect((await sleepers({})).most).toBe(4)
  })

  it('004-39 never lets serial tools overlap', async () => {
    expect((await sleepers({ toolConcurrency: 4, serial: true })).most).toBe(1)
  })
})

/** Runs six calls in one step, each shorter than the one before: how many were at work at once, and who ended when. */
async function sleepers({ serial = false, ...options }: { toolConcurrency?: number; serial?: boolean }) {
  const { runtime } = virtualClock()
  let working = 0
  let most = 0
  const ended: string[] = []
  const names = Array.from({ length: 6 }, (_, index) => `t${index}`)
  const tools = names.map((name, index) =>
    named(
      name,
      async () => {
        most = Math.max(most, ++working)
        await runtime.sleep(1_000 - index * 100)
        working--
        ended.push(name)
        return name
      },
      { serial },
    ),
  )
  const client = new ScriptedClient([calls(...names.map((name) => [name] as const)), 'Done.'])
  const { steps } = await new Agent({ client, tools, runtime, ...options }).runStream('Go.').result
  expect(steps[0]?.results.map(({ output }) => output)).toEqual(names)
  return { most, order: ended }
}
