import { describe, expect, test } from 'vitest'
import { assistant, toolMessage, user } from '../../src/messages.ts'
import { jsonProtocol } from '../../src/protocol/json.ts'
import type { EncodeInput } from '../../src/protocol/protocol.ts'

const weather = { name: 'weather', description: 'Weather of a city', parameters: { type: 'object' } }
const call = { id: 'c1', toolName: 'weather', parameters: { city: 'Oslo' } }
const time = { id: 'c2', toolName: 'time', parameters: {} }

const encode = (changes: Partial<EncodeInput> = {}) =>
  jsonProtocol.encode({
    instructions: 'Be brief.',
    messages: [user('Hi')],
    tools: [weather],
    toolsets: [],
    planning: 'auto',
    first: true,
    landing: false,
    ...changes,
  })

const fenced = (envelope: object) => `\`\`\`json\n${JSON.stringify(envelope)}\n\`\`\``

test('a request has no tools of the provider: they stand in the system text, with how to reply', () => {
  const request = encode()
  expect(Object.keys(request)).toEqual(['system', 'messages'])
  expect(request.system).toMatch(/^Be brief\.\n\nHow to reply\./)
  expect(request.system).toContain('- weather: Weather of a city\n  parameters: {"type":"object"}')
  expect(request.system).toContain('{"plan":')
  expect(encode({ planning: 'off' }).system).not.toContain('{"plan":')
})

test('tools that come in a set stand under its name', () => {
  const toolsets = [{ name: 'api', description: 'Weather data', tools: ['weather'] }]
  expect(encode({ toolsets }).system).toContain('api: Weather data\n- weather: Weather of a city')
})

describe('the history', () => {
  test('is written in envelopes, with the results of a step as one message of the user', () => {
    const messages = [
      user('Weather?'),
      assistant('Looking.', [call, time]),
      toolMessage(call, 'sun'),
      toolMessage(time, 'Error: no clock', false),
      assistant('Sun.'),
    ]
    expect(encode({ messages }).messages).toEqual([
      user('Weather?'),
      assistant(
        fenced({
          tool_thought: 'Looking.',
          tool_calls: [
            { id: 'c1', tool_name: 'weather', parameters: { city: 'Oslo' } },
            { id: 'c2', tool_name: 'time', parameters: {} },
          ],
        }),
      ),
      user('Tool results:\n\n[weather] (id: c1)\nSuccess: sun\n\n[time] (id: c2)\nError: no clock'),
      assistant(fenced({ final_answer: 'Sun.' })),
    ])
  })

  test('has a word of the user behind a plan that stands alone', () => {
    const messages = [
      user('Hi'),
      { role: 'assistant' as const, content: '', plan: '1. look', planId: 'plan_1' },
    ]
    expect(encode({ messages }).messages.slice(1)).toEqual([
      assistant(fenced({ plan: '1. look' })),
      user('Plan recorded. Go on.'),
    ])
  })
})

test('what is said native is understood the same in JSON', () => {
  const say = (envelope: object) =>
    jsonProtocol.decode({ text: fenced(envelope), toolCalls: [], stopReason: 'stop' })
  expect(say({ final_answer: 'Sun.' })).toEqual({ kind: 'final', text: 'Sun.' })
  expect(say({ plan: 'p' })).toEqual({ kind: 'plan', plan: 'p' })
  expect(
    say({ tool_thought: 't', tool_calls: [{ id: 'c1', tool_name: 'weather', parameters: {} }] }),
  ).toEqual({
    kind: 'step',
    thought: 't',
    toolCalls: [{ id: 'c1', toolName: 'weather', parameters: {} }],
  })
})
