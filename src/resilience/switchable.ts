import {
  type CallOptions,
  type Capabilities,
  isClient,
  type LLMChunk,
  type LLMClient,
  type LLMRequest,
  type LLMResponse,
} from '../client/client.ts'
import { collect } from '../client/collect.ts'
import { ConfigurationError, shown } from '../errors.ts'
import { type Check, checkOptions, record, text, that } from '../options.ts'
import { MadeRequests, misfit } from './request-for.ts'
import { closeAll, replyOf, signed, type Way } from './wrapped.ts'

export interface SwitchableClientOptions<Name extends string> {
  /** Clients by the names they are chosen by. */
  readonly clients: Readonly<Record<Name, LLMClient>>
  readonly initial: NoInfer<Name>
}

/**
 * Several clients, of which one is asked: the one that was chosen last. It looks like that one. A choice holds from the next
 * model call on, in whatever run, and never changes one that is under way.
 */
export class SwitchableClient<Name extends string = string> implements LLMClient {
  readonly #clients: ReadonlyMap<string, LLMClient>
  readonly #requests = new MadeRequests()
  #name: string

  /** @throws ConfigurationError */
  constructor(options: SwitchableClientOptions<Name>) {
    checkOptions('SwitchableClient', options, checks)
    this.#clients = new Map(Object.entries<LLMClient>(options.clients))
    this.#name = this.#known('initial', options.initial)
  }

  /** The name of the client that is asked next. */
  get using(): Name {
    return this.#name as Name // one of the names it was made with
  }

  get provider(): string {
    return this.#current.provider
  }

  get model(): string {
    return this.#current.model
  }

  get capabilities(): Capabilities {
    return this.#current.capabilities
  }

  /** @throws ConfigurationError for a name that it was not made with; nothing changes then. */
  use(name: Name): void {
    this.#name = this.#known('name', name)
  }

  call(request: LLMRequest, options?: CallOptions): Promise<LLMResponse> {
    return collect(this, this.#ask(request, options, 'call'))
  }

  stream(request: LLMRequest, options?: CallOptions): AsyncGenerator<LLMChunk, void, undefined> {
    return this.#ask(request, options, 'stream')
  }

  /** Closes all of them. */
  close(): Promise<void> {
    return closeAll(this.#clients.values())
  }

  async *#ask(
    request: LLMRequest,
    options: CallOptions | undefined,
    way: Way,
  ): AsyncGenerator<LLMChunk, void, undefined> {
    const client = this.#current
    // It may have been chosen while the request was made for the one before.
    const original = misfit(client, request) ? undefined : client
    const made = await this.#requests.for(client, original, request, options)
    yield* signed(replyOf(client, made, options, way), client)
  }

  get #current(): LLMClient {
    return this.#clients.get(this.#name) as LLMClient // its name is one of them
  }

  #known(path: string, name: string): string {
    if (this.#clients.has(name)) return name
    throw new ConfigurationError(
      path,
      `SwitchableClient has no client ${shown(name)}. Known: ${[...this.#clients.keys()].join(', ')}.`,
      { value: name },
    )
  }
}

const checks: Record<keyof SwitchableClientOptions<string>, Check> = {
  clients: record(that('an LLMClient with provider, model, capabilities and call()', isClient)),
  initial: text(),
}
