import type { JsonObject } from '../json.ts'
import { isGiven } from './refusal.ts'
import type { StrictReply, StrictUsage, WireContext } from './strict-contract.ts'

/** A quarter of the UTF-8 bytes of system, messages and tools: crude, but the same for everyone who counts. */
export function estimateTokens(body: JsonObject): number {
  const sent = [body['system'], body['messages'], body['tools']].filter(isGiven)
  const bytes = sent.map((part) => bytesOf(JSON.stringify(part)))
  return Math.ceil(bytes.reduce((sum, count) => sum + count, 0) / 4)
}

/** What the reply says of its usage, or an estimate; `undefined` if it is to be left out. */
export function usageOf(reply: StrictReply, { request }: WireContext): StrictUsage | undefined {
  if (reply.usage === 'absent') return undefined
  return reply.usage ?? { inputTokens: estimateTokens(request), outputTokens: outputTokens(reply) }
}

function outputTokens({ text = '', reasoning = '', refusal = '', toolCalls = [] }: StrictReply): number {
  const called = toolCalls.map((call) => call.toolName + parametersText(call.parameters))
  return Math.ceil(bytesOf(text + reasoning + refusal + called.join('')) / 4)
}

export function parametersText(parameters: JsonObject | string): string {
  return typeof parameters === 'string' ? parameters : JSON.stringify(parameters)
}

function bytesOf(text: string): number {
  return new TextEncoder().encode(text).length
}
