import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  type AgentEvent,
  CircuitOpenError,
  circuitBreaker,
  degrade,
  failover,
  fallbackAnswer,
  isEvent,
  type LLMError,
  type RecoveryStrategy,
  type RetryOptions,
  recovery,
  retry,
  SwitchableClient,
  tool,
  wrapClient,
} from '../../src/index.ts'
import { AnthropicClient } from '../../src/providers/anthropic.ts'
import { OpenAIClient } from '../../src/providers/openai.ts'
import {
  calls,
  fails,
  json,
  ScriptedClient,
  type ScriptedReply,
  virtualClock,
} from '../../src/testing/index.ts'
import { thrownBy, turn } from '../support/outcome.ts'
import { eventsOf } from './events-of.ts'

const request = { messages: [{ role: 'user' as const, content: 'Hello?' }] }

const ping = tool({
  name: 'ping',
  description: 'Answers pong',
  parameters: z.object({}),
  execute: () => 'pong',
})

const named = (provider: string, script: ConstructorParameters<typeof ScriptedClient>[0]) =>
  new ScriptedClient(script, { provider, model: 'm' })

/** How long each wait of a client is that fails `failures` times. */
async function waits(failures: number, options: RetryOptions): Promise<readonly number[]> {
  const clock = virtualClock()
  const client = new ScriptedClient(() => fails('network'))
  const runtime = { ...clock.runtime, random: () => 0.5 }
  await thrownBy(retry({ attempts: failures, runtime, ...options })(client).call(request))
  return clock.sleeps
}

describe('seed 001, when a provider fails', () => {
  it('001-14 recovers by a strategy that changes the client and has the call made again', async () => {
    const [a, b] = [named('a', [fails('auth')]), named('b', ['From b.'])]
    const clients = new SwitchableClient({ clients: { a, b }, initial: 'a' })
    const change: RecoveryStrategy = {
      recover: async () => {
        clients.use('b')
        return 'retry'
      },
    }
    const agent = new Agent({ client: recovery([change])(clients), retry: false })
    expect(await agent.run('Hello?')).toBe('From b.')
    expect([a.calls, b.calls]).toEqual([1, 1])
  })

  it('001-18 changes the client between runs and during one, never in the middle of a stream', async () => {
    const a = named('a', ['From a.', calls(['ping'])])
    const b = named('b', ['From b.', 'Pong, says b.'])
    const client = new SwitchableClient({ clients: { a, b }, initial: 'a' })
    const agent = new Agent({ client, tools: [ping] })
    expect(await agent.run('Hello?')).toBe('From a.')
    client.use('b')
    expect(await agent.run('Hello?')).toBe('From b.')
    expect(() => client.use('nope' as 'a')).toThrow(/has no client "nope"/)

    client.use('a')
    const events: AgentEvent[] = []
    for await (const event of agent.runStream('Ping?')) {
      events.push(event)
      if (event.type === 'stream_start') client.use('b')
    }
    expect(events.filter((event) => isEvent(event, 'usage')).map(({ provider }) => provider)).toEqual([
      'a',
      'b',
    ])
    expect(events.at(-1)).toMatchObject({ answer: 'Pong, says b.' })
  })

  it('001-46 tries again after waits that double, up to the longest; an abort ends a wait at once', async () => {
    expect(await waits(3, { jitter: 'none' })).toEqual([1000, 2000])
    expect(await waits(7, { jitter: 'none' })).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000])

    const clock = virtualClock({ auto: false })
    const controller = new AbortController()
    const client = retry({ runtime: clock.runtime })(new ScriptedClient([fails('network')]))
    const running = thrownBy(client.call(request, { signal: controller.signal }))
    await turn()
    controller.abort('enough')
    expect(await running).toMatchObject({ kind: 'aborted', cause: 'enough' })
    expect([clock.pending, clock.runtime.now()]).toEqual([0, 0])
  })

  it('001-47 spreads its waits, by a randomness that is given', async () => {
    expect(await waits(3, { jitter: 'full' })).toEqual([500, 1000])
    expect(await waits(3, { jitter: 'equal' })).toEqual([750, 1500])
  })

  it('001-48 tries each provider again by its own policy, after as long as it asks', async () => {
    const clock = virtualClock()
    const policies = { anthropic: { retryOn: ['overloaded', 'rate_limit'] as const } }
    const trying = retry({ jitter: 'none', policies, runtime: clock.runtime })
    /** Answers with these, one after the other. */
    const answering = (...answers: readonly [status: number, headers?: Record<string, string>][]) => {
      const asked = { count: 0 }
      const fetch = async (): Promise<Response> => {
        const [status, headers = {}] = answers[asked.count++] ?? [500]
        const body = {
          type: 'error',
          error: { type: status === 529 ? 'overloaded_error' : 'x', message: 'No.' },
        }
        return Response.json(body, { status, headers })
      }
      return { asked, fetch }
    }
    const overloaded = answering([529], [429, { 'retry-after': '7' }], [401])
    const anthropic = new AnthropicClient({ model: 'claude-opus-5-5', apiKey: 'k', fetch: overloaded.fetch })
    await thrownBy(trying(anthropic).call(request))
    expect([clock.sleeps, overloaded.asked.count]).toEqual([[1000, 7000], 3])

    const refusing = answering([400], [400])
    const openai = new OpenAIClient({ model: 'gpt-5', apiKey: 'k', fetch: refusing.fetch })
    expect(await thrownBy(trying(openai).call(request))).toMatchObject({ kind: 'invalid_request' })
    expect(refusing.asked.count).toBe(1)
  })

  it('001-49 asks the next provider when one fails, and the one that failed exactly once', async () => {
    const [a, b, c] = [named('a', [fails('overloaded')]), named('b', ['From b.']), named('c', ['From c.'])]
    expect(await new Agent({ client: failover([b, c])(a) }).run('Hello?')).toBe('From b.')
    expect([a.calls, b.calls, c.calls]).toEqual([1, 1, 0])
  })

  it('001-50 asks a smaller model of the same provider when the large one has no room or no time', async () => {
    for (const kind of ['context_length', 'overloaded'] as const) {
      const big = new ScriptedClient([fails(kind)], { provider: 'p', model: 'big' })
      const small = new ScriptedClient(['Small.'], { provider: 'p', model: 'small' })
      const client = degrade([{ client: big }, { client: small, params: { maxOutputTokens: 500 } }])
      const events = await eventsOf(new Agent({ client }).runStream('Hello?'))
      expect(events.at(-1)).toMatchObject({ answer: 'Small.' })
      expect(events.filter((event) => isEvent(event, 'failover'))).toMatchObject([
        { from: { provider: 'p', model: 'big' }, to: { provider: 'p', model: 'small' }, error: { kind } },
      ])
      expect(small.requests[0]?.params).toEqual({ maxOutputTokens: 500 })
    }
  })

  it('001-51 speaks JSON to a model without tools, and tells what cannot stream in one token', async () => {
    const reply = json({ tool_calls: [{ id: 'c', tool_name: 'ping', parameters: {} }] })
    const capabilities = { tools: false, streaming: false }
    const client = new ScriptedClient([reply, json({ final_answer: 'It says pong.' })], { capabilities })
    const events = await eventsOf(new Agent({ client, tools: [ping] }).runStream('Ping?'))
    expect(client.requests.map(({ tools }) => tools)).toEqual([undefined, undefined])
    expect(events.filter((event) => isEvent(event, 'token')).map(({ text }) => text)).toEqual([
      'It says pong.',
    ])
    expect(events.at(-1)).toMatchObject({ status: 'done', answer: 'It says pong.' })
  })

  it('001-52 opens a circuit at a rate of failures, sends nothing, and recovers by 1, 2 and 4 calls', async () => {
    const clock = virtualClock({ auto: false })
    let isDown = true
    const moods: ScriptedReply[] = [fails('network'), 'ok', fails('network'), 'ok', fails('network')]
    const inner = named(
      'a',
      () => (moods.shift() as string | undefined) ?? (isDown ? fails('network') : 'ok'),
    )
    const breaker = circuitBreaker({ runtime: clock.runtime })
    const client = breaker(inner)
    const ask = (times: number) =>
      Promise.all(
        Array.from({ length: times }, () =>
          client.call(request).then(
            () => 'ok',
            (error) => error,
          ),
        ),
      )
    for (let call = 0; call < 5; call++) await ask(1)
    expect([breaker.state, inner.calls]).toEqual(['open', 5])
    const [refused] = await ask(1)
    expect(refused).toBeInstanceOf(CircuitOpenError)
    expect([refused, inner.calls, clock.runtime.now()]).toMatchObject([{ retryAfterMs: 30_000 }, 5, 0])

    await clock.advance(30_000)
    await ask(9)
    expect([breaker.state, inner.calls]).toEqual(['open', 6])
    await clock.advance(30_000)
    isDown = false
    for (const probes of [1, 2, 4]) {
      const before = inner.calls
      await ask(9)
      expect(inner.calls - before).toBe(probes)
    }
    expect(breaker.state).toBe('closed')
    expect(await ask(9)).toEqual(Array(9).fill('ok'))
  })

  it('001-64 does not fail over after an error for which it is told not to', async () => {
    const when = ({ kind }: LLMError) => kind !== 'auth'
    const b = named('b', ['From b.'])
    const agent = (kind: 'auth' | 'quota') =>
      new Agent({ client: failover([b], { when })(named('a', [fails(kind)])) })
    expect(await thrownBy(agent('auth').run('Hello?'))).toMatchObject({ kind: 'auth', provider: 'a' })
    expect(b.calls).toBe(0)
    expect(await agent('quota').run('Hello?')).toBe('From b.')
  })

  it('001-66 answers in the place of a model only if it is asked to, and says so', async () => {
    const down = () => named('a', [fails('auth')])
    expect(await thrownBy(new Agent({ client: down() }).run('Hello?'))).toMatchObject({ kind: 'auth' })
    const agent = new Agent({
      client: fallbackAnswer(({ kind }) => `Not now (${kind}).`)(down()),
      retry: false,
    })
    expect(await agent.runStream('Hello?').result).toMatchObject({
      status: 'done',
      answer: 'Not now (auth).',
      degraded: true,
    })
  })

  it('001-67 counts runs and not attempts, with the retries within the breaker', async () => {
    const { runtime } = virtualClock()
    const inner = named('a', () => fails('network'))
    const breaker = circuitBreaker({ runtime })
    const client = wrapClient(inner, breaker, retry({ runtime, attempts: 3 }))
    const agent = new Agent({ client, retry: false, runtime })
    for (let run = 1; run <= 5; run++) {
      expect(breaker.state).toBe('closed')
      await thrownBy(agent.run('Hello?'))
      expect(inner.calls).toBe(3 * run)
    }
    expect(breaker.health()).toMatchObject([{ state: 'open', samples: 5, failureRate: 1 }])
  })
})
