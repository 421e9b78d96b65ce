import type { CallOptions, Capabilities, LLMChunk, LLMClient, LLMRequest } from '../../src/client/client.ts'
import { user } from '../../src/messages.ts'
import { type Script, ScriptedClient } from '../../src/testing/index.ts'

export const request: LLMRequest = { messages: [user('hi')] }

export const withTools: LLMRequest = {
  ...request,
  tools: [{ name: 'ping', description: 'Answers pong', parameters: { type: 'object' } }],
}

/** A scripted client by its provider's name; its model is `m`. */
export const named = (
  provider: string,
  script: Script,
  capabilities: Partial<Capabilities> = {},
): ScriptedClient => new ScriptedClient(script, { provider, model: 'm', capabilities })

/** Every chunk of a stream, also of one that fails. */
export async function drain(
  client: LLMClient,
  options?: CallOptions,
  into: LLMChunk[] = [],
  asked: LLMRequest = request,
): Promise<LLMChunk[]> {
  for await (const chunk of client.stream?.(asked, options) ?? []) into.push(chunk)
  return into
}

/** What a reader is left with who applies retractions. */
export const textOfChunks = (chunks: readonly LLMChunk[]): string =>
  chunks.reduce((text, chunk) => {
    if (chunk.type === 'retracted') return ''
    return chunk.type === 'text' ? text + chunk.text : text
  }, '')
