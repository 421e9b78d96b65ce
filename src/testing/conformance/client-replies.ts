import { isJsonObject } from '../../json.ts'
import type { Chunking } from '../strict-bytes.ts'
import type { StrictReply } from '../strict-contract.ts'
import {
  addedUp,
  hello,
  helloWithTools,
  type MakeClient,
  type PlainResponse,
  plain,
  Stage,
} from './client-stage.ts'
import { same } from './expectations.ts'

const usage = { inputTokens: 12, outputTokens: 7 }

/** Replies, and how every client reads them. */
interface ReadReply {
  readonly reply: StrictReply
  readonly response: PlainResponse
}

// Usage is for the cases that ask for it.
const absent = { usage: 'absent' } as const

const says = (text: string): ReadReply => ({
  reply: { text, ...absent },
  response: { text, toolCalls: [], stopReason: 'stop' },
})

const spoken = 'Grüße, 世界! 👩‍🚀 naïve \u2028 "quotes" \\ end\n'

const look = { id: 'call_look', toolName: 'look', parameters: { where: 'Zürich 👍' } }
const wait = { id: 'call_wait', toolName: 'wait', parameters: { where: 'here', list: [1, { deep: null }] } }

const called = (reply: StrictReply, ...toolCalls: PlainResponse['toolCalls']): ReadReply => ({
  reply: { ...reply, ...absent },
  response: { text: reply.text ?? '', toolCalls, stopReason: 'tool_calls' },
})

const replies = {
  'reads text': says('Hello there.'),
  'reads text in any writing system': says(spoken),
  'reads an empty text': says(''),
  'reads a tool call': called({ toolCalls: [look] }, look),
  'reads a thought beside a tool call': called({ text: 'Let me see.', toolCalls: [look] }, look),
  'reads parallel tool calls in their order': called(
    { toolCalls: [look, wait, { ...look, id: 'call_again' }] },
    look,
    wait,
    { ...look, id: 'call_again' },
  ),
  'reads a tool call without parameters': called(
    { toolCalls: [{ ...look, parameters: {} }] },
    { ...look, parameters: {} },
  ),
  'reads reasoning apart from the text': {
    reply: { text: 'Yes.', reasoning: 'Hm, größer 👍?', ...absent },
    response: { text: 'Yes.', reasoning: 'Hm, größer 👍?', toolCalls: [], stopReason: 'stop' },
  },
  'reads a refusal as one': {
    reply: { refusal: 'I will not.', ...absent },
    response: { text: 'I will not.', toolCalls: [], stopReason: 'refusal' },
  },
  'reads a text that was cut as one': {
    reply: { text: 'So f', stop: 'length', ...absent },
    response: { text: 'So f', toolCalls: [], stopReason: 'length' },
  },
  'reads a reply whose calls were cut as cut': {
    reply: { toolCalls: [look], stop: 'length', ...absent },
    response: { text: '', toolCalls: [look], stopReason: 'length' },
  },
  'reads usage': {
    reply: { text: 'Yes.', usage },
    response: { text: 'Yes.', toolCalls: [], stopReason: 'stop', usage },
  },
  'reads what was cached and what was reasoned of the usage': {
    reply: { text: 'Yes.', usage: { ...usage, cachedInputTokens: 5, reasoningTokens: 3 } },
    response: {
      text: 'Yes.',
      toolCalls: [],
      stopReason: 'stop',
      usage: { ...usage, cachedInputTokens: 5, reasoningTokens: 3 },
    },
  },
} satisfies Record<string, ReadReply>

const cuts: readonly Chunking[] = ['whole', 'bytes', 'utf8']

/** How replies are read, by name. */
export const replyCases = {
  ...mapped(replies, (each) => (make: MakeClient) => reads(make, each)),

  async 'says nothing of usage that was not reported'(make: MakeClient): Promise<void> {
    await using stage = await Stage.open(make)
    for (const verb of stage.verbs) {
      const { response } = await stage.ask(verb, { text: 'Yes.', usage: 'absent' })
      same(plain(response), { text: 'Yes.', toolCalls: [], stopReason: 'stop' }, verb)
    }
  },

  /** Through a stream: the bodies of some providers have room for JSON only. */
  async 'marks parameters that cannot be read, and keeps the call'(make: MakeClient): Promise<void> {
    await using stage = await Stage.open(make)
    for (const parameters of ['{"where":', '[1]', '"here"', 'null', 'here!', '{"where":"a"}}']) {
      if (!stage.verbs.includes('stream')) return
      const reply = { toolCalls: [{ ...look, parameters }, wait] }
      const { response } = await stage.ask('stream', reply, { request: helloWithTools })
      const [first, second] = response.toolCalls
      same(first?.parameters, {}, parameters)
      same(typeof first?.invalid, 'string', `why ${parameters} cannot be read`)
      same({ id: first?.id, toolName: first?.toolName }, { id: look.id, toolName: look.toolName }, parameters)
      same(second, wait, `the call beside ${parameters}`)
    }
  },

  async 'reads the same however the bytes are cut'(make: MakeClient): Promise<void> {
    for (const chunking of cuts) {
      await using stage = await Stage.open(make, chunking)
      for (const [name, each] of Object.entries(cutReplies))
        await readsOn(stage, each, `${name}, ${chunking}`)
    }
  },

  async 'gives with call what it gives with stream'(make: MakeClient): Promise<void> {
    await using stage = await Stage.open(make)
    if (!stage.verbs.includes('stream')) return
    for (const [name, { reply }] of Object.entries(cutReplies)) {
      const request = reply.toolCalls ? helloWithTools : hello
      const { response: called } = await stage.ask('call', reply, { request })
      const { response: streamed } = await stage.ask('stream', reply, { request })
      same(plain(called), plain(streamed), name)
    }
  },
}

const cutReplies: Readonly<Record<string, ReadReply>> = {
  text: says(spoken),
  reasoning: replies['reads reasoning apart from the text'],
  calls: replies['reads parallel tool calls in their order'],
  thought: replies['reads a thought beside a tool call'],
}

async function reads(make: MakeClient, each: ReadReply): Promise<void> {
  await using stage = await Stage.open(make)
  await readsOn(stage, each, 'the response')
}

async function readsOn(stage: Stage, { reply, response }: ReadReply, what: string): Promise<void> {
  const request = reply.toolCalls ? helloWithTools : hello
  for (const verb of stage.verbs) {
    const heard = await stage.ask(verb, reply, { request })
    same(withAsked(plain(heard.response), response), response, `${what}, by ${verb}`)
    if (verb === 'stream') checkSum(heard.chunks, response, what)
  }
}

/** Of the usage only what was said: some providers always tell that nothing was cached, and some what it costs. */
function withAsked({ usage: told, ...response }: PlainResponse, expected: PlainResponse): PlainResponse {
  if (told === undefined || expected.usage === undefined) return { ...response, ...(told && { usage: told }) }
  const { usage: asked } = expected
  const kept = Object.entries(told).filter(
    ([name, count]) => Object.hasOwn(asked, name) || (count !== 0 && name !== 'costUsd'),
  )
  return { ...response, usage: Object.fromEntries(kept) as unknown as typeof told } // its own members, fewer
}

function checkSum(chunks: Parameters<typeof addedUp>[0], response: PlainResponse, what: string): void {
  const { text, reasoning, calls } = addedUp(chunks)
  same(
    { text, reasoning },
    { text: response.text, reasoning: response.reasoning ?? '' },
    `${what}: its chunks`,
  )
  const read = calls.map(({ id, toolName, text: parameters }) => ({
    id,
    toolName,
    parameters: readJson(parameters),
  }))
  same(read, response.toolCalls, `${what}: the chunks of its calls`)
}

function readJson(text: string): unknown {
  if (text === '') return {}
  const value: unknown = JSON.parse(text)
  return isJsonObject(value) ? value : undefined
}

function mapped<Key extends string, From, To>(
  items: Readonly<Record<Key, From>>,
  map: (item: From) => To,
): Record<Key, To> {
  const entries = Object.entries<From>(items).map(([key, item]) => [key, map(item)])
  return Object.fromEntries(entries) as Record<Key, To> // the keys it was given
}
