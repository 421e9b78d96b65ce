import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import {
  Agent,
  type ConversationStore,
  type Effect,
  type Entry,
  MemoryStore,
  type RunStream,
  tool,
} from '../src/index.ts'
import {
  calls,
  fails,
  hangs,
  ScriptedClient,
  type ScriptedReply,
  virtualClock,
} from '../src/testing/index.ts'
import { dyingStore, failingStore } from './laws/support/unreliable-stores.ts'
import { tableOf } from './support/markdown.ts'
import { read } from './support/repository.ts'

const disasters = [
  'the process dies',
  'the run is stopped',
  'the model call fails',
  'the store fails once',
] as const
type Disaster = (typeof disasters)[number]

/** What a run did, on both sides of a disaster. */
interface Story {
  /** The entries when all was over, and how many of them were acknowledged by the disaster. */
  readonly before: readonly Entry[]
  readonly after: readonly Entry[]
  readonly executions: readonly { readonly key: string; readonly isLater: boolean }[]
  readonly partial: string | undefined
  /** What the model was told of the call in its next request. */
  readonly told: string | undefined
  readonly status: string | undefined
}

interface Plot {
  readonly effect?: Effect
  readonly confirm?: boolean
  readonly replies: readonly ScriptedReply[]
  /** When it happens: as soon as an entry of this kind is to be stored, is stored, or a tool or reply is under way. */
  readonly when:
    | { readonly storing: Entry['type'] }
    | { readonly stored: Entry['type'] }
    | 'during the call'
    | 'during the reply'
}

async function tell(disaster: Disaster, plot: Plot): Promise<Story> {
  const store = new MemoryStore()
  const executions: { key: string; isLater: boolean }[] = []
  let isLater = false
  let stream: RunStream | undefined
  let view = dyingStore(store)
  let underWay = () => {}
  const began = new Promise<void>((resolve) => {
    underWay = resolve
  })
  const act = tool({
    name: 'act',
    description: 'Acts',
    parameters: { type: 'object' },
    effect: plot.effect ?? 'once',
    execute: async (_, { idempotencyKey, signal }) => {
      executions.push({ key: idempotencyKey, isLater })
      underWay()
      if (plot.when !== 'during the call' || isLater || disaster === 'the store fails once') return 'acted'
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    },
  })
  const agentWith = (script: readonly ScriptedReply[], on: ConversationStore) => {
    const client = new ScriptedClient(script)
    const policy = plot.confirm ? { policy: { confirm: 'act' } } : {}
    return {
      client,
      agent: new Agent({
        client,
        tools: [act],
        store: on,
        retry: false,
        runtime: virtualClock({ auto: false }).runtime,
        ...policy,
      }),
    }
  }

  const at = await appendOf(plot)
  if (disaster === 'the process dies' && typeof plot.when === 'object') {
    view = dyingStore(store, { at, when: 'stored' in plot.when ? 'after' : 'before' })
  }
  const on = disaster === 'the store fails once' ? failingStore(store, at, 'throws') : view.view
  const one = agentWith(plot.replies, on)
  stream = one.agent.runStream('Go', { conversation: 'c' })
  const watching = (async () => {
    for await (const event of stream) {
      if (event.type === 'token') underWay()
      if (disaster !== 'the run is stopped' || typeof plot.when !== 'object') continue
      const [last] = (await store.read('c')).slice(-1)
      if ('stored' in plot.when && last?.type === plot.when.stored) stream.abort()
    }
  })()
  if (typeof plot.when !== 'object') await began
  if (disaster === 'the process dies') {
    if (typeof plot.when === 'object') while (!view.life.isDead) await setImmediate()
    // Killed in the middle: nothing it does from now on reaches the store.
    view.life.isDead = true
  } else {
    if (disaster === 'the run is stopped' && typeof plot.when !== 'object') stream.abort()
    await watching
  }
  const result = disaster === 'the process dies' ? undefined : await stream.result
  const before = await store.read('c')

  isLater = true
  const isSame = disaster === 'the store fails once'
  const two = isSame ? one : agentWith(['The end.'], store)
  const resumed = await two.agent.resumeStream('c').result
  const answers = two.client.requests.at(-1)?.messages.filter(({ role }) => role === 'tool')
  return {
    before,
    after: await store.read('c'),
    executions,
    partial: result?.partial,
    told: answers?.at(-1)?.content as string | undefined, // of a tool message
    status: resumed.status,
  }
}

/** Which append holds the entry at which the plot turns. */
async function appendOf({ when, replies, confirm }: Plot): Promise<number> {
  const type = typeof when !== 'object' ? 'tool_finished' : 'stored' in when ? when.stored : when.storing
  let appends = -1
  let found = -1
  class Watched extends MemoryStore {
    override append(id: string, version: number, entries: readonly Entry[]) {
      appends++
      if (found < 0 && entries.some((entry) => entry.type === type)) found = appends
      return super.append(id, version, entries)
    }
  }
  const act = tool({
    name: 'act',
    description: 'Acts',
    parameters: { type: 'object' },
    execute: () => 'acted',
  })
  const policy = confirm ? { policy: { confirm: 'act' } } : {}
  const client = new ScriptedClient(
    replies.filter((reply) => typeof reply !== 'object' || !('hangs' in reply)),
  )
  await new Agent({ client, tools: [act], store: new Watched(), retry: false, ...policy }).runStream('Go')
    .result
  return found
}

const once = (story: Story) => story.executions.length === 1
const ran = (story: Story) => story.executions.length
const prefixIsKept = ({ before, after }: Story) =>
  JSON.stringify(after.slice(0, before.length)) === JSON.stringify(before)

/** The words of the table, as what is seen of a story. */
const words: Readonly<Record<string, (story: Story) => boolean>> = {
  kept: (story) => story.before.length > 0 && prefixIsKept(story),
  'said anew': ({ after, status }) => status === 'done' && after.at(-2)?.type === 'reply',
  'kept as `partial`, said anew': ({ partial, before, status }) =>
    partial === 'Hel' &&
    status === 'done' &&
    before.some((entry) => entry.type === 'reply' && entry.kind === 'partial'),
  executed: (story) => once(story) && story.executions[0]?.isLater === true,
  'not executed, the model is told': (story) =>
    ran(story) === 0 && story.told?.startsWith('Not executed') === true,
  'never again': (story) => once(story) && story.executions[0]?.isLater === false && story.told === 'acted',
  'executed again': (story) =>
    ran(story) === 2 && story.executions[1]?.isLater === true && story.told === 'acted',
  'executed again, same key': (story) =>
    ran(story) === 2 && story.executions[0]?.key === story.executions[1]?.key && story.told === 'acted',
  'stopped, the model is told': (story) =>
    once(story) && story.told?.includes('It may be called again') === true,
  'unknown, the model is told': (story) => once(story) && /outcome (is )?unknown/i.test(story.told ?? ''),
  'its result is kept': (story) => once(story) && story.told === 'acted',
  waits: ({ status, executions }) => status === 'suspended' && executions.length === 0,
}

const callsOnce: readonly ScriptedReply[] = [calls(['act', {}, 'a']), 'The end.']

/** What is at stake, and when the disaster strikes it. */
const stakes: Readonly<Record<string, (disaster: Disaster) => Plot>> = {
  'what was written down': (disaster) => ({
    replies:
      disaster === 'the model call fails' ? [calls(['act', {}, 'a']), fails('auth'), 'The end.'] : callsOnce,
    when: { stored: 'tool_finished' },
  }),
  'a reply that was arriving': (disaster) => ({
    replies: [disaster === 'the model call fails' ? fails('network', { after: ['Hel'] }) : hangs(['Hel'])],
    when: 'during the reply',
  }),
  'a call that had not begun': (disaster) => ({
    replies: callsOnce,
    when: disaster === 'the store fails once' ? { storing: 'tool_started' } : { stored: 'reply' },
  }),
  'a call that had finished': (disaster) => ({
    replies:
      disaster === 'the model call fails' ? [calls(['act', {}, 'a']), fails('auth'), 'The end.'] : callsOnce,
    when: disaster === 'the store fails once' ? { storing: 'tool_finished' } : { stored: 'tool_finished' },
  }),
  'a `read` call under way': () => ({ effect: 'read', replies: callsOnce, when: 'during the call' }),
  'an `idempotent` call under way': () => ({
    effect: 'idempotent',
    replies: callsOnce,
    when: 'during the call',
  }),
  'a `once` call under way': () => ({ effect: 'once', replies: callsOnce, when: 'during the call' }),
  'a call that waits for approval': (disaster) => ({
    confirm: true,
    replies: callsOnce,
    when:
      disaster === 'the store fails once' ? { storing: 'run_suspended' } : { stored: 'approval_requested' },
  }),
}

describe('docs/what-survives-what.md says truly that', () => {
  const rows = tableOf(read('docs/what-survives-what.md'), '')

  it('has a row for each thing at stake, and only words that are tested', () => {
    expect(rows.map(([stake]) => stake)).toEqual(Object.keys(stakes))
    const cells = rows.flatMap(([, ...cells]) => cells)
    expect(cells.filter((cell) => cell !== '–' && !Object.hasOwn(words, cell))).toEqual([])
  })

  const cells = rows.flatMap(([stake = '', ...row]) =>
    disasters.map((disaster, column) => ({ stake, disaster, cell: row[column] ?? '' })),
  )
  it.each(cells.filter(({ cell }) => cell !== '–'))(
    'when $disaster, $stake: $cell',
    async ({ stake, disaster, cell }) => {
      const plot = stakes[stake]?.(disaster)
      if (!plot) throw new Error(`There is no test for ${stake}.`)
      const story = await tell(disaster, plot)
      expect(words[cell]?.(story), JSON.stringify(story, null, 1)).toBe(true)
      expect(prefixIsKept(story)).toBe(true)
    },
  )
})
