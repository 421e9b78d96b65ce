import fc from 'fast-check'
import type { ToolPolicy, ToolRule, Verdict } from '../../../src/guard/policy.ts'
import type { JsonObject } from '../../../src/json.ts'
import { calls, json, type Reply } from '../../../src/testing/script.ts'
import { sometimes } from './tools.ts'

/** A run whose calls are judged, and what people decide about those that wait. */
export interface ApprovalPlan {
  readonly protocol: 'native' | 'json'
  readonly turns: readonly (readonly { readonly toolName: ToolName; readonly n: number }[])[]
  readonly verdicts: Readonly<Record<ToolName, Verdict>>
  /** How rules name their calls. A function also lets calls with an odd `n` pass that would have to be confirmed. */
  readonly rules: 'names' | 'functions'
  readonly approvalTimeoutMs?: number | undefined
  /** A hook adds 10 to every `n` before the policy is asked. */
  readonly hook: boolean
  readonly toolConcurrency: number
  readonly acts: readonly Act[]
}

/** What is done next with the conversation. */
export interface Act {
  readonly does: 'resumes' | 'runs anew'
  /** One for each call that waits, in turn. */
  readonly decisions: readonly ('approve' | 'approve what was seen' | 'deny' | 'edit' | 'wait')[]
  readonly by: 'the same agent' | 'another agent'
  readonly afterMs: number
  /** The reader stops at the event of this number. */
  readonly stop?: { readonly how: 'abort' | 'break'; readonly at: number } | undefined
  /** The user says something to the run while it goes on. */
  readonly steers: boolean
  /** The same decisions arrive a second time. */
  readonly twice: boolean
}

export const toolNames = ['quick', 'slow', 'broken', 'serial', 'alone'] as const

export type ToolName = (typeof toolNames)[number]

const verdict = fc.constantFrom<Verdict>('allow', 'confirm', 'confirm', 'confirm', 'deny')

const act: fc.Arbitrary<Act> = fc.record({
  does: fc.constantFrom<Act['does']>('resumes', 'resumes', 'resumes', 'resumes', 'runs anew'),
  decisions: fc.array(
    fc.constantFrom<Act['decisions'][number]>('approve', 'approve what was seen', 'deny', 'edit', 'wait'),
    { minLength: 1, maxLength: 4 },
  ),
  by: fc.constantFrom<Act['by']>('the same agent', 'another agent'),
  afterMs: fc.constantFrom(0, 0, 0, 400, 2_000),
  stop: fc.option(fc.record({ how: fc.constantFrom('abort' as const, 'break' as const), at: fc.nat(12) }), {
    nil: undefined,
    freq: 2,
  }),
  steers: sometimes(3),
  twice: sometimes(4),
})

export const approvalPlan: fc.Arbitrary<ApprovalPlan> = fc.record({
  protocol: fc.constantFrom('native' as const, 'json' as const),
  turns: fc.array(
    fc.array(fc.record({ toolName: fc.constantFrom(...toolNames), n: fc.nat(3) }), {
      minLength: 1,
      maxLength: 4,
    }),
    { minLength: 1, maxLength: 3 },
  ),
  verdicts: fc.record({ quick: verdict, slow: verdict, broken: verdict, serial: verdict, alone: verdict }),
  rules: fc.constantFrom('names' as const, 'functions' as const),
  approvalTimeoutMs: fc.constantFrom(undefined, undefined, 1_000),
  hook: fc.boolean(),
  toolConcurrency: fc.constantFrom(1, 2, 4),
  acts: fc.array(act, { maxLength: 6 }),
})

/** What the policy of the plan says of a call, by itself. */
export function verdictOf({ verdicts, rules }: ApprovalPlan, toolName: string, { n }: JsonObject): Verdict {
  const planned = verdicts[toolName as ToolName]
  return planned === 'confirm' && rules === 'functions' && Number(n) % 2 === 1 ? 'allow' : planned
}

export function policyOf(plan: ApprovalPlan): ToolPolicy {
  const rulesFor = (wanted: Verdict): ToolRule[] =>
    plan.rules === 'names'
      ? toolNames.filter((name) => plan.verdicts[name] === wanted)
      : [async ({ toolName, parameters }) => verdictOf(plan, toolName, parameters) === wanted]
  return {
    deny: rulesFor('deny'),
    confirm: rulesFor('confirm'),
    ...(plan.approvalTimeoutMs !== undefined && { approvalTimeoutMs: plan.approvalTimeoutMs }),
  }
}

/** The reply that makes the calls of a turn, whose ids are `0-0`, `0-1`, … */
export function replyOf({ protocol, turns }: ApprovalPlan, index: number): Reply {
  const turn = (turns[index] ?? []).map(({ toolName, n }, at) => ({ id: `${index}-${at}`, toolName, n }))
  if (turn.length === 0) return protocol === 'native' ? { text: 'done' } : json({ final_answer: 'done' })
  if (protocol === 'native')
    return calls(...turn.map(({ id, toolName, n }) => [toolName, { n }, id] as const))
  return json({
    tool_calls: turn.map(({ id, toolName, n }) => ({ id, tool_name: toolName, parameters: { n } })),
  })
}
