import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  Agent,
  assistant,
  type JsonObject,
  type Message,
  type RecallToolOptions,
  recallTool,
  SimpleAgentMemory,
  secret,
  system,
  type ToolConversation,
  ToolRegistry,
  ToolSet,
  tool,
  toolMessage,
  user,
} from '../../src/index.ts'
import { codePointsOf } from '../../src/memory/tokens.ts'
import { calls, ScriptedClient, virtualClock } from '../../src/testing/index.ts'
import { turn } from '../support/outcome.ts'

const asking = (parameters: JsonObject = {}) => assistant('', [{ id: 'now', toolName: 'recall', parameters }])

const holding = (history: ToolConversation['history']): ToolConversation => ({
  history,
  compact: () => Promise.reject(new Error('Nothing is compacted here.')),
})

/** The tool in a conversation of these messages, as if the model had just called it. */
function recalling(history: readonly Message[], options: RecallToolOptions = {}, signal?: AbortSignal) {
  const registry = new ToolRegistry()
  registry.register(recallTool(options))
  const conversation = holding(() => [...history, user('And now?'), asking()])
  return async (parameters: JsonObject) => {
    const scope = { conversation, ...(signal && { signal }) }
    const { output } = await registry.dispatch({ toolName: options.name ?? 'recall', parameters }, scope)
    return output
  }
}

const pets = [
  user('My dog is called Rex.'),
  assistant('A good name.'),
  user('And my cat is called Tom.'),
  assistant('', [{ id: 'a', toolName: 'register', parameters: { pet: 'hamster' } }]),
  toolMessage({ id: 'a', toolName: 'register' }, 'Registered under 4711.'),
  assistant('Done.'),
]

describe('a search', () => {
  test('shows the best messages, with their place and how to read them', async () => {
    const recall = recalling(pets)
    expect(await recall({ query: 'what is the dog called' })).toBe(
      'message 1 of 7, user: My dog is called Rex.\n\n' +
        'message 3 of 7, user: And my cat is called Tom.\n\n' +
        'Read one in full: recall({ "message": <number> }), and "offset" to begin there.',
    )
    expect(await recall({ query: '4711' })).toMatch(
      /^message 5 of 7, result of register: Registered under 4711\./,
    )
    expect(await recall({ query: 'hamster' })).toMatch(
      /^message 4 of 7, assistant: register\({"pet":"hamster"}\) \[a\]/,
    )
    expect(await recall({ query: 'weather' })).toBe('Nothing found. Try other words.')
  })

  test('finds neither the question that is asked now nor what it found before', async () => {
    const found = toolMessage({ id: 'b', toolName: 'recall' }, 'message 1 of 7, user: My dog is called Rex.')
    const earlier = [...pets, asking({ query: 'dog dog dog' }), found, assistant('Rex.'), user('My dog?')]
    const registry = new ToolRegistry()
    registry.register(recallTool())
    const conversation = holding(() => [...earlier, asking({ query: 'dog' })])
    const { output } = await registry.dispatch(
      { toolName: 'recall', parameters: { query: 'dog' } },
      { conversation },
    )
    expect(output.match(/^message \d+/gm)).toEqual(['message 1'])
  })

  test('shows the place of a long message that it is about, and where that is', async () => {
    const log = `${'All is well. 👍 '.repeat(2_000)}The pump broke at noon.${' All is well.'.repeat(2_000)}`
    const recall = recalling([toolMessage({ id: 'a', toolName: 'log' }, log), user('Thanks'), ...pets])
    // Without a call the result would belong nowhere.
    expect(await recall({ query: 'pump' })).toBe('Nothing found. Try other words.')

    const whole = recalling([
      assistant('', [{ id: 'a', toolName: 'log', parameters: {} }]),
      toolMessage({ id: 'a', toolName: 'log' }, log),
    ])
    const output = await whole({ query: 'pump broke' })
    const offset = Number(/^message 2 of 3, result of log, offset (\d+): …/.exec(output)?.[1])
    expect(output).toContain('👍 The pump broke at noon. All is well.')
    expect(await whole({ message: 2, offset, limit: 150 })).toContain('The pump broke at noon.')
  })

  test('is bounded, whatever it finds', async () => {
    const names = 'n'.repeat(64)
    const history = Array.from({ length: 20 }, (_, number) => [
      assistant('', [{ id: `${number}`, toolName: names, parameters: {} }]),
      toolMessage({ id: `${number}`, toolName: names }, `${'x '.repeat(9_000)}needle${' 👍'.repeat(9_000)}`),
    ]).flat()
    for (const maxOutput of [1_000, 3_000, 8_000]) {
      const recall = recalling(history, { maxOutput, name: 'r'.repeat(64) })
      const outputs = [await recall({ query: 'needle' }), await recall({ message: 2, limit: 1e9 })]
      for (const output of outputs) {
        expect(codePointsOf(output)).toBeLessThanOrEqual(maxOutput)
        expect(codePointsOf(output)).toBeGreaterThan(maxOutput < 8_000 ? maxOutput / 2 : 2_000)
        expect(output).not.toContain('truncated')
      }
    }
  })

  test('finds the words of a message once, however often it is searched', async () => {
    let read = 0
    const history = Array.from({ length: 5_000 }, (_, number): Message => {
      const message = user('')
      const get = () => {
        read++
        return `Turn ${number}: nothing happened.`
      }
      return Object.defineProperty(message, 'content', { get })
    })
    const recall = recalling(history)
    await recall({ query: 'turn 4000' })
    const first = read
    await recall({ query: 'turn 4001' })
    // A repair looks whether a message is empty, and what is shown is read again.
    expect(read - first).toBeLessThanOrEqual(first - 5_000)
  })
})

describe('a search by meaning', () => {
  const embed = (texts: readonly string[]) => texts.map((text) => [/dog|pet/.test(text) ? 1 : 0, 1])

  test('finds what has none of the words, and embeds each message once', async () => {
    const asked: (readonly string[])[] = []
    const recall = recalling(pets.slice(0, 3), {
      embed: async (texts) => {
        asked.push(texts)
        return embed(texts)
      },
    })
    expect(await recall({ query: 'which pet?' })).toMatch(/^message 1 of 4, user: My dog is called Rex\./)
    await recall({ query: 'a pet' })
    expect(asked).toEqual([
      ['which pet?', 'My dog is called Rex.', 'A good name.', 'And my cat is called Tom.'],
      ['a pet'],
    ])
  })

  test('tells the model when it fails, and that it can still read', async () => {
    const recall = recalling(pets, { embed: () => Promise.reject(new Error('no quota')) })
    expect(await recall({ query: 'dog' })).toBe(
      'Error: Messages can be read by "message" or "call", but the search failed: no quota',
    )
    expect(await recall({ message: 2 })).toBe('message 2 of 7, assistant, all of it:\nA good name.')
    expect(await recalling(pets, { embed: () => [] })({ query: 'dog' })).toMatch(
      /but the search failed: embed must give 7 vectors for 7 texts/,
    )
  })

  test('ends with the run while the embedding hangs', async () => {
    const { runtime } = virtualClock()
    const client = new ScriptedClient(['Hello.', calls(['recall', { query: 'dog' }])])
    let isAsked = false
    const hangs = () => {
      isAsked = true
      return new Promise<never>(() => {})
    }
    const agent = new Agent({ client, tools: [recallTool({ embed: hangs })], runtime })
    await agent.run('My dog is called Rex.')
    const stream = agent.runStream('Who is Rex?')
    const { result } = stream
    while (!isAsked) await turn()
    stream.abort()
    const { status } = await result
    expect(status).toBe('aborted')
    expect(agent.history.map(({ role }) => role)).toEqual(['user', 'assistant', 'user', 'assistant', 'tool'])
  })

  test('asks nothing where nothing was said', async () => {
    const recall = recalling([], { embed: () => Promise.reject(new Error('asked')) })
    expect(await recall({ query: 'dog' })).toBe('Nothing found. Try other words.')
  })
})

describe('a message that is read', () => {
  test('is given whole, by its number or its call', async () => {
    const recall = recalling([system('Be brief.'), ...pets])
    expect(await recall({ message: 1 })).toBe('message 1 of 8, system, all of it:\nBe brief.')
    expect(await recall({ call: 'a' })).toBe(
      'message 6 of 8, result of register, all of it:\nRegistered under 4711.',
    )
    expect(await recall({ message: 6, offset: 11, limit: 5 })).toBe(
      'message 6 of 8, result of register, code points 11 to 15 of 22; read on with "offset": 16:\nunder',
    )
    expect(await recall({ query: 'dog', message: 3 })).toBe(
      'message 3 of 8, assistant, all of it:\nA good name.',
    )
  })

  test('has the ids that the model was shown, where a history had one twice', async () => {
    const call = { id: 'a', toolName: 'log', parameters: {} }
    const recall = recalling([
      assistant('', [call]),
      toolMessage(call, 'one'),
      assistant('', [call]),
      toolMessage(call, 'two'),
    ])
    expect(await recall({ call: 'a' })).toMatch(/one$/)
    expect(await recall({ call: 'a_2' })).toMatch(/two$/)
  })

  test('says what to do where there is none', async () => {
    const recall = recalling(pets)
    expect(await recall({})).toBe(
      'Error: Say what to recall: { "query": "a few telling words" } to search, or { "message": 5 } or { "call": "call_3" } to read.',
    )
    expect(await recall({ query: ' ' })).toMatch(/^Error: Say what to recall/)
    expect(await recall({ message: 8 })).toBe(
      'Error: There is no message 8: there are 7, from 1 on. Search with "query".',
    )
    expect(await recall({ call: 'now' })).toBe('Error: There is no earlier call "now". Search with "query".')
    expect(await recall({ message: 2, offset: 12 })).toBe(
      'Error: The message has 12 code points, so there is nothing from offset 12 on.',
    )
    expect(await recall({ message: 0 })).toMatch(/^Error: The parameters do not fit the tool "recall"/)
    const registry = new ToolRegistry()
    registry.register(recallTool())
    const { output } = await registry.dispatch({ toolName: 'recall', parameters: { query: 'x' } })
    expect(output).toBe('Error: There is no conversation to look back into.')
  })

  test('is what it was to the byte, put together from any pieces', async () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc.string({ unit: fc.constantFrom('👍🏽', 'é', '\r\n', '\n', ' ', 'a', '\0'), maxLength: 40 }),
    )
    const sizes = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 5 })
    await fc.assert(
      fc.asyncProperty(texts, sizes, fc.boolean(), async (text, limits, isResult) => {
        const call = { id: 'a', toolName: 'log', parameters: {} }
        const recall = recalling([
          user('x'),
          assistant('', [call]),
          toolMessage(call, isResult ? text : ''),
          user(text),
        ])
        let read = ''
        // A message of the user that is empty is said to be so.
        if (!isResult && text.trim() === '') return
        for (let time = 0, offset = 0; ; time++) {
          const limit = limits[time % limits.length] ?? 1
          const output = await recall({ ...(isResult ? { call: 'a' } : { message: 4 }), offset, limit })
          const heading = output.indexOf('\n')
          read += output.slice(heading + 1)
          const next = /read on with "offset": (\d+):$/.exec(output.slice(0, heading))?.[1]
          if (next === undefined) break
          offset = Number(next)
        }
        expect(read).toBe(text)
      }),
      { numRuns: 300 },
    )
  })
})

describe('in a run', () => {
  test('brings back what requests no longer hold', async () => {
    const client = new ScriptedClient([
      'Noted.',
      ...Array.from({ length: 10 }, () => 'Noted.'),
      calls(['recall', { query: 'dog called' }, 'a']),
      ({ messages }) => (String(messages.at(-1)?.content).includes('Rex') ? 'Rex.' : 'I do not know.'),
    ])
    const memory = new SimpleAgentMemory({ maxHistoryTokens: 100 })
    const agent = new Agent({ client, memory, tools: [recallTool()] })
    await agent.run('My dog is called Rex.')
    for (let day = 1; day <= 10; day++)
      await agent.run(`Diary of day ${day}: ${'nothing happened. '.repeat(5)}`)
    expect(await agent.run('What is the name of my dog?')).toBe('Rex.')
    expect(JSON.stringify(client.requests.at(-2)?.messages)).not.toContain('Rex')
  })

  test('finds what the same turn has found out before, and is stopped where it finds the same again and again', async () => {
    const look = tool({
      name: 'look',
      description: 'Looks',
      parameters: z.object({}),
      execute: () => 'It is 42.',
    })
    const client = new ScriptedClient((request) =>
      request.messages.length === 1 ? calls(['look']) : calls(['recall', { query: '42' }]),
    )
    const { result } = new Agent({ client, tools: [look, recallTool()] }).runStream('How much is it?')
    const { steps, error } = await result
    expect(steps[1]?.results[0]?.output).toMatch(/^message 3, of this turn, result of look: It is 42\.\n/)
    expect(steps[2]?.results[0]?.output).toBe(steps[1]?.results[0]?.output)
    expect(error?.code).toBe('no_progress')
  })

  test('gives no secret back that was scrubbed', async () => {
    const key = 'S3CR3T-0123456789'
    const recall = new ToolSet({
      name: 's',
      description: 'S',
      tools: [recallTool()],
      config: { key: secret(key) },
    })
    const client = new ScriptedClient([
      'Noted.',
      calls(['recall', { query: 'key' }]),
      calls(['recall', { message: 1 }]),
      'Done.',
    ])
    const agent = new Agent({ client, tools: [recall] })
    await agent.run(`My key is ${key}.`)
    const { steps } = await agent.runStream('Which one?').result
    const outputs = steps.flatMap(({ results }) => results.map(({ output }) => output))
    expect(outputs[0]).toMatch(/^message 1 of 3, user: My key is \[secret:key\]\.\n/)
    expect(outputs[1]).toBe('message 1 of 3, user, all of it:\nMy key is [secret:key].')
  })
})

test('options that are wrong are refused', () => {
  expect(() => recallTool({ maxOutput: 999 })).toThrow(
    'recallTool() option maxOutput must be an integer of at least 1000, got 999.',
  )
  expect(() => recallTool({ name: 'a b' })).toThrow('tool() option name')
})
