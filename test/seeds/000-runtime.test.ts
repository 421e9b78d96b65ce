import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  AgentClosedError,
  assistant,
  ConfigurationError,
  RunAbortedError,
  tool,
  user,
} from '../../src/index.ts'
import { calls, hangs, ScriptedClient, says } from '../../src/testing/index.ts'
import { runNode } from '../support/child.ts'
import { thrownBy, turn } from '../support/outcome.ts'
import { root } from '../support/repository.ts'

const add = tool({
  name: 'add',
  description: 'Adds two numbers',
  parameters: z.object({ a: z.number(), b: z.number() }),
  execute: ({ a, b }) => a + b,
})

interface Seen {
  readonly variables: string[]
  readonly read: string[]
  /** Resources and handles that were not there before. */
  readonly left: number
  readonly opened: number
}

describe('seed 000, purpose', () => {
  it('000-1 is imported without opening, reading or printing anything', async () => {
    // The built package is probed in the same way in test/package.test.ts; here it is the source.
    const probe = `
      import fs from 'node:fs'
      import { syncBuiltinESMExports } from 'node:module'
      await import('data:text/javascript,') // the first import makes Node load what it needs for any import
      const read = []
      for (const name of ['openSync', 'readFileSync', 'open', 'readFile', 'statSync', 'readdirSync']) {
        const original = fs[name]
        fs[name] = (...all) => {
          const path = String(all[0])
          if (!/^file:.*[.][cm]?[jt]s$/.test(path)) read.push(path) // Node reads the modules themselves
          return original(...all)
        }
      }
      syncBuiltinESMExports()
      const handles = process._getActiveHandles().length
      const resources = process.getActiveResourcesInfo()
      globalThis.watched.variables.length = 0
      await import(process.argv[1])
      const variables = [...globalThis.watched.variables]
      const left = process.getActiveResourcesInfo().length - resources.length
      const opened = process._getActiveHandles().length - handles
      fs.writeSync(1, '\\0' + JSON.stringify({ variables, read, left, opened }))
      process.exit(0)`
    const importing = async (entry: string) => {
      const { stdout, stderr } = await runNode(
        ['--import', './test/support/watch-import.preload.ts', '--input-type=module', '-e', probe, entry],
        { cwd: root },
      )
      const [printed = '', found = '{}'] = stdout.split('\0')
      return { printed: printed + stderr, ...(JSON.parse(found) as Seen) } // written by the program above
    }
    const nothing = { printed: '', variables: [], read: [], left: 0, opened: 0 }
    expect(await importing('./src/index.ts')).toEqual(nothing)

    // The probe itself sees what there is to see.
    const chatty = `
      import { readFileSync } from 'node:fs'
      console.log('Hello.')
      readFileSync(process.env.TERCET_SETTINGS ?? '/dev/null')
      setInterval(() => {}, 1000)`
    const seen = await importing(`data:text/javascript,${encodeURIComponent(chatty)}`)
    expect(seen).toMatchObject({ printed: 'Hello.\n', variables: ['TERCET_SETTINGS'] })
    expect(new Set(seen.read)).toEqual(new Set(['/dev/null']))
    expect([seen.left > 0, seen.opened > 0]).toEqual([true, true])
  })

  it('000-2 keeps a conversation, and a fork of it goes on by itself', async () => {
    const agent = new Agent({ client: new ScriptedClient(['Hi.', 'Fine.']) })
    const conversation = agent.conversation('ada')
    await conversation.run('Hello?')
    const fork = await conversation.fork()
    await fork.run('How are you?')

    expect(conversation.history).toEqual([user('Hello?'), assistant('Hi.')])
    expect(fork.history).toEqual([user('Hello?'), assistant('Hi.'), user('How are you?'), assistant('Fine.')])
    expect(fork.id).not.toBe(conversation.id)
  })

  it('000-2 counts messages that were added, and a fork of them, apart', async () => {
    const agent = new Agent({ client: new ScriptedClient(['Yes.']) })
    agent.addMessage('user', 'Hello?')
    agent.addMessage('assistant', 'Hi.')
    const fork = await agent.conversation(agent.conversationId).fork()
    await fork.run('Still there?')
    expect([agent.history.length, fork.history.length]).toEqual([2, 4])
  })

  it('000-3 answers a tool call under its own id', async () => {
    const client = new ScriptedClient([calls(['add', { a: 1, b: 2 }, 'sum_1']), '3'])
    expect(await new Agent({ client, tools: [add] }).run('1 + 2?')).toBe('3')
    expect(client.requests[1]?.messages).toEqual([
      user('1 + 2?'),
      assistant('', [{ id: 'sum_1', toolName: 'add', parameters: { a: 1, b: 2 } }]),
      { role: 'tool', callId: 'sum_1', toolName: 'add', content: '3', ok: true },
    ])
  })

  it('000-5 adds up the tokens of its runs', async () => {
    const client = new ScriptedClient([
      says('a', { usage: { inputTokens: 10, outputTokens: 5 } }),
      says('b', { usage: { inputTokens: 7, outputTokens: 3 } }),
    ])
    const agent = new Agent({ client })
    await agent.run('One')
    await agent.run('Two')
    // No totalTokens: what could be derived is not stored, so that it cannot disagree.
    expect(agent.usage).toEqual({ inputTokens: 17, outputTokens: 8 })
  })
})

describe('seed 000, agent runtime', () => {
  it('000-6 is refused at once when an option is wrong, by the name of the option', () => {
    const make = () => new Agent({ client: new ScriptedClient([]), maxIterations: 0 })
    expect(make).toThrow(ConfigurationError)
    expect(make).toThrow(expect.objectContaining({ path: 'maxIterations' }))
  })

  it('000-7 forgets the conversation when it is reset', async () => {
    const client = new ScriptedClient(['One.', 'Two.'])
    const agent = new Agent({ client })
    await agent.run('First?')
    agent.reset()
    await agent.run('Second?')
    expect(client.requests[1]?.messages).toEqual([user('Second?')])
  })

  it('000-7 says whether it is idle, running or closed', async () => {
    const agent = new Agent({ client: new ScriptedClient(['One.']) })
    const states = [agent.status]
    agent.on('stream_start', () => states.push(agent.status))
    await agent.run('First?')
    states.push(agent.status)
    await agent.close()
    expect([...states, agent.status]).toEqual(['idle', 'running', 'idle', 'closed'])
  })

  it('000-8 gives the answer, and on demand everything about it', async () => {
    const client = new ScriptedClient(['hi', 'hi again'])
    const agent = new Agent({ client })
    expect(await agent.run('Hello?')).toBe('hi')
    // The iterations of a run are its model calls: the client counts them.
    expect(await agent.runStream('Hello?').result).toMatchObject({
      status: 'done',
      answer: 'hi again',
      steps: [],
      usage: { inputTokens: 10, outputTokens: 5 },
    })
    expect(client.calls).toBe(2)
  })

  it('000-9 closes its client at the end of its block, and is not run again', async () => {
    const client = new ScriptedClient(['Hi.'])
    let kept: Agent
    {
      await using agent = new Agent({ client })
      await agent.run('Hello?')
      expect(client.closed).toBe(false)
      kept = agent
    }
    expect(client.closed).toBe(true)
    expect(await thrownBy(kept.run('Hello?'))).toBeInstanceOf(AgentClosedError)
  })

  it('000-9 stops what is running when it is closed', async () => {
    const client = new ScriptedClient([hangs(['Let me'])])
    const agent = new Agent({ client })
    const stream = agent.runStream('Hello?')
    const { result } = stream
    await turn()
    await agent.close()

    const { status, error } = await result
    // Who closed the agent is the canceller: the error says so rather than speak of an abort in general.
    expect({ status, error }).toEqual({ status: 'aborted', error: expect.any(AgentClosedError) })
    expect(error).not.toBeInstanceOf(RunAbortedError)
    expect(client.callOptions[0]?.signal?.aborted).toBe(true)
  })
})
