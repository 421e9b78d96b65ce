import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import { anthropicDialect } from './anthropic-dialect.ts'
import { extraKey, refuseMessage, required, wrongInput } from './anthropic-refusal.ts'
import { isJson, parsed } from './received-request.ts'
import { firstOf, isList, words } from './refusal.ts'
import {
  type BatchAnswer,
  type BatchHost,
  BatchProgress,
  type BatchRequest,
  type ItemOutcome,
  outcomeOf,
} from './strict-batches.ts'
import type { Check } from './strict-contract.ts'

interface Batch {
  readonly id: string
  readonly items: readonly { readonly customId: string; readonly outcome: ItemOutcome }[]
  readonly progress: BatchProgress
}

/** Anthropic's Message Batches, as @anthropic-ai/sdk 1.11 types them. */
export class AnthropicBatches {
  readonly #host: BatchHost
  readonly #batches = new Map<string, Batch>()

  constructor(host: BatchHost) {
    this.#host = host
  }

  /** `undefined` for a request that is not about batches. */
  answer(request: BatchRequest): BatchAnswer | undefined {
    const { method, path, headers } = request
    const match = /^\/v1\/messages\/batches(?:\/([^/]+)(?:\/([^/]+))?)?$/.exec(path)
    if (match === null) return undefined
    const refusal = anthropicDialect.authorize(headers, this.#host.keys)
    if (refusal !== undefined) return refusal
    const [, id, verb] = match
    const route = [method, id && 'id', verb].filter(Boolean).join(' ')
    if (route === 'POST') return this.#create(request)
    const batch = this.#batches.get(id ?? '')
    if (batch === undefined) return refuseMessage('batch', `No batch ${id}.`, notFound)
    const { progress } = batch
    switch (route) {
      case 'GET id':
        progress.look()
        return { object: batchObject(batch, headers) }
      case 'GET id results':
        if (!progress.hasEnded) return refuseMessage('results', `Batch ${id} has not ended.`, notFound)
        return { lines: resultsOf(batch) }
      case 'POST id cancel':
        if (progress.hasEnded) return refuseMessage('cancel', `Batch ${id} has ended.`)
        progress.cancel()
        return { object: batchObject(batch, headers) }
      default:
        return undefined
    }
  }

  #create({ headers, text }: BatchRequest): BatchAnswer {
    const body = isJson(headers) ? parsed(text) : undefined
    if (!isJsonObject(body)) return refuseMessage('json', 'The request body is not valid JSON.')
    const refusal =
      checkRequests(body['requests']) ?? extraKey('unknown_parameter', '', body, batchParameters)
    if (refusal !== undefined) return refusal
    const requests = isList(body['requests']) ? body['requests'].filter(isJsonObject) : []
    const items = requests.map(({ custom_id: customId, params }) => ({
      customId: String(customId),
      outcome: outcomeOf(isJsonObject(params) ? params : {}, headers, anthropicDialect, this.#host),
    }))
    const id = `msgbatch_${this.#batches.size + 1}`
    const batch = { id, items, progress: new BatchProgress(items.length, this.#host.polls) }
    this.#batches.set(id, batch)
    return { object: batchObject(batch, headers) }
  }
}

const notFound = { type: 'not_found_error', status: 404 }

const batchParameters = words('requests')
const requestParameters = words('custom_id params')

function checkRequests(requests: JsonValue | undefined): Check {
  if (requests === undefined) return required('requests', 'requests')
  if (!isList(requests)) return wrongInput('requests', 'requests', 'a valid list')
  if (requests.length === 0)
    return refuseMessage('requests', 'requests: List should have at least 1 item after validation, not 0')
  if (requests.length > 100_000)
    return refuseMessage('requests', 'requests: List should have at most 100000 items after validation')
  const ids = new Set<JsonValue>()
  return firstOf(requests, (request, index) => {
    const path = `requests.${index}`
    if (!isJsonObject(request)) return wrongInput('requests', path, 'a valid dictionary')
    const { custom_id: id, params } = request
    if (typeof id !== 'string' || !/^[a-zA-Z0-9_-]{1,64}$/.test(id)) {
      const pattern = "String should match pattern '^[a-zA-Z0-9_-]{1,64}$'"
      return refuseMessage('custom_id', `${path}.custom_id: ${pattern}`)
    }
    if (ids.has(id))
      return refuseMessage('duplicate_custom_id', `${path}.custom_id: Duplicate custom_id "${id}"`)
    ids.add(id)
    if (!isJsonObject(params)) return required('params', `${path}.params`)
    if (params['stream'] === true)
      return refuseMessage('stream', `${path}.params.stream: Streaming is not supported in batches`)
    return extraKey('unknown_parameter', path, request, requestParameters)
  })
}

function batchObject({ id, items, progress }: Batch, { host = '' }: BatchRequest['headers']): JsonObject {
  const { hasEnded, wasCanceled } = progress
  const results = hasEnded ? resultsOf({ id, items, progress }) : []
  const count = (type: string) =>
    results.filter(({ result }) => isJsonObject(result) && result['type'] === type).length
  return {
    id,
    type: 'message_batch',
    processing_status: hasEnded ? 'ended' : wasCanceled ? 'canceling' : 'in_progress',
    // Of all of them until the last one is done.
    request_counts: {
      processing: hasEnded ? 0 : items.length,
      succeeded: count('succeeded'),
      errored: count('errored'),
      canceled: count('canceled'),
      expired: count('expired'),
    },
    ended_at: hasEnded ? '1970-01-02T00:00:00Z' : null,
    created_at: '1970-01-01T00:00:00Z',
    expires_at: '1970-01-02T00:00:00Z',
    archived_at: null,
    cancel_initiated_at: wasCanceled ? '1970-01-01T00:00:00Z' : null,
    results_url: hasEnded ? `http://${host}/v1/messages/batches/${id}/results` : null,
  }
}

/** The last first: results come in any order. */
function resultsOf({ items, progress }: Batch): JsonObject[] {
  return items
    .map(({ customId, outcome }, index) => {
      const isDone = index < progress.done
      return { custom_id: customId, result: isDone ? resultOf(outcome) : { type: 'canceled' } }
    })
    .reverse()
}

function resultOf(outcome: ItemOutcome): JsonObject {
  if (outcome === 'expired') return { type: 'expired' }
  if ('body' in outcome) return { type: 'succeeded', message: outcome.body }
  return { type: 'errored', error: outcome.failure.body }
}
