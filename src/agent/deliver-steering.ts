import type { Run } from './run.ts'

/** Between two iterations: what the user has said since the last becomes a part of the conversation. */
export async function deliverSteering(run: Run): Promise<void> {
  const { inbox, secrets, runId, stepId } = run
  for (let letter = inbox.take(); letter; letter = inbox.take()) {
    try {
      const message = secrets.scrubber.value(letter.message)
      await run.append({ type: 'message', runId, message })
      letter.settle(true)
      run.emit({ type: 'steering', runId, stepId, message })
      if (run.isHooked) await run.hook('onMessage', message)
    } finally {
      letter.settle(false)
    }
  }
}
