import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { FatalToolError } from '../../src/errors.ts'
import type { ToolCall } from '../../src/messages.ts'
import { secret } from '../../src/secret.ts'
import { tool } from '../../src/tools/define.ts'
import { type ExecutionScope, executeToolCall } from '../../src/tools/execute.ts'
import { ToolRegistry } from '../../src/tools/registry.ts'
import { type Tool, type ToolContext, toolError, toolResult } from '../../src/tools/tool.ts'
import { ToolSet } from '../../src/tools/toolset.ts'
import { call, type HeardScope, scope } from './scope.ts'

type Settings = Partial<Omit<Tool, 'execute'>>

const does = (execute: (input: unknown, context: ToolContext) => unknown, settings: Settings = {}): Tool => ({
  name: 'work',
  description: '',
  parameters: { type: 'object', properties: {} },
  execute,
  ...settings,
})

function registryOf(...tools: Tool[]): ToolRegistry {
  const registry = new ToolRegistry()
  for (const one of tools) registry.register(one)
  return registry
}

const outcomeOf = (one: Tool, within: HeardScope = scope(), asked: ToolCall = call('work')) =>
  executeToolCall(asked, registryOf(one), within)

const base = { callId: 'call-1', toolName: 'work', durationMs: 0 }

const never = () => new Promise(() => {})

/** Rejects with the signal's reason when it aborts, as `fetch` does. */
const untilStopped = (_: unknown, { signal }: ToolContext) =>
  new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))

describe('a call that succeeds', () => {
  test('gives text as it is', async () => {
    expect(await outcomeOf(does(() => 'done'))).toEqual({
      status: 'completed',
      result: { ...base, ok: true, output: 'done' },
    })
  })

  test('gives anything else as JSON, to the model as text and to the application as data', async () => {
    expect(await outcomeOf(does(async () => ({ status: 'ok', result: [1] })))).toEqual({
      status: 'completed',
      result: {
        ...base,
        ok: true,
        output: '{"status":"ok","result":[1]}',
        data: { status: 'ok', result: [1] },
      },
    })
  })

  test('gives a hint where there is nothing', async () => {
    expect(await outcomeOf(does(() => undefined))).toEqual({
      status: 'completed',
      result: { ...base, ok: true, output: '(no output)' },
    })
  })

  test('is no failure because its text says "Error"', async () => {
    const { result } = await outcomeOf(does(() => 'Errors found: 0'))
    expect([result.ok, result.output]).toEqual([true, 'Errors found: 0'])
  })

  test('keeps metadata, and what the tool returned, out of the output', async () => {
    const made = () => toolResult([{ id: 1 }], { metadata: { rows: 1, at: new Date(0) as never } })
    expect(await outcomeOf(does(made))).toEqual({
      status: 'completed',
      result: {
        ...base,
        ok: true,
        output: '[{"id":1}]',
        data: [{ id: 1 }],
        metadata: { rows: 1, at: '1970-01-01T00:00:00.000Z' },
      },
    })
  })

  test('is shown to the model as formatOutput says, and plainly when that fails', async () => {
    const formatted = does(() => [1, 2], { formatOutput: (value) => `rows: ${String(value)}` })
    expect((await outcomeOf(formatted)).result).toMatchObject({ output: 'rows: 1,2', data: [1, 2] })
    const within = scope()
    const broken = does(() => [1, 2], {
      formatOutput: () => {
        throw new Error('boom')
      },
    })
    expect((await outcomeOf(broken, within)).result).toMatchObject({ ok: true, output: '[1,2]' })
    expect(within.heard.diagnostics).toEqual([
      ['hook_failed', 'formatOutput of tool "work" failed, the model is shown the plain output: boom'],
    ])
  })

  test('is cut to the tool’s maxOutput, else the scope’s, and says so', async () => {
    const long = does(() => 'é'.repeat(60_000))
    expect((await outcomeOf(long)).result).toMatchObject({
      truncated: true,
      output: `${'é'.repeat(50_000)}\n… (truncated: 60000 code points, the first 50000 are shown)`,
    })
    const short = does(() => 'abcdef', { maxOutput: 3 })
    expect((await outcomeOf(short)).result.output).toBe(
      'abc\n… (truncated: 6 code points, the first 3 are shown)',
    )
    expect((await outcomeOf(does(() => 'abc', { maxOutput: 3 }))).result).not.toHaveProperty('truncated')
  })

  test('takes the time it takes', async () => {
    const within = scope()
    const { result } = await outcomeOf(
      does(() => within.runtime.sleep(70)),
      within,
    )
    expect(result.durationMs).toBe(70)
  })

  test('gives the tool its context', async () => {
    let heard: ToolContext | undefined
    const within = scope({ context: { user: 'ann' } })
    await outcomeOf(
      does((_, context) => {
        heard = context
      }),
      within,
    )
    expect({ ...heard, signal: undefined, progress: undefined }).toEqual({
      config: {},
      signal: undefined,
      progress: undefined,
      callId: 'call-1',
      idempotencyKey: 'run-1:call-1',
      runId: 'run-1',
      conversationId: 'conversation-1',
      toolName: 'work',
      context: { user: 'ann' },
    })
    expect(Object.isFrozen(heard?.config)).toBe(true)
  })
})

describe('a call that fails', () => {
  const failure = (code: string, message: string) => ({
    status: 'failed',
    result: { ...base, ok: false, output: `Error: ${message}`, error: { code, message } },
  })

  const throwing = (thrown: unknown) =>
    does(() => {
      throw thrown
    })

  test('names the tools there are when there is none of that name', async () => {
    const { result, status } = await outcomeOf(
      does(() => 1, { name: 'weather' }),
      scope(),
      call('wether'),
    )
    expect([status, result.error]).toEqual([
      'failed',
      {
        code: 'tool_not_found',
        message: 'There is no tool "wether". Available: weather. Did you mean "weather"?',
      },
    ])
    const long = await outcomeOf(
      does(() => 1),
      scope(),
      call('x'.repeat(1e6)),
    )
    expect(long.result.output.length).toBeLessThan(300)
    expect((await executeToolCall(call('constructor'), registryOf(), scope())).result.error).toEqual({
      code: 'tool_not_found',
      message: 'There is no tool "constructor". Available: none.',
    })
  })

  test('tells the model that its parameters could not be read, and does not execute', async () => {
    let executed = false
    const { result } = await outcomeOf(
      does(() => (executed = true)),
      scope(),
      {
        ...call('work'),
        invalid: 'unexpected end of text',
      },
    )
    expect(result.error).toEqual({
      code: 'tool_input',
      message:
        'Invalid JSON parameters: unexpected end of text. Call "work" again with one complete JSON object.',
    })
    expect(executed).toBe(false)
  })

  test('tells the model which parameters to correct, and does not execute', async () => {
    let executed = false
    const strict = does(() => (executed = true), {
      parameters: {
        type: 'object',
        properties: { city: { type: 'string' }, unit: { enum: ['c', 'f'] } },
        required: ['city'],
      },
    })
    expect(await outcomeOf(strict, scope(), call('work', { unit: 'k' }))).toEqual(
      failure(
        'tool_input',
        'The parameters do not fit the tool "work": city: required; unit: must be one of "c", "f". ' +
          'Correct them and call it again.',
      ),
    )
    expect(executed).toBe(false)
  })

  const circular: Record<string, unknown> = {}
  circular['self'] = circular

  test.each([
    [new Error('disk on fire'), 'disk on fire'],
    [new TypeError(''), 'TypeError'],
    ['a text', 'a text'],
    [{ message: 'like an error' }, 'like an error'],
    [{ code: 5 }, '{"code":5}'],
    [null, 'The tool failed and did not say why.'],
    [undefined, 'The tool failed and did not say why.'],
    ['', 'The tool failed and did not say why.'],
    [0, '0'],
    [Symbol('x'), 'Symbol(x)'],
    [circular, 'unknown error'],
    [new Error('half \uD83D pair'), 'half \uFFFD pair'],
  ])('because the tool threw %s is told in words', async (thrown, message) => {
    expect(await outcomeOf(throwing(thrown))).toEqual(failure('tool_execution', message))
    expect(await outcomeOf(does(async () => Promise.reject(thrown)))).toEqual(
      failure('tool_execution', message),
    )
  })

  test('because the tool threw what cannot be read is told all the same', async () => {
    const message = {
      get() {
        throw new Error('no')
      },
    }
    const hostile = Object.create(Error.prototype, { message })
    expect(await outcomeOf(throwing(hostile))).toEqual(failure('tool_execution', 'unknown error'))
  })

  test('because the tool returned toolError is told too, with its metadata', async () => {
    const { status, result } = failure('tool_execution', 'no')
    expect(await outcomeOf(does(() => toolError('no', { metadata: { tried: 2 } })))).toEqual({
      status,
      result: { ...result, metadata: { tried: 2 } },
    })
  })

  test('is cut like any output', async () => {
    const { result } = await outcomeOf(throwing(new Error('x'.repeat(10))), scope({ maxOutput: 3 }))
    const message = 'xxx\n… (truncated: 10 code points, the first 3 are shown)'
    expect(result).toMatchObject({ truncated: true, output: `Error: ${message}`, error: { message } })
  })

  test('ends the run when it is fatal', async () => {
    const fatal = new FatalToolError('the vault is gone')
    expect(await outcomeOf(throwing(fatal))).toEqual({ ...failure('fatal_tool', 'the vault is gone'), fatal })
  })

  test('never rejects, whatever is broken', async () => {
    const revoked = () => {
      const { proxy, revoke } = Proxy.revocable({}, {})
      revoke()
      return proxy
    }
    const broken = {
      now: () => Number.NaN,
      sleep: () => Promise.reject(new Error('no')),
      id: () => '',
      random: () => 0,
      fetch,
    }
    const getter = does(() => 1)
    const registry = registryOf(getter)
    Object.defineProperty(getter, 'maxOutput', {
      get: () => {
        throw new Error('no')
      },
    })
    for (const outcome of [
      executeToolCall(call('work'), registry, scope()),
      outcomeOf(does(revoked)),
      outcomeOf(throwing(revoked())),
      outcomeOf(
        does(() => ({
          // biome-ignore lint/suspicious/noThenProperty: a tool may return such a thing
          then: () => {
            throw new Error('x')
          },
        })),
      ),
      outcomeOf(does(never, { timeoutMs: 5 }), scope({ runtime: broken, signal: AbortSignal.abort() })),
      outcomeOf(
        does(() => 1),
        {
          ...scope(),
          runtime: {
            ...broken,
            now: () => {
              throw new Error('no')
            },
          },
        },
      ),
    ]) {
      expect(typeof (await outcome).result.output).toBe('string')
    }
  })
})

describe('a tool that is told to stop', () => {
  test('by its own timeout fails with it', async () => {
    const within = scope()
    expect(await outcomeOf(does(untilStopped, { timeoutMs: 100, effect: 'read' }), within)).toEqual({
      status: 'failed',
      result: {
        ...base,
        durationMs: 100,
        ok: false,
        output: 'Error: The tool "work" did not finish within 100 ms (timeoutMs). It may be called again.',
        error: {
          code: 'tool_timeout',
          message: 'The tool "work" did not finish within 100 ms (timeoutMs). It may be called again.',
        },
      },
    })
    expect(within.clock.pending).toBe(0)
  })

  test('by its own timeout is left behind when it does not stop within graceMs', async () => {
    const within = scope({ graceMs: 40 })
    const { status, result } = await outcomeOf(does(never, { timeoutMs: 100 }), within)
    expect([status, result.durationMs, result.error]).toEqual([
      'abandoned',
      140,
      {
        code: 'tool_timeout',
        message:
          'The tool "work" did not finish within 100 ms (timeoutMs). It did not stop and was left behind. ' +
          'Its outcome is unknown: check before you call it again.',
      },
    ])
    expect(within.clock.pending).toBe(0)
  })

  test('by the run is told at once, and left behind after graceMs', async () => {
    const within = scope()
    let told = false
    const deaf = does((_, { signal }) => {
      signal.addEventListener('abort', () => (told = true))
      within.controller.abort(new Error('user left'))
      expect(told).toBe(true)
      return never()
    })
    const { status, result } = await outcomeOf(deaf, within)
    expect([status, result.durationMs, result.error]).toEqual([
      'abandoned',
      50,
      {
        code: 'aborted',
        message:
          'The run was stopped before the tool "work" finished. It did not stop and was left behind. ' +
          'Its outcome is unknown: check before you call it again.',
      },
    ])
  })

  test('by the run fails when it stops, and succeeds when it was just done', async () => {
    const within = scope()
    const stopping = does((_, context) => {
      const stopped = untilStopped(_, context)
      within.controller.abort()
      return stopped
    })
    expect((await outcomeOf(stopping, within)).result.error?.code).toBe('aborted')
    const late = scope()
    const finishing = does(async () => {
      late.controller.abort()
      await late.runtime.sleep(20)
      return 'written'
    })
    expect((await outcomeOf(finishing, late)).result).toMatchObject({ ok: true, output: 'written' })
  })

  test('before its config is there says nothing more, also when the config comes', async () => {
    let open = (_config: object) => {}
    const config = new Promise<object>((resolve) => {
      open = resolve
    })
    const registry = new ToolRegistry()
    const tools = [does(() => 'ran')]
    registry.registerToolset(new ToolSet({ name: 'late', description: '', tools, config: () => config }))
    const within = scope()
    const outcome = executeToolCall(call('work', { invented: 1 }), registry, within)
    within.controller.abort()
    expect((await outcome).result.error?.code).toBe('aborted')
    open({ apiKey: 'S3CR3T-0123456789' })
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve()
    expect(within.heard.diagnostics).toEqual([])
  })

  test('is not begun when the run has been stopped, also while its config was fetched', async () => {
    let executed = false
    const one = does(() => (executed = true))
    const stopped = {
      status: 'failed',
      result: { error: { code: 'aborted', message: 'The run was stopped before this call began.' } },
    }
    expect(await outcomeOf(one, scope({ signal: AbortSignal.abort() }))).toMatchObject(stopped)
    const registry = new ToolRegistry()
    const within = scope()
    const config = () => {
      within.controller.abort()
      return never() as Promise<object>
    }
    registry.registerToolset(new ToolSet({ name: 's', description: '', tools: [one], config }))
    expect(await executeToolCall(call('work'), registry, within)).toMatchObject(stopped)
    expect(executed).toBe(false)
  })

  test('is not heard any more: neither its progress nor its result nor its rejection', async () => {
    const within = scope()
    let go: () => void = () => {}
    const late = new Promise<void>((resolve) => {
      go = resolve
    })
    let context: ToolContext | undefined
    const deaf = does(
      async (_, given) => {
        context = given
        given.progress({ step: 1 })
        await late
        given.progress({ step: 2 })
        throw new Error('nobody hears this')
      },
      { timeoutMs: 10 },
    )
    expect((await outcomeOf(deaf, within)).status).toBe('abandoned')
    go()
    await new Promise((resolve) => setImmediate(resolve))
    context?.progress({ step: 3 })
    expect(within.heard.progress).toEqual([{ step: 1 }])
  })

  test('leaves no listener on the run’s signal and no timer', async () => {
    const listening = new Set<unknown>()
    for (const one of [
      does(() => 1),
      does(never, { timeoutMs: 10 }),
      does(untilStopped, { timeoutMs: 10, effect: 'read', retry: { attempts: 3 } }),
      does(() => Promise.reject(new Error('x')), { timeoutMs: 10, effect: 'read', retry: {} }),
    ]) {
      const within = scope()
      const { signal } = within
      const add = signal.addEventListener.bind(signal)
      const remove = signal.removeEventListener.bind(signal)
      signal.addEventListener = (type: string, listener: never, options: never) => {
        listening.add(listener)
        add(type, listener, options)
      }
      signal.removeEventListener = (type: string, listener: never) => {
        listening.delete(listener)
        remove(type, listener)
      }
      await outcomeOf(one, within)
      expect([listening.size, within.clock.pending]).toEqual([0, 0])
    }
  })
})

describe('retry', () => {
  function failing(times: number, settings: Settings) {
    const keys: string[] = []
    const one = does((_, { idempotencyKey }) => {
      keys.push(idempotencyKey)
      if (keys.length <= times) throw new Error(`failure ${keys.length}`)
      return 'done'
    }, settings)
    return { one, keys }
  }

  test('executes a safe tool again, with the same idempotency key', async () => {
    const { one, keys } = failing(2, { effect: 'idempotent', retry: {} })
    const within = scope()
    expect((await outcomeOf(one, within)).result).toMatchObject({
      ok: true,
      output: 'done',
      durationMs: 3000,
    })
    expect(keys).toEqual(['run-1:call-1', 'run-1:call-1', 'run-1:call-1'])
    expect(within.clock.sleeps).toEqual([1000, 2000])
  })

  test('ends with the last failure, after as many attempts and waits as were asked for', async () => {
    const { one, keys } = failing(9, { effect: 'read', retry: { attempts: 4, delayMs: (n) => n * 10 } })
    const within = scope()
    expect((await outcomeOf(one, within)).result.error?.message).toBe('failure 4')
    expect([keys.length, within.clock.sleeps]).toEqual([4, [20, 30, 40]])
  })

  test('is not for tools without it, for toolError, for fatal errors, nor for tools left behind', async () => {
    const { one, keys } = failing(1, { effect: 'read' })
    expect((await outcomeOf(one)).result.ok).toBe(false)
    expect(keys.length).toBe(1)
    for (const [execute, settings] of [
      [() => toolError('no'), {}],
      [() => Promise.reject(new FatalToolError('over')), {}],
      [never, { timeoutMs: 5 }],
    ] as const) {
      let times = 0
      const counted = does(
        () => {
          times += 1
          return execute()
        },
        { effect: 'read', retry: {}, ...settings },
      )
      expect((await outcomeOf(counted)).result.ok).toBe(false)
      expect(times).toBe(1)
    }
  })

  test('ends with the run, while it waits', async () => {
    const { one, keys } = failing(9, { effect: 'read', retry: { delayMs: () => 60_000 } })
    const within = scope()
    const outcome = outcomeOf(one, within)
    await new Promise((resolve) => setImmediate(resolve))
    within.controller.abort()
    expect((await outcome).result.error?.message).toBe('failure 1')
    expect([keys.length, within.runtime.now()]).toEqual([1, 0])
  })

  test('survives a delay that is none', async () => {
    for (const delayMs of [
      () => Number.NaN,
      () => -1,
      () => {
        throw new Error('x')
      },
    ]) {
      const { one } = failing(1, { effect: 'read', retry: { delayMs } })
      const within = scope()
      expect((await outcomeOf(one, within)).result.ok).toBe(true)
      expect(within.clock.sleeps).toEqual([1000])
    }
  })
})

describe('tools that change the tools', () => {
  test('can do so only where that is allowed', async () => {
    const extra = does(() => 'new', { name: 'extra' })
    const adds = does((_, { registry }) => {
      registry?.register(extra)
      return Object.keys(registry ?? {})
    })
    const registry = registryOf(adds)
    expect((await executeToolCall(call('work'), registry, scope())).result.data).toEqual([])
    const allowed = await executeToolCall(call('work'), registry, scope({ allowDynamicTools: true }))
    expect(allowed.result.data).toEqual(['register', 'unregister', 'has'])
    expect(registry.names()).toEqual(['work', 'extra'])
  })
})

describe('what is hidden', () => {
  const key = 'S3CR3T-0123456789'

  async function leak(
    execute: (input: unknown, context: ToolContext) => unknown,
    settings: Settings = {},
    config?: object,
  ) {
    const registry = new ToolRegistry()
    const source = config ?? { apiKey: secret(key) }
    registry.registerToolset(
      new ToolSet({ name: 's', description: '', tools: [does(execute, settings)], config: source as never }),
    )
    const within = scope()
    const { result, status } = await executeToolCall(
      call('work', { apiKey: 'EVIL', [key]: 1 }),
      registry,
      within,
    )
    return { text: JSON.stringify([result, within.heard, await registry.definitions()]), result, status }
  }

  test.each<[string, (input: unknown, context: ToolContext) => unknown, Settings]>([
    ['output', (input) => input, {}],
    ['text', (_, { config }) => `key=${String(config['apiKey'])}`, {}],
    ['an error', (_, { config }) => Promise.reject(new Error(`401 for ${String(config['apiKey'])}`)), {}],
    ['toolError', (_, { config }) => toolError(String(config['apiKey'])), {}],
    [
      'metadata',
      (_, { config }) =>
        toolResult('x', { metadata: { [String(config['apiKey'])]: config['apiKey'] as string } }),
      {},
    ],
    ['progress', (_, { config, progress }) => progress({ deep: [config as never] }), {}],
    ['formatOutput', (input) => input, { formatOutput: (input) => JSON.stringify(input) }],
    [
      'a failing formatOutput',
      (input) => input,
      {
        formatOutput: (input) => {
          throw new Error(JSON.stringify(input))
        },
      },
    ],
    ['output that is cut', () => `${'x'.repeat(45)}${key}`, { maxOutput: 50 }],
    ['base64', (_, { config }) => btoa(String(config['apiKey'])), {}],
    ['an object that is no plain one', (_, { config }) => new Map([['k', config]]), {}],
  ])('is not in %s', async (_, execute, settings) => {
    const { text, result } = await leak(execute, settings)
    expect(text).not.toMatch(/S3CR3T|UzNDUjNUL/)
    expect(text).not.toContain('EVIL')
    expect(result.output).not.toBe('')
  })

  test('is scrubbed also when a function brought it', async () => {
    for (const config of [() => ({ apiKey: key }), async () => ({ apiKey: secret(key) })]) {
      const { text, result } = await leak((input) => input, {}, config)
      expect(text).not.toContain(key)
      expect(result.output).toBe('{"apiKey":"[secret:apiKey]"}')
    }
  })
})

describe('a scope', () => {
  test('is all that a call hears of its run', async () => {
    const heard: string[] = []
    const within: ExecutionScope = { ...scope(), onProgress: (update) => heard.push(JSON.stringify(update)) }
    const one = tool({
      name: 'work',
      description: '',
      parameters: z.object({}),
      execute: (_, { progress }) => {
        progress({ at: new Date(0) as never, big: 1n as never })
        return 'x'
      },
    })
    await executeToolCall(call('work'), registryOf(one), within)
    expect(heard).toEqual(['{"at":"1970-01-01T00:00:00.000Z","big":"1"}'])
  })
})
