import { afterEach, beforeEach, describe, expect, expectTypeOf, test, vi } from 'vitest'
import type { BatchClient } from '../../src/client/batch-client.ts'
import type { LLMClient, LLMRequest, LLMResponse } from '../../src/client/client.ts'
import { batcher, isTercetError, LLMError, type Runtime, user } from '../../src/index.ts'
import { AnthropicClient } from '../../src/providers/anthropic.ts'
import { OpenAIClient } from '../../src/providers/openai.ts'
import {
  type StrictProvider,
  type StrictTurn,
  strictProvider,
  virtualClock,
} from '../../src/testing/index.ts'
import { rawServer } from '../support/raw-server.ts'

const apiKey = 'sk-batch-0123456789abcdef'
const asking = (...texts: readonly string[]): LLMRequest[] =>
  texts.map((text) => ({ messages: [user(text)] }))

beforeEach(() => {
  for (const name of ['OPENAI_API_KEY', 'OPENAI_BASE_URL', 'ANTHROPIC_API_KEY', 'ANTHROPIC_BASE_URL'])
    vi.stubEnv(name, undefined)
})

afterEach(() => {
  vi.unstubAllEnvs()
})

/** A clock that stands still while a request is under way, and leaps over the waits between two of them. */
function leaping(): { runtime: Partial<Runtime>; waits: readonly number[] } {
  const waits: number[] = []
  let now = 0
  const runtime = {
    now: () => now,
    sleep: async (ms: number, signal?: AbortSignal) => {
      signal?.throwIfAborted()
      if (ms < 1_000)
        return new Promise<void>((_, reject) =>
          signal?.addEventListener('abort', () => reject(signal.reason)),
        )
      waits.push(ms)
      now += ms
    },
  }
  return { runtime, waits }
}

interface ClientOptions {
  readonly runtime?: Partial<Runtime>
  readonly fetch?: typeof globalThis.fetch
}

// A leaping clock has more than a client takes.
const partsOf = ({ runtime, fetch }: ClientOptions): ClientOptions => ({
  ...(runtime && { runtime }),
  ...(fetch && { fetch }),
})

// Shorter than any wait between two looks, so that the clock above can tell them apart.
const patience = { firstContentMs: 999, idleMs: 999 }

const providers = [
  {
    name: 'OpenAI',
    of: ({ url }: Pick<StrictProvider, 'url' | 'anthropicURL'>, options: ClientOptions = {}) =>
      new OpenAIClient({ baseURL: url, apiKey, ...patience, ...partsOf(options) }),
    polls: /^GET \/v1\/batches\/batch_1$/,
    cancel: 'POST /v1/batches/batch_1/cancel',
    id: 'batch_1',
    unsendable: { type: 'file', url: 'https://example.com/a.pdf' },
  },
  {
    name: 'Anthropic',
    of: ({ anthropicURL }: Pick<StrictProvider, 'url' | 'anthropicURL'>, options: ClientOptions = {}) =>
      new AnthropicClient({
        model: 'claude-sonnet-5-5',
        baseURL: anthropicURL,
        apiKey,
        ...patience,
        ...partsOf(options),
      }),
    polls: /^GET \/v1\/messages\/batches\/msgbatch_1$/,
    cancel: 'POST /v1/messages/batches/msgbatch_1/cancel',
    id: 'msgbatch_1',
    unsendable: { type: 'file', data: 'AAAA', mediaType: 'video/mp4' },
  },
] as const

/** Waits for what goes over a real socket. */
const until = (test: () => boolean) => vi.waitUntil(test, { interval: 1, timeout: 30_000 })

const sent = (provider: StrictProvider) => provider.requests.map(({ method, path }) => `${method} ${path}`)

const kinds = (results: readonly (LLMResponse | LLMError)[]) =>
  results.map((result) => (result instanceof LLMError ? result.kind : result.text))

/** `fetch` to which `answer` may say something else, by the number of the look. */
function interrupted(
  isLook: RegExp,
  answer: (look: number) => Response | Error | undefined,
): typeof globalThis.fetch {
  let looks = 0
  return async (input, init) => {
    const { pathname } = new URL(String(input))
    if (isLook.test(`${init?.method?.toUpperCase()} ${pathname}`)) {
      looks += 1
      const instead = answer(looks)
      if (instead instanceof Error) throw instead
      if (instead) return instead
    }
    return fetch(input, init)
  }
}

test('clients with batches are clients', () => {
  expectTypeOf<OpenAIClient>().toExtend<LLMClient & BatchClient>()
  expectTypeOf<AnthropicClient>().toExtend<LLMClient & BatchClient>()
})

describe.each(providers)('$name', ({ of, polls, cancel, id, unsendable }) => {
  test('gives each request what a single call would have given it, in their order, whatever the order on the wire', async () => {
    const script: StrictTurn[] = [
      { text: 'One.', usage: { inputTokens: 5, outputTokens: 2, cachedInputTokens: 1 } },
      {
        toolCalls: [{ id: 'call_1', toolName: 'weather', parameters: { city: 'Zürich' } }],
        text: 'Let me see 👋',
      },
      { text: 'Three', stop: 'length' },
    ]
    const tools = [
      { name: 'weather', description: 'Weather', parameters: { type: 'object', properties: {} } },
    ]
    const requests = asking('1?', '2?', '3?').map((request) => ({ ...request, tools, system: 'Be brief.' }))
    await using provider = await strictProvider({ script, keys: [apiKey] })
    const client = of(provider, leaping())
    const single = []
    for (const request of requests) single.push(await client.call(request))
    provider.script(script)
    const batch = await client.batch(requests)
    const bare = (response: LLMResponse | LLMError) => ({ ...response, requestId: undefined })
    expect(batch.map(bare)).toEqual(single.map(bare))
    expect(provider.refusals).toEqual([])
  })

  test('a request that fails, or that the provider does not get to, is an error among the results', async () => {
    await using provider = await strictProvider({
      script: [
        { text: 'One.' },
        { fault: 'rate_limit' },
        { fault: 'expired' },
        { status: 418 },
        { text: 'Five.' },
      ],
    })
    const results = await of(provider, leaping()).batch(asking('1?', '2?', '3?', '4?', '5?'))
    expect(kinds(results)).toEqual(['One.', 'rate_limit', 'timeout', expect.any(String), 'Five.'])
    expect(results.map((result) => result instanceof LLMError && result.retryable).slice(0, 3)).toEqual([
      false,
      true,
      true,
    ])
    expect(String(results[2])).toMatch(
      /did not get to this request before its batch expired. Submit it again.$/,
    )
  })

  test('a request that the provider refuses fails alone', async () => {
    await using provider = await strictProvider({ script: () => ({ text: 'ok' }), contextWindow: 20 })
    const results = await of(provider, leaping()).batch(asking('Short.', 'x'.repeat(1000)))
    expect(kinds(results)).toEqual(['ok', 'context_length'])
    expect(provider.refusals.map(({ rule }) => rule)).toEqual(['context_length'])
  })

  test('one that cannot be sent is not, and fails alone in a batch that is waited for', async () => {
    await using provider = await strictProvider({ script: () => ({ text: 'ok' }) })
    const client = of(provider, leaping())
    const odd: LLMRequest = { messages: [user([unsendable])] }
    const [first, last] = asking('1?', '3?')
    if (!first || !last) throw new Error('two')
    const results = await client.batch([odd, first, odd, last, odd])
    expect(kinds(results)).toEqual(['invalid_request', 'ok', 'invalid_request', 'ok', 'invalid_request'])
    expect(kinds(await client.batchResults(id))).toEqual(['malformed', 'ok', 'malformed', 'ok', 'malformed'])
    const after = provider.requests.length
    await expect(client.submitBatch([first, odd])).rejects.toMatchObject({ kind: 'invalid_request' })
    expect(kinds(await client.batch([odd]))).toEqual(['invalid_request'])
    expect(provider.requests).toHaveLength(after)
  })

  test('is looked at once a minute, or as often as asked', async () => {
    await using provider = await strictProvider({ script: () => ({ text: 'ok' }), batchPolls: 3 })
    const [clock, other] = [leaping(), leaping()]
    await of(provider, clock).batch(asking('1?'))
    expect(clock.waits).toEqual([60_000, 60_000, 60_000])
    await of(provider, other).batch(asking('1?'), { pollMs: 5_000 })
    expect(other.waits).toEqual([5_000, 5_000, 5_000])
  })

  test('can be waited for by another client, given its id', async () => {
    await using provider = await strictProvider({ script: [{ text: 'One.' }, { text: 'Two.' }] })
    const batchId = await of(provider).submitBatch(asking('1?', '2?'))
    expect(batchId).toBe(id)
    const results = await of(provider, leaping()).batchResults(batchId)
    expect(kinds(results)).toEqual(['One.', 'Two.'])
    // And again: results stay where they are.
    expect(await of(provider, leaping()).batchResults(batchId)).toEqual(results)
  })

  test('an abort ends the waiting at once, and the batch goes on', async () => {
    await using provider = await strictProvider({ script: () => ({ text: 'ok' }) })
    const clock = virtualClock({ auto: false })
    const stop = new AbortController()
    const ids: string[] = []
    const waiting = of(provider, { runtime: clock.runtime, fetch }).batch(asking('1?', '2?'), {
      signal: stop.signal,
      onSubmitted: (each) => ids.push(each),
    })
    const outcome = waiting.catch((error: unknown) => error)
    await until(() => clock.sleeps.includes(60_000))
    stop.abort(new Error('Enough.'))
    expect(await outcome).toMatchObject({ kind: 'aborted', cause: new Error('Enough.') })
    expect(clock.pending).toBe(0)
    expect(ids).toEqual([id])
    expect(sent(provider)).not.toContain(cancel)
    expect(kinds(await of(provider, leaping()).batchResults(id))).toEqual(['ok', 'ok'])
  })

  test('an abort before it is submitted sends nothing', async () => {
    await using provider = await strictProvider({ script: () => ({ text: 'ok' }) })
    const signal = AbortSignal.abort('no')
    for (const asked of [
      of(provider).batch(asking('1?'), { signal }),
      of(provider).submitBatch(asking('1?'), { signal }),
      of(provider).batchResults(id, { signal }),
      of(provider).cancelBatch(id, { signal }),
    ])
      await expect(asked).rejects.toMatchObject({ kind: 'aborted', cause: 'no' })
    expect(provider.requests).toEqual([])
  })

  test('canceled, what is done by then stays done', async () => {
    await using provider = await strictProvider({ script: () => ({ text: 'ok' }) })
    const clock = leaping()
    let looks = 0
    const client = of(provider, {
      runtime: {
        ...clock.runtime,
        sleep: async (ms, signal) => {
          await clock.runtime.sleep?.(ms, signal)
          looks += 1
          if (looks === 1) await client.cancelBatch(id)
        },
      },
    })
    expect(kinds(await client.batch(asking('1?', '2?', '3?', '4?')))).toEqual([
      'ok',
      'ok',
      'aborted',
      'aborted',
    ])
    expect(sent(provider)).toContain(cancel)
    await expect(client.cancelBatch(id)).rejects.toBeInstanceOf(LLMError)
  })

  test('failures that may pass are waited out, as long as the provider asks for, and told', async () => {
    await using provider = await strictProvider({ script: () => ({ text: 'ok' }) })
    const clock = leaping()
    const error = { error: { message: 'Busy.', type: 'server_error' } }
    const client = of(provider, {
      ...clock,
      fetch: interrupted(polls, (look) => {
        switch (look) {
          case 1:
            return Response.json(error, { status: 503 })
          case 2:
            return Response.json(error, { status: 429, headers: { 'retry-after': '120' } })
          case 3:
            return new TypeError('fetch failed')
          case 4:
            return new Response('<html>Just a moment</html>')
          case 5:
            return Response.json(error, { status: 500, headers: { 'retry-after': '1' } })
        }
        return undefined
      }),
    })
    const told: unknown[] = []
    const results = await client.batch(asking('1?'), {
      notify: (notice) =>
        told.push(notice.type === 'retry' && [notice.attempt, notice.delayMs, notice.error.kind]),
    })
    expect(kinds(results)).toEqual(['ok'])
    expect(told).toEqual([
      [1, 60_000, 'overloaded'],
      [2, 120_000, 'rate_limit'],
      [3, 60_000, 'network'],
      [4, 60_000, 'malformed'],
      [5, 60_000, 'overloaded'],
    ])
    expect(clock.waits).toEqual([60_000, 120_000, 60_000, 60_000, 60_000, 60_000])
  })

  test('a look that is not answered is given up, and another one taken', async () => {
    await using provider = await strictProvider({ script: () => ({ text: 'ok' }), batchPolls: 0 })
    const clock = virtualClock({ auto: false })
    let hanging = 0
    const client = of(provider, {
      runtime: clock.runtime,
      fetch: async (input, init) => {
        if (
          polls.test(`${init?.method?.toUpperCase()} ${new URL(String(input)).pathname}`) &&
          hanging === 0
        ) {
          hanging += 1
          return new Promise((_, reject) =>
            init?.signal?.addEventListener('abort', () => reject(init.signal?.reason)),
          )
        }
        return fetch(input, init)
      },
    })
    const told: string[] = []
    const results = client.batch(asking('1?'), {
      notify: (notice) => notice.type === 'retry' && told.push(notice.error.kind),
    })
    await until(() => hanging === 1)
    await clock.advance(999)
    await until(() => told.length === 1 && clock.pending === 1)
    await clock.advance(60_000)
    expect(kinds(await results)).toEqual(['ok'])
    expect(told).toEqual(['stalled'])
    expect(clock.pending).toBe(0)
  })

  test('failures that stay end the waiting: at once, or after a day of those that may pass', async () => {
    await using provider = await strictProvider({ script: () => ({ text: 'ok' }), keys: [apiKey] })
    await of(provider).submitBatch(asking('1?'))
    const refused = of(provider, { fetch: interrupted(polls, () => Response.json({}, { status: 401 })) })
    await expect(refused.batchResults(id)).rejects.toMatchObject({ kind: 'auth', status: 401 })
    await expect(of(provider).batchResults('unknown')).rejects.toMatchObject({ kind: 'not_found' })
    const clock = leaping()
    const down = of(provider, {
      ...clock,
      fetch: interrupted(polls, () => Response.json({}, { status: 503 })),
    })
    await expect(down.batchResults(id, { pollMs: 60 * 60_000 })).rejects.toMatchObject({ kind: 'overloaded' })
    expect(clock.waits).toHaveLength(24)
  })

  test('results that break off on their way are read again', async () => {
    await using provider = await strictProvider({ script: () => ({ text: 'ok' }), batchPolls: 0 })
    const clock = leaping()
    const client = of(provider, {
      ...clock,
      fetch: interrupted(/content$|results$/, (look) =>
        look > 1
          ? undefined
          : new Response(
              new ReadableStream({
                pull: (controller) => controller.error(new TypeError('terminated')),
              }),
            ),
      ),
    })
    expect(kinds(await client.batch(asking('1?', '2?')))).toEqual(['ok', 'ok'])
    expect(clock.waits).toEqual([60_000])
  })

  test('no failure shows the key', async () => {
    await using provider = await strictProvider({ script: () => ({ text: 'ok' }) })
    const echo = () =>
      Response.json({ error: { message: `No batches for ${apiKey}`, type: 'x' } }, { status: 403 })
    const client = of(provider, { fetch: interrupted(polls, echo) })
    const error = await client.batchResults(id).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ kind: 'auth' })
    expect(String(error)).not.toContain(apiKey)
  })

  test.each<[string, unknown, string]>([
    ['no requests', [], 'requests'],
    ['what is no list', {}, 'requests'],
    ['a request that is none', [{ messages: 'Hi' }], 'requests[0].messages'],
    [
      'a stream',
      [{ messages: [user('Hi')], params: { extra: { stream: true } } }],
      'requests[0].params.extra.stream',
    ],
  ])('refuses %s before anything is sent', async (_, requests, path) => {
    await using provider = await strictProvider()
    for (const verb of ['batch', 'submitBatch'] as const)
      await expect(of(provider)[verb](requests as LLMRequest[])).rejects.toMatchObject({
        code: 'configuration',
        path,
      })
    expect(provider.requests).toEqual([])
  })

  test('refuses options that do not exist, or are none', async () => {
    await using provider = await strictProvider()
    const client = of(provider)
    for (const asked of [
      client.batch(asking('1?'), { pollMs: 0 }),
      client.batch(asking('1?'), { pollms: 5 } as object),
      client.submitBatch(asking('1?'), { signal: 'no' as never }),
      client.batchResults('', {}),
      client.batchResults(id, { onSubmitted: () => {} } as object),
      client.cancelBatch(' '),
    ])
      await expect(asked).rejects.toMatchObject({ code: 'configuration' })
    expect(provider.requests).toEqual([])
  })

  test('single requests are gathered into batches by a batcher', async () => {
    await using provider = await strictProvider({
      script: (request) => {
        const asked = JSON.stringify(request.body['messages'])
        return asked.includes('2?') ? { fault: 'expired' } : { text: `Re ${asked.match(/\d/)}` }
      },
    })
    const client = of(provider, leaping())
    const { runtime } = virtualClock({ auto: false })
    const batches = batcher<LLMRequest, LLMResponse>({
      maxBatchSize: 2,
      maxWaitMs: 1_000,
      execute: (requests, { signal }) => client.batch(requests, { signal }),
      runtime,
    })
    const asked = asking('1?', '2?', '3?').map((request) => batches.enqueue(request))
    const outcomes = Promise.allSettled(asked)
    await batches.drain()
    expect(
      (await outcomes).map((each) => (each.status === 'fulfilled' ? each.value.text : each.reason.kind)),
    ).toEqual(['Re 1', 'timeout', 'Re 3'])
    const submitted = sent(provider).filter((each) => /^POST .*batches$/.test(each))
    expect(submitted).toHaveLength(2)
  })
})

describe('OpenAI alone', () => {
  const [{ of }] = providers

  test('a batch that is refused as a whole fails with its first reason', async () => {
    await using provider = await strictProvider({ models: ['gpt-5'] })
    const submitted: string[] = []
    const waiting = of(provider, leaping()).batch(asking('1?', '2?'), {
      onSubmitted: (each) => submitted.push(each),
    })
    await expect(waiting).rejects.toMatchObject({ kind: 'not_found', retryable: false })
    await expect(of(provider, leaping()).batchResults('batch_1')).rejects.toThrow(
      /The provided model 'gpt-4o' is not supported by the Batch API. \(line 1\)/,
    )
    expect(submitted).toEqual(['batch_1'])
  })

  test('tokens that have no room in the queue are a limit that passes', async () => {
    const data = [{ code: 'token_limit_exceeded', message: 'Enqueued token limit reached.', line: null }]
    await using server = await rawServer((response) =>
      response.end(JSON.stringify({ id: 'batch_1', status: 'failed', errors: { object: 'list', data } })),
    )
    const client = of({ url: server.url, anthropicURL: '' })
    // A batch that failed stays so, whatever its requests could have later.
    await expect(client.batchResults('batch_1')).rejects.toMatchObject({ kind: 'rate_limit' })
    expect(server.requests).toHaveLength(1)
  })

  test('is told what a batch may have at most', async () => {
    await using provider = await strictProvider()
    const many = Array.from({ length: 50_001 }, () => asking('1?')).flat()
    await expect(of(provider).batch(many)).rejects.toThrow(/an array of 1 to 50000 requests/)
    const large = Array.from({ length: 21 }, () => asking('x'.repeat(10_000_000))).flat()
    await expect(of(provider).submitBatch(large)).rejects.toThrow(/one batch may have 200000000/)
    expect(provider.requests).toEqual([])
  })

  test('a batch for which the answer has no id is malformed', async () => {
    await using server = await rawServer((response) => response.end('{}'))
    const client = of({ url: server.url, anthropicURL: '' })
    await expect(client.submitBatch(asking('1?'))).rejects.toMatchObject({ kind: 'malformed' })
    expect(server.requests).toHaveLength(1)
  })

  const answer = (text: string) => ({
    status_code: 200,
    body: { choices: [{ index: 0, message: { content: text }, finish_reason: 'stop' }] },
  })
  const ended = { id: 'batch_1', status: 'completed', output_file_id: 'out', request_counts: { total: 3 } }

  /** What a batch of three comes to whose results are these lines. */
  async function resultsOf(
    lines: readonly unknown[],
    batch: object = ended,
    errors: readonly unknown[] = [],
  ) {
    await using server = await rawServer((response, { url }) => {
      const lined = (all: readonly unknown[]) =>
        all.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n')
      if (url.endsWith('/out/content')) response.end(lined(lines))
      else if (url.endsWith('/err/content')) response.end(lined(errors))
      else response.end(JSON.stringify(batch))
    })
    return kinds(await of({ url: server.url, anthropicURL: '' }).batchResults('batch_1'))
  }

  test('a line that cannot be read, or is missing, costs its own request only', async () => {
    const [zero, two] = [0, 2].map((index) => ({
      custom_id: `request-${index}-of-3`,
      response: answer(`${index}`),
      error: null,
    }))
    expect(await resultsOf([two, '{"custom_id":"request-1-of-3","resp', zero])).toEqual([
      '0',
      'malformed',
      '2',
    ])
    expect(await resultsOf(['', two, 'null', '[]', '{}', { custom_id: 7 }, zero])).toEqual([
      '0',
      'malformed',
      '2',
    ])
    expect(await resultsOf([{ ...zero, response: { status_code: 200, body: {} } }, two])).toEqual([
      'malformed',
      'malformed',
      '2',
    ])
    expect(await resultsOf([])).toEqual(['malformed', 'malformed', 'malformed'])
  })

  test("results of nobody are nobody's, and of two for one request the answer counts, or the first", async () => {
    const line = (customId: string, text: string) => ({ custom_id: customId, response: answer(text) })
    const failed = (index: number) => ({
      custom_id: `request-${index}-of-3`,
      response: null,
      error: { code: 'x' },
    })
    expect(
      await resultsOf([
        line('request-9-of-3', 'nobody'),
        line('mine', 'nobody'),
        line('request-0-of-3', 'first'),
        line('request-0-of-3', 'second'),
        failed(1),
        line('request-1-of-3', 'answer'),
        line('request-2-of-3', 'answer'),
        failed(2),
      ]),
    ).toEqual(['first', 'answer', 'answer'])
  })

  test.each([null, '', undefined])('no file of errors may be %j', async (error_file_id) => {
    const line = { custom_id: 'request-0-of-1', response: answer('ok'), error: null }
    expect(await resultsOf([line], { ...ended, error_file_id })).toEqual(['ok'])
  })

  test('all may have failed, and no file of answers be there', async () => {
    const error = { error: { message: 'Bad.', type: 'invalid_request_error' } }
    const lines = [0, 1].map((index) => ({
      custom_id: `request-${index}-of-2`,
      response: { status_code: 400, request_id: 'req_7', body: error },
      error: null,
    }))
    const batch = { ...ended, output_file_id: null, error_file_id: 'err' }
    expect(await resultsOf([], batch, lines)).toEqual(['invalid_request', 'invalid_request'])
  })

  test.each([
    ['expired', 'timeout'],
    ['cancelled', 'aborted'],
  ])('what the files of a batch that is %s do not have was not done', async (status, kind) => {
    const line = { custom_id: 'request-1-of-3', response: answer('ok'), error: null }
    const unfinished = {
      custom_id: 'request-2-of-3',
      response: null,
      error: { code: `batch_${status}`, message: '' },
    }
    const batch = { ...ended, status, error_file_id: 'err' }
    expect(await resultsOf([line], batch, [unfinished])).toEqual([kind, 'ok', kind])
  })
})

describe('Anthropic alone', () => {
  const [, { of }] = providers

  test('a model that is not known fails each request', async () => {
    await using provider = await strictProvider({ models: ['claude'] })
    const results = await of(provider, leaping()).batch(asking('1?', '2?'))
    expect(kinds(results)).toEqual(['not_found', 'not_found'])
  })

  test('its key goes to no other address, whatever the batch says of its results', async () => {
    await using stranger = await rawServer((response) => response.end())
    await using provider = await strictProvider({ script: () => ({ text: 'ok' }), batchPolls: 0 })
    const client = of(provider, {
      fetch: async (input, init) => {
        const response = await fetch(input, init)
        if (!/batches\/msgbatch_1$/.test(String(input))) return response
        const batch = (await response.json()) as object
        return Response.json({ ...batch, results_url: `${stranger.url}/messages/batches/msgbatch_1/results` })
      },
    })
    expect(kinds(await client.batch(asking('1?')))).toEqual(['ok'])
    expect(stranger.requests).toEqual([])
  })

  test('is told what a batch may have at most', async () => {
    const many = Array.from({ length: 100_001 }, () => asking('1?')).flat()
    await expect(of({ url: '', anthropicURL: 'http://127.0.0.1:9' }).batch(many)).rejects.toThrow(
      /an array of 1 to 100000 requests/,
    )
  })

  test('a line of results of a kind that is not known is a missing one', async () => {
    const lines = [
      { custom_id: 'request-0-of-2', result: { type: 'postponed' } },
      {
        custom_id: 'request-1-of-2',
        result: {
          type: 'errored',
          error: { type: 'error', error: { type: 'overloaded_error', message: 'Busy' } },
        },
      },
    ]
    await using server = await rawServer((response, { url }) => {
      if (url.endsWith('/results')) response.end(lines.map((line) => `${JSON.stringify(line)}\r\n`).join(''))
      else response.end(JSON.stringify({ id: 'msgbatch_1', processing_status: 'ended' }))
    })
    const client = of({ url: '', anthropicURL: server.url.replace('/v1', '') })
    expect(kinds(await client.batchResults('msgbatch_1'))).toEqual(['malformed', 'overloaded'])
  })
})

test('errors of batches are of this library', async () => {
  await using provider = await strictProvider()
  const client = new OpenAIClient({ baseURL: provider.url, apiKey })
  expect(isTercetError(await client.batchResults('none').catch((error: unknown) => error))).toBe(true)
})
