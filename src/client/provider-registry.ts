import { ConfigurationError, ProviderNotFoundError, shown } from '../errors.ts'
import type { LLMClient } from './client.ts'

/** Makes the client of one model. Nothing is sent before that client is used. */
export type ClientFactory = (model: string) => LLMClient

export interface ProviderInfo {
  readonly description?: string
}

/** Providers by name, so that a model can be named by text: `'openai/gpt-5'`. An instance: there is no global one. */
export class ProviderRegistry {
  readonly #providers = new Map<string, { factory: ClientFactory; info: ProviderInfo }>()

  /**
   * Returns the registry itself.
   *
   * @throws ConfigurationError when `name` is empty, holds a `/` or is taken, or `factory` is no function.
   */
  register(name: string, factory: ClientFactory, info: ProviderInfo = {}): this {
    if (typeof name !== 'string' || name === '' || name.includes('/')) {
      throw new ConfigurationError(
        'name',
        `A provider's name must be text without "/", got ${shown(name)}.`,
        {
          value: name,
        },
      )
    }
    if (typeof factory !== 'function') {
      throw new ConfigurationError(
        'factory',
        `The provider "${name}" needs a function from a model's name to a client, got ${shown(factory)}.`,
        { value: factory },
      )
    }
    if (this.#providers.has(name)) {
      throw new ConfigurationError(
        'name',
        `A provider named "${name}" is registered already. Choose another name.`,
        {
          value: name,
        },
      )
    }
    this.#providers.set(name, { factory, info })
    return this
  }

  has(name: string): boolean {
    return this.#providers.has(name)
  }

  /** All providers, in the order of their registration. */
  list(): readonly (ProviderInfo & { readonly name: string })[] {
    return [...this.#providers].map(([name, { info }]) => ({ name, ...info }))
  }

  /**
   * The client for `'provider/model'`. The first `/` separates them; the model's name may hold more.
   *
   * @throws ConfigurationError when `spec` has another form, or the provider's factory makes no client.
   * @throws ProviderNotFoundError when the provider was not registered.
   */
  resolve(spec: string): LLMClient {
    const slash = typeof spec === 'string' ? spec.indexOf('/') : -1
    if (slash <= 0 || slash === spec.length - 1) {
      throw new ConfigurationError(
        'spec',
        `A model is named "provider/model", such as "openai/gpt-5", got ${shown(spec)}.`,
        { value: spec },
      )
    }
    const name = spec.slice(0, slash)
    const provider = this.#providers.get(name)
    if (!provider) throw new ProviderNotFoundError(name, [...this.#providers.keys()])
    const client: unknown = provider.factory(spec.slice(slash + 1)) // may come from code without types
    if (!isClient(client)) {
      throw new ConfigurationError(
        'factory',
        `The factory of the provider "${name}" must return a client with a call() method, got ${shown(client)}.`,
        { value: client },
      )
    }
    return client
  }
}

function isClient(value: unknown): value is LLMClient {
  return typeof value === 'object' && value !== null && 'call' in value && typeof value.call === 'function'
}
