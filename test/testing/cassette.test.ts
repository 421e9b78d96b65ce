import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Agent } from '../../src/agent/agent.ts'
import type { AgentOptions } from '../../src/agent/options.ts'
import { type LLMChunk, type LLMClient, type LLMRequest, wrapClient } from '../../src/client/client.ts'
import { FatalToolError, LLMError, RunAbortedError } from '../../src/errors.ts'
import type { AgentEvent } from '../../src/events.ts'
import { user } from '../../src/messages.ts'
import { secret } from '../../src/secret.ts'
import { type Cassette, type CassetteOptions, cassette } from '../../src/testing/cassette/cassette.ts'
import { CassetteMissError } from '../../src/testing/cassette/miss.ts'
import { virtualClock } from '../../src/testing/clock.ts'
import { calls, chunks, fails, hangs, json, plans, type Script, says } from '../../src/testing/script.ts'
import { ScriptedClient } from '../../src/testing/scripted-client.ts'
import { tool } from '../../src/tools/define.ts'
import { type Tool, toolError, toolResult } from '../../src/tools/tool.ts'
import { ToolSet } from '../../src/tools/toolset.ts'
import '../../src/protocol/json.ts'
import '../../src/tools/json-validator.ts'
import { trials } from '../laws/support/law.ts'
import { encodingNames, encodings, leaks } from '../laws/support/leaks.ts'
import { agentOptions } from '../laws/support/options.ts'
import { type Scenario, scenario } from '../laws/support/scenario.ts'
import { makeTool, type ToolStage } from '../laws/support/tools.ts'
import { rendered } from '../laws/support/turns.ts'
import { thrownBy } from '../support/outcome.ts'

let folder: string
let files = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tercet-cassette-'))
})
afterAll(() => rm(folder, { recursive: true }))

const newPath = () => join(folder, `${++files}`, 'tape.json')
const ask = (text = 'Hi'): LLMRequest => ({ messages: [user(text)] })
const retry = { minDelayMs: 0, jitter: 'none' } as const

/** A tool that counts how often it was executed. */
function counted(execute: (city: string) => unknown, name = 'weather') {
  let executions = 0
  const made = tool({
    name,
    description: 'The weather in a city',
    parameters: z.object({ city: z.string() }),
    effect: 'read',
    execute: ({ city }) => {
      executions += 1
      return execute(city)
    },
  })
  return {
    tool: made,
    get executions() {
      return executions
    },
  }
}

async function eventsOf(agent: Agent, input = 'How is the weather?'): Promise<AgentEvent[]> {
  const events: AgentEvent[] = []
  const stream = agent.runStream(input)
  for await (const event of stream) events.push(event)
  return events
}

/** Runs an agent on a tape. Whatever takes time takes none, and ids are the same each time. */
function runOn(
  tape: Cassette,
  client: LLMClient,
  options: Partial<AgentOptions> = {},
): Promise<AgentEvent[]> {
  const { runtime } = virtualClock()
  return eventsOf(new Agent({ client: wrapClient(client, tape.client), runtime, retry, ...options }))
}

/** Records one call of a client for each question. */
async function recorded(script: Script, asked: readonly string[], options: Partial<CassetteOptions> = {}) {
  const path = newPath()
  const tape = await cassette({ path, mode: 'record', ...options })
  const client = wrapClient(new ScriptedClient(script), tape.client)
  for (const text of asked) await client.call(ask(text)).catch(() => {})
  await tape.save()
  return path
}

async function drained(stream: AsyncIterable<LLMChunk> | undefined): Promise<LLMChunk[]> {
  const all: LLMChunk[] = []
  for await (const chunk of stream ?? []) all.push(chunk)
  return all
}

describe('a cassette', () => {
  const script: Script = [
    plans('Look, then answer.'),
    calls('Let me look.', ['weather', { city: 'Oslo' }], ['weather', { city: 'Lima' }], ['news']),
    fails('overloaded', { after: ['Half an ans'], status: 529, retryable: false }),
  ]
  const otherScript: Script = [
    fails('rate_limit', { status: 429, retryAfterMs: 5 }),
    calls(['weather', { city: 'Bergen' }], ['weather', { city: 'nowhere' }]),
    chunks(['It ', 'is su', 'nny.'], { reasoning: 'The sun shines.', requestId: 'r-1' }),
  ]
  const weather = () =>
    counted((city) => {
      if (city === 'nowhere') return toolError('There is no such city.')
      if (city === 'Lima') throw new TypeError('no connection')
      return toolResult({ city, sky: 'clear' }, { metadata: { station: 7 } })
    })

  test.each([script, otherScript])(
    'replays a run to the very same events, asking nobody',
    async (...script) => {
      const path = newPath()
      const recording = await cassette({ path })
      expect(recording.mode).toBe('record')
      const real = new ScriptedClient(script, { chunkSize: 4 })
      const there = weather()
      const events = await runOn(recording, real, { tools: [recording.tool(there.tool)] })
      await recording.save()

      const replaying = await cassette({ path })
      expect(replaying.mode).toBe('replay')
      const idle = new ScriptedClient([])
      const here = weather()
      expect(await runOn(replaying, idle, { tools: [replaying.tool(here.tool)] })).toEqual(events)
      replaying.assertComplete()
      expect([real.calls, there.executions > 0, idle.calls, here.executions]).toEqual([3, true, 0, 0])

      const alone = await cassette({ path, mode: 'replay' })
      const agent = { tools: [alone.tool(weather().tool)] }
      expect(await runOn(alone, alone.player(), agent)).toEqual(events)
    },
  )

  test('replays the JSON protocol, progress of tools, and what a tool ends a run with', async () => {
    const script = [
      json({ tool_thought: 'Dig.', tool_calls: [{ id: 'a', tool_name: 'dig', parameters: { deep: 2 } }] }),
      json({ tool_calls: [{ id: 'b', tool_name: 'dig', parameters: { deep: 3 } }] }),
    ]
    const dig = () =>
      tool({
        name: 'dig',
        description: 'Digs',
        parameters: z.object({ deep: z.number() }),
        execute: ({ deep }, { progress }) => {
          if (deep > 2) throw new FatalToolError('The shovel broke.')
          progress({ percent: 50 })
          progress('nearly')
        },
      })
    const path = newPath()
    const play = async (tape: Cassette, client: LLMClient) =>
      runOn(tape, client, { protocol: 'json', tools: [tape.tool(dig())] })
    const tape = await cassette({ path })
    const events = await play(tape, new ScriptedClient(script, { chunkSize: 9 }))
    expect(events.at(-1)).toMatchObject({ status: 'failed', error: { code: 'fatal_tool' } })
    expect(
      events.filter((event) => event.type === 'tool_execution' && event.status === 'progress'),
    ).toHaveLength(2)
    await tape.save()
    expect(await play(await cassette({ path }), new ScriptedClient([]))).toEqual(events)
  })

  test('keeps chunks as they came, with and without their time', async () => {
    const pieces = ['A', 'bc', '', 'def']
    const path = newPath()
    const clock = virtualClock()
    const slow: LLMClient = {
      provider: 'p',
      model: 'm',
      capabilities: { tools: true, streaming: true, structuredOutput: true, images: true, contextWindow: 9 },
      call: () => Promise.reject(new Error('not called')),
      stream: async function* () {
        for (const text of pieces) {
          await clock.runtime.sleep(text.length * 100)
          yield { type: 'text', text }
        }
        yield {
          type: 'end',
          response: { text: 'Abcdef', toolCalls: [], stopReason: 'stop', raw: { own: 1 } },
        }
      },
    }
    const tape = await cassette({ path, runtime: clock.runtime })
    const came = await drained(wrapClient(slow, tape.client).stream?.(ask()))
    await tape.save()
    const { raw: _, ...response } = { raw: 1, text: 'Abcdef', toolCalls: [], stopReason: 'stop' }
    const kept = [...pieces.map((text) => ({ type: 'text', text })), { type: 'end', response }]
    expect(came).toHaveLength(5)

    const again = virtualClock()
    const timed = (await cassette({ path, runtime: again.runtime })).player()
    expect(timed).toMatchObject({ provider: 'p', model: 'm', capabilities: { contextWindow: 9 } })
    expect(await drained(timed.stream?.(ask()))).toEqual(kept)
    expect(again.sleeps).toEqual([100, 200, 300])

    const instant = (await cassette({ path })).player()
    expect(await drained(instant.stream?.(ask()))).toEqual(kept)
  })

  test.each([true, false])('keeps which of two tools is done first, with its time: %s', async (timed) => {
    const path = newPath()
    const play = async (script: Script) => {
      const { runtime } = virtualClock()
      const tape = await cassette({ path, ...(timed && { runtime }) })
      const nap = counted((city) => runtime.sleep(city.length * 10).then(() => city))
      const client = wrapClient(new ScriptedClient(script), tape.client)
      const events = await eventsOf(new Agent({ client, runtime, tools: [tape.tool(nap.tool)] }))
      await tape.save()
      return events
    }
    const events = await play([
      calls(['weather', { city: 'Bergen' }], ['weather', { city: 'Oslo' }]),
      'Fine.',
    ])
    const done = events.filter((event) => event.type === 'tool_execution' && event.status === 'completed')
    expect(done.map((event) => 'result' in event && event.result?.output)).toEqual(['Oslo', 'Bergen'])
    const lasting = (all: readonly AgentEvent[]) =>
      JSON.stringify(all).replace(/"durationMs":\d+/g, (text) => (timed ? text : ''))
    expect(lasting(await play([]))).toEqual(lasting(events))
  })

  test('is the same file to the byte for the same run, and leaves no draft behind', async () => {
    const texts: string[] = []
    for (const _ of [1, 2]) {
      const path = newPath()
      const tape = await cassette({ path })
      await runOn(tape, new ScriptedClient(otherScript, { chunkSize: 3 }), {
        tools: [tape.tool(weather().tool)],
      })
      await tape.save()
      texts.push(await readFile(path, 'utf8'))
      expect(await readdir(join(path, '..'))).toEqual(['tape.json'])
    }
    expect(texts[1]).toBe(texts[0])
    expect(texts[0]?.split('\n').slice(0, 3)).toEqual(['{', '  "tercet": "cassette",', '  "version": 1,'])
  })

  test('writes when it is disposed of, and nothing if nothing was asked', async () => {
    const path = newPath()
    {
      await using _ = await cassette({ path })
    }
    expect((await cassette({ path })).mode).toBe('record')
    {
      await using tape = await cassette({ path })
      await wrapClient(new ScriptedClient(['Hello.']), tape.client).call(ask())
    }
    const replay = await cassette({ path, mode: 'replay' })
    expect((await replay.player().call(ask())).text).toBe('Hello.')
  })
})

describe('a call that is not on the cassette', () => {
  test('says where the nearest one differs', async () => {
    const path = await recorded(['one', 'two'], ['Weather in Oslo?', 'What time is it?'])
    const player = (await cassette({ path })).player()
    const error = await thrownBy(player.call(ask('Weather in Rome?')))
    expect(error).toBeInstanceOf(CassetteMissError)
    expect(error).toMatchObject({
      code: 'cassette_miss',
      differences: [
        { path: '$.request.messages[0].content', expected: 'Weather in Oslo?', actual: 'Weather in Rome?' },
      ],
    })
    expect((error as Error).message).toBe(
      `The cassette "${path}" does not hold this model call. The nearest, number 1, differs in\n` +
        '  $.request.messages[0].content\n' +
        '    recorded: "Weather in Oslo?"\n' +
        '    asked:    "Weather in Rome?"\n' +
        "Record it again with mode: 'record', or ask what was recorded.",
    )
  })

  test('is cut to what differs, also in long texts and many places', async () => {
    const long = 'x'.repeat(5_000)
    const path = await recorded(['one'], [`${long} a ${long}`])
    const player = (await cassette({ path })).player()
    const { message } = (await thrownBy(player.call(ask(`${long} b ${long}`)))) as Error
    expect(message).toContain('recorded: …xxxxxxxxxxxxxxxxxxxxxxxxxxxxx a xxxx')
    expect(message.length).toBeLessThan(700)
    const many = { ...ask(`${long} a ${long}`), params: { seed: 1, topP: 1, stop: ['a'], temperature: 0 } }
    const other = (await thrownBy(player.call({ ...many, system: 'S', toolChoice: 'none' }))) as Error
    expect(other.message).toContain('$.request.params\n    recorded: nothing\n    asked:    {"seed":1')
  })

  test('fails the run, also when it is one of a tool', async () => {
    const path = newPath()
    const tape = await cassette({ path })
    const client = wrapClient(
      new ScriptedClient([calls(['weather', { city: 'Oslo' }]), 'Fine.']),
      tape.client,
    )
    await new Agent({ client, tools: [tape.tool(counted(() => 'Sunny').tool)] }).run('Weather?')
    await tape.save()

    const other = await cassette({ path })
    const changed = new Agent({ client: other.player(), tools: [other.tool(counted(() => 'Sunny').tool)] })
    await expect(changed.run('Weather!')).rejects.toMatchObject({ code: 'cassette_miss' })
    expect(() => other.assertComplete()).toThrow('$.request.messages[0].content')

    const third = await cassette({ path })
    const asked = new ScriptedClient([calls(['weather', { city: 'Rome' }])])
    const agent = new Agent({ client: asked, tools: [third.tool(counted(() => 'Sunny').tool)] })
    const error = await thrownBy(agent.run('Weather?'))
    expect(error).toBeInstanceOf(FatalToolError)
    expect((error as Error).message).toContain('recorded: "Oslo"\n    asked:    "Rome"')
    expect(() => third.assertComplete()).toThrow(CassetteMissError)
    const unknown = third.tool(counted(() => '', 'news').tool)
    const stray = new Agent({
      client: new ScriptedClient([calls(['news', { city: 'x' }])]),
      tools: [unknown],
    })
    await expect(stray.run('News?')).rejects.toThrow('holds no call of the tool "news"')
  })

  test('is one of another provider or model', async () => {
    const path = await recorded(['one'], ['Hi'])
    const tape = await cassette({ path })
    const other = wrapClient(new ScriptedClient([], { model: 'scripted-2' }), tape.client)
    await expect(other.call(ask())).rejects.toMatchObject({ differences: [{ path: '$.model' }] })
    expect(() => tape.player({ model: 'scripted-2' })).toThrow('was recorded with scripted/scripted-1')
  })

  test('is not one that only has other ids', async () => {
    const path = newPath()
    const talk = (client: LLMClient, id: string) =>
      client.call({
        messages: [
          user('Hi'),
          {
            role: 'assistant',
            content: '',
            planId: `p${id}`,
            plan: 'Look.',
            toolCalls: [{ id, toolName: 't', parameters: {} }],
          },
          { role: 'tool', callId: id, toolName: 't', content: 'x', ok: true },
        ],
      })
    const tape = await cassette({ path })
    await talk(wrapClient(new ScriptedClient(['Hello.']), tape.client), 'call_abc')
    await tape.save()
    expect((await talk((await cassette({ path })).player(), 'toolu_7')).text).toBe('Hello.')
  })

  test('is one that was not made, for assertComplete', async () => {
    const path = await recorded(['one', 'two'], ['1', '2'])
    const tape = await cassette({ path })
    await tape.player().call(ask('2'))
    expect(() => tape.assertComplete()).toThrow(
      `1 of the recordings on "${path}" were never asked for. The first of them: the model call, number 1.`,
    )
  })
})

describe('equal calls', () => {
  test('are played in order, and then fail or repeat the last', async () => {
    const path = await recorded(['one', 'two'], ['Hi', 'Hi'])
    const strict = (await cassette({ path })).player()
    const texts = [await strict.call(ask()), await strict.call(ask())].map(({ text }) => text)
    expect(texts).toEqual(['one', 'two'])
    await expect(strict.call(ask())).rejects.toThrow('is 2 times on the cassette')
    const loose = (await cassette({ path, match: 'loose' })).player()
    for (const text of ['one', 'two', 'two']) expect(await loose.call(ask())).toMatchObject({ text })
  })

  test('are kept apart when they are made at once', async () => {
    const path = newPath()
    const clock = virtualClock()
    const tape = await cassette({ path, runtime: clock.runtime })
    const script = [says('slow', { delayMs: 500 }), says('fast', { delayMs: 10 })]
    const client = wrapClient(new ScriptedClient(script, { runtime: clock.runtime }), tape.client)
    await Promise.all([client.call(ask()), client.call(ask())])
    await tape.save()
    const player = (await cassette({ path, runtime: virtualClock().runtime })).player()
    const order: string[] = []
    const answers = await Promise.all(
      [1, 2].map(() =>
        player.call(ask()).then(({ text }) => {
          order.push(text)
          return text
        }),
      ),
    )
    expect([answers, order]).toEqual([
      ['slow', 'fast'],
      ['fast', 'slow'],
    ])
  })
})

describe('errors', () => {
  test('are thrown again as they were', async () => {
    const foreign = Object.assign(new Error('who?'), { status: 401 })
    const kept = { status: 503, retryAfterMs: 70, retryable: false }
    const path = await recorded([fails('overloaded', { ...kept, message: 'too much' }), foreign], ['1', '2'])
    const player = (await cassette({ path })).player()
    const first = await thrownBy(player.call(ask('1')))
    expect(first).toBeInstanceOf(LLMError)
    expect(first).toMatchObject({ kind: 'overloaded', message: 'too much', provider: 'scripted', ...kept })
    expect(await thrownBy(player.call(ask('2')))).toMatchObject({ message: 'who?', status: 401 })
  })

  test('of who stopped a call are not recorded: the replay is silent there until it is stopped', async () => {
    const path = newPath()
    const stopAt = async (tape: Cassette, client: LLMClient) => {
      const stream = new Agent({ client: wrapClient(client, tape.client) }).runStream('Hi')
      for await (const event of stream) if (event.type === 'token') stream.abort('enough')
      await tape.save()
      return stream.result
    }
    const result = await stopAt(await cassette({ path }), new ScriptedClient([hangs(['Well, '])]))
    expect(result).toMatchObject({ status: 'aborted', partial: 'Well, ' })
    const again = await stopAt(await cassette({ path }), new ScriptedClient([]))
    expect(again.error).toBeInstanceOf(RunAbortedError)
    expect(again.partial).toBe('Well, ')
  })

  test('of a tool that was stopped are not recorded either', async () => {
    const path = newPath()
    const play = async (script: Script) => {
      const { runtime } = virtualClock()
      const tape = await cassette({ path })
      const slow = tool({
        name: 'slow',
        description: 'Slow',
        parameters: z.object({}),
        timeoutMs: 100,
        execute: (_, { signal }) => runtime.sleep(5_000, signal),
      })
      const client = wrapClient(new ScriptedClient(script), tape.client)
      const events = await eventsOf(new Agent({ client, runtime, tools: [tape.tool(slow)] }))
      await tape.save()
      return events
    }
    const events = await play([calls(['slow']), 'It is slow.'])
    expect(events.find((event) => event.type === 'tool_results')).toMatchObject({
      results: [{ error: { code: 'tool_timeout' } }],
    })
    expect(await play([])).toEqual(events)
  })
})

describe('secrets', () => {
  const canary = 'cnry/"Q"+7f3a?é'
  const inConfig = 'db-p4ss/word=&x'
  const sealed = 'sealed~k3y"~9'

  test.each(encodingNames)('are not in the file: %s', async (name) => {
    const encode = encodings[name]
    const path = newPath()
    const tape = await cassette({ path, secrets: [canary, secret(sealed, 'KEY')] })
    const echo: Tool = tool({
      name: 'echo',
      description: 'Echoes',
      parameters: z.object({ text: z.string() }),
      config: z.object({ key: z.string(), db: z.object({ password: z.string() }) }),
      effect: 'read',
      execute: ({ text, key, db }, { progress }) => {
        progress(encode(key))
        if (text === 'throw') throw new Error(encode(db.password))
        return toolResult({ [encode(key)]: encode(db.password) }, { metadata: { k: encode(canary) } })
      },
    })
    const told = encode(canary)
    const client = new ScriptedClient(
      [
        calls(`I heard ${told}`, ['echo', { text: told }], ['echo', { text: 'throw' }]),
        fails('overloaded', { message: `no ${encode(sealed)}`, after: [told.slice(0, 5)] }),
        says(`It is ${told}, and ${encode(inConfig)}.`, { reasoning: told, requestId: told }),
      ],
      { chunkSize: 3 },
    )
    const toolset = new ToolSet({
      name: 'set',
      description: 'Set',
      tools: [tape.tool(echo)],
      config: { key: secret(sealed), db: { password: inConfig } },
    })
    const agent = new Agent({
      client: wrapClient(client, tape.client),
      tools: [toolset],
      instructions: `Never say ${told}.`,
      retry: false,
    })
    await agent.run(`Hi ${told}`).catch(() => {})
    await agent.run(`Hi ${told}`)
    await tape.save()
    const text = await readFile(path, 'utf8')
    for (const value of [canary, inConfig, sealed]) expect(leaks(value, text)).toEqual([])
    const { recordings } = JSON.parse(text) as {
      recordings: { reply?: { chunks: { text?: string; parametersText?: string }[] } }[]
    }
    // Nor when the pieces of a stream are put together.
    for (const { reply } of recordings) {
      const said = (reply?.chunks ?? []).map((chunk) => chunk.text ?? chunk.parametersText ?? '').join('')
      expect(leaks(canary, said)).toEqual([])
    }
  })

  test('may have other values in a replay, by the same names, and a miss shows none of them', async () => {
    const path = await recorded([`My key is ${sealed}.`], [`My key is ${sealed}`], {
      secrets: [secret(sealed, 'KEY')],
    })
    const tape = await cassette({ path, secrets: [secret('another-value', 'KEY')] })
    expect((await tape.player().call(ask('My key is another-value'))).text).toBe('My key is [secret:KEY].')
    const { message } = (await thrownBy(tape.player().call(ask('Is it another-value?')))) as Error
    expect(message).toContain('[secret:KEY]')
    expect(message).not.toContain('another-value')
  })

  test('hidden config is no part of what a tool is asked', async () => {
    const path = newPath()
    const play = async (script: Script, region: string) => {
      const tape = await cassette({ path })
      const find = tool({
        name: 'find',
        description: 'Finds',
        parameters: z.object({ what: z.string(), limit: z.number() }),
        config: z.object({ region: z.string(), limit: z.number() }),
        execute: ({ what, region, limit }) => `${what} in ${region}, ${limit}`,
      })
      const client = wrapClient(new ScriptedClient(script), tape.client)
      const tools = [
        new ToolSet({ name: 's', description: 'S', tools: [tape.tool(find)], config: { region, limit: 5 } }),
      ]
      const result = await new Agent({ client, tools }).runStream('Find it').result
      await tape.save()
      return result
    }
    const result = await play([calls(['find', { what: 'a pen' }]), 'Here.'], 'eu')
    expect(result.steps[0]?.results[0]?.output).toBe('a pen in eu, 5')
    expect(await readFile(path, 'utf8')).toContain(
      '"parameters": {\n          "what": "a pen",\n          "limit": 5',
    )
    expect((await play([], 'us')).steps[0]?.results[0]?.output).toBe('a pen in eu, 5')
  })
})

describe('mutations', () => {
  const three = ['One ', 'two ', 'three']

  test('fail a call, which leaves its recording for the next attempt', async () => {
    const path = await recorded([chunks(three)], ['Hi'])
    const tape = await cassette({ path, mutate: [{ call: 1, fails: 'rate_limit', retryAfterMs: 3 }] })
    const player = tape.player()
    await expect(player.call(ask())).rejects.toMatchObject({
      kind: 'rate_limit',
      retryAfterMs: 3,
      retryable: true,
    })
    await expect(player.call(ask())).resolves.toMatchObject({ text: 'One two three' })
  })

  test('make a run retry', async () => {
    const path = newPath()
    const tape = await cassette({ path })
    await runOn(tape, new ScriptedClient(['Hello.']))
    await tape.save()
    const mutated = await cassette({ path, mutate: [{ call: 1, fails: 'rate_limit', retryAfterMs: 3 }] })
    const events = await runOn(mutated, mutated.player())
    expect(events.find((event) => event.type === 'retry')).toMatchObject({
      delayMs: 3,
      error: { kind: 'rate_limit' },
    })
    expect(events.at(-1)).toMatchObject({ status: 'done', answer: 'Hello.' })
    mutated.assertComplete()
  })

  test('drop a chunk, or stall after some', async () => {
    const path = newPath()
    const tape = await cassette({ path })
    await drained(wrapClient(new ScriptedClient([chunks(three)]), tape.client).stream?.(ask()))
    await tape.save()

    const dropping = (await cassette({ path, mutate: [{ call: 1, dropChunk: 2 }] })).player()
    const left = await drained(dropping.stream?.(ask()))
    expect(left.map((chunk) => (chunk.type === 'text' ? chunk.text : chunk.type))).toEqual([
      'One ',
      'three',
      'end',
    ])

    const endless = (await cassette({ path, mutate: [{ call: 1, dropChunk: 4 }] })).player()
    expect(await drained(endless.stream?.(ask()))).toHaveLength(3)
    expect(await endless.call(ask())).toMatchObject({ text: 'One two three' })

    const stalling = (await cassette({ path, mutate: [{ call: 1, stallAfter: 2 }] })).player()
    const controller = new AbortController()
    const stream = stalling.stream?.(ask(), { signal: controller.signal })[Symbol.asyncIterator]()
    for (const text of three.slice(0, 2)) expect(await stream?.next()).toMatchObject({ value: { text } })
    const silence = thrownBy(stream?.next() ?? Promise.resolve())
    controller.abort('enough')
    expect(await silence).toBe('enough')
  })
})

describe('what is wrong with a file or an option', () => {
  test.each([
    ['{', 'it is no JSON'],
    ['[]', 'it is no cassette'],
    ['{"log": {"version": "1.2"}}', 'it is no cassette'],
    ['{"tercet": "cassette", "version": 99}', 'it is of version 99, and this version of tercet plays 1'],
    ['{"tercet": "cassette", "version": 1, "clients": [1], "recordings": []}', 'its "clients" are none'],
    ['{"tercet": "cassette", "version": 1, "clients": []}', 'it has no list of "recordings"'],
    [
      '{"tercet": "cassette", "version": 1, "clients": [], "recordings": [{"asked": {}, "reply": {}}]}',
      'recordings[0] is none',
    ],
  ])('is said: %s', async (text, problem) => {
    const path = join(folder, `broken-${++files}.json`)
    await writeFile(path, text)
    await expect(cassette({ path })).rejects.toMatchObject({
      code: 'configuration',
      message: `The cassette "${path}" cannot be read: ${problem}. Delete it and record it again, or give another path.`,
    })
  })

  test('is said of a path, a mode, a secret and a mutation', async () => {
    const path = newPath()
    await expect(cassette({ path, mode: 'replay' })).rejects.toThrow(
      `There is no cassette "${path}" to replay`,
    )
    await expect(cassette({ path: folder })).rejects.toThrow('the file cannot be opened')
    await expect(cassette({ path, mode: 'play' as 'replay' })).rejects.toThrow('must be one of "auto"')
    await expect(cassette({ path, secrets: ['abc'] })).rejects.toThrow('fewer than 4 characters')
    await expect(cassette({ path, mutate: [{ call: 1, stallAfter: 1 }] })).rejects.toThrow(
      'Only a replay can be mutated',
    )
    await expect(cassette({ path, mutate: [{ call: 0, stallAfter: 1 }] })).rejects.toThrow(
      'cassette option mutate',
    )
    const recording = await cassette({ path })
    expect(() => recording.player()).toThrow('there is nothing to play yet')
  })
})

/** Whatever befalls it from outside befalls it in a replay, too: here, nothing does. */
const undisturbed: fc.Arbitrary<Scenario> = fc
  .tuple(scenario, fc.constantFrom('default' as const, 'off' as const, 'simple' as const))
  .map(([planned, memory]) => ({
    ...planned,
    options: { ...planned.options, memory, output: 'text', hooks: 'none' },
  }))

/** Calls that are made side by side each have their own order. */
function byCall(events: readonly AgentEvent[]): Map<string, AgentEvent[]> {
  const told = new Map<string, AgentEvent[]>()
  for (const event of events) {
    const isAside = event.type === 'tool_execution' || event.type === 'diagnostic'
    const whose = isAside && 'callId' in event ? event.callId : isAside ? event.message : 'the run'
    told.set(whose, [...(told.get(whose) ?? []), event])
  }
  return told
}

test('whatever a run was, it is the same on a tape', { timeout: 60_000 }, async () => {
  const path = newPath()
  const hear = async ({ input, turns, tools, options }: Scenario, mode: 'record' | 'replay') => {
    const { runtime } = virtualClock()
    const stage: ToolStage = { runtime, executions: [], asleep: 0, isCalm: false, abort: () => {} }
    const tape = await cassette({ path, mode, runtime })
    const script = turns.map((turn) => rendered(turn, options.protocol))
    const client = new ScriptedClient(mode === 'record' ? [...script, 'done'] : [], {
      chunkSize: options.chunkSize,
      runtime,
    })
    const agent = new Agent<unknown>({
      ...agentOptions(options, stage),
      client: wrapClient(client, tape.client),
      tools: tools.map((plan) => tape.tool(makeTool(plan, stage))),
      runtime,
    })
    const events: AgentEvent[] = []
    for await (const event of agent.runStream(input)) events.push(event)
    await tape.save()
    return { told: byCall(events), asked: client.calls, executions: stage.executions.length }
  }
  await fc.assert(
    fc.asyncProperty(undisturbed, async (planned) => {
      const recording = await hear(planned, 'record')
      if (recording.asked === 0) return
      expect(await hear(planned, 'replay')).toEqual({ ...recording, asked: 0, executions: 0 })
    }),
    { seed: 6, ...trials(150) },
  )
})
