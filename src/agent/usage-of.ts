import type { LLMRequest, LLMResponse } from '../client/client.ts'
import { assistant, type Usage } from '../messages.ts'
import type { Run } from './run.ts'

/** What a reply cost: as its provider reports it, or our own estimate. */
export function usageOf(
  { settings: { counts } }: Run,
  request: LLMRequest,
  response: Pick<LLMResponse, 'text' | 'toolCalls' | 'usage'>,
): Usage {
  const reported = response.usage
  if (reported && isCount(reported.inputTokens) && isCount(reported.outputTokens)) return countsOf(reported)
  return {
    inputTokens: counts.request(request),
    outputTokens: counts.message(assistant(response.text, response.toolCalls)),
    estimated: true,
  }
}

/** Only what can be counted: a client is someone else's code, and what it reports is stored and summed. */
function countsOf(reported: Usage): Usage {
  const { inputTokens, outputTokens, cachedInputTokens, cacheWriteTokens, reasoningTokens, costUsd } =
    reported
  return {
    inputTokens,
    outputTokens,
    ...(isCount(cachedInputTokens) && { cachedInputTokens }),
    ...(isCount(cacheWriteTokens) && { cacheWriteTokens }),
    ...(isCount(reasoningTokens) && { reasoningTokens }),
    ...(isCount(costUsd) && { costUsd }),
    ...(reported.estimated === true && { estimated: true as const }),
  }
}

const isCount = (value: unknown): value is number =>
  // Larger ones would add up to what is no number.
  typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER
