import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { AgentEvent } from '../../src/events.ts'
import { type Delivery, type Dialogue, dialogue, type Held, hold } from './support/dialogue.ts'
import { trials } from './support/law.ts'

const timeout = 60_000

const otherDeliveries: readonly Delivery[] = [
  { protocol: 'native', stream: false },
  { protocol: 'json', stream: true },
  { protocol: 'json', stream: false },
]

it('law 8: native and JSON, streamed and not, say and do the same', { timeout }, async () => {
  await fc.assert(
    fc.asyncProperty(dialogue, async (planned) => {
      const native = await hold(planned, { protocol: 'native', stream: true })
      expect(native.result.answer).toBe(planned.final)
      for (const delivery of otherDeliveries) {
        const held = await hold(planned, delivery)
        expect(essence(held), JSON.stringify(delivery)).toEqual(essence(native))
      }
    }),
    trials(),
  )
})

it('law 9: the same replies give the same entries and events, to the byte', { timeout }, async () => {
  await fc.assert(
    fc.asyncProperty(
      dialogue,
      fc.constantFrom('native', 'json'),
      fc.boolean(),
      async (planned, protocol, stream) => {
        const [one, other] = [
          await hold(planned, { protocol, stream }),
          await hold(planned, { protocol, stream }),
        ]
        expect(JSON.stringify(other.entries)).toBe(JSON.stringify(one.entries))
        expect(JSON.stringify(other.events)).toBe(JSON.stringify(one.events))
      },
    ),
    trials(),
  )
})

it('law 10: however a reply is cut into pieces, it says the same, and its tokens add up to it', {
  timeout,
}, async () => {
  const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(
      dialogue,
      fc.constantFrom('native', 'json'),
      cuts,
      fc.integer({ min: 1, max: 9 }),
      async (planned, protocol, places, chunkSize) => {
        const whole = await hold(planned, { protocol, stream: true })
        const pieces = await hold(planned, { protocol, stream: true, cuts: places, chunkSize })
        expect(pieces.entries).toEqual(whole.entries)
        expect(essence(pieces)).toEqual(essence(whole))
        for (const { events } of [whole, pieces]) expect(shown(events)).toEqual(meant(planned))
      },
    ),
    trials(),
  )
})

/** Everything but how it was said: no tokens, no envelope, and not what it was made of. */
function essence({ events, executions, result }: Held) {
  const silent: ReadonlySet<string> = new Set(['token', 'stream_start', 'stream_end', 'retracted'])
  const { answer, steps, plan, status, usage } = result
  return {
    events: events
      .filter(({ type }) => !silent.has(type))
      .map(({ context: _, ...event }: Contextual) => event),
    executions,
    answer,
    steps: steps.map(({ context: _, ...step }) => step),
    plan,
    status,
    usage,
  }
}

type Contextual = AgentEvent & { readonly context?: unknown }

type Said = { answer: string; thought: string; plan: string }

/** What a reader of the tokens is left with after each iteration. */
function shown(events: readonly AgentEvent[]): Said[] {
  const byStep = new Map<string, Said>()
  for (const event of events) {
    if (event.type === 'stream_start') byStep.set(event.stepId, { answer: '', thought: '', plan: '' })
    if ((event.type !== 'token' && event.type !== 'retracted') || event.channel === 'reasoning') continue
    const said = byStep.get(event.stepId)
    if (said) said[event.channel] = event.type === 'token' ? said[event.channel] + event.text : ''
  }
  return [...byStep.values()]
}

function meant({ turns, final }: Dialogue): Said[] {
  const steps = turns.map(({ plan = '', thought }) => ({ answer: '', thought, plan }))
  return [...steps, { answer: final, thought: '', plan: '' }]
}
