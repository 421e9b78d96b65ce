import {
  type CallOptions,
  isClient,
  type LLMClient,
  type LLMRequest,
  type ModelParams,
  modelParamsCheck,
} from '../client/client.ts'
import { type Check, object, optional, that } from '../options.ts'
import { replyOf, wrapped } from './wrapped.ts'

/** A client that may be asked, and its sampling settings on top of the request's. */
export interface Candidate {
  readonly client: LLMClient
  readonly params?: ModelParams
}

const client = that('an LLMClient with provider, model, capabilities and call()', isClient)

const candidate = object({ client, params: optional(modelParamsCheck()) })

/** A list of clients, each perhaps with its params. */
export const candidatesCheck: Check = that(
  'a list of at least one client or { client, params }',
  (value) =>
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((each) => isClient(each) || !candidate.find(each, '')),
)

/** The client of a candidate, which asks with the candidate's params. */
export function clientOf(given: LLMClient | Candidate): LLMClient {
  if (isClient(given)) return given
  const { client, params } = given
  return params ? withParams(client, params) : client
}

function withParams(client: LLMClient, params: ModelParams): LLMClient {
  const add = (request: LLMRequest): LLMRequest => ({
    ...request,
    params: { ...request.params, ...params },
  })
  // One for each: a client behind this one knows by it which calls belong together.
  const requestFors = new WeakMap<RequestFor, RequestFor>()
  const adding = (requestFor: RequestFor): RequestFor => {
    const known = requestFors.get(requestFor) ?? (async (other) => add(await requestFor(other)))
    requestFors.set(requestFor, known)
    return known
  }
  return wrapped(client, (request, options, way) => {
    const { requestFor } = options ?? {}
    return replyOf(
      client,
      add(request),
      requestFor ? { ...options, requestFor: adding(requestFor) } : options,
      way,
    )
  })
}

type RequestFor = NonNullable<CallOptions['requestFor']>
