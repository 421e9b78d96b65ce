import type { JsonObject } from '../../src/json.ts'
import { noUsage, type ToolCall, user } from '../../src/messages.ts'
import type { Entry, ReplyEntry, ReplyKind } from '../../src/transcript/entry.ts'

/** Entries as a run would write them, in the words of the domain. */
export const runId = 'run-1'

export const input = (text = 'Go'): Entry => ({ type: 'input', runId, message: user(text) })

export const reply = (kind: ReplyKind, text = '', more: Partial<ReplyEntry> = {}): ReplyEntry => ({
  type: 'reply',
  runId,
  stepId: `${runId}/1`,
  kind,
  text,
  stopReason: 'stop',
  usage: noUsage,
  provider: 'scripted',
  model: 'scripted-1',
  ...more,
})

export const call = (id: string, toolName: string, parameters: JsonObject = {}): ToolCall => ({
  id,
  toolName,
  parameters,
})

export const step = (...toolCalls: readonly ToolCall[]): ReplyEntry =>
  reply('step', '', { toolCalls, stopReason: 'tool_calls' })

export const started = (callId: string): Entry => ({
  type: 'tool_started',
  runId,
  callId,
  idempotencyKey: `${runId}:${callId}`,
})

export const finished = ({ id, toolName }: ToolCall, output: string, ok = true): Entry => ({
  type: 'tool_finished',
  runId,
  result: {
    callId: id,
    toolName,
    ok,
    output,
    ...(!ok && { error: { code: 'tool_execution', message: output } }),
    durationMs: 0,
  },
})
