import type { LLMError } from '../../errors.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '../../json.ts'
import type { BatchOutcome, BatchState } from '../batches.ts'
import {
  bodyError,
  type ErrorSource,
  HttpFailure,
  refusalError,
  statusError,
  unfinishedError,
} from '../errors.ts'

/** Where each request of a batch goes. */
export const endpoint = '/v1/chat/completions'

/** One line of a batch's input. OpenAI API reference, "The request input object", 2026-11. */
export function batchItem(customId: string, body: JsonObject): JsonObject {
  return { custom_id: customId, method: 'POST', url: endpoint, body }
}

/** How a batch stands. OpenAI API reference, "The batch object", as the openai SDK 7.55 types it. */
export function batchState(batch: JsonObject, source: ErrorSource): BatchState {
  const { status } = batch
  if (status === 'failed') return { hasEnded: true, files: [], failure: failure(batch['errors'], source) }
  const hasEnded = status === 'completed' || status === 'expired' || status === 'cancelled'
  const counts = isJsonObject(batch['request_counts']) ? batch['request_counts'] : {}
  const total = Number.isSafeInteger(counts['total']) ? Number(counts['total']) : undefined
  return {
    hasEnded,
    // Answers are in one file, failures in the other. Without any, there is none: it is absent, `null` or an empty text.
    files: [batch['output_file_id'], batch['error_file_id']].filter(isFilled),
    ...(total !== undefined && { total }),
    ...(status === 'expired' && { unfinished: 'expired' }),
    ...(status === 'cancelled' && { unfinished: 'canceled' }),
  }
}

/** What one line of the output or the error file says. OpenAI API reference, "The request output object", 2026-11. */
export function batchOutcome(line: JsonObject, source: ErrorSource): BatchOutcome | undefined {
  const { custom_id: customId, response, error } = line
  if (typeof customId !== 'string') return undefined
  if (isJsonObject(response) && isJsonObject(response['body'])) {
    const { status_code: status, request_id: id, body } = response
    const headers = headersWith(id)
    if (typeof status === 'number' && (status < 200 || status > 299))
      return { customId, error: statusError(new HttpFailure(status, headers, JSON.stringify(body)), source) }
    return { customId, body, requestId: headers.get('x-request-id') ?? undefined }
  }
  if (!isJsonObject(error)) return undefined
  return { customId, error: itemError(error, source) }
}

function itemError(error: JsonObject, source: ErrorSource): LLMError {
  if (error['code'] === 'batch_expired') return unfinishedError('expired', source)
  if (error['code'] === 'batch_cancelled') return unfinishedError('canceled', source)
  return bodyError({ error }, source)
}

/** Why nothing of a batch was done: the first of its errors, with the request it is about. */
function failure(errors: JsonValue | undefined, source: ErrorSource): LLMError {
  const [first] = isJsonObject(errors) && Array.isArray(errors['data']) ? errors['data'] : []
  const { line, message, ...rest }: JsonObject = isJsonObject(first) ? first : {}
  const where = typeof line === 'number' ? ` (line ${line})` : ''
  const said = typeof message === 'string' ? message : 'the batch failed'
  return refusalError({ ...rest, message: `${said}${where}` }, source)
}

// What no header can hold is no id.
function headersWith(id: JsonValue | undefined): Headers {
  return new Headers(typeof id === 'string' && /^[\x21-\x7e]+$/.test(id) ? { 'x-request-id': id } : {})
}

function isFilled(value: JsonValue | undefined): value is string {
  return typeof value === 'string' && value !== ''
}
