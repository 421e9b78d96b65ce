import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import type { CallOptions, ClientNotice, LLMChunk, LLMClient, LLMRequest } from '../../src/client/client.ts'
import { LLMError } from '../../src/errors.ts'
import { user } from '../../src/messages.ts'
import { type KeyRing, type KeyRingOptions, keyRing } from '../../src/resilience/key-ring.ts'
import { retry } from '../../src/resilience/retry.ts'
import { secret } from '../../src/secret.ts'
import { virtualClock } from '../../src/testing/clock.ts'
import { fails, type Made } from '../../src/testing/script.ts'
import { ScriptedClient } from '../../src/testing/scripted-client.ts'
import { countListeners, thrownBy, turn, until } from '../support/outcome.ts'

const request: LLMRequest = { messages: [user('hi')] }
const keys = ['key-one', 'key-two', 'key-three']

interface Setting extends Partial<Omit<KeyRingOptions, 'runtime'>> {
  /** What a key is answered, where it is not `ok`. */
  readonly answers?: Record<string, Made>
}

/** A ring on a virtual clock, the keys it has sent requests with, and the client of each. */
function ringOf({ answers = {}, ...options }: Setting = {}) {
  const clock = virtualClock()
  const sent: string[] = []
  const clients = new Map<string, ScriptedClient>()
  const make = (key: string) => {
    const client = new ScriptedClient(() => {
      sent.push(key)
      return answers[key] ?? 'ok'
    })
    clients.set(key, client)
    return client
  }
  const ring = keyRing({ keys, make, runtime: clock.runtime, ...options })
  return { clock, sent, clients, ring, answers }
}

/** One request, in either way. */
async function ask(client: LLMClient, way: 'call' | 'stream', options?: CallOptions): Promise<LLMChunk[]> {
  if (way === 'call') return [{ type: 'end', response: await client.call(request, options) }]
  const chunks: LLMChunk[] = []
  for await (const chunk of client.stream?.(request, options) ?? []) chunks.push(chunk)
  return chunks
}

async function times(count: number, ring: KeyRing): Promise<void> {
  for (let index = 0; index < count; index += 1) await ring.call(request)
}

describe.each(['call', 'stream'] as const)('a key ring, by %s', (way) => {
  test.each([
    ['401', fails('auth', { status: 401 })],
    ['403', fails('auth', { status: 403 })],
    ['402', fails('quota', { status: 402 })],
    ['429', fails('rate_limit', { status: 429 })],
  ])('makes the same request once more with the next key after a %s, and tells it', async (_, failure) => {
    const { ring, sent, clients } = ringOf({ answers: { 'key-one': failure } })
    const notices: ClientNotice[] = []
    const options: CallOptions = { idempotencyKey: 'i', notify: (notice) => notices.push(notice) }
    const chunks = await ask(ring, way, options)
    expect(chunks.at(-1)).toMatchObject({ type: 'end', response: { text: 'ok' } })
    expect(chunks.length).toBe(way === 'call' ? 1 : 2)
    expect(sent).toEqual(['key-one', 'key-two'])
    expect(clients.get('key-two')?.requests).toEqual([request])
    expect(clients.get('key-two')?.callOptions).toEqual([options])
    expect(notices).toEqual([
      {
        type: 'retry',
        attempt: 1,
        delayMs: 0,
        error: { code: 'llm', kind: failure.fails, message: `scripted failure: ${failure.fails}` },
      },
    ])
  })

  test('tries no third key unless it is told to', async () => {
    const answers = { 'key-one': fails('auth', { status: 401 }), 'key-two': fails('rate_limit') }
    const strict = ringOf({ answers })
    expect(await thrownBy(ask(strict.ring, way))).toMatchObject({ kind: 'rate_limit' })
    expect(strict.sent).toEqual(['key-one', 'key-two'])
    const patient = ringOf({ answers, rotations: 2 })
    await ask(patient.ring, way)
    expect(patient.sent).toEqual(keys)
    const single = ringOf({ answers, rotations: 0 })
    expect(await thrownBy(ask(single.ring, way))).toMatchObject({ kind: 'auth' })
  })

  test.each(['overloaded', 'invalid_request', 'context_length', 'network'] as const)(
    'leaves alone what is not about the key: %s',
    async (kind) => {
      const { ring, sent } = ringOf({ answers: { 'key-one': fails(kind) } })
      expect(await thrownBy(ask(ring, way))).toMatchObject({ kind })
      expect(sent).toEqual(['key-one'])
    },
  )

  test('stops at once when its signal aborts, also while it waits for keys', async () => {
    for (const provider of [keys, () => new Promise<string[]>(() => {})]) {
      const { ring } = ringOf({ keys: provider, answers: { 'key-one': { hangs: true } } })
      const controller = new AbortController()
      const asking = thrownBy(ask(ring, way, { signal: controller.signal }))
      await turn()
      controller.abort('enough')
      expect(await asking).toMatchObject({ code: 'llm', kind: 'aborted', cause: 'enough' })
    }
  })

  test('leaves no listener on a signal that outlives the call', async () => {
    const { ring } = ringOf({ keys: async () => keys, answers: { 'key-one': fails('auth') } })
    const { signal } = new AbortController()
    const listeners = countListeners(signal)
    await ask(ring, way, { signal })
    expect(listeners.now).toBe(0)
  })
})

describe('a key ring', () => {
  test('goes round by itself, also when calls are made at once', async () => {
    const { ring, sent } = ringOf()
    await times(4, ring)
    expect(sent).toEqual(['key-one', 'key-two', 'key-three', 'key-one'])
    await Promise.all([ring.call(request), ring.call(request)])
    expect(sent.slice(4)).toEqual(['key-two', 'key-three'])
  })

  test('stays with the first key that works, if it is told to', async () => {
    const { ring, sent, answers } = ringOf({ strategy: 'on-auth-error' })
    await times(2, ring)
    answers['key-one'] = fails('auth', { status: 401 })
    await times(2, ring)
    expect(sent).toEqual(['key-one', 'key-one', 'key-one', 'key-two', 'key-two'])
  })

  test('changes at an interval, to the millisecond', async () => {
    const { ring, sent, clock } = ringOf({ strategy: 'interval', everyMs: 1_000 })
    for (const ms of [0, 999, 1, 999, 1, 1_000]) {
      await clock.advance(ms)
      await ring.call(request)
    }
    expect(sent).toEqual(['key-one', 'key-one', 'key-two', 'key-two', 'key-three', 'key-one'])
  })

  test('never uses a refused key again, until keys are replaced', async () => {
    const { ring, sent, answers } = ringOf({ answers: { 'key-one': fails('auth', { status: 401 }) } })
    await times(3, ring)
    expect(sent).toEqual(['key-one', 'key-two', 'key-three', 'key-two'])
    delete answers['key-one']
    ring.replace(['key-one'])
    await times(1, ring)
    expect(sent.at(-1)).toBe('key-one')
  })

  test('keeps a key whose 403 the next key got as well: it is the request that is refused', async () => {
    const forbidden = fails('auth', { status: 403 })
    const { ring, sent, answers } = ringOf({ answers: { 'key-one': forbidden, 'key-two': forbidden } })
    expect(await thrownBy(ring.call(request))).toMatchObject({ kind: 'auth', status: 403 })
    delete answers['key-one']
    delete answers['key-two']
    await times(3, ring)
    expect(sent.slice(2).sort()).toEqual([...keys].sort())
    answers['key-one'] = forbidden
    await times(4, ring)
    expect(sent.slice(5).filter((key) => key === 'key-one')).toEqual(['key-one'])
  })

  test('lets a key rest for as long as its provider asks, or for cooldownMs', async () => {
    for (const [failure, ms] of [
      [fails('rate_limit', { retryAfterMs: 7_000 }), 7_000],
      [fails('rate_limit'), 10_000],
      [fails('quota'), 10_000],
    ] as const) {
      const { ring, sent, clock, answers } = ringOf({
        strategy: 'on-auth-error',
        answers: { 'key-one': failure },
      })
      await times(1, ring)
      delete answers['key-one']
      await clock.advance(ms - 1)
      await times(1, ring)
      await clock.advance(1)
      await times(1, ring)
      expect(sent).toEqual(['key-one', 'key-two', 'key-two', 'key-one'])
    }
  })

  test('says when the first key is back, and a retry around it waits so long', async () => {
    const { ring, sent, clock, answers } = ringOf({
      keys: ['key-one', 'key-two'],
      answers: {
        'key-one': fails('rate_limit', { retryAfterMs: 9_000 }),
        'key-two': fails('rate_limit', { retryAfterMs: 5_000 }),
      },
    })
    expect(await thrownBy(ring.call(request))).toMatchObject({ kind: 'rate_limit', retryAfterMs: 5_000 })
    await clock.advance(2_000)
    expect(await thrownBy(ring.call(request))).toMatchObject({ kind: 'rate_limit', retryAfterMs: 3_000 })
    expect(sent.length).toBe(2)
    delete answers['key-two']
    await retry({ jitter: 'none', runtime: clock.runtime })(ring).call(request)
    expect([clock.runtime.now(), sent.at(-1)]).toEqual([5_000, 'key-two'])
  })

  test.each([
    ['auth', fails('auth', { status: 401 }), /Every key was refused .* replace\(\)/],
    ['quota', fails('quota'), /No key .* has money left/],
  ] as const)('fails as %s when no key is left, without a request', async (kind, failure, message) => {
    const { ring, sent } = ringOf({ keys: ['key-one'], answers: { 'key-one': failure } })
    await thrownBy(ring.call(request))
    const error = await thrownBy(ring.call(request))
    expect(error).toMatchObject({ kind, retryable: false, message: expect.stringMatching(message) })
    expect(sent.length).toBe(1)
  })

  test('never begins a stream again that has begun, unless its caller can retract', async () => {
    const broken = fails('auth', { status: 401, after: ['half'] })
    const plain = ringOf({ answers: { 'key-one': broken } })
    expect(await thrownBy(ask(plain.ring, 'stream'))).toMatchObject({ kind: 'auth' })
    expect(plain.sent).toEqual(['key-one'])
    const able = ringOf({ answers: { 'key-one': broken } })
    const chunks = await ask(able.ring, 'stream', { canRetract: true })
    expect(chunks.slice(0, -1)).toEqual([
      { type: 'text', text: 'half' },
      { type: 'retracted' },
      { type: 'text', text: 'ok' },
    ])
  })

  test('gives each principal its own keys, as a function finds them', async () => {
    const of: Record<string, string[]> = { acme: ['acme-key-1', 'acme-key-2'], umbrella: ['umbrella-key'] }
    const { ring, sent } = ringOf({ keys: async (scope) => of[scope?.principal ?? ''] ?? [] })
    const scope = (principal: string) => ({
      scope: { runId: 'r', conversationId: 'c', agent: 'a', principal },
    })
    for (const principal of ['acme', 'umbrella', 'acme', 'umbrella', 'acme'])
      await ring.call(request, scope(principal))
    expect(sent).toEqual(['acme-key-1', 'umbrella-key', 'acme-key-2', 'umbrella-key', 'acme-key-1'])
    const error = await thrownBy(ring.call(request, scope('nobody')))
    expect(error).toMatchObject({ kind: 'auth', message: expect.stringContaining('There is no key') })
    of['umbrella'] = ['umbrella-rotated']
    await ring.call(request, scope('umbrella'))
    expect(sent.at(-1)).toBe('umbrella-rotated')
  })

  test('opens secrets at every use, and passes over what is missing', async () => {
    let now = 'secret-key-1'
    const { ring, sent } = ringOf({ keys: [secret(undefined), secret(() => now)] })
    await times(1, ring)
    now = 'secret-key-2'
    await times(1, ring)
    expect(sent).toEqual(['secret-key-1', 'secret-key-2'])
  })

  test('replaces keys from the next call on, and closes a client after its last call', async () => {
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const made: ScriptedClient[] = []
    const ring = keyRing({
      keys: ['old-key-1', 'old-key-2'],
      make: (key) => {
        const client = new ScriptedClient(async () => {
          if (key === 'old-key-2') await held
          return key
        })
        made.push(client)
        return client
      },
    })
    const [old1] = made
    expect((await ring.call(request)).text).toBe('old-key-1')
    const late = ring.call(request)
    await until(() => made.length === 2)
    ring.replace(['new-key'])
    expect((await ring.call(request)).text).toBe('new-key')
    expect([old1?.closed, made[1]?.closed]).toEqual([true, false])
    release()
    expect((await late).text).toBe('old-key-2')
    await until(() => made[1]?.closed === true)
    await ring.close()
    expect(made.map(({ closed }) => closed)).toEqual([true, true, true])
  })

  test('shows no key in errors, inspection or JSON, whatever its clients show', async () => {
    const ring = keyRing({
      keys: ['sk-very-secret-1', secret('sk-very-secret-2')],
      make: (key) =>
        new ScriptedClient(() => {
          const echo = new Error(`refused: Bearer ${key}`)
          return new LLMError(`refused ${key}`, {
            kind: 'auth',
            provider: 'p',
            model: 'm',
            status: 401,
            cause: echo,
          })
        }),
    })
    const errors = [
      await thrownBy(ring.call(request)),
      await thrownBy(ring.call(request)),
      (() => {
        try {
          keyRing({ keys: ['sk-very-secret-1', 7] as string[], make: () => new ScriptedClient([]) })
        } catch (error) {
          return error
        }
        return undefined
      })(),
    ]
    const shown = [...errors, ring].map(
      (each) => inspect(each, { depth: 9, showHidden: true }) + JSON.stringify(each),
    )
    expect(shown.join('\n')).not.toContain('very-secret')
    expect(errors[0]).toMatchObject({ kind: 'auth', status: 401, message: 'refused [secret:apiKey]' })
    expect(errors[2]).toMatchObject({ code: 'configuration', path: 'keys' })
  })

  test('is what its clients are, and asks a function for keys only when there is a call', async () => {
    const asked: string[] = []
    const made: string[] = []
    const ring = keyRing({
      keys: () => {
        asked.push('asked')
        return ['key-one']
      },
      make: (key) => {
        made.push(key)
        return new ScriptedClient(() => 'ok', {
          provider: 'p',
          model: 'm',
          capabilities: { streaming: false, contextWindow: 7 },
        })
      },
    })
    expect([ring.provider, ring.model, ring.capabilities.contextWindow]).toEqual(['p', 'm', 7])
    expect('stream' in ring).toBe(false)
    expect(asked).toEqual([])
    await ring.call(request)
    expect(made).toEqual(['stand-in-for-a-key', 'key-one'])
  })

  test('forgets the keys that were used longest ago, of very many', async () => {
    let number = 0
    const { ring, clients } = ringOf({ keys: () => [`key-number-${++number}`] })
    await times(1_001, ring)
    const closed = [...clients].filter(([, { closed }]) => closed).map(([key]) => key)
    expect(closed).toEqual(['stand-in-for-a-key', 'key-number-1'])
  })

  test.each<[keyof KeyRingOptions, unknown]>([
    ['keys', []],
    ['keys', ['']],
    ['keys', 'key'],
    ['make', undefined],
    ['strategy', 'random'],
    ['cooldownMs', -1],
    ['rotations', 0.5],
  ])('refuses %s: %j', (name, value) => {
    const options = { keys, make: () => new ScriptedClient([]), [name]: value }
    expect(() => keyRing(options as KeyRingOptions)).toThrow(
      expect.objectContaining({ code: 'configuration', path: name }),
    )
  })

  test('refuses an interval of no length, and keys that are none', () => {
    const make = () => new ScriptedClient([])
    expect(() => keyRing({ keys, make, strategy: 'interval' })).toThrow(
      expect.objectContaining({ code: 'configuration', path: 'everyMs' }),
    )
    expect(() => keyRing({ keys, make }).replace([])).toThrow(
      expect.objectContaining({ code: 'configuration', path: 'keys' }),
    )
  })
})
