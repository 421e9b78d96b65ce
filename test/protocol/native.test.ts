import { describe, expect, test } from 'vitest'
import { assistant, type Message, toolMessage, user } from '../../src/messages.ts'
import { nativeProtocol } from '../../src/protocol/native.ts'
import type { EncodeInput } from '../../src/protocol/protocol.ts'

const weather = { name: 'weather', description: 'Weather of a city', parameters: { type: 'object' } }
const call = { id: 'c1', toolName: 'weather', parameters: { city: 'Oslo' } }

const encode = (changes: Partial<EncodeInput> = {}) =>
  nativeProtocol.encode({
    instructions: 'Be brief.',
    messages: [user('Hi')],
    tools: [weather],
    toolsets: [],
    planning: 'off',
    first: true,
    landing: false,
    ...changes,
  })

const respond = (text: string, ...toolCalls: { toolName: string; parameters: Record<string, string> }[]) => ({
  text,
  toolCalls: toolCalls.map((made, index) => ({ id: `c${index}`, ...made })),
  stopReason: 'stop' as const,
})

describe('a request', () => {
  test('is the instructions, the messages and the tools', () => {
    expect(encode()).toEqual({ system: 'Be brief.', messages: [user('Hi')], tools: [weather] })
  })

  test('without instructions or tools has neither', () => {
    expect(encode({ instructions: '', tools: [] })).toEqual({ messages: [user('Hi')] })
  })

  test('names the sets of tools in the system text', () => {
    const toolsets = [{ name: 'api', description: 'Weather data', tools: ['weather'] }]
    expect(encode({ toolsets }).system).toBe(
      'Be brief.\n\nYour tools come in sets:\n- api: Weather data (weather)',
    )
  })

  test('offers the plan tool first, and forces it only in the first reply that must plan', () => {
    const offered = encode({ planning: 'auto' })
    expect(offered.tools?.map(({ name }) => name)).toEqual(['plan', 'weather'])
    expect(offered.toolChoice).toBeUndefined()
    expect(encode({ planning: 'required' }).toolChoice).toEqual({ toolName: 'plan' })
    expect(encode({ planning: 'required', first: false }).toolChoice).toBeUndefined()
  })

  test('to land keeps the tools, unusable, and says that it is the end', () => {
    const landing = encode({ landing: true })
    expect(landing.tools).toEqual([weather])
    expect(landing.toolChoice).toBe('none')
    expect(landing.messages.at(-1)?.content).toMatch(/^A limit was reached/)
  })

  test('shows a reply that could not be used, and why, behind the history', () => {
    const { messages } = encode({ correction: { said: '{"x', problem: 'It is cut off.' } })
    expect(messages.slice(1)).toEqual([
      assistant('{"x'),
      user('It is cut off. Reply again, complete and in the right form.'),
    ])
  })

  test('asks for structured output by the provider where it can, and in words where it cannot', () => {
    const schema = { type: 'object', properties: { city: { type: 'string' } } }
    const structured = encode({ output: { schema, structured: true } })
    expect(structured.responseFormat).toEqual({ type: 'json', schema, name: 'answer' })
    expect(structured.system).toBe('Be brief.')
    const worded = encode({ output: { schema, structured: false } })
    expect(worded.responseFormat).toBeUndefined()
    expect(worded.system).toContain(JSON.stringify(schema))
  })
})

describe('a plan in the history', () => {
  const planned: Message = { role: 'assistant', content: '', plan: '1. look', planId: 'plan_1' }
  const planCall = { id: 'plan_1', toolName: 'plan', parameters: { plan: '1. look' } }

  test('goes back as the call it was, answered at once', () => {
    expect(encode({ planning: 'auto', messages: [user('Hi'), planned] }).messages).toEqual([
      user('Hi'),
      assistant('', [planCall]),
      toolMessage(planCall, 'Plan recorded.'),
    ])
  })

  test('stands before the calls of its reply, and its answer before theirs', () => {
    const messages = [user('Hi'), { ...planned, toolCalls: [call] }, toolMessage(call, 'sun')]
    expect(encode({ planning: 'auto', messages }).messages.slice(1)).toEqual([
      assistant('', [planCall, call]),
      toolMessage(planCall, 'Plan recorded.'),
      toolMessage(call, 'sun'),
    ])
  })

  test('is text where planning is off', () => {
    expect(encode({ messages: [user('Hi'), planned] }).messages.slice(1)).toEqual([
      assistant('1. look'),
      user('Go on.'),
    ])
  })
})

describe('a reply', () => {
  test.each([
    ['text alone is final', respond('Sun.'), { kind: 'final', text: 'Sun.' }],
    [
      'text beside calls is the thought',
      respond('Let me see.', { toolName: 'weather', parameters: {} }),
      {
        kind: 'step',
        thought: 'Let me see.',
        toolCalls: [{ id: 'c0', toolName: 'weather', parameters: {} }],
      },
    ],
    [
      'a plan call alone is a plan',
      respond('', { toolName: 'plan', parameters: { plan: 'p' } }),
      { kind: 'plan', plan: 'p' },
    ],
    [
      'text beside a plan call announces it',
      respond('I will plan.', { toolName: 'plan', parameters: { plan: 'p' } }),
      { kind: 'plan', plan: 'p' },
    ],
    [
      'a plan annotates calls',
      respond('', { toolName: 'plan', parameters: { plan: 'p' } }, { toolName: 'weather', parameters: {} }),
      { kind: 'step', plan: 'p', toolCalls: [{ id: 'c1', toolName: 'weather', parameters: {} }] },
    ],
  ])('%s', (_, response, turn) => {
    expect(nativeProtocol.decode(response)).toEqual(turn)
  })

  test('without anything is malformed', () => {
    expect(nativeProtocol.decode(respond(' \n'))).toMatchObject({ kind: 'malformed', reason: 'empty' })
  })
})

describe('reading a reply', () => {
  test('shows text as the answer until a call shows that it was a thought', () => {
    const reader = nativeProtocol.reader()
    expect(reader.push({ type: 'text', text: 'Let me ' })).toEqual([
      { type: 'token', channel: 'answer', text: 'Let me ' },
    ])
    reader.push({ type: 'text', text: 'see.' })
    expect(reader.push({ type: 'tool_call', index: 0, id: 'c1', toolName: 'weather' })).toEqual([
      { type: 'retracted', channel: 'answer' },
      { type: 'token', channel: 'thought', text: 'Let me see.' },
    ])
    expect(reader.push({ type: 'text', text: ' Now.' })).toEqual([
      { type: 'token', channel: 'thought', text: ' Now.' },
    ])
  })
})
