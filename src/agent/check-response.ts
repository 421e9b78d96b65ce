import type { LLMClient, LLMResponse } from '../client/client.ts'
import { parametersTextOf, readParameters } from '../client/parameters.ts'
import { LLMError } from '../errors.ts'
import { isJsonObject } from '../json.ts'
import type { ToolCall } from '../messages.ts'

/**
 * A response that can be trusted to be one: a client is someone else's code, and what it gives back is stored and sent
 * again. Calls that are none are kept as calls that cannot be executed, so that the model is told.
 *
 * @throws LLMError of kind `malformed`, if there is nothing to be made of it.
 */
export function checkResponse(response: LLMResponse, client: LLMClient): LLMResponse {
  if (typeof response !== 'object' || response === null)
    throw noResponse(client, 'it gave no response object')
  if (typeof response.text !== 'string') throw noResponse(client, 'the text of its response is no string')
  if (!Array.isArray(response.toolCalls)) throw noResponse(client, 'its response has no array of toolCalls')
  if (response.toolCalls.length === 0) return response
  return { ...response, toolCalls: response.toolCalls.map(soundCall) }
}

export function noResponse({ provider, model }: LLMClient, problem: string): LLMError {
  return new LLMError(`The client "${provider}" failed: ${problem}.`, { kind: 'malformed', provider, model })
}

/** The call with parameters of its own, which nobody else can change, and which are JSON. */
function soundCall(call: unknown): ToolCall {
  const { id, toolName, parameters, invalid } = isJsonObject(call) ? call : {}
  return {
    // An empty id is replaced like a missing one.
    id: typeof id === 'string' ? id : '',
    toolName: typeof toolName === 'string' ? toolName : '',
    ...(typeof invalid === 'string'
      ? { parameters: {}, invalid }
      : readParameters(parametersTextOf(parameters))),
  }
}
