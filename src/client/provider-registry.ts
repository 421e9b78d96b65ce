import { ConfigurationError, ProviderNotFoundError, shown } from '../errors.ts'
import {
  type Check,
  checkMembers,
  checkOptions,
  filledText,
  fn,
  hidden,
  optional,
  text,
  that,
} from '../options.ts'
import { isSecret, reveal, type Secret } from '../secret.ts'
import { type LLMClient, type ModelParams, modelParamsCheck, wrapClient } from './client.ts'
import { defaultParams, mergedParams } from './default-params.ts'

/** Makes the client of one model. Nothing is sent before that client is used. */
export type ClientFactory = (model: string, connection: ProviderConnection) => LLMClient

/** What `configure` said of a provider; absent, it is the client's own default. */
export interface ProviderConnection {
  readonly apiKey?: string
  readonly baseURL?: string
}

export interface ProviderInfo {
  readonly description?: string
}

/** A provider as one thing, such as a package exports it. */
export interface ProviderDefinition extends ProviderInfo {
  readonly name: string
  /** Makes the client of one model. Nothing is sent before that client is used. */
  create(options: ProviderConnection & { readonly model: string }): LLMClient
}

export interface ProviderConfig {
  /** A function is asked whenever a client is made, such as `env('ACME_API_KEY')` of `tercet/providers`. */
  readonly apiKey?: string | Secret | (() => string | undefined)
  readonly baseURL?: string
  /** The model of a spec that names the provider alone: `'acme'`. */
  readonly defaultModel?: string
  /** Of every model of this provider. */
  readonly params?: ModelParams
}

/**
 * Checks the definition of a provider, and gives it back.
 *
 * @throws ConfigurationError
 */
export function defineProvider(definition: ProviderDefinition): ProviderDefinition {
  checkOptions('defineProvider', definition, definitionChecks())
  return definition
}

/**
 * Providers by name, so that a model can be named by text: `'openai/gpt-5'`; and what is said of them once, for all clients
 * that are made from then on. An instance: there is no global one.
 */
export class ProviderRegistry {
  readonly #providers = new Map<string, { factory: ClientFactory; info: ProviderInfo }>()
  readonly #configs = new Map<string, ProviderConfig>()
  readonly #defaults = new Map<string, ModelParams>()

  /**
   * Returns the registry itself.
   *
   * @throws ConfigurationError when `name` is empty, holds a `/` or is taken, or `factory` is no function.
   */
  register(name: string, factory: ClientFactory, info?: ProviderInfo): this
  register(definition: ProviderDefinition): this
  register(named: string | ProviderDefinition, given?: ClientFactory, more: ProviderInfo = {}): this {
    const isDefinition = typeof named === 'object' && named !== null
    const { name, factory, info } = isDefinition
      ? asRegistered(named)
      : { name: named, factory: given, info: more }
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

  /**
   * Says where a provider is, as whom to speak to it, and what its models have in common, in the place of what was said
   * before. Returns the registry itself.
   *
   * @throws ConfigurationError, ProviderNotFoundError
   */
  configure(name: string, config: ProviderConfig): this {
    checkOptions('configure()', config, configChecks())
    this.#provider(name)
    this.#configs.set(name, { ...config })
    return this
  }

  /**
   * Sampling settings of the model of that name, whichever provider has it, in the place of what was said before. They stand
   * above those of `configure`, and below those of an agent or a run, key by key. Returns the registry itself.
   *
   * @throws ConfigurationError
   */
  defaults(model: string, params: ModelParams): this {
    checkMembers('defaults()', { model, params }, { model: filledText(), params: modelParamsCheck() })
    this.#defaults.set(model, { ...params })
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
   * The client for `'provider/model'`, or for `'provider'` where it has a `defaultModel`. The first `/` separates them; the
   * model's name may hold more. `params` stand above all that the registry knows, key by key.
   *
   * @throws ConfigurationError when `spec` has another form, or the provider's factory makes no client.
   * @throws ProviderNotFoundError when the provider was not registered.
   * @throws Whatever the factory or a function for the key throws, such as MissingCredentialError.
   */
  resolve(spec: string, { params }: { readonly params?: ModelParams } = {}): LLMClient {
    const { name, model } = this.#named(spec)
    const { factory } = this.#provider(name)
    const { apiKey, baseURL, params: ofProvider } = this.#configs.get(name) ?? {}
    const key = typeof apiKey === 'function' ? apiKey() : isSecret(apiKey) ? reveal(apiKey) : apiKey
    const connection = {
      ...(key !== undefined && { apiKey: key }),
      ...(baseURL !== undefined && { baseURL }),
    }
    const client: unknown = factory(model, connection) // may come from code without types
    if (!isClient(client)) {
      throw new ConfigurationError(
        'factory',
        `The factory of the provider "${name}" must return a client with a call() method, got ${shown(client)}.`,
        { value: client },
      )
    }
    const defaults = mergedParams(ofProvider, this.#defaults.get(model), params)
    return Object.keys(defaults).length === 0 ? client : wrapClient(client, defaultParams(defaults))
  }

  #named(spec: string): { name: string; model: string } {
    const slash = typeof spec === 'string' ? spec.indexOf('/') : 0
    const name = slash === -1 ? spec : String(spec).slice(0, slash)
    const model = slash === -1 ? this.#configs.get(name)?.defaultModel : String(spec).slice(slash + 1)
    if (slash !== 0 && model) return { name, model }
    throw new ConfigurationError(
      'spec',
      `A model is named "provider/model", such as "openai/gpt-5", or by a provider with a defaultModel, got ${shown(spec)}.`,
      { value: spec },
    )
  }

  #provider(name: string): { factory: ClientFactory; info: ProviderInfo } {
    const provider = this.#providers.get(name)
    if (!provider) throw new ProviderNotFoundError(name, [...this.#providers.keys()])
    return provider
  }
}

const isApiKey = (value: unknown): boolean =>
  typeof value === 'function' || isSecret(value) || (typeof value === 'string' && value.trim() !== '')

// A function: a bundler keeps what is called when a module is loaded, also for those who never use it.
const configChecks = (): Record<keyof ProviderConfig, Check> => ({
  apiKey: optional(hidden(that('a key, a secret() or a function that gives one', isApiKey))),
  baseURL: optional(hidden(filledText())),
  defaultModel: optional(filledText()),
  params: optional(modelParamsCheck()),
})

const definitionChecks = (): Record<keyof ProviderDefinition, Check> => ({
  name: that(
    'text without "/"',
    (value) => typeof value === 'string' && value !== '' && !value.includes('/'),
  ),
  description: optional(text()),
  create: fn(),
})

function asRegistered(definition: ProviderDefinition): {
  name: string
  factory: ClientFactory
  info: ProviderInfo
} {
  const { name, description } = defineProvider(definition)
  return {
    name,
    factory: (model, connection) => definition.create({ model, ...connection }),
    info: description === undefined ? {} : { description },
  }
}

function isClient(value: unknown): value is LLMClient {
  return typeof value === 'object' && value !== null && 'call' in value && typeof value.call === 'function'
}
