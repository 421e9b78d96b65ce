import { describe, expect, test } from 'vitest'
import { Agent, approve, ConfigurationError, isEvent, secret, ToolSet, tool } from '../../src/index.ts'
import { calls, checkEvents, fails, hangs, json, ScriptedClient } from '../../src/testing/index.ts'
import { eventsOf } from '../seeds/events-of.ts'
import { turn, until } from '../support/outcome.ts'
import { watchRejections } from './aftermath.ts'
import { approvalStage } from './approval-stage.ts'

watchRejections()

const look = tool({
  name: 'look',
  description: 'Looks',
  parameters: { type: 'object', properties: {} },
  effect: 'read',
  execute: () => 'A cat.',
})
const looks = calls('I look.', ['look', {}, 'l'])
const said = (client: ScriptedClient) =>
  client.requests.map(({ messages }) => messages.map(({ role, content }) => [role, content]))

describe('what is said to a run while it goes on', () => {
  test('is seen by the next model call, after the results, and told as delivered', async () => {
    const client = new ScriptedClient([looks, 'A cat, in French: un chat.'])
    const agent = new Agent({ client, tools: [look] })
    const stream = agent.runStream('What is there?')
    const events = []
    let delivered: Promise<boolean> | undefined
    for await (const event of stream) {
      events.push(event)
      if (event.type === 'step') delivered = stream.steer('In French, please.')
      if (event.type === 'steering') expect(client.calls).toBe(1)
    }
    expect(await delivered).toBe(true)
    expect(checkEvents(events)).toBeUndefined()
    expect(events.filter((event) => isEvent(event, 'steering'))).toMatchObject([
      { stepId: expect.stringMatching(/\/2$/), message: { role: 'user', content: 'In French, please.' } },
    ])
    expect(said(client)[1]).toEqual([
      ['user', 'What is there?'],
      ['assistant', 'I look.'],
      ['tool', 'A cat.'],
      ['user', 'In French, please.'],
    ])
    expect(agent.history).toHaveLength(5)
  })

  test('before the run begins stands after its input', async () => {
    const client = new ScriptedClient(['Hello.'])
    const stream = new Agent({ client }).runStream('Hi')
    const both = Promise.all([stream.steer('One.'), stream.steer('Two.')])
    await stream.result
    expect(await both).toEqual([true, true])
    expect(said(client)[0]?.map(([, content]) => content)).toEqual(['Hi', 'One.', 'Two.'])
  })

  test('is kept in the conversation also when the call that was to see it fails', async () => {
    const client = new ScriptedClient([looks, fails('auth'), 'Un chat.'])
    const agent = new Agent({ client, tools: [look] })
    const stream = agent.runStream('What is there?')
    const heard: Promise<boolean>[] = []
    agent.on('step', () => heard.push(stream.steer('In French, please.')))
    expect((await stream.result).status).toBe('failed')
    expect(await heard[0]).toBe(true)
    await agent.resume(agent.conversationId)
    expect(said(client)[2]?.at(-1)).toEqual(['user', 'In French, please.'])
  })

  test('in the JSON protocol is heard like in the native one', async () => {
    const call = { id: 'l', tool_name: 'look', parameters: {} }
    const client = new ScriptedClient([json({ tool_calls: [call] }), json({ final_answer: 'Un chat.' })])
    const agent = new Agent({ client, tools: [look], protocol: 'json' })
    const stream = agent.runStream('What is there?')
    agent.on('step', () => void stream.steer('In French, please.'))
    expect((await stream.result).answer).toBe('Un chat.')
    expect(said(client)[1]?.at(-1)).toEqual(['user', 'In French, please.'])
  })

  test('is free of secrets, and shown to hooks', async () => {
    const key = 'sk-very-secret-key-123'
    const set = new ToolSet({ name: 's', description: 's', config: { apiKey: secret(key) }, tools: [look] })
    const client = new ScriptedClient(['Noted.'])
    const joined: unknown[] = []
    const hooks = { onMessage: ({ content }: { content: unknown }) => void joined.push(content) }
    const agent = new Agent({ client, tools: [set], hooks: hooks as never })
    const stream = agent.runStream('Hi')
    void stream.steer(`The key is ${key}.`)
    const events = await eventsOf(stream)
    expect(JSON.stringify([events, client.requests, agent.history])).not.toContain(key)
    expect(joined).toEqual(['Hi', 'The key is [secret:apiKey].', 'Noted.'])
  })
})

describe('what comes too late', () => {
  test('is reported as not delivered: the answer was on its way', async () => {
    const stream = new Agent({ client: new ScriptedClient(['Hello.']) }).runStream('Hi')
    let delivered: Promise<boolean> | undefined
    for await (const event of stream) if (event.type === 'token') delivered = stream.steer('Wait!')
    expect(await delivered).toBe(false)
    expect(await stream.steer('Still there?')).toBe(false)
    expect((await stream.result).history).toHaveLength(2)
  })

  test('is reported as not delivered when the run waits for approval, and can be said to its rest', async () => {
    const { agent, client } = approvalStage([calls(['pay', { n: 1 }, 'p']), 'Paid.'])
    const first = agent().runStream('Go.', { conversation: 'c' })
    let delivered: Promise<boolean> | undefined
    for await (const event of first) if (event.type === 'step') delivered = first.steer('Hurry.')
    expect(await delivered).toBe(false)
    const rest = agent().resumeStream('c', { decisions: { p: approve() } })
    const again = rest.steer('Hurry.')
    expect((await rest.result).status).toBe('done')
    expect(await again).toBe(true)
    expect(said(client)[1]?.at(-1)).toEqual(['user', 'Hurry.'])
  })

  test.each(['abort', 'leave'])('is reported at once when the run is stopped: %s', async (how) => {
    const client = new ScriptedClient([hangs()])
    const stream = new Agent({ client }).runStream('Hi')
    void stream.result
    await until(() => client.calls === 1)
    const answers: boolean[] = []
    void stream.steer('Hello?').then((isDelivered) => answers.push(isDelivered))
    if (how === 'abort') stream.abort()
    else void stream[Symbol.asyncDispose]()
    await turn()
    expect(answers).toEqual([false])
    await stream.result
  })

  test('is reported also when the run never began', async () => {
    const stream = new Agent({ client: new ScriptedClient([]) }).runStream('Hi')
    const delivered = stream.steer('Hello?')
    await stream[Symbol.asyncDispose]()
    expect(await delivered).toBe(false)
  })
})

test('content that is none is refused at once', () => {
  const stream = new Agent({ client: new ScriptedClient([]) }).runStream('Hi')
  expect(() => stream.steer(7 as never)).toThrow(ConfigurationError)
  expect(() => stream.steer(7 as never)).toThrow(/^content/)
})
