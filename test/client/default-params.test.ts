import { describe, expect, test } from 'vitest'
import { type LLMRequest, wrapClient } from '../../src/client/client.ts'
import { defaultParams } from '../../src/client/default-params.ts'
import { user } from '../../src/messages.ts'
import { ScriptedClient } from '../../src/testing/scripted-client.ts'

const request: LLMRequest = { messages: [user('hi')] }

describe('defaultParams', () => {
  test('stand below what a call says, key by key, and send nothing that nobody said', async () => {
    const inner = new ScriptedClient(() => 'ok')
    const client = wrapClient(inner, defaultParams({ temperature: 0, topP: 0.9, extra: { a: 1, b: 1 } }))
    await client.call(request)
    const said = { ...request, params: { topP: undefined, seed: 1, extra: { b: 2 } } as never }
    for await (const _ of client.stream?.(said) ?? []);
    expect(inner.requests).toEqual([
      { ...request, params: { temperature: 0, topP: 0.9, extra: { a: 1, b: 1 } } },
      { ...request, params: { temperature: 0, topP: 0.9, seed: 1, extra: { a: 1, b: 2 } } },
    ])
    expect('topP' in (inner.requests[0]?.params ?? {})).toBe(true)
    expect(Object.keys(inner.requests[1]?.params ?? {}).sort()).toEqual([
      'extra',
      'seed',
      'temperature',
      'topP',
    ])
  })

  test('let the client be what it is, and keep room for the answer they allow', async () => {
    const inner = new ScriptedClient([], { model: 'm', capabilities: { streaming: false, contextWindow: 9 } })
    const client = defaultParams({ maxOutputTokens: 4 })(inner)
    expect([client.model, client.capabilities]).toEqual(['m', { ...inner.capabilities, maxOutputTokens: 4 }])
    expect('stream' in client).toBe(false)
    await client.close?.()
    expect(inner.closed).toBe(true)
  })

  test('are refused when they are none', () => {
    expect(() => defaultParams({ topP: 2 })).toThrow(
      expect.objectContaining({ code: 'configuration', path: 'params.topP' }),
    )
  })
})
