import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { type AgentEvent, isEvent, LLMError, type RunResult } from '../src/index.ts'
import { type StrictReply, type StrictTurn, virtualClock } from '../src/testing/index.ts'
import { watchRejections } from './agent/aftermath.ts'
import { type Adapter, adapters, deliveries, looks, play, type Told } from './reliability/support.ts'

const rejections = watchRejections()

const firstContentMs = 20_000
const idleMs = 10_000

interface Story extends Told {
  readonly kind: string | undefined
  readonly retries: readonly { readonly kind: string; readonly delayMs: number }[]
  readonly gaps: readonly number[]
  readonly shown: string
  readonly result: RunResult<unknown>
  readonly told: string
}

const said = 'One two three.'
const text: StrictReply = { text: said }

interface Fault {
  readonly turn: (adapter: Adapter, clock: ReturnType<typeof virtualClock>, streams: boolean) => StrictTurn
  readonly silent?: true
}

async function tell(adapter: Adapter, streams: boolean, { turn, silent }: Fault, times: number): Promise<Story> {
  const clock = virtualClock({ auto: false })
  const events: AgentEvent[] = []
  const isOver = (seen: number) => events.slice(seen).some(({ type }) => type === 'retry' || type === 'run_end')
  const pass = async () => {
    const seen = events.length
    while (!isOver(seen)) {
      for (let n = 0; n < 20; n++) await setImmediate()
      await clock.advance(idleMs)
    }
  }
  let number = 0
  const at: number[] = []
  const bodies: unknown[] = []
  let result!: RunResult<unknown>
  const told = await play(adapter, {
    streams,
    clock,
    firstContentMs,
    idleMs,
    agent: { retry: {}, runtime: clock.runtime },
    script: (request) => {
      at.push(clock.runtime.now())
      bodies.push(request.body)
      number++
      if (number === 1) return looks('box')
      if (number > times + 1) return { text: 'Here.' }
      if (silent) void pass()
      return turn(adapter, clock, streams)
    },
    act: async ({ read, provider }) => {
      result = await read({}, (event) => {
        events.push(event)
        if (isEvent(event, 'retry')) void clock.advance(event.delayMs)
      })
      for (let n = 0; n < 200 && provider.openSockets > 2; n++) await setImmediate()
      expect(provider.openSockets).toBeLessThanOrEqual(2)
      return result
    },
  })
  let shown = ''
  for (const e of events) {
    if (isEvent(e, 'token') && e.channel === 'answer') shown += e.text
    if (isEvent(e, 'retracted') && e.channel === 'answer') shown = ''
  }
  expect(rejections).toEqual([])
  return {
    ...told,
    kind: result.error instanceof LLMError ? result.error.kind : result.error?.code,
    retries: events.flatMap((e) => (isEvent(e, 'retry') ? [{ kind: e.error.kind, delayMs: e.delayMs }] : [])),
    gaps: at.slice(2).map((t, i) => t - (at[i + 1] ?? 0)),
    shown,
    result,
    told: JSON.stringify(bodies.at(-1)),
  }
}

const big = 'x'.repeat(10_000_000)
const faults: Record<string, Fault> = {
  'retry-after 7': { turn: () => ({ fault: 'rate_limit', headers: { 'retry-after': '7' } }) },
  'retry-after date': {
    turn: (_, clock) => ({ fault: 'rate_limit', headers: { 'retry-after': new Date(clock.runtime.now() + 7000).toUTCString() } }),
  },
  'retry-after-ms': { turn: () => ({ fault: 'rate_limit', headers: { 'retry-after-ms': '7000', 'retry-after': '60' } }) },
  '429': { turn: () => ({ fault: 'rate_limit' }) },
  '429 soon': { turn: () => ({ fault: 'rate_limit', headers: { 'retry-after': 'soon' } }) },
  '429 day': { turn: () => ({ fault: 'rate_limit', headers: { 'retry-after': '86400' } }) },
  quota: { turn: () => ({ fault: 'quota' }) },
  '500': { turn: () => ({ fault: 'server_error' }) },
  '502': { turn: () => ({ status: 502, headers: { 'content-type': 'text/html' }, body: '<html>Bad gateway</html>' }) },
  '503': { turn: () => ({ fault: 'unavailable' }) },
  '529': { turn: () => ({ fault: 'overloaded' }) },
  '401': { turn: () => ({ fault: 'auth' }) },
  context: { turn: () => ({ fault: 'context_length' }) },
  reset: { turn: () => ({ fault: 'reset' }) },
  'reset headers': { turn: () => ({ fault: 'reset', after: 0 }) },
  'reset call': { turn: () => ({ fault: 'reset', reply: looks('hat'), after: 'content' }) },
  'reset text': { turn: () => ({ fault: 'reset', reply: text, after: 'content' }) },
  hang: { silent: true, turn: () => ({ fault: 'hang' }) },
  'hang call': { silent: true, turn: () => ({ fault: 'hang', reply: looks('hat'), after: 'content' }) },
  'hang text': { silent: true, turn: () => ({ fault: 'hang', reply: text, after: 'content' }) },
  pings: { silent: true, turn: () => ({ fault: 'pings' }) },
  drip: { turn: (_, clock) => ({ fault: 'drip', reply: text, pace: () => clock.advance(20) }) },
  'trunc call': { turn: () => ({ fault: 'truncate', reply: looks('hat'), after: 'content' }) },
  'trunc text': { turn: () => ({ fault: 'truncate', reply: text, after: 'content' }) },
  'no_end': { turn: () => ({ fault: 'no_end', reply: text }) },
  'error first': { turn: () => ({ fault: 'error_event', reply: text }) },
  'error call': { turn: () => ({ fault: 'error_event', reply: looks('hat'), after: 'content' }) },
  'error text': { turn: () => ({ fault: 'error_event', reply: text, after: 'content' }) },
  'error_object': { turn: () => ({ fault: 'error_object' }) },
  'garble first': { turn: () => ({ fault: 'garble', reply: text }) },
  'garble call': { turn: () => ({ fault: 'garble', reply: looks('hat'), after: 'content' }) },
  'garble text': { turn: () => ({ fault: 'garble', reply: text, after: 'content' }) },
  html: { turn: () => ({ fault: 'html' }) },
  empty: { turn: () => ({ fault: 'empty' }) },
  wrong_type: { turn: () => ({ fault: 'wrong_type', reply: text }) },
  'double frames': { turn: () => ({ fault: 'double', reply: text, role: 'frame' }) },
  'double all': { turn: () => ({ fault: 'double', reply: text }) },
  'double call': { turn: () => ({ fault: 'double', reply: looks('hat') }) },
  'double call frames': { turn: () => ({ fault: 'double', reply: looks('hat'), role: 'frame' }) },
  args: { turn: () => ({ toolCalls: [{ toolName: 'look', parameters: '{"where":"b' }] }) },
  no_choices: { turn: () => ({ fault: 'no_choices' }) },
  nothing: { turn: () => ({ text: '' }) },
  '10MB': { turn: () => ({ text: big }) },
  '20MB': { turn: () => ({ text: big + big }) },
  'usage neg': { turn: () => ({ text: said, usage: { inputTokens: -5, outputTokens: 1e308 } }) },
  'usage half': { turn: () => ({ text: said, usage: { inputTokens: -5, outputTokens: 3 } }) },
  'usage absent': { turn: () => ({ text: said, usage: 'absent' }) },
}

describe.each(adapters.filter(({ name }) => name !== 'OpenRouter'))('$name', (adapter) => {
  test.each(Object.keys(faults).filter((n) => !process.env['ONLY'] || n.includes(process.env['ONLY'])))('%s', async (name) => {
    for (const { how, streams } of deliveries) {
      for (const times of [1, 9]) {
        const t0 = performance.now()
        const s = await tell(adapter, streams, faults[name]!, times)
        console.log('@@' + JSON.stringify([name, how, times, adapter.name, `${s.status} ${s.kind ?? ''} req=${s.requests - 1} ans=${String(s.answer).slice(0, 30)} part=${s.partial} shown=${s.shown.slice(0, 20)} ran=${s.ran} retries=${s.retries.map((r) => `${r.kind}:${r.delayMs}`)} gaps=${s.gaps} usage=${JSON.stringify(s.result.usage)} res=${s.results.slice(1).map((r) => r.slice(0, 60))} F=${s.faults}`, Math.round(performance.now() - t0)]))
      }
    }
  })
})
