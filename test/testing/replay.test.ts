import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Agent } from '../../src/agent/agent.ts'
import type { AgentOptions } from '../../src/agent/options.ts'
import { FatalToolError } from '../../src/errors.ts'
import { virtualClock } from '../../src/testing/clock.ts'
import { type ReplayOptions, type ReplayReport, replay } from '../../src/testing/replay/replay.ts'
import { calls, chunks, fails, hangs, json, plans, type Script, says } from '../../src/testing/script.ts'
import { ScriptedClient } from '../../src/testing/scripted-client.ts'
import { tool } from '../../src/tools/define.ts'
import { type Tool, toolError, toolResult } from '../../src/tools/tool.ts'
import { ToolSet } from '../../src/tools/toolset.ts'
import type { Entry } from '../../src/transcript/entry.ts'
import { MemoryStore } from '../../src/transcript/store.ts'
import { trials } from '../laws/support/law.ts'
import { agentOptions } from '../laws/support/options.ts'
import { optionPlan, type Scenario, scenario } from '../laws/support/scenario.ts'
import { play } from '../laws/support/stage.ts'
import { makeTool } from '../laws/support/tools.ts'

type Options = Partial<AgentOptions<unknown>>

const clock = virtualClock()
let executions = 0

const nap = tool({
  name: 'nap',
  description: 'Sleeps',
  parameters: z.object({ ms: z.number() }),
  effect: 'read',
  execute: ({ ms }) => {
    executions += 1
    return clock.runtime.sleep(ms).then(() => toolResult({ slept: ms }, { metadata: { soundly: true } }))
  },
})

const echo = tool({
  name: 'echo',
  description: 'Echoes',
  parameters: z.object({ text: z.string() }),
  effect: 'read',
  maxOutput: 12,
  execute: ({ text }) => {
    executions += 1
    if (text === 'throw') throw new TypeError('cannot say that')
    if (text === 'fatal') throw new FatalToolError('lost my voice')
    if (text === 'error') return toolError('not that', { metadata: { why: 'rude' } })
    return text === '' ? undefined : text
  },
})

const hello = tool({ name: 'hello', description: 'Greets', parameters: z.object({}), execute: () => 'hello' })

async function record(script: Script, options: Options = {}, inputs: readonly string[] = ['Go.']) {
  const protocol = options.protocol ?? 'native'
  const client = new ScriptedClient(script, {
    chunkSize: 5,
    runtime: clock.runtime,
    capabilities: { tools: protocol === 'native' },
  })
  const agent = new Agent<unknown>({
    client,
    tools: [nap, echo, hello],
    runtime: clock.runtime,
    retry: { minDelayMs: 1 },
    ...options,
  })
  for (const input of inputs) await agent.runStream(input).result
  return agent.conversation(agent.conversationId).entries()
}

function again(
  entries: readonly Entry[],
  options: Options = {},
  how: ReplayOptions = {},
): Promise<ReplayReport> {
  return replay(
    entries,
    (parts, tool) =>
      new Agent<unknown>({
        tools: [nap, echo, hello].map((each) => tool(each as Tool)),
        ...options,
        ...parts,
      }),
    how,
  )
}

const same = (entries: readonly Entry[]) => ({
  identical: true,
  skipped: [],
  entries: JSON.stringify(entries),
})
const inJson = (report: ReplayReport) => ({ ...report, entries: JSON.stringify(report.entries) })

const n = z.object({ n: z.number() })

const native: Record<string, [Script, Options?]> = {
  'an answer': [['Hello.']],
  'reasoning, usage and a stop reason': [
    [
      says('Hm.', {
        reasoning: 'why not',
        stopReason: 'unknown',
        usage: { inputTokens: 9, outputTokens: 2, cachedInputTokens: 3, reasoningTokens: 1, costUsd: 0.5 },
      }),
    ],
  ],
  'an estimate of usage': [[says('Hello.', { usage: 'absent' })]],
  plans: [[plans('Look first.'), plans('And then.', 'I look', ['hello']), plans('', 'only said'), 'Done.']],
  'tools side by side, finished in another order': [
    [calls('Naps.', ['nap', { ms: 300 }], ['nap', { ms: 20 }], ['hello'], ['nap', { ms: 100 }]), 'Done.'],
    { toolConcurrency: 2 },
  ],
  'results of every form': [
    [
      calls(
        ['echo', { text: 'short' }],
        ['echo', { text: 'much longer than that' }],
        ['echo', { text: '' }],
        ['echo', { text: 'error' }],
        ['echo', { text: 'throw' }],
        ['echo', { wrong: 1 }],
        ['missing'],
        ['nap', { ms: 5 }],
      ),
      'Done.',
    ],
  ],
  'calls with ids that are missing, taken or the same': [
    [calls(['hello', {}, 'a'], ['hello', {}, 'a'], ['hello', {}, '']), calls(['hello', {}, 'a']), 'Done.'],
  ],
  'parameters that are no JSON': [
    [{ toolCalls: [{ toolName: 'echo', parameters: {}, invalid: 'not JSON' }] }, 'Done.'],
  ],
  'an exclusive tool': [
    [calls(['hello'], ['alone'], ['nap', { ms: 1 }]), 'Done.'],
    {
      tools: [
        nap,
        hello,
        tool({
          name: 'alone',
          description: 'Alone',
          parameters: z.object({}),
          exclusive: true,
          execute: () => 1,
        }),
      ],
    },
  ],
  'a failure before anything was said': [[fails('auth', { message: 'no key' })]],
  'a failure in the middle': [[calls(['hello']), fails('network', { message: 'lost', after: ['Well, I '] })]],
  'a client that gives up by itself': [[fails('aborted', { message: 'my deadline' })]],
  'a failure that is no LLMError': [[new Error('boom')]],
  'retries, of which no entry tells': [[fails('overloaded'), fails('rate_limit'), 'Hello.']],
  'a repair': [[says(''), 'Hello.']],
  'repairs in vain': [[says(''), says(' ')]],
  'a reply that was cut off': [
    [
      says('Half an', { stopReason: 'length' }),
      { ...calls('I call', ['hello']), stopReason: 'length' },
      'Hello.',
    ],
    { repairAttempts: 2 },
  ],
  'a refusal': [[says('I will not.', { stopReason: 'refusal' })]],
  'a filtered reply': [[says('', { stopReason: 'content_filter' })]],
  'the limit of iterations': [[calls(['hello']), calls(['echo', { text: 'x' }])], { maxIterations: 2 }],
  landing: [[calls(['hello']), 'That is all.'], { maxIterations: 1, onLimit: 'land' }],
  'landing with calls': [
    [calls(['hello']), calls('That is all.', ['hello'])],
    { maxIterations: 1, onLimit: 'land' },
  ],
  'landing with a plan and calls': [
    [calls(['hello']), plans('More.', 'That is all.', ['hello'])],
    { maxIterations: 1, onLimit: 'land' },
  ],
  'landing with nothing but calls': [
    [calls(['hello']), calls(['hello'])],
    { maxIterations: 1, onLimit: 'land' },
  ],
  'landing with nothing but a plan': [
    [calls(['hello']), plans('More.')],
    { maxIterations: 1, onLimit: 'land' },
  ],
  'tool rounds': [
    [calls(['hello']), calls(['hello'], ['nap', { ms: 1 }]), 'Done.'],
    { maxToolRounds: 1, onLimit: 'land' },
  ],
  'a model that goes in circles': [Array.from({ length: 6 }, () => calls(['hello'])), {}],
  'tools that fail again and again': [Array.from({ length: 3 }, () => calls(['echo', { text: 'throw' }]))],
  'a fatal tool': [[calls(['echo', { text: 'fatal' }])]],
  'structured output': [['{"n": "x"}', '{"n": 7}'], { output: n }],
  'structured output that never fits': [['7', '8', '9'], { output: n }],
}

const spoken: Record<string, [Script, Options?]> = {
  'an answer': [[json({ final_answer: 'Hello "you".' })]],
  prose: [['Just so.']],
  'plans and calls': [
    [
      json({ plan: 'Look.' }),
      json({
        plan: 'Then nap.',
        tool_thought: 'Both.',
        tool_calls: [
          { id: 'x', tool_name: 'nap', parameters: { ms: 50 } },
          { tool_name: 'echo', parameters: '{"text": "y"}' },
          { id: 'x', tool_name: 'hello', parameters: 'what' },
        ],
      }),
      json({ plan: 'Say it.', final_answer: 'Done.' }),
    ],
  ],
  'broken JSON': [['{"final_answer": \n', json({ final_answer: 'Hello.' })]],
  'broken JSON for good': [['{"final_answer": \n', '{}']],
  'a reply that was cut off': [
    [says('{"final_answer": "Half an', { stopReason: 'length' }), json({ final_answer: 'Hello.' })],
  ],
  'a failure in the middle': [[fails('network', { after: ['{"final_answer": "Well, \\"I', ' '] })]],
  'a failure in the middle, later on': [
    [json({ plan: 'Look.' }), fails('network', { after: ['{"tool_thought": "Well, \\n I'] })],
  ],
  'a refusal': [[says('{"final_answer": "No', { stopReason: 'refusal' })]],
  landing: [
    [json({ tool_calls: [{ tool_name: 'hello', parameters: {} }] }), json({ plan: 'More.' })],
    { maxIterations: 1, onLimit: 'land' },
  ],
  'structured output': [
    [json({ final_answer: { n: 'x' } }), json({ final_answer: { n: 1 } })],
    { output: n },
  ],
}

describe('a transcript is made again to the byte', () => {
  test.each(Object.entries(native))('%s', async (_, [script, options]) => {
    const entries = await record(script, options)
    const before = executions
    const tools = options?.tools
    const report = await replay(
      entries,
      (parts, tool) =>
        new Agent<unknown>({
          ...options,
          ...parts,
          tools: (tools ?? [nap, echo, hello]).map((each) => tool(each as Tool)),
        }),
    )
    expect(inJson(report)).toEqual(same(entries))
    expect(executions).toBe(before)
  })

  test.each(Object.entries(spoken))('in JSON: %s', async (name, [script, options]) => {
    const entries = await record(script, { ...options, protocol: 'json' })
    // The only reply of a run that broke off does not say in which protocol it was.
    const how = name === 'a failure in the middle' ? { protocol: 'json' as const } : {}
    expect(inJson(await again(entries, options, how))).toEqual(same(entries))
  })

  test('with hidden config, secrets and several runs', async () => {
    const sign = tool({
      name: 'sign',
      description: 'Signs',
      parameters: z.object({ what: z.string(), limit: z.number() }),
      config: z.object({ key: z.string(), limit: z.number() }),
      execute: ({ what, key, limit }) => `${what} by ${key} up to ${limit}`,
    })
    const set = (each: Tool) =>
      new ToolSet({ name: 's', description: 'S', tools: [each], config: { key: 'a-secret-key', limit: 3 } })
    const script = [calls(['sign', { what: 'a' }]), 'Signed.', fails('quota'), chunks(['O', 'K'])]
    const entries = await record(script, { tools: [set(sign)] }, ['Sign!', 'Again!', 'And?'])
    const report = await replay(entries, (parts, tool) => new Agent({ ...parts, tools: [set(tool(sign))] }))
    expect(inJson(report)).toEqual(same(entries))
    expect(JSON.stringify(entries)).not.toContain('a-secret-key')
  })

  test('with messages that were added by hand, and a conversation that changed its model', async () => {
    const store = new MemoryStore()
    const runtime = virtualClock().runtime
    const one = new Agent({
      client: new ScriptedClient([calls(['hello']), 'One.']),
      tools: [hello],
      store,
      runtime,
    })
    await one.run('Go.', { conversation: 'c' })
    const added: Entry = { type: 'message', message: { role: 'user', content: 'By the way.' } }
    await store.append('c', (await store.read('c')).length, [added])
    const other = new ScriptedClient([json({ plan: 'Think.' }), json({ final_answer: 'Two.' })], {
      provider: 'other',
      model: 'other-1',
      capabilities: { tools: false },
    })
    const two = new Agent({ client: other, tools: [hello], store, runtime })
    await two.run('And?', { conversation: 'c' })
    const entries = await store.read('c')
    expect(entries.filter(({ type }) => type === 'message')).toHaveLength(1)
    expect(inJson(await again(entries))).toEqual(same(entries))
  })

  test('also when its tools take other times', async () => {
    const script = [calls(['nap', { ms: 300 }], ['nap', { ms: 20 }], ['hello']), 'Done.']
    const entries = await record(script)
    expect(inJson(await again(entries, { toolConcurrency: 1 }))).toEqual(same(entries))
  })

  test('with options that only its runs had', async () => {
    const agent = new Agent({ client: new ScriptedClient([calls(['hello']), 'So far.']), tools: [hello] })
    await agent.runStream('Go.', { maxIterations: 1, onLimit: 'land' }).result
    const entries = await agent.conversation(agent.conversationId).entries()
    expect(await again(entries)).toMatchObject({ identical: false })
    const run = { maxIterations: 1, onLimit: 'land' } as const
    expect(inJson(await again(entries, {}, { run }))).toEqual(same(entries))
  })
})

describe('a run that cannot be made again', () => {
  test('because it was stopped is taken over, and those after it are made', async () => {
    const client = new ScriptedClient([hangs(['Well']), 'Hello.'])
    const agent = new Agent({ client })
    const stream = agent.runStream('Go.')
    for await (const event of stream) if (event.type === 'token') stream.abort()
    await agent.run('And now?')
    const entries = await agent.conversation(agent.conversationId).entries()
    const report = await again(entries)
    const runId = (await stream.result).runId
    expect(inJson(report)).toEqual({
      ...same(entries),
      skipped: [{ position: 0, runId, why: 'it was aborted' }],
    })
  })

  const input: Entry = { type: 'input', runId: 'r', message: { role: 'user', content: 'Go.' } }
  const ended: Entry = { type: 'run_ended', runId: 'r', status: 'done' }
  test.each<[string, readonly Entry[]]>([
    ['it never ended', [input]],
    [
      'it was suspended or resumed',
      [input, ended, { type: 'run_resumed', runId: 'r', attemptId: 'a' }, ended],
    ],
    ['it was suspended or resumed', [input, { type: 'run_suspended', runId: 'r' }, ended]],
    ['its time was up', [input, { ...ended, status: 'limit', limit: 'time' }]],
    [
      'something else was written down while it went on',
      [input, { type: 'message', message: { role: 'user', content: 'x' } }, ended],
    ],
  ])('because %s', async (why, entries) => {
    const block: Entry = { type: 'block', change: { do: 'delete', label: 'x' } }
    const all = [block, ...entries]
    const report = await again(all)
    expect(inJson(report)).toEqual({ ...same(all), skipped: [{ position: 1, runId: 'r', why }] })
  })
})

describe('the first difference', () => {
  const script = [calls(['nap', { ms: 9 }], ['echo', { text: 'x' }]), calls(['hello']), 'Done.']

  test.each<[string, Options, object]>([
    [
      'of a lower limit',
      { maxIterations: 1 },
      { position: 6, path: '$.type', expected: 'reply', actual: 'run_ended' },
    ],
    [
      'of a tool that is gone',
      { tools: [] },
      { position: 4, path: '$.result.ok', expected: true, actual: false },
    ],
    [
      'of another protocol',
      { protocol: 'json' },
      { position: 1, path: '$.kind', expected: 'step', actual: 'malformed' },
    ],
  ])('%s is named', async (_, options, difference) => {
    const entries = await record(script)
    const report = await replay(
      entries,
      (parts, tool) =>
        new Agent<unknown>({
          tools: [nap, echo, hello].map((each) => tool(each as Tool)),
          ...options,
          ...parts,
        }),
    )
    expect(report).toMatchObject({ identical: false, ...difference })
    expect(report.entries).toEqual(entries.slice(0, report.entries.length))
  })

  test('is one in a transcript that was changed, or cut', async () => {
    const entries = await record(script)
    const changed = entries.map((entry) =>
      entry.type === 'run_ended' ? { ...entry, status: 'failed' } : entry,
    )
    expect(await again(changed as Entry[])).toMatchObject({
      identical: false,
      position: entries.length - 1,
      path: '$.status',
      expected: 'failed',
      actual: 'done',
    })
    const missing = entries.filter((entry) => entry.type !== 'reply' || entry.kind !== 'final')
    expect(await again(missing)).toMatchObject({ identical: false, path: '$.status', actual: 'failed' })
  })

  test('is none of tools that would be executed: those are refused', async () => {
    const entries = await record(script)
    await expect(replay(entries, (parts) => new Agent({ ...parts, tools: [nap] }))).rejects.toThrow(
      'A replay executes no tools, and "nap" would be: give the agent tool(nap) instead',
    )
  })
})

/** Nothing outside of the transcript decides what happens, but what a replay says that it skips. */
const repeatable: fc.Arbitrary<Scenario> = fc
  .tuple(
    scenario,
    optionPlan,
    fc.constantFrom('default' as const, 'off' as const, 'simple' as const),
    fc.constantFrom('text' as const, 'json' as const, 'slow' as const),
  )
  .map(([planned, options, memory, output]) => ({
    ...planned,
    interference: { by: 'nobody' },
    options: { ...options, memory, output, hooks: 'none' },
  }))

test('law 9: whatever a run was, its replies and results give its entries again', {
  timeout: 60_000,
}, async () => {
  let made = 0
  await fc.assert(
    fc.asyncProperty(repeatable, async (planned) => {
      const { entries } = await play(planned)
      const stage = {
        runtime: { sleep: async () => {} },
        executions: [],
        asleep: 0,
        isCalm: false,
        abort() {},
      }
      const report = await replay(
        entries,
        (parts, tool) =>
          new Agent<unknown>({
            ...agentOptions(planned.options, stage),
            ...parts,
            tools: planned.tools.map((plan) => tool(makeTool(plan, stage))),
          }),
      )
      if (report.skipped.length === 0) made += 1
      expect(inJson(report)).toMatchObject({ identical: true, entries: JSON.stringify(entries) })
      expect(stage.executions).toEqual([])
    }),
    { seed: 9, ...trials(200) },
  )
  expect(made).toBeGreaterThan(100)
})
