import type { LLMClient } from '../client/client.ts'
import { ProviderRegistry } from '../client/provider-registry.ts'
import { MissingCredentialError } from '../errors.ts'
import { AnthropicClient } from './anthropic.ts'
import { fromEnvironment } from './connection.ts'
import { GroqClient } from './groq.ts'
import { OpenAIClient } from './openai.ts'
import { OpenRouterClient } from './openrouter.ts'
import { type PresetName, presets } from './presets.ts'

/**
 * A new registry of every provider this package has a client for, each by its environment variables: further ones can be
 * registered beside them. No SDK is loaded before a client's first call.
 */
export function defaultProviders(): ProviderRegistry {
  const providers = new ProviderRegistry()
    .register('openai', (model, at) => new OpenAIClient({ ...at, model }), { description: 'OpenAI' })
    .register('anthropic', (model, at) => new AnthropicClient({ ...at, model }), { description: 'Anthropic' })
    .register('groq', (model, at) => new GroqClient({ ...at, model }), { description: 'Groq' })
    .register('openrouter', (model, at) => new OpenRouterClient({ ...at, model }), {
      description: 'OpenRouter',
    })
  // The keys of our own table.
  for (const preset of Object.keys(presets) as PresetName[]) {
    const { baseURL } = presets[preset]
    providers.register(preset, (model, at) => new OpenAIClient({ ...at, preset, model }), {
      description: baseURL,
    })
  }
  return providers
}

/**
 * A key that is read from the environment whenever a client is made: `providers.configure('acme', { apiKey: env('ACME_KEY') })`.
 * The function throws MissingCredentialError where the variable is not set.
 */
export function env(variable: string): () => string {
  return () => {
    const value = fromEnvironment(variable)
    if (value !== undefined) return value
    throw new MissingCredentialError(
      variable,
      `There is no API key. Set ${variable}, or configure an apiKey.`,
    )
  }
}

/**
 * The client for `'provider/model'`, such as `'groq/openai/gpt-oss-120b'`.
 *
 * @throws ConfigurationError when `spec` has another form.
 * @throws ProviderNotFoundError naming the providers there are.
 * @throws MissingCredentialError
 */
export function createClient(spec: string, providers: ProviderRegistry = defaultProviders()): LLMClient {
  return providers.resolve(spec)
}
