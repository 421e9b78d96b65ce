import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { type AgentEvent, isEvent, LLMError, type RunResult } from '../src/index.ts'
import { type StrictFault, type StrictTurn, type VirtualClock, virtualClock } from '../src/testing/index.ts'
import { watchRejections } from './agent/aftermath.ts'
import { type Adapter, adapters, looks, play } from './reliability/support.ts'
import { tableOf } from './support/markdown.ts'
import { read } from './support/repository.ts'

const rejections = watchRejections()

/** What a model says that is not understood, and what the next one says. */
const said = 'One two three.'
const next = 'Here.'
const patience = { firstContentMs: 10_000, idleMs: 9_000 }

const long = 'x'.repeat(10_000_000)

/** What the provider does in the place of an answer. */
interface Fault {
  readonly turn: (clock: VirtualClock, streams: boolean) => StrictTurn
  /** Default: `said`. */
  readonly says?: string
  /** Nothing happens any more before time has passed. */
  readonly isSilent?: true
}

const fault = (turn: StrictTurn): Fault => ({ turn: () => turn })
const silence = (turn: StrictTurn): Fault => ({ turn: () => turn, isSilent: true })
const limited = (headers: Record<string, string> = {}): Fault => fault({ fault: 'rate_limit', headers })
type Midway = 'reset' | 'hang' | 'truncate' | 'error_event' | 'garble'
const inCall = (fault: Midway): StrictFault => ({ fault, reply: looks('hat'), after: 'content' })
const inText = (fault: Midway): StrictFault => ({ fault, reply: { text: said }, after: 'content' })

/** The first column of the table. */
const faults: Readonly<Record<string, Fault>> = {
  '429, `Retry-After: 7`': limited({ 'retry-after': '7' }),
  '429, `Retry-After:` a date 7 s from now': {
    turn: ({ runtime }) => ({
      fault: 'rate_limit',
      headers: { 'retry-after': new Date(runtime.now() + 7_000).toUTCString() },
    }),
  },
  '429, `retry-after-ms: 7000`, `Retry-After: 8`': limited({ 'retry-after-ms': '7000', 'retry-after': '8' }),
  '429 without either': limited(),
  '429, `Retry-After: soon`': limited({ 'retry-after': 'soon' }),
  '429, `Retry-After: 86400`': limited({ 'retry-after': '86400' }),
  'no money left (429, 402)': fault({ fault: 'quota' }),
  '500, a server error': fault({ fault: 'server_error' }),
  "502, a proxy's page": fault({
    status: 502,
    headers: { 'content-type': 'text/html' },
    body: '<html><body>Bad gateway</body></html>',
  }),
  '503, unavailable': fault({ fault: 'unavailable' }),
  '529, overloaded': fault({ fault: 'overloaded' }),
  '401, a wrong key': fault({ fault: 'auth' }),
  '400, the context is too long': fault({ fault: 'context_length' }),
  'reset before the headers': fault({ fault: 'reset' }),
  'reset after the headers': fault({ fault: 'reset', after: 0 }),
  'reset in a tool call': fault(inCall('reset')),
  'reset in a text': fault(inText('reset')),
  'silence before the headers': silence({ fault: 'hang' }),
  'silence after the headers': silence({ fault: 'hang', after: 0 }),
  'silence in a tool call': silence(inCall('hang')),
  'silence in a text': silence(inText('hang')),
  'nothing but pings': silence({ fault: 'pings' }),
  'one byte after the other, longer than silence may last': {
    // All of it takes longer than `patience`, and nothing of it does.
    turn: (clock, streams) => ({
      fault: 'drip',
      reply: { text: said },
      pace: () => clock.advance(streams ? 8 : 40),
    }),
  },
  'cut off in a tool call': fault(inCall('truncate')),
  'cut off in a text': fault(inText('truncate')),
  'all but the mark of the end': fault({ fault: 'no_end', reply: { text: said } }),
  'an error with 200': fault({ fault: 'error_event' }),
  'an error in a tool call': fault(inCall('error_event')),
  'an error in a text': fault(inText('error_event')),
  'a line that is no JSON, at first': fault({ fault: 'garble', reply: { text: said } }),
  'a line that is no JSON, in a tool call': fault(inCall('garble')),
  'a line that is no JSON, in a text': fault(inText('garble')),
  'a web page with 200': fault({ fault: 'html' }),
  'nothing with 200': fault({ fault: 'empty' }),
  'the wrong content type': fault({ fault: 'wrong_type', reply: { text: said } }),
  'every delta of a tool call twice': fault({ fault: 'double', role: 'content', reply: looks('hat') }),
  'every delta of a text twice': fault({ fault: 'double', role: 'content', reply: { text: said } }),
  'every other event twice': fault({ fault: 'double', role: 'frame', reply: { text: said } }),
  'parameters that are no JSON': fault({ toolCalls: [{ toolName: 'look', parameters: '{"where":"h' }] }),
  'no choices': fault({ fault: 'no_choices' }),
  'a line of 10 MB': { turn: () => ({ text: long }), says: long },
  'usage of −5 and 1e308 tokens': fault({ text: said, usage: { inputTokens: -5, outputTokens: 1e308 } }),
  'no usage': fault({ text: said, usage: 'absent' }),
}

/** What became of a run that called a tool and then met with a fault. */
interface Story {
  readonly status: string
  /** The kind of its `LLMError`, else the code of its error. */
  readonly error?: string
  readonly answer?: string
  readonly partial?: string
  /** What was shown as its answer, and what of that was withdrawn. */
  readonly shown: string
  readonly withdrawn: string
  /** After the one that the call of the tool answered. */
  readonly requests: number
  /** Why each retry was made, and after how long. */
  readonly retries: readonly string[]
  readonly waits: readonly number[]
  readonly isEstimated: boolean
  /** The last request says what was wrong with the reply before it. */
  readonly isTold: boolean
}

interface Plot {
  readonly adapter: Adapter
  readonly streams: boolean
  readonly fault: Fault
  /** At how many requests in a row it happens. Default: 1. */
  readonly times?: number
  readonly patience?: Partial<typeof patience>
}

async function tell({ adapter, streams, fault, times = 1, ...plot }: Plot): Promise<Story> {
  const clock = virtualClock({ auto: false })
  const events: AgentEvent[] = []
  const arrivals: number[] = []
  let lastRequest = ''
  const keepSilent = async () => {
    const before = events.length
    // Until the client has had enough.
    while (!events.slice(before).some(({ type }) => type === 'retry' || type === 'run_end')) {
      for (let turn = 0; turn < 20; turn++) await setImmediate()
      await clock.advance(patience.idleMs)
    }
  }
  let result: RunResult<unknown> | undefined
  const { faults, ran } = await play(adapter, {
    streams,
    clock,
    ...(plot.patience ?? patience),
    agent: { runtime: clock.runtime, retry: {} },
    script: ({ body }) => {
      arrivals.push(clock.runtime.now())
      lastRequest = JSON.stringify(body)
      if (arrivals.length === 1) return looks('box')
      if (arrivals.length > 1 + times) return { text: next }
      if (fault.isSilent) void keepSilent()
      return fault.turn(clock, streams)
    },
    act: async ({ read, provider }) => {
      result = await read({}, (event) => {
        events.push(event)
        if (isEvent(event, 'retry')) void clock.advance(event.delayMs)
      })
      // Two connections are kept to be used again; one that is given up is closed.
      for (let turn = 0; provider.openSockets > 2 && turn < 1_000; turn++) await setImmediate()
      expect(provider.openSockets).toBeLessThanOrEqual(2)
      return result
    },
  })
  if (!result) throw new Error('There was no run.')
  const { status, answer, partial, error, usage } = result
  const retries = events.filter((event) => isEvent(event, 'retry'))

  // Whatever happens. That its usage can be counted, that no request is left open, and that the next run is well is in `faults`.
  expect([faults, ran, rejections]).toEqual([[], ['box'], []])
  expect(error === undefined ? answer : error.message).toMatch(/\w/)
  for (const [index, { delayMs }] of retries.entries()) {
    const [before = 0, after = 0] = arrivals.slice(index + 1)
    expect(after - before).toBeGreaterThanOrEqual(delayMs)
  }
  return {
    status,
    ...(error && { error: error instanceof LLMError ? error.kind : error.code }),
    ...(answer !== undefined && { answer: brief(String(answer)) }),
    ...(partial !== undefined && { partial: brief(partial) }),
    ...shownIn(events),
    requests: arrivals.length - 1,
    retries: retries.map(({ error }) => error.kind),
    waits: retries.map(({ delayMs }) => delayMs),
    isEstimated: usage.estimated === true,
    isTold: /Invalid JSON parameters|do not fit the tool|Your reply was empty/.test(lastRequest),
  }
}

function shownIn(events: readonly AgentEvent[]): Pick<Story, 'shown' | 'withdrawn'> {
  let shown = ''
  let withdrawn = ''
  for (const event of events) {
    if (isEvent(event, 'token') && event.channel === 'answer') shown += event.text
    if (!isEvent(event, 'retracted')) continue
    withdrawn += shown
    shown = ''
  }
  return { shown: brief(shown), withdrawn }
}

const brief = (text: string) => (text.length < 100 ? text : `${text.slice(0, 10)}… ${text.length}`)

/** What a word of the table is held against. */
interface Case {
  /** What stands before it. */
  readonly kind: string | undefined
  readonly says: string
  /** The fault happens once. */
  once(): Promise<Story>
  /** It happens at every request. */
  always(): Promise<Story>
}

const nothing = {
  ...{ shown: '', withdrawn: '', requests: 1, retries: [], waits: [] },
  ...{ isEstimated: false, isTold: false },
}
const answered = (text: string) => ({ ...nothing, status: 'done', answer: brief(text), shown: brief(text) })
const failed = (error: string | undefined) => ({ ...nothing, status: 'failed', error })
const anyWaits = { waits: expect.any(Array) }

async function isTriedAgain({ kind, once, always }: Case, leastMs: number, mostMs: number): Promise<void> {
  const { waits, ...story } = await once()
  expect({ ...story, waits: [] }).toEqual({ ...answered(next), requests: 2, retries: [kind] })
  for (const wait of waits) expect(wait >= leastMs && wait <= mostMs, `${wait}`).toBe(true)
  expect(await always()).toEqual({ ...failed(kind), requests: 3, retries: [kind, kind], ...anyWaits })
}

/** The words of the table, as what is seen of a story. */
const words: Readonly<Record<string, (it: Case) => Promise<void>>> = {
  'answer kept': async ({ says, once }) => expect(await once()).toEqual(answered(says)),
  'answer kept, usage estimated': async ({ says, once }) =>
    expect(await once()).toEqual({ ...answered(says), isEstimated: true }),
  'tried again': (it) => isTriedAgain(it, 100, 1_000),
  'tried again after 7 s': (it) => isTriedAgain(it, 7_000, 7_700),
  'at once': async ({ kind, once }) => expect(await once()).toEqual(failed(kind)),
  'withdrawn, tried again': async ({ kind, once, always }) => {
    const { withdrawn, waits, ...story } = await once()
    expect({ ...story, withdrawn: '', waits: [] }).toEqual({
      ...answered(next),
      requests: 2,
      retries: [kind],
    })
    expect(withdrawn !== '' && said.startsWith(withdrawn), withdrawn).toBe(true)
    expect(waits).toHaveLength(1)
    const { partial = '', ...last } = await always()
    const again = { requests: 3, retries: [kind, kind], withdrawn: expect.any(String), ...anyWaits }
    expect(last).toEqual({ ...failed(kind), shown: partial, isEstimated: true, ...again })
    expect(partial !== '' && said.startsWith(partial), partial).toBe(true)
  },
  'the model is told': async ({ once, always }) => {
    expect(await once()).toEqual({ ...answered(next), requests: 2, isTold: true })
    const { status, requests, retries } = await always()
    expect([status, requests <= 3, retries]).toEqual(['failed', true, []])
  },
  'text twice': async ({ once }) => expect(await once()).toEqual(answered('OneOne  twotwo  threethree..')),
}

const clients = adapters.map(({ name }) => name)

/** What a cell says of a client: its own exception, or what holds for the others. */
function saysOf(cell: string, client: string): string {
  const [rule = '', ...exceptions] = cell.split('; ')
  const own = exceptions.find((exception) => exception.startsWith(`${client}: `))
  return own?.slice(client.length + 2) ?? rule
}

/** The kind of the error, if one stands before the word, and the word. */
function readCell(text: string): { kind: string | undefined; word: string } {
  const { kind, word = '' } = /^(?:`(?<kind>\w+)`, )?(?<word>.+)$/.exec(text)?.groups ?? {}
  return { kind, word }
}

describe('docs/fault-matrix.md says truly that', () => {
  const rows = tableOf(read('docs/fault-matrix.md'), '')
  const cells = rows.flatMap(([name = '', ...row]) =>
    [true, false].flatMap((streams, column) =>
      adapters.map((adapter) => ({
        name,
        how: streams ? 'streamed' : 'whole',
        client: adapter.name,
        says: saysOf(row[column] ?? '', adapter.name),
        streams,
        adapter,
      })),
    ),
  )

  it('has a row for each fault, and only words that are tested', () => {
    expect(rows.map(([name]) => name)).toEqual(Object.keys(faults))
    expect(cells.filter(({ says }) => !Object.hasOwn(words, readCell(says).word))).toEqual([])
    const exceptions = rows.flatMap(([, ...row]) => row.flatMap((cell) => cell.split('; ').slice(1)))
    expect(exceptions.filter((said) => !clients.includes(said.split(': ')[0] ?? ''))).toEqual([])
  })

  it.each(cells)('$name, $how, $client: $says', async ({ name, says, ...plot }) => {
    const { kind, word } = readCell(says)
    const fault = faults[name]
    if (!fault) throw new Error(`There is no test for ${name}.`)
    await words[word]?.({
      kind,
      says: fault.says ?? said,
      once: () => tell({ ...plot, fault }),
      always: () => tell({ ...plot, fault, times: Number.POSITIVE_INFINITY }),
    })
  })
  it('with the defaults, silence ends the run before it ends the call', async () => {
    for (const adapter of adapters) {
      const fault = silence({ fault: 'hang' })
      const story = await tell({ adapter, streams: true, fault, patience: {} })
      expect(story).toEqual({ ...failed('run_timeout'), status: 'limit', isEstimated: true })
    }
  })
})
