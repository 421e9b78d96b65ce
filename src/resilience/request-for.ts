import type { CallOptions, LLMClient, LLMRequest } from '../client/client.ts'
import { LLMError } from '../errors.ts'

type RequestFor = NonNullable<CallOptions['requestFor']>

/**
 * Remembers for which client a caller made its request last: that is whose reply it would understand. A call that is tried
 * again comes with the request it began with, which may not be that client's.
 */
export class MadeRequests {
  readonly #last = new WeakMap<RequestFor, { readonly client: LLMClient; readonly request: LLMRequest }>()

  /** `request` as `client` has to be asked it. One that comes for the first time was made for `original`, if for any of these. */
  async for(
    client: LLMClient,
    original: LLMClient | undefined,
    request: LLMRequest,
    { requestFor }: CallOptions = {},
  ): Promise<LLMRequest> {
    if (!requestFor) return request
    const last = this.#last.get(requestFor) ?? { client: original, request }
    const made = last.client === client ? last.request : await requestFor(client)
    this.#last.set(requestFor, { client, request: made })
    return made
  }
}

/** Why `client` cannot be asked `request` as it is; `undefined` if it can. */
export function misfit({ capabilities, provider, model }: LLMClient, { tools = [] }: LLMRequest) {
  if (tools.length === 0 || capabilities.tools) return undefined
  return new LLMError(
    `${provider} (${model}) was not asked: it cannot call tools. Ask through an Agent, which speaks JSON to it, or give a client that can.`,
    { kind: 'invalid_request', provider, model },
  )
}
