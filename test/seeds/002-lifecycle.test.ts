import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { Agent, assistant, MaxIterationsError, resultOf, type ToolCall, tool, user } from '../../src/index.ts'
import { calls, json, ScriptedClient, says } from '../../src/testing/index.ts'
import { thrownBy } from '../support/outcome.ts'
import { eventsOf, typesOf } from './events-of.ts'

const getWeather = tool({
  name: 'get_weather',
  description: 'Current weather for a city',
  parameters: z.object({ city: z.string() }),
  execute: ({ city }) => `${city}: sunny, 22 °C`,
})

const call = (id: string, city: string): ToolCall => ({ id, toolName: 'get_weather', parameters: { city } })
const answered = (id: string, city: string) => ({
  role: 'tool',
  callId: id,
  toolName: 'get_weather',
  content: `${city}: sunny, 22 °C`,
  ok: true,
})

describe('seed 002, lifecycle and loop', () => {
  it('002-1 is made, given tools, run, gone on with, and reset', async () => {
    const client = new ScriptedClient([
      calls(['get_weather', { city: 'Seattle' }]),
      'It is sunny in Seattle.',
      'You asked about Seattle.',
      'I know of nothing.',
    ])
    const agent = new Agent({ client, planning: 'off' })
    agent.registerTool(getWeather)

    const answers = [await agent.run('Weather in Seattle?'), await agent.run('Where did I ask about?')]
    agent.reset()
    answers.push(await agent.run('Where did I ask about?'))

    expect(answers).toEqual(['It is sunny in Seattle.', 'You asked about Seattle.', 'I know of nothing.'])
    expect(agent.listTools()).toEqual(['get_weather'])
    client.assertComplete()
  })

  it('002-2 gives the final answer as a string', async () => {
    const agent = new Agent({ client: new ScriptedClient([json({ final_answer: '4' })]), protocol: 'json' })
    expect(await agent.run('What is 2+2?')).toBe('4')
  })

  it('002-3 sends instructions, the form of replies and the tools as system text, and the history as messages', async () => {
    const client = new ScriptedClient([json({ final_answer: 'Hello.' })])
    const agent = new Agent({ client, protocol: 'json', instructions: 'Be brief.', tools: [getWeather] })
    await agent.run('Hello?')

    const [request] = client.requests
    expect(Object.keys(request ?? {})).toEqual(['system', 'messages'])
    expect(request?.messages).toEqual([user('Hello?')])
    const [instructions, forms, rules, tools, ...rest] = request?.system?.split('\n\n') ?? []
    expect(instructions).toBe('Be brief.')
    expect(forms).toMatch(/^How to reply\. .*"plan".*"tool_calls".*"final_answer"/s)
    expect(rules).toMatch(/^- Reply with exactly one JSON object /)
    expect(tools).toBe(
      'Your tools:\n- get_weather: Current weather for a city\n  parameters: ' +
        '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}',
    )
    expect(rest).toEqual([])
  })

  it('002-4 calls the model once for each iteration', async () => {
    const client = new ScriptedClient([
      calls(['get_weather', { city: 'Seattle' }]),
      calls(['get_weather', { city: 'Oslo' }]),
      'Sunny in both.',
    ])
    const events = await eventsOf(new Agent({ client, tools: [getWeather] }).runStream('Seattle or Oslo?'))

    const iterations = new Set(events.flatMap((event) => ('stepId' in event ? [event.stepId] : [])))
    expect([client.calls, iterations.size]).toEqual([3, 3])
  })

  it('002-6 puts call and result into the history under the same id', async () => {
    const client = new ScriptedClient([
      calls('Let me look.', ['get_weather', { city: 'Oslo' }, 'call_9']),
      'Sunny.',
    ])
    const agent = new Agent({ client, tools: [getWeather] })
    await agent.run('Oslo?')

    const history = [
      user('Oslo?'),
      assistant('Let me look.', [call('call_9', 'Oslo')]),
      answered('call_9', 'Oslo'),
    ]
    expect(agent.history).toEqual([...history, assistant('Sunny.')])
    expect(client.requests[1]?.messages).toEqual(history)
  })

  it('002-7 ends after maxIterations model calls with an error that keeps what was said', async () => {
    let number = 0
    const client = new ScriptedClient(() =>
      calls(`Try ${++number}.`, ['get_weather', { city: `City ${number}` }]),
    )
    const error = await thrownBy(
      new Agent({ client, tools: [getWeather], maxIterations: 3 }).run('Go on forever.'),
    )

    expect(error).toBeInstanceOf(MaxIterationsError)
    expect(error).toMatchObject({ maxIterations: 3, partial: 'Try 3.' })
    expect(resultOf(error)).toMatchObject({ status: 'limit', limit: 'iterations' })
    expect(resultOf(error)?.steps.map(({ thought }) => thought)).toEqual(['Try 1.', 'Try 2.', 'Try 3.'])
    expect(client.calls).toBe(3)
  })

  it('002-7 has ten iterations unless told otherwise', async () => {
    let number = 0
    const client = new ScriptedClient(() => calls(['get_weather', { city: `City ${++number}` }]))
    expect(await thrownBy(new Agent({ client, tools: [getWeather] }).run('Go on.'))).toMatchObject({
      maxIterations: 10,
    })
    expect(client.calls).toBe(10)
  })

  it('002-8 answers the worked example: a step, its tool, then the answer', async () => {
    const client = new ScriptedClient([
      calls(['get_weather', { city: 'Seattle' }]),
      'The weather in Seattle is sunny.',
    ])
    const agent = new Agent({ client, maxIterations: 5, tools: [getWeather] })
    const events = await eventsOf(agent.runStream("What's the weather in Seattle?"))

    const acts = ['step', 'tool started', 'tool completed', 'tool_results', 'final_response']
    expect(typesOf(events).filter((type) => acts.includes(type))).toEqual(acts)
    expect(events.at(-1)).toMatchObject({
      type: 'run_end',
      status: 'done',
      answer: 'The weather in Seattle is sunny.',
    })
  })

  it('002-9 sends the first exchange with the second input, and forgets it when reset', async () => {
    const client = new ScriptedClient([says('I am well.'), says('You asked how I am.'), says('Nothing.')])
    const agent = new Agent({ client })
    await agent.run('How are you?')
    await agent.run('What did I ask?')
    agent.reset()
    await agent.run('And now?')

    expect(client.requests.map(({ messages }) => messages)).toEqual([
      [user('How are you?')],
      [user('How are you?'), assistant('I am well.'), user('What did I ask?')],
      [user('And now?')],
    ])
  })
})
