import type { LLMResponse } from '../client/client.ts'
import type { ToolCall } from '../messages.ts'
import type { Protocol, Turn, TurnCall } from '../protocol/protocol.ts'
import type { CompiledSchema } from '../tools/schema.ts'
import type { ReplyEntry } from '../transcript/entry.ts'
import type { Asked, CallAction } from './encode-request.ts'
import type { Run } from './run.ts'
import { accountOf } from './usage-of.ts'

/** What a whole reply says, as it is written down. Sets the run's `answer` when that is structured and fits. */
export async function readReply(
  run: Run,
  { protocol, request }: Asked,
  response: LLMResponse,
  action: CallAction,
): Promise<ReplyEntry> {
  const { provider, model } = response.answeredBy ?? run.settings.client
  const base = {
    type: 'reply' as const,
    runId: run.runId,
    stepId: run.stepId,
    ...(response.reasoning && { reasoning: response.reasoning }),
    stopReason: response.stopReason,
    ...accountOf(run, request, response),
    provider,
    model,
    ...(action.landing && { landing: action.landing }),
    ...(response.degraded === true && { degraded: true as const }),
  }
  const { stopReason } = response
  const raw = protocol.name === 'json' && { raw: response.text }
  if (stopReason === 'refusal' || stopReason === 'content_filter') {
    return { ...base, ...raw, kind: 'refused', text: shownText(protocol, response) }
  }
  if (stopReason === 'length') {
    const calls = response.toolCalls.length > 0 ? ' None of its tool calls was executed.' : ''
    const problem = `Your reply was cut off at the token limit.${calls} Say it in fewer words.`
    return { ...base, ...raw, kind: 'malformed', text: shownText(protocol, response), problem }
  }
  return entryOf(run, { ...base, ...raw }, protocol.decode(response), response.text)
}

/** What a reader sees of a reply that stopped in the middle: of an envelope, the answer in it. */
function shownText(protocol: Protocol, { text, ...rest }: LLMResponse): string {
  if (protocol.name === 'native') return text
  const reader = protocol.reader()
  const shown = [...reader.push({ type: 'text', text }), ...reader.end({ text, ...rest })]
  return shown.map((part) => (part.type === 'token' && part.channel === 'answer' ? part.text : '')).join('')
}

function entryOf(
  run: Run,
  base: Omit<ReplyEntry, 'kind' | 'text'>,
  turn: Turn,
  said: string,
): ReplyEntry | Promise<ReplyEntry> {
  const plan = turn.plan !== undefined && { plan: turn.plan }
  switch (turn.kind) {
    case 'malformed':
      return { ...base, kind: 'malformed', text: said, problem: turn.message }
    case 'plan':
      return { ...base, ...plan, kind: base.landing ? 'partial' : 'plan', text: '' }
    case 'step': {
      const text = turn.thought ?? ''
      if (!base.landing)
        return { ...base, ...plan, kind: 'step', text, toolCalls: withIds(run, turn.toolCalls) }
      // Told to answer without tools, it called tools: what it said beside them is the best there is.
      if (text.trim() === '') return { ...base, ...plan, kind: 'partial', text }
      return entryOf(run, base, { kind: 'final', ...plan, text }, said)
    }
    case 'final': {
      const { output } = run.settings
      const final = { ...base, ...plan, text: turn.text }
      return output ? structured(run, final, output) : { ...final, kind: 'final' }
    }
  }
}

async function structured(
  run: Run,
  final: Omit<ReplyEntry, 'kind'>,
  output: CompiledSchema,
): Promise<ReplyEntry> {
  const { readAnswer } = await import('./answer.ts')
  const answer = await run.wait(readAnswer(output, final.text))
  if (!answer.ok) return { ...final, kind: 'invalid_output', problem: answer.problem }
  run.answer = run.secrets.scrubber.value(answer.value)
  return { ...final, kind: 'final' }
}

/** Gives every call an id of its own: none is missing, and none was used before in this conversation. */
function withIds(run: Run, calls: readonly TurnCall[]): ToolCall[] {
  const taken = new Set<string>()
  const isFree = (id: string) => !taken.has(id) && !run.transcript.hasCall(id)
  let number = run.transcript.version
  return calls.map((call) => {
    let id = call.id ?? ''
    while (id === '' || !isFree(id)) id = `call_${++number}`
    taken.add(id)
    return { ...call, id }
  })
}
