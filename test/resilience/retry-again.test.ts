import { describe, expect, test } from 'vitest'
import type { CallOptions, ClientNotice, LLMChunk, LLMClient } from '../../src/client/client.ts'
import { retry } from '../../src/resilience/retry.ts'
import type { RetryOptions } from '../../src/resilience/retry-options.ts'
import { SwitchableClient } from '../../src/resilience/switchable.ts'
import { virtualClock } from '../../src/testing/clock.ts'
import { chunks, fails, hangs, type ScriptedReply } from '../../src/testing/script.ts'
import { thrownBy, turn } from '../support/outcome.ts'
import { drain, named, request, textOfChunks } from './support.ts'

function retrying(script: readonly ScriptedReply[], options: RetryOptions = {}, provider = 'a') {
  const clock = virtualClock()
  const inner = named(provider, script)
  const notices: ClientNotice[] = []
  const client = retry({ jitter: 'none', runtime: clock.runtime, ...options })(inner)
  const callOptions: CallOptions = { canRetract: true, notify: (notice) => notices.push(notice) }
  return { clock, inner, client, notices, callOptions }
}

const shown = (seen: readonly LLMChunk[]) =>
  seen.map((chunk) => (chunk.type === 'text' ? chunk.text : chunk.type))

describe('retry in the middle of a stream', () => {
  test('withdraws what was handed out once the next attempt has begun, and goes on with that', async () => {
    const { client, clock, notices, callOptions, inner } = retrying([
      fails('overloaded'),
      fails('network', { after: ['Good ', 'mor'] }),
      chunks(['Good ', 'evening']),
    ])
    const seen = await drain(client, callOptions)
    expect(shown(seen)).toEqual(['Good ', 'mor', 'retracted', 'Good ', 'evening', 'end'])
    expect(notices.map((notice) => notice.type === 'retry' && [notice.attempt, notice.error.kind])).toEqual([
      [1, 'overloaded'],
      [2, 'network'],
    ])
    expect([clock.sleeps, inner.calls]).toEqual([[1000, 2000], 3])
  })

  test('makes no more attempts than without, and leaves the last text where nothing comes instead', async () => {
    const broken = fails('network', { after: ['par'] })
    const { client, inner, callOptions, clock } = retrying([broken, broken, broken, 'late'])
    const seen: LLMChunk[] = []
    expect(await thrownBy(drain(client, callOptions, seen))).toMatchObject({ kind: 'network' })
    expect(shown(seen)).toEqual(['par', 'retracted', 'par', 'retracted', 'par'])
    expect([inner.calls, clock.sleeps]).toEqual([3, [1000, 2000]])
  })

  test('does not try a final failure again', async () => {
    const { client, inner, callOptions } = retrying([fails('auth', { after: ['par'] }), 'late'])
    const seen: LLMChunk[] = []
    expect(await thrownBy(drain(client, callOptions, seen))).toMatchObject({ kind: 'auth' })
    expect([shown(seen), inner.calls]).toEqual([['par'], 1])
  })

  test('stops at once when its signal aborts in the wait', async () => {
    const clock = virtualClock({ auto: false })
    const inner = named('a', [fails('network', { after: ['par'] }), 'late'])
    const controller = new AbortController()
    const options = { canRetract: true, signal: controller.signal }
    const running = thrownBy(drain(retry({ runtime: clock.runtime })(inner), options))
    await turn()
    expect(clock.pending).toBe(1)
    controller.abort('enough')
    expect(await running).toMatchObject({ kind: 'aborted', cause: 'enough' })
    expect([clock.pending, inner.calls]).toEqual([0, 1])
  })

  test('leaves the attempt it is in', async () => {
    const { client, inner, callOptions } = retrying([fails('network', { after: ['par'] }), hangs(['x', 'y'])])
    for await (const chunk of client.stream?.(request, callOptions) ?? [])
      if (shown([chunk])[0] === 'x') break
    expect([inner.calls, inner.left]).toEqual([2, 1])
  })

  test('takes a stream without an end for a failure', async () => {
    const { inner, clock } = retrying(['Hello'])
    let opened = 0
    const hasty: LLMClient = {
      provider: 'a',
      model: 'm',
      capabilities: inner.capabilities,
      call: (...all) => inner.call(...all),
      async *stream(...all) {
        if (opened++ > 0) yield* inner.stream?.(...all) ?? []
        else yield { type: 'text', text: 'Hel' }
      },
    }
    const seen = await drain(retry({ runtime: clock.runtime })(hasty), { canRetract: true })
    expect(textOfChunks(seen)).toBe('Hello')
  })
})

describe('retry by provider', () => {
  const options: RetryOptions = {
    attempts: 2,
    policies: {
      anthropic: { retryOn: ['overloaded', 'rate_limit'], attempts: 3 },
      openai: { minDelayMs: 5 },
    },
  }

  test.each([
    ['anthropic', ['overloaded', 'rate_limit', 'ok'], [1000, 2000]],
    ['anthropic', ['network'], []],
    ['openai', ['network', 'overloaded'], [5]],
    ['groq', ['network', 'overloaded'], [1000]],
  ] as const)(
    'goes by the policy of its provider, and by the usual one where that says nothing: %s',
    async (provider, kinds, sleeps) => {
      const script = kinds.map((kind) => (kind === 'ok' ? kind : fails(kind)))
      const { client, clock, inner } = retrying(script, options, provider)
      const outcome = await client.call(request).then(
        ({ text }) => text,
        (error) => error.kind,
      )
      expect([outcome, inner.calls, clock.sleeps]).toEqual([kinds.at(-1), kinds.length, sleeps])
    },
  )

  test('goes by the provider that is asked now', async () => {
    const clock = virtualClock()
    const clients = { a: named('a', [fails('network'), 'ok']), b: named('b', [fails('network')]) }
    const switchable = new SwitchableClient({ clients, initial: 'a' })
    const client = retry({ policies: { b: { attempts: 1 } }, runtime: clock.runtime })(switchable)
    expect((await client.call(request)).text).toBe('ok')
    switchable.use('b')
    expect(client.provider).toBe('b')
    expect(await thrownBy(client.call(request))).toMatchObject({ kind: 'network' })
  })

  test.each<[string, unknown]>([
    ['policies', ['anthropic']],
    ['policies.anthropic', { anthropic: 3 }],
    ['policies.anthropic.attempts', { anthropic: { attempts: 0 } }],
    ['policies.anthropic.retryOn', { anthropic: { retryOn: ['overload'] } }],
    ['policies.anthropic.policies', { anthropic: { policies: {} } }],
  ])('refuses %s', (path, policies) => {
    expect(() => retry({ policies: policies as NonNullable<RetryOptions['policies']> })).toThrow(
      expect.objectContaining({ code: 'configuration', path }),
    )
  })
})
