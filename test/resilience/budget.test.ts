import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CallScope, LLMChunk, LLMClient, LLMRequest } from '../../src/client/client.ts'
import { wrapClient } from '../../src/client/client.ts'
import { BudgetExceededError, ConfigurationError } from '../../src/errors.ts'
import { type Usage, user } from '../../src/messages.ts'
import { budget } from '../../src/resilience/budget.ts'
import type { BudgetAmounts, BudgetLedger, BudgetOptions } from '../../src/resilience/budget-options.ts'
import { retry } from '../../src/resilience/retry.ts'
import { virtualClock } from '../../src/testing/clock.ts'
import { chunks, fails, hangs, type Script, says } from '../../src/testing/script.ts'
import { ScriptedClient } from '../../src/testing/scripted-client.ts'
import { thrownBy, turn } from '../support/outcome.ts'

/** A prompt of 10 tokens that may be answered with 10. */
const request: LLMRequest = { messages: [user('x'.repeat(40))], params: { maxOutputTokens: 10 } }
const price = { inputPerM: 1, outputPerM: 2 }
const prices = { 'scripted-1': price }

const used = (inputTokens: number, outputTokens: number, rest: Partial<Usage> = {}): Usage => ({
  inputTokens,
  outputTokens,
  ...rest,
})

function budgeted(options: BudgetOptions, script: Script) {
  const clock = virtualClock()
  const inner = new ScriptedClient(script, { runtime: clock.runtime })
  const spending = budget({ runtime: clock.runtime, ...options })
  return { clock, inner, spending, client: spending(inner) }
}

const scopeOf = (principal: string): CallScope => ({ runId: 'r', conversationId: 'c', agent: 'a', principal })

async function drain(stream: AsyncIterable<LLMChunk> | undefined): Promise<LLMChunk[]> {
  const all: LLMChunk[] = []
  for await (const chunk of stream ?? []) all.push(chunk)
  return all
}

/** A ledger that several processes share; each of its answers takes its time. */
class SlowLedger implements BudgetLedger {
  readonly rows = new Map<string, BudgetAmounts>()
  async add(key: string, amounts: BudgetAmounts, most: Partial<BudgetAmounts> = {}) {
    await turn()
    const { nanoUsd, tokens, calls, toolCalls } = this.rows.get(key) ?? none
    const sum = {
      nanoUsd: nanoUsd + amounts.nanoUsd,
      tokens: tokens + amounts.tokens,
      calls: calls + amounts.calls,
      toolCalls: toolCalls + amounts.toolCalls,
    }
    const isOver = Object.entries(most).some(([each, limit]) => sum[each as keyof BudgetAmounts] > limit)
    if (!isOver) this.rows.set(key, sum)
    await turn()
    return isOver ? undefined : sum
  }
}

const none: BudgetAmounts = { nanoUsd: 0, tokens: 0, calls: 0, toolCalls: 0 }

describe('budget', () => {
  test('reserves the prompt and the longest answer before a call, and settles by what was used', async () => {
    for (const way of ['call', 'stream'] as const) {
      const { spending, inner, client } = budgeted({ tokens: 100, usd: 1, prices }, [
        () => {
          expect(spending.remaining()).toEqual({ usd: 1 - 0.00003, tokens: 80 })
          expect(spending.spent()).toEqual({ usd: 0, tokens: 0 })
          return says('Hi.', { usage: used(8, 1) })
        },
      ])
      if (way === 'call') await client.call(request)
      else expect((await drain(client.stream?.(request))).map(({ type }) => type)).toEqual(['text', 'end'])
      expect(spending.spent()).toEqual({ usd: 0.00001, tokens: 9 })
      expect(spending.remaining()).toEqual({ usd: 0.99999, tokens: 91 })
      expect(inner.requests).toEqual([request])
    }
  })

  test('refuses what does not fit, says which limit it is, and sends nothing', async () => {
    const { inner, client, spending } = budgeted({ tokens: 30 }, [says('Hi.', { usage: used(10, 5) }), 'no'])
    await client.call(request)
    for (const ask of [() => client.call(request), () => drain(client.stream?.(request))]) {
      const error = await thrownBy(ask())
      expect(error).toBeInstanceOf(BudgetExceededError)
      expect(error).toMatchObject({
        code: 'budget_exceeded',
        limit: 'tokens',
        most: 30,
        remaining: 15,
        asked: 20,
        message:
          'Of the budget of 30 (tokens), 15 is left; a call was not begun because it may take 20. Raise the budget, ' +
          'or lower maxOutputTokens, which is reserved whole.',
      })
    }
    expect([inner.calls, spending.remaining()]).toEqual([1, { tokens: 15 }])
    const fitting = { ...request, params: { maxOutputTokens: 5 } }
    expect((await client.call(fitting)).text).toBe('no')
  })

  test('reserves as many output tokens as the client can give, or as it is told, where the request is silent', async () => {
    const silent: LLMRequest = { messages: request.messages }
    const limits: [maxOutputTokens: number | undefined, options: Partial<BudgetOptions>, asked: number][] = [
      [undefined, {}, 10 + 4096],
      [undefined, { maxOutputTokens: 50 }, 60],
      [200, { maxOutputTokens: 50 }, 210],
    ]
    for (const [maxOutputTokens, options, asked] of limits) {
      const inner = new ScriptedClient([], { capabilities: maxOutputTokens ? { maxOutputTokens } : {} })
      expect(await thrownBy(budget({ tokens: 1, ...options })(inner).call(silent))).toMatchObject({ asked })
    }
    const countTokens = () => 7
    const client = budget({ tokens: 1, countTokens })(new ScriptedClient([]))
    expect(await thrownBy(client.call(request))).toMatchObject({ asked: 17 })
  })

  test('refuses calls beyond their number, whatever becomes of them', async () => {
    const { client, inner } = budgeted({ calls: 2 }, [fails('auth'), 'ok'])
    expect(await thrownBy(client.call(request))).toMatchObject({ kind: 'auth' })
    await client.call(request)
    const refusal = { limit: 'calls', most: 2, remaining: 0, asked: 1 }
    expect(await thrownBy(client.call(request))).toMatchObject(refusal)
    expect(inner.calls).toBe(2)
  })

  test('lets calls at the same time reserve together no more than there is', async () => {
    const { client, inner, spending } = budgeted({ tokens: 50 }, () =>
      says('Hi.', { usage: used(1, 1), delayMs: 10 }),
    )
    const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => client.call(request)))
    expect(outcomes.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      ...Array(3).fill('rejected'),
    ])
    expect([inner.calls, spending.spent()]).toEqual([2, { tokens: 4 }])
  })

  test.each<[what: string, script: Script, tokens: number]>([
    ['that was not let in', [fails('rate_limit')], 0],
    ['whose key was wrong', [Object.assign(new Error('no'), { status: 401 })], 0],
    ['that never left', [new ConfigurationError('model', 'no')], 0],
    ['that timed out', [fails('timeout')], 20],
    ['of which nobody knows more', [new Error('odd')], 20],
    ['whose stream broke', [fails('overloaded', { after: ['par'] })], 20],
  ])('keeps what was reserved for a call %s only if it may have been billed', async (_, script, tokens) => {
    const { client, spending } = budgeted({ tokens: 100 }, script)
    await thrownBy(drain(client.stream?.(request)))
    expect([spending.spent(), spending.remaining()]).toEqual([{ tokens }, { tokens: 100 - tokens }])
  })

  test('keeps what was reserved for a stream that was left, and gives back nothing twice', async () => {
    const { client, inner, spending } = budgeted({ tokens: 100 }, [chunks(['a', 'b'])])
    for await (const _ of client.stream?.(request) ?? []) break
    expect([inner.left, spending.spent()]).toEqual([1, { tokens: 20 }])
  })

  test('keeps it for a call that was aborted, and reserves nothing for one that was before', async () => {
    const { client, inner, spending } = budgeted({ tokens: 100 }, [hangs()])
    const controller = new AbortController()
    const { signal } = controller
    const running = thrownBy(client.call(request, { signal }))
    await turn()
    controller.abort('enough')
    expect(await running).toMatchObject({ kind: 'aborted' })
    expect(spending.spent()).toEqual({ tokens: 20 })
    expect(await thrownBy(client.call(request, { signal }))).toMatchObject({ kind: 'aborted' })
    expect([spending.spent(), inner.calls]).toEqual([{ tokens: 20 }, 1])
  })

  test('estimates by what was said where nothing was reported', async () => {
    const { client, spending } = budgeted({ tokens: 100, usd: 1, prices }, [
      says('12345678', { usage: 'absent' }),
    ])
    expect('usage' in (await client.call(request))).toBe(false)
    expect(spending.spent()).toEqual({ usd: 0.000014, tokens: 12 })
  })

  test.each([Number.NaN, -50, Number.NEGATIVE_INFINITY, 1e300])(
    'does not believe a usage of %s',
    async (odd) => {
      const { client, spending } = budgeted({ tokens: 100, usd: 1, prices }, [
        says('12345678', { usage: used(odd, 5) }),
        says('12345678', { usage: used(10, 5, { costUsd: odd }) }),
      ])
      await client.call(request)
      await client.call(request)
      expect(spending.spent()).toEqual({ usd: 0.000034, tokens: 27 })
    },
  )

  test('takes what was billed, and says what it came to by itself', async () => {
    const { client, spending } = budgeted({ usd: 1, prices }, [
      says('Hi.', { usage: used(10, 5, { costUsd: 0.25 }) }),
      says('Hi.', { usage: used(10, 5) }),
    ])
    expect((await client.call(request)).usage?.costUsd).toBe(0.25)
    expect((await client.call(request)).usage?.costUsd).toBe(0.00002)
    expect(spending.spent()).toEqual({ usd: 0.25002 })
  })

  test('reserves the dearest a prompt and an answer can be', async () => {
    const dear = { ...price, cacheWritePerM: 3, cachedPerM: 0.1, reasoningPerM: 20 }
    const client = budget({ usd: 0, prices: { 'scripted-1': dear } })(new ScriptedClient([]))
    expect(await thrownBy(client.call(request))).toMatchObject({ limit: 'usd', asked: 0.00023 })
  })

  test('refuses a model without a price, unless it is told what to make of it', async () => {
    const refused = budgeted({ usd: 1 }, ['Hi.'])
    const error = await thrownBy(refused.client.call(request))
    expect(error).toMatchObject({ code: 'budget_exceeded', limit: 'usd', most: 1, remaining: 1 })
    expect((error as Error).message).toMatch(/^The price of "scripted\/scripted-1" is not known/)
    expect('asked' in (error as object)).toBe(false)
    expect(refused.inner.calls).toBe(0)

    const ignored = budgeted({ usd: 1, tokens: 100, unknownPrice: 'ignore' }, ['Hi.'])
    expect((await ignored.client.call(request)).usage).toEqual(used(10, 5))
    expect([ignored.spending.spent(), ignored.spending.remaining()]).toEqual([
      { tokens: 15 },
      { usd: 1, tokens: 85 },
    ])

    const charged = budgeted({ usd: 1, unknownPrice: price }, ['Hi.'])
    expect((await charged.client.call(request)).usage?.costUsd).toBe(0.00002)
  })

  test('keeps an account for each that it is per, and one for calls that have none', async () => {
    for (const [per, key] of [
      ['run', 'runId'],
      ['conversation', 'conversationId'],
      ['agent', 'agent'],
      ['principal', 'principal'],
    ] as const) {
      const { client, spending } = budgeted({ per, calls: 1 }, () => 'Hi.')
      const scope = scopeOf('acme')
      await client.call(request, { scope })
      expect(await thrownBy(client.call(request, { scope }))).toMatchObject({ limit: 'calls' })
      await client.call(request, { scope: { ...scope, [key]: 'other' } })
      await client.call(request)
      expect(await thrownBy(client.call(request))).toMatchObject({ limit: 'calls' })
      expect(spending.remaining({ [key]: scope[key] })).toEqual({ calls: 0 })
      expect(spending.remaining({ [key]: 'new' })).toEqual({ calls: 1 })
    }
  })

  test('is full again when its window is over, to the millisecond, and says when', async () => {
    const { client, clock, spending } = budgeted({ tokens: 20, windowMs: 60_000 }, () => 'Hi.')
    await client.call(request)
    expect(await thrownBy(client.call(request))).toMatchObject({ refillsAt: 60_000 })
    await clock.advance(59_999)
    expect(await thrownBy(client.call(request))).toMatchObject({ remaining: 5 })
    await clock.advance(1)
    expect(spending.remaining()).toEqual({ tokens: 20 })
    await client.call(request)
    expect(Object.keys(spending.toJSON())).toEqual(['all/@60000/1'])
  })

  test('charges a call to the window in which it was begun', async () => {
    const { client, clock, spending } = budgeted({ tokens: 100, windowMs: 1000 }, [
      says('Hi.', { delayMs: 1500 }),
    ])
    await client.call(request)
    expect([clock.runtime.now(), spending.remaining()]).toEqual([1500, { tokens: 100 }])
  })

  test('refuses everything once its time is up, which runs from the first use on', async () => {
    const { client, clock, spending } = budgeted({ wallMs: 1000 }, () => 'Hi.')
    await clock.advance(5000)
    expect(spending.remaining()).toEqual({ wallMs: 1000 })
    await client.call(request)
    await clock.advance(999)
    expect([spending.remaining(), spending.spent()]).toEqual([{ wallMs: 1 }, { wallMs: 999 }])
    await client.call(request)
    await clock.advance(1)
    expect(await thrownBy(client.call(request))).toMatchObject({ limit: 'wallMs', most: 1000, remaining: 0 })
    expect(await thrownBy(spending.takeToolCall())).toMatchObject({ limit: 'wallMs' })
  })

  test('counts tool calls, and refuses those beyond', async () => {
    const spending = budget({ toolCalls: 2, tokens: 5 })
    await spending.takeToolCall()
    await spending.takeToolCall()
    expect(await thrownBy(spending.takeToolCall())).toMatchObject({ limit: 'toolCalls', asked: 1 })
    expect(spending.spent()).toEqual({ toolCalls: 2, tokens: 0 })
  })

  test('is low from softAt on, of any of its limits', async () => {
    const { client, spending } = budgeted({ tokens: 100, calls: 100, softAt: 0.3 }, () => 'Hi.')
    await client.call(request)
    expect(spending.low()).toBeUndefined()
    await client.call(request)
    expect(spending.low()).toMatchObject({ limit: 'tokens', remaining: 70 })
  })

  test('forgets runs that are long over, and none that is under way', async () => {
    const spending = budget({ per: 'run', calls: 1 })
    const client = spending(new ScriptedClient(() => 'Hi.'))
    const runOf = (runId: string) => ({ scope: { ...scopeOf('acme'), runId } })
    await client.call(request, runOf('first'))
    for (let run = 0; run < 10_000; run++) {
      spending.remaining({ runId: `other ${run}` })
      if (run === 5000)
        expect(await thrownBy(client.call(request, runOf('first')))).toMatchObject({ limit: 'calls' })
    }
    expect(spending.remaining({ runId: 'first' })).toEqual({ calls: 0 })
    for (let run = 0; run < 10_000; run++) spending.remaining({ runId: `more ${run}` })
    expect(spending.remaining({ runId: 'first' })).toEqual({ calls: 1 })
  })

  test('goes on where another one stopped', async () => {
    const first = budgeted({ per: 'principal', tokens: 100 }, () => 'Hi.')
    await first.client.call(request, { scope: scopeOf('acme') })
    const initialState = JSON.parse(JSON.stringify(first.spending))
    expect(initialState).toEqual({ 'principal/acme': { ...none, tokens: 15, calls: 1 } })
    const second = budget({ per: 'principal', tokens: 100, initialState })
    expect(second.remaining({ principal: 'acme' })).toEqual({ tokens: 85 })
    expect(second.toJSON()).toEqual(initialState)
  })

  test('stands in a list with others, and counts each attempt where it stands within the retries', async () => {
    const clock = virtualClock()
    const inner = new ScriptedClient([fails('timeout'), 'ok'])
    const spending = budget({ calls: 5 })
    const outer = budget({ calls: 5 })
    const client = wrapClient(inner, outer, retry({ runtime: clock.runtime }), spending)
    await client.call(request)
    expect([outer.spent(), spending.spent()]).toEqual([{ calls: 1 }, { calls: 2 }])
    expect([client.provider, client.model, client.capabilities]).toEqual([
      'scripted',
      'scripted-1',
      inner.capabilities,
    ])
    await client.close?.()
    expect(inner.closed).toBe(true)
  })

  test('forwards the options of a call as they are', async () => {
    const { client, inner } = budgeted({ calls: 5 }, () => 'Hi.')
    const options = { idempotencyKey: 'k', scope: scopeOf('acme') }
    await client.call(request, options)
    await drain(client.stream?.(request, options))
    expect(inner.callOptions[0]).toBe(options)
    expect(inner.callOptions[1]).toBe(options)
  })

  test('keeps what was reserved when a client gives no response at all', async () => {
    const broken = { ...new ScriptedClient([]), call: async () => null } as unknown as LLMClient
    const spending = budget({ tokens: 5000 })
    expect(await spending({ ...broken, provider: 'p', model: 'm' }).call(request)).toBeNull()
    expect(spending.spent()).toEqual({ tokens: 20 })
  })

  test.each<[keyof BudgetOptions, unknown]>([
    ['usd', -1],
    ['usd', 1e7],
    ['tokens', 1.5],
    ['calls', '3'],
    ['toolCalls', Number.NaN],
    ['wallMs', 0],
    ['per', 'month'],
    ['windowMs', -1],
    ['softAt', 1.1],
    ['unknownPrice', 'zero'],
    ['maxOutputTokens', 0],
    ['countTokens', 4],
    ['ledger', 'redis'],
    ['runtime', 'real'],
  ])('refuses %s: %j', (name, value) => {
    expect(() => budget({ [name]: value })).toThrow(
      expect.objectContaining({ code: 'configuration', path: name }),
    )
  })

  test('refuses a state beside a ledger, and a state that is none', () => {
    const ledger = new SlowLedger()
    expect(() => budget({ ledger, initialState: {} })).toThrow('the ledger knows')
    expect(() => budget({ initialState: { a: { ...none, tokens: -1 } } })).toThrow(
      expect.objectContaining({ path: 'initialState["a"].tokens' }),
    )
  })
})

describe('a budget with a ledger', () => {
  const shared = (ledger: BudgetLedger, script: Script = () => says('Hi.', { usage: used(10, 5) })) =>
    budgeted({ ledger, tokens: 50, per: 'principal' }, script)

  test('is shared by processes, which never reserve more than there is', async () => {
    const ledger = new SlowLedger()
    const processes = [shared(ledger), shared(ledger)]
    const scope = scopeOf('acme')
    const outcomes = await Promise.allSettled(
      [0, 1, 0, 1].map((index) => processes[index]?.client.call(request, { scope })),
    )
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(2)
    expect(ledger.rows.get('principal/acme')).toEqual({ ...none, tokens: 30, calls: 2 })
    for (const { spending } of processes) {
      await spending.refresh(scope)
      expect(spending.remaining(scope)).toEqual({ tokens: 20 })
    }
    await processes[0]?.client.call(request, { scope })
    expect(await thrownBy(processes[1]?.client.call(request, { scope }) ?? Promise.resolve())).toMatchObject({
      remaining: 5,
    })
  })

  test('sends nothing when the ledger cannot be asked, and keeps a response when it cannot be told', async () => {
    let answers = 0
    const rows = new SlowLedger()
    const ledger: BudgetLedger = {
      add: async (...all) => {
        if (++answers > 1) throw new Error('gone')
        return rows.add(...all)
      },
    }
    const { client, inner } = shared(ledger)
    expect((await client.call(request)).text).toBe('Hi.')
    const error = await thrownBy(client.call(request))
    expect(error).toMatchObject({ code: 'store', message: 'The ledger of a budget failed: gone' })
    expect(inner.calls).toBe(1)
    expect([...rows.rows.values()]).toEqual([{ ...none, tokens: 20, calls: 1 }])
  })

  test('stops waiting for it at once, and gives back what it took meanwhile', async () => {
    const ledger = new SlowLedger()
    const { client, inner } = shared(ledger)
    const controller = new AbortController()
    const running = thrownBy(client.call(request, { signal: controller.signal }))
    await turn()
    controller.abort('enough')
    expect(await running).toBe('enough')
    for (let wait = 0; wait < 8; wait++) await turn()
    expect(inner.calls).toBe(0)
    expect(ledger.rows.get('principal/') ?? none).toEqual(none)
  })
})

describe('the law of budgets', () => {
  const call = fc.record({
    input: fc.nat(40),
    longest: fc.integer({ min: 1, max: 40 }),
    answered: fc.double({ min: 0, max: 1, noNaN: true }),
    startMs: fc.nat(100),
    delayMs: fc.nat(100),
    stream: fc.boolean(),
    ending: fc.constantFrom('ok', 'ok', 'ok', 'silent', 'nan', 'negative', 'refused', 'broken', 'left'),
  })

  test('whatever comes at once and however it ends, no more is spent than there is, and sums are exact', async () => {
    const limits = fc.record({
      tokens: fc.nat(600),
      nanoUsd: fc.nat(1_000_000),
      calls: fc.integer({ min: 1, max: 30 }),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(call, { maxLength: 24 }),
        limits,
        fc.boolean(),
        async (asks, most, isShared) => {
          const clock = virtualClock()
          const ledger = new SlowLedger()
          const spending = budget({
            tokens: most.tokens,
            usd: most.nanoUsd / 1e9,
            calls: most.calls,
            prices: { 'scripted-1': { inputPerM: 0.3, outputPerM: 7.1 } },
            runtime: clock.runtime,
            ...(isShared && { ledger }),
          })
          let settled = { tokens: 0, calls: 0, nanoUsd: 0 }
          const watch = () => {
            for (const state of [spending.remaining(), spending.spent()])
              for (const value of Object.values(state)) expect(value).toBeGreaterThanOrEqual(0)
            const { usd = 0, tokens = 0, calls = 0 } = spending.spent()
            expect(usd * 1e9).toBeLessThanOrEqual(most.nanoUsd + 1e-3)
            expect([tokens <= most.tokens, calls <= most.calls]).toEqual([true, true])
          }
          const nano = (input: number, output: number) => Math.round(input * 300) + Math.round(output * 7100)
          const works = asks.map(async ({ input, longest, answered, startMs, delayMs, stream, ending }) => {
            await clock.runtime.sleep(startMs)
            const output = Math.floor(longest * answered)
            const text = 'x'.repeat(output * 4)
            let sent = false
            const inner = new ScriptedClient(
              [
                () => {
                  sent = true
                  watch()
                  if (ending === 'refused') return fails('rate_limit', { delayMs })
                  if (ending === 'broken') return fails('network', { delayMs })
                  const reported = {
                    ok: used(input, output),
                    left: used(input, output),
                    silent: 'absent' as const,
                    nan: used(Number.NaN, output),
                    negative: used(input, -output - 1),
                  }[ending]
                  return says(text, { usage: reported, delayMs })
                },
              ],
              { runtime: clock.runtime },
            )
            const client = spending(inner)
            const asked: LLMRequest = {
              messages: [user('x'.repeat(input * 4))],
              params: { maxOutputTokens: longest },
            }
            try {
              if (!stream) await client.call(asked)
              else for await (const _ of client.stream?.(asked) ?? []) if (ending === 'left') break
            } catch {}
            const isLeft = stream && ending === 'left' && text !== ''
            const isKept = ending === 'broken' || isLeft
            if (sent) {
              settled = {
                tokens: settled.tokens + (ending === 'refused' ? 0 : input + (isKept ? longest : output)),
                calls: settled.calls + 1,
                nanoUsd:
                  settled.nanoUsd + (ending === 'refused' ? 0 : nano(input, isKept ? longest : output)),
              }
            }
            for (let wait = 0; wait < 8; wait++) await turn()
            watch()
          })
          await Promise.all(works)
          await spending.refresh()
          const { tokens, calls, nanoUsd } = settled
          expect(spending.toJSON()['all/'] ?? none).toEqual({ tokens, calls, nanoUsd, toolCalls: 0 })
          expect(spending.spent()).toEqual({ usd: nanoUsd / 1e9, tokens, calls })
        },
      ),
      { numRuns: 200 },
    )
  })
})
