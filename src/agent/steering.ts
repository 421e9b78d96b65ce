import type { Run } from './run.ts'

/** Between two iterations: delivers what the user has said since the last. */
export async function deliverSteering(run: Run): Promise<void> {
  for (let letter = run.inbox.take(); letter; letter = run.inbox.take()) {
    const { message, settle } = letter
    try {
      const said = run.secrets.scrubber.value(message)
      await run.append({ type: 'message', runId: run.runId, message: said })
      settle(true)
      run.emit({ type: 'steering', runId: run.runId, stepId: run.stepId, message: said })
      await run.hook('onMessage', said)
    } finally {
      settle(false)
    }
  }
}
