import fc from 'fast-check'
import { expect, it } from 'vitest'
import '../../src/protocol/json.ts'
import '../../src/tools/json-validator.ts'
import { Agent } from '../../src/agent/agent.ts'
import { FatalToolError, LLMError } from '../../src/errors.ts'
import { type AgentEvent, eventTypes } from '../../src/events.ts'
import { secret } from '../../src/secret.ts'
import { virtualClock } from '../../src/testing/clock.ts'
import type { Made } from '../../src/testing/script.ts'
import { ScriptedClient } from '../../src/testing/scripted-client.ts'
import { tool } from '../../src/tools/define.ts'
import { toolError, toolResult } from '../../src/tools/tool.ts'
import { ToolSet } from '../../src/tools/toolset.ts'
import { MemoryStore } from '../../src/transcript/store.ts'
import { trials, uphold } from './support/law.ts'
import { type Encoding, encodingNames, encodings, leaks } from './support/leaks.ts'

const toolEchoes = [
  'returns',
  'returns an object',
  'a key',
  'throws',
  'error',
  'metadata',
  'progress',
  'cause',
  'fatal',
] as const
const modelEchoes = [
  'answer',
  'thought',
  'parameters',
  'unknown parameter',
  'tool name',
  'id',
  'plan',
  'reasoning',
] as const
const failures = ['none', 'message', 'properties', 'after text', 'LLMError'] as const

interface Canary {
  readonly value: string
  readonly keptAs: 'secret()' | 'text' | 'a function' | 'nested'
  readonly encoding: Encoding
  readonly tool: (typeof toolEchoes)[number]
  readonly model: (typeof modelEchoes)[number]
  readonly failure: (typeof failures)[number]
  readonly protocol: 'native' | 'json'
  readonly chunkSize: number
  readonly stream: boolean
  readonly isSaid: boolean
}

// Long enough to be told from everything else, hard to spell: quotes, percents, line breaks, other scripts.
const value = fc
  .tuple(
    fc.constantFrom('', ' ', '\n'),
    fc.array(
      fc.oneof(
        fc.string({ minLength: 1, maxLength: 6 }),
        fc.constantFrom('"', '\\', '%41', '\n', 'é', '👍🏽', '/+=', '<&>', '\u0000', '日本'),
      ),
      {
        minLength: 1,
        maxLength: 5,
      },
    ),
    fc.constantFrom('', '\n'),
  )
  .map(([before, parts, after]) => `${before}zQ7${parts.join('')}Kx9w${after}`)

const canary: fc.Arbitrary<Canary> = fc.record({
  value,
  keptAs: fc.constantFrom('secret()' as const, 'text' as const, 'a function' as const, 'nested' as const),
  encoding: fc.constantFrom(...encodingNames),
  tool: fc.constantFrom(...toolEchoes),
  model: fc.constantFrom(...modelEchoes),
  failure: fc.constantFrom(...failures),
  protocol: fc.constantFrom('native' as const, 'json' as const),
  chunkSize: fc.constantFrom(1, 2, 5, 10_000),
  stream: fc.boolean(),
  isSaid: fc.boolean(),
})

it('law 5: what is hidden is seen by its tool and by nobody else, in no spelling', {
  timeout: 60_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(canary, async (planned) => {
      const { received, visible } = await sing(planned)
      uphold(
        received.length > 0 && received.every((text) => text === planned.value)
          ? undefined
          : `the tool got ${received}`,
        ...Object.entries(visible).flatMap(([where, subject]) =>
          leaks(planned.value, subject).map((leak) => `${where} shows ${leak}`),
        ),
      )
    }),
    trials(1_000),
  )
})

it('would notice: what is not hidden is seen, in each spelling', async () => {
  for (const encoding of encodingNames) {
    const { visible } = await sing({
      value: 'zQ7"é%41Kx9w',
      keptAs: 'text',
      encoding,
      tool: 'returns',
      model: 'answer',
      failure: 'none',
      protocol: 'native',
      chunkSize: 10_000,
      stream: true,
      isSaid: false,
      isOpen: true,
    })
    const seen = Object.keys(visible).filter(
      (where) => leaks('zQ7"é%41Kx9w', Reflect.get(visible, where)).length > 0,
    )
    expect(seen, encoding).toEqual([
      'requests',
      'events',
      'entries',
      'result',
      'log',
      'inspection',
      'history',
    ])
  }
})

/** Runs an agent in which everyone tells everything they know, and gives back all that can be seen from outside. */
async function sing({ isOpen = false, ...canary }: Canary & { isOpen?: boolean }) {
  const { value, encoding, protocol, chunkSize, stream, isSaid } = canary
  const told = `the key is ${encodings[encoding](value)} indeed`
  const clock = virtualClock()
  const received: unknown[] = []
  const echo = tool({
    name: 'echo',
    description: 'Says what it knows',
    parameters: { type: 'object', properties: { note: { type: 'string' } } },
    execute: (_, { config, progress }) => {
      received.push(isOpen ? value : keyOf(config))
      return echoed(canary.tool, told, progress)
    },
  })
  const config = canary.keptAs === 'nested' ? { db: { key: hidden(canary) } } : { key: hidden(canary) }
  const store = new MemoryStore()
  const log: unknown[] = []
  const write = (...line: unknown[]) => void log.push(...line)
  const client = new ScriptedClient(script(canary, told), { chunkSize, runtime: clock.runtime })
  const agent = new Agent({
    client,
    protocol,
    stream,
    store,
    runtime: clock.runtime,
    instructions: isSaid ? told : '',
    tools: [new ToolSet({ name: 'set', description: 'A set', tools: [echo], config: isOpen ? {} : config })],
    logger: { debug: write, info: write, warn: write, error: write },
  })
  const events: AgentEvent[] = []
  for (const type of eventTypes) agent.on(type, (event) => events.push(event))
  if (isSaid) agent.addMessage('user', told)
  const run = agent.runStream(isSaid ? told : 'Go.')
  const read: AgentEvent[] = []
  for await (const event of run) read.push(event)
  const result = await run.result
  const thrown = await agent.run('Again.').then(
    () => undefined,
    (error: unknown) => error,
  )
  return {
    received,
    visible: {
      requests: client.requests,
      events: [events, read],
      entries: await store.read(agent.conversationId),
      result,
      error: [result.error, thrown],
      log,
      inspection: agent.inspect(),
      history: agent.history,
    },
  }
}

function hidden({ keptAs, value }: Canary): unknown {
  if (keptAs === 'secret()') return secret(value)
  return keptAs === 'a function' ? secret(() => value) : value
}

function keyOf(config: Readonly<Record<string, unknown>>): unknown {
  const { db, key } = config as { db?: { key: unknown }; key?: unknown } // as it was made
  return db ? db.key : key
}

function echoed(how: Canary['tool'], told: string, progress: (update: string) => void): unknown {
  switch (how) {
    case 'returns':
      return told
    case 'returns an object':
      return { deep: [{ told }] }
    case 'a key':
      return { [told]: 1 }
    case 'throws':
      throw new Error(told)
    case 'error':
      return toolError(told)
    case 'metadata':
      return toolResult('fine', { metadata: { told } })
    case 'progress':
      progress(told)
      return 'fine'
    case 'fatal':
      throw new FatalToolError(told, { cause: told })
    case 'cause':
      throw Object.assign(new Error('failed', { cause: new Error(told) }), { request: { told } })
  }
}

function script({ model, failure, protocol }: Canary, told: string): Made[] {
  const call = (parameters: { [name: string]: string } = {}, toolName = 'echo', id = 'call') =>
    protocol === 'native'
      ? { toolCalls: [{ toolName, parameters, id }] }
      : { text: JSON.stringify({ tool_calls: [{ id, tool_name: toolName, parameters }] }) }
  const plan =
    protocol === 'native'
      ? { toolCalls: [{ toolName: 'plan', parameters: { plan: told } }] }
      : { text: JSON.stringify({ plan: told }) }
  const answer = (text: string) =>
    protocol === 'native' ? { text } : { text: JSON.stringify({ final_answer: text }) }
  const said: Record<Canary['model'], Made> = {
    answer: answer(told),
    thought:
      protocol === 'native'
        ? { ...call(), text: told }
        : {
            text: JSON.stringify({ tool_thought: told, tool_calls: [{ tool_name: 'echo', parameters: {} }] }),
          },
    parameters: call({ note: told }),
    'unknown parameter': call({ [told]: told, key: told }),
    'tool name': call({}, told),
    id: call({}, 'echo', told),
    plan,
    reasoning: { ...answer('fine'), reasoning: told },
  }
  return [call(), said[model], ...failed(failure, told), answer(told), answer(told)]
}

function failed(failure: Canary['failure'], told: string): Made[] {
  switch (failure) {
    case 'none':
      return []
    case 'message':
      return [
        { fails: 'overloaded', message: told },
        { fails: 'auth', message: told },
      ]
    case 'properties':
      return [
        Object.assign(new Error(told, { cause: new Error(told) }), { headers: { authorization: told } }),
      ]
    case 'after text':
      return [{ fails: 'network', message: told, after: [told] }]
    case 'LLMError':
      return [
        new LLMError('failed', {
          kind: 'auth',
          provider: 'p',
          model: 'm',
          requestId: told,
          cause: { told },
        }),
      ]
  }
}
