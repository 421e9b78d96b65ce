import fc from 'fast-check'
import { FatalToolError } from '../../../src/errors.ts'
import type { Runtime } from '../../../src/runtime.ts'
import { tool } from '../../../src/tools/define.ts'
import { type Effect, type Tool, type ToolContext, toolError, toolResult } from '../../../src/tools/tool.ts'

const behaviours = [
  'text',
  'object',
  'nothing',
  'blank',
  'bigint',
  'cycle',
  'huge',
  'half a character',
  'result',
  'error',
  'throws',
  'throws null',
  'throws an object',
  'fatal',
  'hangs',
  'is deaf',
  'slow',
  'slow and deaf',
  'late failure',
  'progress',
  'aborts',
] as const

export interface ToolPlan {
  readonly name: string
  readonly effect: Effect
  readonly behaviour: (typeof behaviours)[number]
  readonly ms: number
  readonly serial: boolean
  readonly exclusive: boolean
  readonly repeatable: boolean
  readonly timeoutMs?: number | undefined
  readonly attempts?: number | undefined
}

export const toolPlan = (name: string): fc.Arbitrary<ToolPlan> =>
  fc
    .record({
      name: fc.constant(name),
      effect: fc.constantFrom<Effect>('read', 'idempotent', 'once'),
      behaviour: fc.oneof(
        { weight: 1, arbitrary: fc.constantFrom('text' as const, 'object' as const) },
        { weight: 2, arbitrary: fc.constantFrom(...behaviours) },
      ),
      ms: fc.nat(5_000),
      serial: sometimes(5),
      exclusive: sometimes(9),
      repeatable: sometimes(4),
      timeoutMs: fc.option(fc.integer({ min: 1, max: 3_000 }), { nil: undefined, freq: 4 }),
      attempts: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined, freq: 3 }),
    })
    .map(({ attempts, ...plan }) => ({ ...plan, ...(plan.effect !== 'once' && { attempts }) }))

/** True about once in `of`. */
export const sometimes = (of: number): fc.Arbitrary<boolean> => fc.nat(of - 1).map((n) => n === 1)

export interface Execution {
  readonly toolName: string
  readonly callId: string
  readonly effect: Effect
  readonly idempotencyKey: string
}

export interface ToolStage {
  readonly runtime: Pick<Runtime, 'sleep'>
  /** Everything a tool was ever executed for. */
  readonly executions: Execution[]
  /** How many tools are asleep on the clock by their own wish. */
  asleep: number
  /** Every tool just answers. */
  isCalm: boolean
  abort(): void
}

const parameters = {
  type: 'object',
  properties: { n: { type: 'number' } },
  required: ['n'],
} as const

export function makeTool(plan: ToolPlan, stage: ToolStage): Tool {
  const { name, effect, serial, exclusive, repeatable, timeoutMs, attempts } = plan
  return tool({
    name,
    description: `Does what ${name} does`,
    parameters,
    effect,
    serial,
    exclusive,
    repeatable,
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(attempts !== undefined && { retry: { attempts } }),
    execute: (input, context) => {
      stage.executions.push({
        toolName: name,
        callId: context.callId,
        effect,
        idempotencyKey: context.idempotencyKey,
      })
      return stage.isCalm ? 'calm' : behave(plan, input, context, stage)
    },
  })
}

function behave({ behaviour, ms }: ToolPlan, input: object, context: ToolContext, stage: ToolStage): unknown {
  const { signal } = context
  switch (behaviour) {
    case 'text':
      return `done ${JSON.stringify(input)}`
    case 'object':
      return { done: true, input, at: [1, null] }
    case 'nothing':
      return undefined
    case 'blank':
      return ' \n'
    case 'bigint':
      return { big: 12345678901234567890n }
    case 'cycle': {
      const cycle: { self?: unknown } = {}
      cycle.self = cycle
      return cycle
    }
    case 'huge':
      return '👍🏽x'.repeat(3_000)
    case 'half a character':
      return { text: 'cut \ud83d' }
    case 'result':
      return toolResult({ rows: 2 }, { metadata: { took: 'long' } })
    case 'error':
      return toolError('There is no such thing.')
    case 'throws':
      throw new Error('the tool broke')
    case 'throws null':
      throw null
    case 'throws an object':
      return Promise.reject({ code: 7 })
    case 'fatal':
      throw new FatalToolError('the tool is beyond repair')
    case 'hangs':
      return new Promise((_, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
      )
    case 'is deaf':
      return new Promise(() => {})
    case 'slow':
      return asleep(stage, ms, signal).then(() => 'slow')
    case 'slow and deaf':
      return asleep(stage, ms * 100).then(() => {
        context.progress('still here')
        return 'slow and deaf'
      })
    case 'late failure':
      return asleep(stage, ms * 100).then(() => Promise.reject(new Error('too late')))
    case 'progress':
      context.progress({ percent: 50 })
      return asleep(stage, ms, signal).then(() => {
        context.progress({ percent: 100, self: Symbol('x') as never })
        return 'progressed'
      })
    case 'aborts':
      stage.abort()
      return 'aborted the run'
  }
}

/** Sleeps on the stage's clock, and is known to. */
export async function asleep(stage: ToolStage, ms: number, signal?: AbortSignal): Promise<void> {
  stage.asleep++
  try {
    await stage.runtime.sleep(ms, signal)
  } finally {
    stage.asleep--
  }
}
