import { describe, expect, test } from 'vitest'
import {
  Agent,
  type ContextReport,
  isEvent,
  MemoryBlocks,
  type RunStream,
  TurnPruningMemory,
  tool,
} from '../../src/index.ts'
import { TokenCounts } from '../../src/memory/tokens.ts'
import { calls, ScriptedClient } from '../../src/testing/index.ts'

const look = (description = 'Looks') =>
  tool({
    name: 'look',
    description,
    parameters: { type: 'object', properties: {} },
    effect: 'read',
    repeatable: true,
    execute: () => 'found '.repeat(20),
  })

async function contextsOf(stream: RunStream<unknown>): Promise<ContextReport[]> {
  const contexts: ContextReport[] = []
  for await (const event of stream) {
    if (isEvent(event, 'usage') && event.context) contexts.push(event.context)
  }
  return contexts
}

const sumOf = ({ segments }: ContextReport) =>
  Object.values(segments).reduce((sum: number, tokens: number) => sum + tokens, 0)

describe('the report on a context', () => {
  test('says what each request is made of, and that it goes on from the one before', async () => {
    const client = new ScriptedClient([calls('I look.', ['look']), calls(['look']), 'A cat.'])
    const agent = new Agent({ client, tools: [look()], instructions: 'Look things up.' })
    const stream = agent.runStream('What is there?')
    const contexts = await contextsOf(stream)
    const counts = new TokenCounts()
    expect(contexts.map(({ tokens }) => tokens)).toEqual(client.requests.map((sent) => counts.request(sent)))
    expect(contexts.map(sumOf)).toEqual(contexts.map(({ tokens }) => tokens))
    const tools = counts.tools(client.requests[0]?.tools ?? [])
    expect(contexts.map(({ segments }) => segments)).toEqual([
      { instructions: 4, blocks: 0, tools, messages: 4, toolResults: 0 },
      { instructions: 4, blocks: 0, tools, messages: 4 + 2 + 2, toolResults: 30 },
      { instructions: 4, blocks: 0, tools, messages: 4 + 2 + 2 + 2, toolResults: 60 },
    ])
    expect(contexts.map(({ prefixStable }) => prefixStable)).toEqual([false, true, true])
    expect(contexts.some((context) => 'firstDifference' in context)).toBe(false)
    const { steps } = await stream.result
    expect(steps.map(({ context }) => context)).toEqual(contexts.slice(0, 2))
  })

  test('names the tools when a description changed, and the instructions when they did', async () => {
    const client = new ScriptedClient(() => 'A cat.')
    let now = 'It is noon.'
    const agent = new Agent({ client, tools: [look()], instructions: () => now })
    const differences = async () => {
      const [context] = await contextsOf(agent.runStream('And now?'))
      return [context?.prefixStable, context?.firstDifference]
    }
    expect(await differences()).toEqual([false, undefined])
    expect(await differences()).toEqual([true, undefined])
    agent.tools.register(look('Looks closely'), { replace: true })
    expect(await differences()).toEqual([false, 'tools'])
    agent.tools.register(look('Looks closely'), { replace: true })
    expect(await differences()).toEqual([true, undefined])
    now = 'It is one.'
    expect(await differences()).toEqual([false, 'instructions'])
  })

  test('names the message from which on a request is another one', async () => {
    const client = new ScriptedClient([{ text: 'Cut of', stopReason: 'length' }, 'A cat.', 'A dog.'])
    const agent = new Agent({ client })
    const contexts = [
      ...(await contextsOf(agent.runStream('What is there?'))),
      ...(await contextsOf(agent.runStream('And there?'))),
    ]
    // The correction stood after the question, and what was said instead stands there now.
    expect(contexts.map(({ firstDifference }) => firstDifference)).toEqual([
      undefined,
      undefined,
      'messages[1]',
    ])
    expect(contexts.map(({ prefixStable }) => prefixStable)).toEqual([false, true, false])
  })

  test('knows blocks in the prompt and before the messages, and the summary of what is not sent', async () => {
    const client = new ScriptedClient(() => 'word '.repeat(40))
    const blocks = new MemoryBlocks()
    await blocks.set('persona', 'I am Tess, and I am kind.', { tier: 'core' })
    await blocks.set('task', 'Find the cat.', { tier: 'working' })
    const memory = new TurnPruningMemory({
      maxTokens: 100,
      minRetainTurns: 1,
      summarize: () => 'They talked.',
    })
    const agent = new Agent({ client, blocks, memory, instructions: 'Be brief.' })
    const contexts: ContextReport[] = []
    for (let turn = 0; turn < 4; turn++)
      contexts.push(...(await contextsOf(agent.runStream(`Question ${turn}?`))))
    expect(contexts.map(sumOf)).toEqual(contexts.map(({ tokens }) => tokens))
    expect(new Set(contexts.map(({ segments }) => segments.blocks)).size).toBe(1)
    expect(contexts[0]?.segments.blocks).toBeGreaterThan(15)
    expect(contexts[0]?.segments.instructions).toBe(3)
    expect(contexts[0]?.segments.summary).toBeUndefined()
    expect(contexts.at(-1)?.segments.summary).toBe(3)
  })

  test('tells how much of the input came from the cache, by what the provider reports', async () => {
    const usage = { inputTokens: 200, outputTokens: 5, cachedInputTokens: 150 }
    const client = new ScriptedClient([
      { text: 'a', usage },
      { text: 'b', usage: { ...usage, inputTokens: 0 } },
      'c',
    ])
    const agent = new Agent({ client })
    const shares: unknown[] = []
    for (const input of ['one', 'two', 'three']) {
      shares.push(...(await contextsOf(agent.runStream(input))).map((context) => context.cachedShare))
    }
    expect(shares).toEqual([0.75, undefined, undefined])
  })
})
