import type { LLMErrorKind } from '../../errors.ts'
import type { DeliveryFault, FailureKind, StrictFault } from '../strict-contract.ts'
import { type MakeClient, Stage, sameKind, turns } from './client-stage.ts'
import { same } from './expectations.ts'

/** What each failure is told as, and whether the same request may succeed later. */
const kinds: Readonly<Record<FailureKind, { kinds: readonly LLMErrorKind[]; retryable: boolean }>> = {
  auth: { kinds: ['auth'], retryable: false },
  quota: { kinds: ['quota'], retryable: false },
  forbidden: { kinds: ['auth'], retryable: false },
  not_found: { kinds: ['not_found'], retryable: false },
  rate_limit: { kinds: ['rate_limit'], retryable: true },
  server_error: { kinds: ['overloaded'], retryable: true },
  unavailable: { kinds: ['overloaded'], retryable: true },
  overloaded: { kinds: ['overloaded'], retryable: true },
  context_length: { kinds: ['context_length'], retryable: false },
  invalid_request: { kinds: ['invalid_request'], retryable: false },
  // A part of the request may be too large, or all of it.
  too_large: { kinds: ['invalid_request', 'context_length'], retryable: false },
}

/** What a provider asks for in its headers, and how long that is in milliseconds. */
const waits: readonly (readonly [headers: Readonly<Record<string, string>>, ms: number | undefined])[] = [
  [{ 'retry-after': '7' }, 7_000],
  [{ 'retry-after': '0.5' }, 500],
  [{ 'retry-after': '30', 'retry-after-ms': '1500' }, 1_500],
  [{ 'retry-after': 'soon' }, undefined],
  [{ 'retry-after': '-5' }, undefined],
  [{ 'retry-after': 'Thu, 01 Jan 1970 00:00:00 GMT' }, undefined],
  [{}, undefined],
]

const early: readonly DeliveryFault[] = [
  { fault: 'truncate' },
  { fault: 'truncate', after: 'content' },
  { fault: 'truncate', after: 'content', inside: 'line' },
  { fault: 'truncate', after: 0, inside: 'character' },
]

const calling = { toolCalls: [{ id: 'call_1', toolName: 'look', parameters: { where: 'größer' } }] }

/** Answers that are none, and what they are told as. */
const noAnswers: readonly (readonly [StrictFault, ...LLMErrorKind[]])[] = [
  [{ fault: 'html' }, 'malformed'],
  [{ fault: 'empty' }, 'malformed'],
  [{ fault: 'null' }, 'malformed'],
  [{ fault: 'error_object' }, 'overloaded'],
  [{ fault: 'error_object', failure: 'rate_limit' }, 'rate_limit'],
  [{ fault: 'error_event' }, 'overloaded'],
  [{ fault: 'error_event', failure: 'server_error' }, 'overloaded'],
  [{ fault: 'reset' }, 'network'],
]

const stalls: readonly StrictFault[] = [
  { fault: 'hang' },
  { fault: 'hang', after: 0 },
  { fault: 'hang', after: 'content' },
  { fault: 'pings' },
  { fault: 'pings', after: 'content' },
]

/** How what goes wrong is told, by name. */
export const failureCases = {
  async 'tells failures by their kind, and whether to try again'(make: MakeClient): Promise<void> {
    await using stage = await Stage.open(make)
    for (const [fault, expected] of Object.entries(kinds)) {
      for (const verb of stage.verbs) {
        const error = await stage.failure(verb, { fault: fault as FailureKind }) // a key of the table
        sameKind(error, expected.kinds, `${fault}, by ${verb}`)
        same(error.retryable, expected.retryable, `${fault}, by ${verb}: whether to try again`)
      }
    }
    await stage.quiet()
  },

  async 'shows no key in an error, also one that the provider repeats'(make: MakeClient): Promise<void> {
    await using stage = await Stage.open(make)
    const message = `Incorrect API key provided: ${stage.subject.apiKey}.`
    // Every error is searched for the key.
    for (const verb of stage.verbs) {
      for (const fault of ['auth', 'invalid_request', 'server_error'] as const) {
        await stage.failure(verb, { fault, message })
      }
    }
  },

  async 'says how long the provider asks to wait'(make: MakeClient): Promise<void> {
    await using stage = await Stage.open(make)
    for (const verb of stage.verbs) {
      for (const [headers, ms] of waits) {
        const { retryAfterMs } = await stage.failure(verb, { fault: 'rate_limit', headers })
        same(retryAfterMs, ms, `${verb}, ${JSON.stringify(headers)}`)
      }
      const headers = { 'retry-after': 'Fri, 31 Dec 2100 23:59:59 GMT' }
      const { retryAfterMs = 0 } = await stage.failure(verb, { fault: 'rate_limit', headers })
      same(retryAfterMs > 0, true, `${verb}, a date`)
    }
  },

  async 'takes no answer that ended early for a whole one'(make: MakeClient): Promise<void> {
    await using stage = await Stage.open(make)
    for (const verb of stage.verbs) {
      for (const fault of early) {
        const error = await stage.failure(verb, fault)
        sameKind(error, ['malformed', 'network'], `${verb}, ${JSON.stringify(fault)}`)
        same(error.retryable, true, `${verb}, ${JSON.stringify(fault)}: whether to try again`)
      }
    }
    if (!stage.verbs.includes('stream')) return
    for (let after = 1; after <= 3; after++) {
      sameKind(
        await stage.failure('stream', { fault: 'truncate', reply: calling, after }),
        ['malformed', 'network'],
        `a call that is cut after event ${after}`,
      )
    }
  },

  async 'takes nothing else for an answer'(make: MakeClient): Promise<void> {
    await using stage = await Stage.open(make)
    for (const verb of stage.verbs) {
      for (const [fault, ...expected] of noAnswers) {
        sameKind(await stage.failure(verb, fault), expected, `${verb}, ${JSON.stringify(fault)}`)
      }
    }
    await stage.quiet()
  },

  async 'tells of an error in the middle of a stream, and of a connection that breaks'(
    make: MakeClient,
  ): Promise<void> {
    await using stage = await Stage.open(make)
    if (!stage.verbs.includes('stream')) return
    for (const [fault, kind] of [
      ['error_event', 'overloaded'],
      ['reset', 'network'],
    ] as const) {
      sameKind(await stage.failure('stream', { fault, after: 'content' }), [kind], fault)
    }
    await stage.quiet()
  },

  async 'reads an answer that comes byte by byte, or late'(make: MakeClient): Promise<void> {
    await using stage = await Stage.open(make)
    const text = 'Langsam, größer 👍.'
    for (const verb of stage.verbs) {
      const { response } = await stage.ask(verb, { fault: 'drip', reply: { text } })
      same(response.text, text, `${verb}: what dripped`)
      for (const fault of ['hang', 'pings'] as const) {
        const late: StrictFault = { fault, reply: { text }, after: 'content', until: turns(50) }
        const asked = await stage.ask(verb, late)
        same(asked.response.text, text, `${verb}: what came late, after ${fault}`)
      }
    }
  },

  async 'gives up an answer that stalls, and its request'(make: MakeClient): Promise<void> {
    await using stage = await Stage.open(make)
    for (const verb of stage.verbs) {
      for (const fault of stalls) {
        const error = await stage.stall(verb, fault)
        sameKind(error, ['stalled', 'timeout'], `${verb}, ${JSON.stringify(fault)}`)
        same(error.retryable, true, `${verb}, ${JSON.stringify(fault)}: whether to try again`)
        await stage.quiet()
      }
    }
  },
}
