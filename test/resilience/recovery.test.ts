import { describe, expect, test } from 'vitest'
import type { LLMResponse } from '../../src/client/client.ts'
import type { LLMError } from '../../src/errors.ts'
import { fallbackAnswer } from '../../src/resilience/fallback-answer.ts'
import {
  type RecoveryContext,
  type RecoveryOptions,
  type RecoveryStrategy,
  recovery,
} from '../../src/resilience/recovery.ts'
import { fails, hangs } from '../../src/testing/script.ts'
import { thrownBy, turn } from '../support/outcome.ts'
import { drain, named, request, textOfChunks } from './support.ts'

const strategy = (recover: RecoveryStrategy['recover']): RecoveryStrategy => ({ recover })

describe('recovery', () => {
  test('makes the call again when a strategy has put things right', async () => {
    const asked: [string, RecoveryContext][] = []
    const renew = strategy(async (error, context) => {
      asked.push([error.kind, context])
      return 'retry'
    })
    const inner = named('a', [fails('auth'), fails('network'), 'ok'])
    expect((await recovery([renew])(inner).call(request)).text).toBe('ok')
    expect(asked).toEqual([
      ['auth', { attempt: 1, request }],
      ['network', { attempt: 2, request }],
    ])
  })

  test('makes no more calls than its attempts', async () => {
    const inner = named('a', () => fails('auth'))
    expect(
      await thrownBy(recovery([strategy(async () => 'retry')], { attempts: 2 })(inner).call(request)),
    ).toMatchObject({ kind: 'auth' })
    expect(inner.calls).toBe(2)
  })

  test('asks the next strategy when one has no advice, and throws when none has', async () => {
    const asked: number[] = []
    const shrugs = (number: number) =>
      strategy(async () => {
        asked.push(number)
        return 'fail'
      })
    const inner = named('a', [fails('auth')])
    expect(await thrownBy(recovery([shrugs(1), shrugs(2)])(inner).call(request))).toMatchObject({
      kind: 'auth',
    })
    expect([asked, inner.calls]).toEqual([[1, 2], 1])
  })

  test('gives the response of a strategy that handles it', async () => {
    const response: LLMResponse = { text: 'Later.', toolCalls: [], stopReason: 'stop' }
    const inner = named('a', [fails('auth'), fails('network', { after: ['Ju'] })])
    const client = recovery([strategy(async () => response)])(inner)
    expect(await client.call(request)).toEqual(response)
    const seen = await drain(client, { canRetract: true })
    expect(seen.map(({ type }) => type)).toEqual(['text', 'retracted', 'text', 'end'])
    expect(textOfChunks(seen)).toBe('Later.')
  })

  test('is not asked after an abort, and does not outlast one', async () => {
    const inner = named('a', [hangs(), fails('auth')])
    let asked = 0
    const client = recovery([
      strategy(() => {
        asked += 1
        return new Promise(() => {})
      }),
    ])(inner)
    for (const expected of [0, 1]) {
      const controller = new AbortController()
      const running = thrownBy(client.call(request, { signal: controller.signal }))
      await turn()
      controller.abort('enough')
      expect(await running).toMatchObject({ kind: 'aborted', cause: 'enough' })
      expect(asked).toBe(expected)
    }
  })

  test('makes a failed call of a strategy that throws', async () => {
    const client = recovery([
      strategy(() => {
        throw new TypeError('odd')
      }),
    ])(named('a', [fails('auth')]))
    expect(await thrownBy(client.call(request))).toMatchObject({
      code: 'llm',
      kind: 'unknown',
      message: 'odd',
    })
  })

  test.each<[string, unknown, unknown]>([
    ['strategies[0]', [() => 'retry'], {}],
    ['attempts', [], { attempts: 0 }],
  ])('refuses %s', (path, strategies, options) => {
    expect(() => recovery(strategies as RecoveryStrategy[], options as RecoveryOptions)).toThrow(
      expect.objectContaining({ code: 'configuration', path }),
    )
  })
})

describe('fallbackAnswer', () => {
  test('answers in place of a call that failed, and says that no model did', async () => {
    const inner = named('a', () => fails('auth'))
    const client = fallbackAnswer('Sorry.')(inner)
    expect(await client.call(request)).toEqual({
      text: 'Sorry.',
      toolCalls: [],
      stopReason: 'stop',
      usage: { inputTokens: 0, outputTokens: 0 },
      degraded: true,
    })
    expect(textOfChunks(await drain(client))).toBe('Sorry.')
  })

  test('leaves answers as they are', async () => {
    const client = fallbackAnswer('Sorry.')(named('a', ['Hello.']))
    expect(await client.call(request)).toMatchObject({ text: 'Hello.' })
  })

  test('makes of each error its own answer, or none', async () => {
    const answer = ({ kind }: LLMError) => (kind === 'overloaded' ? 'Busy.' : undefined)
    const client = fallbackAnswer(answer)(named('a', [fails('overloaded'), fails('auth')]))
    expect((await client.call(request)).text).toBe('Busy.')
    expect(await thrownBy(client.call(request))).toMatchObject({ kind: 'auth' })
  })

  test('does not answer an abort', async () => {
    const controller = new AbortController()
    const running = thrownBy(
      fallbackAnswer('Sorry.')(named('a', [hangs()])).call(request, { signal: controller.signal }),
    )
    await turn()
    controller.abort('enough')
    expect(await running).toMatchObject({ kind: 'aborted' })
  })

  test('refuses what is neither text nor a function', () => {
    expect(() => fallbackAnswer(1 as never)).toThrow(
      expect.objectContaining({ code: 'configuration', path: 'answer' }),
    )
  })
})
