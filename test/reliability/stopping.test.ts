import { getEventListeners } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { Agent, isEvent, LLMError, type RunResult, tool, user } from '../../src/index.ts'
import { type StrictTurn, strictProvider, virtualClock } from '../../src/testing/index.ts'
import { watchRejections } from '../agent/aftermath.ts'
import { adapters, begins, deliveries, isQuiet, looks, passTime, play } from './support.ts'

watchRejections()

const where = { type: 'object', properties: { where: { type: 'string' } } }
const aborted = { status: 'aborted', error: 'aborted', faults: [] }

describe.each(adapters)('$name', (adapter) => {
  test('B9 500 streamed calls, some left and some failing, leave no listener on their signal', async () => {
    let number = 0
    const script = (): StrictTurn => {
      number += 1
      if (number % 10 === 5) return { fault: 'truncate', reply: { text: 'One two' }, after: 'content' }
      return number % 10 === 7 ? { fault: 'overloaded' } : { text: 'Here I am.' }
    }
    await using provider = await strictProvider({ script })
    const client = adapter.clientOf(provider)
    const { signal } = new AbortController()
    const seen = { whole: 0, left: 0, failed: 0 }
    for (let call = 1; call <= 500; call++) {
      try {
        const stream = client.stream?.({ messages: [user('Hello')] }, { signal }) ?? []
        for await (const chunk of stream) {
          if (chunk.type === 'end') seen.whole += 1
          if (call % 10 !== 0) continue
          seen.left += 1
          break
        }
      } catch (thrown) {
        if (!(thrown instanceof LLMError)) throw thrown
        seen.failed += 1
      }
    }
    expect(seen).toEqual({ whole: 350, left: 50, failed: 100 })
    expect(getEventListeners(signal, 'abort')).toEqual([])
    expect(await isQuiet(provider)).toBe(true)
    expect(provider.refusals).toEqual([])
    await client.close?.()
  })

  test('B9 runs with retries and tools leave no listener on their signal', async () => {
    const turns: readonly StrictTurn[] = [{ fault: 'error_event' }, looks('box'), { text: 'Here.' }]
    let number = 0
    await using provider = await strictProvider({ script: () => turns[number++ % 3] ?? {} })
    const { signal } = new AbortController()
    await using agent = new Agent({
      client: adapter.clientOf(provider),
      tools: [tool({ name: 'look', description: 'Looks', parameters: where, execute: () => 'A box.' })],
      retry: { minDelayMs: 0 },
    })
    for (let run = 0; run < 30; run++) expect(await agent.run('Go.', { history: [], signal })).toBe('Here.')
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test.each<[place: string, script: readonly StrictTurn[]]>([
    ['before the headers', [{ fault: 'hang' }]],
    ['after the headers', [{ fault: 'hang', after: 0 }]],
    ['between pings', [{ fault: 'pings' }]],
    ['in an answer', [{ fault: 'hang', reply: { text: 'One two' }, after: 'content' }]],
    ['in a call', [{ fault: 'hang', reply: looks('box'), after: 'content' }]],
    ['after a step', [looks('box'), { fault: 'hang' }]],
  ])('B10 an abort %s ends the request, and its reason is kept', async (_, script) => {
    for (const { streams } of deliveries) {
      const controller = new AbortController()
      const reason = new Error('enough')
      const { partial = '', ...told } = await play(adapter, {
        script,
        streams,
        act: async ({ read, provider }) => {
          const running = read({ signal: controller.signal })
          while (provider.requests.length < script.length) await setImmediate()
          // What is on its way arrives.
          for (let turn = 0; turn < 20; turn++) await setImmediate()
          controller.abort(reason)
          const result = await running
          expect(reasonOf(result)).toBe(reason)
          expect(await isQuiet(provider)).toBe(true)
          expect(provider.requests.at(-1)?.clientAborted).toBe(true)
          return result
        },
      })
      const ran = script.length > 1 ? ['box'] : []
      const results = ran.map((place) => `A ${place}.`)
      expect(told).toEqual({ ...aborted, ran, results, requests: script.length })
      expect('One two'.startsWith(partial)).toBe(true)
      expect(getEventListeners(controller.signal, 'abort')).toEqual([])
    }
  })

  test('B10 an abort while a retry is waited for wakes it, and asks no more', async () => {
    const clock = virtualClock({ auto: false })
    const controller = new AbortController()
    const told = await play(adapter, {
      script: [{ fault: 'rate_limit', headers: { 'retry-after': '20' } }],
      clock,
      agent: { retry: { jitter: 'none' } },
      act: ({ read }) =>
        read({ signal: controller.signal }, (event) => {
          if (isEvent(event, 'retry')) abortSoon(controller)
        }),
    })
    expect(told).toEqual({ ...aborted, results: [], ran: [], requests: 1 })
    expect([clock.sleeps.includes(20_000), clock.runtime.now()]).toEqual([true, 0])
  })

  test('B10 an abort reaches every tool that runs, and begins none that does not', async () => {
    const controller = new AbortController()
    const saw: unknown[] = []
    const wait = tool({
      name: 'wait',
      description: 'Waits until it is stopped',
      parameters: where,
      execute: (_, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            saw.push(signal.reason)
            reject(signal.reason)
          })
        }),
    })
    const calls = [1, 2, 3].map(() => ({ toolName: 'wait', parameters: {} }))
    let begun = 0
    const told = await play(adapter, {
      script: [{ toolCalls: calls }],
      agent: { tools: [wait], toolConcurrency: 2 },
      act: ({ read }) =>
        read({ signal: controller.signal }, (event) => {
          if (begins(event) && ++begun === 2) abortSoon(controller)
        }),
    })
    const { results, ...rest } = told
    expect(rest).toEqual({ ...aborted, ran: [], requests: 1 })
    expect(saw).toEqual(['enough', 'enough'])
    expect(results).toHaveLength(3)
    expect(results[2]).toContain('Not executed')
  })

  test('B11 a tool that takes too long is told to the model, and what it still says is not heard', async () => {
    const clock = virtualClock({ auto: false })
    let late: (value: string) => void = () => {}
    const ran: string[] = []
    const never = tool({
      name: 'never',
      description: 'Takes for ever',
      parameters: where,
      timeoutMs: 1_000,
      execute: (_, { progress }) => {
        ran.push('never')
        return new Promise<string>((resolve) => {
          late = (value) => {
            progress('late')
            resolve(value)
          }
        })
      },
    })
    const obeys = tool({
      name: 'obeys',
      description: 'Stops when it is told to',
      parameters: where,
      timeoutMs: 1_000,
      effect: 'read',
      execute: (_, { signal }) => {
        ran.push('obeys')
        return clock.runtime.sleep(10_000, signal)
      },
    })
    const told = await play(adapter, {
      script: [
        { toolCalls: ['never', 'obeys'].map((toolName) => ({ toolName, parameters: {} })) },
        { text: 'Too slow.' },
      ],
      clock,
      agent: { tools: [never, obeys] },
      act: async ({ agent }) => {
        const stream = agent.runStream('Go.')
        const events: string[] = []
        const read = async () => {
          for await (const event of stream) {
            if (isEvent(event, 'tool_execution')) events.push(`${event.toolName} ${event.status}`)
          }
          return stream.result
        }
        const result = await passTime(clock, 500, read())
        const before = JSON.stringify([result.history, agent.history])
        late('I am done after all.')
        await clock.advance(1_000)
        expect(JSON.stringify([result.history, agent.history])).toBe(before)
        expect(events.sort()).toEqual(['never abandoned', 'never started', 'obeys failed', 'obeys started'])
        return result
      },
    })
    expect(told).toEqual({
      status: 'done',
      answer: 'Too slow.',
      results: [
        'Error: The tool "never" did not finish within 1000 ms (timeoutMs). It did not stop and was left behind. ' +
          'Its outcome is unknown: check before you call it again.',
        'Error: The tool "obeys" did not finish within 1000 ms (timeoutMs). It may be called again.',
      ],
      ran: [],
      requests: 2,
      faults: [],
    })
    expect(ran.sort()).toEqual(['never', 'obeys'])
  })
})

/** What is told now has begun by then. */
function abortSoon(controller: AbortController): void {
  void setImmediate().then(() => controller.abort('enough'))
}

function reasonOf({ error }: RunResult<unknown>): unknown {
  return error && 'reason' in error ? error.reason : undefined
}
