import { describe, expect, test } from 'vitest'
import {
  Agent,
  ConfigurationError,
  chunkSemantically,
  compactor,
  MemoryBlocks,
  offloadToolOutput,
  recallTool,
  retry,
  SummarizingMemory,
  ToolSet,
  textClient,
  tool,
} from '../src/index.ts'
import { PriorityMemory } from '../src/memory/priority.ts'
import { RetentionMemory } from '../src/memory/retention.ts'
import { SimpleAgentMemory } from '../src/memory/simple.ts'
import { dropOldToolOutput } from '../src/memory/tool-output.ts'
import { TurnPruningMemory } from '../src/memory/turns.ts'
import { AnthropicClient } from '../src/providers/anthropic.ts'
import { GroqClient } from '../src/providers/groq.ts'
import { OpenAIClient } from '../src/providers/openai.ts'
import { OpenRouterClient } from '../src/providers/openrouter.ts'
import { ScriptedClient } from '../src/testing/index.ts'

/** One value of each kind of wrong type, to be handed to options that want something else. */
const samples = {
  null: null,
  text: 'many',
  'empty text': '',
  number: 42,
  'negative number': -1,
  fraction: 1.5,
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  bigint: 10n,
  true: true,
  function: () => undefined,
  array: [42],
  object: { strange: 1 },
  symbol: Symbol('strange'),
} as const

type Kind = keyof typeof samples

const client = () => new ScriptedClient(['ok'])
const echo = { name: 'echo', description: 'Says it back', parameters: { type: 'object' }, execute: () => 'x' }

const makers: Record<string, (options: object) => unknown> = {
  Agent: (options) => new Agent({ client: client(), ...options }),
  'run()': (options) => new Agent({ client: client() }).runStream('hi', options),
  'resume()': (options) => new Agent({ client: client() }).resumeStream('c', options),
  'tool()': (options) => tool({ ...echo, ...options } as never),
  ToolSet: (options) => new ToolSet({ name: 'set', description: 'A set', tools: [tool(echo)], ...options }),
  OpenAIClient: (options) => new OpenAIClient({ model: 'gpt-5', apiKey: 'test-key', ...options }),
  AnthropicClient: (options) =>
    new AnthropicClient({ model: 'claude-sonnet-5-5', apiKey: 'test-key', ...options }),
  GroqClient: (options) => new GroqClient({ model: 'llama-3.3-70b', apiKey: 'test-key', ...options }),
  OpenRouterClient: (options) =>
    new OpenRouterClient({ model: 'openrouter/auto', apiKey: 'test-key', ...options }),
  textClient: (options) => textClient(async () => 'ok', options),
  retry: (options) => retry(options),
  SimpleAgentMemory: (options) => new SimpleAgentMemory(options),
  TurnPruningMemory: (options) => new TurnPruningMemory(options),
  PriorityMemory: (options) => new PriorityMemory(options),
  RetentionMemory: (options) => new RetentionMemory({ timeOf: () => 0, ...options }),
  'dropOldToolOutput()': (options) => dropOldToolOutput(options),
  MemoryBlocks: (options) => new MemoryBlocks(options),
  SummarizingMemory: (options) => new SummarizingMemory({ client: client(), ...options }),
  compactor: (options) => compactor({ client: client(), ...options }),
  'recallTool()': (options) => recallTool(options),
  'offloadToolOutput()': (options) => offloadToolOutput({ maxTokens: 100, ...options }),
  'chunkSemantically()': (options) => chunkSemantically('One.', { maxTokens: 100, ...options }),
}

/** What each option accepts; every other sample must be refused. */
const accepted: Record<string, Record<string, readonly Kind[]>> = {
  Agent: {
    client: [],
    providers: [],
    name: ['text'],
    description: ['text', 'empty text'],
    instructions: ['text', 'empty text', 'function'],
    tools: [],
    output: ['object'],
    memory: ['null'],
    compactor: [],
    contextBudget: [],
    blocks: [],
    store: [],
    protocol: [],
    planning: [],
    retry: [],
    describeToolsets: ['true'],
    toolConcurrency: ['number'],
    maxToolOutput: ['number'],
    maxConsecutiveToolErrors: ['number'],
    repairAttempts: ['number'],
    outputRepairAttempts: ['number'],
    graceMs: ['number', 'fraction'],
    allowDynamicTools: ['true'],
    contextWindow: ['number'],
    maxOutputTokens: ['number'],
    countTokens: ['function'],
    params: [],
    stream: ['true'],
    concurrency: [],
    conversationId: ['text'],
    durability: [],
    policy: [],
    onUnknownOutcome: ['function'],
    hooks: [],
    logger: [],
    runtime: [],
    maxIterations: ['number'],
    maxToolRounds: ['number'],
    timeoutMs: ['number', 'fraction'],
    onLimit: [],
  },
  'run()': {
    conversation: ['text'],
    history: [],
    signal: [],
    params: [],
    stream: ['true'],
    maxIterations: ['number'],
    maxToolRounds: ['number'],
    timeoutMs: ['number', 'fraction'],
    onLimit: [],
  },
  'resume()': {
    decisions: [],
    signal: [],
    params: [],
    stream: ['true'],
    maxIterations: ['number'],
    maxToolRounds: ['number'],
    timeoutMs: ['number', 'fraction'],
    onLimit: [],
  },
  'tool()': {
    name: ['text'],
    description: ['text', 'empty text'],
    config: ['object'],
    effect: [],
    timeoutMs: ['number', 'fraction'],
    serial: ['true'],
    exclusive: ['true'],
    repeatable: ['true'],
    retry: [],
    maxOutput: ['number'],
    tags: [],
    formatOutput: ['function'],
    execute: ['function'],
  },
  ToolSet: {
    name: ['text'],
    description: ['text', 'empty text'],
    tools: [],
    config: ['object', 'function'],
    configSchema: ['object'],
  },
  OpenAIClient: {
    model: ['text'],
    apiKey: ['text'],
    baseURL: [],
    organization: ['text'],
    project: ['text'],
    defaultHeaders: [],
    fetch: ['function'],
    capabilities: [],
    quirks: [],
  },
  AnthropicClient: {
    model: ['text'],
    apiKey: ['text'],
    baseURL: [],
    defaultHeaders: [],
    fetch: ['function'],
    capabilities: [],
    quirks: [],
    firstContentMs: ['number', 'fraction'],
    idleMs: ['number', 'fraction'],
    runtime: [],
    apiVersion: [],
    keyHeader: [],
    cache: ['true'],
  },
  GroqClient: {
    model: ['text'],
    apiKey: ['text'],
    baseURL: [],
    defaultHeaders: [],
    fetch: ['function'],
    capabilities: [],
    quirks: [],
    firstContentMs: ['number', 'fraction'],
    idleMs: ['number', 'fraction'],
    runtime: [],
  },
  OpenRouterClient: {
    model: ['text'],
    apiKey: ['text'],
    baseURL: [],
    defaultHeaders: [],
    fetch: ['function'],
    capabilities: [],
    quirks: [],
    firstContentMs: ['number', 'fraction'],
    idleMs: ['number', 'fraction'],
    runtime: [],
    siteUrl: ['text'],
    appName: ['text'],
  },
  textClient: { provider: ['text'], model: ['text'], capabilities: [] },
  retry: {
    attempts: ['number'],
    minDelayMs: ['number', 'fraction'],
    factor: ['number', 'fraction'],
    maxDelayMs: ['number', 'fraction'],
    jitter: [],
    retryOn: ['function'],
    maxRetryAfterMs: ['number', 'fraction'],
    runtime: [],
  },
  SimpleAgentMemory: { maxHistoryTokens: ['number'], minMessages: ['number'], pinned: ['function'] },
  TurnPruningMemory: {
    maxTokens: ['number'],
    minRetainTurns: ['number'],
    pruneThreshold: [],
    summarize: ['function'],
    summaryMode: [],
    pinned: ['function'],
  },
  PriorityMemory: { maxTokens: ['number'], score: ['function'], keywords: [], pinned: ['function'] },
  RetentionMemory: {
    maxMessages: ['number'],
    maxTurns: ['number'],
    maxAgeMs: ['number', 'fraction'],
    maxTokens: ['number'],
    pinned: ['function'],
  },
  'dropOldToolOutput()': {
    keepLast: ['number'],
    replaceWith: ['text', 'empty text'],
    keepEnds: ['number'],
    minFreedTokens: ['number'],
    pinned: ['function'],
  },
  SummarizingMemory: {
    client: [],
    triggerTokens: ['number'],
    keepTurns: ['number'],
    maxSummaryTokens: ['number'],
    chunkTokens: ['number'],
    timeoutMs: ['number', 'fraction'],
    prompt: ['text'],
    runtime: [],
  },
  compactor: {
    client: [],
    keepFirst: ['number'],
    keepLast: ['number'],
    pinned: ['function'],
    maxSummaryTokens: ['number'],
    chunkTokens: ['number'],
    timeoutMs: ['number', 'fraction'],
    maxFailures: ['number'],
    cooldownMs: ['number', 'fraction'],
    prompt: ['text'],
    runtime: [],
  },
  MemoryBlocks: { store: [], id: ['text'], maxBlockLength: ['number'], embed: ['function'] },
  'recallTool()': { name: ['text'], embed: ['function'], maxOutput: [] },
  'offloadToolOutput()': { maxTokens: [], keepTokens: ['number'], readWith: ['text', 'null'] },
  'chunkSemantically()': {
    maxTokens: ['number'],
    overlapTokens: ['number'],
    boundary: [],
    similarity: ['function'],
    embed: ['function'],
    threshold: ['number', 'negative number', 'fraction'],
    countTokens: ['function'],
  },
}

function thrownBy(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  return undefined
}

describe.each(Object.entries(accepted))('%s', (owner, options) => {
  const make = makers[owner] ?? (() => undefined)

  for (const [option, kinds] of Object.entries(options)) {
    const wrong = Object.entries(samples).filter(([kind]) => !kinds.includes(kind as Kind))

    test.each(wrong)(`refuses as ${option}: %s`, (_, value) => {
      const error = thrownBy(() => make({ [option]: value }))
      expect(error).toBeInstanceOf(ConfigurationError)
      const { path, message } = error as ConfigurationError
      expect(path.split(/[.[]/)[0]).toBe(option)
      expect(message).toContain(option)
      // What it should have been.
      expect(message).toMatch(/must |no option|Known:|Did you mean/)
    })

    test.each(kinds)(`accepts as ${option}: %s`, (kind) => {
      expect(thrownBy(() => make({ [option]: samples[kind] }))).toBeUndefined()
    })
  }

  test('refuses an option it does not know and says which it may have meant', () => {
    const [option = ''] = Object.keys(options)
    const error = thrownBy(() => make({ [`${option}x`]: 1 }))
    expect(error).toBeInstanceOf(ConfigurationError)
    expect((error as ConfigurationError).message).toContain(`"${option}x"`)
    expect((error as ConfigurationError).message).toContain(`Did you mean "${option}"?`)
  })
})
