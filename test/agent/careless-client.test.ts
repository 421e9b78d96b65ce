import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { Agent, type CallOptions, type LLMClient, tool } from '../../src/index.ts'
import { ScriptedClient } from '../../src/testing/index.ts'
import { watchRejections } from './aftermath.ts'

watchRejections()

const one = tool({
  name: 'one',
  description: 'one',
  parameters: { type: 'object', properties: { n: { type: 'number' } } },
  execute: () => 'fine',
})
const response = { text: 'Hi.', toolCalls: [], stopReason: 'stop' }

const clientThat = (members: object, streaming = false): LLMClient =>
  ({
    provider: 'p',
    model: 'm',
    capabilities: { tools: true, streaming, structuredOutput: false, images: false },
    call: async () => response,
    ...members,
  }) as LLMClient // as a careless one would say

/** Calls `one` with these parameters, then says that it is fine. */
const callingWith = (parameters: unknown): LLMClient => {
  let asked = 0
  const toolCalls = [{ id: 'a', toolName: 'one', parameters }]
  return clientThat({
    call: async () => (asked++ === 0 ? { text: '', toolCalls, stopReason: 'tool_calls' } : response),
  })
}

it('an error of another library is none of ours, whatever its code', async () => {
  const error = Object.assign(new Error('broken'), { code: 'aborted' })
  const agent = new Agent({ client: new ScriptedClient([error]) })
  expect(await agent.runStream('Go.').result).toMatchObject({
    status: 'failed',
    error: { code: 'llm', message: 'broken' },
  })
})

it.each([1e308, -1, Number.NaN])(
  'a usage of %d tokens is no usage: what was used is estimated',
  async (tokens) => {
    let asked = 0
    const usage = { inputTokens: tokens, outputTokens: 5, cachedInputTokens: tokens }
    const toolCalls = [{ id: 'a', toolName: 'one', parameters: {} }]
    const call = async () =>
      asked++ === 0
        ? { text: '', toolCalls, stopReason: 'tool_calls', usage }
        : { ...response, usage: { ...usage, inputTokens: 7 } }
    const told = await new Agent({ client: clientThat({ call }), tools: [one] }).runStream('Go.').result
    const { inputTokens, ...rest } = told.usage
    expect(rest).toEqual({ outputTokens: expect.any(Number), estimated: true })
    expect(inputTokens).toBeGreaterThan(7)
    expect(inputTokens).toBeLessThan(1_000)
  },
)

it('what a client says after it was left behind is not heard', async () => {
  let notify: CallOptions['notify']
  const call = (_: unknown, options: CallOptions) => {
    notify = options.notify
    return new Promise(() => {})
  }
  const agent = new Agent({ client: clientThat({ call }) })
  const heard: string[] = []
  for (const type of ['diagnostic', 'run_end', 'retry'] as const)
    agent.on(type, (event) => heard.push(event.type))
  const run = agent.runStream('Go.')
  const { result } = run
  await setImmediate()
  run.abort()
  await result
  notify?.({ type: 'warning', message: 'late' })
  expect(heard).toEqual(['run_end'])
})

it.each([
  [
    'throws when it is left',
    () => {
      throw new Error('no')
    },
  ],
  ['gives no promise when it is left', () => ({ done: true, value: undefined })],
])('a stream that %s does not spoil the answer it gave', async (_, leave) => {
  const next = async () => ({ done: false, value: { type: 'end', response } })
  const stream = () => ({ [Symbol.asyncIterator]: () => ({ next, return: leave }) })
  const agent = new Agent({ client: clientThat({ stream }, true), retry: false })
  expect(await agent.run('Go.')).toBe('Hi.')
})

it('a client may give its response at once', async () => {
  expect(await new Agent({ client: clientThat({ call: () => response }), retry: false }).run('Go.')).toBe(
    'Hi.',
  )
})

it('parameters that are no JSON are told to the model as unreadable', async () => {
  const circular: Record<string, unknown> = { n: 1 }
  circular['self'] = circular
  circular['me'] = circular
  const agent = new Agent({ client: callingWith(circular), tools: [one] })
  expect(await agent.run('Go.')).toBe('Hi.')
  expect(agent.history[2]?.content).toContain('The parameters are not valid JSON')
})

it('parameters nested too deep are told to the model as such', async () => {
  let deep: object = { n: 1 }
  for (let level = 0; level < 300; level++) deep = { n: deep }
  const agent = new Agent({ client: callingWith(deep), tools: [one] })
  expect(await agent.run('Go.')).toBe('Hi.')
  expect(agent.history[2]?.content).toContain('nested more than 200 levels deep')
})

it('nothing is asked of a client when a listener stopped the run before', async () => {
  let calls = 0
  const call = async () => {
    calls++
    return response
  }
  const agent = new Agent({
    client: clientThat({ call }),
    contextWindow: 10,
    instructions: 'Be brief. '.repeat(400),
  })
  const run = agent.runStream('Go.')
  agent.on('diagnostic', () => run.abort())
  const { status, usage } = await run.result
  expect([status, calls, usage.inputTokens]).toEqual(['aborted', 0, 0])
})
