import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { RunResult } from '../../src/events.ts'
import { approvalPlan } from './support/approval-plan.ts'
import { ApprovalPlay } from './support/approval-play.ts'
import { trials, uphold } from './support/law.ts'

const timeout = 60_000

it('nothing runs that was not allowed or approved as it is, nothing runs twice, and every request is valid', {
  timeout,
}, async () => {
  await fc.assert(
    fc.asyncProperty(approvalPlan, async (plan) => {
      const play = new ApprovalPlay(plan)
      const end = await play.approveAll(await play.act())
      await play.judge()
      uphold(
        ...play.faults,
        end.status === 'done' ? undefined : `it ended ${end.status}: ${end.error?.stack}`,
      )
    }),
    { seed: 3, ...trials() },
  )
})

it('a run in which everything is approved comes to the same as one without a policy', {
  timeout,
}, async () => {
  await fc.assert(
    fc.asyncProperty(approvalPlan, async (planned) => {
      const verdicts = {
        quick: 'confirm',
        slow: 'confirm',
        broken: 'allow',
        serial: 'confirm',
        alone: 'confirm',
      }
      const plan = { ...planned, verdicts: verdicts as typeof planned.verdicts, acts: [] }
      const free = new ApprovalPlay(plan, false)
      const asked = new ApprovalPlay({ ...plan, approvalTimeoutMs: undefined })
      const result = await asked.approveAll(await asked.begin())
      expect(essence(result)).toEqual(essence(await free.begin()))
      const inOrder = (play: ApprovalPlay) =>
        play.executions.toSorted((a, b) => (a.callId < b.callId ? -1 : 1))
      expect(inOrder(asked)).toEqual(inOrder(free))
      uphold(...asked.faults, ...free.faults)
    }),
    { seed: 3, ...trials(300) },
  )
})

/** All but what an approval takes: time. */
function essence({ status, answer, steps, usage, history }: RunResult) {
  // What a request was made of is known in the process that made it.
  const timeless = steps.map(({ context: _, ...step }) => ({
    ...step,
    stepId: step.stepId.split('/')[1],
    results: step.results.map((result) => ({ ...result, durationMs: 0 })),
  }))
  return { status, answer, steps: timeless, usage, history }
}
