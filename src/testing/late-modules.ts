/**
 * Loads what the library loads only when a run needs it. That takes real time, which a virtual clock does not see: it would
 * move on to the end of the run's time meanwhile.
 */
export async function loadLateModules(): Promise<void> {
  await Promise.all([
    import('p-limit'),
    import('../agent/admit-call.ts'),
    import('../agent/answer.ts'),
    import('../agent/compact.ts'),
    import('../agent/compact-conversation.ts'),
    import('../agent/engine.ts'),
    import('../agent/recall.ts'),
    import('../agent/recover.ts'),
    import('../agent/resume-run.ts'),
    import('../agent/run-snapshot.ts'),
    import('../memory/block-search.ts'),
    import('../memory/essentials.ts'),
    import('../memory/fitted.ts'),
    import('../memory/simple.ts'),
    import('../memory/summarizer.ts'),
    import('../protocol/json.ts'),
    import('../protocol/partial-output.ts'),
    import('../resilience/second-attempt.ts'),
    import('../tools/dispatch.ts'),
    import('../tools/json-validator.ts'),
    import('../transcript/stored-entry.ts'),
  ])
}
