import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  Agent,
  type AgentOptions,
  estimateTokens,
  type LLMClient,
  type LLMRequest,
  MemoryBlocks,
  MemoryStore,
  type Message,
  memoryTools,
  secret,
  system,
  ToolSet,
  textOf,
  tool,
  user,
} from '../../src/index.ts'
import { AnthropicClient } from '../../src/providers/anthropic.ts'
import { OpenAIClient } from '../../src/providers/openai.ts'
import { calls, ScriptedClient, type StrictProvider, strictProvider } from '../../src/testing/index.ts'

const id = 'blocks:ada'

async function someBlocks(store = new MemoryStore()): Promise<MemoryBlocks> {
  const blocks = new MemoryBlocks({ store, id })
  await blocks.set('persona', 'I am Tess.', { tier: 'core' })
  await blocks.set('task', 'Book a table.')
  return blocks
}

const workingOf = ({ messages }: LLMRequest) => textOf(messages[0]?.content ?? '')

test('a run reads the blocks before its first request, and what others write meanwhile with the next run', async () => {
  const store = new MemoryStore()
  const others = await someBlocks(store)
  const client = new ScriptedClient([
    async () => {
      await others.set('task', 'Book two tables.')
      return calls(['ping'])
    },
    'One.',
    'Two.',
  ])
  const ping = tool({
    name: 'ping',
    description: 'Pings',
    parameters: { type: 'object' },
    execute: () => 'pong',
  })
  const agent = new Agent({ client, tools: [ping], blocks: new MemoryBlocks({ store, id }) })
  await agent.run('Go')
  await agent.run('Go')
  expect(client.requests.map(workingOf)).toEqual([
    '[Working Memory Context]\n## task\nBook a table.',
    '[Working Memory Context]\n## task\nBook a table.',
    '[Working Memory Context]\n## task\nBook two tables.',
  ])
})

test('what the model writes stands in the next request; until then the beginning of requests is the same', async () => {
  const blocks = await someBlocks()
  const client = new ScriptedClient([
    calls(['memory_list']),
    calls(['memory_write', { label: 'persona', content: 'I am Max.' }]),
    'Done.',
  ])
  const agent = new Agent({ client, blocks, tools: [memoryTools(blocks)], instructions: 'Be brief.' })
  await agent.run('Be Max')

  const [first, second, third] = client.requests
  expect(second?.system).toBe(first?.system)
  expect(JSON.stringify(second?.messages)).toContain(JSON.stringify(first?.messages).slice(0, -1))
  expect(third?.system).toBe(first?.system?.replace('Tess', 'Max'))
  expect(third?.messages[0]).toEqual(second?.messages[0])
})

test('after a restart the same blocks stand in the same places', async () => {
  const store = new MemoryStore()
  const ask = async (blocks: MemoryBlocks) => {
    const client = new ScriptedClient(['Hello.'])
    await new Agent({ client, blocks, instructions: 'Be brief.' }).run('Hi')
    return client.requests[0]
  }
  const before = await ask(await someBlocks(store))
  expect(await ask(new MemoryBlocks({ store, id }))).toEqual(before)
})

test('blocks count: a request with them is within the window', async () => {
  const blocks = await someBlocks()
  await blocks.set('task', 'Book a table. '.repeat(20))
  const client = new ScriptedClient(() => 'Noted.')
  const agent = new Agent({ client, blocks, contextWindow: 220, maxOutputTokens: 20 })
  for (let day = 1; day <= 9; day++) await agent.run(`Day ${day}: ${'nothing happened. '.repeat(6)}`)
  const tokensOf = ({ system: text = '', messages }: LLMRequest) =>
    [text, ...messages.map(({ content }) => textOf(content))].reduce(
      (sum, each) => sum + estimateTokens(each),
      0,
    )
  expect(Math.max(...client.requests.map(tokensOf))).toBeLessThanOrEqual(220 * 0.9 - 20)
  expect(client.requests.at(-1)?.messages.length).toBe(4)
})

test('a secret that the application put into a block is not sent', async () => {
  const blocks = await someBlocks()
  await blocks.set('persona', 'The key is sesame-open-42.')
  await blocks.set('task', 'Use sesame-open-42.')
  const shop = new ToolSet({
    name: 'shop',
    description: 'A shop',
    config: { apiKey: secret('sesame-open-42', 'shop') },
    tools: [],
  })
  const client = new ScriptedClient(['Hello.'])
  await new Agent({ client, blocks, tools: [shop] }).run('Hi')
  expect(JSON.stringify(client.requests)).not.toContain('sesame')
  expect(client.requests[0]?.system).toContain('[secret:shop]')
  expect(workingOf(client.requests[0] as LLMRequest)).toContain('[secret:shop]')
})

test('a run whose blocks cannot be read fails, and the next one reads them', async () => {
  const store = new MemoryStore()
  await someBlocks(store)
  const blocks = new MemoryBlocks({ store, id })
  const read = store.read
  store.read = () => Promise.reject(new Error('no disk'))
  const agent = new Agent({ client: new ScriptedClient(['Hello.']), blocks })
  const { status, error } = await agent.runStream('Hi').result
  expect([status, error?.code]).toEqual(['failed', 'store'])
  store.read = read
  expect(await agent.run('Hi')).toBe('Hello.')
})

test('anything with the three functions is blocks, and nothing else', () => {
  const client = new ScriptedClient(['Hello.'])
  const blocks = {
    load: async () => {},
    buildSystemPrompt: (instructions: string) => `${instructions}!`,
    buildMessages: (messages: readonly Message[]) => messages,
  }
  expect(new Agent({ client, blocks })).toBeInstanceOf(Agent)
  expect(() => new Agent({ client, blocks: [] as never })).toThrow(
    'Agent option blocks must be MemoryBlocks, got an array of 0.',
  )
})

test('the tools tell a model what it can do instead', async () => {
  const blocks = await someBlocks()
  await blocks.set('2026-11', 'A refund was paid.', { tier: 'archival', description: 'November' })
  const client = new ScriptedClient([
    calls(
      ['memory_read', { label: 'personna' }],
      ['memory_read', { label: 'weather' }],
      ['memory_search', { query: 'refunds' }],
      ['memory_search', { query: 'weather' }],
      ['memory_write', { label: 'a\nb', content: 'x' }],
      ['memory_write', { label: 'new', content: 'x', tier: 'core' }],
      ['memory_list', { tier: 'archival' }],
    ),
    'Done.',
  ])
  const { steps } = await new Agent({ client, tools: [memoryTools(blocks)] }).runStream('Go').result
  expect(steps[0]?.results.map(({ output }) => output)).toEqual([
    'Error: There is no block "personna". Did you mean "persona"?',
    'Error: There is no block "weather". See memory_list for those there are.',
    '## 2026-11\nA refund was paid.',
    'Nothing found. Try other words.',
    'Error: The label must be 1 to 100 characters on one line, without blanks around them.',
    expect.stringMatching(/^Error: .*tier/),
    '- 2026-11 (archival, readonly): November'.replace('readonly', 'readwrite'),
  ])
})

test('two writes of one reply are made in their order', async () => {
  const blocks = new MemoryBlocks()
  await blocks.set('log', '', { permission: 'append' })
  const words = ['one', 'two', 'three']
  const client = new ScriptedClient([
    calls(...words.map((content) => ['memory_write', { label: 'log', content }] as const)),
    'Done.',
  ])
  await new Agent({ client, tools: [memoryTools(blocks)] }).run('Go')
  expect(blocks.get('log')?.content).toBe('one\ntwo\nthree')
})

test('a write whose process died before it was noted is made once', async () => {
  const store = new MemoryStore()
  const blocks = new MemoryBlocks({ store, id })
  await blocks.set('log', '', { permission: 'append' })
  const append = store.append.bind(store)
  store.append = async (conversation, version, entries) => {
    if (entries.some(({ type }) => type === 'tool_finished')) throw new Error('killed')
    return append(conversation, version, entries)
  }
  const agent = (client: LLMClient, own: MemoryBlocks) =>
    new Agent({ client, store, blocks: own, tools: [memoryTools(own)] })
  const write = calls(['memory_write', { label: 'log', content: 'one' }])
  const dying = agent(new ScriptedClient([write]), blocks).runStream('Go', { conversation: 'c' })
  expect((await dying.result).status).toBe('failed')

  store.append = append
  const after = new MemoryBlocks({ store, id })
  const client = new ScriptedClient(['Done.'])
  const { steps } = await agent(client, after).conversation('c').resumeStream().result
  expect(steps[0]?.results.map(({ output }) => output)).toEqual(['"log" says so already.'])
  expect(after.get('log')?.content).toBe('one')
  expect(client.requests.map(workingOf)).toEqual(['[Working Memory Context]\n## log\none'])
})

describe('providers accept the working message', () => {
  let provider: StrictProvider
  beforeAll(async () => {
    provider = await strictProvider()
  })
  afterAll(() => provider.close())

  const clients: [string, () => LLMClient][] = [
    ['OpenAI', () => new OpenAIClient({ model: 'gpt-4o', apiKey: 'sk-test', baseURL: provider.url })],
    [
      'Anthropic',
      () =>
        new AnthropicClient({ model: 'claude-sonnet-5-5', apiKey: 'key', baseURL: provider.anthropicURL }),
    ],
  ]
  const protocols = ['native', 'json'] as const
  const histories: [string, Message[]][] = [
    ['nothing', []],
    ['a greeting', [{ role: 'assistant', content: 'How can I help?' }]],
    ['a summary', [system('They spoke of tables.'), user('Hi')]],
  ]
  const cases = clients.flatMap(([name, client]) =>
    protocols.flatMap((protocol) =>
      histories.map(([before, history]) => ({ name, client, protocol, before, history })),
    ),
  )

  test.each(cases)(
    '$name in the $protocol protocol, before $before',
    async ({ client, protocol, history }) => {
      const blocks = await someBlocks()
      const options: AgentOptions = { client: client(), blocks, protocol, retry: false }
      provider.script(() => ({ text: protocol === 'json' ? '{"final_answer":"ok"}' : 'ok' }))
      const agent = new Agent({ ...options, tools: [memoryTools(blocks)] })
      expect(await agent.run('Hi', { history })).toBe('ok')
      expect(provider.refusals).toEqual([])
    },
  )
})
