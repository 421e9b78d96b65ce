import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Agent } from '../../src/agent/agent.ts'
import { isTercetError } from '../../src/errors.ts'
import type { AgentEvent } from '../../src/events.ts'
import type { JsonObject } from '../../src/json.ts'
import { user } from '../../src/messages.ts'
import { secret } from '../../src/secret.ts'
import type { StrictReply } from '../../src/testing/strict-contract.ts'
import { tool } from '../../src/tools/define.ts'
import { ToolSet } from '../../src/tools/toolset.ts'
import { type Adapter, adapters, connected } from './support/adapters.ts'
import { trials, uphold } from './support/law.ts'
import { encodingNames, encodings, leaks } from './support/leaks.ts'
import { failureKinds, type TellingFailure, tellingFailure, tellings } from './support/telling-failures.ts'
import { straight, wireResponse } from './support/wire-replies.ts'

// Hard to spell, and what a header can hold; told apart from everything else also by its first half.
const canary = fc
  .array(
    fc.oneof(fc.string({ minLength: 1, maxLength: 6 }), fc.constantFrom('"', '\\', '%41', '/+=', '<&>')),
    { minLength: 1, maxLength: 5 },
  )
  .map((parts) => `zQ7vK2mX${parts.join('').replaceAll(' ', '_')}Kx9w`)

const failure = fc.record({
  how: fc.constantFrom(...tellings),
  kind: fc.constantFrom(...failureKinds),
  encoding: fc.constantFrom(...encodingNames),
  // What stands before it decides where it is cut.
  before: fc.nat(300).map((length) => 'word '.repeat(length / 5)),
})

describe.each(adapters)('$name', (adapter) => {
  it('law 5: however its provider fails, no error shows the API key', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        canary,
        failure,
        fc.boolean(),
        async (apiKey, { encoding, before, ...rest }, stream) => {
          const told = `${before}${encodings[encoding](apiKey)}`
          const { error, bodies } = await failing(adapter, apiKey, { ...rest, told }, stream)
          expect(isTercetError(error)).toBe(true)
          // Nor what is left of it where it was cut.
          uphold(...faults([apiKey, apiKey.slice(0, 8)], { error, bodies }))
        },
      ),
      trials(200),
    )
  })

  it('law 5: what is hidden from the model is neither sent nor told, whatever tool and provider say', {
    timeout: 60_000,
  }, async () => {
    const apiKey = 'sk-sample-0123456789'
    const connection = connected(adapter, apiKey)
    await fc.assert(
      fc.asyncProperty(
        canary,
        failure,
        fc.boolean(),
        async (hidden, { encoding, before, ...rest }, stream) => {
          const told = `${before}${encodings[encoding](hidden)}`
          const seen = await betrayed(adapter, connection, hidden, { ...rest, told }, stream)
          expect(seen.received).toEqual([hidden])
          expect(seen.bodies.length).toBe(2)
          uphold(...faults([hidden, apiKey], seen.visible))
        },
      ),
      trials(200),
    )
  })
})

it('would notice: what is not secret is shown in errors', async () => {
  for (const adapter of adapters) {
    const told = 'zQ7vK2mX'
    const shown: string[] = []
    for (const how of tellings) {
      const { error } = await failing(adapter, 'sk-other-0123456789', { how, kind: 'auth', told }, false)
      if (leaks(told, error).length > 0) shown.push(how)
    }
    // All but a page, of which nothing is shown.
    expect(shown.length, `${adapter.name}: ${shown}`).toBeGreaterThanOrEqual(tellings.length - 3)
  }
})

function faults(values: readonly string[], subjects: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(subjects).flatMap(([where, subject]) =>
    values.flatMap((value) => leaks(value, subject).map((leak) => `${where} shows ${leak}`)),
  )
}

async function failing(adapter: Adapter, apiKey: string, failure: TellingFailure, stream: boolean) {
  const { client, serveWith } = connected(adapter, apiKey)
  const bodies: JsonObject[] = []
  serveWith((request) => {
    bodies.push(request)
    return tellingFailure(failure, adapter.dialect, request)
  })
  const request = { messages: [user('Go.')] }
  const ask = async () => {
    if (!stream) return client.call(request)
    for await (const _ of client.stream?.(request) ?? []);
  }
  const error: unknown = await ask().then(
    () => 'it did not fail',
    (thrown: unknown) => thrown,
  )
  return { error, bodies }
}

/** Runs an agent whose tool tells what it was given, and whose provider then fails and tells it too. */
async function betrayed(
  { dialect }: Adapter,
  { client, serveWith }: ReturnType<typeof connected>,
  hidden: string,
  failure: TellingFailure,
  stream: boolean,
) {
  const bodies: JsonObject[] = []
  const received: unknown[] = []
  const call: StrictReply = { text: failure.told, toolCalls: [{ toolName: 'echo', parameters: {} }] }
  serveWith((request) => {
    bodies.push(request)
    if (bodies.length > 1) return tellingFailure(failure, dialect, request)
    const context = { request, replyNumber: 1, nextCallNumber: () => 1, pieces: 'word' as const }
    return wireResponse(dialect, call, context, straight)
  })
  const echo = tool({
    name: 'echo',
    description: 'Says what it knows',
    parameters: { type: 'object', properties: {} },
    execute: (_, { config }) => {
      received.push(config['key'])
      return { told: failure.told }
    },
  })
  const agent = new Agent({
    client,
    stream,
    retry: false,
    tools: [
      new ToolSet({ name: 'set', description: 'A set', tools: [echo], config: { key: secret(hidden) } }),
    ],
  })
  const events: AgentEvent[] = []
  const run = agent.runStream('Go.')
  for await (const event of run) events.push(event)
  const result = await run.result
  const visible = { bodies, events, result, error: result.error, history: agent.history }
  return { received, bodies, visible }
}
