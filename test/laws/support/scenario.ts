import fc from 'fast-check'
import { type ToolPlan, toolPlan } from './tools.ts'
import { anyText, type TurnPlan, toolNames, turnPlan } from './turns.ts'

/** A run and all that befalls it: data, so that a failing case can be read, shrunk and tried again. */
export interface Scenario {
  readonly input: string
  readonly turns: readonly TurnPlan[]
  readonly tools: readonly ToolPlan[]
  readonly options: OptionPlan
  readonly interference: Interference
  readonly reader: 'iterates' | 'reads the result' | 'reads slowly'
}

export interface OptionPlan {
  readonly protocol: 'native' | 'json'
  readonly planning: 'auto' | 'required' | 'off'
  readonly maxIterations: number
  readonly maxToolRounds?: number | undefined
  readonly timeoutMs: number
  readonly graceMs: number
  readonly onLimit: 'throw' | 'land' | 'stop'
  readonly toolConcurrency: number
  readonly maxToolOutput: number
  readonly maxConsecutiveToolErrors: number
  readonly memory: (typeof memories)[number]
  readonly contextWindow?: number | undefined
  readonly maxOutputTokens?: number | undefined
  readonly output: (typeof outputs)[number]
  readonly hooks: (typeof hookKinds)[number]
  readonly stage: (typeof stages)[number]
  readonly stream: boolean
  readonly chunkSize: number
  readonly retry: boolean
  readonly store: boolean
  readonly instructions: string
}

export type Interference =
  | { readonly by: 'nobody' }
  | { readonly by: 'abort' | 'signal' | 'break' | 'throw' | 'close'; readonly at: number }
  | { readonly by: 'a second run'; readonly concurrency: 'queue' | 'reject' }

export const memories = [
  'default',
  'off',
  'simple',
  'throws',
  'rejects',
  'hangs',
  'garbage',
  'garbage messages',
  'nothing',
  'backwards',
  'results only',
  'own words',
  'doubled',
] as const

export const outputs = ['text', 'json', 'slow', 'throws', 'hangs'] as const

export const hookKinds = ['none', 'throws', 'rejects', 'strict', 'hangs'] as const

export const stages = ['beforeModel', 'afterModel', 'beforeTool', 'afterTool', 'onMessage'] as const

const usually = <T>(usual: T, other: fc.Arbitrary<T>, weight = 3): fc.Arbitrary<T> =>
  fc.oneof({ weight, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: other })

export const optionPlan: fc.Arbitrary<OptionPlan> = fc.record({
  protocol: fc.constantFrom('native' as const, 'json' as const),
  planning: fc.constantFrom('auto' as const, 'required' as const, 'off' as const),
  maxIterations: usually(10, fc.integer({ min: 1, max: 4 }), 2),
  maxToolRounds: usually<number | undefined>(undefined, fc.nat(3)),
  timeoutMs: usually(300_000, fc.constantFrom(1, 50, 3_000, 20_000), 2),
  graceMs: usually(50, fc.constantFrom(0, 500)),
  onLimit: fc.constantFrom('throw' as const, 'land' as const, 'stop' as const),
  toolConcurrency: usually(4, fc.integer({ min: 1, max: 2 }), 1),
  maxToolOutput: usually(50_000, fc.constantFrom(1, 100)),
  maxConsecutiveToolErrors: usually(3, fc.constantFrom(1, 100)),
  memory: usually('default', fc.constantFrom(...memories), 1),
  contextWindow: usually<number | undefined>(undefined, fc.constantFrom(10, 200, 800, 3_000), 1),
  maxOutputTokens: usually<number | undefined>(undefined, fc.constantFrom(1, 100)),
  output: usually('text', fc.constantFrom(...outputs)),
  hooks: usually('none', fc.constantFrom(...hookKinds)),
  stage: fc.constantFrom(...stages),
  stream: usually(true, fc.constant(false)),
  chunkSize: fc.constantFrom(1, 7, 10_000),
  retry: fc.boolean(),
  store: fc.boolean(),
  instructions: fc.constantFrom('', 'Be brief.'),
})

export const interference: fc.Arbitrary<Interference> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Interference>({ by: 'nobody' }) },
  {
    weight: 4,
    arbitrary: fc.record({
      by: fc.constantFrom(
        'abort' as const,
        'signal' as const,
        'break' as const,
        'throw' as const,
        'close' as const,
      ),
      at: fc.integer({ min: 0, max: 25 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      by: fc.constant('a second run' as const),
      concurrency: fc.constantFrom('queue' as const, 'reject' as const),
    }),
  },
)

export const plannedTools: fc.Arbitrary<readonly ToolPlan[]> = fc
  .tuple(fc.constantFrom(0, 1, 2, 4, 4, 4), ...toolNames.map(toolPlan))
  .map(([count, ...plans]) => plans.slice(0, count))

export const scenario: fc.Arbitrary<Scenario> = fc.record({
  input: anyText.filter((text) => text.trim() !== ''),
  turns: fc.array(turnPlan, { maxLength: 7 }),
  tools: plannedTools,
  options: optionPlan,
  interference,
  reader: fc.constantFrom('iterates' as const, 'reads the result' as const, 'reads slowly' as const),
})
