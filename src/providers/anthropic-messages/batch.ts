import { isJsonObject, type JsonObject } from '../../json.ts'
import type { BatchOutcome, BatchState } from '../batches.ts'
import { bodyError, type ErrorSource, unfinishedError } from '../errors.ts'

/** One request of a batch. Anthropic's Message Batches, "Create a Message Batch", 2026-11. */
export function batchItem(customId: string, body: JsonObject): JsonObject {
  return { custom_id: customId, params: body }
}

/** How a batch stands. Anthropic's Message Batches, as @anthropic-ai/sdk 1.11 types them; its results are in one file. */
export function batchState({
  id,
  processing_status: status,
  request_counts: counts,
}: JsonObject): BatchState {
  const sums = isJsonObject(counts)
    ? Object.values(counts).filter((count) => Number.isSafeInteger(count))
    : []
  const total = sums.reduce<number>((sum, count) => sum + Number(count), 0)
  return { hasEnded: status === 'ended', files: typeof id === 'string' ? [id] : [], total }
}

/** What one line of the results says. */
export function batchOutcome(line: JsonObject, source: ErrorSource): BatchOutcome | undefined {
  const { custom_id: customId, result } = line
  if (typeof customId !== 'string' || !isJsonObject(result)) return undefined
  switch (result['type']) {
    case 'succeeded':
      return isJsonObject(result['message']) ? { customId, body: result['message'] } : undefined
    case 'errored':
      return { customId, error: bodyError(result['error'], source) }
    case 'expired':
    case 'canceled':
      return { customId, error: unfinishedError(result['type'], source) }
    default:
      return undefined
  }
}
