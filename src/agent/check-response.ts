import type { LLMClient, LLMResponse } from '../client/client.ts'
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
  return response.toolCalls.every(isSound)
    ? response
    : { ...response, toolCalls: response.toolCalls.map(soundCall) }
}

export function noResponse({ provider, model }: LLMClient, problem: string): LLMError {
  return new LLMError(`The client "${provider}" failed: ${problem}.`, { kind: 'malformed', provider, model })
}

function isSound(call: unknown): call is ToolCall {
  if (!isJsonObject(call)) return false
  const { id, toolName, parameters, invalid } = call
  const isNamed = typeof id === 'string' && typeof toolName === 'string'
  return isNamed && isJsonObject(parameters) && (invalid === undefined || typeof invalid === 'string')
}

function soundCall(call: unknown): ToolCall {
  if (isSound(call)) return call
  const { id, toolName, parameters, invalid } = isJsonObject(call) ? call : {}
  const problem = typeof invalid === 'string' ? invalid : 'The parameters must be a JSON object.'
  return {
    // An empty id is replaced like a missing one.
    id: typeof id === 'string' ? id : '',
    toolName: typeof toolName === 'string' ? toolName : '',
    ...(isJsonObject(parameters) ? { parameters } : { parameters: {}, invalid: problem }),
  }
}
