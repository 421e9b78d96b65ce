import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Agent, type ContextReport, isEvent, type LLMRequest, type Message, tool } from '../../src/index.ts'
import { TokenCounts } from '../../src/memory/tokens.ts'
import { calls, json, plans, type Reply, ScriptedClient, says } from '../../src/testing/index.ts'
import { trials, uphold } from './support/law.ts'

type Turn =
  | { readonly kind: 'step'; readonly results: readonly number[]; readonly steered: boolean }
  | { readonly kind: 'plan' | 'unreadable' }

const turn: fc.Arbitrary<Turn> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('step' as const),
      results: fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 3 }),
      steered: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('plan' as const, 'unreadable' as const) }) },
)

const conversations = fc.record({
  /** Each run with its turns before the answer; a long one has to land. */
  runs: fc.array(fc.array(turn, { maxLength: 14 }), { minLength: 1, maxLength: 4 }),
  protocol: fc.constantFrom('native' as const, 'json' as const),
  planning: fc.constantFrom('auto' as const, 'required' as const, 'off' as const),
  stream: fc.boolean(),
})

it('law 11: a request begins as the one before it, to the byte', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(conversations, async (planned) => {
      const { requests, contexts } = await hold(planned)
      uphold(...misreported(requests, contexts))
      uphold(
        ...pairs(requests).map(
          ([before, after]) => changedFrame(before, after) ?? changedPast(before, after),
        ),
      )
    }),
    trials(400),
  )
})

it('law 11: with a window, only what is dropped changes it, and only at a few boundaries', {
  timeout: 60_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(
      conversations,
      fc.integer({ min: 2_000, max: 8_000 }),
      async (planned, contextWindow) => {
        const { requests, contexts } = await hold(planned, contextWindow)
        uphold(...misreported(requests, contexts))
        const changed = pairs(requests).filter(([before, after]) => changedPast(before, after) !== undefined)
        uphold(
          ...pairs(requests).map(([before, after]) => changedFrame(before, after)),
          // What the JSON protocol writes around messages is not known to the memory, so that near the limit a cut may go back.
          ...changed.map(([before, after]) =>
            planned.protocol === 'native' ? rewritten(before, after) : undefined,
          ),
        )
        // Steps are an eighth of what is left for messages at least; each new question lets the one before it go.
        const most = Math.ceil(sizeOf(requests) / (contextWindow / 16)) + planned.runs.length
        expect(changed.length).toBeLessThanOrEqual(Math.max(0, most))
      },
    ),
    trials(200),
  )
})

/** The requests of a whole conversation, and what was told of them. */
async function hold(
  { runs, protocol, planning, stream }: typeof conversations extends fc.Arbitrary<infer Case> ? Case : never,
  contextWindow?: number,
): Promise<{ requests: readonly LLMRequest[]; contexts: readonly (ContextReport | undefined)[] }> {
  let made = 0
  let turns: Turn[] = []
  const contexts: (ContextReport | undefined)[] = []
  let steer: (text: string) => void = () => {}
  const search = tool({
    name: 'search',
    description: 'Finds',
    parameters: { type: 'object', properties: { size: { type: 'number' } } },
    effect: 'read',
    execute: ({ size }) => `found ${++made} ${'word '.repeat(Number(size))}`,
  })
  const client = new ScriptedClient((request) => {
    const next = isLanding(request) ? undefined : turns.shift()
    if (next?.kind === 'step' && next.steered) steer(`And ${++made}?`)
    return replyTo(next, protocol, ++made)
  })
  const agent = new Agent({
    client,
    protocol,
    planning,
    stream,
    tools: [search],
    instructions: 'Look things up.',
    maxIterations: 8,
    onLimit: 'land',
    ...(contextWindow !== undefined && { contextWindow }),
  })
  for (const run of runs) {
    turns = [...run]
    const running = agent.runStream(`Question ${++made}?`)
    steer = (text) => void running.steer(text)
    for await (const event of running) if (isEvent(event, 'usage')) contexts.push(event.context)
    await running.result
  }
  return { requests: client.requests, contexts }
}

function replyTo(next: Turn | undefined, protocol: 'native' | 'json', count: number): Reply | string {
  const isJson = protocol === 'json'
  switch (next?.kind) {
    case undefined:
      return isJson ? json({ final_answer: `Answer ${count}` }) : `Answer ${count}`
    case 'plan':
      return isJson ? json({ plan: `Plan ${count}` }) : plans(`Plan ${count}`)
    case 'unreadable':
      return isJson ? '```json\n{"tool_calls": 5' : says('Cut off in the mid', { stopReason: 'length' })
    case 'step': {
      const made = next.results.map((size, index) => ({ id: `c${count}_${index}`, parameters: { size } }))
      if (!isJson)
        return calls('I look.', ...made.map(({ id, parameters }) => ['search', parameters, id] as const))
      const toolCalls = made.map(({ id, parameters }) => ({ id, tool_name: 'search', parameters }))
      return json({ tool_thought: 'I look.', tool_calls: toolCalls })
    }
  }
}

/** What is told of each request, held against the request. */
function misreported(
  requests: readonly LLMRequest[],
  contexts: readonly (ContextReport | undefined)[],
): (string | undefined)[] {
  const counts = new TokenCounts()
  return requests.map((request, at) => {
    const context = contexts[at]
    if (!context) return `nothing is told of request ${at}`
    const before = requests[at - 1]
    const sum = Object.values(context.segments).reduce((tokens: number, each: number) => tokens + each, 0)
    if (sum !== context.tokens || sum !== counts.request(request)) return `${sum} tokens: ${textOf(context)}`
    const isStable =
      before !== undefined &&
      changedFrame(before, request) === undefined &&
      before.messages.every((message, index) => textOf(message) === textOf(request.messages[index]))
    return isStable === context.prefixStable ? undefined : `request ${at}: ${textOf(context)}`
  })
}

const pairs = (requests: readonly LLMRequest[]): (readonly [LLMRequest, LLMRequest])[] =>
  requests.slice(1).flatMap((after, at) => {
    const before = requests[at]
    return before ? [[before, after] as const] : []
  })

const textOf = (value: unknown) => JSON.stringify(value)

function changedFrame(before: LLMRequest, after: LLMRequest): string | undefined {
  if (before.system !== after.system)
    return `the instructions changed: ${textOf([before.system, after.system])}`
  return textOf(before.tools) === textOf(after.tools) ? undefined : 'the tools changed'
}

/** What of the conversation itself does not stand at the same place in the next request. */
function changedPast(before: LLMRequest, after: LLMRequest): string | undefined {
  const past = lasting(before.messages)
  const at = past.findIndex((message, index) => textOf(message) !== textOf(after.messages[index]))
  return at < 0 ? undefined : `messages[${at}] changed: ${textOf([past[at], after.messages[at]])}`
}

/** A message that stands among those of the request before and was not among them: nothing is rewritten, only dropped. */
function rewritten(before: LLMRequest, after: LLMRequest): string | undefined {
  const past = lasting(before.messages).map(textOf)
  // Something older may come back: where it had to make room for what was said in one request only, or for a question that
  // need not stay any longer.
  if (past.length < before.messages.length || questionOf(before) !== questionOf(after)) return undefined
  let at = 0
  let strange: string | undefined
  for (const message of after.messages) {
    const text = textOf(message)
    const place = past.indexOf(text, at)
    if (place < 0) strange ??= text
    else if (strange !== undefined) return `rewritten: ${strange}`
    else at = place + 1
  }
  return undefined
}

function questionOf({ messages }: LLMRequest): string | undefined {
  const isQuestion = ({ role, content }: Message) =>
    role === 'user' && /^(Question|And) /.test(String(content))
  return textOf(messages.findLast(isQuestion))
}

/** Without what was said in this request only. */
function lasting(messages: readonly Message[]): readonly Message[] {
  const isTold = (text: string) => (message: Message | undefined) =>
    message?.role === 'user' && typeof message.content === 'string' && message.content.includes(text)
  let end = messages.length
  if (isTold('Reply again, complete and in the right form.')(messages[end - 1])) {
    end--
    // The reply that could not be used, shown once more.
    if (messages[end - 1]?.role === 'assistant') end--
  }
  if (isTold('A limit was reached')(messages[end - 1])) end--
  return messages.slice(0, end)
}

const isLanding = ({ messages }: LLMRequest) =>
  lasting(messages).length < messages.length && textOf(messages.at(-1)).includes('A limit was reached')

/** Of all that was ever sent, roughly, in tokens. */
function sizeOf(requests: readonly LLMRequest[]): number {
  const all = new Set(requests.flatMap(({ messages }) => messages.map(textOf)))
  return [...all].reduce((sum, text) => sum + text.length / 4, 0)
}
