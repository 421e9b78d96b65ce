import type { LLMRequest, LLMResponse } from '../client/client.ts'
import { leastTelling } from '../memory/calibration.ts'
import { assistant, type Usage } from '../messages.ts'
import type { ReplyEntry } from '../transcript/entry.ts'
import type { Run } from './run.ts'

/** What a reply cost: as its provider reports it, beside what we took the request for, or our own estimate. */
export function accountOf(
  { settings: { counts } }: Run,
  request: LLMRequest,
  response: Pick<LLMResponse, 'text' | 'toolCalls' | 'usage'>,
): Pick<ReplyEntry, 'usage' | 'estimatedInputTokens'> {
  const reported = response.usage
  const estimatedInputTokens = counts.request(request)
  if (reported && isCount(reported.inputTokens) && isCount(reported.outputTokens)) {
    return {
      usage: countsOf(reported),
      ...(reported.estimated !== true && estimatedInputTokens >= leastTelling && { estimatedInputTokens }),
    }
  }
  const outputTokens = counts.message(assistant(response.text, response.toolCalls))
  return { usage: { inputTokens: estimatedInputTokens, outputTokens, estimated: true } }
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
