import { describe, expect, test } from 'vitest'
import { isEvent, LLMError } from '../../src/index.ts'
import { type StrictFault, virtualClock } from '../../src/testing/index.ts'
import { watchRejections } from '../agent/aftermath.ts'
import { adapters, deliveries, looks, passTime, play } from './support.ts'

watchRejections()

const reply = {
  text: 'Größer 👍.',
  toolCalls: ['böx 👍', 'hat'].map((where) => ({ toolName: 'look', parameters: { where } })),
}
/** The last event after which `reply` can be cut, and the last that has a character of more than one byte after it. */
const lastCut = { chat: { event: 15, character: 8 }, messages: { event: 23, character: 12 } }
const here = { text: 'Here.' }
const done = { status: 'done', answer: 'Here.', results: [], ran: [], faults: [] }

describe.each(adapters)('$name', (adapter) => {
  test('B3 an error in the place of an answer is tried again, whatever the status says', async () => {
    const faults: readonly StrictFault[] = [
      { fault: 'error_event' },
      { fault: 'error_event', failure: 'server_error' },
      { fault: 'error_object' },
      { fault: 'error_object', failure: 'unavailable' },
      { fault: 'html' },
      { fault: 'empty' },
      { fault: 'null' },
    ]
    for (const { streams } of deliveries) {
      for (const fault of faults) {
        const told = await play(adapter, { streams, script: [fault, here] })
        expect(told, `${JSON.stringify(fault)}, ${streams}`).toEqual({ ...done, requests: 2 })
      }
    }
  })

  test('B3 an error in a call is tried again after a tool ran, and the tool runs once for each call', async () => {
    const script = [
      looks('box'),
      { fault: 'error_event', reply: looks('hat'), after: 4 },
      looks('hat'),
      { fault: 'error_event' },
      here,
    ] as const
    const told = await play(adapter, { script })
    expect(told).toEqual({ ...done, results: ['A box.', 'A hat.'], ran: ['box', 'hat'], requests: 5 })
  })

  test('B3 an error after something was said is followed by another answer, or told with what was said last', async () => {
    const broken = { fault: 'error_event', reply: { text: 'One two' }, after: 'content' } as const
    const rest = { results: [], ran: [], faults: [] }
    const cured = { status: 'done', answer: 'Here.', requests: 2, ...rest }
    expect(await play(adapter, { script: [broken, here] })).toEqual(cured)
    const failed = { status: 'failed', partial: 'One', error: 'llm overloaded', requests: 3, ...rest }
    expect(await play(adapter, { script: [broken, broken, broken] })).toEqual(failed)
  })

  test.each([
    ['between events', undefined],
    ['inside a line', 'line'],
    ['inside a character', 'character'],
  ] as const)('B4 a stream cut %s is an error, and no tool of it runs', async (_, inside) => {
    const last = lastCut[adapter.wire][inside === 'character' ? 'character' : 'event']
    for (let after = 0; after <= last; after++) {
      const cut = { fault: 'truncate', reply, after, ...(inside && { inside }) } as const
      const told = await play(adapter, { script: [cut, here] })
      expect([after, told]).toEqual([after, { ...done, answer: 'Here.', requests: 2 }])
    }
    const cut = { fault: 'truncate', reply, after: last + 1 } as const
    // The next event says why the reply stopped: only now is it whole.
    if (inside !== 'character') {
      expect((await play(adapter, { script: [cut, here] })).ran).toEqual(['böx 👍', 'hat'])
    }
  })

  test('B4 a whole answer that is cut is asked for again', async () => {
    for (const inside of [undefined, 'character'] as const) {
      const cut = { fault: 'truncate', reply, after: 0, ...(inside && { inside }) } as const
      const told = await play(adapter, { streams: false, script: [cut, here] })
      expect(told, inside).toEqual({ ...done, requests: 2 })
    }
  })

  test('B4 a stream without the mark of its end is whole only where the mark says nothing', async () => {
    const script = [{ fault: 'no_end', reply: looks('box') }, here] as const
    const { ran, requests, ...told } = await play(adapter, { script })
    const results = ran.map((place) => `A ${place}.`)
    expect(told).toEqual({ status: 'done', answer: 'Here.', results, faults: [] })
    // The end of Messages is an event of its own: without it, the calls are not all there, and are asked for again.
    expect([ran, requests]).toEqual(adapter.wire === 'chat' ? [['box'], 2] : [[], 2])
  })

  test('B6 an answer that stalls is given up with its request, pings or not', async () => {
    for (const { streams } of deliveries) {
      for (const fault of ['hang', 'pings'] as const) {
        for (const after of [undefined, 0, 'content'] as const) {
          const clock = virtualClock({ auto: false })
          const script = [{ fault, reply: looks('box'), ...(after !== undefined && { after }) }]
          let phase: unknown
          const told = await play(adapter, {
            script,
            streams,
            clock,
            ...{ firstContentMs: 2_000, idleMs: 1_000, agent: { retry: false } },
            act: async ({ read, provider }) => {
              const result = await passTime(clock, 1_000, read())
              phase = result.error instanceof LLMError && [result.error.kind, result.error.retryable]
              for (let turn = 0; provider.liveRequests > 0 && turn < 100; turn++) await clock.advance(0)
              expect(provider.requests.map(({ clientAborted }) => clientAborted)).toEqual([true])
              return result
            },
          })
          const where = `${fault} after ${after}, ${streams}`
          expect(phase, where).toEqual(['stalled', true])
          expect(told, where).toEqual({
            ...{ status: 'failed', error: 'llm stalled' },
            ...{ results: [], ran: [], requests: 1, faults: [] },
          })
        }
      }
    }
  })

  test('B6 an answer that comes slowly is waited for, also longer than silence may last', async () => {
    const clock = virtualClock({ auto: false })
    const pace = () => clock.advance(10)
    const told = await play(adapter, {
      script: [{ fault: 'drip', reply: { text: 'Größer 👍 and slower.' }, pace }],
      clock,
      ...{ firstContentMs: 20_000, idleMs: 10_000 },
    })
    expect(told).toEqual({ ...done, answer: 'Größer 👍 and slower.', requests: 1 })
    expect(clock.runtime.now()).toBeGreaterThan(10_000)
  })
})

describe.each(adapters)('$name', (adapter) => {
  // As often as a call is tried.
  const thrice = (fault: StrictFault) => Array<StrictFault>(3).fill(fault)
  const scripts: Readonly<Record<string, readonly StrictFault[]>> = {
    'an error status': thrice({ fault: 'server_error' }),
    'a refused key': [{ fault: 'auth' }],
    'an error in the stream': thrice({ fault: 'error_event', reply: { text: 'One two' }, after: 'content' }),
    'a stream that is cut': thrice({ fault: 'truncate', reply: { text: 'One two' }, after: 'content' }),
    'a connection that breaks': thrice({ fault: 'reset', reply: { text: 'One two' }, after: 'content' }),
    'a page': thrice({ fault: 'html' }),
    'a silence': [{ fault: 'hang', reply: { text: 'One two' }, after: 'content' }],
  }

  // The rejections that nobody handles are counted for the whole file.
  test.each(Object.keys(scripts))(
    'B8 %s is no unhandled rejection, whether somebody looks or nobody does',
    async (name) => {
      const silent = name === 'a silence'
      const script = scripts[name] ?? []
      const told = await play(adapter, {
        script,
        act: async ({ agent, provider }) => {
          const again = () => provider.script(script)
          const stop = AbortSignal.abort(new Error('enough'))
          agent.runStream('Never read.')
          await agent.run('Stopped before.', { signal: stop }).catch(() => {})
          for (const last of [1, 2, 3]) {
            again()
            let seen = 0
            for await (const _ of agent.runStream('Left.')) if (++seen === last) break
            again()
            seen = 0
            const reading = (async () => {
              for await (const _ of agent.runStream('Thrown.')) if (++seen === last) throw new Error('mine')
            })()
            await reading.catch(({ message }: Error) => expect(message).toBe('mine'))
          }
          again()
          if (!silent) for await (const _ of agent.runStream('Only read.'));
          again()
          if (!silent) await expect(agent.run('Only awaited.')).rejects.toThrow(LLMError)
          again()
          const controller = new AbortController()
          const last = agent.runStream('Aborted.', { signal: controller.signal })
          for await (const event of last)
            if (isEvent(event, 'stream_start')) controller.abort(new Error('enough'))
          return last.result
        },
      })
      expect(told.faults).toEqual([])
      expect(told.ran).toEqual([])
    },
  )
})
