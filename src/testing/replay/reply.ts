import type { LLMResponse } from '../../client/client.ts'
import type { ToolCall } from '../../messages.ts'
import { planToolName } from '../../protocol/protocol.ts'
import type { ReplyEntry } from '../../transcript/entry.ts'

/** The response that an entry was read from, as far as it matters: read again, it gives the same entry. */
export function responseOf(entry: ReplyEntry): LLMResponse {
  const { raw, text, reasoning, stopReason, usage } = entry
  return {
    text: raw ?? text,
    toolCalls: callsOf(entry),
    ...(reasoning && { reasoning }),
    stopReason,
    usage,
  }
}

function callsOf(entry: ReplyEntry): readonly ToolCall[] {
  const { kind, raw, plan, toolCalls = [], landing, problem, stopReason } = entry
  // A reply that was cut off says whether there were calls in it, and keeps none of them.
  if (kind === 'malformed') {
    return stopReason === 'length' && problem?.includes('None of its tool calls') ? [lostCall] : []
  }
  if (raw !== undefined) return []
  const planned = plan === undefined ? [] : [{ id: 'plan', toolName: planToolName, parameters: { plan } }]
  if (landing === undefined) return [...planned, ...toolCalls]
  // At a landing, calls are left out of the entry. Without one, a plan would be all that was said, and silence malformed.
  const called = kind === 'partial' ? planned.length === 0 : planned.length > 0
  return called ? [...planned, lostCall] : planned
}

/** Stands for calls that were made and not kept. */
const lostCall: ToolCall = { id: 'lost', toolName: 'lost', parameters: {} }

/** What a client says that breaks off after a reader has seen `text`. */
export function brokenOff(text: string, protocol: 'native' | 'json'): string {
  if (protocol === 'native' || text === '') return text
  return `{"final_answer": ${JSON.stringify(text).slice(0, -1)}`
}
