import type { LLMResponse } from '../client/client.ts'
import { assistant, type Message } from '../messages.ts'
import type { PartialOutput } from '../protocol/partial-output.ts'
import type { ReplyEntry } from '../transcript/entry.ts'
import { askClient } from './ask-client.ts'
import { checkResponse } from './check-response.ts'
import { deliverSteering } from './deliver-steering.ts'
import { type Asked, type CallAction, encodeRequest } from './encode-request.ts'
import { readReply } from './read-reply.ts'
import { ReplyDisplay } from './reply-display.ts'
import type { Run } from './run.ts'
import { accountOf } from './usage-of.ts'

/** One model call: view, encode, call, decode, append. Tells what it shows and what it cost. */
export async function callModel(run: Run, action: CallAction): Promise<void> {
  run.stepId = `${run.runId}/${(run.fold?.iterations ?? 0) + 1}`
  if (!run.inbox.isEmpty) await deliverSteering(run)
  if (action.landing)
    run.diagnose('landing', `The limit "${action.landing}" is reached: the model is told to answer now.`)
  if (action.correction) run.diagnose('repair', `The reply could not be used: ${action.correction.problem}`)

  let asked = await encodeRequest(run, action, run.settings.client)
  const newPartial = run.settings.output && (await partialOutput())
  const display = new ReplyDisplay(run, asked.protocol.reader(), newPartial)
  run.signal.throwIfAborted()
  let response: LLMResponse | undefined
  let entry: ReplyEntry
  try {
    response = await askClient(run, asked.request, {
      display,
      restart: () => display.restart(asked.protocol.reader()),
      requestFor: async (client) => {
        asked = await encodeRequest(run, action, client)
        display.restart(asked.protocol.reader())
        return asked.request
      },
    })
    if (run.isHooked) response = checkResponse(await run.hook('afterModel', response), run.settings.client)
    entry = await readReply(run, asked, response, action)
  } catch (error) {
    // What went wrong first is what the caller needs to know.
    await keepPartial(run, asked, display, response).catch(() => {})
    throw error
  }
  display.end(response, entry)
  try {
    const saved = run.append(entry)
    if (saved) await saved
  } finally {
    // It is paid for, also when it could not be stored.
    tellUsage(run, entry, asked)
  }
  const message = tellReply(run)
  if (message && run.isHooked) await run.hook('onMessage', message)
  await run.paced()
}

async function partialOutput(): Promise<() => PartialOutput> {
  const { PartialOutput } = await import('../protocol/partial-output.ts')
  return () => new PartialOutput()
}

/** A call that had begun to answer, or was stopped by us, was made and is paid for, as far as anyone can know. */
async function keepPartial(
  run: Run,
  asked: Asked,
  display: ReplyDisplay,
  response: LLMResponse | undefined,
): Promise<void> {
  const { client, request } = asked
  const text = display.cut()
  if (!display.begun && !response && !run.signal.aborted) return
  const { provider, model } = response?.answeredBy ?? client
  const entry: ReplyEntry = {
    type: 'reply',
    runId: run.runId,
    stepId: run.stepId,
    kind: 'partial',
    text,
    stopReason: response?.stopReason ?? 'unknown',
    ...accountOf(run, request, response ?? { text, toolCalls: [] }),
    provider,
    model,
  }
  try {
    await run.append(entry)
  } finally {
    tellUsage(run, entry, asked)
  }
}

function tellUsage(run: Run, { usage, provider, model }: ReplyEntry, asked: Asked): void {
  const { cachedInputTokens, inputTokens } = usage
  const isShared = cachedInputTokens !== undefined && inputTokens > 0
  const context = { ...asked.context, ...(isShared && { cachedShare: cachedInputTokens / inputTokens }) }
  run.contexts.set(run.stepId, context)
  run.emit({
    type: 'usage',
    runId: run.runId,
    stepId: run.stepId,
    usage,
    estimated: usage.estimated === true,
    provider,
    model,
    context,
  })
}

/** Tells what was appended, as it was appended: scrubbed. Gives it as a message, if it can be shown as one. */
function tellReply(run: Run): Message | undefined {
  const entry = run.fold?.last
  if (!entry) return undefined
  const base = { runId: run.runId, stepId: run.stepId }
  const { kind, text, plan, toolCalls = [] } = entry
  if (plan !== undefined) run.emit({ type: 'plan', ...base, plan })
  if (kind === 'step') run.emit({ type: 'step', ...base, ...(text !== '' && { thought: text }), toolCalls })
  if (kind === 'final') run.emit({ type: 'final_response', ...base, answer: run.answerOr(text) })
  if (kind !== 'step' && kind !== 'final' && kind !== 'plan') return undefined
  return { ...assistant(text, toolCalls), ...(plan !== undefined && { plan }) }
}
