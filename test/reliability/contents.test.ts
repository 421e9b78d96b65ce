import { describe, expect, test } from 'vitest'
import { type JsonValue, type Message, tool } from '../../src/index.ts'
import type { StrictTurn } from '../../src/testing/index.ts'
import { watchRejections } from '../agent/aftermath.ts'
import { adapters, deliveries, play, sse } from './support.ts'

watchRejections()

const done = { status: 'done', answer: 'Here.', faults: [] }
const here = { text: 'Here.' }
const look = (where: string, id?: string) => ({
  toolName: 'look',
  parameters: { where },
  ...(id !== undefined && { id }),
})

/** A chunk of a Chat Completions stream. */
const delta = (said: object, finish_reason: string | null = null) => ({
  id: 'c',
  object: 'chat.completion.chunk',
  created: 1,
  model: 'm',
  choices: [{ index: 0, delta: said, finish_reason }],
})
const piece = (index: unknown, fields: object) => delta({ tool_calls: [{ index, ...fields }] })
const begin = (index: unknown, id: string | undefined, text: string) =>
  piece(index, { id, type: 'function', function: { name: 'look', arguments: text } })
const more = (index: unknown, text: string) => piece(index, { function: { arguments: text } })

/** Streams of Chat Completions whose calls are numbered as some servers number them. */
const numbered: Readonly<Record<string, readonly object[]>> = {
  'begin at one': [begin(1, 'a', '{"where":'), more(1, '"box"}'), begin(2, 'b', '{"where":"hat"}')],
  alternate: [begin(0, 'a', '{"where":'), begin(1, 'b', '{"whe'), more(0, '"box"}'), more(1, 're":"hat"}')],
  'are missing': [begin(undefined, 'a', '{"where":"box"}'), begin(undefined, 'b', '{"where":"hat"}')],
  'leave gaps': [begin(0, 'a', '{"where":"box"}'), begin(1_000_000_000, 'b', '{"where":"hat"}')],
}

const start = (index: number, id: string) => ({
  type: 'content_block_start',
  index,
  content_block: { type: 'tool_use', id, name: 'look', input: {} },
})
const input = (index: number, partial_json: string) => ({
  type: 'content_block_delta',
  index,
  delta: { type: 'input_json_delta', partial_json },
})
const stop = (index: number) => ({ type: 'content_block_stop', index })
const message = (...blocks: readonly object[]) =>
  sse(
    {
      type: 'message_start',
      message: {
        ...{ id: 'm', type: 'message', role: 'assistant', model: 'm', content: [] },
        ...{ stop_reason: null, stop_sequence: null, usage: { input_tokens: 1, output_tokens: 1 } },
      },
    },
    ...blocks,
    {
      type: 'message_delta',
      delta: { stop_reason: 'tool_use', stop_sequence: null },
      usage: { output_tokens: 9 },
    },
    { type: 'message_stop' },
  )

/** The same of Messages. */
const blocks: Readonly<Record<string, readonly object[]>> = {
  'begin at one': [
    ...[start(1, 'a'), input(1, '{"where":"box"}'), stop(1)],
    ...[start(2, 'b'), input(2, '{"where":"hat"}'), stop(2)],
  ],
  alternate: [
    ...[start(0, 'a'), start(1, 'b'), input(0, '{"where":'), input(1, '{"whe')],
    ...[input(0, '"box"}'), input(1, 're":"hat"}'), stop(1), stop(0)],
  ],
}

/** Ids as other providers make them, which not every provider takes. */
const foreign = [
  'call_abc|fc_def',
  'x'.repeat(60),
  'functions.look:0',
  'chatcmpl-tool-1',
  'ünï',
  '1',
  '__proto__',
]

describe.each(adapters)('$name', (adapter) => {
  test('B12 ids that are missing, twice there or of another provider answer each call once', async () => {
    const history: Message[] = [
      { role: 'user', content: 'Before.' },
      {
        role: 'assistant',
        content: '',
        toolCalls: foreign.map((id) => ({ id, toolName: 'look', parameters: { where: id } })),
      },
      ...foreign.map(
        (callId): Message => ({ role: 'tool', callId, toolName: 'look', content: 'A.', ok: true }),
      ),
    ]
    const ids = ['', '', 'same', 'same', ...foreign]
    for (const { streams } of deliveries) {
      const toolCalls = ids.map((id, index) => look(`${index}`, id))
      const told = await play(adapter, { streams, script: [{ toolCalls }, here], run: { history } })
      const places = ids.map((_, index) => `${index}`)
      expect(told).toEqual({
        ...done,
        results: places.map((place) => `A ${place}.`),
        ran: places,
        requests: 2,
      })
    }
  })

  const indexes = Object.keys(adapter.wire === 'chat' ? numbered : blocks)
  test.each(indexes)('B12 calls whose indexes %s are read apart, in their order', async (name) => {
    const turn: StrictTurn =
      adapter.wire === 'chat'
        ? sse(delta({ role: 'assistant', content: null }), ...(numbered[name] ?? []), delta({}, 'tool_calls'))
        : message(...(blocks[name] ?? []))
    const told = await play(adapter, { script: [turn, here] })
    expect(told).toEqual({ ...done, results: ['A box.', 'A hat.'], ran: ['box', 'hat'], requests: 2 })
  })

  test('B13 tools that say nothing are told to have said nothing, also when they fail', async () => {
    const said: readonly (() => unknown)[] = [
      () => '',
      () => undefined,
      () => null,
      () => ' \n\t',
      () => [],
      () => ({}),
      () => {
        throw new Error('')
      },
      () => {
        throw undefined
      },
    ]
    const say = tool({
      name: 'say',
      description: 'Says little',
      parameters: { type: 'object', properties: { n: { type: 'number' } }, required: ['n'] },
      execute: (given): JsonValue => said[Number(Reflect.get(Object(given), 'n'))]?.() as JsonValue, // or what is none
    })
    const toolCalls = said.map((_, n) => ({ toolName: 'say', parameters: { n } }))
    for (const { streams } of deliveries) {
      const script = [{ toolCalls }, here]
      const { results, ...told } = await play(adapter, { streams, script, agent: { tools: [say] } })
      expect(told).toEqual({ ...done, ran: [], requests: 2 })
      expect(results).toHaveLength(said.length)
      expect(results.filter((result) => result.trim() === '')).toEqual([])
    }
  })

  test('B13 replies that say nothing are asked for again, a few times', async () => {
    const nothing: readonly StrictTurn[] = [{ text: '' }, { text: ' \n' }, {}, { stop: 'tool_calls' }]
    for (const { streams } of deliveries) {
      for (const turn of nothing) {
        const where = `${JSON.stringify(turn)}, ${streams}`
        const told = await play(adapter, { streams, script: [turn, here] })
        expect(told, where).toEqual({ ...done, results: [], ran: [], requests: 2 })
        const { status, error, requests, faults } = await play(adapter, {
          streams,
          script: Array<StrictTurn>(10).fill(turn),
        })
        expect([status, error, faults], where).toEqual(['failed', 'llm malformed', []])
        expect(requests, where).toBeLessThanOrEqual(3)
      }
    }
  })

  test('B13 a whole reply without what every reply has is an error of the provider', async () => {
    const bodies = [
      '{}',
      '[]',
      '"text"',
      '{"choices":[]}',
      '{"choices":null}',
      '{"choices":[null]}',
      '{"choices":[{"index":0,"message":null,"finish_reason":"stop"}]}',
      '{"type":"message","role":"assistant","content":null,"stop_reason":"end_turn"}',
      '{"type":"message","role":"assistant","content":[null],"stop_reason":"end_turn"}',
    ]
    for (const body of bodies) {
      const turn = { status: 200, headers: { 'content-type': 'application/json' }, body }
      const told = await play(adapter, { streams: false, script: [turn, here] })
      expect(told, body).toEqual({ ...done, results: [], ran: [], requests: 2 })
    }
  })

  test('B14 outputs and histories far over the window are cut to it, and the run ends', async () => {
    const contextWindow = 4_000
    let size = 0
    const dump = tool({
      name: 'dump',
      description: 'Gives everything',
      parameters: { type: 'object', properties: {} },
      effect: 'read',
      execute: () => {
        const text = `start ${'0123456789'.repeat(1_000_000)} end`
        size += text.length
        return text
      },
    })
    const history = Array.from(
      { length: 400 },
      (_, index): Message =>
        index % 2 === 0
          ? { role: 'user', content: `Question ${index}: ${'why '.repeat(1_000)}` }
          : { role: 'assistant', content: `Answer ${index}: ${'so '.repeat(1_000)}` },
    )
    const dumps = { toolCalls: [1, 2].map(() => ({ toolName: 'dump', parameters: {} })) }
    const { results, ...told } = await play(adapter, {
      script: [dumps, dumps, here],
      provider: { contextWindow },
      agent: { tools: [dump], contextWindow, maxOutputTokens: 400 },
      run: { history },
    })
    expect(told).toEqual({ ...done, ran: [], requests: 3 })
    expect(size).toBeGreaterThan(40_000_000)
    expect(results.map((result) => result.length < 60_000)).toEqual([true, true, true, true])
  })

  test('B14 an input that alone is over the window is cut to it, and the conversation goes on', async () => {
    const told = await play(adapter, {
      script: [here],
      provider: { contextWindow: 4_000 },
      agent: { contextWindow: 4_000, maxOutputTokens: 400 },
      act: ({ agent }) => agent.runStream('why '.repeat(20_000)).result,
    })
    expect(told).toEqual({ ...done, results: [], ran: [], requests: 1 })
  })

  test('B14 a provider that finds a request too long is not asked the same again', async () => {
    const told = await play(adapter, { script: [{ fault: 'context_length' }, here] })
    const failed = { status: 'failed', error: 'llm context_length' }
    expect(told).toEqual({ ...failed, results: [], ran: [], requests: 1, faults: [] })
  })

  const keys = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'then']

  test('B15 keys of prototypes are data, in parameters, names, ids and indexes', async () => {
    const before = snapshot()
    const parameters = keys.map(
      (key) => `{"where":"box","${key}":{"polluted":1},"\\u005f\\u005fproto__":{"polluted":1}}`,
    )
    const toolCalls = [
      ...parameters.map((text, index) => ({ toolName: 'look', parameters: text, ...idOf(keys[index]) })),
      ...keys.map((toolName) => ({ toolName, parameters: {} })),
    ]
    for (const conversation of keys) {
      const told = await play(adapter, { script: [{ toolCalls }, here], run: { conversation } })
      const { results, ...rest } = told
      expect(rest).toEqual({ ...done, ran: keys.map(() => 'box'), requests: 2 })
      expect(results).toEqual([
        ...keys.map(() => 'A box.'),
        ...keys.map((key) => `Error: There is no tool "${key}". Available: look.`),
      ])
    }
    if (adapter.wire === 'chat') {
      for (const index of keys) {
        const turn = sse(begin(index, 'a', '{"where":"box"}'), delta({}, 'tool_calls'))
        const { faults } = await play(adapter, { script: [turn, here] })
        expect(faults).toEqual([])
      }
    }
    expect(snapshot()).toEqual(before)
    expect(Reflect.get({}, 'polluted')).toBe(undefined)
  })
})

const idOf = (id: string | undefined) => (id === undefined ? {} : { id })

function snapshot(): readonly PropertyKey[][] {
  return [Object, Array, Function, String, Promise].map(({ prototype }) => Reflect.ownKeys(prototype))
}
