import type { LLMClient, LLMRequest } from '../../client/client.ts'
import { isPlainObject, type JsonObject, jsonCopy } from '../../json.ts'
import type { Message } from '../../messages.ts'
import { outputJson } from '../../tools/output.ts'
import { CompiledSchema } from '../../tools/schema.ts'
import type { Tool, ToolContext } from '../../tools/tool.ts'

/** What a model is asked, as JSON, free of ids: two runs that ask the same give their calls other ones. */
export function askedOfModel(
  { provider, model }: Pick<LLMClient, 'provider' | 'model'>,
  request: LLMRequest,
): JsonObject {
  const numbered = { ...request, messages: withNumberedCalls(request.messages) }
  return { provider, model, request: jsonCopy(numbered) as unknown as JsonObject } // what comes out of JSON is JSON
}

/** The ids of calls and plans are `call_1`, `call_2`, … in the order in which they appear. */
function withNumberedCalls(messages: readonly Message[]): Message[] {
  const numbers = new Map<string, string>()
  const numbered = (id: string): string => {
    const number = numbers.get(id) ?? `call_${numbers.size + 1}`
    numbers.set(id, number)
    return number
  }
  return messages.map((message) => {
    if (message.role === 'tool') return { ...message, callId: numbered(message.callId) }
    if (message.role !== 'assistant') return message
    const { toolCalls, planId } = message
    return {
      ...message,
      ...(planId !== undefined && { planId: numbered(planId) }),
      ...(toolCalls && { toolCalls: toolCalls.map((call) => ({ ...call, id: numbered(call.id) })) }),
    }
  })
}

/** Tells what a tool is asked, as JSON: what a model may know of, never its hidden config. */
export function toolAsked(tool: Tool): (input: unknown, context: ToolContext) => Promise<JsonObject> {
  const schema = new CompiledSchema(tool.parameters)
  return async (input, { config }) => {
    const { names } = await schema.keys()
    const isHidden = (key: string) => Object.hasOwn(config, key) && !names.has(key)
    const visible =
      typeof input === 'object' && input !== null && isPlainObject(input)
        ? Object.fromEntries(Object.entries(input).filter(([key]) => !isHidden(key)))
        : input
    return { tool: tool.name, parameters: outputJson(visible) }
  }
}
