import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import { openAIDialect } from './openai-dialect.ts'
import { isJson, parsed } from './received-request.ts'
import { missing, refuse, unknownKey, unsupported, words } from './refusal.ts'
import {
  type BatchAnswer,
  type BatchHost,
  BatchProgress,
  type BatchRequest,
  type ItemOutcome,
  outcomeOf,
} from './strict-batches.ts'
import type { Check } from './strict-contract.ts'

interface Item {
  readonly customId: string
  readonly outcome: ItemOutcome
}

interface Batch {
  readonly id: string
  readonly fileId: string
  readonly items: readonly Item[]
  readonly total: number
  readonly errors: readonly JsonObject[]
  readonly progress: BatchProgress
}

/** OpenAI's files and batches, as the openai SDK 7.55 types them: what is in a file is looked at when its batch begins. */
export class OpenAIBatches {
  readonly #host: BatchHost
  readonly #files = new Map<string, string>()
  readonly #batches = new Map<string, Batch>()

  constructor(host: BatchHost) {
    this.#host = host
  }

  /** `undefined` for a request that is about neither files nor batches. */
  async answer(request: BatchRequest): Promise<BatchAnswer | undefined> {
    const { method, path, headers } = request
    const [, kind, id, verb] = /^\/v1\/(files|batches)(?:\/([^/]+)(?:\/([^/]+))?)?$/.exec(path) ?? []
    const handle = this.#routes[[method, kind, id && 'id', verb].filter(Boolean).join(' ')]
    if (handle === undefined) return undefined
    return openAIDialect.authorize(headers, this.#host.keys) ?? handle(id ?? '', request)
  }

  readonly #routes: Readonly<
    Record<string, (id: string, request: BatchRequest) => BatchAnswer | Promise<BatchAnswer>>
  > = {
    'POST files': (_, request) => this.#upload(request),
    'GET files id content': (id) => this.#content(id),
    'POST batches': (_, request) => this.#create(request),
    'GET batches id': (id) => this.#about(id, ({ progress }) => progress.look()),
    'POST batches id cancel': (id) =>
      this.#about(id, ({ progress }) => {
        if (progress.hasEnded)
          return refuse('cancel', 'Cannot cancel a batch that has ended.', { status: 409 })
        progress.cancel()
      }),
  }

  async #upload({ headers, text }: BatchRequest): Promise<BatchAnswer> {
    const type = headers['content-type'] ?? ''
    if (!type.startsWith('multipart/form-data'))
      return refuse('multipart', 'Invalid Content-Type: expected multipart/form-data.')
    const form = await new Response(text ?? '', { headers: { 'content-type': type } })
      .formData()
      .catch(() => undefined)
    if (form === undefined) return refuse('multipart', 'Could not parse multipart form.')
    const [purpose, file] = [form.get('purpose'), form.get('file')]
    if (purpose === null) return missing('purpose', 'purpose')
    if (purpose !== 'batch') return unsupported('purpose', 'purpose', String(purpose), ['batch'])
    if (file === null || typeof file === 'string') return missing('file', 'file')
    if (!file.name.endsWith('.jsonl'))
      return refuse('file_format', 'Invalid file format for Batch API. Must be .jsonl', { param: 'file' })
    const id = `file-${this.#files.size + 1}`
    this.#files.set(id, await file.text())
    return {
      object: {
        id,
        object: 'file',
        bytes: file.size,
        created_at: 0,
        filename: file.name,
        purpose: 'batch',
        status: 'processed',
      },
    }
  }

  #content(id: string): BatchAnswer {
    for (const batch of this.#batches.values()) {
      if (id === `file-output-${batch.id}`) return { lines: linesOf(batch, 'answers') }
      if (id === `file-errors-${batch.id}`) return { lines: linesOf(batch, 'failures') }
    }
    return refuse('file', `No such File object: ${id}`, { status: 404, param: 'id' })
  }

  #create({ headers, text }: BatchRequest): BatchAnswer {
    const body = isJson(headers) ? parsed(text) : undefined
    if (!isJsonObject(body)) return refuse('json', 'We could not parse the JSON body of your request.')
    const refusal = checkBatch(body)
    if (refusal !== undefined) return refusal
    const fileId = String(body['input_file_id'])
    const file = this.#files.get(fileId)
    if (file === undefined)
      return refuse('input_file', `Invalid 'input_file_id': no file ${fileId}.`, { param: 'input_file_id' })
    const lines = file.split('\n').filter((line) => line.trim() !== '')
    const requests = lines.map((line) => parsed(line))
    const errors = errorsOf(requests, String(body['endpoint']), this.#host)
    const items =
      errors.length > 0 ? [] : requests.filter(isJsonObject).map((each) => this.#item(each, headers))
    const batch: Batch = {
      id: `batch_${this.#batches.size + 1}`,
      fileId,
      items,
      total: requests.length,
      errors,
      progress: new BatchProgress(items.length, this.#host.polls),
    }
    this.#batches.set(batch.id, batch)
    return { object: batchObject(batch) }
  }

  #item({ custom_id: customId, body }: JsonObject, headers: BatchRequest['headers']): Item {
    const request = isJsonObject(body) ? body : {}
    return { customId: String(customId), outcome: outcomeOf(request, headers, openAIDialect, this.#host) }
  }

  #about(id: string, change: (batch: Batch) => Check | void): BatchAnswer {
    const batch = this.#batches.get(id)
    if (batch === undefined) return refuse('batch', `No batch found with id '${id}'.`, { status: 404 })
    return change(batch) ?? { object: batchObject(batch) }
  }
}

const batchParameters = words('completion_window endpoint input_file_id metadata output_expires_after')

function checkBatch(body: JsonObject): Check {
  const { completion_window: window, endpoint, input_file_id: file } = body
  if (file === undefined) return missing('input_file', 'input_file_id')
  if (endpoint === undefined) return missing('endpoint', 'endpoint')
  if (endpoint !== openAIDialect.path)
    return unsupported('endpoint', 'endpoint', endpoint, [openAIDialect.path])
  if (window === undefined) return missing('completion_window', 'completion_window')
  if (window !== '24h') return unsupported('completion_window', 'completion_window', window, ['24h'])
  return unknownKey('unknown_parameter', 'batch', body, batchParameters)
}

/** Why the file is no batch: none of it is done then. OpenAI API reference, "The request input object", 2026-11. */
function errorsOf(requests: readonly unknown[], endpoint: string, host: BatchHost): JsonObject[] {
  const errors: JsonObject[] = []
  const add = (code: string, message: string, line: number | null, param: string | null = null) => {
    errors.push({ code, message, param, line })
    host.refused(refuse(code, message, { code }))
  }
  if (requests.length === 0) add('empty_file', 'The batch input file is empty.', null)
  if (requests.length > 50_000)
    add('too_many_tasks', 'The batch input file has more than 50000 requests.', null)
  const ids = new Set<JsonValue>()
  const [first] = requests
  const model = isJsonObject(first) && isJsonObject(first['body']) ? first['body']['model'] : undefined
  for (const [index, request] of requests.entries()) {
    const line = index + 1
    if (!isJsonObject(request)) {
      add('invalid_json_line', 'This line is not parseable as valid JSON.', line)
      continue
    }
    const { custom_id: id, method, url, body } = request
    if (typeof id !== 'string' || id === '' || id.length > 64)
      add('invalid_custom_id', 'The custom_id must be a string of 1 to 64 characters.', line, 'custom_id')
    else if (ids.has(id))
      add(
        'duplicate_custom_id',
        'The custom_id for this request is a duplicate of another request.',
        line,
        'custom_id',
      )
    else ids.add(id)
    if (method !== 'POST') add('invalid_method', 'The method must be POST.', line, 'method')
    if (url !== endpoint)
      add('invalid_url', `The URL provided for this request does not match ${endpoint}.`, line, 'url')
    if (!isJsonObject(body)) add('missing_required_parameter', 'The body is missing.', line, 'body')
    else if (body['model'] !== model)
      add('mismatched_model', 'All requests of a batch must have the same model.', line, 'body.model')
    else if (host.rules.models?.includes(String(model)) === false)
      add(
        'model_not_found',
        `The provided model '${model}' is not supported by the Batch API.`,
        line,
        'body.model',
      )
    else if (body['stream'] === true) add('invalid_value', 'A batch cannot be streamed.', line, 'body.stream')
  }
  return errors
}

function batchObject(batch: Batch): JsonObject {
  const { id, fileId, total, errors } = batch
  const status = statusOf(batch)
  const [answers, failures] = [linesOf(batch, 'answers').length, linesOf(batch, 'failures').length]
  const hasResults = status === 'completed' || status === 'expired' || status === 'cancelled'
  return {
    id,
    object: 'batch',
    endpoint: openAIDialect.path,
    errors: status === 'failed' ? { object: 'list', data: errors } : null,
    input_file_id: fileId,
    completion_window: '24h',
    status,
    output_file_id: hasResults && answers > 0 ? `file-output-${id}` : null,
    error_file_id: hasResults && failures > 0 ? `file-errors-${id}` : null,
    created_at: 0,
    // Not before it was looked through.
    request_counts: { total: status === 'validating' ? 0 : total, completed: answers, failed: failures },
    metadata: null,
  }
}

function statusOf({ errors, items, progress }: Batch): string {
  if (errors.length > 0) return progress.phase === 'waiting' ? 'validating' : 'failed'
  if (progress.wasCanceled) return progress.hasEnded ? 'cancelled' : 'cancelling'
  if (progress.hasEnded) return items.some(({ outcome }) => outcome === 'expired') ? 'expired' : 'completed'
  return { waiting: 'validating', working: 'in_progress', closing: 'finalizing' }[progress.phase]
}

/** The last first: results come in any order. What was not done before a batch was canceled is in neither file. */
function linesOf({ id, items, progress }: Batch, kind: 'answers' | 'failures'): JsonObject[] {
  return items
    .slice(0, progress.done)
    .filter(({ outcome }) => (outcome !== 'expired' && 'body' in outcome) === (kind === 'answers'))
    .map(({ customId, outcome }) => {
      const line = { id: `batch_req_${id}_${customId}`, custom_id: customId }
      if (outcome === 'expired') return { ...line, response: null, error: expired }
      const [status, body] =
        'body' in outcome ? [200, outcome.body] : [outcome.failure.status, outcome.failure.body]
      const response = { status_code: status, request_id: `req_${id}_${customId}`, body }
      return { ...line, response, error: null }
    })
    .reverse()
}

// OpenAI guide "Batch API", 2026-11.
const expired = {
  code: 'batch_expired',
  message: 'This request could not be executed before the completion window expired.',
}
