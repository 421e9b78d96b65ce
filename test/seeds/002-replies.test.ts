import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { Agent, assistant, type ToolCall, tool, user } from '../../src/index.ts'
import { calls, json, plans, ScriptedClient, type ScriptedReply, says } from '../../src/testing/index.ts'
import { eventsOf } from './events-of.ts'

const add = tool({
  name: 'add',
  description: 'Adds two numbers',
  parameters: z.object({ a: z.number(), b: z.number() }),
  execute: ({ a, b }) => a + b,
})

const wireCall = { id: 'call_1', tool_name: 'add', parameters: { a: 1, b: 2 } }
const call: ToolCall = { id: 'call_1', toolName: 'add', parameters: { a: 1, b: 2 } }
const fenced = (text: string, label = 'json') => `\`\`\`${label}\n${text}\n\`\`\``

/** What a run said of the first reply; the second, where one is asked for, is `after`. */
async function heard(first: ScriptedReply): Promise<Record<string, unknown>> {
  const client = new ScriptedClient([first, json({ final_answer: 'after' })])
  const agent = new Agent({ client, protocol: 'json', tools: [add] })
  const events = await eventsOf(agent.runStream('Go.'))
  const of = events.filter((event) => 'stepId' in event && event.stepId?.endsWith('/1'))
  const said: Record<string, unknown> = {}
  for (const event of of) {
    if (event.type === 'plan') said['plan'] = event.plan
    if (event.type === 'final_response') said['final'] = event.answer
    if (event.type === 'step') {
      said['step'] = event.toolCalls
      if (event.thought !== undefined) said['thought'] = event.thought
    }
  }
  if (events.some((event) => event.type === 'diagnostic' && event.code === 'repair')) said['repaired'] = true
  expect(events.at(-1)).toMatchObject({ type: 'run_end', status: 'done', answer: said['final'] ?? 'after' })
  return said
}

describe('seed 002, replies of the JSON protocol', () => {
  const vectors: [reply: string, said: string, expected: Record<string, unknown>][] = [
    ['a bare number', '42', { final: '42' }],
    ['null', 'null', { repaired: true }],
    ['a JSON string', '"hello"', { final: 'hello' }],
    ['a JSON array', '[1]', { repaired: true }],
    ['a plan that is a list', fenced('{"plan":["a","b"]}'), { plan: 'a\nb' }],
    ['an answer that is an object', fenced('{"final_answer":{"x":1}}'), { final: '{"x":1}' }],
    ['an answer that is null', fenced('{"final_answer":null}'), { repaired: true }],
    ['calls that are null', fenced('{"tool_calls":null}'), { repaired: true }],
    ['a thought without calls', fenced('{"tool_thought":"hm","tool_calls":[]}'), { repaired: true }],
    [
      'parameters as text',
      fenced(JSON.stringify({ tool_calls: [{ ...wireCall, parameters: '{"a":1,"b":2}' }] })),
      { step: [call] },
    ],
    [
      'a plan and calls',
      fenced(JSON.stringify({ plan: 'p', tool_calls: [wireCall] })),
      { plan: 'p', step: [call] },
    ],
    ['a plan and an answer', fenced('{"plan":"p","final_answer":"f"}'), { plan: 'p', final: 'f' }],
    [
      'an answer and calls',
      fenced(JSON.stringify({ final_answer: 'f', tool_calls: [wireCall] })),
      { step: [call], thought: 'f' },
    ],
    [
      'code before the answer',
      `${fenced('print(1)', 'python')}\n${fenced('{"final_answer":"F"}')}`,
      { final: 'F' },
    ],
    ['prose before a fence', `Sure!\n${fenced('{"final_answer":"F"}')}`, { final: 'F' }],
    ['prose before a bare envelope', 'Here you are: {"final_answer":"F"}', { final: 'F' }],
    [
      'a plan and an answer in two fences',
      `${fenced('{"plan":"p"}')}\n${fenced('{"final_answer":"F"}')}`,
      { plan: 'p', final: 'F' },
    ],
    ['an upper-case label', fenced('{"final_answer":"F"}', 'JSON'), { final: 'F' }],
  ]

  it.each(vectors)('002-5 reads %s as what was meant', async (_, said, expected) => {
    expect(await heard(said)).toEqual(expected)
  })

  it('002-5 mints an id for a call that has none', async () => {
    const { id: _, ...nameless } = wireCall
    expect(await heard(json({ tool_calls: [nameless] }))).toEqual({
      step: [{ ...call, id: expect.stringMatching(/./) }],
    })
  })

  it('002-5 asks again when an answer was cut at the token limit', async () => {
    const cut = says('```json\n{"final_answer": "abc', { stopReason: 'length' })
    expect(await heard(cut)).toEqual({ repaired: true })
  })
})

describe('seed 002, response types', () => {
  it('002-48 tells a plan as an event, its lines joined', async () => {
    expect(await heard(json({ plan: '1. Look\n2. Answer' }))).toEqual({ plan: '1. Look\n2. Answer' })
    expect(await heard(json({ plan: ['1. Look', '2. Answer'] }))).toEqual({ plan: '1. Look\n2. Answer' })
  })

  it('002-48 tells a native plan in the same way', async () => {
    const client = new ScriptedClient([plans('1. Look\n2. Answer'), 'Done.'])
    const events = await eventsOf(new Agent({ client, tools: [add] }).runStream('Go.'))
    expect(events.flatMap((event) => (event.type === 'plan' ? [event.plan] : []))).toEqual([
      '1. Look\n2. Answer',
    ])
  })

  it.each([
    ['tool_name and parameters', { tool_name: 'add', parameters: { a: 1, b: 2 } }],
    ['name and arguments', { name: 'add', arguments: { a: 1, b: 2 } }],
    ['name and input', { name: 'add', input: { a: 1, b: 2 } }],
  ])('002-49 reads a step with %s', async (_, written) => {
    const step = json({ tool_thought: 'Sum.', tool_calls: [{ id: 'call_1', ...written }] })
    expect(await heard(step)).toEqual({ step: [call], thought: 'Sum.' })
  })

  it('002-50 gives each call an id of its own, the same in history, events and results', async () => {
    const twice = {
      tool_calls: [wireCall, { ...wireCall, parameters: '{"a":3,"b":4}' }, { ...wireCall, id: '' }],
    }
    const client = new ScriptedClient([json(twice), json({ final_answer: 'Done.' })])
    const agent = new Agent({ client, protocol: 'json', tools: [add] })
    const events = await eventsOf(agent.runStream('Go.'))

    const step = events.find((event) => event.type === 'step')
    const ids = step?.toolCalls.map(({ id }) => id) ?? []
    expect(ids[0]).toBe('call_1')
    expect(new Set([...ids, '']).size).toBe(4)
    expect(step?.toolCalls.map(({ parameters }) => parameters)).toEqual([
      { a: 1, b: 2 },
      { a: 3, b: 4 },
      { a: 1, b: 2 },
    ])

    const results = events.find((event) => event.type === 'tool_results')?.results
    expect(results?.map(({ callId, output }) => [callId, output])).toEqual([
      [ids[0], '3'],
      [ids[1], '7'],
      [ids[2], '3'],
    ])
    const started = events.flatMap((event) =>
      event.type === 'tool_execution' && event.status === 'started' ? [event.callId] : [],
    )
    expect(started).toEqual(ids)
    const kept = agent.history.flatMap((message) => (message.role === 'tool' ? [message.callId] : []))
    expect(kept).toEqual(ids)
  })

  it('002-50 never repeats an id within a conversation', async () => {
    const client = new ScriptedClient([
      calls(['add', { a: 1, b: 2 }, 'x']),
      calls(['add', { a: 3, b: 4 }, 'x']),
      'Done.',
    ])
    const agent = new Agent({ client, tools: [add] })
    await agent.run('Go.')
    const ids = agent.history.flatMap((message) => (message.role === 'tool' ? [message.callId] : []))
    expect(ids).toEqual(['x', expect.not.stringMatching(/^x$/)])
  })

  it('002-51 writes an answer that is an object as JSON, or checks it where `output` asks for one', async () => {
    const reply = json({ final_answer: { sum: 3 } })
    const plain = new Agent({ client: new ScriptedClient([reply]), protocol: 'json' })
    expect(await plain.run('1+2?')).toBe('{"sum":3}')

    const output = z.object({ sum: z.number() })
    const typed = new Agent({ client: new ScriptedClient([reply]), protocol: 'json', output })
    expect(await typed.run('1+2?')).toEqual({ sum: 3 })
  })

  it('002-52 answers several calls of one step with one tool_results, in the order of the calls', async () => {
    const first = calls(['add', { a: 1, b: 2 }, 'one'], ['add', { a: 3, b: 4 }, 'two'])
    const client = new ScriptedClient([first, 'Done.'])
    const agent = new Agent({ client, tools: [add] })
    const events = await eventsOf(agent.runStream('Go.'))

    const told = events.flatMap((event) =>
      event.type === 'tool_results' ? [event.results.map(({ callId, output }) => [callId, output])] : [],
    )
    expect(told).toEqual([
      [
        ['one', '3'],
        ['two', '7'],
      ],
    ])
    expect(agent.history.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'tool', 'assistant'])
    expect(agent.history.at(0)).toEqual(user('Go.'))
    expect(agent.history.at(-1)).toEqual(assistant('Done.'))
  })
})
