import { type Action, next, type Outcome } from '../transcript/next.ts'
import { callModel } from './call-model.ts'
import { executeTools } from './execute-tools.ts'
import type { Run } from './run.ts'

/**
 * The loop: ask what must happen now, perform it, which appends what happened, and ask again. It knows nothing of
 * providers, tools or limits: `next` decides, the two stages act. Whatever stops a run is thrown through here.
 */
export async function runLoop(run: Run): Promise<Outcome> {
  for (;;) {
    const action = next(run.transcript, run.policy())
    // An answer or a question that was told stands, also when the run was stopped at just that moment.
    const stands = action.do === 'finish' && ['done', 'suspended'].includes(action.outcome.status)
    if (!stands) run.signal.throwIfAborted()
    if (action.do === 'finish') return action.outcome
    try {
      await perform(run, action)
    } catch (error) {
      // One that was stopped may have its answer all the same.
      if (!run.signal.aborted) throw error
    }
  }
}

function perform(run: Run, action: Exclude<Action, { do: 'finish' }>): Promise<void> {
  switch (action.do) {
    case 'call':
      return callModel(run, action)
    case 'execute':
      return executeTools(run, action.calls)
  }
}
