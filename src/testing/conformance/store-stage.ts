import { inspect } from 'node:util'
import { isTercetError } from '../../errors.ts'
import { noUsage, user } from '../../messages.ts'
import type { Entry } from '../../transcript/entry.ts'
import type { ConversationStore } from '../../transcript/store.ts'
import { same, thrownBy } from './expectations.ts'

/** A store that has no conversations and is not initialised, and what else a case may need. */
export interface StoreUnderTest {
  readonly store: ConversationStore
  /** Another store, not initialised, on what `store` keeps: as another process has it. */
  readonly reopen?: () => Promise<ConversationStore>
  /** Puts `text` in the place of what is stored of an entry. */
  readonly corrupt?: (id: string, position: number, text: string) => Promise<void>
  /** Closes all of it, also a store that is closed already, and removes what was kept. */
  close(): Promise<void>
}

export type MakeStore = () => Promise<StoreUnderTest>

/** One store, made for one case, with what a case needs to do. */
export class StoreStage implements AsyncDisposable {
  readonly subject: StoreUnderTest

  /** With a store that is ready. */
  static async open(make: MakeStore): Promise<StoreStage> {
    const stage = new StoreStage(await make())
    await stage.store.init()
    return stage
  }

  static async unopened(make: MakeStore): Promise<StoreStage> {
    return new StoreStage(await make())
  }

  private constructor(subject: StoreUnderTest) {
    this.subject = subject
  }

  get store(): ConversationStore {
    return this.subject.store
  }

  /** Another store on the same data, ready. */
  async reopened(): Promise<ConversationStore> {
    if (!this.subject.reopen) throw new Error('Give `reopen`, or make an exception and say why it cannot be.')
    const store = await this.subject.reopen()
    await store.init()
    return store
  }

  async corrupt(id: string, position: number, text: string): Promise<void> {
    if (!this.subject.corrupt)
      throw new Error('Give `corrupt`, or make an exception and say why it cannot be.')
    await this.subject.corrupt(id, position, text)
  }

  /** The conversation holds these entries and no others, as the same JSON. */
  async holds(id: string, entries: readonly Entry[], store = this.store): Promise<void> {
    sameEntries(await store.read(id), entries, `the conversation ${inspect(id)}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.subject.close()
  }
}

/** Equal, and the same JSON to the byte. */
export function sameEntries(actual: readonly Entry[], expected: readonly Entry[], what: string): void {
  same(actual.length, expected.length, `${what}: the number of entries`)
  for (const [position, entry] of expected.entries()) {
    const place = `${what}, position ${position}`
    same(actual[position], entry, place)
    same(JSON.stringify(actual[position]), JSON.stringify(entry), `${place}, as JSON`)
  }
}

/** It fails with the error of that code, and with those members. */
export async function failsWith(
  promise: PromiseLike<unknown>,
  code: 'conflict' | 'store' | 'corrupt_entry',
  members: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const thrown = await thrownBy(promise)
  if (!isTercetError(thrown) || thrown.code !== code) {
    throw new Error(`It should have failed with code ${code}, and threw ${inspect(thrown)}.`, {
      cause: thrown,
    })
  }
  const found = Object.fromEntries(Object.keys(members).map((name) => [name, Reflect.get(thrown, name)]))
  same(found, members, 'what the error says')
}

/** An entry that can be told from others by its text. */
export function said(text: string): Entry {
  return { type: 'message', message: user(text) }
}

export function saidEach(count: number, from = 0): readonly Entry[] {
  return Array.from({ length: count }, (_, index) => said(`${from + index}`))
}

export const runBegins: Entry = { type: 'input', runId: 'run-1', message: user('Go') }
export const runWaits: Entry = { type: 'run_suspended', runId: 'run-1' }
export const runGoesOn: Entry = { type: 'run_resumed', runId: 'run-1' }
export const runEnds: Entry = { type: 'run_ended', runId: 'run-1', status: 'done' }

/** One entry of each type, with every member that it can have. */
export const everyEntry: readonly Entry[] = [
  runBegins,
  {
    type: 'message',
    message: {
      role: 'user',
      content: [
        { type: 'text', text: 'Look' },
        { type: 'image', url: 'data:image/png;base64,AA==' },
      ],
    },
    runId: 'run-1',
  },
  {
    type: 'reply',
    runId: 'run-1',
    stepId: 'run-1/1',
    kind: 'step',
    text: 'I look.',
    plan: 'Look, then answer.',
    toolCalls: [{ id: 'call-1', toolName: 'look', parameters: { b: 1, a: [null, true, 0.1, { '': '' }] } }],
    reasoning: [{ provider: 'p', model: 'm', text: 'Hm.', opaque: { signature: 'c2ln' } }],
    raw: '{"plan":"…"}',
    stopReason: 'tool_calls',
    usage: { ...noUsage, inputTokens: 10, outputTokens: 5, cachedInputTokens: 3, costUsd: 0.001 },
    provider: 'p',
    model: 'm',
  },
  { type: 'tool_started', runId: 'run-1', callId: 'call-1', idempotencyKey: 'run-1:call-1' },
  {
    type: 'approval_requested',
    runId: 'run-1',
    callId: 'call-1',
    toolName: 'look',
    parameters: { b: 1 },
    expiresAt: 1,
  },
  runWaits,
  {
    type: 'approval_decided',
    runId: 'run-1',
    callId: 'call-1',
    decision: { decision: 'edit', parameters: { b: 2 } },
  },
  runGoesOn,
  {
    type: 'tool_finished',
    runId: 'run-1',
    result: {
      callId: 'call-1',
      toolName: 'look',
      ok: false,
      output: 'It is dark.',
      data: { lux: 0 },
      error: { code: 'tool_execution', message: 'It is dark.' },
      durationMs: 12.5,
    },
    nudge: 'Try another lamp.',
  },
  {
    type: 'block',
    change: {
      do: 'write',
      label: 'user',
      tier: 'core',
      permission: 'readwrite',
      content: 'Ada',
      description: 'Who',
    },
  },
  { ...runEnds, status: 'limit', limit: 'time', error: { code: 'run_timeout', message: 'Too long.' } },
]

/** What spoils in careless hands. */
export const hostileTexts: readonly string[] = [
  '',
  ' ',
  'null',
  '\0',
  'before\0after',
  '\ud83d\ude00 and é, e\u0301, \u05d0',
  '\ud83d',
  '\ude00\ud83d',
  '\u2028\u2029\ufeff\ufffe\uffff',
  '__proto__',
  'constructor',
  "'; DROP TABLE entries; --",
  '"quoted" \\ and {braces}, $1 ?1 %s',
  '../../etc/passwd',
  'line\r\nbreak\ttab\u0001\u007f',
]
