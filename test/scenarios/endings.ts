import { isEvent } from '../../src/index.ts'
import type { StrictReply, StrictRequest } from '../../src/testing/index.ts'
import { forever } from './box.ts'
import type { Outcome, Scenario, Stage } from './support.ts'

const done = (answer: unknown) => ({ status: 'done', answer }) as const

const looks = (...places: readonly string[]): StrictReply => ({
  toolCalls: places.map((where) => ({ toolName: 'look', parameters: { where } })),
})
const waits = (patient: boolean): StrictReply => ({
  toolCalls: [
    { toolName: 'wait', parameters: { patient } },
    { toolName: 'look', parameters: { where: 'box' } },
  ],
})

/** What was said to the model since the last message of the user, that one included. */
function lastTurn({ body }: StrictRequest): { readonly said: string; readonly replies: number } {
  const messages = Array.isArray(body['messages']) ? body['messages'] : []
  const roles = messages.map(({ role, content }: Record<string, unknown>) => {
    // Some wires have the results of tools in messages of the user.
    const isResults = Array.isArray(content) && content.every(({ type }) => type === 'tool_result')
    return isResults ? 'tool' : role
  })
  const at = roles.lastIndexOf('user')
  const replies = roles.slice(at).filter((role: unknown) => role === 'assistant').length
  return { said: JSON.stringify(messages[at]), replies }
}

/** A plan, a step of two tools, an answer; or an answer at once, to `Again.` */
function threeReplies(request: StrictRequest): StrictReply {
  const { said, replies } = lastTurn(request)
  if (said.includes('Again.')) return { text: 'Here again.' }
  if (replies === 0) return { toolCalls: [{ toolName: 'plan', parameters: { plan: 'Look.' } }] }
  return replies === 1 ? { text: 'Looking.', ...looks('box', 'hat') } : { text: 'Both.' }
}

const textEvents: readonly string[] = ['stream_start', 'token', 'retracted', 'stream_end']

/** Runs until its `n`th event (of those that count) and leaves, goes on with the conversation, and begins anew with the next. */
async function leaveAtEach({ run }: Stage, count: number, counts: (type: string) => boolean): Promise<void> {
  for (let last = 1; last <= count; last++) {
    const conversation = `left-at-${last}`
    let seen = 0
    await run('Go.', { conversation }, ({ type }) => {
      if (counts(type)) seen += 1
      return counts(type) && seen === last ? 'leave' : undefined
    })
    await run('Again.', { conversation })
  }
}

/** The clock goes on as soon as a tool has begun. */
const timePasses =
  (ms: number) =>
  async ({ run, clock }: Stage): Promise<void> => {
    await run('Go.', {}, (event) => {
      const begins =
        isEvent(event, 'tool_execution') && event.status === 'started' && event.toolName === 'wait'
      if (begins) void clock.advance(ms)
    })
    await run('Again.')
  }

const looked = 'look: A box.'
const unknown = 'Its outcome is unknown: check before you call it again.'

const left = { status: 'aborted', error: 'aborted' } as const
const planned = { ...left, plan: 'Look.' }
const looking = (partial: string) => ({ ...planned, partial })
const stopped = 'look: Not executed: the run was stopped before this call began.'
const both = [[looked, 'look: A hat.']]
const whole = { ...done('Both.'), plan: 'Look.', steps: both }

/** Each with the run that goes on after it. */
const goneOn = (...outcomes: readonly Outcome[]): Outcome[] =>
  outcomes.flatMap((outcome) => [outcome, done('Here again.')])

/** Runs that end otherwise than with an answer, or almost do; each conversation goes on afterwards. */
export const endings: readonly Scenario[] = [
  {
    name: 'a text that is cut, then said in fewer words',
    sends: ['Say it in fewer words.'],
    forgets: 'A long ans',
    script: [{ text: 'A long ans', stop: 'length' }, { text: 'Short.' }, { text: 'Yes.' }],
    inputs: ['Go.', 'Sure?'],
    outcomes: [done('Short.'), done('Yes.')],
  },
  {
    name: 'texts that stay cut',
    script: [{ text: 'A long ans', stop: 'length' }, { text: 'Still lon', stop: 'length' }, { text: 'Yes.' }],
    inputs: ['Go.', 'Again.'],
    outcomes: [{ status: 'failed', partial: 'Still lon', error: 'response_parse' }, done('Yes.')],
  },
  {
    name: 'a refusal',
    script: [{ refusal: 'I cannot.' }, { text: 'This I can.' }],
    inputs: ['Go.', 'Then this.'],
    outcomes: [{ status: 'refused', partial: 'I cannot.', error: 'refused' }, done('This I can.')],
  },
  {
    name: 'an answer stopped by a content filter',
    script: [{ text: 'It is', stop: 'content_filter' }, { text: 'Fine.' }],
    inputs: ['Go.', 'Then this.'],
    outcomes: [{ status: 'refused', partial: 'It is', error: 'refused' }, done('Fine.')],
  },
  {
    name: 'an empty reply, then an answer',
    sends: ['Your reply was empty.'],
    forgets: 'Your reply was empty.',
    script: [{ text: '' }, { text: 'Here.' }, { text: ' \n' }, { text: 'Here too.' }, { text: 'Yes.' }],
    inputs: ['Go.', 'Again.', 'Sure?'],
    outcomes: [done('Here.'), done('Here too.'), done('Yes.')],
  },
  {
    name: 'empty replies only',
    script: [{}, {}, { text: 'Here.' }],
    inputs: ['Go.', 'Again.'],
    outcomes: [{ status: 'failed', error: 'llm malformed' }, done('Here.')],
  },
  {
    name: 'a provider that asks to wait, then one that is broken, then an answer',
    script: [{ status: 429, headers: { 'retry-after': '7' } }, { status: 500 }, { text: 'Here.' }],
    outcomes: [{ ...done('Here.'), waits: [7_000, 2_000] }],
  },
  {
    name: 'a provider that fails after a tool has run',
    script: [looks('box'), { status: 503 }, { status: 503 }, { status: 503 }, { text: 'A box.' }],
    inputs: ['Go.', 'Go on.'],
    outcomes: [
      { status: 'failed', error: 'llm overloaded', waits: [1_000, 2_000], steps: [[looked]] },
      done('A box.'),
    ],
  },
  {
    name: 'a tool that is stopped when time is up',
    agent: { timeoutMs: 1_000 },
    script: [waits(false), { text: 'Here again.' }],
    play: timePasses(1_000),
    outcomes: [
      {
        status: 'limit',
        limit: 'time',
        error: 'run_timeout',
        steps: [[`wait: Error: The run was stopped before the tool "wait" finished. ${unknown}`, looked]],
      },
      done('Here again.'),
    ],
  },
  {
    name: 'a tool that does not stop when time is up',
    agent: { timeoutMs: 1_000 },
    script: [waits(true), { text: 'Here again.' }],
    play: timePasses(2_000),
    outcomes: [
      {
        status: 'limit',
        limit: 'time',
        error: 'run_timeout',
        steps: [
          [
            `wait: Error: The run was stopped before the tool "wait" finished. It did not stop and was left behind. ${unknown}`,
            looked,
          ],
        ],
      },
      done('Here again.'),
    ],
  },
  {
    name: 'a run that is aborted while the model is silent',
    provider: {
      hold: async (request) => (lastTurn(request).said.includes('Again.') ? undefined : forever()),
    },
    script: [{ text: 'Never said.' }, { text: 'Here again.' }],
    play: async ({ run, provider, clock }) => {
      const controller = new AbortController()
      const running = run('Go.', { signal: controller.signal })
      while (provider.requests.length === 0) await clock.advance(0)
      controller.abort(new Error('enough'))
      await running
      await run('Again.')
    },
    outcomes: [{ status: 'aborted', error: 'aborted' }, done('Here again.')],
  },
  {
    name: 'a run that is aborted in the middle of its answer',
    sends: ['One two'],
    streamOnly: true,
    script: [{ text: 'One two three four five.' }, { text: 'Here again.' }],
    play: async ({ run }) => {
      const controller = new AbortController()
      let tokens = 0
      await run('Go.', { signal: controller.signal }, (event) => {
        if (isEvent(event, 'token') && ++tokens === 3) controller.abort(new Error('enough'))
      })
      await run('Again.')
    },
    outcomes: [{ status: 'aborted', partial: 'One two', error: 'aborted' }, done('Here again.')],
  },
  {
    name: 'runs left at each of their events',
    script: threeReplies,
    play: (stage) => leaveAtEach(stage, 13, (type) => !textEvents.includes(type)),
    outcomes: goneOn(
      left,
      planned,
      planned,
      looking('Looking.'),
      looking('Looking.'),
      { ...looking('Looking.'), steps: [[stopped, stopped]] },
      { ...looking('Looking.'), steps: [[stopped, stopped]] },
      { ...looking('Looking.'), steps: both },
      { ...looking('Looking.'), steps: both },
      { ...looking('Looking.'), steps: both },
      whole,
      whole,
      whole,
    ),
  },
  {
    name: 'runs left at each piece of text',
    streamOnly: true,
    script: threeReplies,
    play: (stage) => leaveAtEach(stage, 12, (type) => textEvents.includes(type)),
    outcomes: goneOn(
      left,
      planned,
      planned,
      looking('Looking'),
      looking('Looking'),
      looking('Looking.'),
      looking('Looking.'),
      looking('Looking.'),
      looking('Looking.'),
      { ...looking('Both'), steps: both },
      { ...looking('Both'), steps: both },
      { ...looking('Both.'), steps: both },
    ),
  },
  {
    name: 'two conversations at once',
    script: (request) => {
      const { said, replies } = lastTurn(request)
      const where = said.includes('Hat?') ? 'hat' : 'box'
      return replies === 0
        ? { toolCalls: [{ id: where, toolName: 'look', parameters: { where } }] }
        : { text: `A ${where}.` }
    },
    play: async ({ run }) => {
      const conversations = ['a', 'b'] as const
      await Promise.all(
        conversations.map((conversation) => run(conversation === 'a' ? 'Box?' : 'Hat?', { conversation })),
      )
      await Promise.all(
        conversations.map((conversation) => run(conversation === 'a' ? 'Hat?' : 'Box?', { conversation })),
      )
    },
    outcomes: [
      { ...done('A box.'), steps: [['look: A box.']] },
      { ...done('A hat.'), steps: [['look: A hat.']] },
      { ...done('A hat.'), steps: [['look: A hat.']] },
      { ...done('A box.'), steps: [['look: A box.']] },
    ],
  },
  {
    name: 'two runs at once in one conversation, which take turns',
    script: (request) => ({ text: lastTurn(request).said.includes('One?') ? 'One.' : 'Two.' }),
    play: async ({ run }) => {
      await Promise.all([run('One?'), run('Two?')])
    },
    outcomes: [done('One.'), done('Two.')],
  },
]
