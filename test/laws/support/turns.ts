import fc from 'fast-check'
import type { StopReason } from '../../../src/client/client.ts'
import type { LLMErrorKind } from '../../../src/errors.ts'
import type { JsonObject } from '../../../src/json.ts'
import type { Usage } from '../../../src/messages.ts'
import type { Made, Reply, ScriptedCall } from '../../../src/testing/script.ts'

/** What the model does when it is asked: data, so that a failing case can be read and shrunk. */
export type TurnPlan =
  | { readonly does: 'says'; readonly text: string; readonly rest: Rest }
  | {
      readonly does: 'calls'
      readonly thought: string
      readonly calls: readonly CallPlan[]
      readonly rest: Rest
    }
  | {
      readonly does: 'plans'
      readonly plan: string
      readonly calls: readonly CallPlan[]
      readonly rest: Rest
    }
  | { readonly does: 'writes'; readonly raw: string; readonly rest: Rest }
  | {
      readonly does: 'stops'
      readonly reason: StopReason
      readonly text: string
      readonly calls: readonly CallPlan[]
      readonly rest: Rest
    }
  | {
      readonly does: 'fails'
      readonly kind: LLMErrorKind
      readonly after: readonly string[]
      readonly retryAfterMs?: number | undefined
    }
  | { readonly does: 'hangs'; readonly after: readonly string[] }

export interface CallPlan {
  /** Which tool; those that do not exist have names of their own. */
  readonly toolName: string
  readonly parameters: JsonObject
  readonly id?: string | undefined
  readonly invalid?: string | undefined
}

export interface Rest {
  readonly usage: Usage | 'absent'
  readonly reasoning?: string | undefined
  readonly delayMs: number
}

export const toolNames = ['t0', 't1', 't2', 't3'] as const

export const anyText = fc.oneof(
  { weight: 5, arbitrary: fc.string({ maxLength: 30 }) },
  { weight: 2, arbitrary: fc.string({ unit: 'grapheme', maxLength: 20 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '',
      ' ',
      '\n',
      '{"n":1}',
      '```json\n{"n":2}\n```',
      '\ud83d',
      'x'.repeat(2_000),
    ),
  },
)

const failureKinds = [
  'auth',
  'quota',
  'rate_limit',
  'overloaded',
  'timeout',
  'stalled',
  'network',
  'context_length',
  'content_filter',
  'invalid_request',
  'not_found',
  'malformed',
  'aborted',
  'unknown',
] as const satisfies readonly LLMErrorKind[]

const usage = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Usage | 'absent'>({ inputTokens: 10, outputTokens: 5 }) },
  { weight: 1, arbitrary: fc.constant<Usage | 'absent'>('absent') },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Usage>(
      { inputTokens: Number.NaN, outputTokens: 5 },
      { inputTokens: -1, outputTokens: 0 },
      { inputTokens: 0.1, outputTokens: 0.2, cachedInputTokens: 0.3 },
      { inputTokens: 1, outputTokens: 1, cachedInputTokens: Number.NaN },
      { inputTokens: 7, outputTokens: 3, cachedInputTokens: 4, cacheWriteTokens: 1, reasoningTokens: 2 },
      { inputTokens: 1 } as Usage, // what a careless client reports
    ),
  },
)

const rest: fc.Arbitrary<Rest> = fc.record({
  usage,
  reasoning: fc.option(anyText, { nil: undefined, freq: 5 }),
  delayMs: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(4_000) }),
})

const parameters = fc.oneof(
  { weight: 5, arbitrary: fc.nat(3).map((n): JsonObject => ({ n })) },
  { weight: 1, arbitrary: fc.constantFrom<JsonObject>({}, { n: 'one' }, { n: 1, more: [null] }) },
  {
    weight: 1,
    arbitrary: fc.constant(JSON.parse('{"n":1,"__proto__":{"n":2},"constructor":3}') as JsonObject),
  },
  // What a careless client gives: not what its type says.
  {
    weight: 1,
    arbitrary: fc.constantFrom<unknown>(null, 'n', [1], 7, undefined).map((wrong) => wrong as JsonObject),
  },
)

export const callPlan: fc.Arbitrary<CallPlan> = fc.record({
  toolName: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...toolNames) },
    { weight: 1, arbitrary: fc.constantFrom<unknown>(7, null, undefined).map((wrong) => wrong as string) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('unknown', '__proto__', 'constructor', 'has blanks', 'x'.repeat(90), ''),
    },
  ),
  parameters,
  id: fc.oneof(
    { weight: 4, arbitrary: fc.constant(undefined) },
    {
      weight: 2,
      arbitrary: fc.constantFrom(
        'a',
        'b',
        'call_1',
        'call_2',
        '',
        '__proto__',
        'ü é',
        'plan_1',
        'y'.repeat(80),
      ),
    },
    { weight: 1, arbitrary: fc.constantFrom<unknown>(7, null, {}).map((wrong) => wrong as string) },
  ),
  invalid: fc.option(fc.constant('it is no JSON'), { nil: undefined, freq: 9 }),
})

const calls = (minLength: number) => fc.array(callPlan, { minLength, maxLength: 4 })

const brokenText = fc.constantFrom(
  '{"tool_calls":[{"tool_name":"t0","parameters":{"n":1}',
  '```json\n{"final_answer": \n```',
  '{"final_answer":"cut in the mid',
  '```json\n{"tool_calls":"none"}\n```',
  '```json\n{"tool_calls":[{"id":7,"tool_name":"t0","parameters":"n"},null,{}]}\n```',
  'Here you are: {"final_answer": "the answer"} Anything else?',
  '{"plan": ["a", "b"], "tool_calls": [{"tool_name": "t0", "parameters": {"n": 1}}]}',
  '[1,2,3]',
  'null',
  '{}',
  '{"unknown":1}',
)

export const turnPlan: fc.Arbitrary<TurnPlan> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ does: fc.constant('says' as const), text: anyText, rest }) },
  {
    weight: 8,
    arbitrary: fc.record({ does: fc.constant('calls' as const), thought: anyText, calls: calls(1), rest }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ does: fc.constant('plans' as const), plan: anyText, calls: calls(0), rest }),
  },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('writes' as const), raw: brokenText, rest }) },
  {
    weight: 1,
    arbitrary: fc.record({
      does: fc.constant('stops' as const),
      reason: fc.constantFrom<StopReason>(
        'length',
        'refusal',
        'content_filter',
        'error',
        'unknown',
        'tool_calls',
      ),
      text: anyText,
      calls: calls(0),
      rest,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      does: fc.constant('fails' as const),
      kind: fc.constantFrom(...failureKinds),
      after: fc.array(anyText, { maxLength: 2 }),
      retryAfterMs: fc.constantFrom(undefined, undefined, 0, 500, 100_000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ does: fc.constant('hangs' as const), after: fc.array(anyText, { maxLength: 2 }) }),
  },
)

/** The turn, as a model says it that speaks this protocol. */
export function rendered(turn: TurnPlan, protocol: 'native' | 'json'): Made {
  switch (turn.does) {
    case 'says':
      return protocol === 'native'
        ? reply(turn.text, turn.rest)
        : envelope({ final_answer: turn.text }, turn.rest)
    case 'writes':
      return reply(turn.raw, turn.rest)
    case 'calls':
      return protocol === 'native'
        ? { ...reply(turn.thought, turn.rest), toolCalls: turn.calls.map(nativeCall) }
        : envelope({ tool_thought: turn.thought, tool_calls: turn.calls.map(jsonCall) }, turn.rest)
    case 'plans': {
      const toolCalls = [{ toolName: 'plan', parameters: { plan: turn.plan } }, ...turn.calls.map(nativeCall)]
      if (protocol === 'native') return { ...reply('', turn.rest), toolCalls }
      const beside = turn.calls.length > 0 && { tool_calls: turn.calls.map(jsonCall) }
      return envelope({ plan: turn.plan, ...beside }, turn.rest)
    }
    case 'stops': {
      const said = { ...reply(turn.text, turn.rest), stopReason: turn.reason }
      return turn.calls.length === 0 ? said : { ...said, toolCalls: turn.calls.map(nativeCall) }
    }
    case 'fails': {
      const { kind, after, retryAfterMs } = turn
      return { fails: kind, after, ...(retryAfterMs !== undefined && { retryAfterMs }) }
    }
    case 'hangs':
      return { hangs: true, after: turn.after }
  }
}

function reply(text: string, { usage, reasoning, delayMs }: Rest): Reply {
  return { text, usage, ...(reasoning !== undefined && { reasoning }), ...(delayMs > 0 && { delayMs }) }
}

function envelope(value: JsonObject, rest: Rest): Reply {
  return reply(`\`\`\`json\n${JSON.stringify(value)}\n\`\`\``, rest)
}

function nativeCall({ toolName, parameters, id, invalid }: CallPlan): ScriptedCall {
  return {
    toolName,
    parameters: invalid === undefined ? parameters : {},
    ...(id !== undefined && { id }),
    ...(invalid !== undefined && { invalid }),
  }
}

function jsonCall({ toolName, parameters, id, invalid }: CallPlan): JsonObject {
  return {
    ...(id !== undefined && { id }),
    tool_name: toolName,
    parameters: invalid === undefined ? parameters : invalid,
  }
}
