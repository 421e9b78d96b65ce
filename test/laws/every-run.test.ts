import fc from 'fast-check'
import { it } from 'vitest'
import { trials, uphold } from './support/law.ts'
import {
  brokenEvents,
  brokenLimits,
  invalidRequests,
  lostConversations,
  miscountedUsage,
  misleadingTokens,
  oversizedRequests,
} from './support/run-faults.ts'
import { scenario } from './support/scenario.ts'
import { play } from './support/stage.ts'

// One play shows all of these laws: whatever the model, the tools, the hooks, the memory and the caller do.
it('every run, however it is disturbed, keeps laws 1, 2, 3, 4, 6, 7, 10 and 12', {
  timeout: 120_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async (planned) => {
      const played = await play(planned)
      uphold(
        ...invalidRequests(played),
        ...oversizedRequests(played),
        ...brokenLimits(played),
        ...brokenEvents(played),
        ...lostConversations(played),
        ...miscountedUsage(played),
        ...misleadingTokens(played),
        ...played.faults,
      )
    }),
    trials(1_500),
  )
})
