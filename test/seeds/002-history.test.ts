import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  assistant,
  ConfigurationError,
  type Message,
  system,
  tool,
  toolMessage,
  user,
} from '../../src/index.ts'
import { calls, json, ScriptedClient } from '../../src/testing/index.ts'

const now = tool({ name: 'now', description: 'The time', parameters: z.object({}), execute: () => 'noon' })

describe('seed 002, messages and history', () => {
  it('002-33 knows four roles, each with its own members', () => {
    const told = (message: Message): string => {
      switch (message.role) {
        case 'system':
          return `system: ${message.content}`
        case 'user':
          return `user: ${message.content}`
        case 'assistant':
          return `assistant: ${message.content}, ${message.toolCalls?.length ?? 0} calls`
        case 'tool':
          return `tool ${message.callId}: ${message.content}`
        default:
          return message satisfies never
      }
    }
    const call = { id: 'call_1', toolName: 'now', parameters: {} }
    const messages = [system('Be brief.'), user('Time?'), assistant('', [call]), toolMessage(call, 'noon')]
    expect(messages.map(told)).toEqual([
      'system: Be brief.',
      'user: Time?',
      'assistant: , 1 calls',
      'tool call_1: noon',
    ])
  })

  it('002-34 sends the instructions as system text and keeps them out of the history', async () => {
    const client = new ScriptedClient(['Hello.', 'Bye.'])
    const agent = new Agent({ client, instructions: ({ context }) => `Speak with ${context}.` })
    await agent.run('Hello?', { context: 'Ada' })
    await agent.run('Bye?', { context: 'Bob' })

    expect(client.requests.map(({ system }) => system)).toEqual(['Speak with Ada.', 'Speak with Bob.'])
    expect(agent.history.map(({ role }) => role)).toEqual(['user', 'assistant', 'user', 'assistant'])
  })

  it('002-35 keeps the answer in the history, and the envelope it came in among the entries', async () => {
    const client = new ScriptedClient([json({ final_answer: 'It is "noon".' })])
    const agent = new Agent({ client, protocol: 'json' })
    await agent.run('Time?', { conversation: 'c' })

    const conversation = agent.conversation('c')
    expect(conversation.history).toEqual([user('Time?'), assistant('It is "noon".')])
    const replies = (await conversation.entries()).filter(({ type }) => type === 'reply')
    expect(replies).toMatchObject([
      { text: 'It is "noon".', raw: '```json\n{"final_answer":"It is \\"noon\\"."}\n```' },
    ])
  })

  it('002-36 gives a history whose change changes nothing', async () => {
    const client = new ScriptedClient([calls(['now']), 'Noon.', 'Bye.'])
    const agent = new Agent({ client, tools: [now] })
    await agent.run('Time?')
    const before = structuredClone(agent.history)
    ;(agent.history as Message[]).push(user('Never said.')) // as a caller without types would

    expect(agent.history).toEqual(before)
    await agent.run('Bye?')
    expect(client.requests[2]?.messages).toEqual([...before, user('Bye?')])
  })

  it('002-37 sends messages that were added by hand', async () => {
    const client = new ScriptedClient(['Ada.'])
    const agent = new Agent({ client })
    agent.addMessage('user', 'My name is Ada.')
    agent.addMessage('assistant', 'Nice to meet you.')
    agent.addMessage({ role: 'system', content: 'From now on, be brief.' })
    await agent.run('What is my name?')

    expect(client.requests[0]?.messages).toEqual([
      user('My name is Ada.'),
      assistant('Nice to meet you.'),
      system('From now on, be brief.'),
      user('What is my name?'),
    ])
  })

  it('002-37 refuses a tool message without its call, and a role it does not know', () => {
    const agent = new Agent({ client: new ScriptedClient([]) })
    expect(() => agent.addMessage('tool', 'noon')).toThrow(ConfigurationError)
    expect(() => agent.addMessage('tool', 'noon')).toThrow('message.callId must be a string, got undefined.')
    expect(() => agent.addMessage('developer' as 'user', 'Hello.')).toThrow(ConfigurationError) // as untyped code would
    expect(agent.history).toEqual([])
  })

  it('002-38 forgets the history when reset, but neither tools nor, unless asked to, usage', async () => {
    const agent = new Agent({ client: new ScriptedClient(['Hello.']), tools: [now] })
    await agent.run('Hello?')
    const used = { inputTokens: 10, outputTokens: 5 }

    agent.reset()
    expect([agent.history, agent.usage, agent.listTools()]).toEqual([[], used, ['now']])
    agent.reset({ usage: true })
    expect([agent.history, agent.usage, agent.listTools()]).toEqual([
      [],
      { inputTokens: 0, outputTokens: 0 },
      ['now'],
    ])
  })
})
