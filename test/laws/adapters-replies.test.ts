import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { LLMChunk, LLMClient, LLMRequest, LLMResponse } from '../../src/client/client.ts'
import type { JsonObject } from '../../src/json.ts'
import { type Message, toolMessage, user } from '../../src/messages.ts'
import type { Dialect, Pieces, Refusal, StrictReply } from '../../src/testing/strict-contract.ts'
import { adapters, connected } from './support/adapters.ts'
import { trials } from './support/law.ts'
import {
  brokenParameters,
  type Journey,
  journey,
  pieces,
  straight,
  wireReply,
  wireResponse,
} from './support/wire-replies.ts'

const dialogues = fc.array(wireReply, { minLength: 1, maxLength: 3 })

describe.each(adapters)('$name', (adapter) => {
  const connection = connected(adapter)
  const held = (replies: readonly StrictReply[], delivery: Delivery) =>
    hold(adapter.dialect, connection, replies, delivery)

  it('laws 1, 8 and 10: streamed or not, and however its bytes are cut, a reply says the same', {
    timeout: 60_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(dialogues, pieces, journey, async (replies, parted, travelled) => {
        const called = await held(replies, { mode: 'call', parted, journey: straight })
        expect(called.replies.map(({ said }) => said)).toEqual(replies.map(meant))
        for (const mode of ['call', 'stream'] as const) {
          const other = await held(replies, { mode, parted, journey: travelled })
          expect(other.replies, mode).toEqual(called.replies)
          expect(other.bodies.map(lasting), mode).toEqual(called.bodies.map(lasting))
        }
      }),
      trials(300),
    )
  })
})

// A whole Anthropic answer has room for objects only.
const anyText = adapters.filter(({ name }) => name !== 'Anthropic')

describe.each(anyText)('$name, from a model that cannot write JSON', (adapter) => {
  const connection = connected(adapter)

  it('laws 1, 8 and 10: its calls are the same broken ones, streamed or not', {
    timeout: 60_000,
  }, async () => {
    const calls = fc.array(
      fc.record({ id: fc.uuid(), toolName: fc.constant('add'), parameters: brokenParameters }),
      { minLength: 1, maxLength: 3 },
    )
    await fc.assert(
      fc.asyncProperty(calls, pieces, journey, async (toolCalls, parted, travelled) => {
        const hear = (mode: Delivery['mode'], way: Journey) =>
          hold(adapter.dialect, connection, [{ toolCalls }, {}], { mode, parted, journey: way })
        const called = await hear('call', straight)
        const streamed = await hear('stream', travelled)
        expect(called.replies[0]?.response.toolCalls.length).toBe(toolCalls.length)
        expect(streamed.replies).toEqual(called.replies)
        expect(streamed.bodies.map(lasting)).toEqual(called.bodies.map(lasting))
      }),
      trials(100),
    )
  })
})

interface Delivery {
  readonly mode: 'call' | 'stream'
  readonly parted: Pieces
  readonly journey: Journey
}

interface Heard {
  readonly response: LLMResponse
  readonly said: Said
}

/** What a model meant, in so far as every wire can say it. */
interface Said {
  readonly text: string
  readonly reasoning: string
  readonly calls: readonly unknown[]
}

/** Holds a dialogue with a client, which is given back all that it said before, and refused nothing. */
async function hold(
  dialect: Dialect,
  { client, serveWith }: ReturnType<typeof connected>,
  replies: readonly StrictReply[],
  { mode, parted, journey: travelled }: Delivery,
) {
  const bodies: JsonObject[] = []
  const refusals: Refusal[] = []
  let calls = 0
  serveWith((request, headers) => {
    const refusal = dialect.validate(request, {}, headers)
    if (refusal) refusals.push(refusal)
    bodies.push(request)
    const replyNumber = bodies.length
    const context = { request, replyNumber, nextCallNumber: () => ++calls, pieces: parted }
    return wireResponse(dialect, replies[replyNumber - 1] ?? {}, context, travelled)
  })
  const heard: Heard[] = []
  const messages: Message[] = [user('Go.')]
  for (const _ of replies) {
    const { response, said } = await ask(client, { messages: [...messages], tools }, mode)
    heard.push({ response, said })
    const { text: content, toolCalls, reasoning } = response
    messages.push(
      { role: 'assistant', content, toolCalls, ...(reasoning && { reasoning }) },
      ...toolCalls.map((call) => toolMessage(call, 'Done.')),
      user('Go on.'),
    )
  }
  expect(refusals).toEqual([])
  return { replies: heard, bodies }
}

const tools = ['add', 'look_up', 'plan'].map((name) => ({
  name,
  description: '',
  parameters: { type: 'object' },
}))

async function ask(client: LLMClient, request: LLMRequest, mode: Delivery['mode']): Promise<Heard> {
  if (mode === 'call') {
    const response = await client.call(request)
    return { response, said: saidIn(response) }
  }
  const chunks: LLMChunk[] = []
  for await (const chunk of client.stream?.(request) ?? []) chunks.push(chunk)
  const last = chunks.at(-1)
  if (last?.type !== 'end') throw new Error('The stream has no end.')
  const textOf = (type: 'text' | 'reasoning') =>
    chunks.map((chunk) => (chunk.type === type ? chunk.text : '')).join('')
  // Told piece by piece, and not taken from what is told at the end.
  const said = { ...saidIn(last.response), text: textOf('text'), reasoning: textOf('reasoning') }
  return { response: last.response, said }
}

function saidIn({ text, reasoning = [], toolCalls }: LLMResponse): Said {
  return {
    text,
    reasoning: reasoning.map((each) => each.text ?? '').join(''),
    calls: toolCalls.map(({ toolName, parameters }) => ({ toolName, parameters })),
  }
}

function meant({ text, refusal, reasoning = '', toolCalls = [] }: StrictReply): Said {
  const calls = toolCalls.map(({ toolName, parameters }) => ({ toolName, parameters }))
  return { text: text ?? refusal ?? '', reasoning, calls }
}

/** Everything but whether it is to be streamed. */
function lasting({ stream: _, stream_options: __, ...body }: JsonObject): JsonObject {
  return body
}
